"""The flash controller's registers, bits and keys, and what it holds between two accesses.

Sources: CMSIS stm32wb55xx.h (the same bits in stm32wb15xx.h), psdb, MicroPython and HAL (keys). Durations are of the
order that flash of this kind takes; no source that was read has them.
"""

from dataclasses import dataclass, field

ACR, KEYR, OPTKEYR, SR, CR, ECCR, C2ACR, C2SR, C2CR = 0x00, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x5C, 0x60, 0x64

KEYS = (0x4567_0123, 0xCDEF_89AB)  # HAL FLASH_KEY1, FLASH_KEY2
OPTION_KEYS = (0x0819_2A3B, 0x4C5D_6E7F)  # HAL FLASH_OPTKEY1, FLASH_OPTKEY2

ACR_DCEN, ACR_DCRST, ACR_PES = 1 << 10, 1 << 12, 1 << 15
EOP, OPERR, PROGERR, WRPERR, PGAERR = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5
SIZERR, PGSERR, MISERR, FASTERR = 1 << 6, 1 << 7, 1 << 8, 1 << 9
OPTNV, RDERR, OPTVERR, BSY, CFGBSY, PESD = 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 18, 1 << 19
SEQUENCE_ERRORS = PROGERR | WRPERR | PGAERR | SIZERR | PGSERR | MISERR | FASTERR
CLEARED_BY_ONE = EOP | OPERR | SEQUENCE_ERRORS | RDERR | OPTVERR  # OPTNV is a status
PG, PER, MER, STRT, OPTSTRT, FSTPG = 1 << 0, 1 << 1, 1 << 2, 1 << 16, 1 << 17, 1 << 18
EOPIE, OBL_LAUNCH, OPTLOCK, LOCK = 1 << 24, 1 << 27, 1 << 30, 1 << 31
CR_KEPT = PG | PER | MER | 0xFF << 3 | FSTPG | 7 << 24

LINE_SECONDS = 82e-6
ERASE_SECONDS = 22e-3
OPTION_SECONDS = 25e-3
ROW_BYTES = 512
ROW_SECONDS = 7e-3  # a fast-programming row must be done within this (HAL)


@dataclass(slots=True)
class Busy:
    """An operation under way: `kind` erase, program, row, options or nothing; address, length, due time."""

    kind: str
    address: int
    size: int
    due: float


@dataclass(slots=True)
class FlashState:
    """Registers and cells.

    `conflict`: erase or write, what CPU1 began while CPU2 worked on flash. `cache`: what the data cache holds, by the
    address of the page.
    """

    cells: bytearray
    programmed: bytearray
    acr: int = 0x600
    cr: int = LOCK | OPTLOCK
    sr: int = OPTVERR
    key_step: int = 0
    option_key_step: int = 0
    keys_refused: bool = False
    option_keys_refused: bool = False
    first_word: int | None = None
    first_value: int = 0
    row: bytearray = field(default_factory=bytearray)
    row_address: int = 0
    row_start: float = 0.0
    busy: Busy | None = None
    suspended: Busy | None = None
    failing_operations: int = 0
    conflict: str = ""
    cache: dict[int, bytes] = field(default_factory=dict)
