"""Find ST's images inside other files: merged HEX files, files for updates over the air, flash dumps, C arrays.

An image is found by its footers. Its start is not stored: the catalogue knows the size of what ST published, and ST's
signature confirms any other start.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from itertools import islice

from imagekit.assessment import Assessment, assess
from imagekit.catalogue import Catalogue, shipped
from imagekit.errors import ApplicationError, ParseError
from imagekit.flash_scan import image_ends
from imagekit.image.container import FOOTER_SIZE, ST_SIGNATURE_SIZE
from imagekit.image.model import Image
from imagekit.image.signature import SignatureStatus
from imagekit.targets import LARGEST_FLASH, SECTOR_SIZES
from imagekit.text import hex_word


class Stored(Enum):
    """How an image is stored in a file."""

    PLAIN = "plain"
    INVERTED = "inverted"
    """Each byte XOR 0xFF."""
    C_ARRAY = "c-array"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedImage:
    """A whole image of ST's inside a file."""

    offset: int
    """Where it starts: in the file, in the array, or, in a format with addresses, its address."""
    data: bytes
    stored: Stored
    is_address: bool
    """Whether `offset` is an address."""
    assessment: Assessment

    @property
    def title(self) -> str:
        """ST's name and version: `BLE_Thread_static 1.13.3`; the kind where the name is not known."""
        version = self.assessment.image.version
        if version is None:
            return self.assessment.name
        return f"{self.assessment.name} {version.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Bytes to search, and how they are stored in the file."""

    data: bytes
    base: int = 0
    stored: Stored = Stored.PLAIN
    is_address: bool = False


def find_embedded(data: bytes, catalogue: Catalogue | None = None) -> tuple[EmbeddedImage, ...]:
    """Return every whole image of ST's in a file, in its order; one that was altered is not whole."""
    views = [view for view in _views(data) if any(image_ends(view.data))]
    if not views:
        return ()
    known = catalogue or shipped()
    sizes = _sizes_by_footer(known)
    return tuple(image for view in views for image in _images_in(view, known, sizes))


_Sizes = dict[tuple[str, int, int], list[int]]
"""Magic, SRAM2a and SRAM2b of an image footer -> the sizes of all known images with it."""


def _sizes_by_footer(catalogue: Catalogue) -> _Sizes:
    sizes: dict[tuple[str, int, int], set[int]] = {}
    for content in catalogue.contents.values():
        if content.magic is not None:
            key = (content.magic, content.sram2a_kib or 0, content.sram2b_kib or 0)
            sizes.setdefault(key, set()).add(content.size)
    return {key: sorted(known) for key, known in sizes.items()}


def _views(data: bytes) -> Iterator[_View]:
    """Yield what to search: blocks of a format with addresses, or the bytes as they are, inverted, and in arrays."""
    from imagekit.application.read import addressed_blocks, has_addresses  # slow, and needed only here

    if has_addresses(data):
        try:
            blocks = addressed_blocks(data)
        except (ApplicationError, ParseError):
            blocks = ()  # an ELF file, whose bytes are stored as they are, or a damaged file
        yield from (_View(data=block, base=start, is_address=True) for start, block in blocks)
        if blocks:
            return
    yield _View(data=data)
    yield _View(data=data.translate(_INVERTED), stored=Stored.INVERTED)
    yield from (_View(data=array, stored=Stored.C_ARRAY) for array in _arrays(data))


_INVERTED = bytes(byte ^ 0xFF for byte in range(256))


_MOST_ENDS = 256
"""Ends of images that are looked at: more than fit in flash, so that a made-up file cannot take hours."""


def _images_in(view: _View, catalogue: Catalogue, sizes: _Sizes) -> Iterator[EmbeddedImage]:
    last_end = 0
    for end in islice(image_ends(view.data), _MOST_ENDS):
        start, assessment = _start_of(view, last_end, end, catalogue, sizes)
        if assessment is None:
            continue
        yield EmbeddedImage(
            offset=view.base + start,
            data=view.data[start:end],
            stored=view.stored,
            is_address=view.is_address,
            assessment=assessment,
        )
        last_end = end


def _start_of(view: _View, first: int, end: int, catalogue: Catalogue, sizes: _Sizes) -> tuple[int, Assessment | None]:
    """Return where the image that ends here starts, and what it is; None when no start makes it whole."""
    footer = _footer_before(view.data, end)
    key = (hex_word(int.from_bytes(footer[_MAGIC_AT:], "little")), footer[_SRAM2A_AT], footer[_SRAM2B_AT])
    for size in sizes.get(key, ()):
        content = view.data[max(end - size, first) : end]
        if len(content) == size and sha256(content).hexdigest() in catalogue.contents:
            return end - size, assess(Image.parse(content), catalogue=catalogue)
    for start in _likely_starts(view, first, end):
        try:
            assessment = assess(Image.parse(view.data[start:end]), catalogue=catalogue)
        except ParseError:
            continue
        if assessment.signature.status is SignatureStatus.VALID:
            return start, assessment
    return end, None


def _likely_starts(view: _View, first: int, end: int) -> list[int]:
    """Return offsets at which an image that is not in the catalogue can start.

    These are the start of the bytes, the end of the image before, and, as in flash, the sector that the image's number
    of sectors gives.
    """
    sectors = _footer_before(view.data, end)[_SECTORS_AT]
    starts = [0, first]
    for size in sorted(set(SECTOR_SIZES.values())):
        last_sector_end = -(-(view.base + end) // size) * size
        starts.append(last_sector_end - sectors * size - view.base)
    return [start for start in dict.fromkeys(starts) if first <= start < end <= start + LARGEST_FLASH]


def _footer_before(data: bytes, end: int) -> bytes:
    """Return the image footer of the image that ends here."""
    footer_end = end - FOOTER_SIZE - ST_SIGNATURE_SIZE
    return data[footer_end - FOOTER_SIZE : footer_end]


# Offsets in the image footer (imagekit.image.container, _IMAGE_FOOTER).
_SECTORS_AT, _SRAM2A_AT, _SRAM2B_AT, _MAGIC_AT = 8, 10, 11, 16


# --- C arrays

_ARRAY = re.compile(rb"\{([^{}]{600,})\}")
"""Contents in braces, long enough for the smallest image."""
_LINE_COMMENT = re.compile(rb"//[^\n]*")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,3}")
_TEXT_SAMPLE = 4096


def _arrays(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each array of numbers in source text."""
    if b"\0" in data[:_TEXT_SAMPLE] or b"{" not in data:
        return
    for match in _ARRAY.finditer(_without_comments(data)):
        numbers = _NUMBER.findall(match[1])
        values = [int(number, _base(number)) for number in numbers]
        width = 1
        if any(len(number) > len(b"0xFF") for number in numbers):
            width = 4  # words, stored as CPU1 reads them
        if all(value < 1 << 8 * width for value in values):
            yield b"".join(value.to_bytes(width, "little") for value in values)


def _base(number: bytes) -> int:
    if number[:2].lower() == b"0x":
        return 16
    return 10  # also with leading zeros: arrays are aligned so


def _without_comments(data: bytes) -> bytes:
    """Return source text without its comments, in time proportional to its size."""
    pieces = []
    at = 0
    while (start := data.find(b"/*", at)) >= 0:
        pieces.append(data[at:start])
        at = data.find(b"*/", start + 2) + 2
        if at < 2:  # the comment never ends
            return _LINE_COMMENT.sub(b"", b"".join(pieces))
    pieces.append(data[at:])
    return _LINE_COMMENT.sub(b"", b"".join(pieces))
