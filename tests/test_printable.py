"""Names from outside never reach a terminal, a log or a document with characters that act on it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from imagekit import catalogue
from imagekit.catalogue import Catalogue, shipped
from imagekit.cli.console import _without_controls
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
    ("bundle", "attach", TEXT, "--signature", TEXT, "--key", str(public_file("p256"))),
    ("bundle", "extract", TEXT, HOSTILE, "--trust", str(public_file("p256"))),
    ("keys", "show", f"pkcs11:{HOSTILE}"),
    ("diff", IMAGE, TEXT),
    ("diff", FOLDER, IMAGE),
    ("doctor", HOSTILE),
    ("doctor", "--log", TEXT),
    ("doctor", HOSTILE, "--log", TEXT, "--stack", IMAGE, "--fus", "1.2.0", *WB55),
    ("catalogue", "update", FOLDER, "-o", f"{HOSTILE}.json"),
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


NOTES = """<html><label>V1.23.0 / {0}</label><table>
<tr><th>binary</th><th>STM32WB5xxG(1M)</th><th>Version</th><th>FUS compatibility</th></tr>
<tr><td>{0}.bin</td><td>0x0{0}</td><td>{0}</td><td>{0}</td></tr>
<tr><td>stm32wb5x_BLE_Stack_full_fw.bin</td><td>{0}</td><td>{0}</td><td>{0}</td></tr></table></html>"""


@pytest.mark.parametrize("format_", ["text", "json", "sarif", "junit", "github", "html"])
def test_hostile_release_notes_are_printed_as_plain_text(format_: str) -> None:
    page = NOTES.format("\x1b[31m\x07\u202e\u2066\u009b")
    Path(FOLDER, "Release_Notes.html").write_text(page, encoding="utf-8")
    Path(FOLDER, "stm32wb5x_BLE_Stack_full_fw.bin").write_bytes(content("stack-4k"))
    result = CliRunner().invoke(app, ["audit", FOLDER, "--format", format_, "--notes"])
    assert result.exit_code in (0, 3), result.output
    assert [char for char in result.stdout + result.stderr if is_acting(char)] == []


@pytest.mark.parametrize("member", ["release", "path", "version", "key", "known_bad", "sha256"])
def test_a_hostile_catalogue_is_printed_as_plain_text(member: str) -> None:
    known = json.loads(catalogue.dumps(Catalogue(("v1.24.0",), dict(list(shipped().contents.items())[:1]))))
    ((sha256, entry),) = known["contents"].items()
    if member == "sha256":
        known["contents"] = {HOSTILE: entry}
    elif member in ("release", "path"):
        entry["published"][0][member] = HOSTILE
    else:
        entry[member] = HOSTILE
    Path("catalogue.json").write_text(json.dumps(known), encoding="utf-8")
    for arguments in (["catalogue", "show"], ["catalogue", "show", sha256], ["inspect", IMAGE]):
        result = CliRunner().invoke(app, [*arguments, "--catalogue", "catalogue.json"])
        assert result.exit_code in (0, 2, 4), result.output
        assert [char for char in result.stdout + result.stderr if is_acting(char)] == []


def test_a_coloured_text_keeps_its_colours_only() -> None:
    text = "\x1b[32mgood\x1b[0m \x1b]0;title\x07 \x1b[2J\n\u202e"
    assert _without_controls(text, keeps_colours=True) == ("\x1b[32mgood\x1b[0m \\x1b]0;title\\x07 \\x1b[2J\n\\u202e")
    assert "\x1b" not in _without_controls(text, keeps_colours=False)


def command_names(program: typer.Typer | None) -> list[str]:
    assert program
    return [str(command.name or getattr(command.callback, "__name__", "")) for command in program.registered_commands]


def test_every_command_is_walked() -> None:
    """A new command needs a line in COMMANDS."""
    names: set[tuple[str, ...]] = {(name,) for name in command_names(app)}
    for group in app.registered_groups:
        names |= {(str(group.name), name) for name in command_names(group.typer_instance)}
    walked = {arguments[:length] for arguments in COMMANDS for length in (1, 2)}
    assert names - walked - NOTHING_FROM_OUTSIDE == set()


NOTHING_FROM_OUTSIDE = {("rules",)}
"""Commands that print nothing but imagekit's own text."""
