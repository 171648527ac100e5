"""Names from outside never reach a terminal, a log or a document with characters that act on it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.bundles import public_file
from tests.support.images import content, throw_away_keys

HOSTILE = "::error::x\x1b[31m\x07\u202e\u2066\udcff"
"""A workflow command, ESC, BEL, two bidirectional controls, and a byte that is not UTF-8."""
IMAGE, FOLDER, TEXT = f"{HOSTILE}.bin", f"{HOSTILE}dir", f"{HOSTILE}.txt"
WB55 = ("--part", "STM32WB55RG")

COMMANDS = [
    ("inspect", IMAGE),
    ("inspect", TEXT),
    ("inspect", "missing" + HOSTILE),
    ("inspect", IMAGE, "--part", HOSTILE),
    ("address", IMAGE, *WB55),
    ("address", IMAGE, *WB55, "--sfsa", HOSTILE),
    ("check", IMAGE, TEXT, "--notes"),
    ("check", FOLDER, *WB55),
    ("check", IMAGE, TEXT, "--format", "junit"),
    ("check", IMAGE, TEXT, "--format", "sarif"),
    ("check", IMAGE, TEXT, "--format", "github"),
    ("check", IMAGE, "--app", HOSTILE, *WB55),
    ("check", IMAGE, "--catalogue", TEXT),
    ("audit", FOLDER),
    ("map", IMAGE, *WB55),
    ("map", IMAGE, *WB55, "--svg", "-"),
    ("map", IMAGE, *WB55, "--json"),
    ("convert", IMAGE, f"{HOSTILE}.hex", *WB55),
    ("convert", IMAGE, HOSTILE, *WB55),
    ("plan", IMAGE, *WB55, "--fus", "1.2.0"),
    ("plan", IMAGE, FOLDER, *WB55, "--fus", "1.2.0", "--json"),
    ("plan", IMAGE, *WB55, "--fus", "1.2.0", "--want", HOSTILE),
    ("plan", IMAGE, *WB55, "--fus", "1.2.0", "--emit", "cubeprogrammer"),
    ("plan", IMAGE, *WB55, "--fus", HOSTILE),
    ("explain", HOSTILE),
    ("explain", "--option-bytes", HOSTILE, *WB55),
    ("keys", "show", TEXT),
    ("keys", "recover", IMAGE, TEXT),
    ("keys", "generate", f"{HOSTILE}.pem"),
    ("catalogue", "show", HOSTILE),
    ("catalogue", "build", FOLDER, "-o", f"{HOSTILE}.json"),
    ("bundle", "create", f"{HOSTILE}.wbz", IMAGE, *WB55),
    ("bundle", "create", f"{HOSTILE}.wbz", IMAGE, *WB55, "--name", HOSTILE),
    ("bundle", "create", "x.wbz", IMAGE, *WB55, "--waive", HOSTILE),
    ("bundle", "verify", TEXT, "--trust", str(public_file("p256"))),
    ("bundle", "show", TEXT),
    ("bundle", "payload", TEXT, "-o", HOSTILE),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    (tmp_path / FOLDER).mkdir()
    for path in (IMAGE, f"{FOLDER}/{IMAGE}"):
        Path(path).write_bytes(content("stack-4k"))
    Path(TEXT).write_text("one\x1b[31m\ttwo\n" * 20, encoding="utf-8")


def is_acting(char: str) -> bool:
    return char != "\n" and not char.isprintable()


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(map(ascii, arguments))[:60])
def test_hostile_names_are_printed_as_plain_text(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 2, 3, 4)
    assert [char for char in result.stdout + result.stderr if is_acting(char)] == []
    is_for_a_build_server = "github" in arguments
    lines = result.stdout.splitlines()
    assert is_for_a_build_server or not any(line.startswith("::") for line in lines)
