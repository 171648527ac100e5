"""The flash controller: cells as 64-bit lines, keys, erase, program, every error flag.

Sources: CMSIS stm32wb55xx.h (bits), RM0434 3.3 as quoted in forum posts and pyOCD, HAL flash driver, psdb and
MicroPython (what works on boards).
"""

import hashlib

from flasher.sim.behaviour import Behaviour
from flasher.sim.errors import AccessError
from flasher.sim.flash_registers import (
    ACR,
    ACR_DCEN,
    ACR_DCRST,
    ACR_PES,
    BSY,
    C2ACR,
    C2CR,
    C2SR,
    CFGBSY,
    CLEARED_BY_ONE,
    CR,
    CR_KEPT,
    EOP,
    EOPIE,
    ERASE_SECONDS,
    FASTERR,
    FSTPG,
    KEYR,
    KEYS,
    LINE_SECONDS,
    LOCK,
    MER,
    MISERR,
    OBL_LAUNCH,
    OPERR,
    OPTION_KEYS,
    OPTION_SECONDS,
    OPTKEYR,
    OPTLOCK,
    OPTNV,
    OPTSTRT,
    OPTVERR,
    PER,
    PESD,
    PG,
    PGAERR,
    PGSERR,
    PROGERR,
    RDERR,
    ROW_BYTES,
    ROW_SECONDS,
    SEQUENCE_ERRORS,
    SIZERR,
    SR,
    STRT,
    WRPERR,
    Busy,
    FlashState,
)
from flasher.sim.memory import ChipClock
from flasher.sim.option_bytes import REGISTERS as OPTION_REGISTERS
from flasher.sim.option_bytes import OptionByteRegisters
from flasher.sim.parts import FLASH_BASE, Part


class SimulatedFlash:
    """Controller and cells. Addresses are absolute; `due` tells the chip when to call `step`."""

    def __init__(self, part: Part, behaviour: Behaviour, clock: ChipClock, options: OptionByteRegisters) -> None:
        self._part, self._behaviour, self._clock, self._options = part, behaviour, clock, options
        size = part.die_end - FLASH_BASE
        self.state = FlashState(cells=bytearray(b"\xff" * size), programmed=bytearray(size // 8))
        self.wants_reset = ""
        self.cpu2_works = False  # told by the chip at every access

    # --- what the rest of the chip uses

    @property
    def due(self) -> float | None:
        """When the operation under way ends."""
        if self.state.busy:
            return self.state.busy.due
        return None

    def step(self) -> None:
        """End the operation under way if its time has come."""
        busy = self.state.busy
        if busy is None or busy.due > self._clock.now:
            return
        self.state.busy = None
        if self.state.failing_operations and busy.kind != "nothing":
            self.state.failing_operations -= 1
            self.state.sr |= OPERR
            self._spoil(busy)
            return
        if busy.kind == "erase":
            self.erase_cells(busy.address, busy.size)
        elif busy.kind == "options":
            self._options.program()
        if self.state.cr & EOPIE:
            self.state.sr |= EOP

    def interrupt(self, *, power_lost: bool) -> None:
        """A reset or a loss of power in the middle of an operation leaves what it worked on undefined."""
        if (busy := self.state.busy) is not None:
            self._spoil(busy)
            if busy.kind == "options" and power_lost:
                self._options.damage()
        cells = self.state.cells, self.state.programmed
        failing = self.state.failing_operations
        self.state = FlashState(*cells, sr=self.state.sr & OPTNV, failing_operations=failing)
        if power_lost:
            self.state.sr |= OPTVERR  # set after every power-up (HAL, errata); not an error of the debugger

    def _spoil(self, busy: Busy) -> None:
        if busy.kind in ("erase", "program", "row"):
            noise = hashlib.shake_128(busy.address.to_bytes(4, "little")).digest(busy.size)
            self.put_cells(busy.address, noise)

    def options_loaded(self, *, good: bool) -> None:
        """Say whether the option bytes could be loaded."""
        self.state.sr = self.state.sr & ~OPTNV if good else self.state.sr | OPTVERR | OPTNV

    def read_cells(self, address: int, size: int) -> bytes:
        """Read cells without any protection, as CPU2 does."""
        return bytes(self.state.cells[address - FLASH_BASE : address - FLASH_BASE + size])

    def read_as_cpu1(self, address: int, size: int) -> bytes:
        """Read open cells as CPU1 does: where code is protected (PCROP) RDERR is set and zeros come."""
        unit, get = self._part.page // 2, self._options.get
        first, last = FLASH_BASE + get("PCROP1A_STRT") * unit, FLASH_BASE + (get("PCROP1A_END") + 1) * unit
        if first < last and address < last and address + size > first:
            self.state.sr |= RDERR
            return bytes(size)
        if self._behaviour.data_cache == "stale" and self.state.acr & ACR_DCEN:
            return self._read_cached(address, size)
        return self.read_cells(address, size)

    def _read_cached(self, address: int, size: int) -> bytes:
        """Read through the data cache, which no erase and no program changes (hardware-review 10).

        The cache of silicon holds a few lines; which of them are stale is unknown, so here all of a page is.
        """
        page, cache = self._part.page, self.state.cache
        first = address // page * page
        for at in range(first, address + size, page):
            if at not in cache:
                cache[at] = self.read_cells(at, page)
        content = b"".join(cache[at] for at in range(first, address + size, page))
        return content[address - first : address - first + size]

    def refuse_sequence(self) -> None:
        """A write that came while the flash was busy, where the bus does not wait."""
        self.state.sr |= PGSERR

    @property
    def end(self) -> int:
        """The address just above the die's flash."""
        return self._part.die_end

    def put_cells(self, address: int, data: bytes) -> None:
        """Set cells without any rule: CPU2's own writes, and the factory's."""
        start = address - FLASH_BASE
        self.state.cells[start : start + len(data)] = data
        lines = range(start // 8, -(-(start + len(data)) // 8))
        self.state.programmed[lines.start : lines.stop] = b"\x01" * len(lines)

    def erase_cells(self, address: int, size: int) -> None:
        """Erase whole pages without any rule."""
        start = address - FLASH_BASE
        self.state.cells[start : start + size] = b"\xff" * size
        self.state.programmed[start // 8 : (start + size) // 8] = bytes(size // 8)

    @property
    def is_occupied(self) -> bool:
        """Whether BSY, CFGBSY, PESD or PES would show."""
        state = self.state
        return bool(state.busy or state.suspended or state.first_word is not None or state.row or state.acr & ACR_PES)

    def take_conflict(self) -> str:
        """What CPU1 began while CPU2 worked on flash, once: erase, write or nothing."""
        conflict, self.state.conflict = self.state.conflict, ""
        return conflict

    def _disturbs_cpu2(self, work: str) -> bool:
        """Whether CPU2 is at work: what CPU1 begins is a sequence error then, and CPU2's own work fails too."""
        if self.cpu2_works:
            self.state.conflict = self.state.conflict or work
            self.state.sr |= PGSERR
        return self.cpu2_works

    # --- registers

    def read_register(self, offset: int) -> int:
        """Read a register of the block; unlisted ones read as 0."""
        if offset in OPTION_REGISTERS:
            return self._options.read_register(offset)
        state = self.state
        if offset in (SR, C2SR):
            flags = 0
            if state.busy or self.cpu2_works:
                flags = BSY | CFGBSY
            flags |= CFGBSY if state.first_word is not None or state.row else 0
            return state.sr | flags | (PESD | BSY if state.suspended else 0)
        return {ACR: state.acr, CR: state.cr, C2ACR: 0x600, C2CR: 0}.get(offset, 0)

    def write_register(self, offset: int, value: int) -> None:
        """Write a register. Raises AccessError where the bus would fault."""
        state = self.state
        if offset in OPTION_REGISTERS:
            if not state.cr & OPTLOCK:
                self._options.write_register(offset, value)
        elif offset == KEYR:
            self._key(value)
        elif offset == OPTKEYR:
            self._option_key(value)
        elif offset == SR:
            state.sr &= ~(value & CLEARED_BY_ONE)
        elif offset == ACR:
            self._write_acr(value)
        elif offset == CR:
            self._write_cr(value)

    def _write_acr(self, value: int) -> None:
        if value & ACR_DCRST and not value & ACR_DCEN:  # a cache that is on cannot be reset (HAL)
            self.state.cache.clear()
        self.state.acr = value & 0x0001_8F07
        if value & ACR_PES and self.cpu2_works:
            self.state.conflict = self.state.conflict or "erase"
        if not value & ACR_PES and self.state.suspended:
            waiting, self.state.suspended = self.state.suspended, None
            waiting.due += self._clock.now  # its due time was a duration while it waited
            self.state.busy = waiting

    def _key(self, value: int) -> None:
        state = self.state
        if not state.cr & LOCK:
            state.cr |= LOCK | OPTLOCK
            state.keys_refused = True
            if self._behaviour.second_unlock == "reset":
                self.wants_reset = "fault"
                return
            raise AccessError(0x5800_4000 + KEYR, "key written while unlocked")
        if state.keys_refused or value != KEYS[state.key_step]:
            state.keys_refused = True  # until reset
            return
        state.key_step = (state.key_step + 1) % 2
        if state.key_step == 0:
            state.cr &= ~LOCK

    def _option_key(self, value: int) -> None:
        state = self.state
        refused = state.option_keys_refused or bool(state.cr & LOCK) or not state.cr & OPTLOCK
        if refused or value != OPTION_KEYS[state.option_key_step]:
            state.option_keys_refused = True
            return
        state.option_key_step = (state.option_key_step + 1) % 2
        if state.option_key_step == 0:
            state.cr &= ~OPTLOCK

    def _write_cr(self, value: int) -> None:
        state = self.state
        if state.cr & LOCK:
            return
        if state.row and not value & FSTPG:
            state.row.clear()
            state.sr |= MISERR  # the row was left before its 64 lines were there
        state.cr = state.cr & (LOCK | OPTLOCK) | value & CR_KEPT | value & (LOCK | OPTLOCK)
        if value & LOCK:
            state.cr |= OPTLOCK
        elif value & STRT or (value & OPTSTRT and not state.cr & OPTLOCK):
            self._start(value)
        elif value & OBL_LAUNCH and not state.cr & OPTLOCK:
            self.wants_reset = "options"

    def _start(self, value: int) -> None:
        if self._disturbs_cpu2("erase"):
            return
        if self.state.busy or self.state.suspended:
            self.state.sr |= PGSERR  # the operation under way goes on
        elif value & STRT:
            self._start_erase(value)
        else:
            self._begin(Busy("options", 0, 0, OPTION_SECONDS))

    def _start_erase(self, value: int) -> None:
        page = value >> 3 & 0xFF
        address = FLASH_BASE + page * self._part.page
        if value & MER:
            self._mass_erase()
        elif not value & PER or value & (PG | FSTPG) or self.state.sr & SEQUENCE_ERRORS:
            self.state.sr |= PGSERR
        elif page >= self._part.die_pages or not self.may_change(address):
            self._refuse_secure(address)
        elif self._is_write_protected(page):
            self.state.sr |= WRPERR
        else:
            self._begin(Busy("erase", address, self._part.page, ERASE_SECONDS))

    def _mass_erase(self) -> None:
        """Nothing is erased while security is on; without it everything is, FUS included."""
        if self._options.secure_start is None:
            self._begin(Busy("erase", FLASH_BASE, self.end - FLASH_BASE, ERASE_SECONDS))
            return
        if self._behaviour.mass_erase == "error":
            self.state.sr |= WRPERR
        self._begin(Busy("nothing", 0, 0, ERASE_SECONDS))

    def _begin(self, busy: Busy) -> None:
        if self.state.acr & ACR_PES:
            self.state.suspended = busy
        else:
            busy.due += self._clock.now
            self.state.busy = busy

    # --- protection

    def may_change(self, address: int) -> bool:
        """Whether CPU1 may erase or program here: below SFSA and below the part's nominal end."""
        secure = self._options.secure_start
        return address < self._part.nominal_end and (secure is None or address < secure)

    def _is_write_protected(self, page: int) -> bool:
        get = self._options.get
        return any(get(f"WRP1{area}_STRT") <= page <= get(f"WRP1{area}_END") for area in "AB")

    def _refuse_secure(self, address: int) -> None:
        if self._behaviour.secure_write == "error":
            raise AccessError(address, "secure flash")
        if self._behaviour.secure_write == "wrperr":
            self.state.sr |= WRPERR

    # --- programming

    def program(self, address: int, data: bytes, width: int) -> None:
        """Take a write access into flash: one access of `width` bytes."""
        state = self.state
        if self._disturbs_cpu2("write"):
            return
        if not self.may_change(address):
            self._refuse_secure(address)
        elif not state.cr & (PG | FSTPG) or state.sr & SEQUENCE_ERRORS:
            state.sr |= PGSERR
        elif width != 4:
            state.sr |= SIZERR
        elif self._is_write_protected((address - FLASH_BASE) // self._part.page):
            state.sr |= WRPERR
        elif state.cr & FSTPG:
            self._program_row(address, data)
        else:
            self._program_word(address, int.from_bytes(data, "little"))

    def _program_word(self, address: int, value: int) -> None:
        state = self.state
        if state.first_word is None:
            if address % 8:
                state.sr |= PGAERR | PGSERR
            else:
                state.first_word, state.first_value = address, value
            return
        if address != state.first_word + 4:
            state.sr |= PGAERR | PGSERR  # read from a board: CFGBSY stays set with these two
            return
        line, state.first_word = state.first_word, None
        data = state.first_value.to_bytes(4, "little") + value.to_bytes(4, "little")
        if not self._is_line_free(line) and (any(data) or self._is_programmed_with_ones(line)):
            state.sr |= PROGERR
            return
        self.put_cells(line, data)
        self._begin(Busy("program", line, 8, LINE_SECONDS))

    def _is_line_free(self, address: int) -> bool:
        start = address - FLASH_BASE
        return self.state.cells[start : start + 8] == b"\xff" * 8 and not self._is_programmed_with_ones(address)

    def _is_programmed_with_ones(self, address: int) -> bool:
        """Whether a line reads erased but is not: its ECC bits are programmed, so nothing else can be (ff_pages)."""
        start = address - FLASH_BASE
        is_programmed = bool(self.state.programmed[start // 8]) and self._behaviour.ff_pages == "not"
        return is_programmed and self.state.cells[start : start + 8] == b"\xff" * 8

    def _program_row(self, address: int, data: bytes) -> None:
        state = self.state
        if not state.row:
            state.row_address, state.row_start = address, self._clock.now
        late = self._clock.now - state.row_start > ROW_SECONDS
        if late or state.row_address % ROW_BYTES or address != state.row_address + len(state.row):
            state.row.clear()
            state.sr |= FASTERR
            return
        state.row += data
        if len(state.row) < ROW_BYTES:
            return
        row = bytes(state.row)
        state.row.clear()
        if not all(self._is_line_free(state.row_address + i) for i in range(0, ROW_BYTES, 8)):
            state.sr |= PROGERR | FASTERR
            return
        self.put_cells(state.row_address, row)
        self._begin(Busy("row", state.row_address, ROW_BYTES, ROW_SECONDS / 4))

    def program_block(self, address: int, data: bytes) -> bool:
        """Program a run of lines at once if nothing can go wrong with it; else False, and nothing was done.

        The same as one access after the other; the chip lets the time pass.
        """
        state = self.state
        start, size = address - FLASH_BASE, len(data)
        quiet = state.cr & (PG | FSTPG) == PG and not state.sr & SEQUENCE_ERRORS and state.first_word is None
        quiet = quiet and state.busy is None and not state.acr & ACR_PES and not state.failing_operations
        quiet = quiet and not self.cpu2_works and self._behaviour.write_while_busy == "stall"
        if not quiet or address % 8 or size % 8 or not self.may_change(address + size - 1):
            return False
        pages = range(start // self._part.page, (start + size - 1) // self._part.page + 1)
        free = state.cells.count(b"\xff", start, start + size) == size
        if self._behaviour.ff_pages == "not":
            free = free and not any(state.programmed[start // 8 : (start + size) // 8])
        if not free or any(self._is_write_protected(page) for page in pages):
            return False
        self.put_cells(address, data)
        self._begin(Busy("program", address + size - 8, 8, LINE_SECONDS))
        return True
