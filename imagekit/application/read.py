"""An application in any file format that tool chains write; the content tells the format, not the name."""

import re
from collections.abc import Iterable

from imagekit.application import model
from imagekit.application.model import Application
from imagekit.errors import ApplicationError

ELF_MAGIC = b"\x7fELF"
_INTEL_HEX = re.compile(rb"\s*:[0-9A-Fa-f]{10,}\s")


def has_addresses(data: bytes) -> bool:
    """Whether the bytes are a file format that stores addresses, whatever the name of the file says."""
    from imagekit.application import dfuse, s_record, uf2

    if data.startswith((ELF_MAGIC, dfuse.PREFIX, uf2.MAGIC)):
        return True
    return s_record.looks_like_s_records(data) or _INTEL_HEX.match(data) is not None


def read_application(name: str, data: bytes, address: int | None = None) -> Application:
    """Read an application: ELF (GCC, IAR .out, Keil .axf), Intel HEX, S-records, DfuSe, UF2, or a binary at an address.

    Raises:
        ApplicationError: the file is damaged, is not an application, or is a binary without an address.
    """
    from imagekit.application import dfuse, s_record, uf2

    if address is not None:
        return model.from_binary(name, data, address)
    if data.startswith(ELF_MAGIC):
        return model.from_elf(name, data)
    if data.startswith(dfuse.PREFIX):
        return model.from_blocks(name, dfuse.read_dfuse(data), "DfuSe file")
    if data.startswith(uf2.MAGIC):
        return model.from_blocks(name, uf2.read_uf2(data), "UF2 file")
    if s_record.looks_like_s_records(data):
        return model.from_blocks(name, s_record.read_s_records(data), "S-record file")
    if _INTEL_HEX.match(data) or name.lower().endswith((".hex", ".ihex", ".ihx")):
        return model.from_hex(name, data)
    if not data:
        raise ApplicationError("the file is empty")
    raise ApplicationError(
        "not an ELF, Intel HEX, S-record, DfuSe or UF2 file; for a binary give its address: FILE.bin@0x08000000"
    )


def addressed_blocks(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return address and bytes of each unbroken run in a file format that stores addresses, whatever they hold.

    Raises:
        ApplicationError: the file is damaged, or its format stores no addresses.
        ParseError: the Intel HEX file is damaged.
    """
    from imagekit.application import dfuse, s_record, uf2
    from imagekit.application.intel_hex import read_blocks

    if data.startswith(dfuse.PREFIX):
        return _joined(dfuse.read_dfuse(data))
    if data.startswith(uf2.MAGIC):
        return _joined(uf2.read_uf2(data))
    if s_record.looks_like_s_records(data):
        return _joined(s_record.read_s_records(data))
    if _INTEL_HEX.match(data):
        return read_blocks(data).blocks
    raise ApplicationError("not an Intel HEX, S-record, DfuSe or UF2 file")


def _joined(pieces: Iterable[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Return the pieces upwards, those that touch joined."""
    runs: list[tuple[int, bytearray]] = []
    for start, content in sorted(pieces):
        if runs and start == runs[-1][0] + len(runs[-1][1]):
            runs[-1][1].extend(content)
        else:
            runs.append((start, bytearray(content)))
    return tuple((start, bytes(content)) for start, content in runs)
