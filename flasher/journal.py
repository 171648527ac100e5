"""What was done to which chip, on this computer: one file for each chip's UID, a JSON document on each line.

A line is on the disk before what it announces is done. So the next run knows which option bytes to restore, which pages
hold what this tool has staged, and the highest sequence of a bundle that the chip has seen.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flasher.errors import JournalError
from flasher.registers import OPTR_BOOT


@dataclass(frozen=True, slots=True)
class History:
    """What the journal knows of a chip.

    `sequences`: name of a bundle -> the highest that was seen. `optr`: what OPTR was before it was changed last, None
    when it was restored. `staged`: first address, and the one behind the last, of pages that this tool has written to.
    """

    sequences: Mapping[str, int] = field(default_factory=dict)
    optr: int | None = None
    staged: tuple[tuple[int, int], ...] = ()
    is_torn: bool = False
    """Whether the last image was being staged when the run broke off, and not read back."""
    is_unfinished: bool = False
    """Whether the last step that was begun did not end: FUS may be at work for it."""
    stack: str | None = None
    """SHA-256 of the stack that was installed last: two variants of a release can say the same of themselves."""


class Journal:
    """The journal of one chip. Every method raises JournalError."""

    def __init__(self, folder: Path, uid: str) -> None:
        self._path = folder / f"{uid}.jsonl"
        self._has_torn_end = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._entries = self._read()
        except OSError as error:
            raise self._error(error) from error

    def _read(self) -> list[dict[str, Any]]:
        """Every line; one that a crash has cut short was never acted on, and the run after it has marked it."""
        if not self._path.exists():
            return []
        if not self._path.is_file() or self._path.stat().st_size > _LARGEST:
            raise JournalError(f"{self._path}: no journal: not a regular file, or far too large; {_ADVICE}")
        *lines, last = self._path.read_bytes().split(b"\n")
        self._has_torn_end = bool(last)
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                _ = entry["event"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                if line.endswith(_TORN):
                    continue
                raise JournalError(f"{self._path}: line {number} is damaged: {error}; {_ADVICE}") from error
            entries.append(entry)
        return entries

    def note(self, event: str, **what: object) -> None:
        """Add a line; it is on the disk when this returns."""
        entry = {"event": event, "time": datetime.now(UTC).isoformat(timespec="seconds"), **what}
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        if self._has_torn_end:
            line = _TORN + b"\n" + line
        try:
            is_new = not self._path.exists()
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new and os.name == "posix":
                _sync_folder(self._path.parent)
        except OSError as error:
            raise self._error(error) from error
        self._has_torn_end = False
        self._entries.append(entry)

    @property
    def history(self) -> History:
        """What the lines come to."""
        now = History()
        try:
            for one in self._entries:
                now = _after(now, one)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise JournalError(f"{self._path}: a line lacks what it must have: {error}; {_ADVICE}") from error
        return now

    def _error(self, error: OSError) -> JournalError:
        why = (error.strerror or str(error)).lower()
        return JournalError(f"{self._path}: {why}; nothing is done without a journal")


_TORN = b" #torn"
_LARGEST = 16 * 1024 * 1024
_ADVICE = "look at it, and move the file away when you know that the chip needs nothing of it"


def _after(now: History, entry: dict[str, Any]) -> History:
    """What one more line makes of it."""
    match entry["event"]:
        case "begin":
            name, sequence = str(entry["bundle"]), int(entry["sequence"])
            return replace(now, sequences={**now.sequences, name: max(now.sequences.get(name, 0), sequence)})
        case "option-bytes":
            found = int(entry["optr"], 16)  # one that boots nothing but SRAM1 is what an earlier run has made of it
            return replace(now, optr=found if found & OPTR_BOOT or now.optr is None else now.optr)
        case "restored":
            return replace(now, optr=None)
        case "step":
            area = [(int(entry["start"], 16), int(entry["end"], 16))] if "start" in entry else []
            stack = entry.get("stack", now.stack)
            return replace(now, staged=(*now.staged, *area), stack=stack, is_unfinished=True, is_torn=bool(area))
        case "staged":
            return replace(now, is_torn=False)
        case "done":
            return replace(now, is_torn=False, is_unfinished=False)
        case "result":
            return replace(now, staged=(), is_torn=False, is_unfinished=False)
    return now


def unfinished(folder: Path) -> tuple[str, ...]:
    """The UIDs of chips whose last run was broken off in a step. Raises JournalError."""
    uids = sorted(path.stem for path in folder.glob("*.jsonl"))
    return tuple(uid for uid in uids if Journal(folder, uid).history.is_unfinished)


def default_folder() -> Path:
    """Where journals are kept: the user's folder for state on this system. Raises JournalError when there is none."""
    try:
        return _state_folder() / "stm32wb-flasher"
    except RuntimeError as error:  # no HOME, and nobody in the list of users: a container
        raise JournalError("this user has no home folder; say where journals are kept: --journal FOLDER") from error


def _state_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base)


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
