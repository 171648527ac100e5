"""User flash through the registers of the flash controller. Only an Area below SFSA can be changed.

Sequences: RM0434 3.3 as psdb has them (devices/stm32/flash_type1.py). registers.py has the sources of the numbers.
"""

from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.device import Area, Progress, Staging
from flasher.errors import ChipError, FlashError, SilentError
from flasher.retry import Wait

_BLOCK = 32 * 1024
ERASE_SECONDS = 0.025
"""A sector takes about 22 ms (datasheet, as psdb has it)."""
_LIMIT_SECONDS = 1.0
"""Limit of the HAL for any flash operation."""
_PROGRAM_SECONDS = 0.001


def _no_progress(_size: int) -> None:
    pass


class FlashDriver:
    """The flash of one chip. Every method raises ProbeError when the chip cannot be reached."""

    def __init__(self, chip: ChipDriver) -> None:
        self._chip = chip

    def read(self, start: int, end: int, progress: Progress = _no_progress) -> bytes:
        """Return the bytes from `start` up to `end`."""
        if self._chip.holds_cpu1:
            self._flush_data_cache()
        parts = []
        for address in range(start, end, _BLOCK):
            parts.append(self._chip.probe.read(address, min(_BLOCK, end - address)))
            progress(len(parts[-1]))
        return b"".join(parts)

    def erase(self, area: Area) -> None:
        """Erase an area sector by sector. Raises FlashError, and ChipError for an area that is not user flash."""
        chip = self._chip
        self._refuse_secure(area)
        unlock(chip)
        for page in area.pages:
            chip.put(reg.FLASH_SR, reg.SR_ERRORS)
            command = reg.CR_PER | page << reg.CR_PAGE_SHIFT
            chip.put(reg.FLASH_CR, command)
            chip.put(reg.FLASH_CR, command | reg.CR_STRT)
            chip.clock.sleep(ERASE_SECONDS)
            address = reg.FLASH_BASE + page * area.target.sector_size
            finish(chip, f"erasing the sector at 0x{address:08X}", ERASE_SECONDS)
        chip.put(reg.FLASH_CR, reg.CR_LOCK)

    def program(self, staging: Staging, progress: Progress) -> None:
        """Program an erased area and read it back. Raises FlashError, and ChipError as `erase` does."""
        chip, area, data = self._chip, staging.area, staging.data
        self._refuse_secure(area)
        unlock(chip)
        chip.put(reg.FLASH_SR, reg.SR_ERRORS)
        chip.put(reg.FLASH_CR, reg.CR_PG)
        for offset in range(0, len(data), area.target.sector_size):
            block, address = data[offset : offset + area.target.sector_size], area.start + offset
            chip.probe.write(address, block)
            finish(chip, f"programming 0x{address:08X}", _PROGRAM_SECONDS)
            progress(len(block))
        chip.put(reg.FLASH_CR, reg.CR_LOCK)
        if self.read(area.start, area.start + len(data)) != data:
            raise FlashError(f"{area.text} reads back differently from what was programmed")

    def _flush_data_cache(self) -> None:
        """Make reads show the flash and not a stale line of the data cache (HAL, FLASH_FlushCaches)."""
        found = self._chip.word(reg.FLASH_ACR)
        if found & reg.ACR_DCEN:
            self._chip.put(reg.FLASH_ACR, found & ~reg.ACR_DCEN)
            self._chip.put(reg.FLASH_ACR, found & ~reg.ACR_DCEN | reg.ACR_DCRST)
            self._chip.put(reg.FLASH_ACR, found & ~reg.ACR_DCEN)
            self._chip.put(reg.FLASH_ACR, found)

    def _refuse_secure(self, area: Area) -> None:
        """Raise ChipError unless an area is below SFSA as it is now."""
        target = self._chip.identity.target
        secure = target.sector_address(self._chip.sfsa())
        if area.target != target or area.end > secure:
            raise ChipError(f"{area.text} belongs to CPU2 now: SFSA is 0x{secure:08X}; plan again")


def unlock(chip: ChipDriver) -> None:
    """Unlock the flash controller, but never twice: keys while it is unlocked are a wrong sequence (MicroPython)."""
    _wait_ready(chip, "the flash is ready", ERASE_SECONDS)
    if chip.word(reg.FLASH_CR) & reg.CR_LOCK:
        for key in reg.KEYS:
            chip.put(reg.FLASH_KEYR, key)
    if chip.word(reg.FLASH_CR) & reg.CR_LOCK:
        raise FlashError("the flash controller stays locked until the chip is reset")


def finish(chip: ChipDriver, what: str, pause_s: float) -> None:
    """Wait for the end of a flash operation and check it. Older errors were cleared before: OPTVERR is always set."""
    status = _wait_ready(chip, what, pause_s)
    if errors := status & reg.SR_ERRORS:
        raise FlashError(f"{what} failed: FLASH_SR 0x{status:08X}, errors 0x{errors:X}")


def _wait_ready(chip: ChipDriver, what: str, pause_s: float) -> int:
    """Wait until the flash is ready. Raises FlashError: half a double word keeps it busy until a reset."""
    try:
        return chip.wait_for(reg.FLASH_SR, reg.SR_BUSY, 0, Wait(what, _LIMIT_SECONDS, pause_s))
    except SilentError as error:
        raise FlashError(str(error)) from error
