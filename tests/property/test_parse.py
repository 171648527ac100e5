"""Any bytes are an Image or a ParseError, and an Image can be assessed and judged without another error."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from imagekit.assessment import assess
from imagekit.errors import ParseError
from imagekit.image import container
from imagekit.image.model import Image
from imagekit.rules import findings
from imagekit.rules.registry import Chip
from imagekit.targets import TARGETS
from tests.support.images import IMAGES, content

REASONS = {
    *("empty", "too-short", "too-large", "no-signature-footer", "no-image-footer"),
    *("unencrypted", "web-page", "lfs-pointer", "text-mangled"),
}

words = st.integers(0, 2**32 - 1)
bytes_ = st.integers(0, 255)
marker = st.sampled_from([0xABCDABCD, 0x5AFEB007, 0x040104CD, 0x080208CD]) | words
image_footers = st.builds(
    lambda info1, info2, small, magic: struct.pack("<II", info1, info2) + small + struct.pack("<I", magic),
    *(marker, st.just(0xABCDABCD) | words, st.binary(min_size=8, max_size=8)),
    st.sampled_from(sorted(container.IMAGE_MAGICS)) | words,
)
signature_footers = st.builds(
    lambda size, rest, magic: struct.pack("<IIB", 0x12341234, 0xABCDABCD, size) + rest + struct.pack("<I", magic),
    *(st.sampled_from([64, 64, 64, 0, 255]) | bytes_, st.binary(min_size=7, max_size=7)),
    st.sampled_from([container.ST_SIGNATURE_MAGIC, container.CUSTOMER_SIGNATURE_MAGIC]) | words,
)
# Bytes that look like images more or less: random bytes alone never get past the signature footer.
almost_images = st.builds(
    lambda *parts: b"".join(parts),
    *(st.binary(max_size=300), image_footers | st.binary(max_size=40), st.binary(min_size=64, max_size=64)),
    *(signature_footers | st.binary(max_size=40), st.binary(max_size=84) | st.just(b"")),
)
damaged = st.builds(
    lambda name, start, end, insert: content(name)[:start] + insert + content(name)[end:],
    st.sampled_from([path.stem for path in IMAGES.glob("*.bin") if path.stat().st_size < 8000]),
    *(st.integers(0, 3200), st.integers(0, 3200), st.binary(max_size=50)),
)


def parsed(data: bytes) -> Image | ParseError:
    try:
        return Image.parse(data)
    except ParseError as error:
        return error


@given(st.binary(max_size=2000) | almost_images | damaged)
@example(b"")
def test_any_bytes_are_an_image_or_a_parse_error(data: bytes) -> None:
    image = parsed(data)
    if isinstance(image, ParseError):
        assert image.reason in REASONS
        assert str(image).isprintable()
        return
    assert container.join(container.split(data)) == data
    assessment = assess(image)
    assert assessment.install_addresses.keys() <= set(TARGETS)
    for target in (None, *TARGETS):
        findings(assessment, Chip(target=target))


@given(damaged)
def test_nothing_but_the_image_itself_verifies(data: bytes) -> None:
    """Whatever is cut out of or put into a signed part, no key of the fixtures verifies it."""
    from imagekit.image.signature import SignatureStatus, signature_verdict
    from tests.support.images import throw_away_keys

    image = parsed(data)
    if isinstance(image, ParseError):
        return
    if signature_verdict(image, throw_away_keys()).status is not SignatureStatus.VALID:
        return
    signed = {content(path.stem)[:-84] for path in IMAGES.glob("*.bin")} | {content("customer-signed")[:-168]}
    assert data[: len(container.split(data).body) + 20] in signed
    # Nothing can be hung on to a signed image without a finding: not even what no signature covers.
    if data not in {content(path.stem) for path in IMAGES.glob("*.bin")}:
        assert findings(assess(image, throw_away_keys()))
