"""Bonding data on a chip with FUS 2: purges from the plan to the end, odd secure remainders, and NVM jobs."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flasher import cpu2 as cpu2_module
from flasher.acceptance import Acceptance, consequence
from flasher.cli.record import RunRecord
from flasher.errors import (
    ChipError,
    LostWhileFusWorksError,
    ProbeError,
    RefusedError,
    StillAtWorkError,
    StoppedError,
)
from flasher.fus import FusClient
from flasher.install import delete, session, start_stack, survey
from flasher.mailbox import NvmJob
from flasher.retry import Wait
from flasher.show import info_document, info_lines
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import HostKilledError
from imagekit.errors import ExitCode
from imagekit.image.model import Version
from tests.support.facts import accepting, facts, planned
from tests.support.flashing import FUS_2_2_0, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

PLAIN, NEW = "stack-4k", "stack-fus2-4k"
PURGE = Acceptance(accept=frozenset({"purge-nvm"}))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return lambda chip, **choices: Bench(chip, tmp_path / "journals", **choices)


def bonded(sectors: int = 4, **switches: Any) -> SimulatedChip:
    """FUS 2 and a stack in the new format, with bonding data."""
    chip = simulated(fus=FUS_2_2_0, stack=NEW, nvm_section_sectors=sectors, **switches)
    chip.fus.secret.bonding, chip.fus.secret.nvm_sectors = "present", sectors
    chip.power_cycle()
    return chip


def deleted(run: Bench) -> None:
    """Delete the stack, as another run of the program does."""
    chip = run.connect()
    with session(chip, run.journal(chip), run.events.append, run.stop) as current:
        delete(current)
    chip.disconnect()


def assert_plain_stack_is_installed(chip: SimulatedChip) -> None:
    secret = chip.fus.secret
    assert secret.stack is not None
    assert (secret.stack.address, secret.nvm_sectors) == (0x080F3000, 0), "it stands where the section was"
    assert (secret.bonding, secret.dead) == ("destroyed", "")
    assert chip.options.state.stored["OPTR"] == simulated().options.state.stored["OPTR"]


# --- a purge, from the plan to the end


@pytest.mark.parametrize("has_stack", [True, False])
def test_a_planned_purge_is_carried_out(bench: Callable[..., Bench], has_stack: bool) -> None:
    chip = bonded()
    if not has_stack:
        deleted(bench(chip))
    plan = bench(chip).install(opened(PLAIN), PURGE)
    assert [step.action for step in plan.steps] == ["purge-nvm", "install-stack", "start-stack"]
    assert_plain_stack_is_installed(chip)


def test_a_purge_that_was_not_accepted_changes_nothing(bench: Callable[..., Bench]) -> None:
    chip = bonded()
    with pytest.raises(RefusedError, match="--accept purge-nvm"):
        bench(chip).install(opened(PLAIN), Acceptance())
    assert chip.fus.secret.bonding == "present"


@pytest.mark.parametrize("steps_before_stop", [1, 2])
def test_a_run_stopped_around_its_purge_is_resumed(bench: Callable[..., Bench], steps_before_stop: int) -> None:
    chip = bonded()
    run = bench(chip)
    run.stop = lambda: sum(event.event == "end" for event in run.events) >= steps_before_stop
    with pytest.raises(StoppedError):
        run.install(opened(PLAIN), PURGE)
    assert chip.fus.secret.nvm_sectors == 0
    bench(chip).install(opened(PLAIN), PURGE)
    assert_plain_stack_is_installed(chip)


class KilledWhilePurging(list):  # type: ignore[type-arg]
    """Ends the program while FUS deletes the bonding data."""

    def append(self, event: object) -> None:
        step, text = getattr(event, "step", ""), getattr(event, "text", "")
        if step == "purge-nvm" and text.startswith("0x31"):
            raise HostKilledError("the host was killed")
        super().append(event)


def test_a_run_killed_during_its_purge_is_resumed(bench: Callable[..., Bench]) -> None:
    chip = bonded()
    with pytest.raises(HostKilledError):
        bench(chip, events=KilledWhilePurging()).install(opened(PLAIN), PURGE)
    assert chip.fus.secret.operation is not None, "FUS is still deleting"
    bench(chip).install(opened(PLAIN), PURGE)
    assert_plain_stack_is_installed(chip)


# --- a secure remainder of another size than 16 KiB


@pytest.mark.parametrize("sectors", [1, 2, 3, 4])
def test_a_stack_for_fus_2_fits_below_any_remainder(bench: Callable[..., Bench], sectors: int) -> None:
    chip = bonded(sectors)
    deleted(bench(chip))
    bench(chip).install(opened(NEW), Acceptance())
    assert chip.fus.secret.stack is not None
    assert chip.fus.secret.dead == ""


@pytest.mark.parametrize("sectors", [1, 2, 3])
def test_a_plain_stack_needs_a_purge_above_any_remainder(bench: Callable[..., Bench], sectors: int) -> None:
    """Without one it would be staged in sectors that are secure, in this run and in every later one."""
    chip = bonded(sectors)
    deleted(bench(chip))
    with pytest.raises(RefusedError, match="--accept purge-nvm"):
        bench(chip).install(opened(PLAIN), Acceptance())
    bench(chip).install(opened(PLAIN), PURGE)
    assert_plain_stack_is_installed(chip)


def test_a_large_secure_remainder_counts_as_a_stack() -> None:
    chip = facts(fus="2.2.0", words={"SFR": 0x10EF})
    assert planned(opened(NEW), chip, **accepting("purge-nvm")).steps[0].action == "delete-stack"


# --- NVM jobs


@pytest.mark.parametrize("job", NvmJob)
def test_info_shows_an_nvm_job_and_its_warning(bench: Callable[..., Bench], job: NvmJob) -> None:
    """A job is neither FUS nor a stack, and the versions in its table mean nothing."""
    connected, chip = bench(simulated()).connect(), facts()
    info = dataclasses.replace(chip.info, is_fus=False, nvm_job=job)
    shown = (connected.probe.info, chip.identity, chip.options, info, ())
    document, warning = info_document(*shown), f"{job.value}: do NOT power off or reset the board"
    assert (document["running"], document["fus"], document["stack"]) == ("unknown", None, None)
    assert {"severity": "warning", "message": warning} in document["verdicts"]
    lines = info_lines(*shown)
    assert f"running       {warning}" in lines
    assert not any(line.startswith("FUS") for line in lines)


def test_no_plan_is_made_from_the_table_of_an_nvm_job(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench(bonded())
    chip = run.connect()
    info = dataclasses.replace(facts().info, is_fus=False, nvm_job=NvmJob.BACKUP)
    monkeypatch.setattr(cpu2_module.Cpu2, "peek", lambda _self: info)
    with (
        pytest.raises(StillAtWorkError, match=r"^Do NOT power off or reset the board.*NVM backup is running"),
        session(chip, run.journal(chip), run.events.append, run.stop, restores=False) as current,
    ):
        survey(current, passive=True)


def test_stopping_beside_an_endless_nvm_job_warns(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """The chip cannot be given back then, and a reset could destroy the bonding data."""
    run = bench(simulated())
    chip = run.connect()

    def stop_beside_job() -> None:
        with session(chip, run.journal(chip), run.events.append, run.stop) as current:
            current.cpu2.begin()
            monkeypatch.setattr(cpu2_module, "NVM_JOB", Wait("the NVM job", 5.0, 0.5))
            monkeypatch.setattr(cpu2_module.Cpu2, "running_nvm_job", lambda _self: NvmJob.RESTORE)
            raise StoppedError("stopped before start-stack")

    with pytest.raises(StillAtWorkError, match=r"^Do NOT power off or reset the board"):
        stop_beside_job()


# --- FUS may be running


def test_a_link_lost_in_start_stack_leaves_an_open_step(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So --under-reset is ignored afterwards, and the next run waits for FUS."""
    chip = simulated(stack=PLAIN)
    chip.fus.installer.select_fus()
    chip.power_cycle()
    run = bench(chip)
    connected = run.connect()
    journal = run.journal(connected)

    def start() -> None:
        with session(connected, journal, run.events.append, run.stop) as current:

            def lost(opcode: int) -> None:
                current.cpu2.contact = cpu2_module.Contact.MAY_BE_BUSY
                raise ProbeError(f"the link was lost after 0x{opcode:04X}")

            monkeypatch.setattr(current.cpu2, "_send", lost)
            start_stack(current)

    with pytest.raises(LostWhileFusWorksError):
        start()
    assert journal.history.is_unfinished


def test_a_safeboot_at_work_is_not_to_lose_its_power(bench: Callable[..., Bench]) -> None:
    chip = simulated(stack=PLAIN, safeboot_recovers=False)
    run = bench(chip)
    connected = run.connect()
    optr = chip.options.state.stored["OPTR"]
    run.journal(connected).note("option-bytes", optr=f"0x{optr:08X}", fus="1.2.0")
    connected.disconnect()
    chip.options.damage()
    chip.power_cycle()
    with pytest.raises(ChipError, match=r"^Do NOT power off or reset the board.*Safeboot has not repaired") as caught:
        run.install(opened(PLAIN), Acceptance(accept=frozenset({"factory-reset"})))
    assert caught.value.is_fus_at_work
    assert run.journal(connected).history.is_unfinished


def test_a_crash_while_fus_may_run_is_reported(bench: Callable[..., Bench]) -> None:
    run = bench(simulated())
    connected = run.connect()
    record = RunRecord()

    def crash() -> None:
        with session(connected, run.journal(connected), run.events.append, run.stop) as current:
            record.session = current
            current.cpu2.contact = cpu2_module.Contact.MAY_BE_BUSY
            raise AssertionError("a defect")

    with pytest.raises(AssertionError) as caught:
        crash()
    record.crash(caught.value, "a defect", ExitCode.CRASHED)
    assert (record.result()["fus_may_be_running"], record.result()["safe_to_power_off"]) == (True, False)


def test_a_cpu2_without_a_plausible_table_is_watched(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the table holds during an NVM job is unknown, and the job may run from where the stack is."""
    chip = simulated(stack=PLAIN)
    run = bench(chip)
    cpu2 = FusClient(run.connect(), lambda _event, _text: None)
    cpu2.begin()
    cpu2.contact = cpu2_module.Contact.UNTOUCHED
    watched: list[float] = []
    monkeypatch.setattr(cpu2, "is_ours", lambda: False)
    monkeypatch.setattr(cpu2, "_boots_stack", lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(cpu2, "find_mailbox", lambda: (None, None))
        patch.setattr(cpu2, "_watch_without_mailbox", lambda: watched.append(chip.clock))
        cpu2.begin()
    assert len(watched) == 1


def test_an_nvm_job_on_the_way_into_fus_gets_no_command(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu2 = FusClient(bench(simulated(stack=PLAIN)).connect(), lambda _event, _text: None)
    cpu2.begin()
    job = dataclasses.replace(cpu2.info, is_fus=False, nvm_job=NvmJob.BACKUP)
    fus = dataclasses.replace(cpu2.info, is_fus=True)
    infos = [job, fus]
    commands: list[int] = []
    monkeypatch.setattr(cpu2, "follow", lambda: setattr(cpu2, "_info", infos.pop(0)))
    monkeypatch.setattr(cpu2, "wait_for_nvm_job", lambda: None)
    monkeypatch.setattr(cpu2, "_first_contact", lambda: None)
    monkeypatch.setattr(cpu2, "ask", commands.append)
    cpu2.enter_fus()
    assert commands == []


@pytest.mark.parametrize(
    ("fus", "kills"), [(Version(0, 5, 3), True), (Version(1, 0, 2), True), (Version(1, 1, 0), False)]
)
def test_boot_from_flash_warns_before_fus_1_1_0(fus: Version, kills: bool) -> None:
    """Safeboot of an older FUS does not repair option bytes that lost their power."""
    assert ("a loss of power while that is written kills" in consequence("boot-from-flash", fus)) is kills
