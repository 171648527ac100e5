"""docs/json.md has every schema, and every member of every document that is printed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagekit.cli import app
from imagekit.targets import TARGETS
from tests.support.bundles import BUNDLES
from tests.support.corpus import CORPUS
from tests.support.images import FIXTURES, IMAGES, throw_away_keys

PAGE = (FIXTURES.parent / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
WB55 = ("--part", "STM32WB55RG")
IMAGE, TEXT = str(IMAGES / "stack-4k.bin"), str(IMAGES / "text.bin")
DUMP = "SFSA=0xF4"

DOCUMENTS = [
    ("inspect", "imagekit inspect --json", ("inspect", "--json", str(IMAGES / "stack-fus2-4k.bin"), TEXT)),
    ("check", "imagekit check --format json", ("check", "--format", "json", IMAGE, TEXT)),
    ("plan", "imagekit plan --emit json", ("plan", "--emit", "json", *WB55, "--fus", "1.2.0", IMAGE)),
    ("bundle", "imagekit bundle verify --json", ("bundle", "show", "--json", str(BUNDLES / "good-p256.wbz"))),
    ("option-bytes", "imagekit explain --option-bytes", ("explain", "--json", "--option-bytes", DUMP, *WB55)),
    ("explanations", "imagekit explain [CODE]", ("explain", "--json", "WB201", "0x11")),
]


def section(title: str) -> str:
    return next(text for heading, text in SECTIONS.items() if heading.lstrip("`").startswith(title))


def members(document: object) -> Iterator[str]:
    """Every member's name, but not hashes, targets and formats, which are content."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name not in {target.name for target in TARGETS} and not re.fullmatch(r"[0-9a-f]{64}", name):
                yield name
            yield from members(value)
    elif isinstance(document, list):
        for one in document:
            yield from members(one)


def is_told(name: str, text: str) -> bool:
    """Whether a page has a member as code: alone, behind a dot, or in a document."""
    return re.search(rf"[`.]{re.escape(name)}[`.]|\"{re.escape(name)}\":", text) is not None


def check_members(schema: str, title: str, document: dict[str, Any]) -> None:
    assert document["schema"] == f"imagekit.{schema}/1"
    # Findings and ranges are told once, where they come first.
    text = section(title) + section("imagekit inspect --json")
    assert [name for name in dict.fromkeys(members(document)) if not is_told(name, text)] == []


@pytest.mark.parametrize(("schema", "title", "arguments"), DOCUMENTS, ids=[one[0] for one in DOCUMENTS])
def test_every_member_is_told(
    schema: str, title: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    check_members(schema, title, json.loads(CliRunner().invoke(app, arguments).stdout))


def test_every_member_of_an_audit_is_told() -> None:
    if not (folder := CORPUS / "v1.6.0").exists():
        pytest.skip("no v1.6.0 of STM32CubeWB")
    result = CliRunner().invoke(app, ["audit", "--format", "json", str(folder)])
    check_members("audit", "imagekit audit", json.loads(result.stdout))


def test_every_member_of_a_catalogue_is_told() -> None:
    import imagekit

    path = Path(imagekit.__file__).parent / "data" / "catalogue.json"
    check_members("catalogue", "catalogue.json", json.loads(path.read_text(encoding="utf-8")))


def test_every_schema_stands_in_the_table_and_in_the_code() -> None:
    told = set(re.findall(r"^\| `(imagekit\.[a-z-]+/\d)` \|", PAGE, re.MULTILINE))
    sources = (FIXTURES.parent / "imagekit").rglob("*.py")
    assert told == {one for path in sources for one in re.findall(r'"(imagekit\.[a-z-]+/\d)"', path.read_text())}
