"""Where silicon may differ from what was simulated first: every behaviour in all its settings, against the facts."""

import struct
from dataclasses import replace
from typing import Any

import pytest

from flasher.sim.chip import SimulatedChip
from tests.support.sim_chips import idle, installed, unlocked, until_reset
from tests.support.sim_driver import (
    ATTACK,
    C1SCR,
    C1TOC2SR,
    C2TOC1SR,
    CR4,
    DEMCR,
    DHCSR,
    FLASH,
    FW_UPGRADE,
    GET_STATE,
    OPTR,
    PSDB,
    PSDB_SMALL_POOL,
    SFR,
    SMALL,
    SRAM2A,
    SRRVR,
    Driver,
    RefusedError,
    SilentError,
)
from tests.support.sim_images import FUS_1_2_0, chip, fus, place, stack

ACR, BASE = FLASH, 0x08000000
DCEN, DCRST = 1 << 10, 1 << 12
APPLICATION = struct.pack("<II", 0x20001000, 0x08000009)
READY = 1 << 1


# --- hardware-review 10: the data cache


@pytest.mark.parametrize("kind", ["clean", "stale"])
def test_a_read_after_an_erase_gives_what_was_read_before(kind: str) -> None:
    """hardware-review 10: a stale line gives a false 'reads back otherwise'."""
    it, driver = unlocked(data_cache=kind)
    driver.program(BASE, b"\x11" * 8)
    before = it.read(BASE, 8, 4)
    driver.erase(BASE)
    assert it.read(BASE, 8, 4) == (before if kind == "stale" else b"\xff" * 8)


@pytest.mark.parametrize(("steps", "is_flushed"), [((0, DCRST, DCEN), True), ((DCEN | DCRST,), False)])
def test_the_data_cache_is_reset_only_while_it_is_off(steps: tuple[int, ...], is_flushed: bool) -> None:
    """hardware-review 10: ACR: DCEN off, DCRST, DCEN on."""
    it, driver = unlocked(data_cache="stale")
    it.read(BASE, 8, 4)
    driver.program(BASE, b"\x11" * 8)
    for value in steps:
        driver.put(ACR, value)
    assert it.read(BASE, 8, 4) == (b"\x11" if is_flushed else b"\xff") * 8


def test_a_reset_empties_the_data_cache() -> None:
    it, driver = unlocked(data_cache="stale")
    it.read(BASE, 8, 4)
    driver.program(BASE, b"\x11" * 8)
    it.reset(halt=True)
    it.advance(0.01)
    assert it.read(BASE, 8, 4) == b"\x11" * 8


def test_without_the_data_cache_nothing_is_stale() -> None:
    it, driver = unlocked(data_cache="stale")
    driver.put(ACR, 0)
    it.read(BASE, 8, 4)
    driver.program(BASE, b"\x11" * 8)
    assert it.read(BASE, 8, 4) == b"\x11" * 8


# --- hardware-review 6: option registers


@pytest.mark.parametrize("kind", ["always", "halted"])
def test_option_registers_of_a_running_application(kind: str) -> None:
    """hardware-review 6: psdb reads OPTR 0 from a sleeping application's chip, until CPU1 is halted."""
    it = chip(options_readable=kind)
    it.flash.put_cells(BASE, APPLICATION)
    it.power_cycle()
    it.advance(0.01)
    driver = Driver(it)
    words = [driver.word(register) for register in (OPTR, SFR, SRRVR)]
    assert {word != 0 for word in words} == {kind == "always"}
    it.halt()
    assert all(driver.word(register) for register in (OPTR, SFR, SRRVR))


def test_option_registers_are_readable_under_a_boot_loader() -> None:
    it = chip(options_readable="halted")
    it.advance(0.01)
    assert it.cpu1.state.runs == "bootloader"
    assert Driver(it).word(OPTR)


# --- hardware-review 9: vector catch


@pytest.mark.parametrize("kind", ["survives", "cleared"])
def test_vector_catch_at_the_resets_of_fus(kind: str) -> None:
    """hardware-review 9: the application runs after FUS's resets when the catch is gone."""
    it, driver = idle(vector_catch=kind)
    image = stack.build()
    driver.burn(place(image), image)
    driver.put(DHCSR, 0xA05F0003)
    driver.put(DEMCR, 1)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    it.advance(0.01)
    assert it.is_halted == (kind == "survives")
    assert driver.word(DEMCR) & 1 == (kind == "survives")


# --- hardware-review 8: the ready event


def test_an_early_ready_event_comes_with_the_table() -> None:
    it, driver = boot(ready_event="early")
    it.advance(0.1)
    assert driver.word(C2TOC1SR) & READY
    assert answers(it, driver)


def test_a_late_ready_event_and_what_is_lost_before_it() -> None:
    """hardware-review 8: the table is there, and a command before the event is never answered (embassy: none)."""
    it, driver = boot(ready_event="late")
    it.advance(0.1)
    assert driver.info(0x0C) == FUS_1_2_0
    assert not driver.word(C2TOC1SR) & READY
    assert not answers(it, driver)
    it.advance(2)
    assert driver.word(C2TOC1SR) & READY
    assert driver.word(C1TOC2SR) & READY, "the command was lost"
    assert answers(it, driver)


def test_without_a_ready_event_commands_are_answered() -> None:
    it, driver = boot(ready_event="none")
    it.advance(5)
    assert not driver.word(C2TOC1SR) & READY
    assert driver.info(0x0C) == FUS_1_2_0
    assert answers(it, driver)


def boot(**switches: Any) -> tuple[SimulatedChip, Driver]:
    """A chip whose FUS was started, and that is all."""
    it = chip(**switches)
    it.halt()
    it.advance(0.01)
    driver = Driver(it)
    driver.write_tables()
    driver.put(0x58000050, 1 << 20)
    driver.put(CR4, 1 << 15)
    return it, driver


def answers(it: SimulatedChip, driver: Driver) -> bool:
    """Whether GET_STATE is answered within 0.1 s."""
    it.write(SRAM2A + SMALL.command, struct.pack("<IIBHB", 0, 0, 0x10, GET_STATE, 0), 1)
    driver.put(C1SCR, 1 << 17)
    it.advance(0.1)
    return not driver.word(C1TOC2SR) & READY


# --- hardware-review 4: NULL tables


@pytest.mark.parametrize("kind", ["accepted", "refused"])
def test_a_stack_and_a_null_ble_table(kind: str) -> None:
    """hardware-review 4: it leaves 0x3DE96F61 and never starts."""
    _, driver = stack_that_waits(kind)
    if kind == "accepted":
        assert driver.start() == "stack"
        return
    with pytest.raises(SilentError):
        driver.start()
    assert driver.word(SRAM2A) == ATTACK


def test_a_stack_takes_real_ble_tables_with_the_others_null() -> None:
    """hardware-review 4: thread, traces, mac, zigbee and lld are proven NULL-able (MicroPython)."""
    it, _ = stack_that_waits("refused")
    assert Driver(it, PSDB_SMALL_POOL).start() == "stack"


def test_fus_takes_a_null_ble_table_in_any_case() -> None:
    """fus-protocol 4.1: FUS needs the device information table and the system table alone."""
    _, driver = idle(null_tables="refused", layout=PSDB)
    assert driver.state() == (0, 0)
    _, driver = idle(null_tables="refused")
    assert driver.state() == (0, 0)


def stack_that_waits(null_tables: str) -> tuple[SimulatedChip, Driver]:
    """A chip with a stack that was not started yet."""
    it = chip(null_tables=null_tables)
    assert it.fus.install_at_factory(stack.build()) == 0
    it.power_cycle()
    it.advance(0.1)
    return it, Driver(it)


# --- fus2-nvm 6: FUS that is idle in the middle, FUS that says nothing


@pytest.mark.parametrize(("gap", "least"), [(0, 0.0), (14, 13.0), (40, 39.0)])
def test_fus_says_idle_between_two_resets(gap: int, least: float) -> None:
    """fus2-nvm 6: idle for 14 s in the middle of an install; 9, item 3: idle is inconclusive."""
    it, driver = idle(fus_idle_gap_seconds=gap, stack_resets=2)
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    assert driver.restart() == "fus"
    began, epoch, states = it.clock, it.epoch, set()
    while it.epoch == epoch:
        if it.clock - began < least:
            states.add(driver.state())
            assert driver.info(0x14) == 0, "the version is what tells that it is not done"
        it.advance(0.25)
    assert states == ({(0, 0)} if gap else set())
    assert it.clock - began >= least
    assert driver.restart() == "stack"


def test_a_reset_at_idle_in_the_middle_kills() -> None:
    """fus2-nvm 6: FUS is still at work."""
    it, driver = idle(fus_idle_gap_seconds=14, stack_resets=2)
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    driver.restart()
    assert driver.state() == (0, 0)
    it.reset(halt=True)
    assert "interrupted" in it.fus.secret.dead


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("image", "error"), [(b"\x5a" * 4096, 0x01), (fus.build(), 0x11)])
def test_a_file_that_is_not_an_image_and_the_same_fus(silent: bool, image: bytes, error: int) -> None:
    """fus2-nvm 6 and 9, item 2: no error, no reset, FUS stays idle; or the errors of fus-protocol 11, item 17."""
    it, driver = idle(fus_silent=silent)
    driver.burn(0x080EC000, image)
    epoch = it.epoch
    if not silent:
        with pytest.raises(RefusedError) as caught:
            driver.run(FW_UPGRADE)
        assert caught.value.error == error
        return
    assert driver.run(FW_UPGRADE) == "fus after 0"
    it.advance(60)
    assert driver.state() == (0, 0)
    assert it.epoch == epoch
    assert it.fus.secret.fus_version == FUS_1_2_0


def test_a_silent_fus_still_refuses_what_it_does_not_believe() -> None:
    """fus2-nvm 6 names two cases only; everything else keeps its error."""
    it, driver = idle(fus_silent=True)
    image = replace(stack, number=1).build()
    driver.burn(place(image), image)
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_UPGRADE)
    assert caught.value.error == 0x03
    assert it.fus.secret.stack is None


# --- hardware-review, SRAM2


@pytest.mark.parametrize(
    ("part", "recipe", "used"),
    [
        ("STM32WB55RG", stack, (0x16, 0x11)),
        ("STM32WB55RG", replace(stack, sram=(2, 10)), (30, 22)),
        ("STM32WB55RG", replace(stack, sram=(32, 20)), (0, 12)),
        ("STM32WB15CC", replace(stack, sram=(10, 0), page=2048, size=20 * 2048 - 4), (22, 4)),
    ],
)
def test_a_chip_reports_the_sram2_that_the_stack_uses(part: str, recipe: object, used: tuple[int, int]) -> None:
    """hardware-review, SRAM2: 32 - 10 = 0x16 and 32 - 15 = 0x11, as one WB55 reported; SRAM2B of a WB1x has 4 KiB."""
    it, driver = installed(recipe, part=part)  # type: ignore[arg-type]
    memory = driver.info(0x14)
    assert (memory >> 24, memory >> 16 & 0xFF) == used
    assert it.fus.secret.stack is not None
    assert memory & 0xFF == it.fus.secret.stack.sectors


def test_the_table_of_fus_has_only_the_sectors_of_the_stack() -> None:
    """fus-protocol 3.5, dump 2: 00000026."""
    _, driver = installed()
    driver.enter_fus()
    assert driver.info(0x18) == 0x26
