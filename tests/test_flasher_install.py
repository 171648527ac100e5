"""Whole installations: flasher, pylink, simulated library, simulated chip; what the chip has at the end counts."""

import json
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from flasher.acceptance import Acceptance
from flasher.errors import (
    ChipError,
    FusError,
    JournalError,
    RefusedError,
    StoppedError,
    TargetUnavailableError,
)
from flasher.install import delete, session, start_stack, survey
from flasher.plan import InstallPlan
from flasher.registers import DBGMCU_APB1FZR1, DBGMCU_CR, FLASH_CR, OPTION_REGISTERS, PWR_CR4
from flasher.session import Event, Session
from flasher.sim.behaviour import Behaviour
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll_link import Fails, Survives, Unsettled
from flasher.sim.errors import HostKilledError
from imagekit.errors import ExitCode
from tests.support.flashing import EVERYTHING, FUS_0_5_3, FUS_1_2_0, FUS_2_2_0, Bench, opened, simulated
from tests.support.images import content
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

UPGRADE = ("fus-2.2.0", "stack-fus2-4k")
FUS_AT, STACK_AT = 0x080F3000, 0x080EF000
VECTORS = (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little")
V1_13_3, V1_24_0 = 0x010D0305, 0x01180001
ALL = Acceptance(accept=EVERYTHING.accept | {"fus-1.1.0", "safeboot-2.0.0", "safeboot-2.0.1"})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Makes benches that share a journal, as runs of the program do; no disk is waited for."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return lambda chip, **choices: Bench(chip, tmp_path / "journals", **choices)


def optr(chip: SimulatedChip) -> int:
    return chip.options.state.stored["OPTR"]


def erased_pages(chip: SimulatedChip) -> list[int]:
    """The pages that are erased from here on; a word with PER and STRT each."""
    pages: list[int] = []
    original = chip.write

    def write(address: int, data: bytes, width: int) -> None:
        word = int.from_bytes(data[:4], "little")
        if address == FLASH_CR and word & 0x10002 == 0x10002:
            pages.append(0x08000000 + (word >> 3 & 0xFF) * chip.part.page)
        original(address, data, width)

    chip.write = write  # type: ignore[method-assign]
    return pages


def written_addresses(chip: SimulatedChip) -> list[int]:
    """Where is written from here on."""
    addresses: list[int] = []
    original = chip.write

    def write(address: int, data: bytes, width: int) -> None:
        addresses.append(address)
        original(address, data, width)

    chip.write = write  # type: ignore[method-assign]
    return addresses


def is_fine(chip: SimulatedChip, before: int) -> bool:
    """Whether the option bytes are as they were, CPU1 runs without a debugger, and FUS was never interrupted."""
    chip.advance(1)
    return (optr(chip), chip.is_halted, chip.fus.secret.dead, chip.fus.secret.operation) == (before, False, "", None)


def versions(chip: SimulatedChip) -> tuple[int, int | None]:
    stack = chip.fus.secret.stack
    return chip.fus.secret.fus_version, stack.version if stack else None


# --- what is installed


def test_a_fresh_board(bench: Callable[..., Bench]) -> None:
    chip = simulated()
    before = optr(chip)
    run = bench(chip)
    plan = run.install(opened(*UPGRADE))
    assert [step.action for step in plan.steps] == ["install-fus", "install-stack", "start-stack"]
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert chip.options.get("SFSA") == 0xEF
    assert chip.options.get("SBRV") * 4 == STACK_AT - 0x08000000, "the stack is what CPU2 boots"
    assert is_fine(chip, before)


def test_the_journal_tells_the_whole_story(bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench(simulated()).install(opened(*UPGRADE))
    (file,) = (tmp_path / "journals").iterdir()
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["event"] for one in entries] == [
        "begin", "option-bytes", *["step", "staged", "done"] * 2, "step", "done", "result", "restored",
    ]  # fmt: skip
    assert entries[0]["sequence"] == 7
    assert entries[1]["optr"] == "0x3FFFF1AA"
    assert entries[2] | {"time": ""} == {
        "event": "step", "time": "", "step": "install-fus 2.2.0 at 0x080F3000", "start": "0x080F3000",
        "end": "0x080F4000",
    }  # fmt: skip
    assert (entries[-2]["code"], entries[-2]["fus"], entries[-2]["stack"]) == (0, "2.2.0", "1.24.0.1")


def test_events_begin_and_end_each_step_and_count_its_bytes(bench: Callable[..., Bench]) -> None:
    run = bench(simulated())
    plan = run.install(opened(*UPGRADE))
    titles = [step.title for step in plan.steps]
    assert [one.step for one in run.events if one.event == "begin"] == titles
    assert [one.step for one in run.events if one.event == "end"] == titles
    counted = [one for one in run.events if one.event == "progress" and one.step == titles[1]]
    assert counted[-1].done == counted[-1].of == 3104
    scanned = [one for one in run.events if one.event == "progress" and one.step == "scan"]
    assert scanned[-1].done == scanned[-1].of == 0xF4000
    assert [one.event for one in run.events].count("reset") == 4 + 2, "FUS's own"


def test_from_fus_0_5_3_to_a_stack(bench: Callable[..., Bench]) -> None:
    chip = simulated(fus=FUS_0_5_3)
    before = optr(chip)
    plan = bench(chip).install(opened("fus-1.0.2", "fus-hidden-version", *UPGRADE))
    assert [step.version.text for step in plan.steps if step.version] == ["1.0.2", "1.2.0", "2.2.0", "1.24.0"]
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


@pytest.mark.parametrize(
    ("part", "fus", "names", "sfsa"),
    [
        ("STM32WB55RG", FUS_1_2_0, ("stack-4k",), 0xF3),
        ("STM32WB55VY", FUS_1_2_0, UPGRADE, 0x9B),
        ("STM32WB55CE", FUS_1_2_0, UPGRADE, 0x7B),
        ("STM32WB55CC", FUS_1_2_0, UPGRADE, 0x3B),
        ("STM32WB50CG", FUS_1_2_0, UPGRADE, 0xEF),
        ("STM32WB5MMG", FUS_2_2_0, UPGRADE, 0xEF),
        ("STM32WB35CE", FUS_1_2_0, UPGRADE, 0x7B),
        ("STM32WB35CC", FUS_1_2_0, ("stack-4k",), 0x3F),
        ("STM32WB15CC", FUS_1_2_0, ("fus-2.2.0-2k", "stack-fus2-2k"), 0x82),
        ("STM32WB1MMC", FUS_1_2_0, ("stack-2k",), 0x8A),
    ],
)
def test_every_kind_of_part(
    bench: Callable[..., Bench], part: str, fus: int, names: tuple[str, ...], sfsa: int
) -> None:
    chip = simulated(part, fus)
    before = optr(chip)
    bench(chip).install(opened(*names, part=part))
    assert versions(chip)[1] in (V1_13_3, V1_24_0)
    assert chip.options.get("SFSA") == sfsa
    assert is_fine(chip, before)


@pytest.mark.parametrize(
    ("old", "new"), [("stack-larger-than-256k", "stack-4k"), ("stack-4k", "stack-larger-than-256k")]
)
def test_a_stack_is_replaced_by_a_smaller_or_a_larger_one(bench: Callable[..., Bench], old: str, new: str) -> None:
    """Of one version: what differs is the size."""
    chip = simulated(stack=old)
    before = optr(chip)
    plan = bench(chip).install(opened(new))
    assert [step.action for step in plan.steps] == ["delete-stack", "install-stack", "start-stack"]
    assert chip.fus.secret.stack is not None
    assert chip.fus.secret.stack.size == len(content(new))
    assert is_fine(chip, before)


@pytest.mark.parametrize("stack", [None, "stack-4k"])
def test_fus_alone(bench: Callable[..., Bench], stack: str | None) -> None:
    chip = simulated(stack=stack)
    before = optr(chip)
    bench(chip).install(opened("fus-2.2.0"))
    assert versions(chip) == (FUS_2_2_0, None)
    assert is_fine(chip, before)


def test_remains_of_the_fus_image_are_not_leftover_images(bench: Callable[..., Bench]) -> None:
    """It went with the run that had written it; the next bundle finds nothing in its way."""
    chip = simulated()
    bench(chip).install(opened("fus-2.2.0"))
    assert chip.flash.read_cells(FUS_AT, 4096) == b"\xff" * 4096
    assert [step.action for step in bench(chip).install(opened(*UPGRADE)).steps] == ["install-stack", "start-stack"]


@pytest.mark.parametrize(
    ("fus", "stack", "names", "version"),
    [
        (FUS_2_2_0, None, ("safeboot-2.0.1",), 0x02000100),
        (FUS_2_2_0, "stack-4k", ("safeboot-2.0.1",), 0x02000100),
        (FUS_1_2_0, None, ("fus-2.2.0", "safeboot-2.0.1"), 0x02000100),
        (0x01010000, None, ("safeboot-2.0.0",), 0x02000003),
    ],
)
def test_safeboot_is_installed_though_fus_tells_of_an_error_once(
    bench: Callable[..., Bench], fus: int, stack: str | None, names: tuple[str, ...], version: int
) -> None:
    """FUS_UFB_CORRUPT once, and no error after a reset: so the release notes of v1.24.0, "Safeboot"."""
    chip = simulated(fus=fus, stack=stack)
    before = optr(chip)
    bench(chip).install(opened(*names), ALL)
    assert chip.fus.secret.safeboot_version == version
    assert is_fine(chip, before)
    assert bench(chip).install(opened(names[-1]), ALL).steps == ()


def test_nothing_to_do_writes_no_flash_and_no_option_bytes(bench: Callable[..., Bench], tmp_path: Path) -> None:
    chip = simulated(stack="stack-4k")
    before, epoch, pages = optr(chip), chip.epoch, erased_pages(chip)
    addresses = written_addresses(chip)
    cells = chip.flash.read_cells(0x08000000, 0xF4000)
    assert bench(chip).install(opened("stack-4k")).steps == ()
    assert chip.flash.read_cells(0x08000000, 0xF4000) == cells
    assert not {FLASH_CR, *OPTION_REGISTERS.values()} & set(addresses)
    assert pages == []
    assert chip.epoch - epoch <= 2, "taken over, and given back"
    (path,) = (tmp_path / "journals").iterdir()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["begin"], "its sequence was seen"
    assert is_fine(chip, before)


def test_the_journal_decides_between_two_equal_looking_stacks(
    bench: Callable[..., Bench],
) -> None:
    chip = simulated(stack="stack-4k")
    run = bench(chip)
    connected = run.connect()
    run.journal(connected).note("step", step="install-stack 1.13.3 at 0x080F3000", stack="0" * 64)
    connected.disconnect()
    assert bench(chip).install(opened("stack-4k")).steps[0].action == "delete-stack"
    assert bench(chip).install(opened("stack-4k")).steps == ()


def test_a_stack_with_fus_selected_is_only_started(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack="stack-4k")
    chip.fus.installer.select_fus()
    chip.power_cycle()
    before, pages = optr(chip), erased_pages(chip)
    assert [step.title for step in bench(chip).install(opened("stack-4k")).steps] == ["start-stack"]
    assert chip.options.get("SBRV") * 4 == 0xF3000
    assert pages == []
    assert is_fine(chip, before)


def test_an_image_that_stands_there_already_is_not_written_again(bench: Callable[..., Bench]) -> None:
    chip = simulated(fus=FUS_2_2_0)
    chip.flash.put_cells(STACK_AT, content("stack-fus2-4k"))
    pages = erased_pages(chip)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip)[1] == V1_24_0
    assert pages == []


def test_the_application_below_is_not_touched(bench: Callable[..., Bench]) -> None:
    chip = simulated()
    application = VECTORS + bytes(range(256)) * 64
    chip.flash.put_cells(0x08000000, application)
    chip.power_cycle()
    pages = erased_pages(chip)
    bench(chip).install(opened(*UPGRADE))
    assert chip.flash.read_cells(0x08000000, len(application)) == application
    assert min(pages) >= STACK_AT


# --- what stands in the way


def test_an_application_in_the_image_area_is_refused(bench: Callable[..., Bench], tmp_path: Path) -> None:
    chip = simulated()
    chip.flash.put_cells(FUS_AT, VECTORS)
    before, pages = optr(chip), erased_pages(chip)
    with pytest.raises(RefusedError, match="--erase-application 0x080F3000-0x080F3FFF") as caught:
        bench(chip).install(opened(*UPGRADE))
    assert caught.value.code is ExitCode.REFUSED
    assert pages == []
    assert list((tmp_path / "journals").iterdir()) == []
    assert is_fine(chip, before)
    bench(chip).install(opened(*UPGRADE), replace(EVERYTHING, erase_application=((FUS_AT, FUS_AT + 4096),)))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)


@pytest.mark.parametrize("at", [0x08040100, STACK_AT, FUS_AT - 4096])
def test_an_accepted_leftover_image_is_erased_before_fus_looks(bench: Callable[..., Bench], at: int) -> None:
    chip = simulated()
    chip.flash.put_cells(at, content("stack-4k"))
    with pytest.raises(RefusedError, match=f"--erase-leftover 0x{at & ~0xFFF:08X}-0x"):
        bench(chip).install(opened(*UPGRADE))
    page = at & ~0xFFF
    bench(chip).install(opened(*UPGRADE), replace(EVERYTHING, erase_leftover=((page, page + 4096),)))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)


def test_sectors_erased_for_a_stopped_run_need_no_acceptance(bench: Callable[..., Bench]) -> None:
    """Data that is put there afterwards needs a new acceptance."""
    chip = simulated()
    page = 0x080F0000
    chip.flash.put_cells(page, VECTORS)
    consent = replace(EVERYTHING, erase_application=((page, page + 4096),))
    asked = iter([False, True])
    with pytest.raises(StoppedError):
        bench(chip, stop=lambda: next(asked)).install(opened(*UPGRADE), consent)
    chip.flash.put_cells(page, b"another application")
    with pytest.raises(RefusedError, match="--erase-application 0x080F0000-0x080F0FFF"):
        bench(chip).install(opened(*UPGRADE))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RDP", 0xBB, "RDP 0xBB: level 1"),
        ("FSD", 1, "FSD 0x1: "),
        ("IPCCDBA", 1, "IPCCDBA 0x1"),
        ("C2OPT", 0, "C2OPT 0x0"),
    ],
)
def test_option_bytes_that_forbid_it(bench: Callable[..., Bench], name: str, value: int, told: str) -> None:
    chip = simulated()
    chip.options.set_by_cpu2(**{name: value})
    chip.power_cycle()
    before, epoch = optr(chip), chip.epoch
    with pytest.raises(ChipError, match=told) as caught:
        bench(chip).install(opened(*UPGRADE))
    assert caught.value.code is ExitCode.CHIP_REFUSED
    assert chip.epoch == epoch
    assert optr(chip) == before


@pytest.mark.parametrize("stack", [None, "stack-4k"])
def test_read_protection_is_reported_beside_an_application(bench: Callable[..., Bench], stack: str | None) -> None:
    """At level 1 a debugger cannot read the mailbox: that is no cable to look at."""
    chip = simulated(stack=stack)
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.options.set_by_cpu2(RDP=0xBB)
    chip.power_cycle()
    chip.advance(1)
    epoch = chip.epoch
    with pytest.raises(ChipError, match="RDP 0xBB: level 1"):
        bench(chip).install(opened(*UPGRADE))
    assert chip.epoch == epoch


# --- FUS refuses


def test_an_image_that_the_chip_does_not_believe(bench: Callable[..., Bench]) -> None:
    chip = simulated()
    chip.fus.root_keys = ()
    before = optr(chip)
    with pytest.raises(
        FusError, match=r"IMG_NOT_AUTHENTIC .*error 0x03.*: FUS does not accept the image's sig"
    ) as caught:
        bench(chip).install(opened("stack-4k"))
    assert (caught.value.error, caught.value.code) == (0x03, ExitCode.CHIP_REFUSED)
    assert is_fine(chip, before)


ERRORS = {
    0x01: "IMG_NOT_FOUND",
    0x04: "IMG_NOT_ENOUGH_SPACE",
    0x05: "IMAGE_USRABORT",
    0x06: "IMAGE_ERSERROR",
    0x07: "IMAGE_WRTERROR",
    0x08: "AUTH_TAG_ST_NOTFOUND",
    0x09: "AUTH_TAG_CUST_NOTFOUND",
    0x0A: "AUTH_KEY_LOCKED",
    0x11: "FW_ROLLBACK_ERROR",
    0x42: "an undocumented error",
}


@pytest.mark.parametrize(
    ("error", "lifetime"),
    [*((error, "once") for error in ERRORS), *((error, "until-next-command") for error in (1, 4))],
)
def test_fus_errors_are_named_and_the_next_run_continues(
    bench: Callable[..., Bench], error: int, lifetime: str
) -> None:
    chip = simulated(error_lifetime=lifetime)
    before = optr(chip)
    chip.fus.state.forced_error = error
    told = rf"FUS ended install-fus 2\.2\.0 at 0x080F3000 with {ERRORS[error]}.*error 0x{error:02X}"
    with pytest.raises(FusError, match=told):
        bench(chip).install(opened(*UPGRADE))
    assert is_fine(chip, before)
    pages = erased_pages(chip)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert pages.count(FUS_AT) == 1, "the image was there already, and goes when FUS has read it"


def test_a_delete_that_fus_refuses(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack="stack-4k", fus=FUS_2_2_0)
    before = optr(chip)
    chip.fus.state.forced_error = 0x06
    with pytest.raises(FusError, match="FUS ended deleting the stack with IMAGE_ERSERROR"):
        bench(chip).install(opened(*UPGRADE))
    assert is_fine(chip, before)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)


def test_anti_rollback(bench: Callable[..., Bench]) -> None:
    chip = simulated(fus=FUS_2_2_0)
    chip.fus.secret.anti_rollback, chip.fus.secret.reference_version = True, 0x02000000
    with pytest.raises(FusError, match="FW_ROLLBACK_ERROR"):
        bench(chip).install(opened(*UPGRADE))


def test_a_stack_that_dies_right_after_its_installation(bench: Callable[..., Bench]) -> None:
    """Seen on a custom board. CPU2 hangs then, and works on nothing: the option bytes go back."""
    chip = simulated(stack_hard_faults=True)
    before = optr(chip)
    with pytest.raises(ChipError, match="CPU2 hangs, and left 0x1170FD0F: CPU2 had a hard fault"):
        bench(chip).install(opened("stack-4k"))
    assert versions(chip)[1] == V1_13_3
    assert is_fine(chip, before)


# --- the world changes between the plan and the deed


def changed(change: Callable[[], object]) -> Callable[[InstallPlan], InstallPlan]:
    def agree(plan: InstallPlan) -> InstallPlan:
        change()
        return plan

    return agree


@pytest.mark.parametrize("policy", [Survives(), Fails()])
def test_a_chip_that_was_swapped(bench: Callable[..., Bench], policy: Any) -> None:
    """For one that is in everything but its number the same."""
    chip, other = simulated(), simulated(serial=2)
    run = bench(chip, after_reset=policy)
    pages = erased_pages(other)

    def swap() -> None:
        run.faulty.chip = other
        other.reset(halt=True)

    with pytest.raises(TargetUnavailableError, match=r"another chip answers \(UID "):
        run.install(opened(*UPGRADE), agree=changed(swap))
    assert pages == []
    assert optr(other) == optr(simulated())


def set_sfsa(chip: SimulatedChip) -> None:
    chip.options.set_by_cpu2(SFSA=0xF0)
    chip.options.load()


def set_fus(chip: SimulatedChip) -> None:
    chip.fus.secret.fus_version = FUS_2_2_0
    chip.reset(halt=True)


def set_optr(chip: SimulatedChip) -> None:
    chip.options.set_by_cpu2(SRAM2RST=0)
    chip.options.load()


@pytest.mark.parametrize("change", [set_sfsa, set_fus, set_optr])
@pytest.mark.parametrize("policy", [Survives(), Fails()])
def test_a_chip_that_is_not_as_it_was(
    bench: Callable[..., Bench], change: Callable[[SimulatedChip], None], policy: Any, tmp_path: Path
) -> None:
    chip = simulated()
    pages = erased_pages(chip)
    with pytest.raises(ChipError, match="not as it was when the plan was made; run the command again"):
        bench(chip, after_reset=policy).install(opened(*UPGRADE), agree=changed(lambda: change(chip)))
    assert pages == []
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_user_who_says_no(bench: Callable[..., Bench]) -> None:
    def no(_plan: InstallPlan) -> InstallPlan:
        raise RefusedError("no")

    chip = simulated()
    before, pages = optr(chip), erased_pages(chip)
    with pytest.raises(RefusedError, match="no"):
        bench(chip).install(opened(*UPGRADE), agree=no)
    assert pages == []
    assert is_fine(chip, before)


def test_an_unwritable_journal_stops_before_the_first_step(bench: Callable[..., Bench], tmp_path: Path) -> None:
    chip = simulated()
    before, pages = optr(chip), erased_pages(chip)

    def spoil() -> None:
        (tmp_path / "journals").rmdir()

    with pytest.raises(JournalError, match="the flasher does not work without a journal"):
        bench(chip).install(opened(*UPGRADE), agree=changed(spoil))
    assert pages == []
    assert is_fine(chip, before)


# --- chips and libraries that behave otherwise


def switches() -> list[tuple[str, Any]]:
    """Every switch in every position but its default."""
    hints, found = get_type_hints(Behaviour), []
    for one in fields(Behaviour):
        hint = hints[one.name]
        values = get_args(hint) if get_origin(hint) is Literal else (True, False) if hint is bool else ()
        found += [(one.name, value) for value in values if value != one.default]
    return found


FATAL = {"stack_hard_faults": "the stack does not run", "write_while_busy": "flash must make the bus wait"}


SWITCHES = [one for one in switches() if one[0] not in FATAL]


@pytest.mark.parametrize(("name", "value"), SWITCHES)
def test_what_no_document_decides_makes_no_difference(bench: Callable[..., Bench], name: str, value: Any) -> None:
    chip = simulated(stack="stack-4k", **{name: value})
    before = optr(chip)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


def test_flash_that_does_not_stall_the_bus_is_reported(bench: Callable[..., Bench]) -> None:
    """psdb streams without waiting, on hardware; a chip on which that fails ends in an error and not in a bad image."""
    chip = simulated(write_while_busy="error")
    before = optr(chip)
    with pytest.raises(ChipError, match=r"programming 0x080F3000 failed: FLASH_SR 0x"):
        bench(chip).install(opened(*UPGRADE))
    assert is_fine(chip, before)


@pytest.mark.parametrize("seed", range(8))
def test_a_link_that_fails_as_it_likes_around_resets(bench: Callable[..., Bench], seed: int) -> None:
    chip = simulated(stack="stack-4k")
    before = optr(chip)
    bench(chip, after_reset=Unsettled(seed)).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


def test_a_link_that_survives_every_reset(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack="stack-4k")
    before = optr(chip)
    bench(chip, after_reset=Survives()).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


@pytest.mark.parametrize("fields_", [{"SRAM2RST": 0}, {"nSWBOOT0": 0}, {"nBOOT1": 0}])
def test_other_option_bytes_are_as_they_were(bench: Callable[..., Bench], fields_: dict[str, int]) -> None:
    """SRAM2RST 0: every reset erases the mailbox."""
    chip = simulated()
    chip.options.set_by_cpu2(**fields_)
    chip.power_cycle()
    before = optr(chip)
    assert before != optr(simulated())
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


@pytest.mark.parametrize("stack", [None, "stack-4k"])
def test_an_application_that_starts_cpu2_with_its_own_mailbox(bench: Callable[..., Bench], stack: str | None) -> None:
    chip = simulated(stack=stack)
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.power_cycle()
    chip.advance(1)
    assert chip.read(PWR_CR4, 4, 4) != bytes(4)
    before = optr(chip)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)
    assert chip.cpu2.state.running == "stack", "the application runs again, and has started it"


# --- runs that end early


class Killed(list[Event]):
    """Ends the program at the n-th event whose text begins so."""

    def __init__(self, text: str, count: int = 1) -> None:
        super().__init__()
        self.text, self.left = text, count

    def append(self, event: Event) -> None:
        self.left -= event.text.startswith(self.text)
        if not self.left:
            raise HostKilledError("the host was killed")
        super().append(event)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("text", ["FUS installs", "0x21", "0x23", "0x11", "0x12", "0x13", "0x31", "the chip was reset"])
@pytest.mark.parametrize("pause", [0.0, 60.0])
def test_a_fus_that_a_killed_run_left_busy_is_waited_for(
    bench: Callable[..., Bench], text: str, count: int, pause: float
) -> None:
    """A reset now would be the end of the chip."""
    chip = simulated(stack="stack-4k")
    before = optr(chip)
    with pytest.raises(HostKilledError):
        bench(chip, events=Killed(text, count)).install(opened(*UPGRADE))
    chip.advance(pause)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


@pytest.mark.parametrize("steps", range(4))
def test_a_stop_between_two_steps_leaves_a_chip_that_can_go_on(bench: Callable[..., Bench], steps: int) -> None:
    chip = simulated(stack="stack-4k")
    before = optr(chip)
    asked = iter([*[False] * steps, True])
    with pytest.raises(StoppedError, match=r"stopped before .*; run it again to go on") as caught:
        bench(chip, stop=lambda: next(asked)).install(opened(*UPGRADE))
    assert caught.value.code is ExitCode.STOPPED
    assert is_fine(chip, before)
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, before)


def test_an_older_bundle_is_refused_after_a_newer_one_was_begun(bench: Callable[..., Bench]) -> None:
    chip = simulated()
    run = bench(chip)
    connected = run.connect()
    run.journal(connected).note("begin", bundle="product", sequence=8)
    connected.disconnect()
    with pytest.raises(RefusedError, match="sequence 7 of product, but the chip has received sequence 8"):
        bench(chip).install(opened(*UPGRADE))


# --- single operations


def single(run: Bench, operation: Callable[[Session], object]) -> Any:
    chip = run.connect()
    try:
        with session(chip, run.journal(chip), run.events.append, run.stop) as it:
            return operation(it)
    finally:
        chip.disconnect()


@pytest.mark.parametrize("fus", [0x01000100, FUS_1_2_0, FUS_2_2_0])
def test_a_stack_is_deleted(bench: Callable[..., Bench], fus: int) -> None:
    chip = simulated(fus=fus, stack="stack-4k")
    before = optr(chip)
    single(bench(chip), delete)
    assert versions(chip) == (fus, None)
    assert is_fine(chip, before)
    epoch = chip.epoch
    single(bench(chip), delete)
    assert chip.epoch - epoch <= 3, "there is none any more: nothing is asked of FUS"


@pytest.mark.parametrize("fus", [FUS_0_5_3, 0x01000100])
def test_on_a_small_part_with_an_old_fus_a_stack_is_not_deleted(bench: Callable[..., Bench], fus: int) -> None:
    """It may lock for ever (release notes of v1.5.0, V1.1.1)."""
    chip = simulated("STM32WB55CE", fus, stack="stack-4k")
    before = optr(chip)
    with pytest.raises(RefusedError, match=r"ST requires a newer FUS than .* on STM32WB5xxE before any other"):
        single(bench(chip), delete)
    assert versions(chip) == (fus, V1_13_3)
    assert is_fine(chip, before)


def test_a_stack_is_started(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack="stack-4k")
    chip.fus.installer.select_fus()
    chip.power_cycle()
    before = optr(chip)
    for _ in range(2):
        info = single(bench(chip), start_stack)
        assert (info.is_fus, info.stack.text) == (False, "1.13.3")
        assert chip.options.get("SBRV") * 4 == 0xF3000
        assert is_fine(chip, before)


def test_without_a_stack_start_stack_is_refused(bench: Callable[..., Bench]) -> None:
    chip = simulated()
    before = optr(chip)
    with pytest.raises(ChipError, match="no stack is installed, so none can be started"):
        single(bench(chip), start_stack)
    assert is_fine(chip, before)


@pytest.mark.parametrize("stack", [None, "stack-4k"])
def test_a_look_at_a_running_application_changes_nothing(bench: Callable[..., Bench], stack: str | None) -> None:
    chip = simulated(stack=stack)
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.power_cycle()
    chip.advance(1)
    before, epoch, addresses = optr(chip), chip.epoch, written_addresses(chip)
    facts = single(bench(chip), lambda it: survey(it, passive=True))
    assert (facts.info.is_fus, facts.info.stack is None) == (stack is None, stack is None)
    assert chip.epoch == epoch
    assert set(addresses) <= {DBGMCU_CR, DBGMCU_APB1FZR1}
    assert is_fine(chip, before)


# --- option bytes that lost their power


def damaged(bench: Callable[..., Bench]) -> SimulatedChip:
    """A chip that lost its power while a run of ours was writing its option bytes."""
    chip = simulated(stack="stack-4k")
    run = bench(chip)
    connected = run.connect()
    run.journal(connected).note("option-bytes", optr=f"0x{optr(chip):08X}", fus="1.2.0")
    connected.disconnect()
    chip.options.damage()
    chip.power_cycle()
    return chip


def test_safeboot_repairs_option_bytes_only_when_accepted(bench: Callable[..., Bench]) -> None:
    chip = damaged(bench)
    with pytest.raises(RefusedError, match=r"factory reset, which erases .* --accept factory-reset"):
        bench(chip).install(opened(*UPGRADE), Acceptance(accept=frozenset({"fus-2.2.0"})))
    assert chip.options.state.damaged
    bench(chip).install(opened(*UPGRADE))
    assert versions(chip) == (FUS_2_2_0, V1_24_0)
    assert is_fine(chip, optr(simulated()))


def test_a_safeboot_that_does_not_react_is_reported(bench: Callable[..., Bench]) -> None:
    """Seen on boards."""
    chip = damaged(bench)
    chip.fus.behaviour = replace(chip.fus.behaviour, safeboot_recovers=False)
    chip.cpu2._behaviour = chip.fus.behaviour
    with pytest.raises(ChipError, match="Safeboot has not repaired the option bytes"):
        bench(chip).install(opened(*UPGRADE))


def test_option_bytes_damaged_by_others_are_not_repaired(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack="stack-4k")
    chip.options.damage()
    chip.power_cycle()
    with pytest.raises(ChipError, match="SFSA 0x0: all of the flash is secure"):
        bench(chip).install(opened(*UPGRADE))
    assert chip.options.state.damaged
