"""What comes from names, journals and boards never reaches a terminal with characters that act on it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flasher.cli.run
from flasher.cli import app
from flasher.sim.board import save_board
from tests.support.bundles import bundle, private, public_file
from tests.support.flashing import simulated
from tests.support.images import throw_away_keys
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

HOSTILE = "\x1b[31m\x07\u202e\u2066\u009b\udcff"
"""ESC, BEL, two bidirectional controls, CSI in one character, and a byte that is not UTF-8."""
UID = "00658473e1268000ffffffff"
TRUST = ("--trust", str(public_file("p256")))
BOARD = ("--probe", "sim:board.json")
ENTRIES = [
    {"event": "begin", "time": HOSTILE, "bundle": HOSTILE, "sequence": 7, "steps": [HOSTILE]},
    {"event": HOSTILE, "time": HOSTILE, HOSTILE: HOSTILE},
    {"event": "step", "time": HOSTILE, "step": HOSTILE, "stack": HOSTILE},
]
COMMANDS = [
    ("info", "--probe", f"sim:{HOSTILE}"),
    ("info", "--probe", HOSTILE),
    ("info", *BOARD, "--jlink-dll", HOSTILE),
    ("info", *BOARD, "--journal", HOSTILE),
    ("plan", HOSTILE, *TRUST, *BOARD),
    ("plan", f"{HOSTILE}.wbz", *TRUST, *BOARD),
    ("plan", "product.wbz", "--trust", HOSTILE, *BOARD),
    ("plan", "product.wbz", *TRUST, *BOARD, "--json"),
    ("install", "product.wbz", *TRUST, *BOARD, "--accept", HOSTILE),
    ("install", "product.wbz", *TRUST, *BOARD, "--erase-application", HOSTILE),
    ("install", "product.wbz", *TRUST, *BOARD, "--report", HOSTILE),
    ("install", "product.wbz", *TRUST, *BOARD, "--report", f"{HOSTILE}/{HOSTILE}"),
    ("install", "product.wbz", *TRUST, *BOARD, "--json-lines"),
    ("journal",),
    ("journal", UID),
    ("journal", UID, "--format", "csv"),
    ("journal", UID, "--json"),
    ("journal", HOSTILE),
    ("journal", "--journal", HOSTILE),
    ("delete", "--probe", f"sim:{HOSTILE}"),
    ("start-stack", *BOARD, "--speed", HOSTILE),
    ("sim", "new", f"{HOSTILE}/x.json", "--part", "STM32WB55RG"),
    ("sim", "new", "x.json", "--part", HOSTILE),
    ("sim", "show", HOSTILE),
    ("sim", "set", HOSTILE, f"{HOSTILE}=1"),
    ("sim", "set", "board.json", f"{HOSTILE}={HOSTILE}"),
    (HOSTILE,),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journals"))
    monkeypatch.setattr(flasher.cli.run.stop, "wanted", False)
    save_board(simulated(), tmp_path / "board.json")
    for name in ("product.wbz", f"{HOSTILE}.wbz"):
        Path(name).write_bytes(bundle("fus-2.2.0", "stack-fus2-4k", keys=[private("p256")]))
    journals = tmp_path / "journals"
    journals.mkdir()
    (journals / f"{UID}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES))


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(map(ascii, arguments))[:60])
def test_hostile_text_is_printed_as_plain_text(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 2, 3, 4, 5), result.output
    assert [char for char in result.stdout + result.stderr if char != "\n" and not char.isprintable()] == []


def test_hostile_names_of_journals_are_printed_as_plain_text() -> None:
    Path("journals", f"{HOSTILE}.jsonl").write_text('{"event": "begin", "bundle": "x", "sequence": 1}\n')
    for options in ((), ("--format", "csv"), ("--json",)):
        result = CliRunner().invoke(app, ["journal", *options])
        assert result.exit_code == 0, result.output
        assert [char for char in result.stdout + result.stderr if char != "\n" and not char.isprintable()] == []
