"""What the J-Link library does to flash on its own: it caches reads and turns writes into erase and program.

Both happen for every device with flash banks unless the library is told not to (SEGGER: `DisableFlashDL`,
`ExcludeFlashCacheRange`, `InvalidateCache`). On a chip whose second core changes flash by itself both are harmful.
"""

from collections.abc import Callable

from flasher.sim.dll_devices import Bank
from flasher.sim.dll_link import CallError
from flasher.sim.errors import AccessError
from flasher.sim.probes import WiredChip

MEMORY_LINE = 64
RAM = (0x2000_0000, 0x2004_0000)  # SRAM1, SRAM2A and SRAM2B (CMSIS)
LINE = 256
"""Bytes that one miss brings into the cache. SEGGER does not say how large its lines are."""

# FLASH registers and bits as in ST's CMSIS header stm32wb55xx.h, keys as in ST's HAL (stm32wbxx_hal_flash.h).
KEYR, SR, CR = 0x5800_4008, 0x5800_4010, 0x5800_4014
KEYS = (0x4567_0123, 0xCDEF_89AB)
PG, PER, STRT, LOCK = 1 << 0, 1 << 1, 1 << 16, 1 << 31
PAGE_SHIFT = 3
ERRORS, BUSY = 0xC3F8, 1 << 16

PROGRAM_FAILED, VERIFY_FAILED = -3, -4
"""Answers of EndDownload: programming or erasing failed; what was programmed reads back otherwise."""
ERASE_FAILED = -5
"""Answer of EraseChip."""
POLL_SECONDS, POLLS = 0.000_1, 20_000

Read = Callable[[int, int, int], bytes]


class FlashCache:
    """What the library believes flash to hold."""

    def __init__(self) -> None:
        self._lines: dict[int, bytes] = {}
        self._excluded: list[tuple[int, int]] = []

    def exclude(self, first: int, last: int) -> None:
        """Never cache from here to there, the last address included."""
        self._excluded.append((first, last))
        self.invalidate()

    def invalidate(self) -> None:
        """Forget everything."""
        self._lines.clear()

    def read(self, bank: Bank, address: int, size: int, width: int, read: Read) -> bytes:
        """Read from the cache, and through `read` what it does not hold."""
        if any(first < address + size and address <= last for first, last in self._excluded):
            return read(address, size, width)
        first = address // LINE * LINE
        lines = [self._line(bank, at, read) for at in range(first, address + size, LINE)]
        if any(line is None for line in lines):
            return read(address, size, width)
        return b"".join(line for line in lines if line)[address - first :][:size]

    def _line(self, bank: Bank, address: int, read: Read) -> bytes | None:
        if address not in self._lines:
            size = min(LINE, bank.end - address)
            try:
                line = read(address, size, 4)
            except CallError:
                return None
            if len(line) < size:
                return None
            self._lines[address] = line
        return self._lines[address]


class MemoryCache:
    """What the library believes RAM to hold while CPU1 is halted (hardware-review 3: logs of the library).

    It fetches 64 bytes at a time and forgets them only when the core runs or memory is written through the library.
    """

    def __init__(self) -> None:
        self._lines: dict[int, bytes] = {}

    def invalidate(self) -> None:
        """Forget everything."""
        self._lines.clear()

    def read(self, address: int, size: int, width: int, read: Read) -> bytes:
        """Read from the cache, and through `read` what it does not hold; other memory than RAM is not cached."""
        first = address // MEMORY_LINE * MEMORY_LINE
        if not (RAM[0] <= address and address + size <= RAM[1]) or not size:
            return read(address, size, width)
        starts = range(first, address + size, MEMORY_LINE)
        for start in starts:
            if start in self._lines:
                continue
            try:
                line = read(start, MEMORY_LINE, 4)
            except CallError:
                line = b""
            if len(line) < MEMORY_LINE:  # the end of what is open: read only what was asked for
                return read(address, size, width)
            self._lines[start] = line
        return b"".join(self._lines[start] for start in starts)[address - first :][:size]


def program(chip: WiredChip, bank: Bank, address: int, data: bytes) -> int:
    """Bring flash to hold the data: compare, erase, program, verify, as the library's flash loader does.

    Returns how many bytes were programmed: none where the contents already match. CallError as EndDownload answers.
    The loader runs on the chip itself, so none of its accesses crosses the wire.
    """
    chip.halt()
    programmed = 0
    for start in range(address // bank.sector * bank.sector, address + len(data), bank.sector):
        try:
            programmed += _sector(chip, bank, start, address, data)
        except AccessError as error:
            raise CallError(PROGRAM_FAILED) from error
    return programmed


def erase_bank(chip: WiredChip, bank: Bank) -> None:
    """Erase every sector; CallError when one refuses."""
    chip.halt()
    try:
        for start in range(bank.address, bank.end, bank.sector):
            _erase(chip, bank, start)
    except (AccessError, CallError) as error:
        raise CallError(ERASE_FAILED) from error


def _sector(chip: WiredChip, bank: Bank, start: int, address: int, data: bytes) -> int:
    old = chip.read(start, bank.sector, 4)
    low, high = max(start, address), min(start + bank.sector, address + len(data))
    new = old[: low - start] + data[low - address : high - address] + old[high - start :]
    if new == old:
        return 0
    _erase(chip, bank, start)
    _set(chip, CR, PG)
    for at in range(0, bank.sector, 8):
        if new[at : at + 8] != b"\xff" * 8:
            chip.write(start + at, new[at : at + 8], 4)
            _finish(chip)
    _set(chip, CR, 0)
    _set(chip, CR, LOCK)
    if chip.read(start, bank.sector, 4) != new:
        raise CallError(VERIFY_FAILED)
    return high - low


def _erase(chip: WiredChip, bank: Bank, start: int) -> None:
    # Keys written to an open lock are an error of their own: ST's HAL too writes them only when LOCK is set.
    if _get(chip, CR) & LOCK:
        for key in KEYS:
            _set(chip, KEYR, key)
    _set(chip, SR, ERRORS)
    page = (start - bank.address) // bank.sector << PAGE_SHIFT
    _set(chip, CR, PER | page)
    _set(chip, CR, PER | page | STRT)
    _finish(chip)
    _set(chip, CR, 0)


def _finish(chip: WiredChip) -> None:
    for _ in range(POLLS):
        status = _get(chip, SR)
        if not status & BUSY:
            break
        chip.advance(POLL_SECONDS)
    if status & (BUSY | ERRORS):
        raise CallError(PROGRAM_FAILED)


def _get(chip: WiredChip, address: int) -> int:
    return int.from_bytes(chip.read(address, 4, 4), "little")


def _set(chip: WiredChip, address: int, value: int) -> None:
    chip.write(address, value.to_bytes(4, "little"), 4)
