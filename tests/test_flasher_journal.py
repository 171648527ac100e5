"""flasher/journal.py: what was written is there after any crash, what is damaged is told, what the lines come to."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flasher.cli.journals import read_journal
from flasher.errors import JournalError, ProbeUnavailableError
from flasher.journal import History, Journal, default_folder, locked_chip
from imagekit.errors import ExitCode

UID = "00658473e1268000ffffffff"
BEGIN: dict[str, Any] = {"event": "begin", "bundle": "product", "sequence": 7, "steps": []}


def lines(folder: Path) -> list[bytes]:
    return (folder / f"{UID}.jsonl").read_bytes().split(b"\n")


def written(folder: Path, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{UID}.jsonl"
    path.write_bytes(data)
    return path


# --- writing and reading


def test_a_journal_of_a_new_chip_is_empty_and_makes_its_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "b", UID)
    assert journal.history == History()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_line_is_json_with_its_time(tmp_path: Path) -> None:
    Journal(tmp_path, UID).note("begin", bundle="grüß", sequence=7)
    first, end = lines(tmp_path)
    entry = json.loads(first)
    assert (entry["event"], entry["bundle"], entry["sequence"]) == ("begin", "grüß", 7)
    assert entry["time"].endswith("+00:00")
    assert first.isascii()
    assert end == b""


def test_a_line_is_on_the_disk_when_note_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal = Journal(tmp_path, UID)
    journal.note("begin", bundle="product", sequence=1)
    assert len(synced) == 2, "the file, and the folder that has its new name"
    journal.note("done", step="x")
    assert len(synced) == 3


def test_the_next_run_reads_what_the_last_one_wrote(tmp_path: Path) -> None:
    Journal(tmp_path, UID).note(**BEGIN)
    second = Journal(tmp_path, UID)
    second.note("option-bytes", optr="0x3FFFF1AA", fus="1.2.0")
    assert Journal(tmp_path, UID).history == second.history == History(sequences={"product": 7}, optr=0x3FFFF1AA)


def test_chips_have_journals_of_their_own(tmp_path: Path) -> None:
    Journal(tmp_path, UID).note(**BEGIN)
    assert Journal(tmp_path, "0" * 24).history == History()


# --- what a crash leaves


GOOD = b'{"event": "begin", "bundle": "product", "sequence": 7}\n'


@settings(max_examples=40)
@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_a_last_line_that_was_cut_anywhere_was_never_acted_on(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written(folder, GOOD + b'{"event": "begin", "bundle": "product", "sequence": 9}\n'[:at])
    assert Journal(folder, UID).history == History(sequences={"product": 7})


@settings(max_examples=40)
@given(st.integers(min_value=1, max_value=len(GOOD) - 1), st.integers(min_value=0, max_value=100))
def test_after_a_cut_line_and_a_cut_mark_all_goes_on(
    tmp_path_factory: pytest.TempPathFactory, at: int, second: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = written(folder, GOOD + GOOD[:at])
    Journal(folder, UID).note("begin", bundle="product", sequence=8)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(GOOD) + at + second])  # the crash comes again, in the middle of that
    Journal(folder, UID).note("begin", bundle="product", sequence=10)
    Journal(folder, UID).note("begin", bundle="product", sequence=9)
    assert Journal(folder, UID).history.sequences["product"] == 10


def test_zeros_at_the_end_are_a_line_that_never_came(tmp_path: Path) -> None:
    """Some file systems leave them where a file was made longer and the power went."""
    written(tmp_path, GOOD + bytes(100))
    journal = Journal(tmp_path, UID)
    journal.note("begin", bundle="product", sequence=8)
    assert Journal(tmp_path, UID).history.sequences["product"] == 8


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'"event"', b'{"name": 1}', b"\xff\xfe", b"7", b"null", b'{"event": "begin"} x']
)
def test_a_damaged_line_in_the_middle_is_told_by_its_number(tmp_path: Path, damage: bytes) -> None:
    path = written(tmp_path, GOOD + damage + b"\n" + GOOD)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"\.jsonl: line 2 is damaged: .*; read it, and move the file") as caught:
        Journal(tmp_path, UID)
    assert caught.value.code is ExitCode.UNREADABLE
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        {"event": "begin"},
        {"event": "begin", "bundle": "product", "sequence": "seven"},
        {"event": "begin", "bundle": "product", "sequence": None},
        {"event": "option-bytes", "optr": 5},
        {"event": "option-bytes", "optr": "0xZZ"},
        {"event": "step", "step": "x", "start": "0x08000000"},
        {"event": "step", "step": "x", "start": 1, "end": 2},
    ],
)
def test_a_line_that_lacks_what_it_must_have_is_told(tmp_path: Path, line: dict[str, object]) -> None:
    written(tmp_path, json.dumps(line).encode() + b"\n")
    with pytest.raises(JournalError, match=r"a line is incomplete: .*; read it"):
        _ = Journal(tmp_path, UID).history


def test_events_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    """A newer program may have written them."""
    written(tmp_path, b'{"event": "weather"}\n{"event": ["begin"]}\n' + GOOD)
    assert Journal(tmp_path, UID).history == History(sequences={"product": 7})


# --- folders


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(
        JournalError, match=r"jsonl: (file exists|not a directory); the flasher does not work without a journal"
    ):
        Journal(tmp_path / "x", UID)


def test_a_journal_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / f"{UID}.jsonl").mkdir()
    with pytest.raises(JournalError, match="not a journal: not a regular file"):
        Journal(tmp_path, UID)


def test_a_folder_that_went_away_meanwhile(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x", UID)
    (tmp_path / "x").rmdir()
    with pytest.raises(JournalError, match="no such file or directory; the flasher does not work without a journal"):
        journal.note("begin", bundle="product", sequence=7)
    assert journal.history == History(), "what is not on the disk did not happen"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, UID)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JournalError, match="permission denied; the flasher does not work without a journal"):
            journal.note("begin", bundle="product", sequence=7)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path, UID)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError, match="no space left on device; the flasher does not work"):
        journal.note("begin", bundle="product", sequence=7)


@pytest.mark.parametrize(
    ("system", "variable", "value", "expected"),
    [
        ("linux", "XDG_STATE_HOME", "/state", "/state/stm32wb-flasher"),
        ("linux", "XDG_STATE_HOME", "", "/home/x/.local/state/stm32wb-flasher"),
        ("darwin", "XDG_STATE_HOME", "/state", "/home/x/Library/Application Support/stm32wb-flasher"),
        ("win32", "LOCALAPPDATA", "/local", "/local/stm32wb-flasher"),
        ("win32", "LOCALAPPDATA", "", "/home/x/AppData/Local/stm32wb-flasher"),
    ],
)
def test_where_journals_are_kept(
    monkeypatch: pytest.MonkeyPatch, system: str, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/x"))
    monkeypatch.setenv(variable, value)
    assert default_folder() == Path(expected)


# --- histories


def test_the_last_installed_stack_is_remembered(tmp_path: Path) -> None:
    first = {**step(0x080D0000, 0x080F0000), "stack": "aa"}
    second = {**step(0x080D0000, 0x080F0000), "stack": "bb"}
    fus = step(0x080EC000, 0x080F2000)
    assert history(tmp_path, begin(1), fus).stack is None
    assert history(tmp_path, begin(1), first, RESULT, fus).stack == "aa"
    assert history(tmp_path, begin(1), first, RESULT, begin(2), second).stack == "bb"


def history(folder: Path, *events: dict[str, object]) -> History:
    written(folder, b"".join(json.dumps(event).encode() + b"\n" for event in events))
    return Journal(folder, UID).history


def begin(sequence: int) -> dict[str, object]:
    return {"event": "begin", "bundle": "product", "sequence": sequence}


def options(word: int) -> dict[str, object]:
    return {"event": "option-bytes", "optr": f"0x{word:08X}"}


def step(start: int, end: int, name: str = "install") -> dict[str, object]:
    return {"event": "step", "step": name, "start": f"0x{start:08X}", "end": f"0x{end:08X}"}


RESULT: dict[str, object] = {"event": "result", "code": 0}
RESTORED: dict[str, object] = {"event": "restored"}


def test_the_highest_sequence_counts_finished_or_not(tmp_path: Path) -> None:
    assert history(tmp_path, begin(3), RESULT, begin(9), begin(4), RESULT).sequences["product"] == 9
    assert history(tmp_path, begin(0)).sequences["product"] == 0


def test_option_bytes_are_remembered_until_they_are_restored(tmp_path: Path) -> None:
    assert history(tmp_path, options(0x3FFFF1AA)).optr == 0x3FFFF1AA
    assert history(tmp_path, options(0x3FFFF1AA), RESTORED).optr is None
    assert history(tmp_path, options(0x3FFFF1AA), RESTORED, options(0x3EFFF1AA)).optr == 0x3EFFF1AA


def test_of_what_two_runs_found_what_boots_counts(tmp_path: Path) -> None:
    """The second found what the first has changed, and not restored; or what was set since."""
    assert history(tmp_path, options(0x3FFFF1AA), options(0x3BFFF1AA)).optr == 0x3BFFF1AA
    assert history(tmp_path, options(0x3FFFF1AA), options(0x337FF1AA)).optr == 0x3FFFF1AA
    assert history(tmp_path, options(0x3FFFF1AA), RESULT).optr == 0x3FFFF1AA, "a result restores nothing"


def test_staged_areas_are_remembered_until_a_result(tmp_path: Path) -> None:
    first, second = (0x080EC000, 0x080F2000), (0x080D0000, 0x080F0000)
    done: dict[str, object] = {"event": "done", "step": "install"}
    assert history(tmp_path, begin(1), step(*first), done, step(*second)).staged == (first, second)
    assert history(tmp_path, begin(1), step(*first), done, RESULT).staged == ()
    assert history(tmp_path, begin(1), step(*first), RESTORED).staged == (first,)


# --- failed writes, numbers, and two programs


def test_a_failed_write_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for a moment, after half of a line."""
    journal = Journal(tmp_path, UID)
    journal.note(**BEGIN)
    write, calls = os.write, 0

    def half(handle: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            return write(handle, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalError, match="no space left on device"):
        journal.note("step", step="x")
    monkeypatch.setattr(os, "write", write)
    assert len(lines(tmp_path)) == 2, "one whole line"
    journal.note("begin", bundle="product", sequence=9)
    assert Journal(tmp_path, UID).history.sequences["product"] == 9


def test_a_line_that_cannot_be_cut_off_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, UID)
    journal.note(**BEGIN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_space)
        patch.setattr(os, "ftruncate", _no_space)
        with pytest.raises(JournalError, match="no space left on device"):
            journal.note("step", step="x")
    (tmp_path / f"{UID}.jsonl").write_bytes((tmp_path / f"{UID}.jsonl").read_bytes()[:-5])
    journal.note("begin", bundle="product", sequence=9)
    assert Journal(tmp_path, UID).history.sequences["product"] == 9


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "line",
    [
        {"event": "begin", "bundle": "product", "sequence": -1},
        {"event": "begin", "bundle": "product", "sequence": 2**53},
        {"event": "begin", "bundle": "product", "sequence": 1.5},
        {"event": "option-bytes", "optr": "-0x1"},
        {"event": "option-bytes", "optr": "0x100000000"},
        {"event": "step", "step": "x", "start": "-0x" + "F" * 5000, "end": "0x08010000"},
        {"event": "step", "step": "x", "start": "0x07FFF000", "end": "0x08010000"},
        {"event": "step", "step": "x", "start": "0x08000000", "end": "0x08101000"},
        {"event": "step", "step": "x", "start": "0x08010000", "end": "0x08000000"},
    ],
)
def test_a_number_out_of_range_is_refused(tmp_path: Path, line: dict[str, object]) -> None:
    written(tmp_path, json.dumps(line).encode() + b"\n")
    with pytest.raises(JournalError, match=r"a number is not one from .*; read it"):
        _ = Journal(tmp_path, UID).history


def test_a_full_disk_refuses_the_lock_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(handle: int, data: bytes) -> int:  # noqa: ARG001 - the signature of os.write
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flasher.journal.os.write", full_disk)
    with (
        pytest.raises(JournalError, match="no space left on device; the chip cannot be locked"),
        locked_chip(tmp_path, UID),
    ):
        pytest.fail("the chip must not be used")


def test_a_chip_is_held_by_one_process(tmp_path: Path) -> None:
    with locked_chip(tmp_path, UID):
        with (
            pytest.raises(
                ProbeUnavailableError, match=rf"another flasher \(process {os.getpid()}\) is working"
            ) as busy,
            locked_chip(tmp_path, UID),
        ):
            pass
        assert str(busy.value).startswith("Do NOT power off or reset the board")
        with locked_chip(tmp_path, "0" * 24):
            pass
    with locked_chip(tmp_path, UID):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_holds_no_chip(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from flasher.journal import locked_chip\n"
        "with locked_chip(Path(sys.argv[1]), sys.argv[2]):\n    os.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, tmp_path, UID], check=False, env={**os.environ, "PYTHONPATH": root})
    assert (tmp_path / f"{UID}.lock").exists()
    with locked_chip(tmp_path, UID):
        pass


def test_a_torn_line_of_other_bytes_is_printed(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + b'{"event": "\xff\xfe #torn\n')
    assert read_journal(path).torn == (2,)
