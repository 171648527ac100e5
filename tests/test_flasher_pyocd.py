"""flasher/pyocd.py on the real pyOCD and simulated probes: each trap of pyOCD, and what is reported then."""

import errno
import importlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from pyocd.core.session import Session
from pyocd.coresight.ap import AccessPort, APv1Address
from pyocd.probe.stlink.usb import STLinkUSBInterface

import flasher.usb_access
from flasher.errors import ProbeLostError, ProbeUnavailableError, TargetUnavailableError, TransferError
from flasher.probe import ProbeRequest
from flasher.pyocd import PyOcd, adapter, find_probes, finding, open_probe
from flasher.pyocd.library import safe_options
from flasher.registers import CPUID, DBGMCU_CR, SRAM1
from flasher.sim.cmsis_dap import CmsisDap, CmsisDapSettings
from flasher.sim.dll_link import Survives
from flasher.sim.faults import Fault
from flasher.sim.pyocd_usb import Cable, CmsisDapInterface, StLinkDevice
from flasher.sim.stlink import V2_1, V3, StLink, StLinkSettings
from imagekit.errors import ExitCode
from tests.support.flashing import SimulatedClock, simulated
from tests.support.probe_rigs import USB_KINDS, Rig

ST_KINDS = USB_KINDS[:2]
AIRCR = 0xE000_ED0C
IDCODE, POWER = 0x09, 0x0B


@pytest.fixture(params=USB_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(kind: str) -> Iterator[Rig]:
    """Connected."""
    rig = Rig(kind)
    rig.probe.connect()
    yield rig
    rig.probe.close()


def stlink(settings: StLinkSettings, **cable: Any) -> PyOcd:
    chip = simulated()
    device = StLinkDevice(StLink(chip, settings=settings), Cable(**cable))
    return PyOcd("stlink", SimulatedClock(chip), usb=lambda: [device])


# --- the package


def test_without_pyocd_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyocd", None)
    for name in [name for name in sys.modules if name.startswith("flasher.pyocd")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ProbeUnavailableError, match=r"need pyOCD .*: pip install 'stm32wb-imagekit\[pyocd\]'$"
    ) as caught:
        importlib.import_module("flasher.pyocd")
    assert caught.value.code is ExitCode.MISSING_PACKAGE


def test_pyocd_is_imported_only_when_asked_for() -> None:
    code = "import sys, flasher.cli, flasher.link; print('pyocd' in sys.modules, 'usb' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert output.split() == ["False", "False"]


# --- the working folder


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with all that pyOCD reads and executes by itself; returns the file that betrays it."""
    mark, elsewhere = tmp_path / "mark", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in (tmp_path, elsewhere):
        for name in ("pyocd_user.py", ".pyocd_user.py"):
            (folder / name).write_text(f"import pathlib\npathlib.Path({str(mark)!r}).write_text('script')\n")
        log = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": str(mark)}}}
        for name in ("pyocd.yaml", ".pyocd.yaml"):
            (folder / name).write_text(f"logging: {log}\nfrequency: 123456\nconnect_mode: under-reset\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYOCD_PROJECT_DIR", str(elsewhere))
    monkeypatch.setattr(Session, "_current_session", None)  # of an earlier test
    return mark


def test_nothing_in_the_working_folder_is_executed(kind: str, evil: Path) -> None:
    rig = Rig(kind)
    rig.probe.probes()  # type: ignore[attr-defined]
    rig.probe.connect()
    rig.probe.close()
    assert not evil.exists()
    assert Path.cwd() == evil.parent, "pyOCD moves to PYOCD_PROJECT_DIR"


def test_the_evil_folder_is_evil(evil: Path) -> None:
    """Guards the test above: pyOCD's own way executes the script, even without its configuration file."""
    Session(Rig("stlink-v2-1").probe._found()[0], options={"no_config": True, "target_override": "cortex_m"})  # type: ignore[attr-defined]
    assert evil.read_text() == "script"
    assert Path.cwd() == evil.parent / "elsewhere"


# --- old objects after a reset


def raw_access(rig: Rig) -> Any:
    """pyOCD's own object for AP0, as a program that keeps it uses it."""
    session = Session(rig.probe._found()[0], auto_open=False, options=safe_options(4000))  # type: ignore[attr-defined]
    session.open(init_board=False)
    session.target.dp.connect()
    access = AccessPort.create(session.target.dp, APv1Address(0))
    access.kept_session = session
    return access


def test_an_old_access_port_reads_wrong_words() -> None:
    """Guards the test below: this is the trap, on the simulated chip as in pyOCD's users' reports."""
    rig = Rig("cmsis-dap", after_reset=Survives())
    access = raw_access(rig)
    access.write_memory_block32(SRAM1, [0x12345678, 2])
    assert access.read_memory_block32(SRAM1, 2) == [0x12345678, 2]
    rig.chip.reset(halt=False)
    rig.chip.advance(0.1)
    assert access.read_memory_block32(SRAM1, 2) != [0x12345678, 2]


def test_after_a_reset_that_the_link_survived_words_are_right(kind: str) -> None:
    rig = Rig(kind, after_reset=Survives())
    rig.probe.connect()
    rig.probe.write(SRAM1, bytes(range(64)))
    rig.chip.reset(halt=False)
    rig.chip.advance(0.1)
    assert rig.probe.read(SRAM1, 64) == bytes(range(64))
    rig.probe.write32(SRAM1, 0xCAFE_0001)
    assert rig.chip.read(SRAM1, 4, 4) == (0xCAFE_0001).to_bytes(4, "little")
    rig.probe.close()


def test_each_connection_has_new_objects(rig: Rig) -> None:
    probe: Any = rig.probe
    before = (probe._session, probe._probe, probe._ap)
    probe.connect()
    assert not any(old is new for old, new in zip(before, (probe._session, probe._probe, probe._ap), strict=True))


# --- WAIT


@pytest.mark.parametrize("waits", [1, 4])
def test_reads_and_ram_writes_are_repeated_after_wait(kind: str, waits: int) -> None:
    rig = Rig(kind)
    rig.probe.connect()
    attempts: list[Callable[[], object]] = [
        lambda: rig.probe.read32(CPUID),
        lambda: rig.probe.read(SRAM1, 4096),
        lambda: rig.probe.write(SRAM1, bytes(4096)),
    ]
    for attempt in attempts:
        before = rig.chip.clock
        rig.simulated.port.waits = waits
        attempt()
        assert not rig.simulated.port.waits
        assert rig.chip.clock > before
    rig.probe.close()


@pytest.mark.parametrize("kind", ST_KINDS)
def test_a_register_write_is_not_repeated_after_wait(kind: str) -> None:
    """It may have reached the register: IPCC, a flash command, a reset."""
    rig = Rig(kind)
    rig.probe.connect()
    rig.simulated.port.waits = 1
    with pytest.raises(TransferError, match=r"writing 4 bytes at 0xE0042004 failed: STLink error \(16\): AP wait"):
        rig.probe.write32(DBGMCU_CR, 7)
    rig.probe.close()


def test_endless_wait_is_a_transfer_error(kind: str) -> None:
    rig = Rig(kind)
    rig.probe.connect()
    rig.simulated.port.waits = 100_000
    with pytest.raises(TransferError, match=r"reading 4 bytes at 0x20000000 failed: .*(AP wait|WAIT ACK)"):
        rig.probe.read32(SRAM1)
    rig.simulated.port.waits = 0
    rig.probe.connect()
    assert rig.probe.read32(CPUID)
    rig.probe.close()


# --- what escapes from pyOCD


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EIO, errno.EPIPE, errno.ENOENT])
def test_usb_errors_mean_that_the_probe_is_gone(rig: Rig, number: int) -> None:
    rig.cable.failures = [number]
    with pytest.raises(ProbeLostError, match=r"(ST-LINK|CMSIS-DAP probe) is gone: .*; check its USB cable"):
        rig.probe.read32(SRAM1)
    with pytest.raises(ProbeLostError, match="the probe is not open"):
        rig.probe.read32(SRAM1)


def test_a_usb_timeout_does_not_advise_to_cut_the_power(rig: Rig) -> None:
    """An ST-LINK on a Nucleo board also powers it."""
    rig.cable.failures = [0, errno.ETIMEDOUT]
    with pytest.raises(ProbeLostError, match=r"stopped answering: .*; run the command again; do NOT unplug a probe"):
        rig.probe.read32(SRAM1)


def test_a_late_answer_is_never_taken_for_the_next_one(rig: Rig) -> None:
    rig.probe.write(SRAM1, bytes(range(8)))
    rig.cable.late = 1
    with pytest.raises(ProbeLostError):
        rig.probe.read32(SRAM1)
    with pytest.raises(ProbeLostError):
        rig.probe.read32(SRAM1 + 4)
    rig.probe.connect()
    assert rig.probe.read32(SRAM1 + 4) == 0x0706_0504


@pytest.mark.parametrize("kind", ST_KINDS)
def test_a_cut_packet_is_a_lost_probe(rig: Rig) -> None:
    """pyOCD only asserts that all of it was written."""
    rig.cable.short_writes = 1
    with pytest.raises(ProbeLostError, match="stopped answering"):
        rig.probe.read32(SRAM1)


@pytest.mark.parametrize("answer", [b"", b"\x05", b"\x05\x02", b"\x06\x01\x00\x01", b"\xff", b"\x05\x04\x01\x00"])
def test_a_malformed_cmsis_dap_answer_is_a_probe_error(answer: bytes) -> None:
    rig = Rig("cmsis-dap")
    rig.probe.connect()
    rig.simulated.handle = lambda _packet: answer
    with pytest.raises((ProbeLostError, TransferError)):
        rig.probe.read32(SRAM1)
    del rig.simulated.handle
    rig.probe.connect()
    assert rig.probe.read32(CPUID)
    rig.probe.close()


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_the_cable_can_be_pulled_at_any_moment(kind: str, at: int) -> None:
    """Nothing but the flasher's own errors leaves the adapter."""
    rig = Rig(kind)
    rig.cable.failures = [*[0] * at, *[errno.ENODEV] * 1000]

    def work() -> None:
        for _ in range(10):
            rig.probe.connect()
            rig.probe.read32(SRAM1)

    with pytest.raises((ProbeLostError, ProbeUnavailableError)):
        work()
    rig.probe.close()


@pytest.mark.parametrize("status", [0x01, 0x06, 0x0C, 0x11, 0x12, 0x13, 0x16, 0x18, 0x19, 0x1A, 0x1D, 0x42, 0x81])
def test_every_status_of_an_access_is_a_transfer_error(status: int) -> None:
    """Many of them are pyOCD's ProbeError, and are about the target all the same."""
    rig = Rig("stlink-v2-1")
    rig.probe.connect()
    rig.simulated.forced = [status]
    with pytest.raises(TransferError, match="reading 4 bytes at 0x20000000 failed"):
        rig.probe.read32(SRAM1)
    rig.probe.close()


# --- why the target does not answer


def test_an_unpowered_target_is_named_with_its_voltage() -> None:
    rig = Rig("stlink-v2-1")
    rig.chip.power_off()
    with pytest.raises(
        TargetUnavailableError, match=r"the target has no power \(0\.00 V measured\); connect its supply"
    ):
        rig.probe.connect()


@pytest.mark.parametrize("status", [IDCODE, POWER])
def test_a_sleeping_target_is_not_called_unpowered(status: int) -> None:
    settings = StLinkSettings(asleep_status=status)
    settings.port.is_asleep = True
    with pytest.raises(TargetUnavailableError, match=r"(is asleep|deep sleep).*; try --under-reset$") as caught:
        stlink(settings).connect()
    assert "no power" not in str(caught.value)


def test_debug_power_that_never_comes_is_noticed() -> None:
    """pyOCD polls for 5 s and then carries on without a word."""
    rig = Rig("cmsis-dap")
    rig.port_settings.is_asleep = True
    begin = time.monotonic()
    with pytest.raises(TargetUnavailableError, match="the chip is asleep: it does not power its debug port"):
        rig.probe.connect()
    assert time.monotonic() - begin < 3


def test_a_locked_target_is_named(kind: str) -> None:
    rig = Rig(kind)
    rig.port_settings.is_locked = True
    with pytest.raises(TargetUnavailableError, match=r"the chip is locked: its debug access port is closed"):
        rig.probe.connect()


def test_a_dead_chip_differs_from_missing_power() -> None:
    settings = StLinkSettings(volts=3.29)
    probe = stlink(settings)
    probe._clock.chip.power_off()  # type: ignore[attr-defined]
    with pytest.raises(
        TargetUnavailableError, match=r"the target has 3\.29 V, and the chip does not answer .*read protection level 2"
    ):
        probe.connect()


def test_a_probe_that_measures_no_voltage_works() -> None:
    probe = stlink(StLinkSettings(measures_voltage=False))
    probe.connect()
    assert probe.read32(CPUID)
    probe.close()


def test_a_reset_that_does_not_happen_is_noticed(kind: str) -> None:
    rig = Rig(kind, faults=(Fault(kind="access-fails", at=1, on="write", address=AIRCR),))
    rig.probe.connect()
    with pytest.raises(TargetUnavailableError, match="resetting the chip failed: DHCSR reads"):
        rig.probe.reset(halt=True)
    rig.probe.close()


def test_under_reset_works_when_the_pin_is_driven_late() -> None:
    """OpenOCD asserts it twice: before debug mode an ST-LINK may not know its pin."""
    settings = StLinkSettings(drives_reset_early=False)
    settings.port.after_reset = Survives()
    probe = stlink(settings)
    probe.connect(under_reset=True)
    assert probe._clock.chip.is_halted  # type: ignore[attr-defined]
    probe.close()


def test_a_pin_that_a_killed_run_left_low_is_released(kind: str) -> None:
    rig = Rig(kind)
    rig.probe.connect()
    rig.probe._probe.assert_reset(True)  # type: ignore[attr-defined]
    assert rig.chip.state.held
    rig.probe.connect()
    rig.clock.sleep(0.1)
    rig.probe.connect()
    assert not rig.chip.state.held
    assert rig.probe.read32(SRAM1) == int.from_bytes(rig.chip.read(SRAM1, 4, 4), "little")
    rig.probe.close()


def test_under_reset_without_the_pin_is_an_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(kind, after_reset=Survives())
    monkeypatch.setattr(rig.chip, "hold_reset", lambda: None)
    monkeypatch.setattr(rig.chip, "release_reset", lambda: None)
    with pytest.raises(TargetUnavailableError, match="was not caught at its reset vector: is the reset pin connected"):
        rig.probe.connect(under_reset=True)


# --- which probe


def test_probes_are_listed_with_their_boards() -> None:
    chip = simulated()
    devices = [StLinkDevice(StLink(chip, serial="A1")), StLinkDevice(StLink(chip, V3, serial="B2"), Cable(busy=True))]
    found = PyOcd("stlink", SimulatedClock(chip), usb=lambda: devices).probes()
    assert [(probe.name, probe.product, probe.board) for probe in found] == [
        ("stlink:A1", "STM32 STLink", "NUCLEO-WB55RG"),
        ("stlink:B2", "STLINK-V3", None),
    ]


def test_a_cmsis_dap_probe_is_listed_with_its_board() -> None:
    chip = simulated()
    interface = CmsisDapInterface(CmsisDap(chip, serial="C3"))
    (found,) = PyOcd("cmsis-dap", SimulatedClock(chip), usb=lambda: [interface]).probes()
    assert (found.name, found.board) == ("cmsis-dap:C3", "NUCLEO-WB55RG")


def test_of_two_probes_none_is_chosen_without_a_serial() -> None:
    chip = simulated()
    devices = [StLinkDevice(StLink(chip, serial=serial)) for serial in ("A1", "B2")]
    with pytest.raises(
        ProbeUnavailableError, match=r"2 ST-LINKs are connected \(A1, B2\); choose one: --probe stlink:"
    ):
        PyOcd("stlink", SimulatedClock(chip), usb=lambda: devices).connect()
    probe = PyOcd("stlink", SimulatedClock(chip), serial="B2", usb=lambda: devices)
    probe.connect()
    assert probe.info.serial == "B2"
    probe.close()


def test_a_serial_that_is_not_connected_lists_the_others() -> None:
    chip = simulated()
    probe = PyOcd("stlink", SimulatedClock(chip), serial="X", usb=lambda: [StLinkDevice(StLink(chip, serial="A1"))])
    with pytest.raises(ProbeUnavailableError, match="ST-LINK X is not connected; connected: A1"):
        probe.connect()


def test_a_second_probe_plugged_in_later_is_not_taken() -> None:
    chip = simulated()
    devices = [StLinkDevice(StLink(chip, serial="B2"))]
    probe = PyOcd("stlink", SimulatedClock(chip), usb=lambda: devices)
    probe.connect()
    devices.insert(0, StLinkDevice(StLink(simulated(), serial="A1")))
    probe.connect()
    assert probe.info.serial == "B2"
    probe.close()


def test_pyocds_own_search_finds_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that the user may not open disturbs it."""
    chip = simulated()
    devices = [StLinkDevice(StLink(chip, serial="A1")), StLinkDevice(StLink(chip, serial="B2"), Cable(denied=True))]
    monkeypatch.setattr(
        "pyocd.probe.stlink.usb.usb_find",
        lambda *, find_all, custom_match: [device for device in devices if find_all and custom_match(device)],
    )
    assert [probe.name for probe in find_probes(ProbeRequest(kind="stlink"))] == ["stlink:A1"]
    with open_probe(ProbeRequest(kind="stlink", address="A1")) as opened:
        opened.probe.connect()
        assert opened.probe.read32(CPUID) == 0x410F_C241
        opened.probe.close()


def test_without_a_probe_none_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(flasher.usb_access, "_SYSFS", tmp_path)
    for name in ("stlink", "cmsis-dap"):
        kind = finding.KINDS[name]
        monkeypatch.setitem(finding.KINDS, name, finding.Kind(kind.name, list, kind.wrap, kind.make))
        assert find_probes(ProbeRequest(kind=name)) == ()
        with pytest.raises(ProbeUnavailableError, match="is connected; plug one in, or check the cable"):
            PyOcd(name, SimulatedClock(simulated())).connect()


@pytest.mark.parametrize(
    ("kind", "ids", "name"),
    [("stlink", ("0483", "374b"), "ST-LINK"), ("cmsis-dap", ("0d28", "0204"), "CMSIS-DAP probe")],
)
def test_a_probe_without_permission_names_the_udev_rule(
    kind: str, ids: tuple[str, str], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pyOCD shows no such probe at all."""
    folder = tmp_path / "sys" / "1-1"
    folder.mkdir(parents=True)
    for file, text in zip(
        ("idVendor", "idProduct", "busnum", "devnum", "product"), (*ids, "1", "7", "DAPLink CMSIS-DAP"), strict=True
    ):
        (folder / file).write_text(f"{text}\n")
    monkeypatch.setattr(flasher.usb_access, "_SYSFS", tmp_path / "sys")
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != "/dev/bus/usb/001/007")
    probe = PyOcd(kind, SimulatedClock(simulated()), usb=list)
    with pytest.raises(
        ProbeUnavailableError, match=rf"{name} {':'.join(ids)} is connected, but .* udev rule of docs/fl"
    ):
        probe.connect()
    monkeypatch.setattr(os, "access", lambda _path, _mode: True)
    with pytest.raises(ProbeUnavailableError, match="plug one in"):
        probe.connect()


def test_the_udev_rule_of_the_docs_covers_every_stlink() -> None:
    page = (Path(__file__).parents[1] / "docs" / "flasher.md").read_text(encoding="utf-8")
    (patterns,) = re.findall(r'ATTR\{idProduct\}=="([^"]+)"', page)
    products = [f"{product:04x}" for product in STLinkUSBInterface.USB_PID_EP_MAP]
    assert sorted(products) == sorted(flasher.usb_access._STLINK_PRODUCTS)
    assert all(any(fnmatchcase(product, pattern) for pattern in patterns.split("|")) for product in products)


def test_a_missing_libusb_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "has_libusb", lambda: False)
    with pytest.raises(
        ProbeUnavailableError, match="no libusb: ST-LINKs cannot be reached; pip install libusb-package"
    ):
        PyOcd("stlink", SimulatedClock(simulated()), usb=list).connect()


def test_firmware_that_is_too_old_is_named() -> None:
    chip = simulated()
    old = StLink(chip, replace(V2_1, jtag=20))
    with pytest.raises(ProbeUnavailableError, match=r"cannot be opened: .*older firmware version"):
        PyOcd("stlink", SimulatedClock(chip), usb=lambda: [StLinkDevice(old)]).connect()


def test_mounted_volumes_are_not_searched_for_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyOCD does that for firmware that cannot name the board; and it opens the probe once more to ask."""
    monkeypatch.setattr("pyocd.probe.stlink_probe.create_mbed_detector", lambda: pytest.fail("volumes are searched"))
    chip = simulated()
    old = replace(V2_1, jtag=30)
    probe = PyOcd("stlink", SimulatedClock(chip), usb=lambda: [StLinkDevice(StLink(chip, old))])
    probe.connect()
    assert probe.probes()[0].board is None
    probe.close()


def test_a_probe_without_swd_is_a_probe_error() -> None:
    chip = simulated()
    interface = CmsisDapInterface(CmsisDap(chip, CmsisDapSettings(has_swd=False)))
    with pytest.raises(TargetUnavailableError, match="wire protocol SWD not supported"):
        PyOcd("cmsis-dap", SimulatedClock(chip), usb=lambda: [interface]).connect()


# --- cleaning up


def test_an_unplugged_probe_is_released(rig: Rig) -> None:
    """pyOCD leaves it open, which keeps the next one from being opened on some systems."""
    assert rig.device.is_claimed
    rig.unplug()
    rig.probe.close()
    assert not rig.device.is_claimed


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_probe_that_fails_at_any_moment_is_released(kind: str, at: int) -> None:
    rig = Rig(kind)
    rig.cable.failures = [*[0] * at, *[errno.EIO] * 1000]
    with suppress(ProbeLostError, ProbeUnavailableError):
        rig.probe.connect()
        rig.probe.write(SRAM1, bytes(8192))
    rig.cable.failures = []
    rig.probe.close()
    assert not rig.device.is_claimed


def test_queued_writes_that_fail_do_not_keep_the_probe_open() -> None:
    rig = Rig("cmsis-dap")
    rig.probe.connect()
    rig.chip.power_off()
    rig.probe._ap.write32(SRAM1, 1)  # type: ignore[attr-defined]
    rig.probe.close()
    assert not rig.device.is_claimed


def test_a_failed_connect_leaves_no_lock_behind(kind: str) -> None:
    """pyOCD keeps its probe locked for ever then: another thread would wait."""
    rig = Rig(kind)
    rig.chip.power_off()
    with pytest.raises(TargetUnavailableError):
        rig.probe.connect()
    rig.chip.power_on()
    words: list[int] = []

    def connect_and_read() -> None:
        rig.probe.connect()
        words.append(rig.probe.read32(CPUID))

    thread = threading.Thread(target=connect_and_read, daemon=True)
    thread.start()
    thread.join(20)
    assert words == [0x410F_C241]
    rig.probe.close()


def test_pyocd_prints_nothing_and_its_log_is_kept(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    rig = Rig(kind)
    rig.chip.power_off()
    with pytest.raises(TargetUnavailableError) as caught:
        rig.probe.connect()
    assert capfd.readouterr() == ("", "")
    assert caught.value.log
    assert len(caught.value.log) <= 50
