"""`flasher journal`: what was done to the chips that this computer has worked on."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from flasher.errors import JournalError, UsageError
from flasher.journal import LARGEST, Journal
from imagekit.files import read_text
from imagekit.text import printable

_COLUMNS = ("uid", "time", "event", "step", "bundle", "sequence", "fus", "stack", "code", "start", "end", "optr")
_TORN = " #torn"
"""How the run after a crash marks a line that the crash cut short (flasher/journal.py)."""


class JournalFormat(StrEnum):
    """How journals are printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class ChipJournal:
    """The journal of one chip. `torn`: numbers of the lines that a crash cut short; they were never acted on."""

    uid: str
    entries: tuple[dict[str, Any], ...]
    torn: tuple[int, ...] = ()

    @property
    def unfinished_step(self) -> str | None:
        """Return the step that began and did not end, if there is one."""
        step: str | None = None
        for entry in self.entries:
            if entry["event"] == "step":
                step = str(entry.get("step", ""))
            elif entry["event"] in ("done", "result"):
                step = None
        return step

    @property
    def state(self) -> str:
        """Return `done`, or `interrupted` when the next run has something to resume."""
        if self.unfinished_step is not None or self._must_restore():
            return "interrupted"
        return "done"

    def _must_restore(self) -> bool:
        noted = [entry["event"] for entry in self.entries if entry["event"] in ("option-bytes", "restored")]
        return noted[-1:] == ["option-bytes"]


def read_journal(path: Path) -> ChipJournal:
    """Read and verify one journal. Raises JournalError when a line is damaged."""
    Journal(path.parent, path.stem).history  # noqa: B018 - refuses what the next run would refuse
    entries, torn = [], []
    lines = read_text(str(path), LARGEST).decode("utf-8", "backslashreplace").split("\n")
    for number, line in enumerate(lines, start=1):
        is_cut = number == len(lines) and bool(line)
        if line.endswith(_TORN) or is_cut:
            torn.append(number)
        elif line:
            entries.append(json.loads(line))
    return ChipJournal(path.stem, tuple(entries), tuple(torn))


def read_journals(folder: Path, uid: str | None) -> list[ChipJournal]:
    """Read the journal of one chip, or of all. Raises JournalError, UsageError for a UID without a journal."""
    paths = sorted(folder.glob("*.jsonl"))
    if uid is not None:
        paths = [path for path in paths if path.stem.startswith(uid.lower())]
        if not paths:
            raise UsageError(f"{folder}: no journal of a chip with UID {uid}. 'flasher journal' lists the chips")
    try:
        return [read_journal(path) for path in paths]
    except OSError as error:
        raise JournalError(f"{folder}: {(error.strerror or str(error)).lower()}") from error


# --- printing


def journal_text(journals: Iterable[ChipJournal], *, with_entries: bool) -> str:
    """Return one line for each chip, or every entry of each."""
    lines: list[str] = []
    for journal in journals:
        lines.append(_summary(journal))
        if with_entries:
            lines += [f"  {_entry_line(entry)}" for entry in journal.entries]
    return "\n".join(map(printable, lines))


def _summary(journal: ChipJournal) -> str:
    last = next((entry for entry in reversed(journal.entries) if entry["event"] == "begin"), None)
    parts = [journal.uid, journal.state]
    if last is not None:
        parts.append(f"bundle {last['bundle']}, sequence {last['sequence']}")
    if journal.entries:
        parts.append(f"last entry {journal.entries[-1].get('time', 'without a time')}")
    if journal.unfinished_step is not None:
        parts.append(f"to resume: {journal.unfinished_step}")
    if journal.torn:
        numbers = ", ".join(map(str, journal.torn))
        parts.append(f"line {numbers} was cut short by a crash and never acted on")
    return "  ".join(parts)


def _entry_line(entry: dict[str, Any]) -> str:
    details = [f"{name}={_plain(value)}" for name, value in entry.items() if name not in ("time", "event")]
    return "  ".join([str(entry.get("time", "")), str(entry["event"]), *details])


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)


def journal_document(journals: Iterable[ChipJournal]) -> dict[str, Any]:
    """Return `journal --json`."""
    chips = [
        {
            "uid": journal.uid,
            "state": journal.state,
            "unfinished_step": journal.unfinished_step,
            "torn_lines": list(journal.torn),
            "entries": list(journal.entries),
        }
        for journal in journals
    ]
    return {"schema": "flasher.journal/1", "chips": chips}


def journal_csv(journals: Iterable[ChipJournal]) -> str:
    """Return one row for each entry; the header names the columns."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for journal in journals:
        for entry in journal.entries:
            row = {"uid": journal.uid, **entry}
            table.writerow({name: printable(str(row[name])) for name in _COLUMNS if name in row})
    return text.getvalue().removesuffix("\n")
