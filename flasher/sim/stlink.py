"""A simulated ST-LINK, packet by packet: what comes in on its OUT endpoint, and what waits on its IN endpoint.

Commands, answers and status codes as OpenOCD documents them (src/jtag/drivers/stlink_usb.c), with the versions and
board identifiers as probe-rs has them (probe-rs/src/probe/stlink). ST publishes no description of its own. What the
firmware does inside is not known; where that matters it is a setting.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from flasher.sim.debug_port import (
    AP_CSW,
    AP_TAR,
    DP_ABORT,
    DP_CTRL_STAT,
    DP_IDR,
    DP_SELECT,
    POWER_ACKNOWLEDGED,
    POWER_REQUESTS,
    Ack,
    DebugPort,
    NotAcknowledgedError,
    PortSettings,
)
from flasher.sim.probes import WiredChip

COMMAND_SIZE = 16
LONGEST_BLOCK = 6144

# Status codes: STLINK_DEBUG_ERR_*, STLINK_SWD_* of stlink_usb.c.
OK, NO_DEVICE, IDCODE_ERROR, POWER_ERROR = 0x80, 0x05, 0x09, 0x0B
AP_WAIT, AP_FAULT, DP_WAIT, DP_FAULT, DP_ERROR = 0x10, 0x11, 0x14, 0x15, 0x16
BAD_AP, BAD_FREQUENCY, UNKNOWN_COMMAND = 0x1D, 0x41, 0x42

# Modes: STLINK_DEV_*_MODE.
DFU, MASS_STORAGE, DEBUG = 0, 1, 2

_DP = 0xFFFF
_DEFAULT_CSW = 0x2300_0000
_CSW_INCREMENT = 1 << 4
_SIZES = {1: 0, 2: 1, 4: 2}
_V2_DIVISORS = (0, 1, 2, 3, 5, 7, 9, 10, 15, 25, 31, 40, 79, 158, 265, 798)
_V3_KHZ = (24000, 8000, 3300, 1000, 200, 50, 5)
_ADC_REFERENCE, _ADC_VOLT = 0x5D0, 2.4
"""F7 answers two readings; the voltage is 2.4 V times the second over the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One kind of ST-LINK with its firmware."""

    name: str
    product_id: int
    hardware: int
    jtag: int
    storage: int
    packet_size: int


V2_1 = Model(name="STM32 STLink", product_id=0x374B, hardware=2, jtag=45, storage=31, packet_size=64)
V3 = Model(name="STLINK-V3", product_id=0x374E, hardware=3, jtag=16, storage=9, packet_size=512)


@dataclass(slots=True, kw_only=True)
class StLinkSettings:
    """What a test may choose about the probe."""

    port: PortSettings = field(default_factory=PortSettings)
    volts: float | None = None
    """What it measures. None: 3.3 V while the chip is powered, otherwise 0."""
    measures_voltage: bool = True
    lost_status: int = DP_ERROR
    """Status of an access that the chip does not acknowledge, and of entering debug mode then: 0x16 or 0x09."""
    asleep_status: int = POWER_ERROR
    """Status of entering debug mode while the chip sleeps: pyOCD's users saw 0x0B and 0x09."""
    handles_tar_page: bool = False
    """Whether the firmware writes TAR again where it wraps: psdb never crosses 1 KiB, OpenOCD 0.12 does."""
    refuses_ap1: bool = False
    """Whether INIT_AP of AP1 answers BAD_AP: unknown."""
    drives_reset_early: bool = True
    """Whether NRST is driven before debug mode was entered: OpenOCD asserts it twice, as if it were not."""
    board_id: str = "0839"
    """`0839` is a NUCLEO-WB55RG (pyOCD and mbed board lists)."""
    seconds_per_packet: float = 0.000_25
    """Simulated time of one USB packet; not measured."""


class StLink:
    """One ST-LINK with the chip it is wired to."""

    def __init__(
        self,
        chip: WiredChip,
        model: Model = V2_1,
        settings: StLinkSettings | None = None,
        serial: str = "066DFF555185754867012345",
    ) -> None:
        self.chip, self.model, self.serial = chip, model, serial
        self.settings = settings or StLinkSettings()
        self.port = DebugPort(chip, self.settings.port)
        self.mode = MASS_STORAGE
        self.forced: list[int] = []
        """Statuses that the next memory accesses end with, before they reach the chip."""
        self._status, self._fault_address = OK, 0
        self._answer = b""
        self._wanted, self._pending = 0, b""
        self._holds_reset = False
        self._debug_commands = self._table()

    # --- the endpoints

    def put(self, packet: bytes) -> None:
        """Take what the host sends: a command, or the data that the last command announced."""
        self.chip.advance(self.settings.seconds_per_packet)
        if self._wanted:
            command, self._pending, self._wanted = self._pending, b"", 0
            self._write_memory(command, packet)
            return
        self._answer = self._run(packet.ljust(COMMAND_SIZE, b"\0"))

    def take(self, size: int) -> bytes:
        """Give the host up to `size` bytes of the answer; nothing when there is none."""
        self.chip.advance(self.settings.seconds_per_packet)
        answer, self._answer = self._answer[:size], self._answer[size:]
        return answer

    # --- commands

    def _run(self, packet: bytes) -> bytes:
        match packet[0]:
            case 0xF1:
                return self._version()
            case 0xF2:
                command = self._debug_commands.get(packet[1])
                if command is None:
                    return _status(UNKNOWN_COMMAND)
                return command(packet)
            case 0xF3 | 0xF4:  # leave DFU or SWIM mode
                self.mode = MASS_STORAGE
            case 0xF5:
                return bytes([self.mode, 0])
            case 0xF7:
                return self._voltage()
            case 0xFB if self.model.hardware >= 3:
                return self._long_version()
        return b""

    def _table(self) -> dict[int, Callable[[bytes], bytes]]:
        """The commands of F2 by their second byte: STLINK_DEBUG_APIV2_* and STLINK_APIV3_*."""
        table: dict[int, Callable[[bytes], bytes]] = {
            0x07: lambda packet: self._read_memory(packet, 4),
            0x08: self._announce_write,
            0x0C: lambda packet: self._read_memory(packet, 1),
            0x0D: self._announce_write,
            0x21: self._leave,
            0x30: self._enter,
            0x31: self._read_ids,
            0x3B: lambda _packet: _status(self._status),
            0x3C: self._drive_reset,
            0x3E: lambda _packet: struct.pack("<HHII", self._status, 0, self._fault_address, 0),
            0x45: self._read_register,
            0x46: self._write_register,
            0x47: lambda packet: self._read_memory(packet, 2),
            0x48: self._announce_write,
            0x4B: self._open_ap,
            0x4C: lambda _packet: _status(OK),
            0x56: self._board,
        }
        if self.model.hardware >= 3:
            return table | {0x61: self._set_speed, 0x62: self._speeds, 0x63: lambda _packet: _status(OK, 8)}
        return table | {0x43: self._set_divisor}

    def _version(self) -> bytes:
        model = self.model
        long = model.hardware >= 3  # V3 says all but the hardware's version by 0xFB only
        jtag, storage = (0, 0) if long else (model.jtag, model.storage)
        word = model.hardware << 12 | jtag << 6 | storage
        return struct.pack(">H", word) + struct.pack("<HH", 0x0483, model.product_id)

    def _long_version(self) -> bytes:
        model = self.model
        return struct.pack("<6B2xHH", model.hardware, 0, model.jtag, model.storage, 0, 0, 0x0483, model.product_id)

    def _voltage(self) -> bytes:
        if not self.settings.measures_voltage:
            return bytes(8)
        volts = self.settings.volts
        if volts is None:
            volts = 0.0
            if self.chip.target_present:
                volts = 3.3
        return struct.pack("<II", _ADC_REFERENCE, round(volts / _ADC_VOLT * _ADC_REFERENCE))

    def _board(self, _packet: bytes) -> bytes:
        return (_status(OK) + self.settings.board_id.encode()).ljust(128, b"\0")

    def _set_divisor(self, packet: bytes) -> bytes:
        divisor = struct.unpack_from("<H", packet, 2)[0]
        return _status(OK if divisor in _V2_DIVISORS else BAD_FREQUENCY)

    def _set_speed(self, packet: bytes) -> bytes:
        wanted = struct.unpack_from("<I", packet, 4)[0]
        actual = next((khz for khz in _V3_KHZ if khz <= wanted), _V3_KHZ[-1])
        return _status(OK, 4) + struct.pack("<I", actual)

    def _speeds(self, _packet: bytes) -> bytes:
        return (_status(OK, 4) + struct.pack("<II7I", _V3_KHZ[0], len(_V3_KHZ), *_V3_KHZ)).ljust(52, b"\0")

    # --- debug mode

    def _leave(self, _packet: bytes) -> bytes:
        self.mode = MASS_STORAGE
        return b""

    def _enter(self, packet: bytes) -> bytes:
        """Enter debug mode over SWD (0xA3): switch the line, read DPIDR, ask for power. Resets nothing by its name."""
        if packet[2] != 0xA3:
            return _status(UNKNOWN_COMMAND)
        self.mode = DEBUG
        port = self.port
        for bits, count in ((~0, 56), (0xE79E, 16), (~0, 56), (0, 8)):
            port.sequence(bits, count)
        try:
            port.read_dp(DP_IDR)
            port.write_dp(DP_ABORT, 0x1E)
            port.write_dp(DP_SELECT, 0)
            port.write_dp(DP_CTRL_STAT, POWER_REQUESTS)
            if port.read_dp(DP_CTRL_STAT) & POWER_ACKNOWLEDGED != POWER_ACKNOWLEDGED:
                return _status(self.settings.asleep_status)
        except NotAcknowledgedError:
            return _status(IDCODE_ERROR)
        return _status(OK)

    def _read_ids(self, _packet: bytes) -> bytes:
        try:
            word = self.port.read_dp(DP_IDR)
        except NotAcknowledgedError as error:
            return _status(self._said(error, is_dp=True), 12)
        return _status(OK, 4) + struct.pack("<II", word, 0)

    def _open_ap(self, packet: bytes) -> bytes:
        if packet[2] > 1 or (packet[2] == 1 and self.settings.refuses_ap1):
            return _status(BAD_AP)
        return _status(OK)

    def _drive_reset(self, packet: bytes) -> bytes:
        if self.mode != DEBUG and not self.settings.drives_reset_early:
            return _status(OK)
        if packet[2] in (0, 2) and not self._holds_reset:
            self.chip.hold_reset()
        self._holds_reset = packet[2] == 0
        if not self._holds_reset:
            self.chip.release_reset()
        return _status(OK)

    def _read_register(self, packet: bytes) -> bytes:
        value, status = 0, OK
        is_dp, register = self._selected(packet)
        try:
            self._select(packet)
            value = self.port.read_dp(register & 0xF) if is_dp else self.port.read_ap(register & 0xF)
        except NotAcknowledgedError as error:
            status = self._said(error, is_dp=is_dp)
        return _status(status, 4) + struct.pack("<I", value)

    def _write_register(self, packet: bytes) -> bytes:
        is_dp, register = self._selected(packet)
        value = struct.unpack_from("<I", packet, 6)[0]
        try:
            self._select(packet)
            if is_dp:
                self.port.write_dp(register & 0xF, value)
            else:
                self.port.write_ap(register & 0xF, value)
        except NotAcknowledgedError as error:
            return _status(self._said(error, is_dp=is_dp))
        return _status(OK)

    @staticmethod
    def _selected(packet: bytes) -> tuple[bool, int]:
        port, register = struct.unpack_from("<HH", packet, 2)
        return port == _DP, register

    def _select(self, packet: bytes) -> None:
        """Write SELECT for a register: the bank of the DP stands in bits 7 to 4 of its address too."""
        port, register = struct.unpack_from("<HH", packet, 2)
        if port == _DP:
            if register & 0xF == DP_CTRL_STAT:
                self.port.write_dp(DP_SELECT, register >> 4 & 0xF)
            return
        self.port.write_dp(DP_SELECT, port << 24 | register & 0xF0)

    def _said(self, error: NotAcknowledgedError, *, is_dp: bool) -> int:
        if error.ack is Ack.WAIT:
            if is_dp:
                return DP_WAIT
            return AP_WAIT
        if error.ack is Ack.FAULT:
            if is_dp:
                return DP_FAULT
            return AP_FAULT
        return self.settings.lost_status

    # --- memory

    def _read_memory(self, packet: bytes, width: int) -> bytes:
        """Read; the answer has its full length, whatever the status says."""
        size = struct.unpack_from("<H", packet, 6)[0]
        parts = []

        def move(_offset: int, length: int) -> Ack:
            data, ack = self.port.read_run(length)
            parts.append(data)
            return ack

        self._status = self._move(packet, width, move)
        return b"".join(parts).ljust(size, b"\0")

    def _announce_write(self, packet: bytes) -> bytes:
        self._pending, self._wanted = packet, struct.unpack_from("<H", packet, 6)[0]
        return b""

    def _write_memory(self, packet: bytes, data: bytes) -> None:
        def move(offset: int, length: int) -> Ack:
            return self.port.write_run(data[offset : offset + length])[1]

        self._status = self._move(packet, {0x08: 4, 0x48: 2, 0x0D: 1}[packet[1]], move)

    def _move(self, packet: bytes, width: int, move: Callable[[int, int], Ack]) -> int:
        """Carry out a memory access piece by piece; return the status that 3E gives afterwards."""
        if self.forced:
            return self.forced.pop(0)
        if self.mode != DEBUG:
            return NO_DEVICE  # which status firmware gives here is not known
        address, size = struct.unpack_from("<IH", packet, 2)
        try:
            for at, length in self._pieces(address, size):
                self._aim(packet, at, width)
                _check(move(at - address, length))
        except NotAcknowledgedError as error:
            self._fault_address = self.port.fault_address
            return self._said(error, is_dp=False)
        return OK

    def _aim(self, packet: bytes, address: int, width: int) -> None:
        """Select the AP and write CSW and TAR. Raises NotAcknowledgedError."""
        csw = int.from_bytes(packet[9:12], "little") << 8 or _DEFAULT_CSW
        self.port.write_dp(DP_SELECT, packet[8] << 24)
        self.port.write_ap(AP_CSW, csw | _CSW_INCREMENT | _SIZES[width])
        self.port.write_ap(AP_TAR, address)

    def _pieces(self, address: int, size: int) -> list[tuple[int, int]]:
        """What is moved with one value of TAR."""
        if not self.settings.handles_tar_page:
            return [(address, size)]
        page, end = self.settings.port.tar_page, address + size
        starts = [address, *range(address // page * page + page, end, page)]
        return [(start, min(end, start // page * page + page) - start) for start in starts]


def _check(ack: Ack) -> None:
    if ack is not Ack.OK:
        raise NotAcknowledgedError(ack)


def _status(status: int, size: int = 2) -> bytes:
    return struct.pack("<H", status).ljust(size, b"\0")
