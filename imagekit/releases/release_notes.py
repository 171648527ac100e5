"""Read the address tables of ST's Release_Notes.html: which file, which addresses, on which line.

The layouts of v1.1.0 (one column of addresses) to v1.24.0 (four columns, "FUS compatibility") are read. A page has
one section for each release, the newest first; the row to believe is the first one for a file. Needs lxml
(`pip install 'stm32wb-imagekit[audit]'`): only this file imports it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from imagekit.errors import ReleaseNotesError
from imagekit.targets import TARGETS

_HEADINGS = re.compile(r"stm32wb([135])xx?([geyc])?\((1m|640k|512k|320k|256k)\)")
_TARGETS = frozenset(target.name for target in TARGETS)
_FLASH_LETTERS = {"1m": "G", "640k": "Y", "512k": "E", "320k": "C", "256k": "C"}
_RELEASE = re.compile(r"\s*[Vv](\d+\.\d+\.\d+)\s*/")
_VERSION = re.compile(r"\s*[Vv]?(\d+\.\d+\.\d+)")
_ADDRESS = re.compile(r"0x([0-9A-Fa-f]{5,8})(?![0-9A-Fa-f])")
_NO_ADDRESS = ("na", "n/a", "0x00")


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: its text without spaces at the ends, and its line in the page (from 1)."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says of one file."""

    file: str
    line: int
    release: str
    """The release whose section the row stands in: `1.23.0`."""
    addresses: dict[str, Cell]
    """Target name → the cell in its column."""
    version: Cell | None
    fus: Cell | None
    """The cell of "FUS compatibility"."""


def read_rows(page: bytes) -> tuple[Row, ...]:
    """Return the rows of every address table, in the page's order. Raises ReleaseNotesError."""
    try:
        import lxml.etree
        import lxml.html
    except ImportError as error:
        raise ReleaseNotesError("lxml is not installed: pip install 'stm32wb-imagekit[audit]'") from error
    try:
        document = lxml.html.document_fromstring(page)
    except (lxml.etree.ParserError, ValueError) as error:
        raise ReleaseNotesError("not an HTML page") from error
    return tuple(_rows(document.iter("label", "table")))


def current(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the first row of each file: the tables of older releases follow further down."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.file, row)
    return first


def published_address(cell: Cell) -> int | None:
    """Return the address in a cell, None for `NA` and `0x00`: it does not fit.

    ST puts spaces between digits and drops leading zeros at times. Raises ValueError for any other text.
    """
    text = cell.text.replace(" ", "")
    if text.lower() in _NO_ADDRESS:
        return None
    match = _ADDRESS.match(text)
    if match is None:
        raise ValueError(f"neither an address nor NA: {cell.text!r}")
    return int(match[1], 16)


def published_version(cell: Cell) -> str | None:
    """Return the version in a cell as `1.23.0`, None when it holds none."""
    match = _VERSION.match(cell.text)
    return match[1] if match else None


def _rows(elements: Iterable[Any]) -> Iterator[Row]:
    """The rows of the tables among labels and tables in document order; a label opens a release's section."""
    release = ""
    for element in elements:
        if element.tag == "label":
            match = _RELEASE.match(element.text_content())
            release = match[1] if match else release
        elif release:
            yield from _table_rows(element, release)


def _table_rows(table: Any, release: str) -> Iterator[Row]:
    """The rows of one table; nothing when its header names no target."""
    # Its own rows and their own cells: in damaged pages tables stand in tables, and each is read by itself.
    rows = table.xpath("tr | thead/tr | tbody/tr | tfoot/tr")
    header, *body = [[_cell(one) for one in row.xpath("th | td")] for row in rows] or [[]]
    headings = [cell.text.lower().replace(" ", "") for cell in header]
    targets = {index: target for index, heading in enumerate(headings) if (target := _target(heading))}
    if not targets or "device" in headings:  # v1.1.1 and v1.2.0 had a row for each device
        return
    for cells in body:
        columns = dict(enumerate(cells))
        file = cells[0].text.replace(" ", "") if cells else ""
        if file.endswith(".bin"):
            yield Row(
                file=file,
                line=cells[0].line,
                release=release,
                addresses={target: columns[index] for index, target in targets.items() if index in columns},
                version=columns.get(headings.index("version")) if "version" in headings else None,
                fus=columns.get(headings.index("fuscompatibility")) if "fuscompatibility" in headings else None,
            )


def _cell(element: Any) -> Cell:
    return Cell(re.sub(r"\s+", " ", element.text_content()).strip(), element.sourceline)


def _target(heading: str) -> str:
    """The target that a column is for, empty when it is for none."""
    if heading == "installaddress":
        return "STM32WB5xxG"  # v1.1.0 knew 1 MiB parts only
    match = _HEADINGS.fullmatch(heading)
    name = f"STM32WB{match[1]}xx{_FLASH_LETTERS[match[3]]}" if match else ""
    return name if name in _TARGETS else ""
