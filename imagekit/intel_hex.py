"""Images that come as Intel HEX: where the file puts them, and their bytes. Only this file imports intelhex."""

from io import StringIO

from intelhex import IntelHex, IntelHexError

from imagekit.errors import ParseError


def read_hex(data: bytes) -> tuple[int, bytes]:
    """Return the start address and the bytes of an Intel HEX file that holds one image.

    Raises ParseError with the reason `unreadable` when the file is damaged, or holds several blocks: an application
    beside the image, or none at all.
    """
    try:
        records = IntelHex(StringIO(data.decode("ascii")))
    except (IntelHexError, UnicodeDecodeError) as error:
        raise ParseError("unreadable", f"damaged Intel HEX: {error}") from error
    blocks = records.segments()
    if len(blocks) != 1:
        raise ParseError("unreadable", f"the Intel HEX file holds {len(blocks)} separate blocks, and an image is one")
    return records.minaddr(), records.tobinstr()
