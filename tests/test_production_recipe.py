"""docs/production.md can be copied as it is: every block of the recipe runs, in order, in one shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import CORPUS, needs_corpus
from tests.support.images import FIXTURES

PAGE = FIXTURES.parent / "docs" / "production.md"
BLOCK = re.compile(r"^```sh recipe\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs(folder: Path) -> dict[str, str]:
    """An environment in which `imagekit` and `flasher` are programs on the path."""
    folder.mkdir()
    for name in ("imagekit", "flasher"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(FIXTURES.parent)}


@needs_corpus
@pytest.mark.skipif(not shutil.which("sh"), reason="no shell")
def test_the_recipe_runs_when_it_is_copied(tmp_path: Path) -> None:
    images = CORPUS / "v1.23.0" / "STM32WB5x"
    if not images.exists():
        pytest.skip("this corpus lacks v1.23.0")
    desk = tmp_path / "desk"
    desk.mkdir()
    for name in ("FUS", "BLE_Stack_full"):
        shutil.copy(images / f"stm32wb5x_{name}_fw.bin", desk / f"{name}_fw.bin")
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    script = "\n".join(["set -u", *blocks])

    result = subprocess.run(
        ["sh", "-c", script], cwd=desk, capture_output=True, text=True, check=False, timeout=300,
        env=programs(tmp_path / "bin"),
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line.split("  ") for line in result.stdout.splitlines() if re.match(r"board-\d  ", line)]
    first, second = rows[:8], rows[8:]
    assert [code for _, code, *_ in first] == ["0", "0", "0", "0", "0", "5", "0", "5"], result.stdout
    assert [code for _, code, *_ in second] == ["0"] * 8, result.stdout
    assert first[4][2].startswith("nothing to do: ")
    assert all("with FUS 2.1.0 and stack 1.23.0.3" in text for _, _, text in second)
    assert len(blocks) == 6
    assert result.stdout.count("  done  bundle product, sequence 12") == 8
