"""ST's known faults: an untouched release passes, and every other difference fails with its rule."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.corpus import CORPUS, needs_corpus

pytestmark = needs_corpus
RELEASES = sorted(path for path in CORPUS.glob("v*") if path.is_dir()) if CORPUS.is_dir() else []
STACK = "stm32wb5x_BLE_Stack_full_fw.bin"


def audit(folder: Path) -> tuple[int, set[str]]:
    """Return the exit code and the rules of the findings that are not accepted, notes about files left out."""
    result = CliRunner().invoke(app, ["audit", str(folder), "--known-st-faults", "--format", "json"])
    findings = [finding for release in json.loads(result.stdout)["releases"] for finding in release["findings"]]
    counting = [finding for finding in findings if finding["waived"] is None]
    return result.exit_code, {
        finding["rule"] for finding in counting if finding["severity"] != "note" or finding["rule"].startswith("WB5")
    }


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_release_as_published_passes(release: Path) -> None:
    assert audit(release) == (0, set())


@pytest.fixture
def release(tmp_path: Path) -> Path:
    source = CORPUS / "v1.23.0" / "STM32WB5x"
    if not source.exists():
        pytest.skip("this corpus lacks v1.23.0")
    folder = tmp_path / "STM32WB5x"
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    return folder


def change_a_byte(folder: Path) -> None:
    data = bytearray((folder / STACK).read_bytes())
    data[1000] ^= 1
    (folder / STACK).write_bytes(data)


def rename(folder: Path) -> None:
    (folder / STACK).rename(folder / "stm32wb5x_BLE_Stack_basic_fw.bin")


def lower_an_address(folder: Path) -> None:
    _replace_in_row(folder, "0x080D0000", "0x080CF000")


def raise_an_address(folder: Path) -> None:
    _replace_in_row(folder, "0x080D0000", "0x080D1000")


def _replace_in_row(folder: Path, old: str, new: str) -> None:
    notes = folder / "Release_Notes.html"
    text = notes.read_text(encoding="utf-8")
    assert old in text
    notes.write_text(text.replace(old, new, 1), encoding="utf-8")


def take_another_release(folder: Path) -> None:
    shutil.copyfile(CORPUS / "v1.22.1" / "STM32WB5x" / STACK, folder / STACK)


def remove(folder: Path) -> None:
    (folder / STACK).unlink()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (change_a_byte, {"WB201"}),
        (rename, {"WB404", "WB506", "WB507"}),
        (lower_an_address, {"WB502"}),
        (raise_an_address, {"WB501"}),
        (take_another_release, {"WB505"}),
        (remove, {"WB507"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_changed_release_fails_with_its_rule(release: Path, change: Callable[[Path], None], rules: set[str]) -> None:
    change(release)
    code, found = audit(release)
    assert code == 3
    assert rules <= found


def test_a_lowered_address_is_shown_in_every_format(release: Path, tmp_path: Path) -> None:
    lower_an_address(release)
    outputs = {format_: tmp_path / format_ for format_ in ("junit", "html")}
    options = [f"--output={format_}={path}" for format_, path in outputs.items()]
    result = CliRunner().invoke(app, ["audit", str(release), "--known-st-faults", *options])
    assert f"{STACK}: refused" in result.stdout
    assert "WB502 Release_Notes.html" in result.stdout
    assert 'failures="1"' in outputs["junit"].read_text()
    assert "1 of 26 files is refused" in outputs["html"].read_text()


def test_a_release_without_its_notes_does_not_pass(release: Path) -> None:
    shutil.copytree(release, release.parent / "STM32WB3x", copy_function=shutil.copyfile)
    (release / "Release_Notes.html").unlink()
    result = CliRunner().invoke(app, ["audit", str(release.parent), "--known-st-faults"])
    assert result.exit_code == 4
    assert "STM32WB5x: not audited: there is no Release_Notes.html" in result.stderr


def test_a_wb5x_stack_is_refused_on_a_wb3x_part() -> None:
    path = CORPUS / "v1.13.3" / "STM32WB5x" / "stm32wb5x_BLE_LLD_fw.bin"
    if not path.exists():
        pytest.skip("this corpus lacks v1.13.3")
    result = CliRunner().invoke(app, ["check", str(path), "--part", "STM32WB35CE"])
    assert result.exit_code == 3
    assert "WB307 ST published it for WB5x only: use the file of that name for WB3x" in result.stdout
