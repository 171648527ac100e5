"""DfuSe files (`.dfu`): what STM32 tools send over USB. Source: ST, UM0391, "DfuSe file format specification"."""

import struct
from zlib import crc32

from imagekit.errors import ApplicationError

PREFIX = b"DfuSe"
_HEADER = struct.Struct("<5sBIB")
_TARGET = struct.Struct("<6sBI255sII")
_ELEMENT = struct.Struct("<II")
_SUFFIX = struct.Struct("<HHHH3sBI")
_VERSION = 1


def read_dfuse(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return start address and bytes of every element of a DfuSe file.

    Raises:
        ApplicationError: the file is damaged, or is an ordinary DFU file without addresses.
    """
    try:
        return tuple(_elements(data))
    except struct.error as error:
        raise ApplicationError("truncated DfuSe file: copy it again") from error


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    signature, version, size, targets = _HEADER.unpack_from(data)
    if signature != PREFIX or version != _VERSION:
        raise ApplicationError("not a DfuSe file of version 1: give the .elf, .hex or .bin")
    _refuse_suffix(data, size)
    found_elements = []
    at = _HEADER.size
    for _ in range(targets):
        mark, _, _, _, target_size, elements = _TARGET.unpack_from(data, at)
        if mark != b"Target":
            raise ApplicationError("damaged DfuSe file: a target does not begin where it must; copy it again")
        at += _TARGET.size
        end = at + target_size
        for _ in range(elements):
            address, length = _ELEMENT.unpack_from(data, at)
            at += _ELEMENT.size
            if at + length > min(end, size):
                raise ApplicationError("damaged DfuSe file: an element is longer than its target; copy it again")
            found_elements.append((address, data[at : at + length]))
            at += length
    return found_elements


def _refuse_suffix(data: bytes, size: int) -> None:
    """Raise ApplicationError unless the file ends with the suffix whose CRC covers all bytes before it."""
    *_, mark, length, crc = _SUFFIX.unpack_from(data, len(data) - _SUFFIX.size)
    if mark != b"UFD" or length != _SUFFIX.size or size != len(data) - _SUFFIX.size:
        raise ApplicationError("damaged DfuSe file: it does not end with its suffix; copy it again in binary mode")
    if crc != crc32(data[:-4]) ^ 0xFFFF_FFFF:
        raise ApplicationError("damaged DfuSe file: its CRC does not agree; copy it again in binary mode")
