"""A tiny flasher for tests of the simulated chip: plain register accesses, its own constants, nothing of flasher.

The sequences are those that are proven on hardware, psdb's and MicroPython's. Written against the documents,
so that driver and chip can disagree.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from flasher.sim.errors import AccessError

FLASH = 0x58004000
KEYR, OPTKEYR, SR, CR, OPTR, SFR, SRRVR = (FLASH + at for at in (0x08, 0x0C, 0x10, 0x14, 0x20, 0x80, 0x84))
IPCC = 0x58000C00
C1SCR, C1TOC2SR, C2TOC1SR = IPCC + 0x08, IPCC + 0x0C, IPCC + 0x1C
AHB3ENR, CSR, CR4 = 0x58000050, 0x58000094, 0x5800040C
DHCSR, DEMCR, AIRCR = 0xE000EDF0, 0xE000EDFC, 0xE000ED0C
SRAM1, SRAM2A, SRAM2B = 0x20000000, 0x20030000, 0x20038000
ERRORS = 0xC3F8  # psdb
ERASE_SECONDS = 0.02
"""Less than what a sector takes: 22 ms (DS11929, flash memory characteristics)."""
FUS_KEY = 0xA94656B9
ATTACK, HARD_FAULT = 0x3DE96F61, 0x1170FD0F

GET_STATE, FW_UPGRADE, FW_DELETE, START_WS = 0xFC52, 0xFC54, 0xFC55, 0xFC5A
UPDATE_KEY, LOCK_KEY, STORE_KEY, LOAD_KEY, LOCK_USER_KEY, ANTI_ROLLBACK = (
    0xFC56,
    0xFC57,
    0xFC58,
    0xFC59,
    0xFC5D,
    0xFC5F,
)


class Bus(Protocol):
    """What is driven: the chip itself, or the chip behind faults."""

    def read(self, address: int, size: int, width: int) -> bytes: ...
    def write(self, address: int, data: bytes, width: int) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def reset(self, halt: bool) -> None: ...


class RefusedError(Exception):
    """FUS ended in an error: the state and error bytes."""

    def __init__(self, state: int, error: int) -> None:
        super().__init__(f"{state:02X}/{error:02X}")
        self.state, self.error = state, error


class SilentError(Exception):
    """No answer, or no ready event, within the time given."""


class FlashError(Exception):
    """Error flags of the flash controller."""

    def __init__(self, flags: int) -> None:
        super().__init__(hex(flags))
        self.flags = flags


class LostError(Exception):
    """The access failed or the chip was reset: what psdb gets as an exception of its probe."""


@dataclass(frozen=True)
class Layout:
    """Where the mailbox lies, as offsets of SRAM2A. psdb's is 5.5 KiB; the small one fits every image."""

    info: int = 0x100
    system: int = 0x200
    queue: int = 0x240
    ble: int = 0x280
    ble_queue: int = 0x2A0
    cs: int = 0x2B0
    memory: int = 0x300
    free: int = 0x340
    command: int = 0x400
    ble_command: int = 0x600
    acl: int = 0x800
    spare_ble: int = 0xA00
    spare: int = 0xC00
    pool: int = 0xE00
    pool_size: int = 2048


PSDB = Layout()
PSDB_SMALL_POOL = Layout(pool_size=512)
PSDB_FAR = Layout(acl=0x8800, spare_ble=0x8A00, spare=0x8C00, pool=0x8E00, pool_size=512)
SMALL = Layout(
    info=0x28, system=0x60, queue=0x68, ble=0, memory=0x70, free=0x90, command=0x98, spare_ble=0x1A8, spare=0x2B8,
    pool=0x3C8, pool_size=550,
)  # fmt: skip


def pauses(seconds: float) -> Iterator[float]:
    """Pauses between polls: a millisecond as psdb has it; longer ones when it takes long, to save time of the tests."""
    for number in range(20 + int(seconds / 0.02)):
        yield 0.001 if number < 20 else 0.02


class Driver:
    """psdb's way over any bus. `clock` is the bus's own; nothing sleeps."""

    def __init__(self, bus: Bus, layout: Layout = SMALL, *, page: int = 4096) -> None:
        self.bus, self.layout, self.page = bus, layout, page

    # --- words

    def read(self, address: int, size: int, width: int = 4) -> bytes:
        try:
            return self.bus.read(address, size, width)
        except AccessError as error:
            raise LostError(str(error)) from error

    def write(self, address: int, data: bytes, width: int = 4) -> None:
        try:
            self.bus.write(address, data, width)
        except AccessError as error:
            raise LostError(str(error)) from error

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def put(self, address: int, *values: int) -> None:
        self.write(address, struct.pack(f"<{len(values)}I", *values))

    def wait(self, address: int, mask: int, value: int, seconds: float = 20.0) -> None:
        for pause in pauses(seconds):
            if self.word(address) & mask == value:
                return
            self.bus.advance(pause)
        raise SilentError(hex(address))

    # --- flash, as psdb erases and programs

    def unlock(self) -> None:
        if self.word(CR) >> 31:
            self.put(KEYR, 0x45670123)
            self.put(KEYR, 0xCDEF89AB)

    def erase(self, address: int) -> None:
        self.wait(SR, 1 << 16, 0)
        self.put(SR, 0xC3FB)
        page = (address - 0x08000000) // self.page
        self.put(CR, 2 | page << 3)
        self.put(CR, 2 | page << 3 | 1 << 16)
        self.bus.advance(ERASE_SECONDS)  # polling before that shows nothing and costs half of the test's time
        self.finish()

    def finish(self) -> None:
        self.wait(SR, 1 << 16, 0)
        flags = self.word(SR) & ERRORS
        self.put(CR, 0)
        if flags:
            raise FlashError(flags)

    def program(self, address: int, data: bytes) -> None:
        self.put(SR, 0xC3FB)
        self.put(CR, 1)
        self.write(address, data)
        self.finish()

    def burn(self, address: int, data: bytes, pad: bytes = b"\0") -> None:
        """Erase the sectors that the data covers, program, read back."""
        data += pad * (-len(data) % 8)
        self.unlock()
        for at in range(address, address + len(data), self.page):
            self.erase(at)
        for at in range(0, len(data), self.page):
            self.program(address + at, data[at : at + self.page])
        assert self.read(address, len(data)) == data

    def write_options(self, value: int, register: int = OPTR) -> None:
        self.unlock()
        if self.word(CR) >> 30 & 1:
            self.put(OPTKEYR, 0x08192A3B)
            self.put(OPTKEYR, 0x4C5D6E7F)
        self.put(register, value)
        self.put(CR, 1 << 17)
        self.wait(SR, 1 << 16, 0)
        self.put(CR, 1 << 27)
        self.bus.advance(0.1)

    # --- CPU2

    def boot_from_ram(self) -> None:
        """Leave a loop in SRAM1 and have CPU1 boot it, so that it stays out of the way over every reset."""
        self.put(SRAM1, SRAM1 + 512, SRAM1 + 8 | 1, 0xE7FE)
        self.write_options(self.word(OPTR) & ~(1 << 27 | 1 << 26 | 1 << 23))

    def write_tables(self) -> None:
        at, base = self.layout, SRAM2A
        ble = base + at.ble if at.ble else 0
        self.put(base, base + at.info, ble, 0, base + at.system, base + at.memory, 0, 0, 0, 0)
        if at.ble:
            self.put(ble, base + at.ble_command, base + at.cs, base + at.ble_queue, base + at.acl)
            self.put(base + at.ble_queue, base + at.ble_queue, base + at.ble_queue)
        self.put(base + at.system, base + at.command, base + at.queue)
        self.put(base + at.queue, base + at.queue, base + at.queue)
        pool = (base + at.spare_ble, base + at.spare, base + at.pool, at.pool_size, base + at.free, 0, 0)
        self.put(base + at.memory, *pool)
        self.put(base + at.free, base + at.free, base + at.free)

    def start(self) -> str:
        """Start CPU2 with fresh tables; `fus` or `stack` by the ready event."""
        self.write_tables()
        self.put(AHB3ENR, self.word(AHB3ENR) | 1 << 20)
        assert not self.word(CR4) >> 15 & 1, "CPU2 was started by somebody else"
        self.put(CR4, self.word(CR4) | 1 << 15)
        self.wait(C2TOC1SR, 2, 2, 1.0)
        queue = SRAM2A + self.layout.queue
        node = self.word(queue)
        assert node != queue
        packet = self.read(node + 8, 6, 1)
        assert packet[:5] == bytes.fromhex("12 ff 03 00 92")
        self.put(queue, self.word(node))  # head only: FUS does not keep the tail
        self.put(C1SCR, 2)
        return "fus" if packet[5] else "stack"

    def command(self, opcode: int, payload: bytes = b"", seconds: float = 20.0) -> bytes:
        """Send a command; its status and what follows. LostError when the chip was reset instead of answering."""
        buffer = SRAM2A + self.layout.command
        self.write(buffer, struct.pack("<IIBHB", 0, 0, 0x10, opcode, len(payload)) + payload, 1)
        self.put(C1SCR, 1 << 17)
        self.wait(C1TOC2SR, 2, 0, seconds)
        if not self.word(CR4) >> 15 & 1:
            raise LostError
        response = self.read(buffer, 262, 1)
        assert response[:2] == b"\x11\x0e"
        assert response[4:6] == struct.pack("<H", opcode)
        return response[6 : 3 + response[2]]

    def state(self) -> tuple[int, int]:
        answer = self.command(GET_STATE)
        return answer[0], answer[1] if len(answer) > 1 else 0

    def info(self, offset: int) -> int:
        return self.word(self.word(SRAM2A) + offset)

    # --- sequences: psdb 7.1

    def restart(self) -> str:
        """After a reset: wait 0.1 s, tables, C2BOOT, event."""
        self.bus.advance(0.1)
        return self.start()

    def enter_fus(self) -> None:
        """Ask a stack for the state until the chip resets."""
        for _ in range(10):
            try:
                self.command(GET_STATE)
            except LostError:
                assert self.restart() == "fus"
                return
            self.bus.advance(0.1)
        raise SilentError("the stack did not give way")

    def run(self, opcode: int, payload: bytes = b"") -> str:
        """Send a command that takes a while and poll as psdb does; what runs at the end, after how many resets.

        RefusedError on the first error byte; a transient FF/FE is not one (MicroPython).
        """
        resets = 0
        try:
            self._judge(*(self.state() if self.command(opcode, payload)[0] else (0, 0)))
        except LostError:
            resets += 1
            if self.restart() == "stack":
                return f"stack after {resets}"
        while True:
            try:
                self.bus.advance(0.1)
                state, error = self.state()
            except LostError:
                resets += 1
                if self.restart() == "stack":
                    return f"stack after {resets}"
                continue
            self._judge(state, error)
            if state == 0:
                return f"fus after {resets}"

    @staticmethod
    def _judge(state: int, error: int) -> None:
        if error and (state, error) != (0xFF, 0xFE):
            raise RefusedError(state, error)
