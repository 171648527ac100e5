"""docs/threat-model.md names tests that exist."""

import re

import pytest

from tests.support.images import FIXTURES

ROOT = FIXTURES.parent
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))


def test_every_named_file_exists() -> None:
    files = re.findall(r"`((?:tests|imagekit|flasher|docs)/[\w/]+\.py)`", PAGE)
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []
