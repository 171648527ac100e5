"""Images as FUS finds them in flash: the footers, where an image starts, whose signature it bears.

Sources: Flipper's coprobin.py and what ST's images have in common (fields, magics); the signature scheme and ST's
public keys as measured on every image that ST has released (SHA-256 over body and image footer, ECDSA P-256, r and s
big-endian).
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE_MAGIC_ST, SIGNATURE_MAGIC_CUSTOMER = 0xD3A1_2C5E, 0xE2B5_1D4A
STACK, FUS, OTHER, FUS2_STACK, SAFEBOOT = 0x2337_2991, 0x3227_9221, 0x4276_9811, 0xB10C_8B99, 0x927A_6741
SAFEBOOT_2_0_0_INFO = 0x5AFE_B007  # info1 of Safeboot 2.0.0, which bears the magic of a stack
HIDDEN_VERSION, FUS_1_2_0 = 0xFFFF_FFFF, 0x0102_0000  # FUS 1.2.0 does not tell its version

_FOOTER = struct.Struct("<IIBBBBII")  # info1, info2, sectors, byte 9, SRAM2A, SRAM2B, version, magic
_SIGNATURE_FOOTER = struct.Struct("<IIBBHII")  # 0x12341234, 0xABCDABCD, size, source, 0xFFFF, version, magic
_MARK_1, _MARK_2 = 0x1234_1234, 0xABCD_ABCD
FOOTER_SIZE, SIGNATURE_SIZE, SIGNATURE_FOOTER_SIZE = 20, 64, 20
TRAILER_SIZE = FOOTER_SIZE + SIGNATURE_SIZE + SIGNATURE_FOOTER_SIZE
_CUSTOMER_SIZE = SIGNATURE_SIZE + SIGNATURE_FOOTER_SIZE

_WB5X = (
    "04"
    "e06dc3ba8ce948e4f1252a765fb4127dcc281d09cd5939506376778be747a613"
    "28f0a0df88f01957778a9e686bc43dd5d2eede7beeb0de4e274eaedabc9a1838"
)
_WB1X = (
    "04"
    "40a024dbfb9d50b0ce4db291dc21ef7cf250c101446b81507aa8146defc7c449"
    "9a708359329522afd3829c9caafabfae53ddc659fa8e5a11f2d87eb228d57a9f"
)
_WB3X_EARLY = (
    "04"
    "9e935d0d9cc266edf255e10119ecd0aae42c6fb5883ad3ec052f21e1fcd72135"
    "b8f9a0d54b81d479425bd27a2cf711b8562f976ea08301c79fd54c67737db069"
)
ST_KEYS: dict[str, tuple[str, ...]] = {"WB5x": (_WB5X,), "WB3x": (_WB5X, _WB3X_EARLY), "WB1x": (_WB1X,)}
"""Uncompressed points, recovered from the signatures; the first also stands in clear in FUS of release v1.5.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedImage:
    """An image in flash: where it starts, what its footer says, where its parts end. Addresses absolute."""

    start: int
    footer_end: int
    end: int
    magic: int
    info1: int
    footer_sectors: int
    page: int
    sram2a_kib: int
    sram2b_kib: int
    version: int
    sha256: str

    @property
    def is_safeboot(self) -> bool:
        """Whether this is Safeboot, in either of its two guises."""
        return self.magic == SAFEBOOT or (self.magic == STACK and self.info1 == SAFEBOOT_2_0_0_INFO)

    @property
    def is_fus2_stack(self) -> bool:
        """Whether ST marks it 'FUS_v2 only'."""
        return self.magic == FUS2_STACK

    @property
    def sectors(self) -> int:
        """Sectors that the image fills: one release announces one too few, so the larger number counts."""
        return max(self.footer_sectors, -(-(self.end - self.start) // self.page))

    @property
    def gap_sectors(self) -> int:
        """Sectors that must stay free above it."""
        return gap_sectors(self.magic, self.info1)

    @property
    def told_version(self) -> int:
        """The version, FUS 1.2.0 included."""
        if self.magic == FUS and self.version == HIDDEN_VERSION:
            return FUS_1_2_0
        return self.version


@dataclass(frozen=True, slots=True)
class Trace:
    """What a search has found: the end of an ST signature footer, and the image footer before it if it is one."""

    end: int
    footer: tuple[int, ...]

    @property
    def gap_sectors(self) -> int:
        """Sectors that must stay free above the image."""
        return gap_sectors(self.footer[-1], self.footer[0])

    @property
    def has_footer(self) -> bool:
        """Whether what stands before the signature is the footer of an image."""
        return self.footer[1] == _MARK_2 and self.footer[-1] in (STACK, FUS, OTHER, FUS2_STACK, SAFEBOOT)


def gap_sectors(magic: int, info1: int) -> int:
    """Sectors that must stay free above an image: the second byte of info1, 16 KiB, in images for FUS 2 only."""
    if magic == FUS2_STACK:
        return info1 >> 8 & 0xFF
    return 0


def find_traces(content: bytes, base: int) -> list[Trace]:
    """Find every signature footer of ST in flash, from its beginning; word-aligned, as ST's images end."""
    found = []
    for end in _aligned(content, SIGNATURE_MAGIC_ST):
        if end < TRAILER_SIZE:
            continue
        mark_1, mark_2, *_ = _SIGNATURE_FOOTER.unpack_from(content, end - SIGNATURE_FOOTER_SIZE)
        if (mark_1, mark_2) != (_MARK_1, _MARK_2):
            continue
        found.append(Trace(base + end, _FOOTER.unpack_from(content, end - TRAILER_SIZE)))
    return found


def has_unsigned_footer(content: bytes) -> bool:
    """Whether an image footer stands somewhere: what is left when the signature footer is missing."""
    magics = (STACK, FUS, FUS2_STACK, SAFEBOOT)
    ends = (end for magic in magics for end in _aligned(content, magic) if end >= FOOTER_SIZE)
    return any(_FOOTER.unpack_from(content, end - FOOTER_SIZE)[1] == _MARK_2 for end in ends)


def _aligned(content: bytes, magic: int) -> Iterator[int]:
    """Ends of a word in flash."""
    needle, at = struct.pack("<I", magic), -1
    while (at := content.find(needle, at + 1)) >= 0:
        if at % 4 == 0:
            yield at + 4


def starts(trace: Trace, page: int, *, allow_short_count: bool) -> tuple[int, ...]:
    """Where the image may start: so many sectors below its last; one more if the count may be one too few."""
    sectors = trace.footer[2]
    last = -(-trace.end // page) * page
    return tuple(last - count * page for count in (sectors, sectors + 1)[: 1 + allow_short_count])


def image_at(start: int, trace: Trace, content: bytes, page: int) -> StagedImage:
    """The image between a start and the end of its signature; `content` is just that."""
    info1, _, sectors, _, sram2a, sram2b, version, magic = trace.footer
    return StagedImage(
        start=start,
        footer_end=trace.end - SIGNATURE_SIZE - SIGNATURE_FOOTER_SIZE,
        end=trace.end,
        magic=magic,
        info1=info1,
        footer_sectors=sectors,
        page=page,
        sram2a_kib=sram2a,
        sram2b_kib=sram2b,
        version=version,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def is_signed(content: bytes, keys: tuple[str, ...]) -> bool:
    """Whether ST's signature of a whole image verifies under one of these points (hex, uncompressed)."""
    return _verifies(content[: -SIGNATURE_SIZE - SIGNATURE_FOOTER_SIZE], content[-84:-20], keys)


def customer_block(flash_after: bytes) -> bytes | None:
    """The customer's signature behind ST's, if there is one."""
    if len(flash_after) < _CUSTOMER_SIZE:
        return None
    mark_1, mark_2, *_, magic = _SIGNATURE_FOOTER.unpack_from(flash_after, SIGNATURE_SIZE)
    is_one = (mark_1, mark_2, magic) == (_MARK_1, _MARK_2, SIGNATURE_MAGIC_CUSTOMER)
    if is_one:
        return flash_after[:SIGNATURE_SIZE]
    return None


def is_signed_by_customer(content: bytes, signature: bytes, key: bytes) -> bool:
    """Whether a customer's signature over a whole ST image verifies; the key is x and y, 64 bytes (shci.h)."""
    return _verifies(content, signature, ("04" + key.hex(),))


def _verifies(message: bytes, signature: bytes, keys: tuple[str, ...]) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    der, digest = encode_dss_signature(r, s), hashlib.sha256(message).digest()
    for point in keys:
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(point))
            key.verify(der, digest, ec.ECDSA(Prehashed(SHA256())))
        except (InvalidSignature, ValueError):  # a customer's key may be no point of the curve at all
            continue
        return True
    return False
