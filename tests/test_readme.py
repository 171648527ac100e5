"""README's console blocks show what the programs print. `--update-golden` writes them anew."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from flasher.cli import app as flasher
from imagekit.cli.program import app
from tests.support.bundles import private, public_file
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.images import FIXTURES
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

README = FIXTURES.parent / "README.md"
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


@needs_corpus
def test_blocks_on_st_s_images_show_what_is_printed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CORPUS)
    _compare(CORPUS_BLOCK, 2, request)


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


BOARD_BLOCK = re.compile(r"(?<=```console board\n)(?:(?!```).*\n)*")


@needs_corpus
def test_the_block_on_a_board_shows_what_is_printed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    images = [CORPUS / "v1.23.0" / "STM32WB5x" / f"stm32wb5x_{name}_fw.bin" for name in ("FUS", "BLE_Stack_full")]
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    pem = private("ed25519").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    Path("release.pem").write_bytes(pem)
    Path("release.pem").chmod(0o600)
    Path("release.pub").write_bytes(public_file("ed25519").read_bytes())
    made = ["bundle", "create", "product.wbz", "--part", "STM32WB55RG", "--key", "release.pem", *map(str, images)]
    assert runner.invoke(app, made).exit_code == 0

    def shown(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ flasher (.+)$", block[0], re.MULTILINE)
        results = [runner.invoke(flasher, command.split()) for command in commands]
        told = [result.stdout or result.stderr.splitlines()[-1] + "\n" for result in results]
        return "".join(
            f"$ flasher {command}\n{text.replace('imagekit: ', 'flasher: ')}"
            for command, text in zip(commands, told, strict=True)
        )

    text = README.read_text(encoding="utf-8")
    new, blocks = BOARD_BLOCK.subn(shown, text)
    if request.config.getoption("--update-golden"):
        README.write_text(new, encoding="utf-8")
    assert blocks == 1
    assert README.read_text(encoding="utf-8") == new


def test_ci_runs_the_two_commands_of_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.findall(r"^```sh (\w+)$", text, re.MULTILINE) == ["inspect", "test"]
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme inspect" in ci
    assert "readme test" in ci
