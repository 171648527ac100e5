"""What the command line prints for every fixture, to the letter: text, JSON and exit codes.

`pytest tests/test_golden.py --update-golden` writes the files anew; read the difference before committing it.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.images import IMAGES

STEMS = sorted(path.stem for path in IMAGES.glob("*.bin"))
PARTS = ("STM32WB55RG", "STM32WB55CC", "STM32WB35CE", "STM32WB15CC")


def _run(*arguments: str) -> tuple[str, str]:
    """Run imagekit; return standard output, and all of it as a console would show it."""
    result = CliRunner().invoke(app, arguments)
    errors = "".join(f"! {line}\n" for line in result.stderr.splitlines())
    return result.stdout, f"$ imagekit {' '.join(arguments)}\n{result.stdout}{errors}= {result.exit_code}\n"


def _transcript(name: str) -> str:
    runs = [("inspect", name), *(("address", name, "--part", part) for part in PARTS)]
    return "\n".join(_run(*arguments)[1] for arguments in runs)


def _compare(path: Path, printed: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_the_images_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(IMAGES)


@pytest.mark.parametrize("stem", STEMS)
def test_text(stem: str, request: pytest.FixtureRequest) -> None:
    _compare(IMAGES / f"{stem}.txt", _transcript(f"{stem}.bin"), request)


@pytest.mark.parametrize("stem", STEMS)
def test_json(stem: str, request: pytest.FixtureRequest) -> None:
    _compare(IMAGES / f"{stem}.json", _run("inspect", "--json", f"{stem}.bin")[0], request)
