"""Which FUS installs which FUS image: the table of the release notes, cell by cell."""

import dataclasses

import pytest

from imagekit.image import Image, Version
from imagekit.upgrade import refusal
from tests.support.images import image

CHIPS = ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0")
OTHER = ("FUS", "FUS_1_2_0")

# Image: its version (None: hidden), ST's names for it, and for each FUS in CHIPS whether it installs the image.
TABLE = {
    "1.0.1": ((1, 0, 1), (), "Y--------"),
    "1.0.2": ((1, 0, 2), ("FUS_1_0_2",), "Y--------"),  # 1.0.1 does not become 1.0.2
    "1.1.0": ((1, 1, 0), ("FUS",), "-YY------"),
    "1.1.2": ((1, 1, 2), ("FUS",), "-YYY-----"),
    "for 0.5.3": (None, ("FUS_for_fus_0_5_3",), "Y--------"),
    "1.2.0": (None, OTHER, "-YYYY----"),
    "hidden, not known which": (None, (), "YYYYY----"),
    "2.0.0": ((2, 0, 0), ("FUS",), "-----Y---"),
    "2.1.0": ((2, 1, 0), ("FUS",), "-----YY--"),
    "2.2.0": ((2, 2, 0), ("FUS",), "-----YYY-"),
}


def fus_image(version: tuple[int, int, int] | None) -> Image:
    if version is None:
        return image("fus-hidden-version")
    parsed, (major, minor, sub) = image("fus-1.1.0"), version
    return dataclasses.replace(parsed, footer=dataclasses.replace(parsed.footer, major=major, minor=minor, sub=sub))


@pytest.mark.parametrize("name", TABLE)
def test_every_fus_image_on_every_fus(name: str) -> None:
    version, variants, expected = TABLE[name]
    refusals = [refusal(fus_image(version), Version.from_text(chip), variants) for chip in CHIPS]
    assert "".join("-" if why else "Y" for why in refusals) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stack-4k", "YYYYYYYYY"),
        ("stack-fus2-4k", "------YYY"),
        ("stack-2k", "-----YYYY"),
        ("stack-fus2-2k", "------YYY"),
        ("fus-2.2.0-2k", "-----YYY-"),
        ("safeboot-2.0.0", "---YY----"),
        ("safeboot-2.0.1", "------YYY"),
    ],
)
def test_stacks_and_safeboot_on_every_fus(name: str, expected: str) -> None:
    refusals = [refusal(image(name), Version.from_text(chip)) for chip in CHIPS]
    assert "".join("-" if why else "Y" for why in refusals) == expected
