"""Carry a plan out on a chip, so that it can be broken off anywhere and taken up again.

Every step begins by looking at the chip. What fails on the way is tried anew from there; what the probe has lost, the
next run finds as it is. Success is what the chip itself says at the end, and nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from flasher import registers as reg
from flasher.chip import Area, ChipDriver, Options
from flasher.errors import (
    ChipError,
    FlasherError,
    FlashError,
    FusError,
    ProbeError,
    RefusedError,
    StillAtWorkError,
    StoppedError,
)
from flasher.fus import READY_SECONDS, Cpu2
from flasher.journal import Journal
from flasher.mailbox import DeviceInfo
from flasher.plan import (
    FUS_1_1_0,
    Consent,
    Facts,
    InstallPlan,
    InstallStep,
    Range,
    difference,
    hindrances,
    make_plan,
    refuse_delete,
)
from imagekit.bundle.verified import VerifiedBundle
from imagekit.flash_scan import find_images
from imagekit.image.model import Version

Result = TypeVar("Result")
_ATTEMPTS = 3
FACTORY_RESET = "factory-reset"
"""What must be accepted when option bytes were damaged while this tool wrote them."""
_CPU2_ONLY = ("SFR", "SRRVR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens: `begin`, `progress`, `state`, `reset` or `end` of a step. `done` and `of` are bytes."""

    event: str
    step: str = ""
    text: str = ""
    done: int = 0
    of: int = 0


Say = Callable[[Event], None]
Stop = Callable[[], bool]


@dataclass(slots=True)
class Session:
    """A chip that this program has taken over, and everything that goes with it."""

    chip: ChipDriver
    journal: Journal
    say: Say
    stop: Stop
    restores: bool = True
    step: str = ""
    cpu2: Cpu2 = field(init=False)

    def __post_init__(self) -> None:
        """Listen to what CPU2 does."""
        self.cpu2 = Cpu2(self.chip, self.tell, is_pending=self.journal.history.is_unfinished)

    def tell(self, event: str, text: str = "", done: int = 0, of: int = 0) -> None:
        """Tell what happens in the present step."""
        self.say(Event(event=event, step=self.step, text=text, done=done, of=of))


@contextmanager
def session(chip: ChipDriver, journal: Journal, say: Say, stop: Stop, *, restores: bool = True) -> Iterator[Session]:
    """Take a connected chip over, and give it back: option bytes as they were, CPU1 running.

    Not given back when the probe is lost, or FUS may be at work: the next run does it. Nor when nothing was taken over
    yet. `restores`: whether option bytes may be written for it. Raises FlasherError.
    """
    made = Session(chip, journal, say, stop, restores)
    try:
        yield made
    except ProbeError as error:
        error.is_fus_at_work = made.cpu2.is_taken and made.cpu2.is_unsettled
        raise
    except (FlasherError, KeyboardInterrupt) as error:
        if isinstance(error, FlasherError) and made.cpu2.is_taken and made.cpu2.is_unsettled:
            raise _still_at_work(error) from error
        with suppress(FlasherError):
            _give_back(made)
        raise
    _give_back(made)


def _still_at_work(error: FlasherError) -> FlasherError:
    """The same error, for a chip whose FUS may be at work."""
    if isinstance(error, ChipError) and not isinstance(error, StillAtWorkError):
        return StillAtWorkError(f"{error}; FUS may be at work: leave the board powered and alone, and run this again")
    error.is_fus_at_work = True
    return error


def _give_back(it: Session) -> None:
    """Reset the chip once, by loading its option bytes where they are restored, and let CPU1 run.

    Once: what an application begins after that reset, an OTA of its own perhaps, a second one would hit.
    """
    if it.cpu2.is_unsettled or not it.cpu2.is_taken:
        return
    problem = None
    try:
        if it.restores and it.journal.history.optr is not None:
            _restore(it, it.journal.history.optr)
        else:
            _reset_once(it)
    except FlasherError as error:
        problem = error
    _retried(it, it.chip.resume)
    if problem is not None:
        raise problem


def _reset_once(it: Session) -> None:
    """Reset the chip, CPU1 running; again only when the first reset did not come."""
    for attempt in range(_ATTEMPTS):
        try:
            if attempt:
                it.chip.reconnect()
                if not it.cpu2.is_ours():
                    return
            it.chip.reset_running()
        except ProbeError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _restore(it: Session, optr: int) -> None:
    """Have CPU1 boot what it did. Programmed in any case: what was programmed and not loaded does not show."""
    now = _retried(it, lambda: it.chip.word(reg.OPTION_REGISTERS["OPTR"]))
    it.chip.write_optr(now if now & reg.OPTR_BOOT else optr)  # whoever has changed it since has meant it
    it.journal.note("restored")


# --- looking


def survey(it: Session, *, passive: bool = False) -> Facts:
    """Read the chip; `passive` leaves a CPU2 that somebody has started alone. Raises ChipError, ProbeError."""
    chip = it.chip
    info = it.cpu2.peek()
    is_fus_at_work = _is_fus_at_work(it, info) and not passive
    _proven_options(it, is_fus_at_work=is_fus_at_work)
    if info is None or not passive:
        info = it.cpu2.begin()
    options = _proven_options(it)
    target = chip.identity.target
    end = min(target.sector_address(options.sfsa), target.limit)
    it.step = "scan"
    total = end - reg.FLASH_BASE
    flash = chip.read_flash(reg.FLASH_BASE, end, _counter(it, total))
    return Facts(identity=chip.identity, options=options, info=info, flash=flash)


def _proven_options(it: Session, *, is_fus_at_work: bool = False) -> Options:
    """Read the option registers. Raises ChipError when they forbid any work on this chip."""
    options = it.chip.options()
    if reasons := hindrances(options, is_fus_at_work=is_fus_at_work):
        raise ChipError("; ".join(reasons))
    return options


def _is_fus_at_work(it: Session, info: DeviceInfo | None) -> bool:
    """Whether FUS may be in the middle of something: it runs, or waits to be started again after a reset."""
    return info.is_fus if info is not None else it.journal.history.is_unfinished


def _counter(it: Session, total: int) -> Callable[[int], None]:
    """Progress out of the sizes of what was moved."""
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        it.tell("progress", done=done, of=total)

    return count


# --- a whole installation


def install(
    it: Session, bundle: VerifiedBundle, consent: Consent, agree: Callable[[InstallPlan], InstallPlan] = lambda one: one
) -> InstallPlan:
    """Bring the chip to what the bundle holds. `agree` may ask the user about a plan, and returns one.

    Returns the plan that was carried out. Raises RefusedError with the reasons against the plan, StoppedError between
    two steps, ChipError, FusError and ProbeError.
    """

    def look() -> Facts:
        _recover(it, consent)
        return survey(it)

    plan = agree(make_plan(bundle, _retried(it, look), it.journal.history, consent))
    if plan.refusals:
        raise RefusedError(*plan.refusals)
    if plan.steps:
        carry_out(it, plan)
    elif it.journal.history.is_unfinished:
        it.journal.note("done", step="found as it should be")
    if not plan.steps and it.journal.history.sequences.get(bundle.manifest.name, -1) < bundle.manifest.sequence:
        _note_begin(it, plan)
    return plan


def carry_out(it: Session, plan: InstallPlan) -> None:
    """Carry out exactly this plan, on exactly the chip that it was made for."""
    _retried(it, lambda: _refuse_change(it, plan))
    _note_begin(it, plan)
    _keep_cpu1_away(it, plan.facts)
    flash = bytearray(plan.facts.flash)
    for step in plan.steps:
        if it.stop():
            raise StoppedError(f"stopped before {step.title}; run it again to go on")
        it.step = step.title
        ours = step.staging and step.staging.area  # what is erased only becomes nobody's
        noted = {"start": f"0x{ours.start:08X}", "end": f"0x{ours.end:08X}"} if ours else {}
        noted |= {"stack": step.image} if step.action == "install-stack" and step.image else {}
        it.journal.note("step", step=step.title, **noted)
        it.tell("begin")
        _STEPS[step.action](it, plan, step, flash)
        it.journal.note("done", step=step.title)
        it.tell("end")
    _retried(it, lambda: _refuse_other_result(it, plan))
    it.journal.note("result", code=0, fus=it.cpu2.info.fus.text, stack=_stack_text(it.cpu2.info))


def _note_begin(it: Session, plan: InstallPlan) -> None:
    """Note which bundle this chip has seen."""
    manifest, steps = plan.bundle.manifest, [step.title for step in plan.steps]
    it.journal.note("begin", bundle=manifest.name, sequence=manifest.sequence, steps=steps)


def _stack_text(info: DeviceInfo) -> str | None:
    return info.stack.full_text if info.stack else None


def _refuse_change(it: Session, plan: InstallPlan) -> None:
    """Raise ChipError when the chip has changed since the plan was made, TargetUnavailableError when it is another."""
    it.chip.reconnect()
    facts, info = plan.facts, it.cpu2.begin()
    if (it.chip.options(), info.fus, info.stack) != (facts.options, facts.info.fus, facts.info.stack):
        raise ChipError("the chip is not as it was when the plan was made; nothing was done: plan again")


def _keep_cpu1_away(it: Session, facts: Facts) -> None:
    """Have CPU1 boot a loop in SRAM1, so that it leaves CPU2 alone over FUS's resets (psdb).

    Not with FUS before 1.1.0: power that goes while option bytes are written would be the end of that chip. The plan
    has seen to it that CPU1 has nothing to boot there.
    """
    optr = facts.options.words["OPTR"]
    wanted = optr & ~reg.OPTR_BOOT
    if facts.info.fus < FUS_1_1_0 or optr == wanted:
        return
    it.journal.note("option-bytes", optr=f"0x{optr:08X}", fus=facts.info.fus.text)
    it.chip.write_optr(wanted)
    it.cpu2.begin()


def _refuse_other_result(it: Session, plan: InstallPlan) -> None:
    """Raise ChipError unless the chip says that it has what the bundle holds (versions, sectors, SRAM2)."""
    manifest, info = plan.bundle.manifest, it.cpu2.info
    options = it.chip.options()
    last = next(one for one in manifest.images if one.sha256 == manifest.steps[-1].image)
    if last.role == "stack" and (why := difference(last, info, options)):
        raise ChipError(f"the installation ended, and the chip says otherwise: {why}")
    for name, word in plan.facts.options.words.items():
        if name not in (*_CPU2_ONLY, "OPTR") and options.words[name] != word:
            raise ChipError(f"the installation ended, and {name} is 0x{options.words[name]:08X}, no more 0x{word:08X}")


# --- the steps


def _erase(it: Session, _plan: InstallPlan, step: InstallStep, flash: bytearray) -> None:
    assert step.area is not None  # noqa: S101 - by the plan
    it.cpu2.enter_fus()  # a stack at work on its radio holds up the flash
    _clear(it, step.area, flash)


def _clear(it: Session, area: Area, flash: bytearray) -> None:
    """Erase an area, and note that it is blank."""
    _retried(it, lambda: it.chip.erase(area), _begin_anew)
    flash[area.start - reg.FLASH_BASE : area.end - reg.FLASH_BASE] = b"\xff" * (area.end - area.start)


def _delete(it: Session, _plan: InstallPlan, _step: InstallStep, flash: bytearray) -> None:
    """Delete the stack; what SFSA sets free was CPU2's, and an image that is left in it goes too."""
    it.cpu2.enter_fus()
    _retried(it, it.cpu2.delete_stack, _begin_anew)
    _expose(it, flash)
    _remove_images(it, flash, (reg.FLASH_BASE, reg.FLASH_BASE))


def _expose(it: Session, flash: bytearray) -> None:
    """Read what has become user flash. What was CPU2's is erased where it is not blank."""
    target, start = it.chip.identity.target, reg.FLASH_BASE + len(flash)
    end = min(target.sector_address(_retried(it, it.chip.options_sfsa)), target.limit)
    if start >= end:
        return
    flash += _retried(it, lambda: it.chip.read_flash(start, end, lambda _: None))
    page = target.sector_size
    for at in range(start, end, page):
        if flash[at - reg.FLASH_BASE : at - reg.FLASH_BASE + page] != b"\xff" * page:
            _clear(it, Area(at, at + page, target), flash)


def _remove_images(it: Session, flash: bytearray, keep: Range) -> None:
    """Erase images that an earlier step has left; refuse those that nobody could know of."""
    target = it.chip.identity.target
    ours = it.journal.history.staged
    for one in find_images(bytes(flash), target):
        if keep[0] <= one.start and one.end <= keep[1]:
            continue
        if not any(start <= one.start and one.end <= end for start, end in ours):
            raise ChipError(
                f"an image stands at 0x{one.start:08X} that was not there when the plan was made; plan again"
            )
        _clear(it, Area(one.start, one.end, target), flash)


def _install(it: Session, _plan: InstallPlan, step: InstallStep, flash: bytearray) -> None:
    """Stage an image, and have FUS install it."""
    assert step.staging is not None  # noqa: S101 - by the plan
    assert step.version is not None  # noqa: S101 - by the plan
    it.cpu2.enter_fus()
    area, version = step.staging.area, step.version
    _remove_images(it, flash, (area.start, area.end))
    _stage(it, step, flash)
    it.tell("state", "FUS is told to install it: do not take the power, do not reset the board")
    if step.action == "install-fus":
        it.cpu2.upgrade(step.title, lambda info: info.fus == version)
        _retried(it, lambda: _look_again(it, area, flash))
        _remove_images(it, flash, (reg.FLASH_BASE, reg.FLASH_BASE))
    elif step.action == "install-stack":
        it.cpu2.upgrade(step.title, lambda info: info.stack == version)
    else:
        _install_safeboot(it, step.title, version)


def _install_safeboot(it: Session, title: str, version: Version) -> None:
    """Have FUS install Safeboot; it tells of an error once, and all is well (release notes of v1.24.0, "Safeboot")."""
    try:
        it.cpu2.upgrade(title, lambda info: info.safeboot.text == version.text)
    except FusError:
        it.cpu2.restart()
        if it.cpu2.info.safeboot.text != version.text:
            raise


def _stage(it: Session, step: InstallStep, flash: bytearray) -> None:
    """Put an image where it belongs, unless it stands there already."""
    staging = step.staging
    assert staging is not None  # noqa: S101 - by the plan
    area, start = staging.area, staging.area.start - reg.FLASH_BASE
    if flash[start : start + len(staging.data)] == staging.data:
        _retried(it, lambda: _look_again(it, area, flash))  # it was seen some time ago
    if flash[start : start + len(staging.data)] == staging.data:
        return

    def write() -> None:
        it.chip.erase(area)
        it.chip.program(staging, _counter(it, len(staging.data)))

    _retried(it, write, _begin_anew)
    it.journal.note("staged", step=step.title)
    size = area.end - area.start
    flash[start : start + size] = staging.data.ljust(size, b"\xff")


def _look_again(it: Session, area: Area, flash: bytearray) -> None:
    """Read what FUS has left of a staged image; what else there is it does not touch."""
    found = it.chip.read_flash(area.start, area.end, lambda _: None)
    flash[area.start - reg.FLASH_BASE : area.end - reg.FLASH_BASE] = found


def _start(it: Session, _plan: InstallPlan, _step: InstallStep, _flash: bytearray) -> None:
    """Start the stack, unless FUS has done so by itself."""
    if it.cpu2.info.is_fus:
        it.cpu2.start_stack()


def _boot_from_flash(it: Session, plan: InstallPlan, _step: InstallStep, _flash: bytearray) -> None:
    """Note what CPU1 is to boot, for when the option bytes are restored (release notes of v1.24.0, step 9)."""
    optr = plan.facts.options.words["OPTR"] | reg.OPTR_BOOT
    it.journal.note("option-bytes", optr=f"0x{optr:08X}", fus=plan.facts.info.fus.text)


_STEPS: dict[str, Callable[[Session, InstallPlan, InstallStep, bytearray], None]] = {
    "boot-from-flash": _boot_from_flash,
    "erase": _erase,
    "delete-stack": _delete,
    "install-fus": _install,
    "install-stack": _install,
    "install-safeboot": _install,
    "start-stack": _start,
}


def _retried(it: Session, do: Callable[[], Result], prepare: Callable[[Session], None] | None = None) -> Result:
    """Do something that may be done again, with the chip prepared for it anew."""
    for attempt in range(_ATTEMPTS):
        try:
            if attempt:
                it.chip.reconnect()
                if prepare is not None:
                    prepare(it)
            return do()
        except (ProbeError, FlashError):
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError  # the loop returns or raises


def _begin_anew(it: Session) -> None:
    """Have FUS idle, after a reset.

    A key sequence that was cut short shuts the flash until a reset; a reset that came from elsewhere looks the same.
    """
    it.cpu2.begin()
    if it.cpu2.info.is_fus:
        it.cpu2.restart()
    else:
        it.cpu2.enter_fus()


# --- single operations, and a chip whose option bytes were damaged


def delete(it: Session) -> Facts:
    """Delete the installed stack, whatever it is. Raises RefusedError, ChipError, FusError, ProbeError."""
    facts = survey(it)
    if facts.info.stack is None:
        return facts
    refuse_delete(facts)
    _keep_cpu1_away(it, facts)
    it.step = "delete-stack"
    it.journal.note("step", step=it.step)
    it.cpu2.enter_fus()
    _retried(it, it.cpu2.delete_stack, _begin_anew)
    it.journal.note("done", step=it.step)
    return facts


def start_stack(it: Session) -> DeviceInfo:
    """Start the installed stack. Raises ChipError, FusError, ProbeError."""
    _proven_options(it, is_fus_at_work=_is_fus_at_work(it, it.cpu2.peek()))
    info = it.cpu2.begin()
    if info.stack is None:
        raise ChipError("no stack is installed: there is nothing to start; install a bundle")
    if info.is_fus:
        it.step = "start-stack"
        it.cpu2.start_stack()
    return it.cpu2.info


def _is_damaged_by_us(it: Session) -> bool:
    """Whether the option bytes are as a loss of power leaves them, and this tool was writing them."""
    return it.journal.history.optr is not None and it.chip.has_damaged_options()


def _recover(it: Session, consent: Consent) -> None:
    """Have Safeboot repair option bytes that lost their power while they were written; that is a factory reset.

    Release notes of STM32CubeWB v1.24.0, "Safeboot": set C2BOOT. FUS was 1.1.0 or newer, or they would not have been
    written at all.
    """
    chip = it.chip
    if not _is_damaged_by_us(it):
        return
    if FACTORY_RESET not in consent.accept:
        raise RefusedError(
            "the power went while the option bytes were being written, and they are damaged. Safeboot repairs them "
            "with a factory reset, which erases the stack and the application; the installation then goes on. Accept "
            f"it by name: --accept {FACTORY_RESET}"
        )
    it.step = FACTORY_RESET
    it.tell("begin")
    chip.quieten()
    chip.put(reg.PWR_CR4, chip.word(reg.PWR_CR4) | reg.C2BOOT)
    end = chip.clock.now() + 12 * READY_SECONDS
    while chip.clock.now() < end:
        chip.clock.sleep(1.0)
        with suppress(ProbeError):
            if not chip.has_damaged_options():
                it.tell("end")
                return
            continue
        chip.reconnect()
    raise ChipError("Safeboot has not repaired the option bytes; nothing else is known to")
