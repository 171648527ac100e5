"""The examples of docs/explain.md show what is printed. `--update-golden` writes them anew."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.images import FIXTURES

PAGE = FIXTURES.parent / "docs" / "explain.md"
BLOCK = re.compile(r"(?<=```console\n)\$ imagekit (.+)\n(?:(?!```).*\n)*")


def _shown(command: re.Match[str]) -> str:
    """The block as it should be: the command, and all that it prints."""
    result = CliRunner().invoke(app, shlex.split(command[1]))
    return f"$ imagekit {command[1]}\n{result.stdout}"


def test_examples_show_what_is_printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES.parent)
    shown, count = BLOCK.subn(_shown, PAGE.read_text(encoding="utf-8"))
    if request.config.getoption("--update-golden"):
        PAGE.write_text(shown, encoding="utf-8")
    assert count == 3
    assert PAGE.read_text(encoding="utf-8") == shown


def test_commands_of_the_tables_are_understood() -> None:
    """Every example in the table of `explain` is known to it."""
    table = PAGE.read_text(encoding="utf-8").partition("| you have |")[2].partition("\n\n")[0]
    examples = re.findall(r"`imagekit (explain [^`]+)`", table)
    assert len(examples) == 7
    for example in examples:
        words = shlex.split(example)
        if "log.txt" not in words and "dump.txt" not in words:
            assert CliRunner().invoke(app, words).exit_code == 0, example
