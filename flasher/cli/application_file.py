"""Read the file of an application for a simulated board: what a programmer would write from the start of flash."""

import re
from pathlib import Path

from imagekit.errors import ApplicationError
from imagekit.targets import FLASH_BASE

_LARGEST_FILE = 256 * 1024 * 1024  # an ELF file with debugging information
_LARGEST_BINARY = 1024 * 1024
_ERASED = b"\xff"


def flash_content(given: Path) -> bytes:
    """Return the bytes of an application from the start of flash: ELF, HEX, S-record, DfuSe, UF2, or a binary.

    A binary is at the start of flash, or at the address in `FILE.bin@ADDRESS`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not an application, or is larger than any flash.
    """
    from imagekit.application.read import has_addresses, read_application  # slow, and needed by one command

    path, address = _address_of(given)
    with path.open("rb") as file:
        data = file.read(_LARGEST_FILE + 1)
    if address is None and not has_addresses(data):
        address = FLASH_BASE
    if address is not None and len(data) > _LARGEST_BINARY:
        raise ValueError("larger than any flash")
    if address == FLASH_BASE:
        return data
    try:
        blocks = read_application(path.name, data, address).blocks
    except ApplicationError as error:
        raise ValueError(str(error)) from error
    content = b""
    for block in blocks:
        content = content.ljust(block.start - FLASH_BASE, _ERASED) + block.data
    return content


def _address_of(given: Path) -> tuple[Path, int | None]:
    """Return the path, and the address behind it if there is one."""
    binary = re.fullmatch(r"(.+\.bin)@(0x[0-9a-f]{1,8})", str(given), re.DOTALL | re.IGNORECASE)
    if binary is None:
        return given, None
    return Path(binary[1]), int(binary[2], 16)
