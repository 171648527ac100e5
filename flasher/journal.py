"""Record what was done to each chip on this computer: one file per UID, one JSON document per line.

Each line is on the disk before the action that it announces begins. So the next run knows which option bytes to
restore, which sectors hold staged images, and the highest sequence of each bundle that the chip received.
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
    """What the journal tells about a chip."""

    sequences: Mapping[str, int] = field(default_factory=dict)
    """Name of a bundle -> the highest sequence that the chip received."""
    optr: int | None = None
    """OPTR before it was last changed; None when it was restored."""
    staged: tuple[tuple[int, int], ...] = ()
    """First address, and first address after the last, of each area that was staged since the last result."""
    is_torn: bool = False
    """Whether the last run was interrupted while it staged an image."""
    is_unfinished: bool = False
    """Whether the last step that began did not end: FUS may still be working on it."""
    stack: str | None = None
    """SHA-256 of the stack that was installed last: a chip does not tell two variants of a release apart."""


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
        """Read every line. A line that a crash cut short was never acted on; the next run marked it."""
        if not self._path.exists():
            return []
        if not self._path.is_file() or self._path.stat().st_size > _LARGEST:
            raise JournalError(f"{self._path}: not a journal: not a regular file, or far too large; {_ADVICE}")
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
        """Add a line, and return when it is on the disk."""
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
        """What all lines together tell about the chip."""
        now = History()
        try:
            for entry in self._entries:
                now = _after(now, entry)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise JournalError(f"{self._path}: a line is incomplete: {error}; {_ADVICE}") from error
        return now

    def _error(self, error: OSError) -> JournalError:
        why = (error.strerror or str(error)).lower()
        return JournalError(f"{self._path}: {why}; the flasher does not work without a journal")


_TORN = b" #torn"
_LARGEST = 16 * 1024 * 1024
_ADVICE = "read it, and move the file away if the chip does not need its contents (option bytes to restore)"


def _after(now: History, entry: dict[str, Any]) -> History:
    """Return the history after one more line."""
    match entry["event"]:
        case "begin":
            name, sequence = str(entry["bundle"]), int(entry["sequence"])
            return replace(now, sequences={**now.sequences, name: max(now.sequences.get(name, 0), sequence)})
        case "option-bytes":
            return replace(now, optr=_kept_optr(now.optr, int(entry["optr"], 16)))
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


def _kept_optr(before: int | None, found: int) -> int:
    """Return the OPTR to restore. One that boots SRAM1 was written by an earlier run and is not kept."""
    if found & OPTR_BOOT or before is None:
        return found
    return before


def unfinished(folder: Path) -> tuple[str, ...]:
    """Return the UIDs of chips whose last run was interrupted in a step. Raises JournalError."""
    uids = sorted(path.stem for path in folder.glob("*.jsonl"))
    return tuple(uid for uid in uids if Journal(folder, uid).history.is_unfinished)


def default_folder() -> Path:
    """Return the folder for journals: the user's state folder on this system. Raises JournalError without one."""
    try:
        return _state_folder() / "stm32wb-flasher"
    except RuntimeError as error:  # no HOME and no entry in the list of users: a container
        raise JournalError(
            "this user has no home folder: choose a folder for journals with --journal FOLDER"
        ) from error


def _state_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base)


def _sync_folder(folder: Path) -> None:
    """Put the name of a new file on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
