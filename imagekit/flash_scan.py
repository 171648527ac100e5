"""Find images in user flash: every place that FUS might take for the image to install.

FUS receives no address with an upgrade command. It searches user flash for an image (AN5185), so an image that an
earlier installation left behind can be installed instead of the intended one. Magics and the layout of both footers
come from imagekit.image.container; docs/image-format.md describes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from imagekit.image.container import (
    CUSTOMER_SIGNATURE_MAGIC,
    FOOTER_MARKER,
    FOOTER_SIZE,
    IMAGE_MAGICS,
    SIGNATURE_FOOTER_MARKER,
    ST_SIGNATURE_MAGIC,
    ST_SIGNATURE_SIZE,
)
from imagekit.targets import FLASH_BASE, Target

_WORD = 4
_FOOTER_MARKER = FOOTER_MARKER.to_bytes(_WORD, "little")
_SIGNATURE_MARKERS = SIGNATURE_FOOTER_MARKER.to_bytes(_WORD, "little") + _FOOTER_MARKER
# Offsets in the image footer (imagekit.image.container, _IMAGE_FOOTER).
_MARKER_AT, _SECTORS_AT, _MAGIC_AT = 4, 8, 16


@dataclass(frozen=True, slots=True)
class LeftoverImage:
    """The sectors that an image in user flash occupies: first address, and the first address after the last sector."""

    start: int
    end: int


def find_images(flash: bytes, target: Target) -> tuple[LeftoverImage, ...]:
    """Find every image in `flash`, which is user flash from its first byte, including damaged images.

    An image is found by its signature footer, or by its image footer alone. Only places at a multiple of 4 bytes count:
    ST's images end on a word. How exactly FUS searches is unknown, so this finds more rather than less.

    Source: AN5185 (both footers); an ST engineer on community.st.com says that FUS searches for the magic words.
    """
    signed = list(_signed_images(flash, target))
    lone = [
        image
        for image in _lone_footers(flash, target)
        if not any(whole.start <= image.start < whole.end for whole in signed)
    ]
    return (*signed, *lone)


def _signed_images(flash: bytes, target: Target) -> Iterator[LeftoverImage]:
    """Yield the image before each signature footer."""
    for at in _words(flash, _SIGNATURE_MARKERS):
        image = _image_before(flash, at, target)
        if image is not None:
            yield image


def _image_before(flash: bytes, signature_footer_at: int, target: Target) -> LeftoverImage | None:
    """Return the image that ends with this signature footer; None when the words there form none.

    A damaged image footer counts where ST signed the image: FUS finds it as well and calls it corrupt. Its number of
    sectors is worth nothing then, so one sector is assumed.
    """
    footer_end = signature_footer_at - ST_SIGNATURE_SIZE
    footer_at = footer_end - FOOTER_SIZE
    end = signature_footer_at + FOOTER_SIZE
    if footer_at < 0:
        return None
    has_known_footer = _word_before(flash, footer_end) in IMAGE_MAGICS
    signer = _word_before(flash, end)
    is_image = signer == ST_SIGNATURE_MAGIC or (signer == CUSTOMER_SIGNATURE_MAGIC and has_known_footer)
    if not is_image:
        return None
    sectors = 1
    if has_known_footer:
        sectors = max(flash[footer_at + _SECTORS_AT], 1)
    last_sector_end = -(-end // target.sector_size) * target.sector_size
    start = max(last_sector_end - sectors * target.sector_size, 0)
    return LeftoverImage(FLASH_BASE + start, FLASH_BASE + last_sector_end)


def image_ends(data: bytes) -> Iterator[int]:
    """Yield the offset just behind each image that ST signed, at any alignment, in any file.

    Source: docs/image-format.md (both footers).
    """
    at = data.find(_SIGNATURE_MARKERS)
    while at >= 0:
        end = at + FOOTER_SIZE
        footer_end = at - ST_SIGNATURE_SIZE
        is_whole = footer_end >= FOOTER_SIZE and end <= len(data)
        if (
            is_whole
            and _word_before(data, footer_end) in IMAGE_MAGICS
            and _word_before(data, end) == ST_SIGNATURE_MAGIC
        ):
            yield end
        at = data.find(_SIGNATURE_MARKERS, at + 1)


def _lone_footers(flash: bytes, target: Target) -> Iterator[LeftoverImage]:
    """Yield the sector of each image footer, whatever follows it."""
    for magic in sorted(IMAGE_MAGICS):
        for magic_at in _words(flash, magic.to_bytes(_WORD, "little")):
            marker_at = magic_at - _MAGIC_AT + _MARKER_AT
            if magic_at < _MAGIC_AT or flash[marker_at : marker_at + _WORD] != _FOOTER_MARKER:
                continue
            start = FLASH_BASE + magic_at // target.sector_size * target.sector_size
            yield LeftoverImage(start, start + target.sector_size)


def _words(flash: bytes, pattern: bytes) -> Iterator[int]:
    """Yield each offset, a multiple of 4, at which `flash` holds the pattern."""
    at = flash.find(pattern)
    while at >= 0:
        if at % _WORD == 0:
            yield at
        at = flash.find(pattern, at + 1)


def _word_before(flash: bytes, end: int) -> int:
    return int.from_bytes(flash[end - _WORD : end], "little")
