"""The devices that the simulated J-Link library knows by name, and which of them have flash banks.

Names as in SEGGER's list of supported devices, one for each part number; sizes and sectors are the parts' own.
"""

from dataclasses import dataclass

from flasher.sim.parts import FLASH_BASE, PARTS

CORTEX_M4 = 0x0E00_00FF
"""SEGGER's number for the core, as `core_cpu()` prints it."""
DPIDR = 0x6BA0_2477
"""What the debug port of an STM32WB says it is."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A flash bank that the library may cache, erase and program by itself."""

    address: int
    size: int
    sector: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.size


@dataclass(frozen=True, slots=True)
class Device:
    """A device by SEGGER's name.

    `runs_fus`: the library asks FUS before and after a download, and deletes the stack first whatever the image is.
    That is not simulated: downloads to such a device are refused.
    """

    name: str
    banks: tuple[Bank, ...] = ()
    runs_fus: bool = False


def _stm32wb(part: str, name: str, *, runs_fus: bool = False) -> Device:
    found = PARTS[part]
    return Device(name, (Bank(FLASH_BASE, found.flash_kib * 1024, found.page),), runs_fus)


DEVICES = (
    # A core alone has no banks, so there is nothing to cache or to intercept.
    Device("Cortex-M4"),
    Device("Cortex-M0+"),
    *(_stm32wb(name, name) for name in PARTS),
    _stm32wb("STM32WB1MMC", "STM32WB1MMCH"),  # the module with its package letter, as J-Link's own list has it
    # One map for every WB55: a version of it was seen to assume 1 MB on a part of 512 KB.
    _stm32wb("STM32WB55RG", "STM32WB55xx - FUS", runs_fus=True),
    _stm32wb("STM32WB15CC", "STM32WB15CC - FUS", runs_fus=True),
)


def device_index(name: str) -> int:
    """Return the library's index of a device, -1 when it knows none of that name. 0 is taken: pylink refuses it."""
    return next((index for index, device in enumerate(DEVICES, 1) if device.name == name), -1)
