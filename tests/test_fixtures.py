"""The fixtures are what fixtures/make.py makes, and every one of them is used."""

import subprocess
import sys
from pathlib import Path

from tests.support.images import FIXTURES, IMAGES


def _made(folder: Path) -> dict[str, bytes]:
    found = [*folder.glob("images/*.bin"), *folder.glob("keys/*.pem")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_make_makes_the_same_bytes_again(tmp_path: Path) -> None:
    copy = tmp_path / "make.py"
    copy.write_text((FIXTURES / "make.py").read_text())
    subprocess.run([sys.executable, copy], check=True, capture_output=True)
    assert _made(tmp_path) == _made(FIXTURES)


def test_make_does_not_use_the_parser_it_tests() -> None:
    assert "imagekit." not in (FIXTURES / "make.py").read_text().replace("stm32wb-imagekit", "")


def test_every_image_has_its_golden_files() -> None:
    stems = {path.stem for path in IMAGES.glob("*.bin")}
    assert {path.stem for path in IMAGES.glob("*.txt")} == stems
    assert {path.stem for path in IMAGES.glob("*.json")} == stems
