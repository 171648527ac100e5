"""The kinds of STM32WB chip that an install address is computed for, and the part numbers and boards that select one.

Numbers: ST's address tables (Release_Notes.html of STM32CubeWB), measured over 37 releases; flash geometry
HAL stm32wbxx_hal_flash.h (FLASH_PAGE_SIZE: 4 KiB on WB5x/WB3x, 2 KiB on WB1x). See docs/image-format.md.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from imagekit.errors import TargetError

FLASH_BASE = 0x0800_0000
"""Where flash begins in the memory map of every STM32WB (RM0434, RM0473: memory organization)."""

LARGEST_FLASH = 1024 * 1024
"""Bytes of flash on the largest STM32WB (xG parts): no image can be larger."""

LARGEST_HEX = 4 * LARGEST_FLASH
"""Bytes of Intel HEX for the largest flash: 2.8 for each byte at 16 bytes a line, more with shorter lines."""


SRAM2A, SRAM2B = 0x2003_0000, 0x2003_8000
"""Where the two SRAMs begin that CPU1 and CPU2 share (RM0434, RM0473: memory organization)."""

SRAM2A_KIB = 32
"""KiB of SRAM2a, on every series (as SRAM2B_KIB)."""


class Series(Enum):
    """The three STM32WB dies, as ST names their folders of images."""

    WB1X = "WB1x"
    WB3X = "WB3x"
    WB5X = "WB5x"


def series_names(series: Iterable[Series]) -> str:
    """Return `WB3x or WB5x`."""
    return " or ".join(member.value for member in series)


SECTOR_SIZES = {Series.WB1X: 2048, Series.WB3X: 4096, Series.WB5X: 4096}
"""Bytes in a flash sector, FUS's unit (the manuals say page)."""


SRAM2B_KIB = {Series.WB1X: 4, Series.WB3X: 32, Series.WB5X: 32}
"""KiB of SRAM2b (RM0473; RM0434)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A kind of chip: one column of ST's address tables. The rows of TARGETS are the only ones."""

    name: str
    """The column's heading in ST's tables, such as `STM32WB5xxG`."""
    series: Series
    flash_kib: int
    limit: int
    """Address just above an image installed with no stack on the chip."""
    limit_source: str
    """Why the limit is where it is."""
    fus_begins: int | None
    """Where FUS 1.0.2 and later begin, which is where SFSA points with no stack; None: not known."""
    limit_fus_0_5_3: int | None = None
    """The limit under FUS 0.5.3, where that FUS is known to have run."""
    fus_1_spare_sectors: int = 0
    """Sectors that ST leaves free above a FUS 1.x image."""

    @property
    def sector_size(self) -> int:
        """Bytes in a flash sector."""
        return SECTOR_SIZES[self.series]

    def sector_address(self, sector: int) -> int:
        """Return the address of a sector, such as the one that SFSA names."""
        return FLASH_BASE + sector * self.sector_size


# Seen with SFSA 0xF4 on 1 MiB and on 512 KiB (community.st.com, thread 276287): the die is the same, so the parts with
# 256 and 640 KiB are taken to be like that. WB1x: SFSA 0x8C (thread 580319). WB3x: not known.
_WB5X_FUS, _WB1X_FUS = 0x080F_4000, 0x0804_6000
_ABOVE = "the end of this part's flash; FUS lies above it"

TARGETS = (
    Target(
        name="STM32WB5xxG",
        series=Series.WB5X,
        flash_kib=1024,
        limit=0x080F_4000,
        limit_source="the last 12 of 256 sectors are FUS",
        fus_begins=_WB5X_FUS,
        limit_fus_0_5_3=0x080F_6000,
        # ST prints 0x080EC000 for every FUS 1.x image (6 sectors), from v1.1.0 to today.
        fus_1_spare_sectors=2,
    ),
    Target(
        name="STM32WB5xxY",
        series=Series.WB5X,
        flash_kib=640,
        limit=0x080A_0000,
        limit_source=_ABOVE,
        fus_begins=_WB5X_FUS,
    ),
    Target(
        name="STM32WB5xxE",
        series=Series.WB5X,
        flash_kib=512,
        limit=0x0808_0000,
        limit_source=_ABOVE,
        fus_begins=_WB5X_FUS,
    ),
    Target(
        name="STM32WB5xxC",
        series=Series.WB5X,
        flash_kib=256,
        limit=0x0804_0000,
        limit_source=_ABOVE,
        fus_begins=_WB5X_FUS,
    ),
    Target(
        name="STM32WB3xxE", series=Series.WB3X, flash_kib=512, limit=0x0808_0000, limit_source=_ABOVE, fus_begins=None
    ),
    Target(
        name="STM32WB3xxC", series=Series.WB3X, flash_kib=256, limit=0x0804_0000, limit_source=_ABOVE, fus_begins=None
    ),
    Target(
        name="STM32WB1xxC",
        series=Series.WB1X,
        flash_kib=320,
        limit=0x0804_6000,
        limit_source="the last 20 of 160 sectors are FUS",
        fus_begins=_WB1X_FUS,
    ),
)
"""Every target, in the order of ST's tables."""

_BY_NAME = {target.name: target for target in TARGETS}

# The letter after the pin count is the flash size: C 256 KiB (320 KiB on WB1x), E 512, Y 640, G 1024.
_PARTS = (
    *((f"WB55{pins}{flash}", f"STM32WB5xx{flash}") for pins in "CRV" for flash in "CEYG"),
    ("WB50CG", "STM32WB5xxG"),
    ("WB5MMG", "STM32WB5xxG"),
    ("WB35CC", "STM32WB3xxC"),
    ("WB35CE", "STM32WB3xxE"),
    ("WB30CE", "STM32WB3xxE"),
    ("WB15CC", "STM32WB1xxC"),
    ("WB10CC", "STM32WB1xxC"),
    ("WB1MMC", "STM32WB1xxC"),
)

PARTS = {part: _BY_NAME[name] for part, name in _PARTS}
"""Part number without `STM32` and ordering suffix → its target."""


@dataclass(frozen=True, slots=True)
class Board:
    """A board that can be bought, and the part that is on it."""

    name: str
    part: str
    """The part as PARTS has it."""
    source: str


_STM32DUINO = "README.md of stm32duino/Arduino_Core_STM32, supported boards"

BOARDS = (
    Board("NUCLEO-WB55RG", "WB55RG", "Zephyr documentation, boards/st/nucleo_wb55rg"),
    Board("P-NUCLEO-WB55", "WB55RG", _STM32DUINO),
    Board("P-NUCLEO-WB55.Nucleo", "WB55RG", _STM32DUINO),
    Board("P-NUCLEO-WB55.USBDongle", "WB55CG", _STM32DUINO),
    Board("NUCLEO-WB15CC", "WB15CC", _STM32DUINO),
    Board("STM32WB5MM-DK", "WB5MMG", "ST UM2825, features"),
    Board("B-WB1M-WPAN1", "WB1MMC", "ST MB1868 schematic, U5 (STM32WB1MMCH6)"),
    Board("STEVAL-PROTEUS1", "WB5MMG", "community.st.com thread 709296 (images); part from projects for Zephyr"),
    Board("B-U585I-IOT02A", "WB5MMG", "Zephyr documentation, boards/st/stm32wb5mmg (its Bluetooth module)"),
    Board("WeAct-STM32WB55CoreBoard", "WB55CG", "github.com/orgs/micropython/discussions/15522 (STM32WB55CGU6)"),
    Board("SparkFun-MicroMod-STM32WB5MMG", "WB5MMG", "github.com/sparkfun/MicroMod_Processor_STM32WB5MMG"),
    Board("Flipper-Zero", "WB55RG", "github.com/RIOT-OS/RIOT/issues/20427"),
)
"""Boards that are accepted in place of a part number."""

# Package letter, temperature digit (CubeMX writes x), then options and packing: V6, U6A, Y6TR, UX.
_ORDERING_SUFFIX = re.compile(r"[A-Z][0-9X][0-9A-Z]{0,4}")


def select_target(part: str) -> Target:
    """Return the target of a part number or of a board.

    A part number can have any case, `STM32` in front and an ordering suffix. The name of a target (`STM32WB5xxG`)
    selects that target. A board can be written in any case, and without its dashes and dots.

    Raises:
        TargetError: no part and no board has this name.
    """
    wanted = part.strip().upper().removeprefix("STM32")
    for name, target in _BY_NAME.items():
        if wanted == name.upper().removeprefix("STM32"):
            return target
    if wanted[:6] in PARTS and (len(wanted) == 6 or _ORDERING_SUFFIX.fullmatch(wanted[6:])):
        return PARTS[wanted[:6]]
    for board in BOARDS:
        if _letters(board.name) == _letters(part):
            return PARTS[board.part]
    raise TargetError(f"unknown part or board {part!r}: {_did_you_mean(part)}")


def part_number(part: str) -> str | None:
    """Return a part number as PARTS has it, of a part or a board; None for a target, which stands for several."""
    wanted = part.strip().upper().removeprefix("STM32")
    if wanted[:6] in PARTS and (len(wanted) == 6 or _ORDERING_SUFFIX.fullmatch(wanted[6:])):
        return wanted[:6]
    for board in BOARDS:
        if _letters(board.name) == _letters(part):
            return board.part
    return None


def _letters(name: str) -> str:
    """Return a name as it is compared: capital letters and digits only."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _did_you_mean(part: str) -> str:
    """Return what to type instead of an unknown name; never a part of another flash size or product line."""
    text = _letters(part)
    within = [name for name in PARTS if name in text]
    if within:
        return f"did you mean STM32{within[0]}?"
    if re.match(r"(?:STM32)?WB(?:A|0)", text):
        return "STM32WBA and STM32WB0 are other product lines, without FUS"
    if not re.match(r"(?:STM32)?WB(?:55|50|35|30|15|10)", text):
        from difflib import get_close_matches

        boards = {_letters(board.name): board.name for board in BOARDS}
        near = get_close_matches(text, boards, n=2, cutoff=0.8)
        if near:
            return f"did you mean {' or '.join(boards[name] for name in near)}?"
    if re.search(r"WB(?:55|50|5M|35|30|15|10|1M)", text):
        return "give the whole number printed on the chip, such as STM32WB55RG: its last letter is the flash size"
    return "give the number printed on the chip, such as STM32WB55RG, or a board, such as NUCLEO-WB55RG"
