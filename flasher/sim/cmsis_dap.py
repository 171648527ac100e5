"""A simulated CMSIS-DAP v2 probe: one packet in, one packet out.

Commands and answers as Arm documents them (CMSIS-DAP 2.1, "CMSIS-DAP Commands"); what is not implemented answers 0xFF.
As in Arm's reference firmware, a packet of transfers ends with a read of RDBUFF after a write: a write that failed is
reported by its own packet.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from flasher.sim.debug_port import AP_DRW, Ack, DebugPort, NotAcknowledgedError, PortSettings
from flasher.sim.probes import WiredChip

OK, ERROR, INVALID = 0x00, 0xFF, 0xFF
PACKET_SIZE, PACKET_COUNT = 512, 4
_CAN_SWD = 0x01
_SWD_PORT = 1
_RESET_PIN = 1 << 7

# Bits of a transfer request.
_AP, _READ, _ADDRESS, _MATCH_VALUE, _MATCH_MASK = 0x01, 0x02, 0x0C, 0x10, 0x20
_MISMATCH = 0x10


@dataclass(slots=True, kw_only=True)
class CmsisDapSettings:
    """What a test may choose about the probe."""

    port: PortSettings = field(default_factory=PortSettings)
    has_swd: bool = True
    seconds_per_packet: float = 0.000_25
    """Simulated time of one packet and its answer; not measured."""


class CmsisDap:
    """One CMSIS-DAP probe with the chip it is wired to."""

    def __init__(
        self,
        chip: WiredChip,
        settings: CmsisDapSettings | None = None,
        serial: str = "0240000034544e45",
        product: str = "simulated CMSIS-DAP",
    ) -> None:
        self.chip, self.serial, self.product = chip, serial, product
        self.settings = settings or CmsisDapSettings()
        self.port = DebugPort(chip, self.settings.port)
        self.board = "NUCLEO-WB55RG"
        self._connected, self._holds_reset = False, False
        self._wait_retry, self._match_retry, self._match_mask = 0, 0, 0xFFFF_FFFF
        self._commands: dict[int, Callable[[bytes], bytes]] = {
            0x00: self._info,
            0x01: lambda _packet: bytes([OK]),  # LED
            0x02: self._connect,
            0x03: self._disconnect,
            0x04: self._configure_transfers,
            0x05: self._transfer,
            0x06: self._transfer_block,
            0x08: self._write_abort,
            0x09: self._delay,
            0x0A: lambda _packet: bytes([OK, 0]),  # no reset sequence of its own
            0x10: self._pins,
            0x11: lambda _packet: bytes([OK]),  # clock
            0x12: self._swj_sequence,
            0x13: lambda _packet: bytes([OK]),  # SWD configuration: turnaround, data phase
            0x1D: self._swd_sequence,
        }

    def handle(self, packet: bytes) -> bytes:
        """Carry out a command and return its answer, which begins with the command's number."""
        self.chip.advance(self.settings.seconds_per_packet)
        command = self._commands.get(packet[0])
        if command is None:
            return bytes([INVALID])
        return packet[:1] + command(packet)

    # --- general commands

    def _info(self, packet: bytes) -> bytes:
        texts = {
            0x01: "simulated",
            0x02: self.product,
            0x03: self.serial,
            0x04: "2.1.1",
            0x05: "STMicroelectronics",
            0x06: "STM32WB55RG",
            0x07: "STMicroelectronics",
            0x08: self.board,
            0x09: "1.0",
        }
        numbers = {
            0xF0: bytes([_CAN_SWD * self.settings.has_swd]),
            0xFE: bytes([PACKET_COUNT]),
            0xFF: struct.pack("<H", PACKET_SIZE),
        }
        text = texts.get(packet[1])
        value = numbers.get(packet[1], b"") if text is None else text.encode() + b"\0"
        return bytes([len(value)]) + value

    def _connect(self, packet: bytes) -> bytes:
        self._connected = packet[1] in (0, _SWD_PORT) and self.settings.has_swd
        return bytes([_SWD_PORT * self._connected])

    def _disconnect(self, _packet: bytes) -> bytes:
        self._connected = False
        return bytes([OK])

    def _delay(self, packet: bytes) -> bytes:
        self.chip.advance(struct.unpack_from("<H", packet, 1)[0] / 1e6)
        return bytes([OK])

    def _pins(self, packet: bytes) -> bytes:
        value, mask = packet[1], packet[2]
        if mask & _RESET_PIN:
            wants_reset = not value & _RESET_PIN
            if wants_reset and not self._holds_reset:
                self.chip.hold_reset()
            elif self._holds_reset and not wants_reset:
                self.chip.release_reset()
            self._holds_reset = wants_reset
        return bytes([0x03 if self._holds_reset else 0x03 | _RESET_PIN])

    # --- sequences

    def _swj_sequence(self, packet: bytes) -> bytes:
        count = packet[1] or 256
        self.port.sequence(int.from_bytes(packet[2 : 2 + (count + 7) // 8], "little"), count)
        return bytes([OK])

    def _swd_sequence(self, packet: bytes) -> bytes:
        """Output goes to the line; input reads a line that is not driven."""
        at, answers = 2, b""
        for _ in range(packet[1]):
            info, at = packet[at], at + 1
            count = info & 0x3F or 64
            size = (count + 7) // 8
            if info & 0x80:
                answers += b"\xff" * size
                continue
            self.port.sequence(int.from_bytes(packet[at : at + size], "little"), count)
            at += size
        return bytes([OK]) + answers

    # --- transfers

    def _configure_transfers(self, packet: bytes) -> bytes:
        _, self._wait_retry, self._match_retry = struct.unpack_from("<BHH", packet, 1)
        return bytes([OK])

    def _write_abort(self, packet: bytes) -> bytes:
        try:
            self.port.write_dp(0, struct.unpack_from("<I", packet, 2)[0])
        except NotAcknowledgedError:
            return bytes([ERROR])
        return bytes([OK])

    def _transfer(self, packet: bytes) -> bytes:
        done, data, response = 0, b"", int(Ack.OK)
        for request, group in groupby(_requests(packet), key=itemgetter(0)):
            values = [value for _, value in group]
            moved, response, part = self._same(request, values)
            done, data = done + moved, data + part
            if response != Ack.OK:
                break
        return bytes([done, response]) + data

    def _same(self, request: int, values: list[int]) -> tuple[int, int, bytes]:
        """Carry out transfers with the same request: how many were done, the last response, and what was read."""
        is_memory = request & (_AP | _ADDRESS | _MATCH_VALUE | _MATCH_MASK) == _AP | AP_DRW
        if is_memory and self._connected and self.port.moves_words and not self.port.waits:
            return self._memory_block(request, values)
        done, data = 0, b""
        try:
            for value in values:
                data += self._one(request, value)
                done += 1
        except _MismatchError:
            return done, Ack.OK | _MISMATCH, data
        except NotAcknowledgedError as error:
            return done, error.ack, data
        return done, Ack.OK, data

    def _memory_block(self, request: int, values: list[int]) -> tuple[int, int, bytes]:
        """Words through DRW, moved as one run."""
        if request & _READ:
            data, ack = self.port.read_run(4 * len(values))
            return len(data) // 4, ack, data[: len(data) // 4 * 4]
        done, ack = self.port.write_run(struct.pack(f"<{len(values)}I", *values))
        return done // 4, ack, b""

    def _one(self, request: int, value: int) -> bytes:
        """Carry out one transfer; return what it read. Raises NotAcknowledgedError, _MismatchError."""
        if request & _READ and request & _MATCH_VALUE:
            self._match(request, value)
            return b""
        if request & _READ:
            return struct.pack("<I", self._retried(lambda: self._read(request)))
        if request & _MATCH_MASK:
            self._match_mask = value
            return b""
        self._retried(lambda: self._write(request, value))
        return b""

    def _match(self, request: int, value: int) -> None:
        for _ in range(self._match_retry + 1):
            if self._retried(lambda: self._read(request)) & self._match_mask == value:
                return
        raise _MismatchError

    def _retried(self, transfer: Callable[[], int]) -> int:
        """Carry a transfer out, again and again while the target answers WAIT, as often as the host allowed."""
        for _ in range(self._wait_retry):
            try:
                return transfer()
            except NotAcknowledgedError as error:
                if error.ack is not Ack.WAIT:
                    raise
        return transfer()

    def _read(self, request: int) -> int:
        self._check_connected()
        address = request & _ADDRESS
        if request & _AP:
            return self.port.read_ap(address)
        return self.port.read_dp(address)

    def _write(self, request: int, value: int) -> int:
        self._check_connected()
        address = request & _ADDRESS
        if request & _AP:
            self.port.write_ap(address, value)
        else:
            self.port.write_dp(address, value)
        return 0

    def _check_connected(self) -> None:
        if not self._connected:
            raise NotAcknowledgedError(Ack.NONE)

    def _transfer_block(self, packet: bytes) -> bytes:
        count, request = struct.unpack_from("<HB", packet, 2)
        values = [0] * count if request & _READ else list(struct.unpack_from(f"<{count}I", packet, 5))
        done, response, data = self._same(request, values)
        return struct.pack("<HB", done, response) + data


def _requests(packet: bytes) -> Iterator[tuple[int, int]]:
    """The transfers of a packet: their request and, where one has it, their word."""
    at = 3
    for _ in range(packet[2]):
        request, value, at = packet[at], 0, at + 1
        if not request & _READ or request & _MATCH_VALUE:
            value, at = struct.unpack_from("<I", packet, at)[0], at + 4
        yield request, value


class _MismatchError(Exception):
    """A register never had the value that was waited for."""
