"""Motorola S-records (`.srec`, `.s19`, `.mot`).

Source: Motorola, M68000 Family Programmer's Reference Manual, appendix C, "S-record output format".
"""

import re

from imagekit.errors import ApplicationError

_LINE = re.compile(rb"S([0-9])((?:[0-9A-Fa-f]{2})+)\s*")
_ADDRESS_BYTES = {1: 2, 2: 3, 3: 4}
"""Data records -> how many bytes their address has."""
_ENDS = (7, 8, 9)


def looks_like_s_records(data: bytes) -> bool:
    """Whether the bytes begin with an S-record."""
    return re.match(rb"S[0-3][0-9A-Fa-f]{6,}\s", data) is not None


def read_s_records(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return start address and bytes of each unbroken run of data records, in the order of the file.

    Raises:
        ApplicationError: a line is damaged, or the end record is missing.
    """
    runs: list[tuple[int, bytearray]] = []
    has_end = False
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        kind, body = _record(line, number)
        has_end = has_end or kind in _ENDS
        if kind not in _ADDRESS_BYTES:
            continue
        width = _ADDRESS_BYTES[kind]
        address, content = int.from_bytes(body[:width], "big"), body[width:]
        if runs and address == runs[-1][0] + len(runs[-1][1]):
            runs[-1][1].extend(content)
        else:
            runs.append((address, bytearray(content)))
    if not has_end:
        raise ApplicationError("the S-record file has no end record (S7, S8 or S9): it is truncated; copy it again")
    return tuple((start, bytes(content)) for start, content in runs)


def _record(line: bytes, number: int) -> tuple[int, bytes]:
    """Return kind and body of a line, without length and checksum. Raises ApplicationError."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ApplicationError(f"line {number} is not an S-record: the file is damaged; make or copy it again")
    content = bytes.fromhex(match[2].decode("ascii"))
    if content[0] != len(content) - 1 or sum(content) & 0xFF != 0xFF:
        raise ApplicationError(f"line {number} of the S-record file is damaged (length or checksum): copy it again")
    return int(match[1]), content[1:-1]
