"""The fault matrix: one installation on one simulated board, one fault at its n-th access, and what came of it all.

A case is a scenario, a kind of fault and n. The first run of the flasher meets the fault; then the board is powered,
the cable is plugged in, and a new run begins, at most twice. Nothing is judged by what the flasher says alone: the
versions, the option bytes and every cell of flash are the simulated chip's own.
"""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args
from unittest.mock import patch

import pylink

from flasher.acceptance import Acceptance
from flasher.boot_guard import FACTORY_RESET
from flasher.chip import ChipDriver
from flasher.errors import FlasherError, ProbeError, RefusedError
from flasher.install import install, session
from flasher.jlink import JLink
from flasher.journal import Journal
from flasher.mailbox import FW_DELETE, FW_PURGE, FW_UPGRADE, GET_STATE, START_WS
from flasher.plan import InstallPlan
from flasher.probe import Probe
from flasher.registers import FLASH_BASE
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import AfterReset, CallError, Fails, Survives, Unsettled
from flasher.sim.errors import AccessError, HostKilledError
from flasher.sim.faults import Fault, FaultyChip, Kind
from flasher.sim.fus import SimulatedFus
from flasher.sim.image import find_traces
from flasher.sim.install import Installer
from flasher.sim.probes import SimulatedJLink
from flasher.sim.session import dll_settings
from imagekit.bundle.verified import VerifiedBundle
from tests.support.applications import VECTORS
from tests.support.behaviours import covering_pairs, is_set_in_the_library, name_of, one_at_a_time
from tests.support.direct_probe import DirectProbe
from tests.support.flashing import (
    EVERYTHING,
    FUS_0_5_3,
    FUS_1_2_0,
    FUS_2_2_0,
    SERIAL,
    SimulatedClock,
    opened,
    simulated,
)
from tests.support.images import content

Strike = Literal[
    "link-lost", "link-away", "access-fails", "answer-lost", "reset", "host-killed", "short-read", "power-cut"
]
"""What strikes. `link-away`: the link is lost, and comes back by itself after AWAY."""
STRIKES: tuple[Strike, ...] = get_args(Strike)
_LINK = ("link-lost", "link-away", "access-fails", "answer-lost", "short-read")
"""Of which the chip notices nothing."""
CAUTIOUS = Acceptance(accept=EVERYTHING.accept - {FACTORY_RESET})
PAUSES = (0.1, 1.0, 60.0)
"""Seconds between two runs: FUS may still be at work, or have finished."""
AWAY = 12_000
"""Milliseconds: longer than the flasher tries to reach the chip again, once."""
CUTS = (300, 3_000, 15_000, 60_000)
"""Milliseconds without power: shorter and longer than the flasher tries to reach the chip again."""
MOST_ACCESSES, MOST_SECONDS = 30_000, 3_600.0
"""More than any run may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A board, and a bundle for it. `old` is the stack that it comes with; `switches` are Behaviour's."""

    name: str
    images: tuple[str, ...] = ("fus-2.2.0", "stack-fus2-4k")
    part: str = "STM32WB55CC"
    fus: int = FUS_1_2_0
    old: str | None = None
    old_version: int | None = None
    """Another version for the old stack, so that it is replaced by the same image. Its bonding data is present then."""
    has_application: bool = False
    sram2rst: int = 1
    switches: tuple[tuple[str, Any], ...] = ()
    after_reset: Callable[[], AfterReset] = Fails

    @property
    def bundle(self) -> VerifiedBundle:
        """What is to be installed."""
        return _opened(self.images, self.part)

    def board(self) -> SimulatedChip:
        """A new board."""
        chip = simulated(self.part, self.fus, **dict(self.switches))
        chip.options.set_by_cpu2(SRAM2RST=self.sram2rst)
        if self.old is not None:
            assert chip.fus.install_at_factory(content(self.old)) == 0
        if self.old_version is not None:
            self._bond(chip)
        if self.has_application:
            chip.flash.put_cells(FLASH_BASE, VECTORS + bytes(range(256)) * 20)
            chip.flash.put_cells(FLASH_BASE + 7 * chip.part.page, b"settings" * 100)
        chip.power_cycle()
        chip.advance(0.5)
        return chip

    def _bond(self, chip: SimulatedChip) -> None:
        """Give the old stack its version and bonding data, in their section if the behaviour has one."""
        secret = chip.fus.secret
        assert secret.stack is not None
        assert self.old_version is not None
        secret.stack = replace(secret.stack, version=self.old_version)
        secret.bonding, secret.nvm_sectors = "present", chip.behaviour.nvm_section_sectors

    @property
    def keeps_bonding_data(self) -> bool:
        """Whether bonding data must be there at the end: FUS 2, both stacks in the new format, a section for them."""
        return self.old_version is not None and dict(self.switches).get("nvm_section_sectors", 0) > 0


@cache
def _opened(images: tuple[str, ...], part: str) -> VerifiedBundle:
    return opened(*images, part=part)


def _scenarios() -> Iterator[Scenario]:
    to_fus2 = ("fus-1.0.2", "fus-hidden-version", "fus-2.2.0", "stack-fus2-4k")
    yield Scenario(name="fresh")
    yield Scenario(name="fresh-1m", part="STM32WB55RG", has_application=True)
    yield Scenario(name="oldest", images=to_fus2, part="STM32WB55RG", fus=FUS_0_5_3)
    other = Scenario(name="replace", fus=FUS_2_2_0, old="stack-4k", has_application=True)
    yield other
    yield replace(other, name="replace-on-fus1", fus=FUS_1_2_0)
    same = Scenario(name="same", fus=FUS_2_2_0, old="stack-fus2-4k", has_application=True)
    yield same
    for part in ("STM32WB55CE", "STM32WB55VY", "STM32WB35CC"):
        yield replace(other, name=f"replace-{part[5:]}", part=part)
    wb1x = Scenario(name="fresh-WB15CC", part="STM32WB15CC", images=("fus-2.2.0-2k", "stack-fus2-2k"))
    yield wb1x
    yield replace(wb1x, name="replace-WB15CC", fus=FUS_2_2_0, old="stack-2k", has_application=True)
    one_by_one: dict[str, dict[str, Any]] = {
        "no-delete-reset": {"delete_resets": False},
        "errors-last": {"error_lifetime": "until-next-command"},
        "fe": {"stack_get_state": "fe"},
        "no-first-error": {"first_contact": "none"},
        "open-in-reset": {"during_reset": "works"},
        "fus-erases-image": {"fus_update_erases": True},
        "one-reset": {"stack_resets": 1},
        "slow": {"first_answer_seconds": 400.0},
    }
    whole = replace(other, fus=FUS_1_2_0)
    for name, switches in one_by_one.items():
        yield replace(whole, name=name, switches=tuple(switches.items()))
    yield replace(whole, name="sram2rst-0", sram2rst=0)
    yield replace(whole, name="survives", after_reset=Survives)
    for seed in range(4):
        yield replace(whole, name=f"unsettled-{seed}", after_reset=_Seeded(seed))


def _behaviour_scenarios() -> Iterator[Scenario]:
    """The main scenarios with every setting of what is unknown about silicon, alone and in a sample of pairs."""
    mains = (
        Scenario(name="fresh", has_application=True),
        Scenario(name="replace-on-fus1", old="stack-4k", has_application=True),
        Scenario(
            name="renew",
            images=("stack-fus2-4k",),
            fus=FUS_2_2_0,
            old="stack-fus2-4k",
            old_version=0x0117_0001,
            has_application=True,
        ),
    )
    rows = [*one_at_a_time(), *covering_pairs()]
    for main in mains:
        for row in rows:
            yield replace(main, name=f"{main.name}/{name_of(row)}", switches=tuple(row.items()))


@dataclass(frozen=True, slots=True)
class _Seeded:
    seed: int

    def __call__(self) -> AfterReset:
        return Unsettled(self.seed)


class EndlessError(BaseException):
    """A run took more accesses or more time than any may; nothing may catch it."""


class Bench(FaultyChip):
    """The chip as one run sees it: each access and each reset counts, and what the flasher does is watched."""

    def __init__(self, chip: SimulatedChip, fault: Fault | None) -> None:
        super().__init__(chip)
        self.fault, self.accesses, self.is_killed = fault, 0, False
        self.kinds: list[str] = []
        self.is_struck = self.is_harm_spared = False
        self.unplug: Callable[[], None] = lambda: None
        self.forget: Callable[[], None] = lambda: None
        self._end = chip.clock + MOST_SECONDS

    def _due(self, access: Any, address: int, size: int) -> list[Fault]:
        self.advance(0.0)
        if self.is_killed:
            raise HostKilledError("the host was killed")
        self.accesses += 1
        self.kinds.append(f"{access} 0x{address:08X} {size}")
        if self.accesses > MOST_ACCESSES:
            raise EndlessError(f"more than {MOST_ACCESSES} accesses")
        is_due = self.fault is not None and self.fault.at == self.accesses
        return [self.fault] if is_due and self.fault is not None else []

    def _do(self, fault: Fault, address: int) -> None:
        fus, operation = self.chip.fus, self.chip.fus.secret.operation
        runs, has_nvm_job = self.chip.cpu2.state.running, fus.secret.nvm_job is not None
        is_at_work = has_nvm_job or (runs == "fus" and operation is not None and operation.is_writing)
        self.is_struck, self.is_killed = True, fault.kind == "host-killed"
        self.is_harm_spared = is_at_work and fault.kind in ("reset", "power-cut")
        if self.is_harm_spared:
            before = fus.behaviour
            spared = replace(before, interrupted_write="abort", nvm_reset_bricks=False)
            fus.behaviour = self.chip.cpu2._behaviour = spared
            try:
                super()._do(fault, address)
            finally:
                fus.behaviour = self.chip.cpu2._behaviour = before
        elif fault.kind == "link-lost" and not fault.value and fault.at % 2:
            self.unplug()
            raise AccessError(address, "the probe was unplugged")
        else:
            super()._do(fault, address)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        if self.chip.clock > self._end:
            raise EndlessError(f"more than {MOST_SECONDS:g} s")

    def reset(self, halt: bool) -> None:
        faults = self._due("reset", 0, 0)
        try:
            self._strike(faults, 0)
        except AccessError as error:
            raise CallError from error
        super().reset(halt)
        if any(fault.kind == "answer-lost" for fault in faults):
            raise CallError


@dataclass(slots=True)
class Watch:
    """What FUS was told, and what is wrong with it."""

    is_asked_for: bool = True
    """Whether FUS has answered GET_STATE since the last command."""
    wrong: list[str] = field(default_factory=list)
    factory_resets: int = 0
    may_reset: bool = False
    """Whether a factory reset was accepted."""


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Listen to every command that reaches FUS."""
    answer = SimulatedFus.answer

    def listen(fus: SimulatedFus, opcode: int, payload: bytes) -> bytes:
        if opcode == GET_STATE:
            watch.is_asked_for = True
        elif opcode in (FW_UPGRADE, FW_DELETE, FW_PURGE, START_WS):
            if fus.secret.operation is not None:
                watch.wrong.append(f"0x{opcode:04X} while FUS is at work")
            if not watch.is_asked_for:
                watch.wrong.append(f"0x{opcode:04X} without a question in between")
            watch.is_asked_for = False
        return answer(fus, opcode, payload)

    factory_reset = Installer.factory_reset

    def note(installer: Installer) -> None:
        watch.factory_resets += 1
        if not watch.may_reset:
            watch.wrong.append("a factory reset that nobody has accepted")
        factory_reset(installer)

    with patch.object(SimulatedFus, "answer", listen), patch.object(Installer, "factory_reset", note):
        yield


@dataclass(slots=True)
class Run:
    """One run of the flasher: how it ended, and what it needed. `error` None: it said that it succeeded."""

    error: BaseException | None
    bench: Bench
    plan: InstallPlan | None = None

    @property
    def text(self) -> str:
        """`ProbeLostError: ...`, or `installed`."""
        return f"{type(self.error).__name__}: {self.error}" if self.error else "installed"


MakeProbe = Callable[[Bench, AfterReset], Probe]
"""Puts a new probe on the bench, as a new process does."""


def through_pylink(bench: Bench, after_reset: AfterReset) -> Probe:
    """The real pylink on a new simulated J-Link library, set as the chip's behaviour says."""
    settings = dll_settings(bench.chip.behaviour)
    settings.after_reset = after_reset
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=bench)], settings)
    bench.unplug = dll.desk.probes[0].unplug
    bench.forget = lambda: setattr(dll.session, "handle", None)
    return JLink(dll, SimulatedClock(bench), kind="sim", after_failure=dll.raise_stored)


def directly(bench: Bench, after_reset: AfterReset) -> Probe:
    """The same accesses without pylink."""
    probe = DirectProbe(bench, SimulatedClock(bench), after_reset)
    bench.unplug = probe.unplug
    return probe


def run_once(
    scenario: Scenario,
    chip: SimulatedChip,
    folder: Path,
    fault: Fault | None,
    consent: Acceptance,
    make_probe: MakeProbe = directly,
) -> Run:
    """One run, as a new process: a new probe, a new connection, the journal as it lies on the disk."""
    bench = Bench(chip, fault)
    if is_set_in_the_library(chip.behaviour):
        make_probe = through_pylink
    clock, probe = SimulatedClock(bench), make_probe(bench, scenario.after_reset())
    it, plan, error = ChipDriver(probe, clock), None, None
    try:
        it.connect()
        with session(it, Journal(folder, it.identity.uid), lambda _: None, lambda: False) as made:
            plan = install(made, scenario.bundle, consent)
    except BaseException as caught:
        if isinstance(caught, KeyboardInterrupt):
            raise
        error = caught
    if bench.is_killed:
        bench.forget()  # a program that is gone closes nothing
    with patch.object(bench, "_due", lambda *_: []):
        probe.close()
    return Run(error, bench, plan)


def between_runs(chip: SimulatedChip, at: int) -> None:
    """Power, and time; now and then the board is switched off and on, but not while FUS is at work."""
    chip.power_on()
    chip.advance(PAUSES[at // 2 % 3])
    if at // 6 % 2 and chip.fus.secret.operation is None and chip.fus.secret.nvm_job is None:
        chip.power_cycle()
        chip.advance(PAUSES[0])


# --- one case


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in one scenario; `again` strikes in the second run. `value` is Fault's, None: as the matrix has it."""

    scenario: str
    kind: Strike
    at: int
    value: int | None = None
    again: "Case | None" = None

    def fault(self) -> Fault:
        """The fault; a short read gives half of what was asked for."""
        value = {"power-cut": CUTS[self.at % 4], "link-away": AWAY}.get(self.kind, 0)
        if self.kind == "short-read":
            value = int(clean_run(EVERY_SCENARIO[self.scenario])[0][self.at - 1].split()[2]) // 8 * 4
        kind: Kind = "link-lost" if self.kind == "link-away" else self.kind
        return Fault(kind=kind, at=self.at, value=value if self.value is None else self.value)


@dataclass(slots=True)
class Verdict:
    """What came of a case. `wrong` is empty when all is as it must be."""

    case: Case
    texts: list[str] = field(default_factory=list)
    installed_by: int = 0
    """The run after which the chip had what the bundle holds; 0: none."""
    struck_while_writing: bool = False
    """Whether a reset or a loss of power came while FUS wrote."""
    factory_reset: bool = False
    refused_first: bool = False
    brick: str = ""
    blind: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Everything that must not be."""
        brick = [f"dead: {self.brick}"] if self.brick else []
        return [*brick, *self.blind, *self.stray, *self.wrong]


@dataclass(frozen=True, slots=True)
class Before:
    """A board before it was touched, and which of its pages may change."""

    options: dict[str, int]
    cells: bytes
    changing: frozenset[int]


@cache
def clean_run(scenario: Scenario) -> tuple[tuple[str, ...], frozenset[int]]:
    """The accesses of a run without faults, and the pages that it may change: staging areas and stacks."""
    chip, folder = scenario.board(), Path(tempfile.mkdtemp())
    page, areas = chip.part.page, [_stack_area(chip)]
    run = run_once(scenario, chip, folder, None, CAUTIOUS)
    shutil.rmtree(folder)
    assert run.error is None, run.text
    assert run.plan is not None
    assert (why := missing(scenario, chip)) == [], why
    areas += [_stack_area(chip), *((step.area.start, step.area.end) for step in run.plan.steps if step.area)]
    pages = {at // page for start, end in areas for at in range(start - FLASH_BASE, end - FLASH_BASE)}
    return tuple(run.bench.kinds), frozenset(pages)


def _stack_area(chip: SimulatedChip) -> tuple[int, int]:
    stack = chip.fus.secret.stack
    return (stack.address, stack.address + stack.sectors * chip.part.page) if stack else (FLASH_BASE, FLASH_BASE)


def missing(scenario: Scenario, chip: SimulatedChip) -> list[str]:
    """What the chip lacks of what the bundle holds, by its own memory; and whether it was given back."""
    secret, stack, cpu1 = chip.fus.secret, chip.fus.secret.stack, chip.cpu1.state
    chip.advance(1.0)
    is_there = {
        f"the stack is {stack and stack.sha256}": stack is not None
        and stack.sha256 == _stack_hash(scenario.images[-1]),
        f"CPU2 boots {chip.cpu2._selected()}": chip.cpu2._selected() == "stack",
        f"FUS is 0x{secret.fus_version:08X}": secret.fus_version == FUS_2_2_0,
        "CPU1 was not given back": not (cpu1.halted or cpu1.debug_enabled or cpu1.vector_catch),
        f"CPU2 runs {chip.cpu2.state.running!r}": cpu1.runs != "application" or chip.cpu2.state.running == "stack",
    }
    return [what for what, is_so in is_there.items() if not is_so]


@cache
def _stack_hash(name: str) -> str:
    """As the chip's own: of the image without its signature's footer."""
    data = content(name)
    return hashlib.sha256(data[: find_traces(data, 0)[0].end]).hexdigest()


def before(scenario: Scenario, chip: SimulatedChip) -> Before:
    """The board as it is."""
    return Before(dict(chip.options.state.stored), bytes(chip.flash.state.cells), clean_run(scenario)[1])


def strays(was: Before, chip: SimulatedChip) -> list[str]:
    """Pages that changed and may not."""
    page, now = chip.part.page, chip.flash.state.cells
    if now == was.cells:
        return []
    changed = (at // page for at in range(0, len(now), page) if now[at : at + page] != was.cells[at : at + page])
    return [f"page {number} was changed" for number in changed if number not in was.changing]


def changed_options(was: Before, chip: SimulatedChip) -> list[str]:
    """Option words of CPU1's that are not as they were."""
    return [
        f"{name} 0x{chip.options.state.stored[name]:08X} instead of 0x{word:08X}"
        for name, word in was.options.items()
        if name not in ("SFR", "SRRVR") and chip.options.state.stored[name] != word
    ]


def lost_bonding_data(scenario: Scenario, chip: SimulatedChip, verdict: "Verdict") -> list[str]:
    """Say when bonding data is lost that had to be kept: no reset struck FUS or an NVM job, no factory reset."""
    is_excused = verdict.struck_while_writing or verdict.factory_reset
    if not scenario.keeps_bonding_data or is_excused or chip.fus.secret.bonding == "kept":
        return []
    return [f"bonding data is {chip.fus.secret.bonding}"]


def run_case(case: Case, folder: Path, make_probe: MakeProbe = directly) -> Verdict:
    """Run a case to its end."""
    scenario = EVERY_SCENARIO[case.scenario]
    chip, verdict, watch = scenario.board(), Verdict(case), Watch()
    was = before(scenario, chip)
    faults = iter((case, case.again, None))
    with watched(watch):
        for number in (1, 2, 3):
            strike, watch.may_reset = next(faults), number == 3
            fault, consent = strike.fault() if strike else None, EVERYTHING if number == 3 else CAUTIOUS
            run = run_once(scenario, chip, folder, fault, consent, make_probe)
            verdict.texts.append(run.text)
            verdict.struck_while_writing |= run.bench.is_harm_spared
            verdict.refused_first |= isinstance(run.error, RefusedError)
            verdict.wrong += [f"run {number}: {why}" for why in judge(strike if run.bench.is_struck else None, run)]
            verdict.brick = chip.fus.secret.dead
            verdict.factory_reset = watch.factory_resets > 0
            if not verdict.factory_reset:
                verdict.stray += strays(was, chip)
            if verdict.brick or verdict.wrong:
                break
            if run.error is None:
                verdict.installed_by = number
                verdict.wrong += [f"{why} though run {number} succeeded" for why in missing(scenario, chip)]
                verdict.wrong += lost_bonding_data(scenario, chip, verdict)
                break
            between_runs(chip, case.at)
    verdict.blind = watch.wrong
    if not verdict.installed_by:
        verdict.wrong.append("never installed")
    elif not verdict.brick:
        verdict.wrong += changed_options(was, chip)
    return verdict


def judge(strike: Case | None, run: Run) -> Iterator[str]:
    """What is wrong with how a run ended that was struck so, or was not: who has to act must be told, and why."""
    error, kind = run.error, strike.kind if strike else None
    if kind == "host-killed" and isinstance(error, HostKilledError):
        return
    if error is not None and not isinstance(error, FlasherError):
        yield run.text
    elif error is not None and (not str(error).strip() or "\n" in str(error)):
        yield f"{type(error).__name__} without a reason, or with more than a line of it: {error}"
    elif isinstance(error, RefusedError) and FACTORY_RESET not in str(error):
        yield run.text
    elif kind is None and isinstance(error, ProbeError):
        yield f"nothing is wrong with the link: {run.text}"
    elif kind == "link-lost" and error is None:
        yield "the link is lost, and nobody noticed"
    elif kind in _LINK and error is not None and not isinstance(error, ProbeError) and "again" not in str(error):
        yield f"the link failed, not the chip: {run.text}"


SCENARIOS = {one.name: one for one in _scenarios()}
BEHAVIOURS = {scenario.name: scenario for scenario in _behaviour_scenarios()}
EVERY_SCENARIO = {**SCENARIOS, **BEHAVIOURS}


def cases(scenario: str, every: int = 1) -> Iterator[Case]:
    """Every case of a scenario; short reads at reads alone."""
    accesses, _ = clean_run(EVERY_SCENARIO[scenario])
    for at in range(1, len(accesses) + 1, every):
        for kind in STRIKES:
            if kind != "short-read" or accesses[at - 1].startswith("read"):
                yield Case(scenario, kind, at)


def pairs(scenario: str, number: int, seed: int = 1) -> Iterator[Case]:
    """So many cases in which the second run is struck too."""
    every, random = list(cases(scenario)), Random(f"{seed} {scenario}")  # noqa: S311 - the same ones each time
    for _ in range(number):
        yield replace(random.choice(every), again=random.choice(every))


def sample(scenario: str, number: int, seed: int = 1) -> Iterator[Case]:
    """So many cases for each kind of fault, at accesses that the seed chooses."""
    accesses, _ = clean_run(EVERY_SCENARIO[scenario])
    random = Random(f"{seed} {scenario}")  # noqa: S311 - the same ones each time
    reads = [at for at, access in enumerate(accesses, start=1) if access.startswith("read")]
    for kind in STRIKES:
        places = reads if kind == "short-read" else range(1, len(accesses) + 1)
        for at in random.sample(places, min(number, len(places))):
            yield Case(scenario, kind, at)


@contextmanager
def bare(folder: Path) -> Iterator[None]:
    """No pauses of pylink's, its lock files in our own folder, and no waiting for the disk."""
    with (
        patch.object(tempfile, "tempdir", str(folder)),
        patch.object(cast("Any", pylink).jlink, "time", SimpleNamespace(sleep=lambda _seconds: None)),
        patch("os.fsync", lambda _handle: None),
    ):
        yield


def run_cases(chosen: Iterable[Case], folder: Path, make_probe: MakeProbe = directly) -> Iterator[Verdict]:
    """Run cases, each with an empty journal."""
    with bare(folder):
        for case in chosen:
            journal = folder / "journal"
            shutil.rmtree(journal, ignore_errors=True)
            yield run_case(case, journal, make_probe)


def tally(verdicts: list[Verdict]) -> Counter[str]:
    """How often each thing came of it."""
    count: Counter[str] = Counter()
    for one in verdicts:
        count["cases"] += 1
        count[f"installed by run {one.installed_by}"] += 1
        count["refused first"] += one.refused_first
        count["factory resets"] += one.factory_reset
        count["bricks"] += bool(one.brick)
        count["blind commands"] += bool(one.blind)
        count["stray writes"] += bool(one.stray)
        count["struck while FUS wrote"] += one.struck_while_writing
        count["wrong"] += bool(one.problems)
    return count
