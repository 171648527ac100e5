"""docs/json.md has every schema, and every member of every document that is printed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flasher.cli import app as flasher
from flasher.sim.board import save_board
from imagekit.cli.program import app
from imagekit.targets import TARGETS
from tests.support.bundles import BUNDLES, bundle, private, public_file
from tests.support.corpus import CORPUS
from tests.support.flashing import simulated
from tests.support.images import FIXTURES, IMAGES, throw_away_keys
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

PAGE = (FIXTURES.parent / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
WB55, WB15 = ("--part", "STM32WB55RG"), ("--part", "STM32WB15CC")
IMAGE, TEXT = str(IMAGES / "stack-4k.bin"), str(IMAGES / "text.bin")
OTHER = str(IMAGES / "fus-2.2.0.bin")
DUMP = "SFSA=0xF4"

DOCUMENTS = [
    ("inspect", "imagekit inspect --json", ("inspect", "--json", str(IMAGES / "stack-fus2-4k.bin"), TEXT)),
    ("address", "imagekit address --json", ("address", "--json", IMAGE, *WB55)),
    ("rules", "imagekit rules --json", ("rules", "--json")),
    ("map", "imagekit map --json", ("map", "--json", IMAGE, *WB55)),
    ("keys", "imagekit keys show --json", ("keys", "show", "--json", str(public_file("p256")))),
    ("recovered-keys", "imagekit keys recover --json", ("keys", "recover", "--json", IMAGE, OTHER)),
    ("contents", "imagekit catalogue show --json", ("catalogue", "show", "--json", "--series", "WB1x")),
    ("plans", "imagekit plan --json", ("plan", "--json", *WB55, *WB15, "--fus", "1.2.0", IMAGE)),
    ("check", "imagekit check --json", ("check", "--format", "json", IMAGE, TEXT)),
    ("plan", "imagekit plan --json", ("plan", "--emit", "json", *WB55, "--fus", "1.2.0", IMAGE)),
    ("bundle", "imagekit bundle verify --json", ("bundle", "show", "--json", str(BUNDLES / "good-p256.wbz"))),
    ("option-bytes", "imagekit explain --option-bytes", ("explain", "--json", "--option-bytes", DUMP, *WB55)),
    ("diagnosis", "imagekit doctor --json", ("doctor", "--json", "BLE does not start", *WB55, "--option-bytes", DUMP)),
    ("diff", "imagekit diff", ("diff", IMAGE, str(IMAGES / "stack-fus2-4k.bin"), "--json")),
    ("linker", "imagekit map --linker", ("map", IMAGE, *WB55, "--linker", "gcc", "--json")),
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
def test_every_member_is_documented(
    schema: str, title: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    check_members(schema, title, json.loads(CliRunner().invoke(app, arguments).stdout))


def test_every_member_of_an_audit_is_documented() -> None:
    if not (folder := CORPUS / "v1.6.0").exists():
        pytest.skip("no v1.6.0 of STM32CubeWB")
    result = CliRunner().invoke(app, ["audit", "--format", "json", str(folder)])
    check_members("audit", "imagekit audit", json.loads(result.stdout))


def test_every_member_of_a_catalogue_is_documented() -> None:
    import imagekit

    path = Path(imagekit.__file__).parent / "data" / "catalogue.json"
    check_members("catalogue", "catalogue.json", json.loads(path.read_text(encoding="utf-8")))


def test_every_schema_stands_in_the_table_and_in_the_code() -> None:
    told = set(re.findall(r"^\| `((?:imagekit|flasher)\.[a-z-]+/\d)` \|", PAGE, re.MULTILINE))
    sources = [path for room in ("imagekit", "flasher") for path in (FIXTURES.parent / room).rglob("*.py")]
    found = {one for path in sources for one in re.findall(r'"((?:imagekit|flasher)\.[a-z-]+/\d)"', path.read_text())}
    assert told == found


def test_every_member_of_flasher_documents_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.chdir(tmp_path)
    save_board(simulated(), tmp_path / "board.json")
    Path("p.wbz").write_bytes(bundle("fus-2.2.0", "stack-fus2-4k", keys=[private("p256")]))
    trust = ("--trust", str(public_file("p256")))
    board = ("--probe", "sim:board.json")
    common = section("flasher info --json") + section("flasher install --json-lines")
    for title, arguments in (
        ("flasher info --json", ("info", "--json")),
        ("flasher plan --json", ("plan", "p.wbz", *trust, "--json")),
        ("flasher install --report", ("install", "p.wbz", *trust, "--accept", "fus-2.2.0", "--report", "r.json")),
    ):
        result = CliRunner().invoke(flasher, [*arguments, *board])
        document = json.loads(Path("r.json").read_text() if "--report" in arguments else result.stdout)
        document["option_bytes"] = {}
        names = [name for name in dict.fromkeys(members(document)) if name not in ("schema", "steps")]
        assert [name for name in names if not is_told(name, section(title) + common)] == []
