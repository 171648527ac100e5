"""The bytes of an image: body, image footer, signature, signature footer. Cut them apart, join them again.

    0 ...      body              encrypted
    -104 ...   image footer      20 bytes: what the body is
    -84 ...    signature         64 bytes, r || s
    -20 ...    signature footer  20 bytes: how long the signature is, and whose

Positions count from the end of the file; all words are little-endian. A customer's signature is one more
pair of signature and signature footer behind ST's. Sources: AN5185 (footers); docs/image-format.md (every
byte, measured on all images ST released). Only this file imports construct.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache

from construct import Int8ul, Int16ul, Int32ul, Struct

from imagekit.errors import ParseError
from imagekit.image import diagnosis as not_an_image
from imagekit.targets import LARGEST_FLASH

FOOTER_MARKER = 0xABCD_ABCD
"""The second word of either footer."""
SIGNATURE_FOOTER_MARKER = 0x1234_1234
"""The first word of the signature footer."""
STACK_MAGIC = 0x2337_2991
FUS_MAGIC = 0x3227_9221
OTHER_MAGIC = 0x4276_9811
FUS_2_STACK_MAGIC = 0xB10C_8B99
SAFEBOOT_2_0_1_MAGIC = 0x927A_6741
IMAGE_MAGICS = frozenset({STACK_MAGIC, FUS_MAGIC, OTHER_MAGIC, FUS_2_STACK_MAGIC, SAFEBOOT_2_0_1_MAGIC})
"""The image footer magics that are known: docs/image-format.md, "Magics"."""
ST_SIGNATURE_MAGIC = 0xD3A1_2C5E
CUSTOMER_SIGNATURE_MAGIC = 0xE2B5_1D4A

_IMAGE_FOOTER = Struct(
    "info1" / Int32ul,  # 0xABCDABCD, or what kind of image this is beyond its magic
    "info2" / Int32ul,  # FOOTER_MARKER
    "flash_sectors" / Int8ul,
    "byte9" / Int8ul,  # 0xFF; 2 on stacks for FUS 2 only
    "sram2a_kib" / Int8ul,
    "sram2b_kib" / Int8ul,
    "branch_build" / Int8ul,  # branch in the high nibble, build in the low one
    "sub" / Int8ul,
    "minor" / Int8ul,
    "major" / Int8ul,
    "magic" / Int32ul,
)

_SIGNATURE_FOOTER = Struct(
    "marker1" / Int32ul,  # SIGNATURE_FOOTER_MARKER
    "marker2" / Int32ul,  # FOOTER_MARKER
    "signature_size" / Int8ul,  # 64
    "source" / Int8ul,  # 0x57
    "reserved" / Int16ul,  # 0xFFFF
    "version_word" / Int32ul,  # like a version, its meaning unknown
    "magic" / Int32ul,  # who signed
)

_MOST_SIGNATURES = 2  # ST's and a customer's
FOOTER_SIZE = 20
"""Bytes in either footer."""
_SIGNATURE_FOOTER_MARKERS = Int32ul.build(SIGNATURE_FOOTER_MARKER) + Int32ul.build(FOOTER_MARKER)
ST_SIGNATURE_SIZE = 64
"""Bytes in a signature of ST's: r || s on P-256."""
SMALLEST_IMAGE = 1 + FOOTER_SIZE + ST_SIGNATURE_SIZE + FOOTER_SIZE
"""Bytes of an image whose body is a single byte."""


@dataclass(frozen=True, slots=True)
class ImageFooter:
    """The 20 bytes that say what the body is."""

    info1: int
    info2: int
    flash_sectors: int
    byte9: int
    sram2a_kib: int
    sram2b_kib: int
    branch_build: int
    sub: int
    minor: int
    major: int
    magic: int


@dataclass(frozen=True, slots=True)
class SignatureFooter:
    """The 20 bytes behind a signature."""

    marker1: int
    marker2: int
    signature_size: int
    source: int
    reserved: int
    version_word: int
    magic: int


@dataclass(frozen=True, slots=True)
class SignatureBlock:
    """A signature and the footer behind it."""

    signature: bytes
    footer: SignatureFooter


@dataclass(frozen=True, slots=True)
class Parts:
    """An image cut apart; `signatures` in file order: ST's, then a customer's if there is one."""

    body: memoryview
    """A view into the bytes that were split, not a copy."""
    image_footer: ImageFooter
    signatures: tuple[SignatureBlock, ...]


def split(data: bytes) -> Parts:
    """Cut the bytes of an image apart. Raises ParseError when they are not an image.

    Footers are recognised by their marker words or, where those are damaged, by a known magic; no other
    field is judged here.
    """
    _refuse_at_sight(data)
    blocks: list[SignatureBlock] = []
    end = len(data)
    while len(blocks) < _MOST_SIGNATURES:
        footer = _signature_footer_before(data, end)
        if footer is None:
            break
        start = end - FOOTER_SIZE - footer.signature_size
        blocks.insert(0, SignatureBlock(data[max(start, 0) : end - FOOTER_SIZE], footer))
        end = start
    if not blocks:
        raise not_an_image.without_signature_footer(data, _SIGNATURE_FOOTER_MARKERS, FOOTER_SIZE)
    body_size = end - FOOTER_SIZE
    image_footer = None
    if body_size > 0:
        image_footer = _image_footer_at(data, body_size)
    if image_footer is None:
        raise _without_image_footer(data, blocks[0], body_size)
    return Parts(memoryview(data)[:body_size], image_footer, tuple(blocks))


def join(parts: Parts) -> bytes:
    """Return the bytes of an image, as they were before `split`."""
    blocks = (block.signature + _SIGNATURE_FOOTER.build(asdict(block.footer)) for block in parts.signatures)
    return b"".join((parts.body, _IMAGE_FOOTER.build(asdict(parts.image_footer)), *blocks))


def _refuse_at_sight(data: bytes) -> None:
    """Raise ParseError for bytes that are evidently not an image, before they are cut apart."""
    if not data:
        raise ParseError("empty", "the file is empty (0 bytes)")
    error = not_an_image.text_in_place_of_image(data)
    if error is not None:
        raise error
    if len(data) > LARGEST_FLASH:
        what = not_an_image.named_file(data) or "a flash dump, or not an image"
        raise ParseError("too-large", f"more than {LARGEST_FLASH} bytes, the largest STM32WB flash: {what}")
    if len(data) < SMALLEST_IMAGE:
        line = not_an_image.first_line(data)
        reads = f'the file reads "{line}"' if line else ""
        what = not_an_image.named_file(data) or reads
        message = f"{len(data)} bytes are too few: an image has {SMALLEST_IMAGE} at least"
        raise ParseError("too-short", f"{message}; {what}" if what else message)
    if not_an_image.has_inserted_carriage_returns(data) and not not_an_image.first_line(data):
        raise ParseError(
            "text-mangled",
            "every line feed (0x0A) has a carriage return before it: a text-mode transfer inserted bytes; "
            "download it again in binary mode",
        )


def _signature_footer_before(data: bytes, end: int) -> SignatureFooter | None:
    """The signature footer that ends at `end`, None when there is none."""
    raw = data[max(end - FOOTER_SIZE, 0) : max(end, 0)]
    if len(raw) < FOOTER_SIZE:
        return None
    magic = int.from_bytes(raw[-4:], "little")
    if raw.startswith(_SIGNATURE_FOOTER_MARKERS) or magic in (ST_SIGNATURE_MAGIC, CUSTOMER_SIGNATURE_MAGIC):
        return _parse_signature_footer(raw)
    return None


def _image_footer_at(data: bytes, start: int) -> ImageFooter | None:
    """The image footer that starts at `start`, None when there is none."""
    footer = _parse_image_footer(data[start : start + FOOTER_SIZE])
    if footer.info2 == FOOTER_MARKER or footer.magic in IMAGE_MAGICS:
        return footer
    return None


# Cached: images of one release share their signature footers, and copies of an image both.
@lru_cache(maxsize=256)
def _parse_signature_footer(raw: bytes) -> SignatureFooter:
    return SignatureFooter(**_fields(_SIGNATURE_FOOTER, raw))


@lru_cache(maxsize=256)
def _parse_image_footer(raw: bytes) -> ImageFooter:
    return ImageFooter(**_fields(_IMAGE_FOOTER, raw))


def _fields(layout: Struct, raw: bytes) -> dict[str, int]:
    """The named fields of a footer; `raw` has its full length, so that construct cannot fail."""
    fields = layout.parse(raw)
    del fields["_io"]  # construct's own entry
    return fields  # type: ignore[no-any-return]


def _without_image_footer(data: bytes, block: SignatureBlock, expected: int) -> ParseError:
    """Return why the image footer is not at the place that the signature footer gives."""
    announced = block.footer.signature_size
    for shift in range(-16, 17) if announced == ST_SIGNATURE_SIZE else ():
        start = expected + shift
        if not 0 < start <= len(data) - FOOTER_SIZE:
            continue
        footer = _image_footer_at(data, start)
        if footer and footer.info2 == FOOTER_MARKER and footer.magic in IMAGE_MAGICS:
            return ParseError(
                "text-mangled",
                f"the signature has {announced - shift} bytes, not {announced}: a text-mode transfer changed line "
                "ends; download it again in binary mode",
            )
    what = f"no image footer before the {announced}-byte signature that the signature footer announces"
    if announced != ST_SIGNATURE_SIZE:
        what += f" (ST's have {ST_SIGNATURE_SIZE})"
    return ParseError("no-image-footer", f"{what}: damaged, or not made by ST; download it again")
