"""The chip's debug port as a probe sees it over SWD: the line, the DP, and both access ports, register by register.

Source: Arm Debug Interface v5 (IHI 0031): DP registers, SWD protocol, switching from JTAG to SWD, MEM-AP.
AP0 belongs to CPU1. AP1 belongs to CPU2 and is closed while the chip is secure, which it always is here.
What the documents leave open about an STM32WB is a setting; each default is the one that is harder on a client.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

from flasher.sim.dll_link import AccessOutcome, AfterReset, Fails
from flasher.sim.errors import AccessError
from flasher.sim.probes import WiredChip

if TYPE_CHECKING:
    from collections.abc import Iterator

DPIDR = 0x6BA0_2477
IDRS = (0x2477_0011, 0x8477_0001)
"""IDR of AP0 and AP1, as J-Link logs of an STM32WB show them."""
BASE = 0xE00F_F003
"""BASE of AP0: the ROM table of a Cortex-M4 (Arm, Cortex-M4 TRM)."""

# DP registers by A[3:2] and MEM-AP registers (IHI 0031).
DP_ABORT = DP_IDR = 0x0
DP_CTRL_STAT, DP_SELECT, DP_RDBUFF = 0x4, 0x8, 0xC
AP_CSW, AP_TAR, AP_DRW, AP_BASE, AP_IDR = 0x00, 0x04, 0x0C, 0xF8, 0xFC

ABORT_CLEARS = 0x1E
STICKY_ERROR = 1 << 5
POWER_REQUESTS = 1 << 30 | 1 << 28
POWER_ACKNOWLEDGED = 1 << 31 | 1 << 29
DEVICE_ENABLED = 1 << 6
CSW_RESET = 0x0300_0000 | DEVICE_ENABLED
"""CSW after a reset of the AP: accesses of bytes, no increment. IHI 0031 does not define Size then."""
CSW_WRITABLE = 0x7F00_0F37
_WIDTHS = {0: 1, 1: 2, 2: 4}
_INCREMENT_SINGLE = 1

_LINE_RESET_ONES = 50
_JTAG_TO_SWD = 0xE79E


class Ack(IntEnum):
    """The three bits by which a target answers (IHI 0031); NONE is a line that is not driven."""

    OK = 1
    WAIT = 2
    FAULT = 4
    NONE = 7


class NotAcknowledgedError(Exception):
    """A transfer was not acknowledged with OK."""

    def __init__(self, ack: Ack) -> None:
        super().__init__(ack.name)
        self.ack = ack


class _Line(Enum):
    """What the port does with transfers."""

    JTAG = auto()
    """An SWJ-DP without power before: it ignores SWD until it was switched over."""
    LOST = auto()
    """Out of step: a line reset is needed."""
    RESET = auto()
    """After a line reset: only a read of DPIDR is answered."""
    READY = auto()


@dataclass(slots=True, kw_only=True)
class PortSettings:
    """What a test may choose about the debug port."""

    after_reset: AfterReset = field(default_factory=Fails)
    """What transfers come to after a reset of the chip that the probe did not make: not measured on an STM32WB."""
    reset_clears_ap: bool = True
    """Whether a reset of the chip also resets CSW and TAR."""
    is_asleep: bool = False
    """Whether the power-up requests of CTRL/STAT stay without an acknowledgement, as in a low-power mode."""
    is_locked: bool = False
    """Whether AP0 is closed too (CSW.DeviceEn is 0)."""
    tar_page: int = 0x400
    """Where TAR wraps: 1 KiB is what IHI 0031 promises; a Cortex-M4 does 4 KiB according to OpenOCD and pyOCD."""


class DebugPort:
    """One debug port, wired to one chip."""

    def __init__(self, chip: WiredChip, settings: PortSettings | None = None) -> None:
        self.chip, self.settings = chip, settings or PortSettings()
        self.waits = 0
        """How many of the next AP accesses are answered with WAIT."""
        self.fault_address = 0
        self._epoch = chip.epoch
        self._window: Iterator[AccessOutcome] = iter(())
        self._ones, self._history = 0, 0
        self._power_up()

    def _power_up(self) -> None:
        self._power_ups = self.chip.power_ups
        self._line, self._is_swd = _Line.JTAG, False
        self._select, self._requests, self._has_error = 0, 0, False
        self._reset_aps()

    def _reset_aps(self) -> None:
        self._csw, self._tar = [CSW_RESET, CSW_RESET & ~DEVICE_ENABLED], [0, 0]

    # --- the line

    def sequence(self, bits: int, count: int) -> None:
        """Clock bits out, the lowest first: line resets and the switch from JTAG to SWD are recognised."""
        self._notice_power()
        for at in range(count):
            bit = bits >> at & 1
            self._ones = (self._ones + 1) * bit
            self._history = self._history >> 1 | bit << 15
            if self._history == _JTAG_TO_SWD:
                self._is_swd, self._line, self._ones = True, _Line.LOST, 0
            if self._ones == _LINE_RESET_ONES and self._is_swd:
                self._reset_line()

    def _reset_line(self) -> None:
        self._line = _Line.RESET
        self._notice_reset()
        self._window = iter(())

    def _notice_power(self) -> None:
        if self.chip.power_ups != self._power_ups:
            self._power_up()

    def _notice_reset(self) -> None:
        if self.chip.epoch == self._epoch:
            return
        self._epoch = self.chip.epoch
        self._window = self.settings.after_reset.outcomes()
        if self.settings.reset_clears_ap:
            self._reset_aps()

    def _begin(self) -> None:
        """Begin a transfer. Raises NotAcknowledgedError."""
        self._notice_power()
        self._notice_reset()
        if not self.chip.target_present:
            self._line = _Line.LOST
        outcome = next(self._window, AccessOutcome.WORKS)
        if outcome is AccessOutcome.FAILS:
            self._line = _Line.LOST
        if self._line is not _Line.READY:
            raise NotAcknowledgedError(Ack.NONE)
        if outcome is AccessOutcome.SHORT:
            raise NotAcknowledgedError(Ack.WAIT)

    # --- DP registers

    def read_dp(self, address: int) -> int:
        """Read a register of the DP. Raises NotAcknowledgedError."""
        if address == DP_IDR and self._line is _Line.RESET and self.chip.target_present:
            self._line = _Line.READY
        self._begin()
        if address == DP_IDR:
            return DPIDR
        if address == DP_CTRL_STAT and not self._select & 0xF:
            return self._status()
        return 0

    def _status(self) -> int:
        word = self._requests
        if self._requests == POWER_REQUESTS and not self.settings.is_asleep:
            word |= POWER_ACKNOWLEDGED
        if self._has_error:
            word |= STICKY_ERROR
        return word

    def write_dp(self, address: int, value: int) -> None:
        """Write a register of the DP. Raises NotAcknowledgedError."""
        self._begin()
        if address == DP_ABORT and value & ABORT_CLEARS:
            self._has_error = False
        elif address == DP_CTRL_STAT and not self._select & 0xF:
            self._requests = value & POWER_REQUESTS
        elif address == DP_SELECT:
            self._select = value

    # --- AP registers

    def read_ap(self, address: int) -> int:
        """Read a register of the selected AP; A[7:4] come from SELECT. Raises NotAcknowledgedError."""
        port, register = self._ap(address)
        if port >= len(IDRS):
            return 0
        if register == AP_DRW:
            return self._read_lanes(port)
        csw = self._csw[port]
        if port == 0 and self.settings.is_locked:
            csw &= ~DEVICE_ENABLED
        values = {AP_CSW: csw, AP_TAR: self._tar[port], AP_IDR: IDRS[port], AP_BASE: (BASE, 0)[port]}
        return values.get(register, 0)

    def write_ap(self, address: int, value: int) -> None:
        """Write a register of the selected AP. Raises NotAcknowledgedError."""
        port, register = self._ap(address)
        if port >= len(IDRS):
            return
        if register == AP_CSW:
            self._csw[port] = self._csw[port] & ~CSW_WRITABLE | value & CSW_WRITABLE
        elif register == AP_TAR:
            self._tar[port] = value
        elif register == AP_DRW:
            self._write_lanes(port, value)

    def _ap(self, address: int) -> tuple[int, int]:
        """Begin an access to an AP: its number and the address of the register within it."""
        self._begin()
        if self.waits:
            self.waits -= 1
            raise NotAcknowledgedError(Ack.WAIT)
        if self._has_error or not self._status() & POWER_ACKNOWLEDGED:
            raise self._fault()
        return self._select >> 24, self._select & 0xF0 | address

    def _fault(self) -> NotAcknowledgedError:
        self._has_error = True
        return NotAcknowledgedError(Ack.FAULT)

    # --- memory

    @property
    def moves_words(self) -> bool:
        """Whether DRW is selected and moves whole words: then a block of transfers is one run."""
        port = self._select >> 24
        return port < len(IDRS) and not self._select & 0xF0 and _WIDTHS.get(self._csw[port] & 7, 4) == 4

    def read_run(self, size: int) -> tuple[bytes, Ack]:
        """Read DRW of the selected AP until `size` bytes came or an access fails: what came, and the last ack."""
        data = b""
        try:
            port, _ = self._ap(AP_DRW)
            width, step = self._unit(port)
            while len(data) < size:
                length = self._room(port, size - len(data), step)
                part = self._read_memory(self._tar[port], length, width)
                self._advance_tar(port, len(part) * step // width)
                data += part
                if len(part) < length:
                    raise self._fault()
        except NotAcknowledgedError as error:
            return data, error.ack
        return data, Ack.OK

    def write_run(self, data: bytes) -> tuple[int, Ack]:
        """Write DRW of the selected AP until all is written or an access fails: bytes written, and the last ack."""
        done = 0
        try:
            port, _ = self._ap(AP_DRW)
            width, step = self._unit(port)
            while done < len(data):
                length = self._room(port, len(data) - done, step)
                written = self._write_memory(self._tar[port], data[done : done + length], width)
                self._advance_tar(port, written * step // width)
                done += written
                if written < length:
                    raise self._fault()
        except NotAcknowledgedError as error:
            return done, error.ack
        return done, Ack.OK

    def _unit(self, port: int) -> tuple[int, int]:
        """Bytes of one access, and by how much TAR then grows. A closed AP lets none through."""
        csw = self._csw[port]
        if not csw & DEVICE_ENABLED or (port == 0 and self.settings.is_locked):
            self.fault_address = self._tar[port]
            raise self._fault()
        width = _WIDTHS.get(csw & 7, 4)
        step = 0
        if csw >> 4 & 3 == _INCREMENT_SINGLE:
            step = width
        return width, step

    def _room(self, port: int, size: int, step: int) -> int:
        """How many bytes one run of accesses moves until TAR wraps; one access where TAR stands still."""
        if not step:
            return _WIDTHS.get(self._csw[port] & 7, 4)
        return min(size, self.settings.tar_page - self._tar[port] % self.settings.tar_page)

    def _advance_tar(self, port: int, size: int) -> None:
        page, tar = self.settings.tar_page, self._tar[port]
        self._tar[port] = tar // page * page + (tar + size) % page

    def _read_memory(self, address: int, size: int, width: int) -> bytes:
        """Read in accesses of `width` bytes; short where one failed."""
        try:
            return self.chip.read(address, size, width)
        except AccessError as error:
            good = self._good(error, address, size, width)
        if good:
            return self.chip.read(address, good, width)
        return b""

    def _write_memory(self, address: int, data: bytes, width: int) -> int:
        try:
            self.chip.write(address, data, width)
        except AccessError as error:
            return self._good(error, address, len(data), width)
        return len(data)

    def _good(self, error: AccessError, address: int, size: int, width: int) -> int:
        """How many bytes lie before the one that failed, in whole accesses."""
        self.fault_address = error.address
        return min(max(error.address - address, 0), max(size - width, 0)) // width * width

    def _read_lanes(self, port: int) -> int:
        """One access through DRW, on the byte lanes of its address (IHI 0031)."""
        width, step = self._unit(port)
        shift = self._tar[port] % 4 * 8
        data = self._read_memory(self._tar[port], width, width)
        if len(data) < width:
            raise self._fault()
        self._advance_tar(port, step)
        return int.from_bytes(data, "little") << shift

    def _write_lanes(self, port: int, value: int) -> None:
        width, step = self._unit(port)
        shift = self._tar[port] % 4 * 8
        data = (value >> shift).to_bytes(4, "little")[:width]
        if self._write_memory(self._tar[port], data, width) < width:
            raise self._fault()
        self._advance_tar(port, step)
