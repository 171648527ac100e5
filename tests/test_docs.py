"""What the pages say that can be tried, or held against the code: links, headings, tables, programs."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imagekit.catalogue import shipped
from imagekit.image.container import IMAGE_MAGICS
from imagekit.image.model import GAP_SECTORS
from imagekit.image.signing_keys import SigningKey, st_keys
from imagekit.targets import PARTS, TARGETS
from tests.support.commands import refuse_unknown
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.images import FIXTURES, IMAGES, throw_away_keys

ROOT = FIXTURES.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "imagekit").rglob("*.md")])
IMAGE_FORMAT = (ROOT / "docs" / "image-format.md").read_text(encoding="utf-8")


def headings(page: Path) -> list[str]:
    """The headings of a page, without what is code in it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """The fragment that leads to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for link, fragment in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        if fragment:
            assert fragment in map(anchor, headings(target)), (link, fragment)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:docs|fixtures|flasher|imagekit|tests|\.ci)/[\w./-]+)[ `]", page.read_text(encoding="utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_has_the_keys_of_the_code() -> None:
    points = re.findall(r"^    (st-\S+) +([0-9a-f]{66})\n +([0-9a-f]{64})$", IMAGE_FORMAT, re.MULTILINE)
    assert [(name, x + y) for name, x, y in points] == [(key.name, _point(key)) for key in st_keys()]


def test_the_page_counts_versions_that_identify_a_variant() -> None:
    by_version: dict[object, set[str]] = defaultdict(set)
    by_all: dict[object, set[str]] = defaultdict(set)
    for one in shipped().contents.values():
        for series in one.series:
            version, sizes = (series, one.version), (one.sectors, one.sram2a_kib, one.sram2b_kib)
            by_version[version].update(one.variants)
            by_all[version, one.magic, sizes].update(one.variants)
    several = sum(len(variants) > 1 for variants in by_version.values())
    assert f"{several} of {len(by_version)} versions of a series" in IMAGE_FORMAT
    assert f"{sum(len(variants) == 1 for variants in by_all.values())} of {len(by_all)} combinations" in IMAGE_FORMAT


def test_sources_name_headings_that_are_there() -> None:
    explanations = (ROOT / "imagekit" / "data" / "explanations.toml").read_text(encoding="utf-8")
    sources = re.findall(r"(docs/[a-z-]+\.md), ([^\";]+)", explanations)
    assert sources
    for page, heading in sources:
        assert any(one.split()[0] == heading or one == heading for one in headings(ROOT / page)), (page, heading)


def test_the_table_of_magics_is_the_one_of_the_code() -> None:
    table = IMAGE_FORMAT.partition("## Magics")[2].partition("`info2`")[0]
    rows = re.findall(r"^\| (0x[0-9A-F]{8}) (.+)$", table, re.MULTILINE)
    assert {int(magic, 16) for magic, _ in rows} == IMAGE_MAGICS
    told = {(int(magic, 16), int(info1, 16)) for magic, row in rows for info1 in re.findall("0x[0-9A-F]{8}", row)}
    assert told == set(GAP_SECTORS)


def test_the_table_of_targets_is_the_one_of_the_code() -> None:
    rows = dict(re.findall(r"^\| (STM32WB\w+) \| (.+) \|$", IMAGE_FORMAT, re.MULTILINE))
    assert list(rows) == [target.name for target in TARGETS]
    for target in TARGETS:
        parts, flash, sector, limit = rows[target.name].split(" | ")
        other = f"; under FUS 0.5.3: 0x{target.limit_fus_0_5_3:08X}" if target.limit_fus_0_5_3 else ""
        assert flash == ("1 MiB" if target.flash_kib == 1024 else f"{target.flash_kib} KiB")
        assert sector == f"{target.sector_size // 1024} KiB"
        assert limit == f"0x{target.limit:08X}{other}"
        spelled = parts.replace("WB55{C,R,V}", "WB55C, WB55R, WB55V")
        spelled = re.sub(r"(WB55[CR]), (?=.*(WB55V)(\w))", r"\1\3, ", spelled)
        assert sorted(spelled.split(", ")) == sorted(part for part, one in PARTS.items() if one is target)


def _point(key: SigningKey) -> str:
    return key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


def _recovered(folder: Path, *images: Path) -> list[str]:
    """What the program in docs/image-format.md prints."""
    program = re.search(r"^```python\n(.+?)^```$", IMAGE_FORMAT, re.MULTILINE | re.DOTALL)
    assert program
    (folder / "recover.py").write_text(program[1], encoding="utf-8")
    command = [sys.executable, "-I", str(folder / "recover.py"), *map(str, images)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_program_on_the_page_recovers_a_key(tmp_path: Path) -> None:
    images = [IMAGES / f"{name}.bin" for name in ("stack-4k", "fus-2.2.0")]
    assert _recovered(tmp_path, *images) == [_point(throw_away_keys()[0])]
    assert len(_recovered(tmp_path, images[0])) == 2
    assert _recovered(tmp_path, images[0], IMAGES / "stack-2k.bin") == []


@needs_corpus
def test_the_program_on_the_page_recovers_st_keys(tmp_path: Path) -> None:
    for key, folder in zip(st_keys(), ("v1.23.0/STM32WB5x", "v1.23.0/STM32WB1x", "v1.5.0/STM32WB3x"), strict=True):
        images = [*(CORPUS / folder).glob("*BLE_Stack_full_fw.bin"), *(CORPUS / folder).glob("*BLE_HCILayer_fw.bin")]
        if len(images) != 2:
            pytest.skip(f"this corpus lacks {folder}")
        assert _recovered(tmp_path, *images) == [_point(key)]


def test_tests_that_contributing_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    there = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named
    assert named - there == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_on_a_page_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"(?:^|[`$/ ])imagekit ([a-z]+[^`|>\n]*)", "\n".join(_code(text)), re.MULTILINE):
        refuse_unknown(line)


def _code(text: str) -> list[str]:
    """What stands in blocks and in line as code."""
    blocks = re.findall(r"^```(?!json|python|console).*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`[^`\n]+`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
