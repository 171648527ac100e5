"""What the simulated J-Link library does to flash by itself, seen through the real pylink: cache and flash download."""

from pathlib import Path

import pylink
import pytest
from pylink.errors import JLinkEraseException, JLinkException, JLinkFlashException

from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_functions import StaleCallbackError
from flasher.sim.parts import PARTS, Part
from tests.support.jlinks import JLink, attach, chip, dll, own_locks_and_no_sleep
from tests.support.toy_chip import FLASH, PAGE, RAM, ToyChip

__all__ = ["chip", "dll", "own_locks_and_no_sleep"]

WITH_BANKS = "STM32WB55RG"
OLD, NEW = 0x1111_1111, 0x2222_2222
ALL_FLASH = "ExcludeFlashCacheRange 0x08000000-0x080FFFFF"


@pytest.fixture
def banked(dll: SimulatedDll, chip: ToyChip) -> JLink:
    chip.flash[:8] = OLD.to_bytes(4, "little") * 2
    return attach(dll, device=WITH_BANKS)


def change_by_itself(chip: ToyChip) -> None:
    """As the second CPU does: the library learns nothing of it."""
    chip.flash[:8] = NEW.to_bytes(4, "little") * 2


def test_the_device_tells_its_banks(banked: JLink) -> None:
    device = banked.supported_device(banked.get_device_index(WITH_BANKS))
    assert (device.name, device.FlashAddr, device.FlashSize) == (WITH_BANKS, FLASH, 1024 * 1024)
    assert device.manufacturer == "ST"
    assert banked.supported_device(1).FlashSize == 0


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_part_is_a_device(banked: JLink, part: Part) -> None:
    device = banked.supported_device(banked.get_device_index(part.name))
    assert (device.name, device.FlashAddr, device.FlashSize) == (part.name, FLASH, part.flash_kib * 1024)


@pytest.mark.parametrize("name", ["STM32WB55xx - FUS", "STM32WB15CC - FUS"])
def test_a_device_that_runs_fus_by_itself_takes_no_download(dll: SimulatedDll, chip: ToyChip, name: str) -> None:
    jlink = attach(dll, name)
    with pytest.raises(JLinkException):
        jlink.flash([1] * 8, FLASH)
    with pytest.raises(JLinkException):
        jlink.erase()
    assert chip.flash[:8] == b"\xff" * 8
    assert jlink.memory_read32(FLASH, 1) == [0xFFFF_FFFF]
    jlink.close()


def test_reads_of_flash_are_stale(banked: JLink, chip: ToyChip, dll: SimulatedDll) -> None:
    assert banked.memory_read32(FLASH, 1) == [OLD]
    change_by_itself(chip)
    reads = dll.counters.reads
    assert banked.memory_read32(FLASH, 2) == [OLD, OLD]
    assert dll.counters.reads == reads, "nothing crossed the wire"
    banked.reset()
    assert banked.memory_read32(FLASH, 1) == [OLD], "a reset clears nothing"


@pytest.mark.parametrize("command", ["InvalidateCache", "DisableFlashDL", ALL_FLASH])
def test_a_command_makes_reads_fresh(banked: JLink, chip: ToyChip, command: str) -> None:
    assert banked.memory_read32(FLASH, 1) == [OLD]
    banked.exec_command(command)
    assert banked.memory_read32(FLASH, 1) == [OLD]
    change_by_itself(chip)
    assert banked.memory_read32(FLASH, 1) == ([OLD] if command == "InvalidateCache" else [NEW])


def test_only_the_excluded_range_is_fresh(banked: JLink, chip: ToyChip) -> None:
    banked.exec_command("ExcludeFlashCacheRange 0x08000000-0x08000003")
    banked.memory_read32(FLASH + 4, 1)
    change_by_itself(chip)
    assert banked.memory_read32(FLASH, 1) == [NEW]
    assert banked.memory_read32(FLASH + 4, 1) == [OLD]
    assert banked.memory_read32(FLASH, 2) == [NEW, NEW], "touching the range is enough"


def test_a_core_has_no_cache(dll: SimulatedDll, chip: ToyChip) -> None:
    jlink = attach(dll)
    chip.flash[:4] = OLD.to_bytes(4, "little")
    assert jlink.memory_read32(FLASH, 1) == [OLD]
    change_by_itself(chip)
    assert jlink.memory_read32(FLASH, 1) == [NEW]
    jlink.close()


def test_close_forgets_cache_and_commands(banked: JLink, chip: ToyChip, dll: SimulatedDll) -> None:
    banked.exec_command("DisableFlashDL")
    banked.close()
    again = attach(dll, device=WITH_BANKS)
    assert again.memory_read32(FLASH, 1) == [OLD]
    change_by_itself(chip)
    assert again.memory_read32(FLASH, 1) == [OLD]
    again.close()


def test_the_edge_of_what_can_be_read_is_not_hidden_by_the_cache(banked: JLink, chip: ToyChip) -> None:
    chip.secure_from = FLASH + 0x1008
    assert len(banked.memory_read(FLASH + 0x1000, 16)) == 8
    with pytest.raises(JLinkException):
        banked.memory_read32(FLASH + 0x1008, 1)


def test_plain_writes_to_flash_become_erase_and_program(banked: JLink, chip: ToyChip) -> None:
    assert banked.memory_write32(FLASH + 4, [NEW]) == 4
    assert chip.flash[:8] == OLD.to_bytes(4, "little") + NEW.to_bytes(4, "little")
    assert banked.memory_read32(FLASH, 2) == [OLD, NEW]
    assert chip.is_halted
    assert chip.seconds > 0.022, "an erase takes its time"


def test_without_flash_download_a_write_is_a_write(banked: JLink, chip: ToyChip) -> None:
    banked.exec_command("DisableFlashDL")
    banked.memory_write32(FLASH + 8, [NEW, NEW])
    assert chip.flash[8:16] == b"\xff" * 8, "the chip's flash is locked"


def test_flash_write_and_flash(banked: JLink, chip: ToyChip) -> None:
    data = list(range(256)) * 20
    assert banked.flash_write8(FLASH + 0x2000, data) == len(data)
    assert chip.flash[0x2000:][: len(data)] == bytes(data)
    assert banked.flash(data[::-1], FLASH + 0x2000) == len(data)
    assert chip.flash[0x2000:][: len(data)] == bytes(data[::-1])


def test_flash_file(banked: JLink, chip: ToyChip, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"stack" * 1000)
    assert banked.flash_file(str(image), FLASH + PAGE) >= 0
    assert chip.flash[PAGE:].startswith(b"stack" * 1000)
    with pytest.raises(JLinkFlashException, match="could not be opened"):
        banked.flash_file(str(tmp_path / "absent.bin"), FLASH)
    with pytest.raises(JLinkFlashException, match="File format"):
        banked.flash_file(str(image.rename(tmp_path / "image.elf")), FLASH)


def test_contents_that_match_are_skipped(dll: SimulatedDll, chip: ToyChip) -> None:
    lines: list[str] = []
    jlink = attach(dll, device=WITH_BANKS, log=lines.append)
    jlink.flash_write8(FLASH, [1] * 16)
    seconds = chip.seconds
    jlink.flash_write8(FLASH, [1] * 16)
    assert chip.seconds < seconds + 0.022
    assert [line.rpartition(": ")[2] for line in lines[1:]] == [
        "16 bytes programmed",
        "Skipped. Contents already match",
    ]
    jlink.close()


@pytest.mark.parametrize("device", [WITH_BANKS, "Cortex-M4"])
def test_flash_write_reaches_ram_too(dll: SimulatedDll, device: str) -> None:
    jlink = attach(dll, device=device)
    assert jlink.flash_write32(RAM, [1, 2]) == 8
    assert jlink.memory_read32(RAM, 2) == [1, 2]
    jlink.close()


def test_a_protected_sector_fails_at_the_end_of_the_download(banked: JLink, chip: ToyChip) -> None:
    chip.secure_from = FLASH + 2 * PAGE
    with pytest.raises(JLinkFlashException, match="during program/erase"):
        banked.flash_write8(FLASH + 2 * PAGE, [1] * 8)


def test_cells_that_do_not_hold_what_was_programmed(banked: JLink, chip: ToyChip) -> None:
    chip.worn_at = 0x1000
    with pytest.raises(JLinkFlashException, match=r"[Vv]erif"):
        banked.flash_write8(FLASH + 0x1000, [1] * 8)


def test_a_failed_write_leaves_the_library_in_download_mode(banked: JLink, dll: SimulatedDll, chip: ToyChip) -> None:
    dll.answer("JLINKARM_WriteMemEx", -1)
    with pytest.raises(JLinkException):
        banked.flash_write32(FLASH, [NEW])
    assert banked.memory_write32(RAM, [NEW]) == 4, "it looks as if it had been written"
    assert chip.ram[:4] == bytes(4)


def test_flash_takes_a_failed_write_for_a_count(banked: JLink, dll: SimulatedDll) -> None:
    dll.answer("JLINKARM_WriteMem", -1)
    assert banked.flash([1, 2, 3, 4], FLASH) == -1


def test_unknown_codes_of_a_download(banked: JLink, dll: SimulatedDll) -> None:
    dll.answer("JLINKARM_EndDownload", -5)
    with pytest.raises(ValueError, match="Invalid error code: -5"):
        banked.flash_write8(FLASH, [1])


def test_erase(banked: JLink, chip: ToyChip, dll: SimulatedDll) -> None:
    chip.flash[:] = bytes(len(chip.flash))
    with pytest.raises(JLinkEraseException, match="Failed to erase sector"):
        banked.erase()  # the toy has fewer sectors than the device it poses as
    assert chip.flash == b"\xff" * len(chip.flash)
    banked.close()
    core = attach(dll)
    with pytest.raises(JLinkEraseException, match="not supported"):
        core.erase()
    core.close()


def test_progress_is_reported_but_not_to_a_freed_callback(banked: JLink, dll: SimulatedDll) -> None:
    told: list[bytes] = []
    banked.flash([1] * 8, FLASH, on_progress=lambda action, _text, _percent: told.append(action))
    assert told == [b"Compare", b"Erase", b"Flash", b"Verify"]
    with pytest.raises(JLinkException):
        banked.flash_write8(FLASH, [2] * 8)
    with pytest.raises(StaleCallbackError):
        dll.raise_stored()
    assert banked.flash([2] * 8, FLASH) == 8, "flash() without a callback takes the old one away"


def test_pylink_is_the_real_one() -> None:
    assert Path(pylink.__file__).parts[-3] == "site-packages"
