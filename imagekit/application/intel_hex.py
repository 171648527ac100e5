"""Intel HEX, of an image, of an application, or of both: bytes at addresses. Only this file imports intelhex."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO

from intelhex import IntelHex, IntelHexError

from imagekit.errors import ParseError
from imagekit.image import diagnosis as not_an_image
from imagekit.targets import LARGEST_HEX

_END = b":00000001FF"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """Where a program starts, as the file says; STM32 does not read it. Intel HEX specification, 1988."""

    type: int
    """3 (start segment address: CS and IP) or 5 (start linear address: EIP)."""
    value: int
    """The record's four bytes, big-endian: for type 3, CS << 16 | IP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HexContent:
    """What an Intel HEX file holds."""

    blocks: tuple[tuple[int, bytes], ...]
    """Start address and bytes of each unbroken run, upwards."""
    start: StartRecord | None
    """None where the file has no start record."""


def read_hex(data: bytes) -> tuple[int, bytes]:
    """Return the start address and the bytes of an Intel HEX file that holds one image.

    Raises ParseError: `web-page`, `lfs-pointer` and `too-large` as for a binary, `unreadable` when the file is damaged
    or holds several blocks: an application beside the image, a lost line, or none at all.
    """
    blocks = read_blocks(data).blocks
    if len(blocks) > 1:
        where = ", ".join(f"0x{start:08X}-0x{start + len(block) - 1:08X}" for start, block in blocks[:4])
        raise ParseError(
            "unreadable",
            f"the Intel HEX file holds {len(blocks)} separate blocks ({where}), and an image is one: give it alone",
        )
    return blocks[0]


def read_blocks(data: bytes) -> HexContent:
    """Return all that an Intel HEX file holds: one block at least. Raises ParseError, as `read_hex` does."""
    error = not_an_image.text_in_place_of_image(data)
    if error is not None:
        raise error
    if len(data) > LARGEST_HEX:
        raise ParseError("too-large", f"more than {LARGEST_HEX} bytes of Intel HEX: a dump, or no image at all")
    if not data.isascii():
        raise ParseError("unreadable", "not Intel HEX but binary, though its name ends with .hex: name it .bin")
    try:
        records = IntelHex(StringIO(data.decode("ascii")))
    except IntelHexError as error:
        raise ParseError("unreadable", f"damaged Intel HEX: {error}; make or download it again") from error
    segments = records.segments()
    if not segments:
        raise ParseError("unreadable", "the Intel HEX file holds no data")
    lines = data.upper().split()
    if _END not in lines or lines.index(_END) != len(lines) - 1:
        raise ParseError("unreadable", "the Intel HEX file does not end with its end record: truncated, or two in one")
    blocks = tuple((start, records.tobinstr(start=start, end=end - 1)) for start, end in segments)
    return HexContent(blocks=blocks, start=_start_record(records.start_addr))


def write_hex(blocks: Iterable[tuple[int, bytes]], start: StartRecord | None = None) -> bytes:
    """Return an Intel HEX file of blocks that do not overlap: 16 bytes a line, lines that end with LF.

    Raises ParseError `too-large`: of very many blocks, the file would be larger than what `read_blocks` takes.
    """
    records = IntelHex()
    for address, data in blocks:
        records.frombytes(data, address)
    if start is not None:
        high, low = start.value >> 16, start.value & 0xFFFF
        records.start_addr = {"CS": high, "IP": low} if start.type == _SEGMENT else {"EIP": start.value}
    text = StringIO()
    records.write_hex_file(text)
    data = text.getvalue().encode("ascii")
    if len(data) > LARGEST_HEX:
        raise ParseError("too-large", f"more than {LARGEST_HEX} bytes of Intel HEX: the application has too many holes")
    return data


_SEGMENT, _LINEAR = 3, 5


def _start_record(start: dict[str, int] | None) -> StartRecord | None:
    """The start record as intelhex gives it."""
    if not start:
        return None
    if "EIP" in start:
        return StartRecord(type=_LINEAR, value=start["EIP"])
    return StartRecord(type=_SEGMENT, value=start["CS"] << 16 | start["IP"])
