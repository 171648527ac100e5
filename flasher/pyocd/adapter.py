"""The adapter: one class for every probe that pyOCD reaches."""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pyocd import __version__ as pyocd_version
from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.coresight import dap
from pyocd.coresight.ap import AccessPort, APv1Address

from flasher.errors import ProbeError, ProbeLostError, ProbeUnavailableError, TargetUnavailableError, TransferError
from flasher.probe import Clock, FoundProbe, OpenedProbe, ProbeInfo, ProbeRequest, RealClock
from flasher.pyocd.finding import KINDS, board_name, firmware, has_libusb, may_open, usb_device
from flasher.pyocd.library import LOG, PYOCD_ERRORS, safe_options
from flasher.pyocd.reasons import NO_RULE, UNDER_RESET, translate
from flasher.registers import C_DEBUGEN, C_HALT, CPUID, DBGKEY, DEMCR, DHCSR, S_HALT, VC_CORERESET
from flasher.usb_access import forbidden_probe

_BLOCK = 1024
"""TAR counts up within 1 KiB (IHI 0031, MEM-AP): psdb splits blocks there, pyOCD's ST-LINK driver does not."""
_WAIT_ATTEMPTS, _WAIT_SECONDS = 5, 0.001
"""pyOCD's ST-LINK driver never repeats an access that was answered WAIT; OpenOCD does it 8 times, probe-rs longer."""
_SETTLE_SECONDS, _RESET_SECONDS = 0.05, 2.0
_AIRCR, _SYSRESETREQ, _S_RESET_ST = 0xE000_ED0C, 0x05FA_0004, 1 << 25  # Arm v7-M, B3.2.6 and C1.6.2
_RAM = 0x2000_0000

_Value = TypeVar("_Value")


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
        self._kind, self._clock, self._serial, self._speed_khz = KINDS[kind], clock, serial, speed_khz
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
        return tuple(LOG)

    # --- finding

    def probes(self) -> tuple[FoundProbe, ...]:
        """Return the probes on USB. Raises ProbeUnavailableError."""
        return tuple(
            FoundProbe(kind=self._label, serial=probe.unique_id, product=probe.product_name, board=board_name(probe))
            for probe in self._found()
        )

    def _found(self) -> list[Any]:
        """pyOCD's probe objects, made again: those of an unplugged probe stay unusable."""
        with self._translated(ProbeUnavailableError, f"listing {self._kind.name}s failed"):
            # Looking for CMSIS-DAP probes makes a session with pyocd.yaml's options unless there is one already.
            self._settings = Session(None, options=safe_options(self._speed_khz))
            if self._usb is None:
                return [self._kind.make(device) for device in self._kind.find()]
            return [self._kind.make(self._kind.wrap(device)) for device in self._usb() if may_open(device)]

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
        """Say why the probe was not found: pyOCD omits probes that the user may not open, and all without libusb."""
        name = self._kind.name
        if serials:
            return f"{name} {self._serial} is not connected; connected: {serials}"
        if forbidden := forbidden_probe(self._id):
            return f"{name} {forbidden} is connected, but {NO_RULE}"
        if not has_libusb():
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
            self._release()  # a run that was killed may have left the chip in reset
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
            self._session = Session(probe, auto_open=False, options=safe_options(self._speed_khz))
            self._probe = probe
            self._session.open(init_board=False)
        self._info = ProbeInfo(
            kind=self._label,
            product=probe.product_name or self._kind.name,
            serial=probe.unique_id,
            firmware=firmware(probe),
            library=f"pyOCD {pyocd_version}",
        )

    def _attach(self) -> None:
        """Attach to AP0 and prove that the chip answers. Raises TargetUnavailableError, ProbeLostError."""
        with self._translated(TargetUnavailableError, "the chip does not answer over SWD"):
            port = self._session.target.dp
            port.connect()
            status = port.read_reg(dap.DP_CTRL_STAT)  # power_up_debug() gave up without a word if it is not there
            powered = dap.CDBGPWRUPACK | dap.CSYSPWRUPACK
            if status & powered != powered:
                raise TargetUnavailableError(f"the chip is asleep: it does not power its debug port; {UNDER_RESET}")
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
            with suppress(*PYOCD_ERRORS):
                self._probe.assert_reset(False)
                return

    def _check_halted(self) -> None:
        if not self.read32(DHCSR) & S_HALT:
            raise TargetUnavailableError("CPU1 was not caught at its reset vector: is the reset pin connected?")

    def close(self) -> None:
        """Let the probe go. Never raises.

        pyOCD leaves the USB device open when what it does before closing it fails: with a cable that was pulled, or
        with writes that are still queued. So the device is closed here as well; closed twice, it only asserts.
        """
        probe, self._probe, self._session, self._ap = self._probe, None, None, None
        if probe is None:
            return
        if probe.is_open and probe.wire_protocol is not None:
            with suppress(*PYOCD_ERRORS):
                probe.disconnect()
        with suppress(*PYOCD_ERRORS):
            probe.close()
        with suppress(*PYOCD_ERRORS):
            usb_device(probe).close()

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
        self._ap._invalidate_cache()  # noqa: SLF001 - pyOCD has no public method for it
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
        """Reset the chip by SYSRESETREQ, catch CPU1 at its vector, attach again; without `halt` CPU1 then runs."""
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
        """Make errors of pyOCD and below it ours. A lost probe is closed: its next answer may be an earlier one's."""
        try:
            yield
        except ProbeError:
            raise
        except PYOCD_ERRORS as error:
            volts = getattr(getattr(self._probe, "_link", None), "target_voltage", None)
            ours = translate(error, kind, what, probe_name=self._kind.name, volts=volts, log=self.log)
            if isinstance(ours, ProbeLostError):
                self.close()
            raise ours from error


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


@contextmanager
def open_probe(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open the probe of a kind and serial number, or the only one of its kind. Raises ProbeUnavailableError."""
    clock = RealClock()
    yield OpenedProbe(PyOcd(request.kind, clock, serial=request.address, speed_khz=request.speed_khz), clock)


def find_probes(request: ProbeRequest) -> tuple[FoundProbe, ...]:
    """Return the probes of a kind that USB shows. Raises ProbeUnavailableError."""
    return PyOcd(request.kind, RealClock()).probes()
