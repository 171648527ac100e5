"""Bonding data: the section that FUS 2 keeps, FW_PURGE, and the two jobs of CPU2, whose duration is not measured."""

import struct
from dataclasses import replace
from typing import Any

import pytest

from flasher.sim.behaviour import with_settings
from flasher.sim.board import make_board, with_behaviour
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError
from flasher.sim.parts import find_part
from flasher.sim.show import describe
from tests.support.sim_chips import idle, in_fus, installed, security, until_reset, upgrade
from tests.support.sim_driver import (
    C1SCR,
    C1TOC2SR,
    CR4,
    FW_DELETE,
    FW_UPGRADE,
    GET_STATE,
    SMALL,
    SRAM2A,
    START_WS,
    Driver,
    LostError,
    RefusedError,
    SilentError,
)
from tests.support.sim_images import FUS_1_2_0, FUS_2_0, chip, fus, new_stack, place, point, small_stack, stack

FW_PURGE = 0xFC5B
PLAIN, NEWER = small_stack, replace(new_stack, version=0x01180001)
SECTION: dict[str, Any] = {"nvm_section_sectors": 4}
JOB: dict[str, Any] = {"nvm_job_seconds": 10.0}
END, SECTION_START = 0x080F4000, 0x080F0000


def bonded(it: SimulatedChip) -> None:
    it.fus.secret.bonding = "present"


def paired(recipe: Any = new_stack, fus_version: int = FUS_2_0, **switches: Any) -> tuple[SimulatedChip, Driver]:
    """A chip in FUS, with a stack that has bonding data."""
    it, driver = in_fus(recipe=recipe, fus_version=fus_version, **switches)
    bonded(it)
    return it, driver


def settle(it: SimulatedChip, driver: Driver) -> str:
    """Start CPU2 after each reset, without a command, until FUS or a stack stays; what runs then."""
    running = ""
    for _ in range(10):
        it.advance(0.1)
        driver.write_tables()
        driver.put(0x58000050, 1 << 20)
        driver.put(CR4, 1 << 15)
        epoch = it.epoch
        it.advance(40)
        running = it.cpu2.state.running
        if it.epoch == epoch:
            return running
    return running


# --- hardware-review 2, fus2-nvm 3: the section


@pytest.mark.parametrize(("sectors", "sfsa"), [(0, 0xF4), (4, 0xF0)])
def test_a_delete_leaves_the_section_secure(sectors: int, sfsa: int) -> None:
    """fus2-nvm 3: SFSA 0xF0 after FW_DELETE if a stack of the new format has run, until FW_PURGE."""
    it, driver = paired(nvm_section_sectors=sectors)
    assert driver.run(FW_DELETE) == "fus after 1"
    assert security(driver)[0] == sfsa
    assert it.fus.secret.stack is None
    assert driver.info(0x14) == 0, "a chip without a stack"
    assert it.fus.secret.bonding == ("present" if sectors else "destroyed")


def test_a_section_set_later_counts_for_the_running_stack() -> None:
    """As `flasher sim set` does it: after the board was made."""
    it, _ = in_fus(recipe=new_stack, fus_version=FUS_2_0)
    it = with_behaviour(it, with_settings(it.behaviour, ["nvm-section-sectors=4"]))
    driver = Driver(it)
    driver.run(FW_DELETE)
    assert security(driver)[0] == 0xF0


def test_a_plain_stack_leaves_no_section() -> None:
    """fus2-nvm 3: on FUS 2 a delete of a plain stack, with no new one ever installed, frees everything (SMPLY)."""
    _, driver = in_fus(recipe=stack, fus_version=FUS_2_0, **SECTION)
    driver.run(FW_DELETE)
    assert security(driver)[0] == 0xF4


@pytest.mark.parametrize("kind", ["known", "unknown"])
def test_purge_frees_the_section(kind: str) -> None:
    """hardware-review 2: FW_PURGE deletes the stack and the NVM section; fus2-nvm 11: FUS 2.0 may not know it."""
    it, driver = paired(purge=kind, **SECTION)
    if kind == "unknown":
        assert driver.command(FW_PURGE) == b"\x01"
        assert it.fus.secret.bonding == "present"
        return
    driver.run(FW_PURGE)
    assert security(driver)[0] == 0xF4
    assert (it.fus.secret.stack, it.fus.secret.bonding) == (None, "destroyed")
    assert it.read(SECTION_START, 16, 4) == b"\xff" * 16


def test_purge_after_a_delete_and_with_nothing_there() -> None:
    """fus2-nvm 11: the status of FW_PURGE without NVM is unknown; here as FW_DELETE with nothing there."""
    _, driver = paired(**SECTION)
    driver.run(FW_DELETE)
    driver.run(FW_PURGE)
    assert security(driver)[0] == 0xF4
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_PURGE)
    assert caught.value.error == 0x01


def test_fus_1_does_not_know_purge() -> None:
    """fus2-nvm 1: the slot was named RESERVED2 before shci.h v1.24.0."""
    _, driver = in_fus(recipe=stack, fus_version=FUS_1_2_0)
    assert driver.command(FW_PURGE) == b"\x01"


@pytest.mark.parametrize("section", [0, 4])
def test_a_new_format_stack_ends_16_kib_below_fus_in_any_case(section: int) -> None:
    """fus2-nvm 3: min(SFSA, FUS base - 0x4000)."""
    it, driver = paired(nvm_section_sectors=section)
    driver.run(FW_DELETE)
    assert upgrade(driver, NEWER.build()).startswith("stack")
    installed_stack = it.fus.secret.stack
    assert installed_stack is not None
    assert installed_stack.address + installed_stack.sectors * 4096 == SECTION_START


def test_a_plain_image_does_not_fit_where_the_section_is() -> None:
    """fus2-nvm 3: F:866204, the table address ends in 'failed to erase memory'; 0x4000 lower works (RN-1.23.0)."""
    it, driver = paired(**SECTION)
    driver.run(FW_DELETE)
    image = PLAIN.build()
    with pytest.raises((LostError, AccessError)):
        it.read(place(image) + len(image) - 4, 4, 4)
    assert upgrade(driver, image, place(image) - 0x4000).startswith("stack")
    assert security(driver)[0] == (place(image) - 0x4000 - 0x08000000) >> 12
    driver.enter_fus()
    driver.run(FW_DELETE)
    assert security(driver)[0] == 0xF0, "the section stays after a plain stack too (RN-1.23.0)"


def test_a_fus_image_must_be_staged_below_the_section() -> None:
    """fus2-nvm 3: FUS 2.2 at 0x080EE000 ends at 0x080F4000; with the section it needs 0x080EA000."""
    it, driver = paired(**SECTION)
    driver.run(FW_DELETE)
    image = replace(fus, version=0x02020000).build()
    assert upgrade(driver, image, 0x080EA000) == "fus after 4"
    assert it.fus.secret.fus_version == 0x02020000
    assert security(driver)[0] == 0xF0


def test_the_section_of_a_board_is_shown() -> None:
    it, _ = paired(**SECTION)
    shown = dict(describe(it))
    assert shown["NVM section"] == "4 sectors from 0x080F0000"
    assert shown["bonding data"] == "present"


# --- fus2-nvm 4: what becomes of the data


@pytest.mark.parametrize("job", [{}, JOB])
def test_an_upgrade_from_new_to_new_format_keeps_the_data(job: dict[str, Any]) -> None:
    """fus2-nvm 4: claimed by ST."""
    it, driver = paired(**SECTION, **job)
    stage(driver, NEWER.build(), 0x08080000)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    assert settle(it, driver) == "stack"
    assert it.fus.secret.bonding == "kept"
    assert it.fus.secret.stack is not None
    assert it.fus.secret.stack.version == NEWER.version


@pytest.mark.parametrize(("section", "outcome"), [(4, "kept"), (0, "destroyed")])
def test_a_delete_keeps_the_data_if_the_section_stays(section: int, outcome: str) -> None:
    """fus2-nvm 4, second row: plausible, unknown in fact."""
    it, driver = paired(nvm_section_sectors=section)
    driver.run(FW_DELETE)
    upgrade(driver, NEWER.build())
    assert it.fus.secret.bonding == outcome


def test_fus_1_keeps_nothing() -> None:
    """fus2-nvm 4, first row."""
    it, driver = paired(stack, FUS_1_2_0, **SECTION, **JOB)
    driver.run(FW_DELETE)
    assert it.fus.secret.bonding == "destroyed"


def test_a_first_stack_of_the_new_format_takes_over_nothing() -> None:
    """fus2-nvm 4: whether the old layout is read is unknown; here it is lost."""
    it, driver = paired(stack, **SECTION)
    stage(driver, NEWER.build(), 0x08080000)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    settle(it, driver)
    assert it.fus.secret.bonding == "destroyed"
    assert it.fus.secret.nvm_sectors == 4


def stage(driver: Driver, image: bytes, address: int) -> None:
    driver.burn(address, image)


# --- hardware-review 1, fus2-nvm 5: the jobs


def in_restore(**switches: Any) -> tuple[SimulatedChip, Driver]:
    """A chip whose FUS has just installed a stack of the new format; NVM restore waits for C2BOOT."""
    it, driver = idle(FUS_2_0, **{**SECTION, **JOB, **switches})
    bonded(it)
    it.fus.secret.nvm_sectors = 4
    it.fus.installer.select_fus()
    it.options.load()
    image = new_stack.build()
    driver.burn(SECTION_START - 38 * 4096, image)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    it.advance(0.1)
    return it, driver


def start_job(it: SimulatedChip, driver: Driver) -> None:
    driver.write_tables()
    driver.put(0x58000050, 1 << 20)
    driver.put(CR4, 1 << 15)
    it.advance(0.2)


def test_restore_says_what_it_is() -> None:
    """hardware-review 1: ready payload 0x11, stack type 0xF1, and no FUS key."""
    it, driver = in_restore()
    start_job(it, driver)
    node = driver.word(SRAM2A + SMALL.queue)
    assert it.read(node + 8, 6, 1) == bytes.fromhex("12 ff 03 00 92 11")
    assert driver.info(0) != 0xA94656B9
    assert driver.info(0x18) & 0xFF == 0xF1
    assert driver.info(0x10) == new_stack.version


@pytest.mark.parametrize("seconds", [1.0, 30.0])
def test_restore_takes_its_time_and_ends_with_the_stack(seconds: float) -> None:
    """fus2-nvm 10: 0 to 30 s."""
    it, driver = in_restore(nvm_job_seconds=seconds)
    start_job(it, driver)
    epoch = it.epoch
    it.advance(seconds - 0.5)
    assert (it.epoch, it.fus.secret.bonding) == (epoch, "present")
    it.advance(1)
    assert (it.epoch, it.fus.secret.bonding) == (epoch + 1, "kept")
    assert driver.restart() == "stack"


def test_without_a_duration_no_job_runs() -> None:
    it, driver = in_restore(nvm_job_seconds=0.0)
    assert driver.start() == "stack"
    assert it.fus.secret.bonding == "kept"


@pytest.mark.parametrize("fus_version", [FUS_1_2_0, FUS_2_0])
def test_a_plain_stack_has_no_jobs(fus_version: int) -> None:
    it, driver = idle(fus_version, **JOB)
    upgrade(driver, stack.build())
    assert it.fus.secret.nvm_job is None


def test_backup_runs_before_a_delete() -> None:
    """hardware-review 1: ready payload 0x10, stack type 0xF0; FUS goes on with the delete after it."""
    it, driver = paired(**SECTION, **JOB)
    assert driver.command(FW_DELETE) == b"\0"
    until_reset(it, 0.1)
    it.advance(0.1)
    start_job(it, driver)
    node = driver.word(SRAM2A + SMALL.queue)
    assert it.read(node + 8, 6, 1) == bytes.fromhex("12 ff 03 00 92 10")
    assert driver.info(0x18) & 0xFF == 0xF0
    assert it.fus.secret.stack is not None
    until_reset(it, 0.1)
    assert driver.restart() == "fus"
    until_reset(it, 0.1)
    assert driver.restart() == "fus"
    assert it.fus.secret.stack is None
    assert it.fus.secret.bonding == "present"


@pytest.mark.parametrize("kind", ["backup", "restore"])
@pytest.mark.parametrize("bricks", [True, False])
@pytest.mark.parametrize("how", ["reset", "power", "command"])
def test_what_disturbs_a_job_destroys_the_data(kind: str, bricks: bool, how: str) -> None:
    """fus2-nvm 5 and 10: a reset during the job is harmless, loses data, or worse."""
    it, driver = in_job(kind, nvm_reset_bricks=bricks)
    if how == "reset":
        it.reset(halt=True)
    elif how == "power":
        it.power_cycle()
    else:
        send(it, driver, GET_STATE)
    assert it.fus.secret.bonding == "destroyed"
    assert bool(it.fus.secret.dead) == bricks
    it.advance(0.1)
    if bricks:
        assert f"while NVM {kind} ran" in it.fus.secret.dead
        it.reset(halt=True)
        it.advance(0.1)
        with pytest.raises(SilentError):
            driver.start()


def test_a_delete_goes_on_after_a_backup_that_was_reset() -> None:
    it, driver = in_job("backup")
    it.reset(halt=True)
    assert settle(it, driver) == "fus"
    assert it.fus.secret.stack is None


def test_a_reset_before_the_job_starts_is_harmless() -> None:
    it, driver = in_restore()
    it.reset(halt=True)
    assert settle(it, driver) == "stack"
    assert it.fus.secret.bonding == "kept"


def test_flash_work_of_cpu1_spoils_a_job() -> None:
    """hardware-review 1: the job rewrites flash, and both cores share one controller."""
    it, driver = in_job("restore")
    driver.unlock()
    driver.put(0x58004014, 2 | 1 << 16)
    it.advance(15)
    assert it.fus.secret.bonding == "destroyed"


@pytest.mark.parametrize(("kind", "answer"), [("fffe", (0xFF, 0xFE)), ("1x", (0x10, 0x00)), ("none", None)])
def test_get_state_during_a_job(kind: str, answer: tuple[int, int] | None) -> None:
    """fus2-nvm 10: FF/FE, 0x1x, or nothing."""
    it, driver = in_job("restore", nvm_answers=kind)
    send(it, driver, GET_STATE)
    it.advance(0.1)
    if answer is None:
        assert driver.word(C1TOC2SR) & 2
    else:
        assert tuple(it.read(SRAM2A + SMALL.command + 6, 2, 1)) == answer


def test_other_commands_are_not_known_during_a_job() -> None:
    _, driver = in_job("restore")
    assert driver.command(START_WS) == b"\xff"


def in_job(kind: str, **switches: Any) -> tuple[SimulatedChip, Driver]:
    """A chip in the middle of a job, with bonding data."""
    if kind == "restore":
        it, driver = in_restore(**switches)
    else:
        it, driver = paired(**{**SECTION, **JOB, **switches})
        driver.command(FW_DELETE)
        until_reset(it, 0.1)
        it.advance(0.1)
    start_job(it, driver)
    assert it.cpu2.state.running == f"nvm-{kind}"
    assert it.fus.secret.bonding == "present"
    return it, driver


def send(it: SimulatedChip, driver: Driver, opcode: int) -> None:
    it.write(SRAM2A + SMALL.command, struct.pack("<IIBHB", 0, 0, 0x10, opcode, 0), 1)
    driver.put(C1SCR, 1 << 17)
    it.advance(0.1)


def test_removing_the_read_protection_loses_the_data() -> None:
    """fus2-nvm 4: assume lost."""
    it, driver = installed(new_stack, FUS_2_0)
    bonded(it)
    it.halt()
    driver.write_options(driver.word(0x58004020) & ~0xFF | 0xBB)
    it.halt()
    driver.write_options(driver.word(0x58004020) & ~0xFF | 0xAA)
    assert it.fus.secret.bonding == "destroyed"


def test_a_board_can_come_with_bonding_data() -> None:
    it = make_board(
        find_part("WB55RG"), fus_version=FUS_2_0, keys=(point(),), stack=new_stack.build(), has_bonding_data=True
    )
    assert it.fus.secret.bonding == "present"
    assert chip().fus.secret.bonding == "none"
