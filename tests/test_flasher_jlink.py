"""flasher/jlink.py on the real pylink and the simulated J-Link library: every trap of either, and what is said then."""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pylink
import pytest

from flasher.errors import (
    ProbeError,
    ProbeLostError,
    ProbeUnavailableError,
    TargetUnavailableError,
    TransferError,
)
from flasher.jlink import Found, JLink, load_library
from flasher.registers import CPUID, DHCSR, PWR_CR4, SRAM1
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import Fails, Survives, Unsettled
from flasher.sim.dll_session import Settings
from flasher.sim.errors import HostKilledError
from flasher.sim.faults import Fault, FaultyChip
from flasher.sim.probes import SimulatedJLink
from imagekit.errors import ExitCode
from tests.support.flashing import SimulatedClock, simulated
from tests.support.jlinks import SERIAL, own_locks_and_no_sleep
from tests.support.trampolines import COMPILER, SUFFIX, build

__all__ = ["own_locks_and_no_sleep"]

OTHER = 260_000_002
DLL_OPEN, DLL_CONNECT, DLL_READ, DLL_WRITE = (
    "JLINKARM_OpenEx",
    "JLINKARM_Connect",
    "JLINKARM_ReadMemEx",
    "JLINKARM_WriteMemEx",
)
QUIET = [
    "DisableAutoUpdateFW", "SuppressInfoUpdateFW", "SuppressGUI", "HideDeviceSelection", "SetRestartOnClose",
    "SetInitWorkRAMOnConnect",
]  # fmt: skip
HANDS_OFF = ["DisableFlashDL", "ExcludeFlashCacheRange", "InhibitConnectRetries", "SetEnableMemCache"]


@pytest.fixture
def chip() -> SimulatedChip:
    return simulated()


@pytest.fixture
def dll(chip: SimulatedChip) -> SimulatedDll:
    return SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(after_reset=Survives()))


@pytest.fixture
def probe(dll: SimulatedDll, chip: SimulatedChip) -> Iterator[JLink]:
    """Connected."""
    probe = made(dll, chip)
    probe.connect()
    yield probe
    probe.close()
    dll.raise_stored()


def made(dll: Any, chip: Any, **choices: Any) -> JLink:
    return JLink(dll, SimulatedClock(chip), **choices)


def two_probes(chip: SimulatedChip) -> SimulatedDll:
    return SimulatedDll(
        [SimulatedJLink(serial=SERIAL, chip=simulated()), SimulatedJLink(serial=OTHER, chip=chip, product="J-Link PRO")]
    )


# --- the library


def test_no_library_in_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flasher.jlink._installed_library", lambda: None)
    monkeypatch.setattr(pylink.library.Library, "load_default", lambda _self: False)
    with pytest.raises(ProbeUnavailableError, match=r"no J-Link library in the usual places; install .* --jlink-dll"):
        load_library(None)


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "libjlinkarm.so"
    with pytest.raises(ProbeUnavailableError, match=r"libjlinkarm\.so: no J-Link library: .*; install SEGGER's"):
        load_library(str(path))
    assert list(tmp_path.iterdir()) == [], "no temporary copy was left behind"


def test_a_folder_and_a_non_library_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "readme.txt"
    text.write_text("not a library")
    for path in (tmp_path, text):
        with pytest.raises(ProbeUnavailableError, match="no J-Link library: "):
            load_library(str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="which library is always there differs")
def test_a_foreign_library_is_refused() -> None:
    with pytest.raises(ProbeUnavailableError, match=r"libc\.so\.6: no J-Link library: .*JLINKARM_OpenEx"):
        load_library("libc.so.6")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler: no file to load")
def test_a_library_in_a_file_is_loaded_where_it_lies_and_named(
    tmp_path: Path, dll: SimulatedDll, chip: SimulatedChip
) -> None:
    """A copy in the temporary folder would not find its own files beside itself (pylink issues 32, 108)."""
    path = tmp_path / f"libjlinkarm{SUFFIX}"  # a path without a version: what pylink copies if it may choose
    kept = build(dll, path)
    before = set(tmp_path.iterdir())
    probe = made(load_library(str(path)), chip)
    probe.connect()
    assert set(tmp_path.iterdir()) - before == {tmp_path / f".pylink-usb-{SERIAL}.lck"}
    assert probe.info.library == f"{path} V9.14a"
    assert probe.read32(SRAM1) == int.from_bytes(chip.read(SRAM1, 4, 4), "little")
    probe.close()
    del kept


def test_another_package_of_the_name_pylink(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyPI has a library for serial ports under the same name of import."""
    monkeypatch.setitem(sys.modules, "pylink", ModuleType("pylink"))
    monkeypatch.delitem(sys.modules, "flasher.jlink")
    with pytest.raises(ProbeUnavailableError, match="not pylink-square: pip uninstall pylink"):
        importlib.import_module("flasher.jlink")


@pytest.mark.parametrize("serial", [None, SERIAL])
@pytest.mark.parametrize("symbol", ["JLINKARM_IsOpen", "JLINKARM_GetRegisterName", "JLINKARM_GetSN", DLL_CONNECT])
def test_a_library_that_lacks_a_function(chip: SimulatedChip, symbol: str, serial: int | None) -> None:
    """pylink says AttributeError, some already when its object is made."""
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], without=[symbol])
    with pytest.raises(ProbeError, match=f"undefined symbol: {symbol}"):
        made(dll, chip, serial=serial).connect()


# --- which probe


def test_probes_are_listed(chip: SimulatedChip) -> None:
    assert made(two_probes(chip), chip).probes() == (
        Found(SERIAL, "J-Link", "USB"),
        Found(OTHER, "J-Link PRO", "USB"),
    )


def test_listing_fails_with_the_librarys_code(dll: SimulatedDll, chip: SimulatedChip) -> None:
    for code in (-1, -5):  # -5: pylink says ValueError
        dll.answer("JLINKARM_EMU_GetList", code)
        with pytest.raises(ProbeUnavailableError, match="listing J-Links failed: "):
            made(dll, chip).probes()


def test_no_probe(chip: SimulatedChip) -> None:
    with pytest.raises(ProbeUnavailableError, match="no J-Link is connected; plug one in"):
        made(SimulatedDll([]), chip).connect()


def test_of_two_probes_none_is_chosen_and_no_dialog_opens(chip: SimulatedChip) -> None:
    dll = two_probes(chip)
    with pytest.raises(ProbeUnavailableError, match=f"2 J-Links .*{SERIAL}, {OTHER}.* --probe jlink:SERIAL"):
        made(dll, chip).connect()
    assert not dll.counters.calls[DLL_OPEN]


def test_of_two_probes_the_serial_decides(chip: SimulatedChip) -> None:
    probe = made(two_probes(chip), chip, serial=OTHER)
    probe.connect()
    assert (probe.info.serial, probe.info.product) == (str(OTHER), "J-Link PRO")
    probe.close()


def test_the_only_probe_is_opened_by_its_serial_then_and_later(dll: SimulatedDll, chip: SimulatedChip) -> None:
    """Without a serial pylink takes any probe: a second one that is plugged in meanwhile must not be taken."""
    probe = made(dll, chip)
    probe.connect()
    probe.close()
    other = simulated()
    dll.desk.probes.insert(0, SimulatedJLink(serial=OTHER, chip=other))
    probe.connect()
    assert probe.info.serial == str(SERIAL)
    assert not dll.counters.calls["JLINKARM_SelectUSB"]
    probe.close()


def test_a_serial_that_is_not_there(dll: SimulatedDll, chip: SimulatedChip) -> None:
    with pytest.raises(
        ProbeUnavailableError,
        match="J-Link 7 is not there, or another program holds it: No emulator with serial number 7",
    ):
        made(dll, chip, serial=7).connect()


def test_a_probe_that_another_program_holds(dll: SimulatedDll, chip: SimulatedChip) -> None:
    dll.desk.probes[0].busy = True
    with pytest.raises(
        ProbeUnavailableError,
        match=f"J-Link {SERIAL} is not there, or another program holds it: Cannot connect to J-Link",
    ) as caught:
        made(dll, chip).connect()
    assert caught.value.log == ("Cannot connect to J-Link.",)
    assert caught.value.code is ExitCode.UNREACHABLE


def test_after_a_failed_open_the_probe_can_be_opened_at_once(
    dll: SimulatedDll, chip: SimulatedChip, tmp_path: Path
) -> None:
    """pylink's lock file stays as long as its object does, and an error that is kept keeps that object."""
    dll.desk.probes[0].busy = True
    probe = made(dll, chip)
    gc.disable()
    try:
        with pytest.raises(ProbeUnavailableError) as kept:
            probe.connect()
        assert not list(tmp_path.glob("*.lck"))
        dll.desk.probes[0].busy = False
        probe.connect()
    finally:
        gc.enable()
    assert kept.value.log
    probe.close()
    assert not list(tmp_path.glob("*.lck"))


def test_a_lock_of_another_program_is_respected(dll: SimulatedDll, chip: SimulatedChip) -> None:
    other = pylink.JLink(lib=dll)
    other.open(SERIAL)
    with pytest.raises(ProbeUnavailableError, match="J-Link is already open"):
        made(dll, chip).connect()
    other.close()
    probe = made(dll, chip)
    probe.connect()
    probe.close()


def test_who_the_probe_is_is_known_once_it_was_open(dll: SimulatedDll, chip: SimulatedChip) -> None:
    probe = made(dll, chip, kind="sim")
    with pytest.raises(ProbeUnavailableError, match="no J-Link was opened yet"):
        _ = probe.info
    probe.connect()
    info = probe.info
    assert (info.kind, info.product, info.serial, info.library) == ("sim", "J-Link", str(SERIAL), "simulated V9.14a")
    assert info.firmware.startswith("J-Link V11 compiled")
    probe.close()
    assert probe.info == info


# --- command strings


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent, from here on, with a mark for the opening."""
    said: list[str] = []
    monkeypatch.setattr(pylink.JLink, "exec_command", _noting(said, pylink.JLink.exec_command, lambda text: text))
    monkeypatch.setattr(pylink.JLink, "open", _noting(said, pylink.JLink.open, lambda serial: f"open {serial}"))
    return said


def _noting(said: list[str], original: Callable[..., Any], name: Callable[[Any], str]) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any) -> Any:
        said.append(name(*arguments))
        return original(self, *arguments)

    return call


@pytest.mark.parametrize("version", [76000, 91200, 91401, 92200, 100000])
def test_commands_come_after_open_alone_whatever_the_version(
    chip: SimulatedChip, commands: list[str], version: int
) -> None:
    """From 9.14a on a command before open() spoils it (pylink issue 254); 10.0 sorts before 5.02 as pylink compares."""
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(version=version))
    probe = made(dll, chip)
    probe.connect()
    assert commands[0] == f"open {SERIAL}"
    assert [text.split()[0] for text in commands[1:]] == [*QUIET, *HANDS_OFF, "Device", *HANDS_OFF]
    assert not any("SilentUpdateFW" in text for text in commands), "it would reflash the probe"
    probe.close()


@pytest.mark.parametrize("unknown", QUIET)
def test_a_library_without_a_cosmetic_command_is_accepted(chip: SimulatedChip, unknown: str) -> None:
    settings = Settings(unknown_commands=frozenset({unknown.lower()}))
    probe = made(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], settings), chip)
    probe.connect()
    assert probe.read32(CPUID)
    probe.close()


@pytest.mark.parametrize("answer", ["text", "code"])
@pytest.mark.parametrize("unknown", HANDS_OFF)
def test_a_library_that_would_not_keep_its_hands_off_is_refused(
    chip: SimulatedChip, unknown: str, answer: Literal["text", "code"]
) -> None:
    """The refusal names the string and the version. V6.18c, V7.84e and V7.86c answer with a code alone."""
    settings = Settings(unknown_commands=frozenset({unknown.lower()}), unknown_answer=answer)
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], settings)
    reason = {"text": f"ERROR: Unknown command: {unknown}", "code": r"code 1\)"}[answer]
    with pytest.raises(
        ProbeUnavailableError, match=rf"the J-Link library V\S+ does not accept '{unknown}.*' \({reason}"
    ):
        made(dll, chip).connect()
    assert not dll.counters.calls[DLL_CONNECT]
    assert not dll.desk.probes[0].busy, "it was closed again"


def test_the_memory_cache_is_switched_off_on_every_connection(chip: SimulatedChip) -> None:
    """A cached word of SRAM2 would hide what CPU2 writes while CPU1 is halted."""
    chip.halt()
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(memory_cache=True))
    probe = made(dll, chip)
    for _ in range(2):
        probe.connect()
        before = probe.read32(SRAM1)
        chip.ram.put_words(SRAM1, before ^ 1)
        assert probe.read32(SRAM1) == before ^ 1
        probe.close()


def test_the_answers_to_all_command_strings_are_kept(probe: JLink) -> None:
    answers = probe.command_answers()
    assert [answer.command.split()[0] for answer in answers] == [*QUIET, *HANDS_OFF]
    assert all(answer.is_accepted for answer in answers)


def test_a_word_is_read_through_the_access_port_too(probe: JLink, chip: SimulatedChip) -> None:
    chip.ram.put_words(SRAM1, 0x12345678)
    assert probe.read32_through_ap(SRAM1) == 0x12345678
    assert probe.read32(SRAM1) == 0x12345678


# --- connecting


def test_a_chip_without_power(dll: SimulatedDll, chip: SimulatedChip) -> None:
    chip.power_off()
    with pytest.raises(
        TargetUnavailableError,
        match=r"the chip does not answer over SWD: Target system has no power$",
    ) as caught:
        made(dll, chip).connect()
    assert "VTarget too low: target has no power" in caught.value.log
    assert not dll.desk.probes[0].busy


def test_a_dead_chip_under_power(dll: SimulatedDll, chip: SimulatedChip) -> None:
    chip.power_off()
    dll.desk.probes[0].vtarget_millivolts = 3300
    with pytest.raises(
        TargetUnavailableError,
        match="the chip does not answer over SWD: Unspecified error",
    ) as caught:
        made(dll, chip).connect()
    assert "Could not connect to the target device." in caught.value.log


def test_a_code_that_pylink_does_not_know(dll: SimulatedDll, chip: SimulatedChip) -> None:
    dll.answer(DLL_CONNECT, -5)
    with pytest.raises(
        TargetUnavailableError,
        match="the chip does not answer over SWD: Invalid error code: -5",
    ):
        made(dll, chip).connect()


def test_a_connection_without_a_chip_is_refused(dll: SimulatedDll, chip: SimulatedChip) -> None:
    """pylink's connect() returns, and the library is connected to nothing (pylink issue 144)."""
    dll.answer(DLL_CONNECT, 0)
    with pytest.raises(TargetUnavailableError, match="connected to no chip"):
        made(dll, chip).connect()


@pytest.mark.parametrize("came", [0, -1, -5])
def test_a_chip_that_answers_nothing(dll: SimulatedDll, chip: SimulatedChip, came: int) -> None:
    dll.answer(DLL_READ, came)
    with pytest.raises(TargetUnavailableError, match=r"does not answer reads|does not answer over SWD"):
        made(dll, chip).connect()


def test_a_probe_without_swd(dll: SimulatedDll, chip: SimulatedChip) -> None:
    dll.answer("JLINKARM_TIF_Select", 1)
    with pytest.raises(TargetUnavailableError, match="this probe has no SWD"):
        made(dll, chip).connect()


def test_attaching_resets_and_halts_nothing(dll: SimulatedDll, chip: SimulatedChip) -> None:
    epoch = chip.epoch
    probe = made(dll, chip)
    probe.connect()
    probe.close()
    assert (chip.epoch, chip.is_halted) == (epoch, False)


def test_connecting_again_really_does(probe: JLink, dll: SimulatedDll) -> None:
    """pylink's own connect() does nothing while it thinks that it is connected, and its open() counts."""
    names = (DLL_OPEN, "JLINKARM_TIF_Select", DLL_CONNECT)
    before = [dll.counters.calls[name] for name in names]
    probe.connect()
    assert [dll.counters.calls[name] for name in names] == [count + 1 for count in before]
    probe.close()
    assert not dll.desk.probes[0].busy


@pytest.mark.parametrize("policy", [Survives(), Fails()])
def test_a_reset_is_lived_through_by_connecting_again(chip: SimulatedChip, policy: Any) -> None:
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(after_reset=policy))
    probe = made(dll, chip)
    probe.connect()
    chip.reset(halt=False)
    chip.advance(0.1)
    if isinstance(policy, Fails):
        with pytest.raises(TransferError, match="reading 4 bytes at 0xE000ED00 failed"):
            probe.read32(CPUID)
    probe.connect()
    assert probe.read32(CPUID)
    probe.close()


@pytest.mark.parametrize("policy", [Survives(), Fails(), *map(Unsettled, range(5))])
def test_under_reset_cpu1_is_caught_at_its_vector(chip: SimulatedChip, policy: Any) -> None:
    """The debug unit alone answers while the pin is low; the application does not get to start CPU2.

    Letting the pin go is a reset, and what the library makes of it is not known.
    """
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(after_reset=policy))
    chip.flash.put_cells(0x08000000, (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little"))
    chip.power_cycle()
    chip.advance(0.5)
    assert chip.read(PWR_CR4, 4, 4) != bytes(4), "the application has started CPU2"
    epoch = chip.epoch
    probe = made(dll, chip)
    probe.connect(under_reset=True)
    assert chip.epoch > epoch
    assert chip.is_halted
    chip.advance(0.5)
    assert probe.read32(PWR_CR4) == 0
    assert probe.read32(DHCSR) & 1 << 17
    probe.close()


def test_under_reset_the_pin_is_let_go_when_connecting_fails(dll: SimulatedDll, chip: SimulatedChip) -> None:
    dll.answer(DLL_CONNECT, -1)
    with pytest.raises(TargetUnavailableError):
        made(dll, chip).connect(under_reset=True)
    assert not chip.state.held


def test_closing_never_raises(dll: SimulatedDll, chip: SimulatedChip) -> None:
    probe = made(dll, chip)
    probe.close()
    probe.connect()
    dll.desk.probes[0].unplug()
    probe.close()
    probe.close()
    with pytest.raises(ProbeLostError, match="the probe is not open"):
        probe.read32(CPUID)


# --- accesses


def test_words_and_blocks(probe: JLink, chip: SimulatedChip) -> None:
    probe.write32(SRAM1, 0xFFFF_FFFE)
    assert probe.read32(SRAM1) == 0xFFFF_FFFE, "unsigned"
    data = bytes(range(256)) * 16
    probe.write(SRAM1, data)
    assert probe.read(SRAM1, len(data)) == data
    assert chip.read(SRAM1, len(data), 4) == data


def test_a_word_is_one_access_of_32_bits(probe: JLink, dll: SimulatedDll) -> None:
    counters = dll.counters
    before = (counters.reads, counters.writes)
    probe.read32(SRAM1)
    probe.write32(SRAM1, 1)
    assert (counters.reads - before[0], counters.writes - before[1]) == (1, 1)


def test_no_access_halts_cpu1(probe: JLink, dll: SimulatedDll) -> None:
    """pylink's halt() costs a second each time."""
    probe.read32(SRAM1)
    probe.write(SRAM1, bytes(64))
    probe.reset(halt=True)
    probe.reset(halt=False)
    assert not dll.counters.calls["JLINKARM_Halt"]


@pytest.mark.parametrize("came", [0, 4, 8, 15])
def test_a_short_read_is_an_error(probe: JLink, dll: SimulatedDll, came: int) -> None:
    dll.answer(DLL_READ, came)
    with pytest.raises(TransferError, match="reading 16 bytes at 0x20000000 failed"):
        probe.read(SRAM1, 16)


def test_a_missing_word_is_not_read_as_zero(probe: JLink, dll: SimulatedDll) -> None:
    dll.answer(DLL_READ, 0)
    with pytest.raises(TransferError, match="reading 4 bytes at 0x20000000"):
        probe.read32(SRAM1)


def test_a_short_read_from_the_wire_is_an_error(chip: SimulatedChip) -> None:
    faulty = FaultyChip(chip, (Fault(kind="short-read", at=1, on="read", address=SRAM1, value=8),))
    probe = made(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=faulty)], Settings(after_reset=Survives())), chip)
    probe.connect()
    with pytest.raises(TransferError, match="reading 64 bytes"):
        probe.read(SRAM1, 64)
    assert len(probe.read(SRAM1, 64)) == 64
    probe.close()


@pytest.mark.parametrize("per_word", [1, 4])
def test_writes_may_be_counted_in_bytes_or_in_words(probe: JLink, dll: SimulatedDll, per_word: int) -> None:
    """Sources disagree; pylink's own test on hardware demands bytes."""
    dll.answer(DLL_WRITE, per_word, 64 * per_word)
    probe.write32(SRAM1, 0)
    probe.write(SRAM1, bytes(256))


@pytest.mark.parametrize("written", [0, 1, 63, 128, 252])
def test_a_short_write_is_an_error(probe: JLink, dll: SimulatedDll, written: int) -> None:
    dll.answer(DLL_WRITE, written)
    with pytest.raises(TransferError, match="writing 256 bytes at 0x20000000 failed"):
        probe.write(SRAM1, bytes(256))


def test_a_quarter_of_a_block_is_not_taken_for_words(probe: JLink, dll: SimulatedDll) -> None:
    """A library that has counted a word as 4 counts bytes."""
    probe.write32(SRAM1, 0)
    dll.answer(DLL_WRITE, 64)
    with pytest.raises(TransferError, match="writing 256 bytes"):
        probe.write(SRAM1, bytes(256))


@pytest.mark.parametrize("code", [-1, -5, -256])
def test_a_failed_access_says_which_one(probe: JLink, dll: SimulatedDll, code: int) -> None:
    dll.answer(DLL_READ, code)
    with pytest.raises(TransferError, match="reading 4 bytes at 0x20000000 failed") as read:
        probe.read32(SRAM1)
    dll.answer(DLL_WRITE, code)
    with pytest.raises(TransferError, match="writing 8 bytes at 0x20000004 failed"):
        probe.write(SRAM1 + 4, bytes(8))
    assert read.value.log == probe.log
    assert f"S/N: {SERIAL}" in read.value.log


@pytest.mark.parametrize("survives", [True, False])
def test_a_pulled_cable_differs_from_a_failed_access(chip: SimulatedChip, survives: bool) -> None:
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(open_survives_unplugging=survives))
    probe = made(dll, chip)
    attempts: list[Callable[[], object]] = [
        lambda: probe.read32(SRAM1),
        lambda: probe.read(SRAM1, 64),
        lambda: probe.write32(SRAM1, 0),
        lambda: probe.reset(halt=True),
    ]
    for attempt in attempts:
        probe.connect()
        dll.desk.probes[0].unplug()
        with pytest.raises(ProbeLostError, match="the J-Link is gone: "):
            attempt()
        dll.desk.probes[0].plug()


def test_a_cable_that_is_pulled_while_connecting(
    dll: SimulatedDll, chip: SimulatedChip, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pylink.JLink.connect

    def connect(self: Any, *arguments: Any) -> None:
        dll.desk.probes[0].unplug()
        original(self, *arguments)

    monkeypatch.setattr(pylink.JLink, "connect", connect)
    with pytest.raises(ProbeLostError, match="the J-Link is gone: "):
        made(dll, chip).connect()


def test_a_reset_that_fails(probe: JLink, dll: SimulatedDll) -> None:
    for code in (-1, -5):
        dll.answer("JLINKARM_Reset", code)
        with pytest.raises(TargetUnavailableError, match="resetting the chip failed: "):
            probe.reset(halt=True)


def test_a_reset_is_one_of_the_whole_chip(probe: JLink, chip: SimulatedChip) -> None:
    for halt in (True, False):
        epoch = chip.epoch
        probe.reset(halt=halt)
        assert (chip.epoch, chip.is_halted) == (epoch + 1, halt)


@pytest.mark.parametrize(
    ("address", "size"), [(0x1_2000_0000, 4), (-4, 4), (0xFFFF_FFFC, 8), (SRAM1 + 2, 4), (SRAM1, 6), (SRAM1, 0)]
)
def test_no_address_is_cut_to_32_bits(probe: JLink, dll: SimulatedDll, address: int, size: int) -> None:
    """ctypes would, without a word; half words have no meaning either."""
    calls = dll.counters.calls[DLL_READ] + dll.counters.calls[DLL_WRITE]
    with pytest.raises(AssertionError):
        probe.read(address, size)
    with pytest.raises(AssertionError):
        probe.write(address, bytes(size))
    if size == 4:
        with pytest.raises(AssertionError):
            probe.read32(address)
        with pytest.raises(AssertionError):
            probe.write32(address, 0)
    assert dll.counters.calls[DLL_READ] + dll.counters.calls[DLL_WRITE] == calls


def test_a_stored_library_error_is_raised_after_the_call(dll: SimulatedDll, chip: SimulatedChip) -> None:
    """No exception crosses C: the simulated library hands it over where the call has failed."""
    dll.desk.probes[0].chip = FaultyChip(chip, (Fault(kind="host-killed", at=1, address=SRAM1),))
    probe = made(dll, chip, after_failure=dll.raise_stored)
    probe.connect()
    with pytest.raises(HostKilledError, match="the host was killed"):
        probe.read32(SRAM1)
    probe.close()


def test_the_log_is_short_and_the_last_of_it(dll: SimulatedDll, chip: SimulatedChip) -> None:
    probe = made(dll, chip)
    for _ in range(40):
        probe.connect()
        probe.close()
    assert len(probe.log) == 50
    assert probe.log[-1].startswith("Found Cortex-M4")
