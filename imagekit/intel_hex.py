"""Images that come as Intel HEX: where the file puts them, and their bytes. Only this file imports intelhex."""

from io import StringIO

from intelhex import IntelHex, IntelHexError

from imagekit import not_an_image
from imagekit.errors import ParseError
from imagekit.targets import LARGEST_HEX

_END = b":00000001FF"


def read_hex(data: bytes) -> tuple[int, bytes]:
    """Return the start address and the bytes of an Intel HEX file that holds one image.

    Raises ParseError: `web-page`, `lfs-pointer` and `too-large` as for a binary, `unreadable` when the file is damaged
    or holds several blocks: an application beside the image, a lost line, or none at all.
    """
    if error := not_an_image.text_in_place_of_image(data):
        raise error
    if len(data) > LARGEST_HEX:
        raise ParseError("too-large", f"more than {LARGEST_HEX} bytes of Intel HEX: a dump, or no image at all")
    if not data.isascii():
        raise ParseError("unreadable", "not Intel HEX but binary, though its name ends with .hex: name it .bin")
    try:
        records = IntelHex(StringIO(data.decode("ascii")))
    except IntelHexError as error:
        raise ParseError("unreadable", f"damaged Intel HEX: {error}; make or download it again") from error
    blocks = records.segments()
    if not blocks:
        raise ParseError("unreadable", "the Intel HEX file holds no data")
    lines = data.upper().split()
    if _END not in lines or lines.index(_END) != len(lines) - 1:
        raise ParseError("unreadable", "the Intel HEX file does not end with its end record: truncated, or two in one")
    if len(blocks) > 1:
        where = ", ".join(f"0x{start:08X}-0x{end - 1:08X}" for start, end in blocks[:4])
        raise ParseError(
            "unreadable",
            f"the Intel HEX file holds {len(blocks)} separate blocks ({where}), and an image is one: give it alone",
        )
    return records.minaddr(), records.tobinstr()
