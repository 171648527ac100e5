"""The simulated J-Link library under the real, unmodified pylink: memory, CPU, resets, commands, errors."""

import ctypes
import gc
import logging
from typing import Any

import pylink
import pytest
from pylink.enums import JLinkInterfaces
from pylink.errors import JLinkException, JLinkReadException, JLinkWriteException

from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import AccessOutcome, Fails, Survives, Timing, Unsettled
from flasher.sim.dll_session import Settings
from flasher.sim.probes import SimulatedJLink
from tests.support.jlinks import SERIAL, JLink, attach, chip, dll, jlink, own_locks_and_no_sleep
from tests.support.toy_chip import FLASH, RAM, ToyChip

__all__ = ["chip", "dll", "jlink", "own_locks_and_no_sleep"]

SWD = JLinkInterfaces.SWD


# Memory


def test_counts_are_bytes(jlink: JLink) -> None:
    assert jlink.memory_write32(RAM, [0x0403_0201, 0x0807_0605]) == 8
    assert jlink.memory_write16(RAM + 8, [0x0A09]) == 2
    assert jlink.memory_write8(RAM + 10, [0x0B]) == 1
    assert jlink.memory_read(RAM, 11) == list(range(1, 12))
    assert jlink.memory_read8(RAM, 2) == [1, 2]
    assert jlink.memory_read16(RAM, 2) == [0x0201, 0x0403]
    assert jlink.memory_read32(RAM, 2) == [0x0403_0201, 0x0807_0605]


def test_widths_reach_the_chip_and_zero_leaves_the_choice(jlink: JLink, chip: ToyChip) -> None:
    chip.widths.clear()
    jlink.memory_read8(RAM, 4)
    jlink.memory_read16(RAM, 2)
    jlink.memory_read32(RAM, 1)
    assert chip.widths == [1, 2, 4]
    chip.widths.clear()
    jlink.memory_read(RAM + 3, 10)
    assert chip.widths == [1, 4, 1]


def test_a_short_read_is_zero_filled_by_pylink_at_32_bits(jlink: JLink, chip: ToyChip) -> None:
    end = RAM + len(chip.ram)
    chip.ram[-8:] = bytes(range(1, 9))
    assert jlink.memory_read32(end - 8, 4) == [0x0403_0201, 0x0807_0605, 0, 0]
    assert jlink.memory_read(end - 8, 16) == list(range(1, 9))


def test_a_short_write(jlink: JLink, chip: ToyChip) -> None:
    assert jlink.memory_write8(chip.reset_register - 3, [1, 2, 3, 4, 5]) == 3
    assert chip.ram[-3:] == b"\1\2\3"


def test_nothing_is_there(jlink: JLink) -> None:
    with pytest.raises(JLinkReadException):
        jlink.memory_read32(0x4000_0000, 1)
    with pytest.raises(JLinkWriteException):
        jlink.memory_write32(0x4000_0000, [1])


def test_addresses_are_cut_to_32_bits(jlink: JLink) -> None:
    jlink.memory_write32(0x1_2000_0000, [7])
    assert jlink.memory_read32(RAM, 1) == [7]


def test_single_words(jlink: JLink) -> None:
    assert jlink.peripheral_write8(RAM, 0xAB) == 0xAB
    assert jlink.memory_read8(RAM, 1) == [0xAB]
    assert jlink.peripheral_write32(RAM + 4, 0x8000_0001) == 0x8000_0001
    assert jlink.peripheral_write16(RAM + 8, 0x1234) == 0x1234
    assert jlink.memory_read32(RAM + 4, 2) == [0x8000_0001, 0x1234]
    with pytest.raises(JLinkWriteException):
        jlink.peripheral_write32(0x4000_0000, 1)


def test_zones_are_not_exported(jlink: JLink) -> None:
    with pytest.raises(AttributeError, match="JLINKARM_ReadMemZonedEx"):
        jlink.memory_read(RAM, 4, zone="AP1")


# CPU


def test_halt_and_go(jlink: JLink, chip: ToyChip) -> None:
    assert not jlink.halted()
    assert jlink.halt() is True
    assert chip.is_halted
    assert jlink.halted()
    assert jlink.restart() is True
    assert not chip.is_halted


@pytest.mark.parametrize("halt", [True, False])
def test_reset(jlink: JLink, chip: ToyChip, halt: bool) -> None:
    jlink.set_reset_strategy(2)
    assert jlink.set_reset_strategy(0) == 2
    before = chip.seconds
    jlink.reset(ms=50, halt=halt)
    assert chip.epoch == 1
    assert chip.is_halted is halt
    assert chip.seconds >= before + 0.05
    assert jlink.memory_read32(RAM, 1) == [0], "the library connects anew by itself"


@pytest.mark.parametrize("kind", [1, 3, 8])
def test_a_reset_that_is_not_simulated_is_refused(jlink: JLink, chip: ToyChip, kind: int) -> None:
    """1 resets the core alone: what the peripherals hold would live on."""
    jlink.set_reset_strategy(kind)
    with pytest.raises(JLinkException):
        jlink.reset()
    assert chip.epoch == 0


def test_the_reset_pin(jlink: JLink, chip: ToyChip) -> None:
    jlink.set_reset_pin_low()
    assert (chip.epoch, chip.is_held) == (1, True)
    jlink.set_reset_pin_high()
    assert not chip.is_held


def test_close_lets_the_cpu_run_unless_told_otherwise(jlink: JLink, chip: ToyChip, dll: SimulatedDll) -> None:
    jlink.halt()
    jlink.close()
    assert not chip.is_halted
    again = attach(dll)
    again.exec_command("SetRestartOnClose = 0")
    again.halt()
    again.close()
    assert chip.is_halted


def test_registers_are_those_of_a_core_that_stands(jlink: JLink, chip: ToyChip) -> None:
    assert jlink.register_name(15) == "R15 (PC)"
    jlink.halt()
    jlink.register_write("R1", 0x8000_0000)
    assert jlink.register_read("R1") == -0x8000_0000, "pylink gives them signed"
    assert chip.core == {1: 0x8000_0000}
    chip.core[15] = 0x0800_0100
    assert jlink.register_read(15) == 0x0800_0100
    jlink.restart()
    assert jlink.register_read(15) == 0, "pylink asks for no error code"
    with pytest.raises(JLinkException):
        jlink.register_write(1, 7)
    assert chip.core[1] == 0x8000_0000


def test_the_debug_port(jlink: JLink) -> None:
    jlink.coresight_configure()
    assert jlink.coresight_read(0, ap=False) == 0x6BA0_2477
    jlink.memory_write32(RAM, [0x1122_3344, 5])
    jlink.coresight_write(2, 0x0000_00F0, ap=False)
    assert jlink.coresight_read(3) == 0x2477_0011
    jlink.coresight_write(2, 0, ap=False)
    jlink.coresight_write(0, 0x0300_0012)
    jlink.coresight_write(1, RAM)
    assert [jlink.coresight_read(3), jlink.coresight_read(3)] == [0x1122_3344, 5]
    jlink.coresight_write(1, RAM)
    jlink.coresight_write(3, 0xFFFF_FFFE)
    assert jlink.memory_read32(RAM, 1) == [0xFFFF_FFFE]
    assert jlink.coresight_read(1) == RAM + 4
    assert jlink.coresight_read(0) == 0x0300_0052, "DeviceEn is read-only"


def test_a_fault_at_the_debug_port_sticks_until_it_is_cleared(jlink: JLink) -> None:
    jlink.coresight_configure()
    jlink.coresight_write(1, 0x4000_0000)
    with pytest.raises(JLinkException):
        jlink.coresight_read(3)
    jlink.coresight_write(2, 0, ap=False)
    assert jlink.coresight_read(1, ap=False) & 1 << 5
    with pytest.raises(JLinkException):
        jlink.coresight_write(1, RAM)
    jlink.coresight_write(0, 0x1E, ap=False)
    jlink.coresight_write(1, RAM)
    assert jlink.coresight_read(3) == 0


def test_the_port_of_the_second_cpu_is_there_and_shut(jlink: JLink) -> None:
    """fus-protocol 1.2: AP1 has an IDR of its own, psdb expects both ports and exactly one that is open."""
    jlink.coresight_configure()
    jlink.coresight_write(2, 0x0100_00F0, ap=False)
    assert jlink.coresight_read(3) == 0x8477_0001
    jlink.coresight_write(2, 0x0100_0000, ap=False)
    jlink.coresight_write(0, 0x0300_0052)
    assert jlink.coresight_read(0) == 0x0300_0012, "nobody opens it"
    jlink.coresight_write(1, RAM)
    assert jlink.coresight_read(1) == RAM
    with pytest.raises(JLinkException):
        jlink.coresight_read(3)
    jlink.coresight_write(0, 0x1E, ap=False)
    with pytest.raises(JLinkException):
        jlink.coresight_write(3, 1)
    jlink.coresight_write(0, 0x1E, ap=False)
    jlink.coresight_write(2, 0, ap=False)
    assert [jlink.coresight_read(0), jlink.coresight_read(1)] == [0x0300_0042, 0], "AP0 has its own"


def test_ports_that_do_not_exist_read_as_zero(jlink: JLink) -> None:
    jlink.coresight_configure()
    jlink.coresight_write(2, 0x0200_00F0, ap=False)
    assert jlink.coresight_read(3) == 0
    jlink.coresight_write(3, 1)


def test_other_callers_than_pylink_get_codes(dll: SimulatedDll) -> None:
    library, word = dll.dll(), ctypes.c_uint32()
    assert library.JLINKARM_ReadMemEx(RAM, 4, ctypes.byref(word), 4) == -258
    assert library.JLINKARM_Connect() == -258
    library.JLINKARM_OpenEx(None, None)
    library.JLINKARM_OpenEx(None, None)
    assert library.JLINKARM_ReadMemEx(RAM, 4, ctypes.byref(word), 4) == -1
    assert library.JLINKARM_Connect() == -273
    dll.desk.probes[0].unplug()
    assert library.JLINKARM_Connect() == -257
    library.JLINKARM_Close()


# Resets behind the library's back


@pytest.mark.parametrize("good", [1, 2])
def test_a_short_register_is_an_error(chip: ToyChip, good: int) -> None:
    class Scripted:
        def outcomes(self) -> Any:
            return iter([AccessOutcome.WORKS] * good + [AccessOutcome.SHORT])

    jlink = attached(chip, after_reset=Scripted())
    jlink.reset()
    chip.core[15] = chip.dcrdr = 0x1234_5678
    chip.epoch += 1
    assert jlink.register_read(15) == 0
    chip.epoch += 1
    if good == 2:
        assert jlink.register_read(15) == 0, "the wire failed at the value itself"
    else:
        with pytest.raises(JLinkException):
            jlink.register_write(15, 1)
    assert chip.core[15] == 0x1234_5678
    jlink.close()


def attached(chip: ToyChip, **choices: Any) -> JLink:
    return attach(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(**choices)))


def test_the_library_does_not_notice_a_reset(chip: ToyChip) -> None:
    jlink = attached(chip, after_reset=Survives())
    chip.reset_by_itself()
    assert jlink.target_connected()
    assert jlink.memory_read32(RAM, 1) == [0]
    jlink.close()


def test_no_link_survives_a_loss_of_power(chip: ToyChip) -> None:
    jlink = attached(chip, after_reset=Survives())
    chip.power_cycle()
    for _ in range(2):
        with pytest.raises(JLinkReadException):
            jlink.memory_read32(RAM, 1)
        with pytest.raises(JLinkException):
            jlink.reset()
    jlink.close()
    jlink = attached(chip, after_reset=Survives())
    assert jlink.memory_read32(RAM, 1) == [0]
    jlink.close()


def test_after_a_reset_all_fails_until_the_probe_is_reopened(chip: ToyChip) -> None:
    jlink = attached(chip)
    chip.reset_by_itself()
    assert jlink.target_connected()
    for _ in range(2):
        with pytest.raises(JLinkReadException):
            jlink.memory_read32(RAM, 1)
        with pytest.raises(JLinkException):
            jlink.halted()
        with pytest.raises(JLinkException):
            jlink.reset()
        jlink.connect("Cortex-M4")  # a no-op: IsConnected still says 1
    jlink.close()
    jlink.open(SERIAL)
    jlink.set_tif(SWD)
    jlink.connect("Cortex-M4")
    assert jlink.memory_read32(RAM, 1) == [0]
    jlink.close()


def test_a_write_that_resets_the_chip_happened_though_it_fails(chip: ToyChip) -> None:
    jlink = attached(chip, after_reset=Fails())
    with pytest.raises(JLinkWriteException):
        jlink.memory_write32(chip.reset_register, [1])
    assert chip.epoch == 1
    jlink.close()


def test_the_chip_resets_itself_while_the_probe_is_sending(chip: ToyChip) -> None:
    jlink = attached(chip, after_reset=Fails(), timing=Timing(seconds_per_access=0.001))
    chip.reset_at = chip.seconds + 0.005
    reads = 0
    with pytest.raises(JLinkReadException):  # noqa: PT012 - which of them fails is the point
        for reads in range(10):  # noqa: B007 - counted
            jlink.memory_read32(RAM, 1)
    assert reads == 4
    jlink.close()


def outcomes(chip: ToyChip, seed: int) -> list[str]:
    """What a hundred reads after a reset come to."""
    chip.ram[:4] = b"\1\1\1\1"
    jlink = attached(chip, after_reset=Unsettled(seed))
    chip.reset_by_itself()
    seen = []
    for _ in range(100):
        try:
            seen.append(f"{len(jlink.memory_read(RAM, 4))} bytes")
        except JLinkReadException:
            seen.append("failed")
    jlink.close()
    return seen


def test_chance_is_the_same_for_the_same_seed(chip: ToyChip) -> None:
    every = [outcomes(chip, seed) for seed in range(40)]
    assert every == [outcomes(chip, seed) for seed in range(40)]
    assert {outcome for seen in every for outcome in seen} == {"failed", "2 bytes", "4 bytes"}
    assert {seen[-1] for seen in every} == {"failed", "4 bytes"}, "some links come back by themselves, some do not"


def test_a_policy_may_be_a_script(chip: ToyChip) -> None:
    class Scripted:
        def outcomes(self) -> Any:
            return iter([AccessOutcome.WORKS, AccessOutcome.SHORT, AccessOutcome.FAILS])

    jlink = attached(chip, after_reset=Scripted())
    chip.reset_by_itself()
    assert len(jlink.memory_read(RAM, 8)) == 8
    assert jlink.memory_write32(RAM, [1, 2]) == 4
    with pytest.raises(JLinkReadException):
        jlink.memory_read(RAM, 8)
    assert len(jlink.memory_read(RAM, 8)) == 8
    jlink.close()


# Command strings, log lines, faults of the simulation itself


@pytest.mark.parametrize("command", ["Regs", "Mem 0x20000000", "Device = STM32WB99", "ExcludeFlashCacheRange all"])
def test_a_command_is_refused_through_the_error_buffer(jlink: JLink, command: str) -> None:
    with pytest.raises(JLinkException, match="ERROR: "):
        jlink.exec_command(command)


def test_versions_differ_in_the_commands_they_know(chip: ToyChip) -> None:
    dll = SimulatedDll(
        [SimulatedJLink(serial=SERIAL, chip=chip)], Settings(unknown_commands=frozenset({"suppressgui"}))
    )
    jlink = attach(dll)
    with pytest.raises(JLinkException, match="Unknown command: SuppressGUI = 1"):
        jlink.exec_command("SuppressGUI = 1")
    jlink.close()


def test_log_lines_arrive_where_they_belong(dll: SimulatedDll, chip: ToyChip) -> None:
    lines: dict[str, list[str]] = {"log": [], "detailed_log": [], "error": [], "warn": []}
    handlers: dict[str, Any] = {name: kept.append for name, kept in lines.items()}
    jlink = attach(dll, **handlers)
    assert lines["log"] == ["Found Cortex-M4, ID 0x6BA02477"]
    assert lines["detailed_log"] == ["Firmware: J-Link V11 compiled Dec 18 2025 15:13:50", f"S/N: {SERIAL}"]
    chip.target_present = False
    with pytest.raises(JLinkException):
        jlink.reset()
    assert lines["error"] == ["Reset failed: target does not answer"]
    jlink.close()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_a_chip_raises_is_kept_for_its_owner(
    jlink: JLink, dll: SimulatedDll, chip: ToyChip, error: type[BaseException]
) -> None:
    def broken(address: int, size: int, width: int) -> bytes:
        raise error(address, size, width)

    chip.read = broken  # type: ignore[method-assign]
    with pytest.raises(JLinkReadException):
        jlink.memory_read32(RAM, 1)
    with pytest.raises(error):
        dll.raise_stored()
    dll.raise_stored()


@pytest.mark.parametrize("name", ["JLINKARM_IsOpen", "JLINKARM_OpenEx", "JLINKARM_GetRegisterName"])
def test_a_missing_symbol_is_named(chip: ToyChip, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        pylink.JLink(lib=SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], without={name}))


def test_the_dialog_hook_may_be_missing(chip: ToyChip) -> None:
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], without={"JLINK_SetHookUnsecureDialog"})
    attach(dll).close()


def test_the_library_outlives_its_owner(chip: ToyChip, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    jlink = attach(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)]))
    gc.collect()
    assert jlink.memory_read32(RAM, 1) == [0]
    del jlink
    gc.collect()
    assert "Found Cortex-M4" in caplog.text


def test_traffic_is_counted(jlink: JLink, dll: SimulatedDll) -> None:
    before = dll.counters.calls.total()
    jlink.memory_write32(RAM, [0] * 256)
    jlink.memory_read(RAM, 1024)
    jlink.memory_read32(FLASH, 1)
    counters = dll.counters
    assert (counters.writes, counters.bytes_written) == (1, 1024)
    assert (counters.reads, counters.bytes_read) == (2, 1028)
    assert counters.calls["JLINKARM_ReadMemEx"] == 2
    assert counters.calls.total() - before > 3, "pylink asks whether it is connected, every time"
