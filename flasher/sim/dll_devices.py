"""The devices that the simulated J-Link library knows by name, and which of them have flash banks.

Names, flash base and sizes as in SEGGER's list of supported devices; sectors as in ST's CMSIS headers.
"""

from dataclasses import dataclass

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
    """A device by SEGGER's name."""

    name: str
    banks: tuple[Bank, ...] = ()


def _stm32wb(name: str, flash_kib: int, sector: int) -> Device:
    return Device(name, (Bank(0x0800_0000, flash_kib * 1024, sector),))


# A core alone has no banks, so there is nothing to cache or to intercept.
DEVICES = (
    Device("Cortex-M4"),
    Device("Cortex-M0+"),
    _stm32wb("STM32WB55RG", 1024, 4096),
    _stm32wb("STM32WB55RE", 512, 4096),
    _stm32wb("STM32WB55RC", 256, 4096),
    _stm32wb("STM32WB35CE", 512, 4096),
    _stm32wb("STM32WB15CC", 320, 2048),
)


def device_index(name: str) -> int:
    """Return the library's index of a device, -1 when it knows none of that name. 0 is taken: pylink refuses it."""
    return next((index for index, device in enumerate(DEVICES, 1) if device.name == name), -1)
