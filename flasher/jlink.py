"""A J-Link through pylink, with everything that pylink and SEGGER's library do differently than their names suggest.

The only importer of pylink. Traps: pylink raises ValueError for codes that it does not know, TypeError without a
library, AttributeError for a file that is not a library. It fills short reads up with zeros, and keeps saying that a
target is connected which is gone. The library itself caches and programs flash unless told not to, and shows dialogs.
"""

import ctypes
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pylink

from flasher.errors import (
    ProbeError,
    ProbeLostError,
    ProbeUnavailableError,
    TargetUnavailableError,
    TransferError,
)
from flasher.probe import Clock, FoundProbe, OpenedProbe, ProbeInfo, ProbeRequest, RealClock
from flasher.registers import C_DEBUGEN, CPUID, DBGKEY, DEMCR, DHCSR, VC_CORERESET

if not hasattr(pylink, "JLink"):
    raise ProbeUnavailableError("the package 'pylink' is not pylink-square: pip uninstall pylink, then reinstall this")

_LOG_LINES = 50
_DEVICE = "Cortex-M4"
"""A core without flash banks: the library then keeps its hands off the flash (pyOCD does the same)."""
_QUIET = (
    "DisableAutoUpdateFW",
    "SuppressInfoUpdateFW",
    "SuppressGUI = 1",
    "HideDeviceSelection = 1",
    "SetRestartOnClose = 0",
    "SetInitWorkRAMOnConnect = 0",
)
"""No dialogs, no new firmware for the probe, CPU1 and its RAM left alone. Which version knows which is not documented.
A library that does not know one of these is accepted; `flasher doctor` shows its answers."""
_HANDS_OFF = (
    "DisableFlashDL",
    "ExcludeFlashCacheRange 0x08000000-0x080FFFFF",
    "InhibitConnectRetries = 1",
    "SetEnableMemCache = 0",
)
"""A library that does not accept all of these is refused.

CPU2 changes flash and SRAM2 without the library, whose caches would show old bytes. A chip that does not answer at
once is reset by the library through its pin, also while FUS runs (log: "Resetting via Reset pin and trying again").
"""
_SETTLE_SECONDS = 0.05
_DP_SELECT, _AP_CSW, _AP_TAR, _AP_DRW = 2, 0, 1, 3
_CSW_SIZE_AND_INCREMENT, _CSW_WORD = 0x37, 0b10
_ADVICE = "install SEGGER's J-Link software from segger.com, or name the library with --jlink-dll"
_PYLINK_ERRORS = (pylink.errors.JLinkException, ValueError, TypeError, AttributeError, OSError)
"""What pylink raises: -5 from the library is a ValueError, a missing symbol an AttributeError."""


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What the library answered to a command string: a code, 0 for success, and an error text, empty for success.

    Libraries answer an unknown string with the text, or with a code alone (V6.18c, V7.84e, V7.86c).
    """

    command: str
    code: int
    text: str

    @property
    def is_accepted(self) -> bool:
        """Whether the library knows the string and has done what it says."""
        return self.code == 0 and not self.text

    @property
    def reason(self) -> str:
        """The error text, or the code if the text is empty."""
        return self.text or f"code {self.code}"


@dataclass(frozen=True, slots=True)
class Found:
    """A J-Link that could be opened."""

    serial: int
    product: str
    connection: str


class JLink:
    """A probe. `library` is a pylink.Library, or what stands for one; `serial` None takes the only J-Link there is.

    `after_failure` is called after a call that failed: a library written in Python can say there what happened to it.
    """

    def __init__(
        self,
        library: Any,
        clock: Clock,
        *,
        serial: int | None = None,
        speed_khz: int = 4000,
        kind: str = "jlink",
        after_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._library, self._clock, self._serial, self._speed_khz = library, clock, serial, speed_khz
        self._kind, self._after_failure = kind, after_failure
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._jlink: Any = None
        self._info: ProbeInfo | None = None
        self._answers: dict[str, CommandAnswer] = {}
        self._word_counts = 4
        """What the library says when it has written one word: 4 (bytes; pylink's own test demands it) or 1."""

    @property
    def info(self) -> ProbeInfo:
        """Which probe it is; ProbeUnavailableError before it was opened."""
        if self._info is None:
            raise ProbeUnavailableError("no J-Link was opened yet")
        return self._info

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines that the library printed."""
        return tuple(self._log)

    def probes(self) -> tuple[Found, ...]:
        """The J-Links that USB shows."""
        with self._translated(ProbeUnavailableError, "listing J-Links failed"):
            found = self._made().connected_emulators()
        return tuple(
            Found(
                emulator.SerialNumber,
                emulator.acProduct.decode(errors="replace") or "J-Link",
                "USB" if emulator.Connection == pylink.enums.JLinkHost.USB else "IP",
            )
            for emulator in found
        )

    # --- connecting

    def connect(self, *, under_reset: bool = False) -> None:
        """Open and attach; the flash stays unknown to the library. Raises ProbeError."""
        self.close()  # pylink counts open(), and takes a chip that is gone for connected
        serial = self._chosen()
        try:
            self._open(serial)
            self._attach(under_reset=under_reset)
            if under_reset:  # CPU1 is caught; letting the pin go was a reset, and may have ended the connection
                self.close()
                self._open(serial)
                self._attach(under_reset=False)
        except ProbeError:
            self.close()
            raise

    def _chosen(self) -> int:
        """The serial number to open: without one and with two probes the library would ask in a dialog."""
        if self._serial is not None:
            return self._serial
        found = self.probes()
        if not found:
            raise ProbeUnavailableError("no J-Link is connected; plug one in, or look at the cable", self.log)
        if len(found) > 1:
            serials = ", ".join(str(jlink.serial) for jlink in found)
            raise ProbeUnavailableError(
                f"{len(found)} J-Links are connected ({serials}); say which: --probe jlink:SERIAL"
            )
        self._serial = found[0].serial
        return self._serial

    def _open(self, serial: int) -> None:
        with self._translated(ProbeUnavailableError, f"J-Link {serial} is not there, or another program holds it"):
            jlink = self._made()
            jlink.open(serial)
        with self._translated(ProbeUnavailableError, f"J-Link {serial} or its library cannot be used"):
            for command in _QUIET:  # only after open(): before it, V9.14 and later find no probe (pylink issue 254)
                self._execute(command)
            self._keep_hands_off()
            library = getattr(self._library, "_path", None) or "simulated"
            self._info = ProbeInfo(
                kind=self._kind,
                product=jlink.product_name,
                serial=str(jlink.serial_number),
                firmware=jlink.firmware_version,
                library=f"{library} V{jlink.version}",
            )

    def _attach(self, *, under_reset: bool) -> None:
        jlink = self._jlink
        with self._translated(TargetUnavailableError, "the chip does not answer over SWD"):
            if not jlink.set_tif(pylink.enums.JLinkInterfaces.SWD):
                raise TargetUnavailableError("this probe has no SWD", self.log)
            if under_reset:
                jlink.set_reset_pin_low()
                self._clock.sleep(_SETTLE_SECONDS)
            try:
                jlink.connect(_DEVICE, self._speed_khz)
                if not jlink.target_connected():
                    raise TargetUnavailableError("the library connected to no chip", self.log)
                if under_reset:  # the debug unit alone answers while the pin is low
                    jlink.memory_write32(DHCSR, [DBGKEY | C_DEBUGEN])
                    jlink.memory_write32(DEMCR, [VC_CORERESET])
            finally:
                if under_reset:
                    jlink.set_reset_pin_high()
                    self._clock.sleep(_SETTLE_SECONDS)
            self._keep_hands_off()  # a new connection forgets some of it
            if not under_reset and len(jlink.memory_read32(CPUID, 1)) != 1:
                raise TargetUnavailableError("the chip does not answer reads", self.log)

    def _execute(self, command: str) -> CommandAnswer:
        """Send a command string, and note its answer for `command_answers`."""
        try:
            answer = CommandAnswer(command, int(self._jlink.exec_command(command)), "")
        except pylink.errors.JLinkException as error:
            answer = CommandAnswer(command, -1, str(error))
        self._answers[command] = answer
        return answer

    def _keep_hands_off(self) -> None:
        """Make the library leave the chip and its flash alone. Raises ProbeUnavailableError when it refuses."""
        for command in _HANDS_OFF:
            answer = self._execute(command)
            if not answer.is_accepted:
                raise ProbeUnavailableError(
                    f"the J-Link library V{self._jlink.version} does not accept {command!r} ({answer.reason}), so it "
                    "might reset the chip or show old memory; install another version",
                    self.log,
                )

    def command_answers(self) -> tuple[CommandAnswer, ...]:
        """Return the library's answer to every command string that was sent, the last one to each."""
        return tuple(self._answers.values())

    def target_volts(self) -> float:
        """Return the voltage of the target as the probe measures it. Raises ProbeError."""
        with self._translated(TransferError, "reading the target voltage failed"):
            return float(self._opened().hardware_status.VTarget) / 1000

    def read32_through_ap(self, address: int) -> int:
        """Read a word through the registers of AP0, which no cache of the library can answer. Raises ProbeError.

        Registers: Arm Debug Interface (IHI 0031), MEM-AP. CSW is restored, since the library relies on it.
        """
        with self._translated(TransferError, f"reading 0x{address:08X} through AP0 failed"):
            jlink = self._opened()
            jlink.coresight_write(_DP_SELECT, 0, ap=False)
            csw = jlink.coresight_read(_AP_CSW)
            jlink.coresight_write(_AP_CSW, csw & ~_CSW_SIZE_AND_INCREMENT | _CSW_WORD)
            jlink.coresight_write(_AP_TAR, address)
            word = int(jlink.coresight_read(_AP_DRW))
            jlink.coresight_write(_AP_CSW, csw)
            return word

    def _made(self) -> Any:
        """The pylink object: it lives from an open to a close, since it keeps what the library has forgotten."""
        if self._jlink is None:
            say = self._log.append
            self._jlink = pylink.JLink(lib=self._library, log=say, detailed_log=say, error=say, warn=say)
        return self._jlink

    def close(self) -> None:
        """Let the probe go. Never raises."""
        if self._jlink is None:
            return
        with suppress(*_PYLINK_ERRORS):
            self._jlink.close()
        # After an open that failed, pylink keeps its lock file for as long as anything knows the object: any traceback.
        vars(self._jlink)["_lock"] = None
        self._jlink = None

    # --- accesses

    def read32(self, address: int) -> int:
        """Read a word."""
        with self._access("reading", address, 4) as jlink:
            words = jlink.memory_read32(address, 1)
            if len(words) != 1:
                raise ValueError("nothing came")
        return int(words[0])

    def write32(self, address: int, value: int) -> None:
        """Write a word."""
        self.write(address, struct.pack("<I", value))

    def read(self, address: int, size: int) -> bytes:
        """Read whole words; a short answer is an error, whatever pylink makes of it."""
        with self._access("reading", address, size) as jlink:
            data = bytes(jlink.memory_read(address, size))
            if len(data) != size:
                raise ValueError(f"{len(data)} bytes came")
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write whole words. Libraries count what was written in bytes or in words: a single word tells which."""
        with self._access("writing", address, len(data)) as jlink:
            words = struct.unpack(f"<{len(data) // 4}I", data)
            done = jlink.memory_write32(address, words)
            if len(words) == 1 and done in (1, 4):
                self._word_counts = done
            if done != len(words) * self._word_counts:
                raise ValueError(f"{done} were written")

    def reset(self, *, halt: bool) -> None:
        """Reset the chip by SYSRESETREQ: a pin may not be wired, and nothing would say so."""
        with self._translated(TargetUnavailableError, "resetting the chip failed"):
            jlink = self._opened()
            jlink.set_reset_strategy(pylink.enums.JLinkResetStrategyCortexM3.NORMAL)
            jlink.reset(ms=0, halt=halt)

    def _opened(self) -> Any:
        if self._jlink is None:
            raise ProbeLostError("the probe is not open", self.log)
        return self._jlink

    @contextmanager
    def _access(self, what: str, address: int, size: int) -> Iterator[Any]:
        """One access, of whole words, at an address that ctypes will not cut: it would, without a word."""
        if not 0 <= address < address + size <= 1 << 32 or address % 4 or size % 4:
            raise AssertionError(f"{size} bytes at 0x{address:X}")
        with self._translated(TransferError, f"{what} {size} bytes at 0x{address:08X} failed"):
            yield self._opened()

    @contextmanager
    def _translated(self, kind: type[ProbeError], what: str) -> Iterator[None]:
        """Make errors of pylink ours: of one kind, or ProbeLostError where there was a probe and it is gone."""
        try:
            yield
        except _PYLINK_ERRORS as error:
            self._after_failure()
            if kind is not ProbeUnavailableError and self._is_gone():
                kind, what = ProbeLostError, "the J-Link is gone"
            raise kind(f"{what}: {str(error).rstrip('.')}", self.log) from error

    def _is_gone(self) -> bool:
        try:
            return not self._jlink.connected()
        except _PYLINK_ERRORS:
            return True


def load_library(path: str | None) -> Any:
    """Load SEGGER's library, never a copy of it: a copy cannot find its own files. Raises ProbeUnavailableError."""
    where = path or "the usual places"
    try:
        library = pylink.Library(path or _installed_library(), use_tmpcpy=False)
        if library.dll() is None:
            raise ProbeUnavailableError(f"no J-Link library in {where}; {_ADVICE}")
        _ = library.dll().JLINKARM_OpenEx
    except _PYLINK_ERRORS as error:
        raise ProbeUnavailableError(f"{where}: no J-Link library: {error}; {_ADVICE}") from error
    return library


def _installed_library() -> str | None:
    """Return SEGGER's library on Linux; None where pylink shall search.

    pylink asks ctypes.util.find_library(), which starts gcc and ld from PATH on Linux (Python 3.11, ctypes/util.py).
    """
    if not sys.platform.startswith("linux"):
        return None
    name = f"{pylink.Library.JLINK_SDK_NAME}.so"
    with suppress(OSError):
        ctypes.CDLL(name)
        return name
    found = next(pylink.Library.find_library_linux(), None)
    if found is None:
        raise ProbeUnavailableError(f"no J-Link library in the usual places; {_ADVICE}")
    return str(found)


@contextmanager
def open_probe(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open the J-Link of a serial number, or the only one. Raises ProbeUnavailableError."""
    clock = RealClock()
    serial = int(request.address) if request.address else None
    library = load_library(request.library)
    yield OpenedProbe(JLink(library, clock, serial=serial, speed_khz=request.speed_khz), clock)


def find_probes(request: ProbeRequest) -> tuple[FoundProbe, ...]:
    """Return the J-Links that USB shows. Raises ProbeUnavailableError."""
    found = JLink(load_library(request.library), RealClock()).probes()
    return tuple(
        FoundProbe(kind="jlink", serial=str(probe.serial), product=probe.product, connection=probe.connection)
        for probe in found
    )


def library_version(path: str | None = None) -> str:
    """Return the version of SEGGER's library, such as 9.14a. Raises ProbeUnavailableError."""
    library, silent = load_library(path), deque[str](maxlen=1).append
    return str(pylink.JLink(lib=library, log=silent, detailed_log=silent, error=silent, warn=silent).version)
