"""What every debug probe has to do for the flasher, asked of each adapter over its simulated probe."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flasher.errors import ProbeLostError, ProbeUnavailableError, TargetUnavailableError, TransferError
from flasher.registers import CPUID, DHCSR, PWR_CR4, S_HALT, SRAM1
from flasher.sim.dll_link import Fails, Survives, Unsettled
from flasher.sim.errors import HostKilledError
from flasher.sim.faults import Fault
from tests.support.jlinks import own_locks_and_no_sleep
from tests.support.probe_rigs import KINDS, Rig

__all__ = ["own_locks_and_no_sleep"]

FLASH, NOWHERE, SRAM2A = 0x0800_0000, 0xF000_0000, 0x2003_0000
POLICIES = [Survives(), Fails(), *map(Unsettled, range(5))]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(kind: str) -> Iterator[Rig]:
    """Connected."""
    rig = Rig(kind)
    rig.probe.connect()
    yield rig
    rig.probe.close()


# --- connecting


def test_connecting_changes_nothing_on_the_chip(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(kind)
    writes: list[int] = []
    monkeypatch.setattr(rig.chip, "write", lambda address, _data, _width: writes.append(address))
    epoch = rig.chip.epoch
    rig.probe.connect()
    rig.probe.close()
    assert (writes, rig.chip.epoch, rig.chip.is_halted) == ([], epoch, False)


def test_the_probe_is_known_once_it_was_opened(kind: str) -> None:
    rig = Rig(kind)
    with pytest.raises(ProbeUnavailableError, match="opened yet"):
        _ = rig.probe.info
    rig.probe.connect()
    info = rig.probe.info
    assert all((info.kind, info.product, info.serial, info.firmware, info.library))
    rig.probe.close()
    assert rig.probe.info == info


def test_connecting_twice_works(rig: Rig) -> None:
    rig.probe.connect()
    assert rig.probe.read32(CPUID) == 0x410F_C241


def test_no_probe_is_a_probe_error(kind: str) -> None:
    rig = Rig(kind)
    rig.unplug()
    with pytest.raises(ProbeUnavailableError, match="is connected; plug one in"):
        rig.probe.connect()


def test_a_probe_in_use_is_a_probe_error(kind: str) -> None:
    rig = Rig(kind)
    rig.cable.busy = True
    if kind == "jlink":
        rig.simulated.busy = True
    with pytest.raises(ProbeUnavailableError, match="another program"):
        rig.probe.connect()


def test_a_target_without_power_is_a_target_error(kind: str) -> None:
    rig = Rig(kind)
    rig.chip.power_off()
    with pytest.raises(TargetUnavailableError, match="the chip does not answer over SWD"):
        rig.probe.connect()
    rig.chip.power_on()
    rig.probe.connect()
    assert rig.probe.read32(CPUID) == 0x410F_C241
    rig.probe.close()


@pytest.mark.parametrize("policy", POLICIES)
def test_under_reset_cpu1_halts_at_its_vector(kind: str, policy: Any) -> None:
    rig = Rig(kind, after_reset=policy)
    rig.chip.flash.put_cells(FLASH, (0x2000_1000).to_bytes(4, "little") + (FLASH + 0x101).to_bytes(4, "little"))
    rig.chip.power_cycle()
    rig.chip.advance(0.5)
    assert rig.chip.read(PWR_CR4, 4, 4) != bytes(4), "the application has started CPU2"
    rig.probe.connect(under_reset=True)
    rig.chip.advance(0.5)
    assert rig.chip.is_halted
    assert rig.probe.read32(PWR_CR4) == 0
    rig.probe.close()


def test_the_reset_pin_is_released_when_connecting_fails(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="link-lost", at=1, value=1),))
    if kind == "jlink":
        rig.dll.answer("JLINKARM_Connect", -1)
    with pytest.raises(TargetUnavailableError):
        rig.probe.connect(under_reset=True)
    assert not rig.chip.state.held


def test_closing_never_raises(rig: Rig) -> None:
    rig.unplug()
    rig.probe.close()
    rig.probe.close()
    with pytest.raises(ProbeLostError, match="the probe is not open"):
        rig.probe.read32(CPUID)


# --- accesses


def test_a_word_is_written_and_read_back(rig: Rig) -> None:
    rig.probe.write32(SRAM1, 0xFFFF_FFFE)
    assert rig.probe.read32(SRAM1) == 0xFFFF_FFFE
    assert rig.chip.read(SRAM1, 4, 4) == bytes.fromhex("FEFFFFFF")


@pytest.mark.parametrize(("offset", "size"), [(0, 4), (4, 1020), (1020, 8), (1000, 4096), (12, 30_000)])
def test_blocks_are_written_and_read_back(rig: Rig, offset: int, size: int) -> None:
    """Also where TAR wraps."""
    data = bytes(at * 7 + at // 251 & 0xFF for at in range(size))
    rig.probe.write(SRAM1 + offset, data)
    assert rig.probe.read(SRAM1 + offset, size) == data
    assert rig.chip.read(SRAM1 + offset, size, 4) == data


@pytest.mark.parametrize(
    ("address", "size"), [(0x1_2000_0000, 4), (-4, 4), (0xFFFF_FFFC, 8), (SRAM1 + 2, 4), (SRAM1, 6), (SRAM1, 0)]
)
def test_bad_addresses_never_reach_the_wire(rig: Rig, address: int, size: int) -> None:
    time = rig.chip.clock
    with pytest.raises(AssertionError):
        rig.probe.read(address, size)
    with pytest.raises(AssertionError):
        rig.probe.write(address, bytes(size))
    assert rig.chip.clock == time


def test_a_bus_error_is_a_transfer_error_and_passes(rig: Rig) -> None:
    with pytest.raises(TransferError, match="reading 4 bytes at 0xF0000000 failed"):
        rig.probe.read32(NOWHERE)
    with pytest.raises(TransferError, match="writing 4 bytes at 0xF0000000 failed"):
        rig.probe.write32(NOWHERE, 1)
    rig.probe.write32(SRAM1, 5)
    assert rig.probe.read32(SRAM1) == 5


def test_a_block_that_runs_into_nothing_is_an_error(rig: Rig) -> None:
    end = 0x2004_0000  # of SRAM2B (CMSIS)
    with pytest.raises(TransferError, match="reading 64 bytes at 0x2003FFE0"):
        rig.probe.read(end - 32, 64)
    with pytest.raises(TransferError, match="writing 64 bytes at 0x2003FFE0"):
        rig.probe.write(end - 32, bytes(64))
    assert rig.probe.read32(CPUID) == 0x410F_C241


def test_a_short_read_is_an_error(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="short-read", at=1, on="read", address=SRAM1, value=2),))
    rig.probe.connect()
    with pytest.raises(TransferError, match="reading 64 bytes at 0x20000000 failed"):
        rig.probe.read(SRAM1, 64)
    assert len(rig.probe.read(SRAM1, 64)) == 64
    rig.probe.close()


def test_a_failed_write_is_reported_by_its_own_call(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="access-fails", at=1, on="write", address=SRAM1),))
    rig.probe.connect()
    with pytest.raises(TransferError, match="writing 4 bytes at 0x20000000 failed"):
        rig.probe.write32(SRAM1, 1)
    rig.probe.write32(SRAM1, 2)
    assert rig.chip.read(SRAM1, 4, 4) == (2).to_bytes(4, "little")
    rig.probe.close()


def test_a_killed_host_is_not_taken_for_a_probe_error(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="host-killed", at=1, address=SRAM1),))
    rig.probe.connect()
    with pytest.raises(HostKilledError, match="the host was killed"):
        rig.probe.read32(SRAM1)
    rig.probe.close()


# --- losing the link, the probe, the power


def test_an_unplugged_probe_differs_from_a_failed_access(kind: str) -> None:
    rig = Rig(kind)
    attempts: list[Callable[[], object]] = [
        lambda: rig.probe.read32(SRAM1),
        lambda: rig.probe.read(SRAM1, 64),
        lambda: rig.probe.write32(SRAM1, 0),
        lambda: rig.probe.reset(halt=True),
    ]
    for attempt in attempts:
        rig.probe.connect()
        rig.unplug()
        with pytest.raises(ProbeLostError, match="is gone: "):
            attempt()
        rig.plug()
    rig.probe.connect()
    assert rig.probe.read32(CPUID)
    rig.probe.close()


def test_a_lost_link_is_a_transfer_error_until_reconnected(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="link-lost", at=1, address=SRAM1, value=500),))
    rig.probe.connect()
    for _ in range(2):
        with pytest.raises(TransferError):
            rig.probe.read32(SRAM1)
    with pytest.raises(TargetUnavailableError):
        rig.probe.connect()
    rig.clock.sleep(1.0)
    rig.probe.connect()
    assert rig.probe.read32(CPUID)
    rig.probe.close()


def test_a_power_cycle_needs_a_new_connection(rig: Rig) -> None:
    rig.chip.power_cycle()
    with pytest.raises(TransferError):
        rig.probe.read32(CPUID)
    rig.probe.connect()
    assert rig.probe.read32(CPUID)


@pytest.mark.parametrize("policy", POLICIES)
def test_after_a_reset_words_are_right_or_an_error(kind: str, policy: Any) -> None:
    """An unannounced reset by FUS never gives a wrong word without an error."""
    rig = Rig(kind, after_reset=policy)
    rig.probe.connect()
    data = bytes(range(64))
    rig.probe.write(SRAM1, data)
    rig.chip.reset(halt=False)
    rig.chip.advance(0.1)
    for _ in range(8):
        try:
            assert rig.probe.read(SRAM1, 64) == data
            assert rig.probe.read32(SRAM1 + 4) == 0x0706_0504
        except TransferError:
            continue
    rig.probe.connect()
    assert rig.probe.read(SRAM1, 64) == data
    rig.probe.close()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("halt", [True, False])
def test_a_reset_reaches_the_whole_chip(kind: str, policy: Any, halt: bool) -> None:
    rig = Rig(kind, after_reset=policy)
    rig.probe.connect()
    rig.probe.write32(PWR_CR4, 1 << 15)
    epoch = rig.chip.epoch
    rig.probe.reset(halt=halt)
    assert (rig.chip.epoch, rig.chip.is_halted) == (epoch + 1, halt)
    assert rig.probe.read32(PWR_CR4) == 0
    assert bool(rig.probe.read32(DHCSR) & S_HALT) is halt
    rig.probe.close()


def test_a_reset_without_power_is_a_probe_error(rig: Rig) -> None:
    rig.chip.power_off()
    with pytest.raises((TargetUnavailableError, TransferError)):
        rig.probe.reset(halt=True)
