"""ST's real images with one byte changed: never verified, never unnoticed."""

import random
from pathlib import Path

from imagekit.assessment import Assessment, assess
from imagekit.errors import ParseError
from imagekit.image.model import Image
from imagekit.image.signature import SignatureStatus
from imagekit.rules import findings
from tests.support.corpus import IMAGES, each_image, name, needs_corpus

pytestmark = needs_corpus

SMALLEST = min(IMAGES, key=lambda path: path.stat().st_size, default=None)


def altered(data: bytes, offset: int, mask: int) -> Assessment:
    copy = bytearray(data)
    copy[offset] ^= mask
    return assess(Image.parse(bytes(copy)))


def is_noticed(data: bytes, offset: int, mask: int) -> bool:
    """Whether a change of the signature footer gives a finding or a parse error."""
    try:
        assessment = altered(data, offset, mask)
    except ParseError:
        return True
    return any(finding.rule in ("WB101", "WB104", "WB110") for finding in findings(assessment))


def test_a_change_of_any_byte_of_the_smallest_image() -> None:
    assert SMALLEST is not None
    data = SMALLEST.read_bytes()
    assert assess(Image.parse(data)).signature.status is SignatureStatus.VALID
    for offset in range(len(data) - 20):
        mask = 1 << offset % 8
        assert altered(data, offset, mask).signature.status is SignatureStatus.UNVERIFIED, offset


def test_every_value_of_each_signature_footer_byte() -> None:
    assert SMALLEST is not None
    data = SMALLEST.read_bytes()
    for offset in range(len(data) - 20, len(data)):
        for mask in range(1, 256):
            assert is_noticed(data, offset, mask), (offset, mask)


@each_image
def test_a_change_of_sampled_bytes_of_every_image(path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(name(path))  # noqa: S311 - which bytes are sampled is no secret
    body, footer, signature = range(len(data) - 104), range(len(data) - 104, len(data) - 84), range(64)
    offsets = [*chance.sample(body, 3), *chance.sample(footer, 3), len(data) - 84 + chance.choice(signature)]
    for offset in offsets:
        mask = chance.randrange(1, 256)
        assert altered(data, offset, mask).signature.status is SignatureStatus.UNVERIFIED, (offset, mask)
    for offset in range(len(data) - 20, len(data)):
        assert is_noticed(data, offset, chance.randrange(1, 256)), offset
