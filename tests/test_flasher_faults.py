"""A sample of the fault matrix (docs/fault-matrix.md), and by name each fault that once got through.

All of the matrix: python tests/fault_matrix.py
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from flasher.errors import ChipError, FlasherError
from flasher.registers import OPTR_BOOT, OPTR_IWDG_SW
from flasher.sim.faults import Fault
from flasher.sim.secret import Operation
from tests.support.fault_matrix import (
    BEHAVIOURS,
    CAUTIOUS,
    PAUSES,
    SCENARIOS,
    Case,
    Run,
    Scenario,
    Strike,
    Verdict,
    Watch,
    bare,
    cases,
    clean_run,
    pairs,
    run_case,
    run_cases,
    run_once,
    sample,
    through_pylink,
    watched,
)

SR, OPTR, SFR, PWR_CR4, SRAM2A = 0x5800_4010, 0x5800_4020, 0x5800_4080, 0x5800_040C, 0x2003_0000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    with bare(tmp_path):
        yield tmp_path / "journal"


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_sample_of_the_matrix(scenario: str, count: int, tmp_path: Path) -> None:
    with bare(tmp_path):
        every = list(cases(scenario))
        chosen = [*Random(scenario).sample(every, min(4 * count, len(every))), *pairs(scenario, count)]  # noqa: S311 - the same ones each time
    for verdict in chain(run_cases(chosen[1:], tmp_path), run_cases(chosen[:1], tmp_path, through_pylink)):
        assert not verdict.problems, (verdict.case, verdict.texts)


SMOKE = [name for name in BEHAVIOURS if name.startswith("renew/") and name.count("=") > 5][:8]


@pytest.mark.parametrize("scenario", SMOKE)
def test_a_sample_of_what_is_unknown_about_silicon(scenario: str, tmp_path: Path) -> None:
    """Two faults in rows that combine many settings; all of it: tests/fault_matrix.py --behaviours N."""
    with bare(tmp_path):
        chosen = Random(scenario).sample([*sample(scenario, 1)], 2)  # noqa: S311 - the same ones each time
    for verdict in run_cases(chosen, tmp_path):
        assert not verdict.problems, (verdict.case, verdict.texts)


def at(scenario: str, address: int, access: str = "read", after: int = 0) -> int:
    """The number of the first such access behind the `after`-th."""
    accesses, _ = clean_run(SCENARIOS[scenario])
    return next(n for n, text in enumerate(accesses, 1) if n > after and text.startswith(f"{access} 0x{address:08X} "))


def struck(journal: Path, scenario: str, kind: Strike, number: int, value: int | None = None) -> Verdict:
    """What came of a case; all but how many runs it took is judged here."""
    verdict = run_case(Case(scenario, kind, number, value), journal)
    assert not verdict.problems, verdict.texts
    return verdict


def option_writes(scenario: str) -> tuple[int, int]:
    """The first access while option bytes are being written: when CPU1 is kept away, and when it is given back."""
    away = at(scenario, SR, after=at(scenario, OPTR, "write"))
    return away, at(scenario, SR, after=at(scenario, OPTR, "write", after=away))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("milliseconds", [300, 60_000])
@pytest.mark.parametrize("scenario", ["replace", "replace-WB15CC"])
def test_damaged_option_bytes_wait_for_an_acceptance(
    scenario: str, milliseconds: int, which: int, journal: Path
) -> None:
    verdict = struck(journal, scenario, "power-cut", option_writes(scenario)[which], milliseconds)
    assert verdict.installed_by == 3
    assert verdict.factory_reset
    assert verdict.texts[0].startswith(
        "ChipError: the power failed" if milliseconds < 1000 else "TargetUnavailableError"
    )
    assert verdict.texts[1].startswith("RefusedError: the power failed")


@pytest.mark.parametrize("number", range(1, 25))
def test_a_failed_read_does_not_hide_damaged_option_bytes(number: int, journal: Path) -> None:
    """Starting CPU2 on them is a factory reset, and without the journal their origin is unknown."""
    scenario, watch = SCENARIOS["replace"], Watch()
    chip = scenario.board()
    chip.options.damage()
    chip.power_cycle()
    chip.advance(1.0)
    with watched(watch):
        run = run_once(scenario, chip, journal, Fault(kind="access-fails", at=number), CAUTIOUS)
    assert isinstance(run.error, FlasherError)
    assert watch.wrong == []
    assert watch.factory_resets == 0


@pytest.mark.parametrize("is_first_contact", [False, True])
def test_fus_at_work_is_not_reset_because_the_chip_is_refused(is_first_contact: bool, journal: Path) -> None:
    """An application has FUS work, and option bytes are in the way; what FUS answers first may tell of nothing."""
    scenario = SCENARIOS["fresh-1m"]
    chip = scenario.board()
    chip.options.state.stored["OPTR"] &= ~OPTR_IWDG_SW
    chip.power_cycle()
    chip.advance(1.0)
    chip.fus.secret.contacted = not is_first_contact
    chip.fus.secret.operation = Operation(kind="delete", stage="write", due=chip.clock + 20.0, busy_until=0.0)
    run = run_once(scenario, chip, journal, None, CAUTIOUS)
    assert isinstance(run.error, ChipError)
    assert "IWDG_SW" in str(run.error)
    assert not chip.fus.secret.dead


@pytest.mark.parametrize("number", range(13))
def test_reading_the_chip_again_costs_no_second_run(number: int, journal: Path) -> None:
    """The option bytes are read, CPU2 taken over, the flash read; and before the first step all options once more."""
    first = at("fresh", SFR)
    before_the_first_step = at("fresh", OPTR, after=at("fresh", 0x0800_0000))
    for access in (first + number, before_the_first_step + min(number, 9)):
        assert struck(journal, "fresh", "access-fails", access).installed_by == 1
        assert struck(journal, "fresh", "power-cut", access, 300).installed_by == 1


def test_a_board_is_given_back_after_fus_finished_without_a_link(journal: Path) -> None:
    """The run before was killed in the middle of an installation; this one finds FUS at work, and then no answer."""
    starts = [n for n in range(1, len(clean_run(SCENARIOS["slow"])[0])) if n // 2 % len(PAUSES) == 0]
    taken = set()
    for killed in starts[-60::8]:
        for away in (30, 60):
            verdict = run_case(Case("slow", "host-killed", killed, again=Case("slow", "link-away", away)), journal)
            assert not verdict.problems, (verdict.case, verdict.texts)
            taken.add(verdict.installed_by)
            for one in journal.iterdir():
                one.unlink()
    assert 2 in taken


def test_a_stack_deleted_by_an_earlier_run_is_not_an_error(journal: Path) -> None:
    """Without a reset of FUS's own, its table still tells of the stack, and a second delete finds none."""
    accesses, _ = clean_run(SCENARIOS["no-delete-reset"])
    rings = [n for n, text in enumerate(accesses, 1) if text.startswith("write 0x58000C08")]
    deleting = next(n for n in rings if n > at("no-delete-reset", OPTR, "write")) + 60
    for number in range(deleting, deleting + 40, 10):
        assert struck(journal, "no-delete-reset", "host-killed", number).installed_by == 2
        for one in journal.iterdir():
            one.unlink()


@pytest.mark.parametrize(("changed", "ends"), [(0x200, "installed"), (0x11, "ChipError")])
def test_option_bytes_changed_between_two_runs_stay(changed: int, ends: str, journal: Path) -> None:
    """A brown-out level; and RDP level 1, from which a way back to 0 would erase the application."""
    scenario = SCENARIOS["replace"]
    chip = scenario.board()
    wanted = chip.options.state.stored["OPTR"] ^ changed
    killed = Fault(kind="host-killed", at=option_writes("replace")[0] + 50)
    run_once(scenario, chip, journal, killed, CAUTIOUS)
    assert chip.options.state.stored["OPTR"] != wanted ^ changed
    chip.options.state.stored["OPTR"] ^= changed
    chip.power_cycle()
    chip.advance(1.0)
    application = bytes(chip.flash.state.cells[:0x8000])
    run = run_once(scenario, chip, journal, None, CAUTIOUS)
    assert run.text.startswith(ends)
    assert chip.options.state.stored["OPTR"] & ~OPTR_BOOT == wanted & ~OPTR_BOOT
    assert run.error or chip.options.state.stored["OPTR"] == wanted
    assert chip.flash.state.cells[:0x8000] == application


def unasked(scenario: Scenario, journal: Path) -> Run:
    """A run on a board whose FUS is at work, and was started with an empty mailbox: it does not answer (F:121054)."""
    chip = scenario.board()
    chip.halt()
    chip.reset(halt=True)
    chip.fus.secret.operation = Operation(kind="stack", stage="reset", due=1e9, busy_until=0.0, resets_left=2)
    chip.write(SRAM2A, bytes(256), 4)
    chip.write(PWR_CR4, (1 << 15).to_bytes(4, "little"), 4)
    chip.advance(0.1)
    run = run_once(scenario, chip, journal, None, CAUTIOUS)
    assert chip.fus.secret.operation is not None
    assert not chip.fus.secret.dead
    return run


@pytest.mark.parametrize("part", ["STM32WB55RG", "STM32WB55CC", "STM32WB15CC"])
def test_fus_without_a_mailbox_and_a_stack_is_not_reset(part: str, journal: Path) -> None:
    """SBRV and SFSA are the same there as on a chip that boots a stack."""
    images = ("fus-2.2.0-2k", "stack-fus2-2k") if "WB15" in part else ("fus-2.2.0", "stack-fus2-4k")
    run = unasked(replace(SCENARIOS["fresh"], part=part, images=images), journal)
    assert isinstance(run.error, ChipError)
    assert "cannot be asked" in str(run.error)
