"""The parts: memory sizes and where FUS lies, as numbers in a table.

Sources: CMSIS stm32wb55xx.h, stm32wb35xx.h, stm32wb15xx.h (addresses, SRAM sizes), RM0434, RM0473 (identification),
SEGGER's wiki (letter codes), STM32CubeWB release notes (the end of what FUS takes, versions of FUS).
"""

import re
from dataclasses import dataclass

from flasher.sim.errors import PartError

FLASH_BASE = 0x0800_0000  # CMSIS FLASH_BASE
SRAM1_BASE = 0x2000_0000  # CMSIS SRAM1_BASE
SRAM2A_BASE = 0x2003_0000  # CMSIS SRAM2A_BASE
SRAM2B_BASE = 0x2003_8000  # CMSIS SRAM2B_BASE
SRAM2A_KIB = 32  # every part
SYSTEM_MEMORY_BASE, SYSTEM_MEMORY_SIZE = 0x1FFF_0000, 0x7000  # CMSIS SYSTEM_MEMORY_BASE
OTP_BASE, OTP_SIZE = 0x1FFF_7000, 0x400  # CMSIS OTP_AREA_BASE

FUS_0_5_3, FUS_1_2_0 = 0x0005_0300, 0x0102_0000
_FUS_1 = (0x0100_0100, 0x0100_0200, 0x0101_0000, 0x0101_0100, 0x0101_0200, FUS_1_2_0)
_FUS_2 = (0x0200_0000, 0x0201_0000, 0x0202_0000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part number. Sizes in KiB, `page` in bytes, addresses as CPU1 sees them."""

    name: str
    series: str
    flash_kib: int
    sram1_kib: int
    sram2b_kib: int
    page: int
    die_end: int
    option_base: int
    dev_id: int
    table_device_id: int
    bootloader_id: int
    package: int
    newest_fus_base: int

    @property
    def nominal_end(self) -> int:
        """The address just above the flash that the part number promises."""
        return FLASH_BASE + self.flash_kib * 1024

    @property
    def die_pages(self) -> int:
        """Pages of the die; C, E and Y parts carry FUS above their nominal end (field reports, SEGGER)."""
        return (self.die_end - FLASH_BASE) // self.page

    @property
    def fus_versions(self) -> tuple[int, ...]:
        """Versions of FUS that ST has released for it, without build; a WB1x starts at 1.2.0 (release notes)."""
        versions = (FUS_0_5_3, *_FUS_1, *_FUS_2)
        return tuple(version for version in versions if self.series != "WB1x" or version >= FUS_1_2_0)

    def fus_base(self, fus_version: int) -> int:
        """Where FUS itself starts: two sectors higher with FUS 0.5.3 (SFSA 0xF6 instead of 0xF4, field report)."""
        early = fus_version >> 8 == FUS_0_5_3 >> 8 and self.series != "WB1x"
        return self.newest_fus_base + (2 * self.page if early else 0)

    def image_limit(self, fus_version: int) -> int:
        """The address just above the last sector for images while no stack is installed."""
        return min(self.nominal_end, self.fus_base(fus_version))


def _wb5x(name: str, flash_kib: int, *, series: str = "WB5x", sram1_kib: int = 192, package: int = 0x13) -> Part:
    return Part(
        name=f"STM32{name}",
        series=series,
        flash_kib=flash_kib,
        sram1_kib=sram1_kib,
        sram2b_kib=32,
        page=4096,
        die_end=0x0810_0000,
        option_base=0x1FFF_8000,
        dev_id=0x495,
        table_device_id=0x0496,  # hardware dumps of FUS's table: not the number of DBGMCU
        bootloader_id=0xD5,
        package=package,
        newest_fus_base=0x080F_4000,
    )


def _wb1x(name: str) -> Part:
    return Part(
        name=f"STM32{name}",
        series="WB1x",
        flash_kib=320,
        sram1_kib=12,
        sram2b_kib=4,
        page=2048,
        die_end=0x0805_0000,
        option_base=0x1FFF_7800,
        dev_id=0x494,
        table_device_id=0x0494,  # no dump of a WB1x: the number of DBGMCU
        bootloader_id=0xB1,
        package=0x0A,
        newest_fus_base=0x0804_6000,
    )


_LETTERS = {"C": 256, "E": 512, "Y": 640, "G": 1024}  # SEGGER's wiki
_PACKAGES = {"C": 0x0A, "R": 0x13, "V": 0x11}  # LL header, two boards read

_ALL = (
    *(_wb5x(f"WB55{p}{k}", _LETTERS[k], package=_PACKAGES[p]) for p in "CRV" for k in "CEG"),
    _wb5x("WB55VY", 640, package=0x11),
    _wb5x("WB50CG", 1024, sram1_kib=64, package=0x0A),
    _wb5x("WB5MMG", 1024),
    _wb5x("WB35CC", 256, series="WB3x", sram1_kib=32, package=0x0A),
    _wb5x("WB35CE", 512, series="WB3x", sram1_kib=32, package=0x0A),
    _wb5x("WB30CE", 512, series="WB3x", sram1_kib=32, package=0x0A),
    _wb1x("WB15CC"),
    _wb1x("WB10CC"),
    _wb1x("WB1MMC"),
)
PARTS: dict[str, Part] = {part.name: part for part in _ALL}

# What follows a part number in an order code: package, temperature, options and packing. Tools name modules with the
# package alone (STM32WB1MMCH, STM32WB5MMGH).
_ORDER_CODE = re.compile(r"(?:STM32)?(WB....)(?:[A-Z](?:[0-9X][0-9A-Z]{0,4})?)?", re.ASCII)


def find_part(text: str) -> Part:
    """Find a part by its number or order code, with or without `STM32`, in any case. Raises PartError."""
    match = _ORDER_CODE.fullmatch(text.strip().upper())
    part = PARTS.get(f"STM32{match[1]}") if match else None
    if part is None:
        raise PartError(f"no STM32WB part {text!r}; known: {', '.join(PARTS)}")
    return part
