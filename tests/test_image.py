"""What the parts of an image mean."""

from dataclasses import replace

import pytest

from imagekit.errors import VersionError
from imagekit.image.container import IMAGE_MAGICS, OTHER_MAGIC
from imagekit.image.model import GAP_SECTORS, Image, ImageKind, Version, stack_sram2_kib
from imagekit.targets import Series
from tests.support.images import content, image

BOTH = (Series.WB3X, Series.WB5X)
WB1X = (Series.WB1X,)


def test_every_known_magic_has_a_kind_and_a_gap() -> None:
    one = image("stack-4k")
    for magic in IMAGE_MAGICS:
        assert replace(one, footer=replace(one.footer, magic=magic)).kind is not ImageKind.UNKNOWN
    assert {magic for magic, _ in GAP_SECTORS} == IMAGE_MAGICS - {OTHER_MAGIC}


@pytest.mark.parametrize(
    ("name", "kind", "version", "requires", "series", "gap"),
    [
        ("stack-4k", ImageKind.STACK, "1.13.3", None, BOTH, 0),
        ("stack-2k", ImageKind.STACK, "1.13.3", None, WB1X, 0),
        ("stack-fus2-4k", ImageKind.STACK, "1.24.0", "2.0.0", BOTH, 4),
        ("stack-fus2-2k", ImageKind.STACK, "1.24.0", "2.0.0", WB1X, 8),
        ("fus-1.1.0", ImageKind.FUS, "1.1.0", None, BOTH, 0),
        ("fus-hidden-version", ImageKind.FUS, None, None, BOTH, 0),
        ("fus-2.2.0", ImageKind.FUS, "2.2.0", "1.2.0", BOTH, 0),
        ("fus-2.2.0-2k", ImageKind.FUS, "2.2.0", "1.2.0", WB1X, 0),
        ("safeboot-2.0.0", ImageKind.SAFEBOOT, "2.0.0", None, BOTH, 0),
        ("safeboot-2.0.1", ImageKind.SAFEBOOT, "2.0.1", "2.0.0", BOTH, 0),
        ("other-magic", ImageKind.OTHER, "1.13.3", None, BOTH, None),
        ("unknown-magic", ImageKind.UNKNOWN, "1.13.3", None, BOTH, None),
        ("unknown-gap", ImageKind.STACK, "1.24.0", "2.0.0", BOTH, None),
        ("unknown-info1", ImageKind.STACK, "1.13.3", None, BOTH, None),
        ("sector-count-too-small", ImageKind.STACK, "1.13.3", None, (), 0),
    ],
)
def test_kind_version_series_and_gap(
    name: str, kind: ImageKind, version: str | None, requires: str | None, series: tuple[Series, ...], gap: int | None
) -> None:
    parsed = image(name)
    assert parsed.kind is kind
    assert (parsed.version.text if parsed.version else None) == version
    assert (parsed.requires_fus.text if parsed.requires_fus else None) == requires
    assert parsed.series == series
    assert parsed.gap_sectors == gap


def test_branch_and_build_are_the_two_halves_of_one_byte() -> None:
    data = bytearray(content("stack-4k"))
    data[-104 + 12] = 0x7B
    version = Image.parse(bytes(data)).version
    assert version == Version(1, 13, 3, branch=7, build=11)


@pytest.mark.parametrize("offset", [12, 13, 14, 15])
def test_a_version_is_hidden_only_by_four_bytes_of_ff(offset: int) -> None:
    data = bytearray(content("fus-hidden-version"))
    data[-104 + offset] = 0x01
    assert Image.parse(bytes(data)).version is not None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.2.0", Version(1, 2, 0)),
        ("v2.1", Version(2, 1, 0)),
        ("2", Version(2, 0, 0)),
        (" V0.5.3 ", Version(0, 5, 3)),
        ("2.0.0.3", Version(2, 0, 0, 0, 3)),
        ("1.14.0.21", Version(1, 14, 0, 1, 5)),
    ],
)
def test_a_version_is_read_in_every_usual_spelling(text: str, version: Version) -> None:
    assert Version.from_text(text) == version


@pytest.mark.parametrize("text", ["", "2.", "1.2.x", "2.1.\u0660", "1.2.3.4.5", "1.256.0", "-1.2.0", "1.2.0 beta"])
def test_other_texts_are_refused_as_versions(text: str) -> None:
    with pytest.raises(VersionError, match="write it as 1\\.2\\.0"):
        Version.from_text(text)


def test_versions_are_ordered_by_number_not_by_text() -> None:
    assert Version(1, 9, 0) < Version(1, 10, 0) < Version(2, 0, 0)


@pytest.mark.parametrize(
    ("word", "text"),
    [("01020000", "1.2.0.0"), ("0x010F0003", "1.15.0.3"), ("00050300", "0.5.3.0"), ("020000a3", "2.0.0.163")],
)
def test_a_version_is_read_as_a_word_of_the_chip(word: str, text: str) -> None:
    assert Version.from_text(word).full_text == text


def test_the_stack_uses_sram2_not_left_to_the_application() -> None:
    """As a WB55 with BLE_Stack_full 1.8.0 reports: its footer says 10 and 15 KiB, the chip says 22 and 17 KiB."""
    assert (stack_sram2_kib(32, 10), stack_sram2_kib(32, 15)) == (22, 17)
    for name, sram2b_kib in (("stack-4k", 32), ("stack-2k", 4)):
        parsed = image(name)
        assert parsed.stack_sram2a_kib == 32 - parsed.footer.sram2a_kib
        assert parsed.stack_sram2b_kib == sram2b_kib - parsed.footer.sram2b_kib


@pytest.mark.parametrize(("name", "is_new"), [("stack-fus2-4k", True), ("stack-fus2-2k", True), ("stack-4k", False)])
def test_the_footer_decides_the_format(name: str, is_new: bool) -> None:
    assert image(name).is_fus_2_format is is_new
