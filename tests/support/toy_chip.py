"""A small chip for tests of the simulated J-Link library: memory, a flash controller, resets, and nothing else.

Flash behaves as ST's HAL expects of it, as far as a flash loader can notice: locked until the keys came, erased by
page, programmed in double words that must be erased, busy for a while. It shares no number with the code under test.
"""

from flasher.sim.errors import AccessError

DCRSR, DCRDR = 0xE000_EDF4, 0xE000_EDF8
FLASH, RAM, REGISTERS = 0x0800_0000, 0x2000_0000, 0x5800_4000
PAGE = 4096
UNLOCK = [0x4567_0123, 0xCDEF_89AB]
PROGERR, WRPERR, BSY, LOCKED = 0x8, 0x10, 0x1_0000, 0x8000_0000


class ToyChip:
    def __init__(self, flash_size: int = 64 * 1024, ram_size: int = 64 * 1024) -> None:
        self.flash = bytearray(b"\xff" * flash_size)
        self.ram = bytearray(ram_size)
        self.epoch = 0
        self.power_ups = 1
        self.is_halted = self.is_held = False
        self.target_present = True
        self.seconds = 0.0
        self.secure_from = FLASH + flash_size
        self.reset_register = RAM + ram_size
        """A word behind the RAM: writing it resets the chip."""
        self.reset_at: float | None = None
        self.core: dict[int, int] = {}
        self.dcrdr = 0
        self.widths: list[int] = []
        self.worn_at: int | None = None
        """A byte of flash that does not hold what is programmed."""
        self._keys: list[int] = []
        self._cr, self._sr, self._busy_until = LOCKED, 0, 0.0

    def read(self, address: int, size: int, width: int) -> bytes:
        self.widths.append(width)
        if REGISTERS <= address < REGISTERS + 0x100:
            sr = self._sr | (BSY if self.seconds < self._busy_until else 0)
            return {0x10: sr, 0x14: self._cr}.get(address - REGISTERS, 0).to_bytes(4, "little")
        if address == DCRDR:
            return self.dcrdr.to_bytes(4, "little")[:size]
        memory, start = self._memory(address, size)
        return bytes(memory[start : start + size])

    def write(self, address: int, data: bytes, width: int) -> None:
        self.widths.append(width)
        if address == self.reset_register:
            self.reset_by_itself()
        elif address in (DCRSR, DCRDR):
            self._write_debug(address, int.from_bytes(data, "little"))
        elif REGISTERS <= address < REGISTERS + 0x100:
            self._write_register(address - REGISTERS, int.from_bytes(data, "little"))
        elif FLASH <= address < FLASH + len(self.flash):
            self._program(address, data)
        else:
            space = RAM + len(self.ram) - address
            fits = len(data) if space >= len(data) else max(space, 0)
            memory, start = self._memory(address, fits)
            memory[start : start + fits] = data[:fits]
            if fits < len(data):
                raise AccessError(address + fits)

    def reset(self, halt: bool) -> None:
        self.epoch += 1
        self.is_halted = halt
        self._cr, self._sr, self._keys = LOCKED, 0, []

    def hold_reset(self) -> None:
        self.reset(halt=False)
        self.is_held = True

    def release_reset(self) -> None:
        self.is_held = False

    def reset_by_itself(self) -> None:
        self.reset(halt=False)

    def power_cycle(self) -> None:
        self.power_ups += 1
        self.reset(halt=False)

    def halt(self) -> None:
        self.is_halted = True

    def resume(self) -> None:
        self.is_halted = False

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        if self.reset_at is not None and self.seconds >= self.reset_at:
            self.reset_at = None
            self.reset_by_itself()

    def _memory(self, address: int, size: int) -> tuple[bytearray, int]:
        if FLASH <= address < self.secure_from:
            base, memory, end = FLASH, self.flash, self.secure_from
        elif RAM <= address < RAM + len(self.ram):
            base, memory, end = RAM, self.ram, RAM + len(self.ram)
        else:
            raise AccessError(address)
        if address + size > end:
            raise AccessError(end)
        return memory, address - base

    def _write_debug(self, address: int, value: int) -> None:
        if address == DCRDR:
            self.dcrdr = value
        elif value >> 16:
            self.core[value & 0x7F] = self.dcrdr
        else:
            self.dcrdr = self.core.get(value, 0)

    def _write_register(self, offset: int, value: int) -> None:
        if offset == 0x08:
            self._keys.append(value)
            if self._keys == UNLOCK:
                self._cr, self._keys = 0, []
        elif offset == 0x10:
            self._sr &= ~value
        elif offset == 0x14 and not self._cr & LOCKED:
            self._cr = value
            if value & 0x1_0002 == 0x1_0002:
                self._erase(value >> 3 & 0xFF)

    def _erase(self, page: int) -> None:
        if FLASH + page * PAGE >= self.secure_from:
            self._sr |= WRPERR
            return
        self.flash[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
        self._busy_until = self.seconds + 0.022

    def _program(self, address: int, data: bytes) -> None:
        start = address - FLASH
        old = self.flash[start : start + len(data)]
        if not self._cr & 1 or len(data) % 8 or old != b"\xff" * len(data):
            self._sr |= PROGERR
            return
        self.flash[start : start + len(data)] = data
        if self.worn_at is not None and start <= self.worn_at < start + len(data):
            self.flash[self.worn_at] ^= 1
