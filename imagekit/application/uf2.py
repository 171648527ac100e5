"""UF2 files. Source: Microsoft, "USB Flashing Format (UF2)", https://github.com/microsoft/uf2."""

import struct

from imagekit.errors import ApplicationError

MAGIC = b"UF2\n"
STM32WB = 0x70D1_6653
"""The family of STM32WBxx (uf2families.json)."""
_BLOCK = 512
_HEADER = struct.Struct("<8I")
_SECOND_MAGIC, _END_MAGIC = 0x9E5D_5157, 0x0AB1_6F30
_NOT_MAIN_FLASH, _HAS_FAMILY = 0x1, 0x2000
_LARGEST_PAYLOAD = 476


def read_uf2(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return start address and bytes of every block of a UF2 file.

    Raises:
        ApplicationError: the file is damaged, or for another chip family.
    """
    if not data or len(data) % _BLOCK:
        raise ApplicationError(f"a UF2 file consists of blocks of {_BLOCK} bytes, and this one does not: copy it again")
    found = []
    for at in range(0, len(data), _BLOCK):
        first, second, flags, address, size, number, count, family = _HEADER.unpack_from(data, at)
        (end,) = struct.unpack_from("<I", data, at + _BLOCK - 4)
        is_whole = (first.to_bytes(4, "little"), second, end) == (MAGIC, _SECOND_MAGIC, _END_MAGIC)
        if not is_whole or size > _LARGEST_PAYLOAD:
            raise ApplicationError(f"damaged UF2 file: block {at // _BLOCK} is not one; copy it again")
        if flags & _HAS_FAMILY and family != STM32WB:
            raise ApplicationError(f"a UF2 file for the chip family 0x{family:08X}: STM32WB has 0x{STM32WB:08X}")
        if number != at // _BLOCK or count != len(data) // _BLOCK:
            raise ApplicationError("damaged UF2 file: blocks are missing or out of order; copy it again")
        if not flags & _NOT_MAIN_FLASH:
            payload = at + _HEADER.size
            found.append((address, data[payload : payload + size]))
    return tuple(found)
