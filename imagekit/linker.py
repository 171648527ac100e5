"""The memory regions for an application's linker script, for a part and a stack.

Flash ends where the stack is installed; of SRAM2, the footer says what the stack leaves to the application.
"""

from dataclasses import dataclass

from imagekit.errors import LinkerError
from imagekit.image.model import Image, ImageKind
from imagekit.placement import Placement
from imagekit.targets import FLASH_BASE, SRAM2A, SRAM2A_KIB, SRAM2B, SRAM2B_KIB, part_number

SRAM1 = 0x2000_0000
_RESERVED = 8
"""Bytes that ST's linker scripts leave free at the start of SRAM1 (STM32CubeWB, BLE examples: RAM1 at 0x20000008): a
boot loader for updates over the air passes its orders there (BLE_Ota, app_entry.c)."""

SRAM1_KIB = {
    # CMSIS stm32wb55xx.h, SRAM1_SIZE.
    **{f"WB55{pins}{flash}": 192 for pins in "CRV" for flash in "EYG"},
    # With 256 KiB of flash, 128 KiB of RAM, of which 64 KiB are SRAM2: embassy-rs/stm32-data-generated, stm32wb55cc
    # (65536 bytes at 0x20000000, from ST's STM32CubeMX database); mbed-os, TARGET_STM32WB55xx/cmsis_nvic.h.
    **{f"WB55{pins}C": 64 for pins in "CRV"},
    "WB5MMG": 192,  # CMSIS stm32wb5mxx.h
    "WB50CG": 64,  # CMSIS stm32wb50xx.h
    # CMSIS stm32wb35xx.h, stm32wb30xx.h. The same with 256 KiB of flash: embassy-rs/stm32-data-generated, stm32wb35cc
    # (98304 bytes of RAM, of which 64 KiB are SRAM2).
    "WB35CC": 32,
    "WB35CE": 32,
    "WB30CE": 32,
    # CMSIS stm32wb15xx.h, stm32wb10xx.h, stm32wb1mxx.h
    "WB15CC": 12,
    "WB10CC": 12,
    "WB1MMC": 12,
}
"""Part number -> KiB of SRAM1. A part that is missing here is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region of memory, under the name that ST's linker scripts give it."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """The last address in it."""
        return self.start + self.size - 1


def regions(part: str, image: Image, placement: Placement) -> tuple[Region, ...]:
    """Return FLASH, RAM1, RAM_SHARED and, where the stack leaves some of SRAM2b, RAMB_SHARED.

    Raises:
        LinkerError: the image is not a stack, the SRAM1 of the part is not known, or no SRAM2a is left.
    """
    if image.kind is not ImageKind.STACK:
        raise LinkerError(f"the image is not a stack ({image.kind.value}): regions depend on the stack")
    number = part_number(part)
    if number is None or number not in SRAM1_KIB:
        raise LinkerError(f"the size of SRAM1 depends on the part number: give it in place of {part!r}")
    left_a = min(image.footer.sram2a_kib, SRAM2A_KIB) * 1024
    left_b = min(image.footer.sram2b_kib, SRAM2B_KIB[placement.target.series]) * 1024
    if not left_a:
        raise LinkerError("the stack leaves no SRAM2a to the application: the mailbox has no place")
    memories = [
        Region(name="FLASH", start=FLASH_BASE, size=placement.address - FLASH_BASE),
        Region(name="RAM1", start=SRAM1 + _RESERVED, size=SRAM1_KIB[number] * 1024 - _RESERVED),
        Region(name="RAM_SHARED", start=SRAM2A, size=left_a),
    ]
    if left_b:
        memories.append(Region(name="RAMB_SHARED", start=SRAM2B, size=left_b))
    return tuple(memories)
