"""The simulated debug port and CMSIS-DAP probe by themselves: numbers from Arm's documents, written out here again."""

import struct
from collections.abc import Callable

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.cmsis_dap import CmsisDap
from flasher.sim.debug_port import Ack, DebugPort, NotAcknowledgedError, PortSettings
from flasher.sim.dll_link import Survives
from tests.support.flashing import simulated

SRAM1, NOWHERE = 0x2000_0000, 0xF000_0000
IDR, CTRL_STAT, SELECT, ABORT = 0x0, 0x4, 0x8, 0x0
CSW, TAR, DRW, AP_IDR = 0x00, 0x04, 0x0C, 0x0C  # IDR by its low bits
POWER_UP, ACKNOWLEDGED, STICKY_ERROR = 0x5000_0000, 0xF000_0000, 0x20
WORDS_COUNTING_UP, BYTES = 0x2300_0012, 0x2300_0000


@pytest.fixture
def chip() -> SimulatedChip:
    return simulated()


@pytest.fixture
def port(chip: SimulatedChip) -> DebugPort:
    """Switched to SWD, powered, AP0 selected for words."""
    port = DebugPort(chip, PortSettings(after_reset=Survives()))
    switch(port)
    power(port)
    port.write_ap(CSW, WORDS_COUNTING_UP)
    return port


def switch(port: DebugPort) -> None:
    """IHI 0031: at least 50 ones, 0xE79E, at least 50 ones, idle."""
    for bits, count in ((~0, 51), (0xE79E, 16), (~0, 51), (0, 8)):
        port.sequence(bits, count)
    assert port.read_dp(IDR) == 0x6BA0_2477


def power(port: DebugPort) -> None:
    port.write_dp(CTRL_STAT, POWER_UP)
    assert port.read_dp(CTRL_STAT) == ACKNOWLEDGED


def refused(work: Callable[[], object]) -> Ack:
    with pytest.raises(NotAcknowledgedError) as caught:
        work()
    return caught.value.ack


# --- the line


def test_nothing_answers_before_the_switch_to_swd(chip: SimulatedChip) -> None:
    port = DebugPort(chip)
    assert refused(lambda: port.read_dp(IDR)) is Ack.NONE
    port.sequence(~0, 60)
    assert refused(lambda: port.read_dp(IDR)) is Ack.NONE


def test_a_line_reset_has_at_least_50_ones(chip: SimulatedChip) -> None:
    port = DebugPort(chip)
    port.sequence(0xE79E, 16)
    port.sequence((1 << 49) - 1, 57)
    assert refused(lambda: port.read_dp(IDR)) is Ack.NONE
    port.sequence((1 << 50) - 1, 58)
    assert port.read_dp(IDR) == 0x6BA0_2477


def test_after_a_line_reset_only_dpidr_is_read(port: DebugPort) -> None:
    port.sequence(~0, 51)
    assert refused(lambda: port.read_dp(CTRL_STAT)) is Ack.NONE
    assert port.read_dp(IDR)
    assert port.read_dp(CTRL_STAT) == ACKNOWLEDGED, "a line reset changes no register"


def test_a_power_cycle_forgets_everything(port: DebugPort, chip: SimulatedChip) -> None:
    chip.power_cycle()
    assert refused(lambda: port.read_dp(IDR)) is Ack.NONE
    switch(port)
    assert port.read_dp(CTRL_STAT) == 0


def test_an_unpowered_chip_answers_nothing(port: DebugPort, chip: SimulatedChip) -> None:
    chip.power_off()
    assert refused(lambda: port.read_dp(IDR)) is Ack.NONE


# --- access ports


def test_an_ap_without_debug_power_faults(chip: SimulatedChip) -> None:
    port = DebugPort(chip)
    switch(port)
    assert refused(lambda: port.read_ap(CSW)) is Ack.FAULT
    assert port.read_dp(CTRL_STAT) & STICKY_ERROR


@pytest.mark.parametrize(("number", "idr"), [(0, 0x2477_0011), (1, 0x8477_0001), (2, 0), (255, 0)])
def test_access_ports_say_what_they_are(port: DebugPort, number: int, idr: int) -> None:
    port.write_dp(SELECT, number << 24 | 0xF0)
    assert port.read_ap(AP_IDR) == idr


def test_a_bus_error_is_sticky_until_it_is_cleared(port: DebugPort) -> None:
    port.write_ap(TAR, NOWHERE)
    assert refused(lambda: port.read_ap(DRW)) is Ack.FAULT
    assert port.fault_address == NOWHERE
    port.write_dp(CTRL_STAT, POWER_UP)
    assert refused(lambda: port.read_ap(TAR)) is Ack.FAULT
    port.write_dp(ABORT, 0x1E)
    assert port.read_ap(TAR) == NOWHERE


def test_memory_of_cpu2s_port_is_closed(port: DebugPort) -> None:
    port.write_dp(SELECT, 1 << 24)
    assert not port.read_ap(CSW) & 1 << 6
    assert refused(lambda: port.read_ap(DRW)) is Ack.FAULT


def test_bytes_lie_on_the_lanes_of_their_address(port: DebugPort, chip: SimulatedChip) -> None:
    chip.write(SRAM1, bytes.fromhex("11223344"), 4)
    port.write_ap(CSW, BYTES)
    port.write_ap(TAR, SRAM1 + 2)
    assert port.read_ap(DRW) == 0x0033_0000
    port.write_ap(DRW, 0xAABB_CCDD)
    assert chip.read(SRAM1, 4, 4) == bytes.fromhex("1122BB44")


def test_tar_wraps_within_its_page(port: DebugPort, chip: SimulatedChip) -> None:
    chip.write(SRAM1, bytes(range(256)) * 8, 4)
    port.write_ap(TAR, SRAM1 + 0x3F8)
    data, ack = port.read_run(16)
    assert ack is Ack.OK
    assert data == bytes([0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, *range(8)])
    assert port.read_ap(TAR) == SRAM1 + 8


def test_without_increment_the_same_word_comes_again(port: DebugPort, chip: SimulatedChip) -> None:
    chip.write(SRAM1, bytes(range(8)), 4)
    port.write_ap(CSW, WORDS_COUNTING_UP & ~0x10)
    port.write_ap(TAR, SRAM1)
    assert port.read_run(8) == (bytes([0, 1, 2, 3, 0, 1, 2, 3]), Ack.OK)


def test_a_reset_of_the_chip_may_clear_the_access_port(port: DebugPort, chip: SimulatedChip) -> None:
    chip.reset(halt=False)
    assert port.read_ap(CSW) & 7 == 0
    port.settings.reset_clears_ap = False
    port.write_ap(CSW, WORDS_COUNTING_UP)
    chip.reset(halt=False)
    assert port.read_ap(CSW) & 7 == 2


# --- CMSIS-DAP


@pytest.fixture
def dap(chip: SimulatedChip) -> CmsisDap:
    """Connected by SWD, powered, AP0 selected for words."""
    dap = CmsisDap(chip)
    assert dap.handle(bytes([0x02, 1])) == bytes([0x02, 1])
    for sequence in ("12 33 FFFFFFFFFFFF07", "12 10 9EE7", "12 33 FFFFFFFFFFFF07", "12 08 00"):
        assert dap.handle(bytes.fromhex(sequence)) == b"\x12\0"
    setup = struct.pack("<BBB BIBI", 5, 0, 3, 0x04, POWER_UP, 0x08, 0) + struct.pack("<BI", 0x01, WORDS_COUNTING_UP)
    assert dap.handle(bytes([5, 0, 1, 0x02])) == bytes([5, 1, 1]) + bytes.fromhex("7724A06B")
    assert dap.handle(setup) == bytes([5, 3, 1])
    return dap


def test_an_unknown_command_answers_ff(dap: CmsisDap) -> None:
    assert dap.handle(bytes([0x80, 1])) == b"\xff"


def test_transfers_stop_at_the_first_that_fails(dap: CmsisDap, chip: SimulatedChip) -> None:
    """Count, acknowledgement, and the words read before."""
    chip.write(SRAM1, bytes(range(8)), 4)
    packet = b"\x05\0\x05" + struct.pack("<BIBBIBB", 0x05, SRAM1, 0x0F, 0x05, NOWHERE, 0x0F, 0x0F)
    assert dap.handle(packet) == bytes([5, 3, 4, 0, 1, 2, 3])
    assert dap.handle(bytes([8, 0, 0x1E, 0, 0, 0])) == bytes([8, 0])
    assert dap.handle(b"\x05\0\x02" + struct.pack("<BIB", 0x05, SRAM1 + 4, 0x0F)) == bytes([5, 2, 1, 4, 5, 6, 7])


def test_a_block_reports_how_far_it_came(dap: CmsisDap, chip: SimulatedChip) -> None:
    chip.write(SRAM1, bytes(range(8)), 4)
    dap.handle(b"\x05\0\x01" + struct.pack("<BI", 0x05, SRAM1))
    assert dap.handle(struct.pack("<BBHB", 6, 0, 2, 0x0F)) == bytes([6, 2, 0, 1, *range(8)])
    dap.handle(b"\x05\0\x01" + struct.pack("<BI", 0x05, NOWHERE))
    assert dap.handle(struct.pack("<BBHB", 6, 0, 2, 0x0F)) == bytes([6, 0, 0, 4])


def test_a_value_can_be_waited_for(dap: CmsisDap, chip: SimulatedChip) -> None:
    chip.write(SRAM1, (0x1234_0001).to_bytes(4, "little"), 4)
    dap.handle(b"\x04\x02\x96\0\x02\0")
    dap.handle(b"\x05\0\x02" + struct.pack("<BIBI", 0x01, WORDS_COUNTING_UP & ~0x10, 0x05, SRAM1))
    mask = struct.pack("<BI", 0x20, 0xFFFF)
    assert dap.handle(b"\x05\0\x02" + mask + struct.pack("<BI", 0x1F, 1)) == bytes([5, 2, 1])
    assert dap.handle(b"\x05\0\x01" + struct.pack("<BI", 0x1F, 2)) == bytes([5, 0, 0x11])


def test_swd_sequences_reach_the_line(dap: CmsisDap) -> None:
    assert dap.handle(bytes.fromhex("1D 02 33 FFFFFFFFFFFF07 85")) == bytes.fromhex("1D 00 FF")
    assert dap.handle(bytes([5, 0, 1, 0x06])) == bytes([5, 0, 7]), "after a line reset DPIDR comes first"
    assert dap.handle(bytes([5, 0, 1, 0x02]))[:3] == bytes([5, 1, 1])


def test_the_reset_pin_is_read_back(dap: CmsisDap, chip: SimulatedChip) -> None:
    assert dap.handle(bytes([0x10, 0x00, 0x80, 0, 0, 0, 0])) == bytes([0x10, 0x03])
    assert chip.state.held
    assert dap.handle(bytes([0x10, 0x00, 0x00, 0, 0, 0, 0])) == bytes([0x10, 0x03])
    assert dap.handle(bytes([0x10, 0x80, 0x80, 0, 0, 0, 0])) == bytes([0x10, 0x83])
    assert not chip.state.held


def test_a_disconnected_probe_moves_nothing(dap: CmsisDap) -> None:
    assert dap.handle(b"\x03") == b"\x03\0"
    assert dap.handle(bytes([5, 0, 1, 0x02])) == bytes([5, 0, 7])
    assert dap.handle(struct.pack("<BBHB", 6, 0, 2, 0x0F)) == bytes([6, 0, 0, 7])
