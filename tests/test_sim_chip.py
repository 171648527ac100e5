"""The simulated chip below FUS: identity, resets, boot sources, IPCC, accesses; by the dossier."""

import ast
import struct
from pathlib import Path
from typing import Any

import pytest

from flasher.sim import flash, parts
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError, PartError
from flasher.sim.parts import PARTS, find_part
from tests.support.sim_chips import fails, unlocked
from tests.support.sim_driver import (
    AHB3ENR,
    AIRCR,
    C1SCR,
    C1TOC2SR,
    CR,
    CR4,
    CSR,
    DEMCR,
    DHCSR,
    OPTR,
    SFR,
    SRAM1,
    SRAM2A,
    SRRVR,
    Driver,
    FlashError,
)
from tests.support.sim_images import chip, fus, place

FLASH = 0x0800_0000
PROGERR, WRPERR, PGAERR, SIZERR, PGSERR, MISERR, FASTERR = 8, 16, 32, 64, 128, 256, 512
EMPTY_FLASH = b"\xff" * 8


# --- fus-protocol 11, item 1 and 2: identity, parts


@pytest.mark.parametrize("name", PARTS)
def test_every_part_says_what_it_is(name: str) -> None:
    """fus-protocol 11, items 1 and 2; 1.1."""
    it = chip(name)
    it.advance(1)
    series_1x = name in ("STM32WB15CC", "STM32WB10CC", "STM32WB1MMC")
    idcode = int.from_bytes(it.read(0xE0042000, 4, 4), "little")
    assert idcode & 0xFFF == (0x494 if series_1x else 0x495)
    assert int.from_bytes(it.read(0x1FFF75E0, 2, 2), "little") == it.part.flash_kib
    uid64 = it.read(0x1FFF7580, 8, 4)
    assert uid64[4:] == bytes.fromhex("26 e1 80 00")
    assert len(set(it.read(0x1FFF7590, 12, 4))) > 1
    assert it.read(0x1FFF6FFE, 1, 1)[0] == (0xB1 if series_1x else 0xD5)
    sfsa = int.from_bytes(it.read(SFR, 4, 4), "little") & 0xFF
    assert sfsa == (0x8C if series_1x else 0xF4)
    srrvr = int.from_bytes(it.read(SRRVR, 4, 4), "little")
    assert srrvr & (0x1FFFF if series_1x else 0x3FFFF) == (0x11800 if series_1x else 0x3D000)
    area = 0x1FFF7800 if series_1x else 0x1FFF8000
    value, complement = struct.unpack("<II", it.read(area + 0x78, 8, 4))
    assert (value, complement) == (srrvr, ~srrvr & 0xFFFFFFFF)
    assert fails(it, 0x1FFF7800 if not series_1x else 0x1FFF8000)


def test_two_chips_of_one_part_differ() -> None:
    one, other = (SimulatedChip(find_part("WB55RG"), serial=serial) for serial in (1, 2))
    assert one.identity.uid96 != other.identity.uid96
    assert one.identity.uid64 != other.identity.uid64


def test_a_chip_shows_the_ids_of_its_access_port() -> None:
    """fus-protocol 1.2: PIDR 0xA0495, CIDR 0xB105100D."""
    it = chip()
    it.advance(1)
    words = [it.read(0xE00FF000 + at, 1, 1)[0] for at in (0xFE0, 0xFE4, 0xFE8, 0xFF0, 0xFF4, 0xFF8, 0xFFC)]
    assert words == [0x95, 0x04, 0x0A, 0x0D, 0x10, 0x05, 0xB1]


def test_an_unknown_part_is_refused() -> None:
    for text in ("STM32L4", "WB55RGG6TRTRTR", "WB55R", "WB1MMCHH", "WB99RG", ""):
        with pytest.raises(PartError, match=f"no STM32WB part '{text}'"):
            find_part(text)


@pytest.mark.parametrize("text", ["wb1mmc", "WB1MMCH", "STM32WB1MMCH6", " stm32wb1mmch6tr "])
def test_a_part_is_found_by_its_order_code(text: str) -> None:
    """fus-protocol 1.2: tools call the module WB1MMCH."""
    assert find_part(text).name == "STM32WB1MMC"


def test_versions_of_fus_that_a_part_may_have() -> None:
    """fus-protocol 8.1: a WB1x starts at 1.2.0; 3.7: the versions that were released."""
    assert find_part("WB15CC").fus_versions == (0x01020000, 0x02000000, 0x02010000, 0x02020000)
    assert find_part("WB35CE").fus_versions[:2] == (0x00050300, 0x01000100)


@pytest.mark.parametrize("name", ["STM32WB55CC", "STM32WB55CE", "STM32WB55VY", "STM32WB35CC", "STM32WB35CE"])
def test_on_small_parts_sfsa_is_far_above_the_flash(name: str) -> None:
    """fus-protocol 11, item 20; 9.2: SFSA 0xF4 while images live below the nominal end."""
    it, driver = unlocked(name)
    end = FLASH + it.part.flash_kib * 1024
    assert driver.word(SFR) & 0xFF == 0xF4
    assert it.read(end, 4, 4) == b"\xff" * 4  # J-Link searched there and was not refused
    with pytest.raises(FlashError) as caught:
        driver.erase(end)
    assert caught.value.flags == WRPERR
    strict = chip(name, beyond_nominal="error")
    strict.advance(1)
    assert fails(strict, end)
    assert not fails(strict, end - 4)


# --- fus-protocol 11, item 7 and 8: resets, C2BOOT, boot sources


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_reset_leaves(kept: bool) -> None:
    """fus-protocol 11, item 7: C2BOOT 0, IPCC 0, AHB3ENR 0, SRAM1 kept, SRAM2 as SRAM2RST says."""
    it, driver = unlocked()
    driver.write_options(driver.word(OPTR) & ~(1 << 25) | kept << 25)
    it.write(SRAM1, b"abcd", 4)
    it.write(SRAM2A + 0x400, b"abcd", 4)
    driver.put(0xE0042004, 7)
    driver.start()
    driver.put(C1SCR, 1 << 16)
    assert driver.word(C1TOC2SR) == 1
    driver.put(CSR, 1 << 23)
    epoch = it.epoch
    it.reset(halt=True)
    assert it.epoch == epoch + 1
    assert it.is_halted
    assert driver.word(CR4) == 0
    assert driver.word(AHB3ENR) == 0
    assert driver.word(C1TOC2SR) == 0
    assert driver.word(CSR) == 1 << 26
    assert it.read(SRAM1, 4, 4) == b"abcd"
    assert it.read(SRAM2A + 0x400, 4, 4) == (b"abcd" if kept else bytes(4))
    assert driver.word(0xE0042004) == 7
    it.power_cycle()
    it.advance(0.1)
    assert it.read(SRAM1, 4, 4) != b"abcd"
    assert driver.word(CSR) & 1 << 27
    assert driver.word(0xE0042004) == 0


def test_c2boot_stays_until_reset() -> None:
    """fus-protocol 11, item 8."""
    it, driver = unlocked()
    driver.start()
    driver.put(CR4, 0)
    assert driver.word(CR4) == 1 << 15
    driver.put(CR4, 1 << 15)
    it.advance(1)
    assert it.cpu2.state.running == "fus"
    it.reset(halt=True)
    assert driver.word(CR4) == 0
    assert it.cpu2.state.running == ""


def test_a_system_reset_asked_for_in_aircr_and_a_vector_catch() -> None:
    """fus-protocol 7.1, step 1."""
    it, driver = unlocked()
    driver.put(CSR, 1 << 23)
    driver.put(DEMCR, 1)
    epoch = it.epoch
    driver.put(AIRCR, 0x05FA0004)
    it.advance(0.1)
    assert it.epoch == epoch + 1
    assert it.is_halted
    assert driver.word(CSR) & 1 << 28
    assert driver.word(DHCSR) & (1 << 25 | 1 << 17 | 3) == 1 << 25 | 1 << 17 | 3
    assert not driver.word(DHCSR) & 1 << 25, "the flag goes when it is read"
    driver.put(DHCSR, 0xA05F0001)
    assert not it.is_halted
    driver.put(DHCSR, 0x0003)
    assert not it.is_halted, "without the key nothing happens"
    driver.put(DHCSR, 0xA05F0003)
    assert it.is_halted


def test_core_registers_are_those_of_a_halted_core() -> None:
    it, driver = unlocked()
    driver.put(SRAM1, SRAM1 + 512, SRAM1 + 8 | 1, 0xE7FE)
    driver.boot_from_ram()
    it.reset(halt=True)
    driver.put(0xE000EDF4, 15)
    assert driver.word(0xE000EDF8) == SRAM1 + 8
    driver.put(0xE000EDF8, 0x1234)
    driver.put(0xE000EDF4, 1 << 16 | 3)
    driver.put(0xE000EDF8, 0)
    driver.put(0xE000EDF4, 3)
    assert driver.word(0xE000EDF8) == 0x1234
    it.resume()
    with pytest.raises(AccessError):
        it.write(0xE000EDF4, struct.pack("<I", 3), 4)


BOOTS = [
    # nBOOT0, nBOOT1, nSWBOOT0, BOOT0 pin, where
    (0, 0, 0, False, SRAM1),
    (1, 1, 1, False, FLASH),
    (1, 1, 1, True, 0x1FFF0000),
    (1, 0, 1, True, SRAM1),
    (1, 1, 0, True, FLASH),
    (0, 1, 0, False, 0x1FFF0000),
]


@pytest.mark.parametrize(("boot0", "boot1", "swboot0", "pin", "where"), BOOTS)
def test_boot_sources(boot0: int, boot1: int, swboot0: int, pin: bool, where: int) -> None:
    """fus-protocol 2.8: the table of boot sources."""
    it, driver = unlocked()
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    it.cpu1.boot0_pin = pin
    mask = 1 << 27 | 1 << 26 | 1 << 23
    driver.write_options(driver.word(OPTR) & ~mask | boot0 << 27 | boot1 << 23 | swboot0 << 26)
    assert it.cpu1.boot_source() == where


def test_psdb_calls_it_system_memory() -> None:
    """fus-protocol 2.8 [DISAGREE]: nSWBOOT0=0 with nBOOT0=nBOOT1=1."""
    it, driver = unlocked(nswboot0_clear="system-memory")
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    driver.write_options(driver.word(OPTR) & ~(1 << 26))
    assert it.cpu1.boot_source() == 0x1FFF0000


def test_empty_flash_boots_the_bootloader() -> None:
    assert chip().cpu1.boot_source() == 0x1FFF0000


def with_application(**switches: Any) -> tuple[SimulatedChip, Driver]:
    it, driver = unlocked(**switches)
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    return it, driver


def test_an_application_starts_cpu2_before_the_flasher_does() -> None:
    """fus-protocol 11, item 7; 3.3: CPU1 must stay out of the way."""
    it, driver = with_application()
    it.reset(halt=False)
    it.advance(0.1)
    assert driver.word(CR4) >> 15
    assert driver.word(SRAM2A) == SRAM2A + 0x40
    with pytest.raises(AssertionError, match="started by somebody else"):
        driver.start()


def test_an_application_takes_the_event() -> None:
    it, driver = with_application()
    it.reset(halt=False)
    it.advance(0.5)
    assert driver.word(0x58000C1C) == 0
    it.halt()
    it.advance(0.5)
    it.resume()
    it.advance(0.5)
    assert it.cpu1.state.runs == "application"


@pytest.mark.parametrize("how", ["halted", "loop", "catch"])
def test_cpu1_can_be_kept_out_of_the_way(how: str) -> None:
    """fus-protocol 3.3, 7.1: psdb's loop in SRAM1, a halt at the vector, vector catch over FUS's own resets."""
    it, driver = with_application()
    if how == "loop":
        driver.boot_from_ram()
    elif how == "catch":
        driver.put(DEMCR, 1)
    it.reset(halt=how == "halted")
    it.advance(0.5)
    assert driver.start() == "fus"
    assert it.cpu1.state.runs == ("loop" if how == "loop" else "application")


def test_cpu1_goes_on_where_a_debugger_sets_its_pc() -> None:
    """Arm v7-M: DCRDR and DCRSR reach the registers of a core that stands; what runs then is what lies at its PC."""
    it, driver = with_application()
    it.reset(halt=True)
    it.advance(0.1)
    driver.put(0x20000100, 0xE7FE)
    for pc, runs in ((0x20000100, "loop"), (0x20000101, "loop"), (0x20000104, "lockup"), (0x08000100, "application")):
        driver.put(0xE000EDF8, pc)
        driver.put(0xE000EDF4, 1 << 16 | 15)
        it.resume()
        assert it.cpu1.state.runs == runs
        it.halt()
    it.resume()
    with pytest.raises(AccessError, match="running"):
        it.write(0xE000EDF4, bytes([15, 0, 0, 0]), 4)


def test_sram1_that_was_lost_makes_cpu1_lock_up() -> None:
    it, driver = unlocked()
    driver.boot_from_ram()
    assert it.cpu1.state.runs == "loop"
    it.power_cycle()
    it.advance(0.1)
    assert it.cpu1.state.runs == "lockup"
    assert driver.word(DHCSR) & 1 << 19


# --- fus-protocol 11, item 9: IPCC, and accesses as such


@pytest.mark.parametrize("kind", ["error", "ignored"])
def test_ipcc_needs_its_clock(kind: str) -> None:
    """fus-protocol 11, item 9."""
    it, driver = unlocked(ipcc_without_clock=kind)
    if kind == "error":
        with pytest.raises(AccessError):
            it.write(C1SCR, struct.pack("<I", 1 << 17), 4)
    else:
        driver.put(C1SCR, 1 << 17)
    assert driver.word(C1TOC2SR) == 0
    driver.put(CR4, 1 << 15)
    it.advance(0.1)
    assert driver.word(0x58000C04) == 0, "without a clock it reads as nothing at all"
    driver.put(AHB3ENR, 1 << 20)
    driver.put(C1SCR, 1 << 17)
    assert driver.word(C1TOC2SR) == 2
    assert driver.word(C1SCR) == 0
    driver.put(0x58000C18, 1 << 1 | 1 << 19)
    assert (driver.word(C1TOC2SR), driver.word(0x58000C1C)) == (0, 8)
    for offset, mask in ((0x00, 0x00010001), (0x04, 0x003F003F), (0x10, 0x00010001), (0x14, 0x003F003F)):
        driver.put(0x58000C00 + offset, 0xFFFFFFFF)
        assert driver.word(0x58000C00 + offset) == mask


@pytest.mark.parametrize(("address", "size", "width"), [(SRAM1 + 1, 4, 4), (SRAM1, 3, 2), (SRAM1, 4, 8), (0, 4, 4)])
def test_accesses_that_no_bus_has(address: int, size: int, width: int) -> None:
    it, _ = unlocked()
    with pytest.raises(AccessError) as caught:
        it.read(address, size, width)
    assert caught.value.address == address


def test_registers_take_words_only_and_unknown_ones_nothing() -> None:
    it, _ = unlocked()
    with pytest.raises(AccessError):
        it.write(CR4, b"\0\0", 2)
    with pytest.raises(AccessError):
        it.write(0x40000000, bytes(4), 4)
    assert it.read(0xE0042000, 2, 2) == b"\x95\x04"


def test_without_power_there_is_nothing() -> None:
    it, _ = unlocked()
    it.power_off()
    it.power_off()
    assert not it.target_present
    assert fails(it, SRAM1)
    epoch = it.epoch
    it.reset(halt=True)
    assert it.epoch == epoch
    it.power_on()
    it.power_on()
    assert it.target_present
    assert it.epoch == epoch + 1


@pytest.mark.parametrize("kind", ["fails", "works"])
def test_accesses_in_the_moment_of_a_reset(kind: str) -> None:
    """jlink-pylink 5.3: an access may fail or keep working across a reset."""
    it, _ = unlocked(during_reset=kind)
    it.reset(halt=False)
    assert fails(it, 0xE000ED00) is (kind == "fails")
    it.advance(0.1)
    assert not fails(it, 0xE000ED00)


def test_every_access_costs_time_and_nothing_sleeps() -> None:
    it, driver = unlocked()
    before = it.clock
    driver.word(CR)
    after_word = it.clock
    it.read(SRAM1, 4096, 4)
    assert 0 < after_word - before < it.clock - after_word


def test_an_image_can_be_written_as_psdb_writes_it() -> None:
    """fus-protocol 7.1, step 6; the formula of 9.1."""
    it, driver = unlocked()
    image = fus.build()
    driver.burn(place(image), image)
    assert it.read(place(image), len(image), 4) == image


# --- the room itself


def test_the_simulation_imports_nothing_of_the_driver() -> None:
    """It is written from the documents alone, so that a common mistake cannot hide in both.

    `connect` is the door to the driver, and nothing else of the simulation goes through it.
    """
    door = {"flasher.errors", "flasher.jlink", "flasher.probe", "flasher.pyocd"}
    for path in Path(flash.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                root = name.split(".")[0]
                assert root not in ("imagekit", "construct", "pylink"), (path, name)
                is_door = path.stem in ("connect", "connect_pyocd") and name in door
                assert root != "flasher" or name.startswith("flasher.sim") or is_door, (path, name)
                assert name != "flasher.sim.connect", (path, name)


def test_no_part_is_named_twice() -> None:
    assert len(PARTS) == len(parts._ALL)
