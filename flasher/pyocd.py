"""ST-LINK and CMSIS-DAP probes through pyOCD, which is used as a USB and SWD library only.

The only importer of pyOCD; loaded only when such a probe is asked for. Of pyOCD it uses the USB drivers, the debug port
and one access port: no discovery, no core objects, no caches, no flash code. Nothing is written to the chip when it
attaches. pyOCD's traps are cured here and named where they are cured (pyOCD 0.46.0).
"""

import errno
import logging
import os
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flasher.errors import (
    ProbeError,
    ProbeLostError,
    ProbeUnavailableError,
    TargetUnavailableError,
    TransferError,
)
from flasher.probe import Clock, FoundProbe, OpenedProbe, ProbeInfo, ProbeRequest, RealClock
from flasher.registers import C_DEBUGEN, C_HALT, CPUID, DBGKEY, DEMCR, DHCSR, S_HALT, VC_CORERESET
from flasher.usb_access import forbidden_probe

try:
    import usb.core
    from pyocd import __version__ as pyocd_version
    from pyocd.board.board_ids import BOARD_ID_TO_INFO
    from pyocd.core import exceptions
    from pyocd.core.session import Session
    from pyocd.coresight import dap
    from pyocd.coresight.ap import AccessPort, APv1Address
    from pyocd.probe.cmsis_dap_probe import CMSISDAPProbe
    from pyocd.probe.pydapaccess.dap_access_cmsis_dap import DAPAccessCMSISDAP, _get_interfaces
    from pyocd.probe.stlink.usb import STLinkUSBInterface
    from pyocd.probe.stlink_probe import StlinkProbe
except ImportError as error:
    raise ProbeUnavailableError(
        f"ST-LINK and CMSIS-DAP probes need pyOCD ({error}): pip install 'stm32wb-imagekit[pyocd]'"
    ) from error

# pyOCD polls without a pause for 5 s until the debug power is acknowledged; a chip that is awake does it at once.
dap.DP_POWER_REQUEST_TIMEOUT = 0.5

_LOG: deque[str] = deque(maxlen=50)
_BLOCK = 1024
"""TAR counts up within 1 KiB (IHI 0031 C2.2.2): OpenOCD and psdb split blocks, pyOCD's ST-LINK driver does not."""
_WAIT_ATTEMPTS, _WAIT_SECONDS = 5, 0.001
"""pyOCD's ST-LINK driver never repeats an access that was answered WAIT; OpenOCD does it 8 times, probe-rs longer."""
_SETTLE_SECONDS, _RESET_SECONDS = 0.05, 2.0
_AIRCR, _SYSRESETREQ, _S_RESET_ST = 0xE000_ED0C, 0x05FA_0004, 1 << 25  # Arm v7-M, B3.2.6 and C1.6.2
_RAM = 0x2000_0000
_LOWEST_VOLTS = 1.5
"""An STM32WB needs 1.71 V (DS11929, table 24); what an ST-LINK measures is not exact."""
_ASLEEP = 11
"""ST-LINK's status "debug power error" (OpenOCD: STLINK_JTAG_GET_IDCODE_ERROR is 9, ..._DBG_POWER_ERROR 11)."""
_NO_RULE = "this user may not open it: install the udev rule of docs/flasher.md, then unplug it and plug it in again"
_HANGS = "run the command again; do NOT unplug a probe that powers the board: FUS may still be running"
_OTHER_PROGRAM = "another program uses it: close debuggers, STM32CubeIDE and gdb servers"
_UNDER_RESET = "try --under-reset"

_PYOCD_ERRORS = (
    exceptions.Error,
    OSError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pyOCD raises beside its own errors: raw USBErrors (OSError), assertions and parsing errors about packets."""

_Value = TypeVar("_Value")


class _Handler(logging.Handler):
    """Keeps what pyOCD logs for error reports; without a handler Python prints it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        _LOG.append(record.getMessage())


logging.getLogger("pyocd").addHandler(_Handler())
logging.getLogger("pyocd").propagate = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of probe: its name in text, how it is found on USB, and pyOCD's object for one."""

    name: str
    find: Callable[[], Iterable[Any]]
    wrap: Callable[[Any], Any]
    make: Callable[[Any], Any]


_KINDS = {
    "stlink": _Kind("ST-LINK", STLinkUSBInterface.get_all_connected_devices, STLinkUSBInterface, StlinkProbe),
    "cmsis-dap": _Kind(
        "CMSIS-DAP probe",
        _get_interfaces,
        lambda interface: interface,
        lambda interface: CMSISDAPProbe(DAPAccessCMSISDAP(None, interface=interface)),
    ),
}


def _options(speed_khz: int) -> dict[str, Any]:
    """Every option that matters here: what is not given, a pyocd.yaml in the working folder could set.

    Also with `no_config`, pyOCD executes a pyocd_user.py of the project folder unless another script is named, and
    moves the process to PYOCD_PROJECT_DIR unless a folder is named (core/session.py).
    """
    return {
        "no_config": True,
        "user_script": os.devnull,
        "project_dir": str(Path.cwd()),
        "target_override": "cortex_m",
        "connect_mode": "attach",
        "resume_on_disconnect": False,
        "auto_unlock": False,
        "cache.enable_memory": False,
        "cache.enable_register": False,
        "dap_protocol": "swd",
        "frequency": speed_khz * 1000,
        "warning.cortex_m_default": False,
    }


class PyOcd:
    """A probe. `kind` is `stlink` or `cmsis-dap`; `serial` None takes the only one there is.

    `usb` stands for the USB devices: pyusb devices for ST-LINK, pyOCD's USB interfaces for CMSIS-DAP. `label` is the
    kind that reports show.
    """

    def __init__(
        self,
        kind: str,
        clock: Clock,
        *,
        serial: str | None = None,
        speed_khz: int = 4000,
        label: str | None = None,
        usb: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        self._kind, self._clock, self._serial, self._speed_khz = _KINDS[kind], clock, serial, speed_khz
        self._id, self._label, self._usb = kind, label or kind, usb
        self._probe: Any = None
        self._session: Any = None
        self._settings: Any = None
        """A session that only holds options: pyOCD asks for the last one that is still referenced."""
        self._ap: Any = None
        self._info: ProbeInfo | None = None

    @property
    def info(self) -> ProbeInfo:
        """Which probe it is; ProbeUnavailableError before it was opened."""
        if self._info is None:
            raise ProbeUnavailableError(f"no {self._kind.name} was opened yet")
        return self._info

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines that pyOCD logged."""
        return tuple(_LOG)

    # --- finding

    def probes(self) -> tuple[FoundProbe, ...]:
        """Return the probes on USB. Raises ProbeUnavailableError."""
        return tuple(
            FoundProbe(kind=self._label, serial=probe.unique_id, product=probe.product_name, board=_board_name(probe))
            for probe in self._found()
        )

    def _found(self) -> list[Any]:
        """pyOCD's probe objects, made anew: those of a probe that was unplugged stay dead."""
        with self._translated(ProbeUnavailableError, f"listing {self._kind.name}s failed"):
            # Looking for CMSIS-DAP probes makes a session with pyocd.yaml's options unless there is one already.
            self._settings = Session(None, options=_options(self._speed_khz))
            if self._usb is None:
                return [self._kind.make(device) for device in self._kind.find()]
            return [self._kind.make(self._kind.wrap(device)) for device in self._usb() if _may_open(device)]

    def _chosen(self) -> Any:
        """The probe to open. Raises ProbeUnavailableError."""
        found = self._found()
        chosen = [probe for probe in found if self._serial is None or probe.unique_id == self._serial]
        if len(chosen) == 1:
            self._serial = chosen[0].unique_id
            return chosen[0]
        serials = ", ".join(probe.unique_id for probe in found)
        if chosen:
            raise ProbeUnavailableError(
                f"{len(chosen)} {self._kind.name}s are connected ({serials}); choose one: --probe {self._id}:SERIAL"
            )
        raise ProbeUnavailableError(self._missing(serials), self.log)

    def _missing(self, serials: str) -> str:
        """Say why there is no such probe: pyOCD shows none that the user may not open, and none without libusb."""
        name = self._kind.name
        if serials:
            return f"{name} {self._serial} is not connected; connected: {serials}"
        if forbidden := forbidden_probe(self._id):
            return f"{name} {forbidden} is connected, but {_NO_RULE}"
        if not _has_libusb():
            return f"no libusb: {name}s cannot be reached; pip install libusb-package"
        return f"no {name} is connected; plug one in, or check the cable"

    # --- connecting

    def connect(self, *, under_reset: bool = False) -> None:
        """Open and attach, with new objects: pyOCD's old ones read wrong words after a reset. Raises ProbeError."""
        self.close()
        try:
            if under_reset:
                self._open()
                self._catch()
                self.close()
            self._open()
            self._attach()
            if under_reset:
                self._check_halted()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        probe = self._chosen()
        name = f"{self._kind.name} {self._serial}"
        with self._translated(ProbeUnavailableError, f"{name} cannot be opened"):
            # Else the session opens the probe to ask for its board, and looks for it on mounted volumes.
            probe.create_associated_board = lambda: None
            self._session = Session(probe, auto_open=False, options=_options(self._speed_khz))
            self._probe = probe
            self._session.open(init_board=False)
        self._info = ProbeInfo(
            kind=self._label,
            product=probe.product_name or self._kind.name,
            serial=probe.unique_id,
            firmware=_firmware(probe),
            library=f"pyOCD {pyocd_version}",
        )

    def _attach(self) -> None:
        """Attach to AP0 and prove that the chip answers. Raises TargetUnavailableError, ProbeLostError."""
        with self._translated(TargetUnavailableError, "no answer over SWD"):
            port = self._session.target.dp
            port.connect()
            status = port.read_reg(dap.DP_CTRL_STAT)  # power_up_debug() gave up without a word if it is not there
            powered = dap.CDBGPWRUPACK | dap.CSYSPWRUPACK
            if status & powered != powered:
                raise TargetUnavailableError(f"the chip is asleep: it does not power its debug port; {_UNDER_RESET}")
            access = AccessPort.create(port, APv1Address(0))
            port.flush()
            if not access.is_enabled:
                raise TargetUnavailableError(
                    "the chip is locked: its debug access port is closed (CSW.DeviceEn is 0), as by read protection"
                )
            self._ap = access
            if access.read32(CPUID) in (0, 0xFFFF_FFFF):
                raise TargetUnavailableError("the debug port answers, and CPU1 does not")

    def _catch(self) -> None:
        """Reset the chip by its pin, and have CPU1 halt at its reset vector."""
        try:
            with self._translated(ProbeLostError, "pulling the reset pin failed"):
                self._probe.assert_reset(True)
                self._clock.sleep(_SETTLE_SECONDS)
            self._attach()
            with self._translated(TargetUnavailableError, "catching CPU1 under reset failed"):
                # Once more: an ST-LINK may not drive the pin before it is in debug mode (OpenOCD does the same).
                self._probe.assert_reset(True)
                self._clock.sleep(_SETTLE_SECONDS)
                self._ap.write32(DHCSR, DBGKEY | C_DEBUGEN)
                self._ap.write32(DEMCR, VC_CORERESET)
                self._session.target.dp.flush()
        finally:
            self._release()
            self._clock.sleep(_SETTLE_SECONDS)

    def _release(self) -> None:
        """Let the reset pin go. Twice if need be: pyOCD first sends writes that a CMSIS-DAP probe still has to make."""
        for _ in range(2):
            with suppress(*_PYOCD_ERRORS):
                self._probe.assert_reset(False)
                return

    def _check_halted(self) -> None:
        if not self.read32(DHCSR) & S_HALT:
            raise TargetUnavailableError("CPU1 was not caught at its reset vector: is the reset pin connected?")

    def close(self) -> None:
        """Let the probe go. Never raises.

        Session.close() leaves an unplugged ST-LINK open, and raises a USBError for an unplugged CMSIS-DAP probe.
        """
        probe, self._probe, self._session, self._ap = self._probe, None, None, None
        if probe is None:
            return
        if probe.is_open and probe.wire_protocol is not None:
            with suppress(*_PYOCD_ERRORS):
                probe.disconnect()
        with suppress(*_PYOCD_ERRORS):
            probe.close()
        device = getattr(probe._link, "_device", None)  # noqa: SLF001 - an ST-LINK that failed to close
        if device is not None and device.is_open:
            with suppress(*_PYOCD_ERRORS):
                device.close()

    # --- accesses

    def read32(self, address: int) -> int:
        """Read a word."""
        return int(struct.unpack("<I", self.read(address, 4))[0])

    def write32(self, address: int, value: int) -> None:
        """Write a word."""
        self.write(address, struct.pack("<I", value))

    def read(self, address: int, size: int) -> bytes:
        """Read whole words."""
        _check(address, size)
        with self._translated(TransferError, f"reading {size} bytes at 0x{address:08X} failed"):
            parts = [self._repeated(_WAIT_ATTEMPTS, self._read_words, *piece) for piece in _pieces(address, size)]
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write whole words; when this returns they are written. pyOCD queues writes for CMSIS-DAP probes."""
        _check(address, len(data))
        attempts = 1
        if address >> 28 == _RAM >> 28:  # a register or flash may have taken the write that was answered WAIT
            attempts = _WAIT_ATTEMPTS
        with self._translated(TransferError, f"writing {len(data)} bytes at 0x{address:08X} failed"):
            for at, size in _pieces(address, len(data)):
                self._repeated(attempts, self._write_words, at, data[at - address : at - address + size])

    def _read_words(self, address: int, size: int) -> bytes:
        words = self._opened().read_memory_block32(address, size // 4)
        if len(words) != size // 4:
            raise ValueError(f"{len(words)} words came")
        return struct.pack(f"<{len(words)}I", *words)

    def _write_words(self, address: int, data: bytes) -> None:
        access = self._opened()
        access.write_memory_block32(address, list(struct.unpack(f"<{len(data) // 4}I", data)))
        access.dp.flush()

    def _opened(self) -> Any:
        if self._ap is None:
            raise ProbeLostError("the probe is not open", self.log)
        # pyOCD remembers CSW and does not write it again: a reset of the AP would make it read wrong words.
        self._ap._invalidate_cache()  # noqa: SLF001 - there is no other way
        return self._ap

    def _repeated(self, attempts: int, access: Callable[..., _Value], *arguments: Any) -> _Value:
        """Carry out an access, again while the target answers WAIT."""
        for attempt in range(attempts - 1):
            try:
                return access(*arguments)
            except exceptions.TransferTimeoutError:
                self._clock.sleep(_WAIT_SECONDS * 2**attempt)
        return access(*arguments)

    def reset(self, *, halt: bool) -> None:
        """Reset the chip by SYSRESETREQ, catch CPU1 at its vector, attach anew; without `halt` CPU1 then runs."""
        with self._translated(TargetUnavailableError, "resetting the chip failed"):
            caught = self.read32(DEMCR)
            self.read32(DHCSR)  # clears S_RESET_ST
            self.write32(DHCSR, DBGKEY | C_DEBUGEN | C_HALT)
            self.write32(DEMCR, caught | VC_CORERESET)
            with suppress(TransferError):  # the reset may swallow the acknowledgement
                self.write32(_AIRCR, _SYSRESETREQ)
        self._reattach()
        status = self.read32(DHCSR)
        if not status & _S_RESET_ST or not status & S_HALT:
            raise TargetUnavailableError(f"resetting the chip failed: DHCSR reads 0x{status:08X}", self.log)
        self.write32(DEMCR, caught)
        if not halt:
            self.write32(DHCSR, DBGKEY | C_DEBUGEN)

    def _reattach(self) -> None:
        end = self._clock.now() + _RESET_SECONDS
        while True:
            self._clock.sleep(_SETTLE_SECONDS)
            try:
                self.connect()
            except TargetUnavailableError:
                if self._clock.now() >= end:
                    raise
            else:
                return

    # --- errors

    @contextmanager
    def _translated(self, kind: type[ProbeError], what: str) -> Iterator[None]:
        """Make errors of pyOCD and below it ours."""
        try:
            yield
        except ProbeError:
            raise
        except _PYOCD_ERRORS as error:
            raise self._error(kind, what, error) from error

    def _error(self, kind: type[ProbeError], what: str, error: BaseException) -> ProbeError:
        """Return the error to raise. pyOCD's ProbeError is often about the target: the cause decides."""
        causes = list(_causes(error))
        text = str(causes[-1]).rstrip(".") or type(causes[-1]).__name__
        usb_error = next((cause for cause in causes if isinstance(cause, usb.core.USBError)), None)
        if usb_error is not None and kind is ProbeUnavailableError:
            return ProbeUnavailableError(f"{what}: {_usb_reason(usb_error)}", self.log)
        if kind is ProbeUnavailableError:
            return ProbeUnavailableError(f"{what}: {text}", self.log)
        if usb_error is not None or self._is_confused(error):
            return self._lost(usb_error, text)
        if kind is TargetUnavailableError:
            return TargetUnavailableError(f"{what}: {self._silence(text)}", self.log)
        return kind(f"{what}: {text}", self.log)

    def _is_confused(self, error: BaseException) -> bool:
        """Whether the probe itself misbehaved: packets that are short, or that answer another command."""
        if isinstance(error, exceptions.ProbeError):
            return _stlink_status(str(error)) is None
        return not isinstance(error, exceptions.Error) or "response is for command" in str(error)

    def _lost(self, usb_error: Any, text: str) -> ProbeLostError:
        """Close the probe: after a lost packet every answer could be that of an earlier command."""
        name, log = self._kind.name, self.log
        self.close()
        if usb_error is None or usb_error.errno == errno.ETIMEDOUT:
            return ProbeLostError(f"the {name} stopped answering: {text}; {_HANGS}", log)
        return ProbeLostError(f"the {name} is gone: {text}; check its USB cable", log)

    def _silence(self, text: str) -> str:
        """Say why the target may not answer: no power, asleep, or something else."""
        volts = getattr(getattr(self._probe, "_link", None), "target_voltage", None)
        if volts is not None and volts < _LOWEST_VOLTS:
            return f"the target has no power ({volts:.2f} V measured); connect its supply, and VTref to the probe"
        if _stlink_status(text) == _ASLEEP:
            return f"the chip is asleep: it does not power its debug port ({text}); {_UNDER_RESET}"
        measured = "" if volts is None else f"the target has {volts:.2f} V, and "
        causes = "deep sleep, debug pins in other use, read protection level 2, or a loose wire"
        return f"{measured}the chip does not answer ({text}): {causes}; {_UNDER_RESET}"


def _check(address: int, size: int) -> None:
    """Refuse what pyOCD would cut to 32 bits, or only assert."""
    if not 0 <= address < address + size <= 1 << 32 or address % 4 or size % 4:
        raise AssertionError(f"{size} bytes at 0x{address:X}")


def _pieces(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a block where TAR may wrap."""
    end = address + size
    while address < end:
        stop = min(end, (address // _BLOCK + 1) * _BLOCK)
        yield address, stop - address
        address = stop


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _stlink_status(text: str) -> int | None:
    """The status of the ST-LINK in a message of pyOCD's driver."""
    match = re.search(r"STLink error \((\d+)\)", text)
    return int(match[1]) if match else None


def _usb_reason(error: Any) -> str:
    if error.errno == errno.EBUSY:
        return _OTHER_PROGRAM
    if error.errno == errno.EACCES:
        return _NO_RULE
    return str(error)


def _firmware(probe: Any) -> str:
    """The firmware's version; not part of pyOCD's public interface."""
    link = probe._link  # noqa: SLF001
    version = getattr(link, "version_str", None) or getattr(link, "firmware_version", None)
    if version:
        return str(version)
    return "CMSIS-DAP " + ".".join(str(part) for part in getattr(link, "protocol_version", ()))


def _board_name(probe: Any) -> str | None:
    """The name of the board that the probe is part of; asking opens the probe, unless another program has it."""
    with suppress(*_PYOCD_ERRORS):
        link = probe._link  # noqa: SLF001 - the public way looks for mounted volumes as well
        if hasattr(link, "get_board_id"):
            board = BOARD_ID_TO_INFO.get(link.get_board_id())
            return None if board is None else str(board.name)
        board = probe.associated_board_info
        return None if board is None else str(board.name)
    return None


def _may_open(device: Any) -> bool:
    """Whether the user may open a USB device: pyOCD's own search leaves out the others."""
    with suppress(*_PYOCD_ERRORS):
        if hasattr(device, "get_active_configuration"):
            device.get_active_configuration()
        return True
    return False


def _has_libusb() -> bool:
    try:
        usb.core.find(idVendor=0)
    except usb.core.NoBackendError:
        try:
            import libusb_package
        except ImportError:
            return False
        return libusb_package.get_libusb1_backend() is not None
    return True


@contextmanager
def open_probe(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open the probe of a kind and serial number, or the only one of its kind. Raises ProbeUnavailableError."""
    clock = RealClock()
    yield OpenedProbe(PyOcd(request.kind, clock, serial=request.address, speed_khz=request.speed_khz), clock)


def find_probes(request: ProbeRequest) -> tuple[FoundProbe, ...]:
    """Return the probes of a kind that USB shows. Raises ProbeUnavailableError."""
    return PyOcd(request.kind, RealClock()).probes()
