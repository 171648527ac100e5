"""The synthetic images of fixtures/, and the throw-away keys that they are signed with."""

from functools import cache
from pathlib import Path

from imagekit.assessment import Assessment, assess
from imagekit.image.model import Image
from imagekit.image.signing_keys import SigningKey, load_public_key
from imagekit.targets import Series

FIXTURES = Path(__file__).parents[2] / "fixtures"
IMAGES = FIXTURES / "images"


@cache
def throw_away_keys() -> tuple[SigningKey, ...]:
    """The keys of the synthetic images, for the same series as ST's own."""
    return tuple(
        SigningKey(f"test-{name}", series, load_public_key((FIXTURES / "keys" / f"throw-away-{name}.pem").read_bytes()))
        for name, series in (
            ("wb5x-wb3x", (Series.WB3X, Series.WB5X)),
            ("wb1x", (Series.WB1X,)),
            ("wb3x-early", (Series.WB3X,)),
        )
    )


def content(name: str) -> bytes:
    return (IMAGES / f"{name}.bin").read_bytes()


def image(name: str) -> Image:
    return Image.parse(content(name))


def assessed(name: str) -> Assessment:
    """Assess an image as if the throw-away keys were ST's."""
    return assess(image(name), throw_away_keys())
