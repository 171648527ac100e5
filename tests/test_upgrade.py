"""Which FUS installs which FUS image: the table of the release notes, cell by cell."""

import dataclasses

import pytest

from imagekit.fus_versions import asked_fus, fus_range, lock_up, refusal
from imagekit.image.model import Image, Version
from imagekit.targets import select_target
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
        ("safeboot-2.0.0", "---Y-----"),
        ("safeboot-2.0.1", "------YYY"),
    ],
)
def test_stacks_and_safeboot_on_every_fus(name: str, expected: str) -> None:
    refusals = [refusal(image(name), Version.from_text(chip)) for chip in CHIPS]
    assert "".join("-" if why else "Y" for why in refusals) == expected


@pytest.mark.parametrize(
    ("stack", "fus"),
    [
        ((1, 1, 0), "1.0.1"),
        ((1, 1, 1), "1.0.2"),
        ((1, 4, 9), "1.0.2"),
        ((1, 5, 0), "1.1.0"),
        ((1, 11, 0), "1.1.0"),
        ((1, 11, 1), "1.2.0"),
        ((1, 24, 0), "1.2.0"),
    ],
)
def test_the_fus_that_each_release_asks_for(stack: tuple[int, int, int], fus: str) -> None:
    parsed, (major, minor, sub) = image("stack-4k"), stack
    footer = dataclasses.replace(parsed.footer, major=major, minor=minor, sub=sub)
    assert asked_fus(dataclasses.replace(parsed, footer=footer))[0].text == fus


def test_a_stack_for_fus_2_asks_for_fus_2() -> None:
    assert asked_fus(image("stack-fus2-4k")) == (Version(2, 0, 0), "its format")


@pytest.mark.parametrize(
    ("name", "part", "fus", "locks"),
    [
        ("fus-1.0.1", "WB55CC", None, True),
        ("fus-1.0.2", "WB55CC", None, False),
        ("fus-1.0.1", "WB55RG", None, False),
        ("stack-4k", "WB55CY", "1.0.1", True),
        ("stack-4k", "WB55CY", "1.0.2", False),
        ("stack-4k", "WB55RG", "1.0.1", False),
        ("stack-4k", "WB35CE", "1.0.1", False),
        ("fus-hidden-version", "WB55CC", "0.5.3", False),
    ],
)
def test_what_may_lock_a_part_with_less_than_1_mib(name: str, part: str, fus: str | None, locks: bool) -> None:
    version = Version.from_text(fus) if fus else None
    assert bool(lock_up(image(name), select_target(part), version)) is locks


@pytest.mark.parametrize("name", TABLE)
def test_the_fus_range_is_where_nothing_is_refused(name: str) -> None:
    version, variants, _ = TABLE[name]
    if not variants and version is None:
        return  # a bundle never holds an image that is not identified
    low, high = fus_range(fus_image(version), variants)
    for chip in map(Version.from_text, CHIPS):
        is_refused = bool(refusal(fus_image(version), chip, variants))
        assert (low <= chip and (high is None or chip < high)) is not is_refused, chip


@pytest.mark.parametrize("name", ["stack-fus2-4k", "stack-fus2-2k", "safeboot-2.0.0", "safeboot-2.0.1"])
def test_the_fus_range_of_stacks_and_safeboot(name: str) -> None:
    low, high = fus_range(image(name))
    for chip in map(Version.from_text, CHIPS):
        assert (low <= chip and (high is None or chip < high)) is not bool(refusal(image(name), chip)), chip
