"""The J-Link library where real ones differ: its cache of RAM, unknown command strings, vector catch; under pylink."""

import pylink
import pytest
from pylink.enums import JLinkInterfaces

from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_session import Settings
from flasher.sim.probes import SimulatedJLink
from tests.support.jlinks import own_locks_and_no_sleep
from tests.support.sim_images import chip

__all__ = ["own_locks_and_no_sleep"]

RAM, DEMCR, DHCSR = 0x20030000, 0xE000EDFC, 0xE000EDF0
SERIAL = 260000001


def connected(**settings: object) -> tuple[SimulatedChip, pylink.JLink]:
    """A halted chip behind the real pylink."""
    it = chip()
    it.halt()
    it.advance(0.01)
    jlink = pylink.JLink(lib=SimulatedDll([SimulatedJLink(serial=SERIAL, chip=it)], Settings(**settings)))  # type: ignore[arg-type]
    attach(jlink)
    jlink.halt()
    return it, jlink


def attach(jlink: pylink.JLink) -> None:
    """Open and connect; a library that is connected already would not connect again."""
    jlink.close()
    jlink.open(serial_no=SERIAL)
    jlink.set_tif(JLinkInterfaces.SWD)
    jlink.exec_command("SetRestartOnClose = 0")
    jlink.connect("Cortex-M4")


# --- hardware-review 3: RAM is cached while CPU1 is halted


@pytest.mark.parametrize("memory_cache", [True, False])
def test_what_cpu2_writes_behind_a_halted_cpu1(memory_cache: bool) -> None:
    """hardware-review 3: 'never invalidated while the core stays halted' (danielmangum.com, seen on hardware)."""
    it, jlink = connected(memory_cache=memory_cache)
    it.ram.put_words(RAM, 1)
    assert jlink.memory_read32(RAM, 1) == [1]
    it.ram.put_words(RAM, 2)
    assert jlink.memory_read32(RAM, 1) == ([1] if memory_cache else [2])


def test_a_read_of_four_bytes_fetches_64() -> None:
    """hardware-review 3: logs V4.62, V7.82a."""
    it, jlink = connected(memory_cache=True)
    jlink.memory_read32(RAM, 1)
    before = jlink.memory_read32(RAM + 60, 1)
    it.ram.put_words(RAM + 60, ~before[0] & 0xFFFFFFFF, 7)
    assert jlink.memory_read32(RAM + 60, 1) == before
    assert jlink.memory_read32(RAM + 64, 1) == [7]


@pytest.mark.parametrize("how", ["write", "go", "reset", "connect", "command"])
def test_what_empties_the_cache(how: str) -> None:
    """hardware-review 3: until the core runs or memory is written; SetEnableMemCache = 0 cures it."""
    it, jlink = connected(memory_cache=True)
    jlink.memory_read32(RAM, 1)
    it.ram.put_words(RAM, 0x600D)
    if how == "write":
        jlink.memory_write32(0x20000000, [1])
    elif how == "go":
        jlink.restart()
        jlink.halt()
    elif how == "reset":
        jlink.reset(halt=True)
    elif how == "connect":
        attach(jlink)
    else:
        assert jlink.exec_command("SetEnableMemCache = 0") == 0
    it.advance(0.1)
    assert jlink.memory_read32(RAM, 1) == [0x600D]


def test_the_cache_comes_back_with_every_connect() -> None:
    """hardware-review 3: the string must be sent again after every connect."""
    it, jlink = connected(memory_cache=True)
    jlink.exec_command("SetEnableMemCache = 0")
    attach(jlink)
    before = jlink.memory_read32(RAM, 1)
    it.ram.put_words(RAM, ~before[0] & 0xFFFFFFFF)
    assert jlink.memory_read32(RAM, 1) == before
    jlink.exec_command("SetEnableMemCache = 0")
    assert jlink.memory_read32(RAM, 1) != before


def test_registers_and_a_running_core_are_not_cached() -> None:
    """hardware-review 3: private peripherals are not cached; nothing is while the core runs."""
    it, jlink = connected(memory_cache=True)
    jlink.memory_read32(DEMCR, 1)
    it.write(DEMCR, (1).to_bytes(4, "little"), 4)
    assert jlink.memory_read32(DEMCR, 1) == [1]
    jlink.restart()
    before = jlink.memory_read32(RAM, 1)
    it.ram.put_words(RAM, ~before[0] & 0xFFFFFFFF)
    assert jlink.memory_read32(RAM, 1) != before


def test_a_read_at_the_end_of_open_ram_gets_what_it_asked_for() -> None:
    it, jlink = connected(memory_cache=True)
    it.options.set_by_cpu2(SBRSA=2, BRSD=0)
    it.options.load()
    it.ram.put_words(RAM + 2040, 5, 6)
    assert jlink.memory_read32(RAM + 2040, 2) == [5, 6]


# --- hardware-review 5: command strings that a library does not know


def test_an_unknown_command_gives_a_text() -> None:
    _, jlink = connected(unknown_answer="text")
    with pytest.raises(pylink.errors.JLinkException, match="Unknown command"):
        jlink.exec_command("DisableConnectionTimeout")


def test_an_unknown_command_gives_a_code_alone() -> None:
    """hardware-review 5: pylink raises only on text; DisableConnectionTimeout gave 0x01."""
    _, jlink = connected(unknown_answer="code")
    assert jlink.exec_command("DisableConnectionTimeout") == 1


# --- hardware-review 9: reset type 0


@pytest.mark.parametrize("clears", [True, False])
def test_reset_type_0_and_vector_catch(clears: bool) -> None:
    """hardware-review 9: J-Link's reset type 0 clears VC_CORERESET itself."""
    it, jlink = connected(clears_vector_catch=clears)
    jlink.memory_write32(DEMCR, [1])
    jlink.reset(halt=True)
    it.advance(0.1)
    assert jlink.memory_read32(DEMCR, 1) == [0 if clears else 1]
