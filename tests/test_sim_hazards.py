"""What kills a part or spoils its work: interruptions, damage, early FUS, an application."""

import struct
from dataclasses import replace

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError
from tests.support.sim_chips import idle, in_fus, security, until_reset
from tests.support.sim_driver import (
    CR,
    CR4,
    FW_DELETE,
    FW_UPGRADE,
    OPTR,
    SFR,
    SRRVR,
    START_WS,
    Driver,
    RefusedError,
    SilentError,
)
from tests.support.sim_images import (
    FUS_1_0_1,
    FUS_1_1_0,
    FUS_1_2_0,
    FUS_2_0,
    chip,
    fus,
    place,
    small_stack,
    stack,
)

FLASH = 0x08000000
V1_10 = 0x010A0000

# --- fus-protocol 11, item 19, and section 10: what must never happen


def interrupt(it: SimulatedChip, how: str) -> None:
    if how == "pin":
        it.reset(halt=True)
    elif how == "power":
        it.power_cycle()
    else:
        it.write(0xE000ED0C, struct.pack("<I", 0x05FA0004), 4)
    it.advance(0.1)


@pytest.mark.parametrize("how", ["pin", "power", "software"])
@pytest.mark.parametrize("kind", ["dead", "abort"])
def test_an_upgrade_that_is_interrupted(how: str, kind: str) -> None:
    """fus-protocol 11, item 19; 10, hazard 1: SFSA 0xF4, SBRV 0x17000, nothing ever answers again."""
    it, driver = idle(interrupted_write=kind)
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    it.advance(1)
    interrupt(it, how)
    if kind == "abort":
        assert driver.start() == "fus"
        assert driver.state() == (0xFF, 5)
        assert driver.state() == (0, 0)
        return
    assert security(driver)[:2] == (0xF4, 0x17000)
    with pytest.raises(SilentError):
        driver.start()
    it.power_cycle()
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()
    assert "interrupted" in it.fus.secret.dead


def test_an_interrupted_wb15_keeps_its_vector_inside_flash() -> None:
    it = chip("STM32WB15CC")
    it.halt()
    it.advance(0.01)
    driver = Driver(it, page=2048)
    driver.start()
    image = replace(small_stack, size=14 * 2048 - 4, page=2048, sram=(4, 0)).build()
    driver.burn(place(image, 0x08046000, 2048), image)
    driver.command(FW_UPGRADE)
    it.advance(1)
    it.reset(halt=True)
    it.advance(0.1)
    assert it.fus.secret.dead
    assert FLASH + (driver.word(SRRVR) & 0x1FFFF) * 4 < it.part.die_end
    with pytest.raises(SilentError):
        driver.start()


def test_an_upgrade_over_a_stack_that_is_interrupted() -> None:
    """fus-protocol 10, hazard 5: SFSA at the staged image, the vector at the new place."""
    it, driver = in_fus()
    driver.burn(0x080C7000, small_stack.build())
    driver.command(FW_UPGRADE)
    it.advance(0.5)
    it.power_cycle()
    it.advance(0.01)
    assert security(driver)[:2] == (0xC7, 0xED000 // 4)
    with pytest.raises(SilentError):
        driver.start()


def test_a_delete_that_is_interrupted() -> None:
    it, driver = in_fus()
    driver.command(FW_DELETE)
    it.advance(0.5)
    it.reset(halt=True)
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()


def test_before_anything_is_written_an_interruption_is_an_abort() -> None:
    """fus-protocol 6.3, USRABORT; 7.4: a reset before FW_UPGRADE is harmless."""
    it, driver = idle()
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    it.advance(0.1)
    it.reset(halt=True)
    it.advance(0.01)
    assert driver.start() == "fus"
    assert driver.state() == (0xFF, 5)
    assert driver.run(FW_UPGRADE) == "stack after 1"


def test_between_its_own_resets_the_chip_may_be_reset() -> None:
    """CPU2 is held then: nothing runs that could be interrupted."""
    it, driver = idle(fus_version=FUS_1_1_0)
    driver.burn(0x080EC000, fus.build())
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    it.reset(halt=True)
    it.power_cycle()
    it.advance(0.01)
    for _ in range(3):
        assert driver.start() == "fus"
        it.advance(1)
    assert driver.start() == "fus"
    assert driver.info(0x0C) == FUS_1_2_0


def test_a_staged_image_that_is_gone_before_the_last_reset_kills() -> None:
    """fus-protocol 7.9: the image in flash must be preserved between resets."""
    it, driver = idle(fus_version=FUS_1_1_0)
    driver.burn(0x080EC000, fus.build())
    driver.command(FW_UPGRADE)
    until_reset(it, 0.05)
    it.advance(0.05)
    it.halt()
    driver.unlock()
    driver.erase(0x080ED000)
    for _ in range(3):
        assert driver.start() == "fus"
        it.advance(1)
    with pytest.raises(SilentError):
        driver.start()
    assert it.fus.secret.fus_version == FUS_1_1_0
    assert "the staged image was changed" in it.fus.secret.dead


def test_a_damaged_stack_does_not_boot() -> None:
    it, driver = in_fus()
    assert driver.run(START_WS) == "stack after 1"
    it.flash.put_cells(place(stack.build()) + 0x1000, bytes(8))
    it.reset(halt=True)
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()


def test_a_fus_booted_between_resets_must_not_be_interrupted() -> None:
    it, driver = idle(fus_version=FUS_1_1_0)
    driver.burn(0x080EC000, fus.build())
    driver.command(FW_UPGRADE)
    until_reset(it, 0.1)
    assert driver.start() == "fus"
    it.advance(0.1)
    it.reset(halt=True)
    it.advance(0.1)
    with pytest.raises(SilentError):
        driver.start()
    assert "interrupted" in it.fus.secret.dead


def test_start_ws_that_is_interrupted_can_be_given_again() -> None:
    it, driver = in_fus()
    driver.command(START_WS)
    it.reset(halt=True)
    it.advance(0.01)
    assert driver.start() == "fus"
    assert driver.run(START_WS) == "stack after 1"


@pytest.mark.parametrize(
    ("version", "works", "recovered"), [(FUS_1_2_0, True, True), (FUS_1_2_0, False, False), (FUS_1_0_1, True, False)]
)
def test_option_bytes_that_are_damaged(version: int, works: bool, recovered: bool) -> None:
    """fus-protocol 8.4; 10, hazards 3 and 4: Safeboot's factory reset with FUS 1.1.0 or newer, else nothing."""
    it = chip(fus_version=version, safeboot_recovers=works)
    assert it.fus.install_at_factory(stack.build()) == 0
    it.power_cycle()
    it.advance(0.01)
    driver = Driver(it)
    driver.burn(FLASH, bytes(64))
    driver.unlock()
    driver.put(0x5800400C, 0x08192A3B)
    driver.put(0x5800400C, 0x4C5D6E7F)
    driver.put(OPTR, driver.word(OPTR))
    driver.put(CR, 1 << 17)
    it.power_cycle()
    it.advance(0.01)
    assert driver.word(0x58004010) & (1 << 15 | 1 << 13) == 1 << 15 | 1 << 13
    assert (driver.word(SFR) & 0xFF, driver.word(SRRVR) & 0x3FFFF) == (0, 0x3FFFF)
    with pytest.raises(AccessError):
        it.read(FLASH, 4, 4)
    driver.put(CR4, 0x8000)
    it.advance(2)
    if not recovered:
        assert driver.word(SFR) & 0xFF == 0
        return
    assert security(driver)[:2] == (0xF4, 0x3D000)
    assert it.read(FLASH, 64, 4) == b"\xff" * 64
    assert driver.start() == "fus"
    assert driver.info(0x14) == 0


def test_option_bytes_as_a_board_in_the_field_had_them() -> None:
    """fus-protocol 10, hazard 6: C2OPT 0, SBRSA 0x1F; CPU1 cannot mend what only CPU2 may write."""
    it = chip(safeboot_recovers=False)
    it.options.set_by_cpu2(C2OPT=0, SBRSA=0x1F)
    it.power_cycle()
    it.advance(0.01)
    driver = Driver(it)
    before = driver.word(SRRVR)
    driver.write_options(0x9E2BD000, SRRVR)
    assert driver.word(SRRVR) == before
    with pytest.raises(SilentError):
        driver.start()


def test_a_vector_into_nowhere_boots_nothing() -> None:
    """fus-protocol 10, hazard 1: SBRV 0x33800."""
    it = chip()
    it.options.set_by_cpu2(SBRV=0x33800)
    it.power_cycle()
    it.advance(0.01)
    with pytest.raises(SilentError):
        Driver(it).start()


def test_start_and_safeboot_know_no_interruption_that_matters() -> None:
    """A part in Safeboot that loses its power starts it again."""
    it = chip()
    it.options.damage()
    it.power_cycle()
    it.advance(0.01)
    driver = Driver(it)
    driver.put(CR4, 0x8000)
    it.advance(0.1)
    it.power_cycle()
    it.advance(0.01)
    driver.put(CR4, 0x8000)
    it.advance(1)
    assert driver.start() == "fus"


@pytest.mark.parametrize("kind", ["fus-lost", "ignored"])
def test_ese_that_is_cleared(kind: str) -> None:
    """fus-protocol 8.5; 10, hazard 23."""
    it, driver = idle(ese_clear=kind)
    driver.write_options(driver.word(OPTR) & ~(1 << 8))
    if kind == "ignored":
        assert driver.start() == "fus"
        return
    with pytest.raises(SilentError):
        driver.start()
    driver.write_options(driver.word(OPTR) | 1 << 8)
    with pytest.raises(SilentError):
        driver.start()
    assert "ESE" in it.fus.secret.dead


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("what", ["stack", "delete", "fus-1.0.1", "fus-1.2.0"])
def test_small_parts_with_an_early_fus(locks: bool, what: str) -> None:
    """fus-protocol 8.1; 10, hazard 21: FUS 1.0.2 or newer before anything else, or it may lock for ever."""
    it = chip("STM32WB55CE", fus_version=FUS_1_0_1 - 0x100, small_part_lock=locks)
    it.advance(0.01)
    driver = Driver(it)
    driver.start()
    versions = {"fus-1.0.1": FUS_1_0_1, "fus-1.2.0": 0xFFFFFFFF}
    image = stack.build() if what == "stack" else replace(fus, version=versions.get(what, 0)).build()
    if what != "delete":
        driver.burn(place(image, 0x08080000), image)
    command = FW_DELETE if what == "delete" else FW_UPGRADE
    if locks and what != "fus-1.2.0":
        with pytest.raises(SilentError):
            driver.run(command)
        assert "before 1.0.2" in it.fus.secret.dead
        return
    if what == "delete":
        with pytest.raises(RefusedError):
            driver.run(command)
    else:
        assert driver.run(command) == ("stack after 1" if what == "stack" else "fus after 4")


# --- an application in the way


def test_an_application_that_runs_spoils_a_flasher_that_lets_it() -> None:
    """fus-protocol 11, item 7; 3.3: after FUS's own reset CPU1 runs, starts CPU2, and its tables are in force."""
    _, driver = in_fus()
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    with pytest.raises(SilentError):  # C2BOOT is set again, but the command lies where CPU2 does not look
        driver.run(START_WS)


def test_the_vector_catch_survives_resets_of_fus() -> None:
    it, driver = in_fus()
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    driver.put(0xE000EDFC, 1)
    it.halt()
    assert driver.run(START_WS) == "stack after 1"
    assert it.is_halted


def test_nothing_to_install_at_the_factory() -> None:
    it = chip()
    assert it.fus.install_at_factory(b"no image") == 1
    assert chip().fus.install_at_factory(fus.build()) == 0x11
    assert chip(fus_version=FUS_1_2_0).fus.install_at_factory(replace(fus, version=FUS_2_0).build()) == 2
    assert chip("STM32WB55CC").fus.install_at_factory(replace(stack, size=65 * 4096).build()) == 4
    assert it.fus.secret.stack is None
