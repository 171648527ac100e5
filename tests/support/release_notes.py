"""The address tables of ST's Release_Notes.html, read only as far as the corpus tests need an oracle."""

import re
from dataclasses import dataclass
from pathlib import Path

from bs4 import BeautifulSoup, Tag


@dataclass(frozen=True)
class Row:
    """The current-release row of one file: target name → what the cell prints."""

    file: str
    cells: dict[str, str]


def current_rows(notes: Path) -> list[Row]:
    """Return the first row of each file: the tables of older releases follow further down."""
    soup = BeautifulSoup(notes.read_bytes(), "html.parser")
    rows: dict[str, Row] = {}
    for table in soup.find_all("table"):
        header, *body = [_cells(row) for row in table.find_all("tr")]
        targets = {index: target for index, text in enumerate(header) if (target := _target(text))}
        if not targets:
            continue
        for cells in body:
            name = cells[0].replace(" ", "")
            if name.endswith(".bin") and name not in rows:
                rows[name] = Row(name, {target: cells[index] for index, target in targets.items()})
    return list(rows.values())


def address(cell: str) -> int | None:
    """Return the address a cell prints, None for `NA` and `0x00`, ST's two ways to say that it does not fit.

    ST spaces digits and drops leading zeros at times.
    """
    match = re.match(r"0x([0-9A-Fa-f]+)", cell.replace(" ", ""))
    return int(match[1], 16) or None if match else None


def _cells(row: Tag) -> list[str]:
    return [re.sub(r"\s+", " ", cell.get_text(" ", strip=True)) for cell in row.find_all(["td", "th"])]


def _target(heading: str) -> str:
    if heading == "Install address":
        return "STM32WB5xxG"  # v1.1.0 knew 1 MiB parts only
    match = re.fullmatch(r"stm32wb([135])xx?([geyc])?\((1m|640k|512k|320k|256k)\)", heading.lower().replace(" ", ""))
    if not match:
        return ""
    flash = {"1m": "G", "640k": "Y", "512k": "E", "320k": "C", "256k": "C"}[match[3]]
    return f"STM32WB{match[1]}xx{flash}"
