"""Record what was done to each chip on this computer: one file per UID, one JSON document per line.

Each line is on the disk before the action that it announces begins. So the next run knows which option bytes to
restore, which sectors hold staged images, and the highest sequence of each bundle that the chip received.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flasher.errors import JournalError, ProbeUnavailableError
from flasher.registers import FLASH_BASE, OPTR_BOOT
from imagekit.files import lock_handle, read_text
from imagekit.targets import LARGEST_FLASH


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
        if not self._path.is_file() or self._path.stat().st_size > LARGEST:
            raise JournalError(f"{self._path}: not a journal: not a regular file, or far too large; {_ADVICE}")
        *lines, last = read_text(str(self._path), LARGEST).split(b"\n")
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
            self._append(line)
            if is_new and os.name == "posix":
                _sync_folder(self._path.parent)
        except OSError as error:
            raise self._error(error) from error
        self._has_torn_end = False
        self._entries.append(entry)

    def _append(self, line: bytes) -> None:
        """Write a line to the disk, whole: after a failure, the journal ends where it ended before. Raises OSError."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            size = os.fstat(handle).st_size
            try:
                while line:
                    line = line[os.write(handle, line) :]
                os.fsync(handle)
            except BaseException:
                # A part of the line would be glued to the next one, and the journal could never be read again.
                self._has_torn_end = not _is_truncated(handle, size) or self._has_torn_end
                raise
        finally:
            os.close(handle)

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
LARGEST = 16 * 1024 * 1024
_LONGEST_PID = 20
_MOST_AREAS = 256
"""A run stages one area for each image, 15 at most, and the next run mostly the same ones."""
LARGEST_SEQUENCE = 2**53 - 1
"""docs/bundle.md, `sequence`."""
_ADVICE = "read it, and move the file away if the chip does not need its contents (option bytes to restore)"


def _after(now: History, entry: dict[str, Any]) -> History:
    """Return the history after one more line."""
    match entry["event"]:
        case "begin":
            name, sequence = str(entry["bundle"]), _number(entry["sequence"], 0, LARGEST_SEQUENCE)
            return replace(now, sequences={**now.sequences, name: max(now.sequences.get(name, 0), sequence)})
        case "option-bytes":
            return replace(now, optr=_kept_optr(now.optr, _number(int(entry["optr"], 16), 0, 0xFFFF_FFFF)))
        case "restored":
            return replace(now, optr=None)
        case "step":
            return _after_step(now, entry)
        case "staged":
            return replace(now, is_torn=False)
        case "done":
            return replace(now, is_torn=False, is_unfinished=False)
        case "result":
            return replace(now, staged=(), is_torn=False, is_unfinished=False)
    return now


def _number(value: object, least: int, most: int) -> int:
    """Return a number of a line. Raises ValueError for one that no journal holds."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"a number is not one from {least} to {most}")
    return value


def _area(entry: dict[str, Any]) -> tuple[int, int]:
    """Return the area of flash that a step stages. Raises ValueError for others: they would be searched for hours."""
    start = _number(int(entry["start"], 16), FLASH_BASE, FLASH_BASE + LARGEST_FLASH)
    return start, _number(int(entry["end"], 16), start, FLASH_BASE + LARGEST_FLASH)


def _after_step(now: History, entry: dict[str, Any]) -> History:
    """Return the history after a step that began."""
    begun = replace(now, stack=entry.get("stack", now.stack), is_unfinished=True, is_torn="start" in entry)
    if "start" not in entry:
        return begun
    return replace(begun, staged=_with_area(now.staged, _area(entry)))


def _with_area(areas: tuple[tuple[int, int], ...], last: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the staged areas, each once, the last one at the end. Raises ValueError for more than a chip gets."""
    kept = (*(area for area in areas if area != last), last)
    if len(kept) > _MOST_AREAS:
        raise ValueError(f"more than {_MOST_AREAS} areas without a result")
    return kept


def _kept_optr(before: int | None, found: int) -> int:
    """Return the OPTR to restore. One that boots SRAM1 was written by an earlier run and is not kept."""
    if found & OPTR_BOOT or before is None:
        return found
    return before


@contextmanager
def locked_chip(folder: Path, uid: str) -> Iterator[None]:
    """Hold a chip, so that one flasher at a time works on it; the system releases it when the process ends.

    Raises:
        ProbeUnavailableError: another process holds it.
        JournalError: the file of the lock cannot be opened.
    """
    path = folder / f"{uid}.lock"
    handle = _locked(path)
    try:
        with suppress(OSError):  # the number is for a message only: a full disk must not stop the work
            os.ftruncate(handle, 0)
            os.write(handle, b"%d\n" % os.getpid())
        yield
    finally:
        # Windows removes no open file. A file that is left behind and not locked does no harm.
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _lock_error(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: {(error.strerror or str(error)).lower()}; the chip cannot be locked")


def _locked(path: Path) -> int:
    """Return the open and locked file of a lock. Raises ProbeUnavailableError, JournalError."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise _lock_error(path, error) from error
        try:
            lock_handle(handle, waits=False)
        except OSError as error:
            os.close(handle)
            raise ProbeUnavailableError(
                f"Do NOT power off or reset the board: another flasher{_holder(path)} is working on this chip; "
                "wait until it has ended"
            ) from error
        if _is_at(path, handle):
            return handle
        os.close(handle)  # another process removed it between the two calls


def _is_at(path: Path, handle: int) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Return which process holds a lock, for a message; empty when that is not known."""
    try:
        text = read_text(str(path), _LONGEST_PID).decode("ascii").strip()
    except (OSError, ValueError):
        return ""
    if not text.isdecimal():
        return ""
    return f" (process {text})"


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


def _is_truncated(handle: int, size: int) -> bool:
    """Cut a file back to a size; return whether that worked."""
    try:
        os.ftruncate(handle, size)
        os.fsync(handle)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Put the name of a new file on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
