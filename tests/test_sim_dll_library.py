"""The simulated J-Link library as a file that pylink's own Library class loads."""

from pathlib import Path

import pylink
import pytest

from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import Fails
from flasher.sim.dll_session import Settings
from flasher.sim.probes import SimulatedJLink
from tests.support.jlinks import SERIAL, attach, own_locks_and_no_sleep
from tests.support.toy_chip import FLASH, RAM, ToyChip
from tests.support.trampolines import COMPILER, SUFFIX, build

__all__ = ["own_locks_and_no_sleep"]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler: pylink.Library(path) cannot be tried")


def test_pylink_loads_it_as_a_file(tmp_path: Path) -> None:
    chip, lines = ToyChip(), list[str]()
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(after_reset=Fails()))
    path = tmp_path / f"libjlinkarm{SUFFIX}"
    kept = build(dll, path)
    library = pylink.Library(str(path), use_tmpcpy=False)
    jlink = attach(library, device="STM32WB55RG", log=lines.append)
    assert jlink.serial_number == SERIAL
    assert jlink.compile_date == "Dec 18 2025 15:13:50"
    assert jlink.register_name(15) == "R15 (PC)"
    assert jlink.memory_write32(RAM, [0xFFFF_FFFF, 2]) == 8
    assert jlink.memory_read(RAM, 8) == [255, 255, 255, 255, 2, 0, 0, 0]
    assert jlink.flash_write8(FLASH, [1] * 8) == 8
    assert chip.flash[:8] == b"\1" * 8
    assert len(lines) == 2
    with pytest.raises(pylink.errors.JLinkException, match="Unknown command"):
        jlink.exec_command("Regs")
    chip.reset_by_itself()
    with pytest.raises(pylink.errors.JLinkReadException):
        jlink.memory_read32(RAM, 1)
    jlink.close()
    dll.raise_stored()
    del kept


def test_every_function_of_the_table_is_in_the_file(tmp_path: Path) -> None:
    dll = SimulatedDll([])
    kept = build(dll, tmp_path / f"libjlinkarm{SUFFIX}")
    loaded = pylink.Library(str(tmp_path / f"libjlinkarm{SUFFIX}"), use_tmpcpy=False).dll()
    assert [name for name in dll.functions if not hasattr(loaded, name)] == []
    del kept
