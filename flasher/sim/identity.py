"""What a chip says about itself: identification registers, factory constants, system memory.

Sources: CMSIS stm32wb55xx.h (addresses), RM0434 and RM0473 (fields), psdb and two boards (values).
"""

import hashlib
import struct

from flasher.sim.parts import OTP_BASE, OTP_SIZE, SYSTEM_MEMORY_BASE, SYSTEM_MEMORY_SIZE, Part

IDCODE = 0xE004_2000  # DBGMCU
ROM_TABLE = 0xE00F_F000  # of CPU1's access port
_FACTORY_BASE, _FACTORY_SIZE = 0x1FFF_7400, 0x400
_PACKAGE, _UID64, _UID96, _FLASH_SIZE = 0x1FFF_7500, 0x1FFF_7580, 0x1FFF_7590, 0x1FFF_75E0
_BOOTLOADER_ID = 0x1FFF_6FFE
_REVISION = 0x2001  # cut 2.1 (shci.h)
_UID64_DEVICE = 0x26  # two boards; the manual says 0x25
_ST_OUI = 0x0080E1


class FactoryConstants:
    """Read-only memory of one chip; `serial`, of 32 bits, makes it unlike any other. Raises ValueError."""

    def __init__(self, part: Part, serial: int) -> None:
        if not 0 <= serial <= 0xFFFF_FFFF:
            raise ValueError(f"no serial number of 32 bits: {serial}")
        self.serial = serial
        self._idcode = _REVISION << 16 | part.dev_id
        self._dev_id = part.dev_id
        self.uid64 = struct.pack("<Q", _ST_OUI << 40 | _UID64_DEVICE << 32 | serial)
        self.uid96 = hashlib.sha256(struct.pack("<I", serial)).digest()[:12]
        self._factory = bytearray(b"\xff" * _FACTORY_SIZE)
        self._system = bytearray(SYSTEM_MEMORY_SIZE)
        constants = ((_PACKAGE, struct.pack("<I", part.package)), (_UID64, self.uid64), (_UID96, self.uid96))
        for address, content in (*constants, (_FLASH_SIZE, struct.pack("<H", part.flash_kib))):
            self._factory[address - _FACTORY_BASE : address - _FACTORY_BASE + len(content)] = content
        self._system[_BOOTLOADER_ID - SYSTEM_MEMORY_BASE] = part.bootloader_id

    def read(self, address: int) -> int | None:
        """A word of what never changes, None where there is none."""
        if address == IDCODE:
            return self._idcode
        if ROM_TABLE <= address < ROM_TABLE + 0x1000:
            return self._rom_table(address - ROM_TABLE)
        areas = ((SYSTEM_MEMORY_BASE, self._system), (OTP_BASE, b"\xff" * OTP_SIZE), (_FACTORY_BASE, self._factory))
        for base, content in areas:
            if base <= address < base + len(content):
                return int.from_bytes(content[address - base : address - base + 4], "little")
        return None

    def _rom_table(self, offset: int) -> int:
        """Peripheral and component id; 0xA0495 and 0xB105100D on a WB55 (psdb)."""
        number = self._dev_id | 0xA_0000
        identification = {0xFE0: number & 0xFF, 0xFE4: number >> 8 & 0xFF, 0xFE8: number >> 16}
        identification |= {0xFF0: 0x0D, 0xFF4: 0x10, 0xFF8: 0x05, 0xFFC: 0xB1}
        return identification.get(offset, 0)
