"""The archive: a store-only ZIP in which the members determine every byte.

Layout: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local file header), 4.3.12 (central directory) and 4.3.16 (end of
central directory). Every header is compared with the one that this module would write.
"""

import struct
from collections.abc import Iterable
from zlib import crc32

from imagekit.errors import BundleError, NotABundleError
from imagekit.files import LARGEST_BUNDLE

MANIFEST_NAME = "manifest.dsse.json"
LARGEST_MANIFEST = 256 * 1024
MOST_IMAGES = 15

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ZIP64_MARK = b"PK\x06\x06"
_VERSION = 10  # "default value": nothing but stored files (4.4.3.2)
_DATE = 1 << 5 | 1  # 1980-01-01, the first day that the format knows (4.4.6)


def write_archive(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the archive of these members, in this order."""
    local, central, position, count = [], [], 0, 0
    for name, content in members:
        size, crc = len(content), crc32(content)
        header = _local_header(name, size, crc)
        local += [header, content]
        central.append(_central_header(name, size, crc, position))
        position += len(header) + len(content)
        count += 1
    directory = b"".join(central)
    return b"".join([*local, directory, _end(count, len(directory), position)])


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive by their names. Raises NotABundleError, or BundleError `archive`."""
    if len(data) > LARGEST_BUNDLE:
        raise BundleError("archive", f"more than {LARGEST_BUNDLE} bytes")
    if data[:4] != _LOCAL_MARK:
        if _END_MARK in data:
            raise BundleError("archive", "there are bytes before the first member")
        raise NotABundleError("archive", "not a bundle: it does not begin like a ZIP archive")
    count, size, offset = _read_end(data)
    members: dict[str, bytes] = {}
    position, at = 0, offset
    for _ in range(count):
        name, length, where = _read_central(data, at, offset + size)
        if where != position:
            raise BundleError("archive", f"{name}: a gap or an overlap before it")
        start = position + _LOCAL.size + len(name)
        if start + length > offset:
            raise BundleError("archive", f"{name}: claims {length} bytes, more than the archive holds")
        content = data[start : start + length]
        crc = crc32(content)
        _compare(name, data[position:start], _local_header(name, length, crc), "its local header")
        central = _central_header(name, length, crc, position)
        _compare(name, data[at : at + len(central)], central, "its entry in the central directory")
        _refuse_name(name, members)
        members[name] = content
        position, at = start + length, at + len(central)
    if position != offset or at != offset + size:
        raise BundleError("archive", "there are bytes that belong to no member")
    return members


def _read_end(data: bytes) -> tuple[int, int, int]:
    """Return the number of members, the size of the central directory, and its offset."""
    if len(data) < _LOCAL.size + _END.size or data[-_END.size :][:4] != _END_MARK:
        raise BundleError(
            "archive", "the end record is not at the end of the file: it was truncated, or bytes were appended"
        )
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack(data[-_END.size :])
    if _ZIP64_MARK in data[offset + size :] or 0xFFFF in (here, count) or 0xFFFFFFFF in (size, offset):
        raise BundleError("archive", "ZIP64")
    if not 1 <= count <= MOST_IMAGES + 1:
        raise BundleError("archive", f"{count} members; 1 to {MOST_IMAGES + 1} are allowed")
    if offset + size + _END.size != len(data):
        raise BundleError("archive", "the central directory is not where the end record says")
    _compare("the end record", _END.pack(_END_MARK, disk, first_disk, here, count, size, offset, comment),
             _end(count, size, offset), "it")  # fmt: skip
    return count, size, offset


def _read_central(data: bytes, at: int, end: int) -> tuple[str, int, int]:
    """Return the name, length and position of a member from its entry in the central directory."""
    if at + _CENTRAL.size > end or data[at : at + 4] != _CENTRAL_MARK:
        raise BundleError("archive", "the central directory has fewer entries than the end record says")
    fields = _CENTRAL.unpack_from(data, at)
    _, _, _, flags, method, _, _, _, packed, length, name_length, extra, comment, _, _, attributes, where = fields
    raw = data[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise BundleError("archive", f"the name {raw!r} is not ASCII") from error
    for wrong, what in (
        (flags & 1, "encrypted"),
        (flags & 8, "with a data descriptor"),
        (method, "compressed"),
        (0xFFFFFFFF in (packed, length, where), "ZIP64"),
        (extra, "with an extra field"),
        (comment, "with a comment"),
        (attributes, "with file attributes"),
        (packed != length, "stored with two lengths"),
    ):
        if wrong:
            raise BundleError("archive", f"{name!a}: {what}")
    return name, length, where


def _refuse_name(name: str, before: dict[str, bytes]) -> None:
    """Raise BundleError for a name that bundles do not have, or that occurred before."""
    if name in before:
        raise BundleError("archive", f"{name}: occurs twice")
    digest = name.removeprefix("images/")
    is_image = name != digest and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    if name != MANIFEST_NAME and not is_image:
        raise BundleError("archive", f"{name!a}: not a name of a member of a bundle")
    if (name == MANIFEST_NAME) is bool(before):
        raise BundleError("archive", f"{MANIFEST_NAME} is not the first member")
    if len(before) > 1 and name < list(before)[-1]:
        raise BundleError("archive", f"{name}: not in the order of names")


def _compare(name: str, actual: bytes, expected: bytes, what: str) -> None:
    if actual != expected:
        raise BundleError("archive", f"{name}: {what} does not match its content")


def _local_header(name: str, size: int, crc: int) -> bytes:
    raw = name.encode("ascii")
    return _LOCAL.pack(_LOCAL_MARK, _VERSION, 0, 0, 0, _DATE, crc, size, size, len(raw), 0) + raw


def _central_header(name: str, size: int, crc: int, position: int) -> bytes:
    raw = name.encode("ascii")
    return (
        _CENTRAL.pack(
            *(_CENTRAL_MARK, _VERSION, _VERSION, 0, 0, 0, _DATE, crc, size, size),
            *(len(raw), 0, 0, 0, 0, 0, position),
        )
        + raw
    )


def _end(count: int, size: int, offset: int) -> bytes:
    return _END.pack(_END_MARK, 0, 0, count, count, size, offset, 0)
