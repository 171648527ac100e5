"""Any bytes given as Intel HEX, release notes, catalogue or file name end in a value or in one error of ours."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from imagekit import catalogue
from imagekit.application.intel_hex import read_hex
from imagekit.catalogue import StName
from imagekit.errors import CatalogueError, ParseError, ReleaseNotesError, TargetError, VersionError
from imagekit.image.model import Version
from imagekit.releases import release_notes
from imagekit.releases.release_notes import Cell, published_address, published_version, read_rows
from imagekit.targets import TARGETS, select_target

hex_digits = st.text("0123456789ABCDEFabcdef", max_size=44)
hex_lines = st.lists(st.builds(lambda digits: f":{digits}", hex_digits) | st.text(max_size=20), max_size=8)
tags = st.sampled_from(
    [
        *(
            "<table>",
            "</table>",
            "<tr>",
            "</tr>",
            "<td>",
            "</td>",
            "<th>",
            "<label>V1.2.3 / x</label>",
            "<label>",
            "<!--",
        ),
        *(
            "stm32wb5x_FUS_fw.bin",
            "STM32WB5xxG(1M)",
            "Version",
            "FUS compatibility",
            "0x080EC000",
            "NA",
            "V1.2.0",
            "&#0;",
        ),
    ]
)
pages = st.lists(tags | st.text(max_size=10), max_size=60).map("\n".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=200) | hex_lines.map(lambda lines: "\r\n".join(lines).encode("utf-8", "replace")))
def test_any_intel_hex_is_read_or_refused(data: bytes) -> None:
    with suppress(ParseError):
        address, content = read_hex(data)
        assert address >= 0
        assert content


@given(st.binary(max_size=300) | pages.map(lambda page: page.encode("utf-8", "replace")))
def test_any_release_notes_are_read_or_refused(page: bytes) -> None:
    with suppress(ReleaseNotesError):
        rows = read_rows(page)
        assert {target for row in rows for target in row.addresses} <= {target.name for target in TARGETS}
        assert set(release_notes.current(rows)) == {row.file for row in rows}


@given(st.text(max_size=30))
def test_any_table_cell_is_read_or_refused(text: str) -> None:
    published_version(Cell(text, 1))
    with suppress(ValueError):
        address = published_address(Cell(text, 1))
        assert address is None or 0 < address <= 0xFFFF_FFFF


@given(
    st.binary(max_size=100)
    | st.builds(
        lambda releases, contents: json.dumps(
            {"schema": catalogue.SCHEMA, "releases": releases, "contents": contents}
        ).encode(),
        *(values, st.dictionaries(st.text(max_size=5), values, max_size=3) | values),
    )
)
def test_any_catalogue_is_read_or_refused(data: bytes) -> None:
    with suppress(CatalogueError):
        catalogue.loads(data)


@given(
    st.text(max_size=40) | st.builds("stm32wb{}x_{}_fw_{}.bin".format, st.sampled_from("1357"), st.text(), st.text())
)
def test_any_name_part_or_version_is_read_or_refused(text: str) -> None:
    StName.parse(text)
    with suppress(TargetError):
        select_target(text)
    with suppress(VersionError):
        assert Version.from_text(text) >= Version(0, 0, 0)
