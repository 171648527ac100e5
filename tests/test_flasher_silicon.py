"""What hardware was seen to do, or may do, beside the settings of the simulated chip: one test for each finding."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from flasher import cpu2 as cpu2_module
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.cpu2 import Contact
from flasher.device import Area, Staging
from flasher.errors import ChipError, StillAtWorkError
from flasher.flash import FlashDriver
from flasher.fus import FusClient
from flasher.install import delete, session, start_stack
from flasher.plan import InstallPlan, InstallStep
from flasher.retry import Wait
from flasher.session import Event, Session
from flasher.sim.chip import SimulatedChip
from flasher.sim.cpu2 import SimulatedCpu2
from flasher.sim.dll_link import Survives
from flasher.sim.errors import HostKilledError
from flasher.sim.fus import SimulatedFus
from flasher.steps import WorkingFlash, carry_out_step
from imagekit.targets import select_target
from tests.support.flashing import FUS_2_2_0, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

VECTORS = (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little")
NEW = "stack-fus2-4k"
G = select_target("STM32WB55RG")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return lambda chip, **choices: Bench(chip, tmp_path / "journals", **choices)


def bonded(**switches: Any) -> SimulatedChip:
    """FUS 2 and a stack in the new format, with bonding data."""
    chip = simulated(fus=FUS_2_2_0, stack=NEW, **switches)
    chip.fus.secret.bonding = "present"
    chip.fus.secret.nvm_sectors = switches.get("nvm_section_sectors", 0)
    chip.power_cycle()
    return chip


def single(run: Bench, operation: Callable[[Session], Any]) -> Any:
    chip = run.connect()
    try:
        with session(chip, run.journal(chip), run.events.append, run.stop) as current:
            return operation(current)
    finally:
        chip.disconnect()


def with_application(chip: SimulatedChip) -> SimulatedChip:
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.power_cycle()
    chip.advance(1)
    return chip


# --- NVM jobs are work


class KilledAt(list[Event]):
    """Ends the program at the first event whose text begins so."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def append(self, event: Event) -> None:
        if event.text.startswith(self.text):
            raise HostKilledError("the host was killed")
        super().append(event)


@pytest.mark.parametrize("job", ["NVM backup", "NVM restore"])
def test_an_nvm_job_of_a_killed_run_is_waited_for(bench: Callable[..., Bench], job: str) -> None:
    """A reset or a command meanwhile kills the chip here, and loses the bonding data."""
    chip = bonded(nvm_job_seconds=30.0, nvm_section_sectors=4, nvm_reset_bricks=True)
    replaced(bench(chip))
    with pytest.raises(HostKilledError):
        bench(chip, events=KilledAt(job)).install(opened(NEW))
    assert chip.fus.secret.nvm_job is not None
    bench(chip).install(opened(NEW))
    assert (chip.fus.secret.dead, chip.fus.secret.bonding) == ("", "kept")


def replaced(run: Bench) -> None:
    """Make the journal say that another variant of the stack is installed."""
    chip = run.connect()
    run.journal(chip).note("step", step="install-stack 1.24.0", stack="0" * 64)
    run.journal(chip).note("done", step="install-stack 1.24.0")
    chip.disconnect()


def test_the_ready_event_alone_tells_of_an_nvm_job(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the device information holds besides the type is unknown: here it is all zeros."""
    original = SimulatedCpu2._device_info

    def device_info(self: SimulatedCpu2) -> bytes:
        if self.state.running.startswith("nvm"):
            return bytes(52)
        return original(self)

    monkeypatch.setattr(SimulatedCpu2, "_device_info", device_info)
    chip = bonded(nvm_job_seconds=20.0, nvm_section_sectors=4, nvm_reset_bricks=True)
    replaced(bench(chip))
    bench(chip).install(opened(NEW))
    assert (chip.fus.secret.dead, chip.fus.secret.bonding) == ("", "kept")


def test_an_nvm_job_that_never_ends_is_not_reset(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu2_module, "NVM_JOB", Wait("the NVM job", 5.0, 0.5))
    chip = bonded(nvm_job_seconds=60.0, nvm_section_sectors=4, nvm_reset_bricks=True)
    replaced(bench(chip))
    with pytest.raises(HostKilledError):
        bench(chip, events=KilledAt("NVM restore")).install(opened(NEW))
    epoch = chip.epoch
    with pytest.raises(StillAtWorkError, match=r"^Do NOT power off or reset the board.* NVM restore has not ended"):
        bench(chip).install(opened(NEW))
    assert (chip.epoch, chip.fus.secret.dead) == (epoch, "")


# --- the section for bonding data


def test_a_delete_on_fus_2_may_leave_a_secure_section(bench: Callable[..., Bench]) -> None:
    chip = bonded(nvm_section_sectors=4)
    single(bench(chip), delete)
    assert chip.fus.secret.stack is None
    assert chip.options.get("SFSA") == 0xF0


def test_a_delete_on_fus_1_must_free_all_sectors(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """The small secure section is known of FUS 2 only."""
    chip = simulated(stack="stack-4k")
    monkeypatch.setattr(FusClient, "_secure_bytes", lambda _self: 4096)
    with pytest.raises(ChipError, match="FUS has deleted the stack but still reports one"):
        single(bench(chip), delete)


def purge(run: Bench) -> None:
    """Carry out the step as a plan has it."""

    def work(current: Session) -> None:
        current.cpu2.begin()
        plan = cast("InstallPlan", None)  # the step does not look at it
        step = InstallStep(action="purge-nvm", why="accepted by name", name="purge-nvm")
        target = current.chip.identity.target
        end = min(target.sector_address(current.chip.sfsa()), target.limit)
        cells = bytearray(current.flash.read(reg.FLASH_BASE, end))
        carry_out_step(current, plan, step, WorkingFlash(current, cells))
        assert len(cells) == target.limit - reg.FLASH_BASE, "the freed sectors were read too"

    single(run, work)


@pytest.mark.parametrize("has_stack", [True, False])
def test_a_purge_frees_the_section_and_loses_the_data(bench: Callable[..., Bench], has_stack: bool) -> None:
    chip = bonded(nvm_section_sectors=4)
    if not has_stack:
        single(bench(chip), delete)
    purge(bench(chip))
    secret = chip.fus.secret
    assert (secret.stack, secret.nvm_sectors, secret.bonding) == (None, 0, "destroyed")
    assert chip.options.get("SFSA") == 0xF4


def test_a_fus_that_does_not_know_purge_is_reported(bench: Callable[..., Bench]) -> None:
    chip = bonded(nvm_section_sectors=4, purge="unknown")
    with pytest.raises(ChipError, match=r"^FUS 2\.2\.0 has not purged the bonding data: .*FUS"):
        purge(bench(chip))
    assert chip.fus.secret.bonding == "present"
    assert chip.fus.secret.stack is not None


# --- idle is not success


def test_idle_without_a_result_is_inconclusive_for_a_minute(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = simulated(fus=FUS_2_2_0)
    original, sent = SimulatedFus.answer, list[float]()

    def answer(self: SimulatedFus, opcode: int, payload: bytes) -> bytes:
        if opcode != 0xFC54:
            return original(self, opcode, payload)
        sent.append(chip.clock)
        return b"\x00"

    monkeypatch.setattr(SimulatedFus, "answer", answer)
    with pytest.raises(ChipError, match="FUS stopped without a result of install-stack"):
        bench(chip).install(opened(NEW))
    assert len(sent) == 1
    assert 60 <= chip.clock - sent[0] < 90


def test_a_fus_found_running_is_not_reset_in_its_idle_gap(bench: Callable[..., Bench]) -> None:
    """An installation of another computer, seen while FUS says idle for 40 s: the journal here knows nothing of it."""
    chip = simulated(fus=FUS_2_2_0, fus_idle_gap_seconds=40)
    with pytest.raises(HostKilledError):
        Bench(chip, bench(chip).folder / "other", events=KilledAt("0x12")).install(opened(NEW))
    run = bench(chip)
    cpu2 = FusClient(run.connect(), lambda _event, _text: None)
    cpu2.begin()
    assert cpu2.contact is Contact.IDLE
    assert (chip.fus.secret.dead, chip.fus.secret.operation) == ("", None)


# --- first contact


@pytest.mark.parametrize("answer", [b"\xff", b"\xff\x00", b"\xff\xfe"])
def test_ff_with_any_error_byte_may_be_the_first_contact(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """ST's BLE_Ota resets on state FF whatever the error byte; here FF stays until a reset."""
    chip = simulated(first_contact="none")
    original, start = SimulatedFus._get_state, chip.clock
    first = list[int]()

    def get_state(self: SimulatedFus) -> bytes:
        first.append(chip.epoch)
        return answer if chip.epoch == first[0] else original(self)

    monkeypatch.setattr(SimulatedFus, "_get_state", get_state)
    cpu2 = FusClient(bench(chip).connect(), lambda _event, _text: None)
    assert cpu2.begin().is_fus
    assert chip.clock - start < 60


def test_ff_after_an_open_step_is_never_the_first_contact(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = simulated(first_contact="none")
    monkeypatch.setattr(SimulatedFus, "_get_state", lambda _self: b"\xff\x00")
    cpu2 = FusClient(bench(chip).connect(), lambda _event, _text: None, has_open_step=lambda: True)
    epoch = chip.epoch
    with pytest.raises(StillAtWorkError, match="FUS has not finished what it was doing after 600 s"):
        cpu2.begin()
    assert chip.epoch == epoch
    assert cpu2.contact is Contact.MAY_BE_BUSY


def test_ff_in_the_middle_of_a_step_is_never_the_first_contact(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near the end of an installation FF comes with 00 and with FE; a reset then would kill the chip."""
    chip, has_open_step = simulated(), False
    cpu2 = FusClient(bench(chip).connect(), lambda _event, _text: None, has_open_step=lambda: has_open_step)
    cpu2.begin()
    epoch, has_open_step = chip.epoch, True
    monkeypatch.setattr(SimulatedFus, "_get_state", lambda _self: b"\xff\x00")
    with pytest.raises(StillAtWorkError, match="FUS has not finished what it was doing after 600 s"):
        cpu2.enter_fus()
    assert chip.epoch == epoch


# --- option bytes of a sleeping application


def test_option_bytes_that_read_zero_are_read_with_cpu1_halted(bench: Callable[..., Bench]) -> None:
    chip = with_application(simulated(stack="stack-4k", options_readable="halted"))
    driver = bench(chip).connect()
    assert driver.word(reg.OPTION_REGISTERS["OPTR"]) == 0
    options = driver.options()
    assert (options.words["OPTR"], options.sfsa) == (0x3FFFF1AA, 0xF3)
    assert not driver.has_damaged_options()
    assert not chip.is_halted, "the application goes on"


def test_option_bytes_that_never_read_are_not_damaged_ones(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = with_application(simulated(stack="stack-4k"))
    driver = bench(chip).connect()
    monkeypatch.setattr(ChipDriver, "_option_words", lambda _self: dict.fromkeys(reg.OPTION_REGISTERS, 0))
    monkeypatch.setattr(ChipDriver, "sfsa", lambda _self: 0)
    for read in (driver.options, driver.has_damaged_options):
        with pytest.raises(ChipError, match=r"the option bytes cannot be read \(OPTR reads 0\)"):
            read()


# --- resets that clear vector catch


def test_no_application_runs_while_fus_starts_the_stack(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vector catch does not hold CPU1 through the resets of FUS, so CPU1 boots a loop in SRAM1 meanwhile."""
    chip = simulated(stack="stack-4k", vector_catch="cleared")
    chip.fus.installer.select_fus()
    with_application(chip)
    before, seen = chip.options.state.stored["OPTR"], set[str]()
    original = SimulatedFus.answer

    def answer(self: SimulatedFus, opcode: int, payload: bytes) -> bytes:
        seen.add(f"0x{opcode:04X} nBOOT0 {chip.options.get('nBOOT0')}")
        return original(self, opcode, payload)

    monkeypatch.setattr(SimulatedFus, "answer", answer)
    assert single(bench(chip), start_stack).stack is not None
    assert "0xFC5A nBOOT0 0" in seen
    assert chip.options.state.stored["OPTR"] == before


# --- the data cache


def test_flash_is_read_past_a_stale_data_cache(bench: Callable[..., Bench]) -> None:
    chip = simulated(data_cache="stale")
    driver = bench(chip, after_reset=Survives()).connect()
    driver.halt_cpu1()
    driver.put(reg.FLASH_ACR, reg.ACR_DCEN)
    area, flash = Area(0x080E0000, 0x080E1000, G), FlashDriver(driver)
    for data in (b"\x11" * 4096, b"\x22" * 4096):
        flash.erase(area)
        flash.program(Staging(area, data), lambda _: None)
        assert flash.read(area.start, area.end) == data
    assert driver.word(reg.FLASH_ACR) == reg.ACR_DCEN, "as it was found"


# --- a refused delete


def test_a_refused_delete_without_a_stack_is_not_an_error(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device information is older than the delete of an interrupted run; FUS then finds nothing to delete."""
    chip = simulated(stack="stack-4k", delete_resets=False)
    with pytest.raises(HostKilledError):
        single(bench(chip, events=KilledAt("0x3")), delete)
    chip.advance(60)
    assert chip.fus.secret.stack is None
    refused = list[int]()
    original = SimulatedFus._fail

    def fail(self: SimulatedFus, kind: str, error: int) -> None:
        refused.append(error)
        original(self, kind, error)

    monkeypatch.setattr(SimulatedFus, "_fail", fail)
    single(bench(chip), delete)
    assert refused == [0x01]
