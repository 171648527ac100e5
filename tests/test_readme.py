"""README's console blocks show what the programs print. `--update-golden` writes them anew."""

import re

import pytest
from typer.testing import CliRunner

from imagekit.cli import app
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.images import FIXTURES

README = FIXTURES.parent / "README.md"
BLOCK = re.compile(r"(?<=```console\n)\$ imagekit (.+)\n(?:(?!```).*\n)*")
CORPUS_BLOCK = re.compile(r"(?<=```console corpus\n)\$ imagekit (.+)\n(?:(?!```).*\n)*")
"""What is shown with ST's own images, in a folder of ST's releases."""


def _shown(command: re.Match[str]) -> str:
    """The block as it should be: the command, and all that it prints."""
    result = CliRunner().invoke(app, command[1].split())
    return f"$ imagekit {command[1]}\n{result.output}"


def _compare(block: re.Pattern[str], count: int, request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    shown, blocks = block.subn(_shown, text)
    if request.config.getoption("--update-golden"):
        README.write_text(shown, encoding="utf-8")
    assert blocks == count
    assert README.read_text(encoding="utf-8") == shown


def test_console_blocks_show_what_is_printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)
    _compare(BLOCK, 6, request)


@needs_corpus
def test_blocks_on_st_s_images_show_what_is_printed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CORPUS)
    _compare(CORPUS_BLOCK, 1, request)


@needs_corpus
def test_the_picture_is_what_the_command_beside_it_draws(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CORPUS)
    command = re.search(r"```console picture\n\$ imagekit (.+) flash-map.svg\n```", README.read_text(encoding="utf-8"))
    assert command is not None
    drawn = CliRunner().invoke(app, [*command[1].split(), "-"]).stdout
    picture = README.parent / "docs" / "flash-map.svg"
    if request.config.getoption("--update-golden"):
        picture.write_text(drawn, encoding="utf-8")
    assert picture.read_text(encoding="utf-8") == drawn


def test_ci_runs_the_two_commands_of_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.findall(r"^```sh (\w+)$", text, re.MULTILINE) == ["inspect", "test"]
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme inspect" in ci
    assert "readme test" in ci
