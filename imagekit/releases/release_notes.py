"""Read the address tables of ST's Release_Notes.html: which file, which addresses, on which line.

It reads the layouts of v1.1.0 (one column of addresses) to v1.24.0 (four columns, "FUS compatibility"). A page has one
section for each release, the newest first; the first row for a file is the valid one. Only this file imports lxml.
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
LARGEST_PAGE = 2 * 1024 * 1024
"""Bytes in a page: ST's largest has 300,743 (v1.1.0 to v1.24.0), and 10 MiB take 13 s."""
MOST_ROWS = 5000
"""Rows in the address tables of a page: ST's have 687 at most."""
_MOST_CELLS = 64
_NO_ADDRESS = ("na", "n/a", "0x00")


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: its text without spaces at the ends, and its line in the page (from 1)."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the facts about one file."""

    file: str
    line: int
    release: str
    """The release of the section that holds the row: `1.23.0`."""
    addresses: dict[str, Cell]
    """Target name -> the cell in its column."""
    version: Cell | None
    fus: Cell | None
    """The cell of "FUS compatibility"."""


def read_rows(page: bytes) -> tuple[Row, ...]:
    """Return the rows of every address table, in the order of the page. Raises ReleaseNotesError."""
    return tuple(_all_rows(page))


def read_newest_rows(page: bytes) -> tuple[Row, ...]:
    """Return the rows of the first section that has address tables: the newest release. Raises ReleaseNotesError."""
    rows: list[Row] = []
    for row in _all_rows(page):  # a current page holds the rows of 37 releases: read only what is needed
        if rows and row.release != rows[0].release:
            break
        rows.append(row)
    return tuple(rows)


def current(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the first row of each file: the tables of older releases follow below."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.file, row)
    return first


def published_address(cell: Cell) -> int | None:
    """Return the address in a cell; None for `NA` and `0x00`, which mean that the image does not fit.

    ST sometimes puts spaces between digits and drops leading zeros.

    Raises:
        ValueError: the cell holds another text.
    """
    text = cell.text.replace(" ", "")
    if text.lower() in _NO_ADDRESS:
        return None
    match = _ADDRESS.match(text)
    if match is None:
        raise ValueError(f"neither an address nor NA: {cell.text!r}")
    return int(match[1], 16)


def published_version(cell: Cell) -> str | None:
    """Return the version in a cell as `1.23.0`; None when it has none."""
    match = _VERSION.match(cell.text)
    return match[1] if match else None


def _all_rows(page: bytes) -> Iterator[Row]:
    import lxml.etree
    import lxml.html

    if len(page) > LARGEST_PAGE:
        raise ReleaseNotesError(f"larger than {LARGEST_PAGE} bytes: not a page of release notes by ST")
    try:
        document = lxml.html.document_fromstring(page)
    except (lxml.etree.ParserError, ValueError) as error:
        raise ReleaseNotesError("not an HTML page") from error
    for number, row in enumerate(_rows(document.iter("label", "table")), start=1):
        if number > MOST_ROWS:
            raise ReleaseNotesError(f"more than {MOST_ROWS} rows of addresses: not a page of release notes by ST")
        yield row


def _rows(elements: Iterable[Any]) -> Iterator[Row]:
    """The rows of the tables among labels and tables in document order; a label opens the section of a release."""
    release = ""
    for element in elements:
        if element.tag == "label":
            match = _RELEASE.match(element.text_content())
            if match:
                release = match[1]
        elif release:
            yield from _table_rows(element, release)


def _table_rows(table: Any, release: str) -> Iterator[Row]:
    """The rows of one table; none when its header names no target."""
    # Its own rows and their own cells: in damaged pages tables contain tables, and each is read by itself.
    rows = table.xpath("tr | thead/tr | tbody/tr | tfoot/tr")
    if not rows:
        return
    headings = [cell.text.lower().replace(" ", "") for cell in _cells(rows[0])]
    targets = {index: target for index, target in enumerate(map(_target, headings)) if target}
    if not targets or "device" in headings:  # v1.1.1 and v1.2.0 had a row for each device
        return
    for row in rows[1:]:
        cells = _cells(row)
        columns = dict(enumerate(cells))
        if cells and cells[0].text.replace(" ", "").endswith(".bin"):
            yield Row(
                file=cells[0].text.replace(" ", ""),
                line=cells[0].line,
                release=release,
                addresses={target: columns[index] for index, target in targets.items() if index in columns},
                version=_column(columns, headings, "version"),
                fus=_column(columns, headings, "fuscompatibility"),
            )


def _cells(row: Any) -> list[Cell]:
    cells = row.xpath("th | td")
    if len(cells) > _MOST_CELLS:
        raise ReleaseNotesError(f"a row of more than {_MOST_CELLS} cells: not a page of release notes by ST")
    return [Cell(" ".join(cell.text_content().split()), cell.sourceline) for cell in cells]


def _column(columns: dict[int, Cell], headings: list[str], heading: str) -> Cell | None:
    if heading not in headings:
        return None
    return columns.get(headings.index(heading))


def _target(heading: str) -> str:
    """Return the target that a column is for; empty for any other column."""
    if heading == "installaddress":
        return "STM32WB5xxG"  # v1.1.0 knew 1 MiB parts only
    match = _HEADINGS.fullmatch(heading)
    if match is None:
        return ""
    name = f"STM32WB{match[1]}xx{_FLASH_LETTERS[match[3]]}"
    if name not in _TARGETS:
        return ""
    return name
