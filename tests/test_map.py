"""`map`: what is drawn, in text and SVG, and how it ends.

`pytest tests/test_map.py --update-golden` writes the pictures anew; look at them before committing.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli import app
from imagekit.report.flash_map import Region, RegionKind, bands
from tests.support.applications import Segment, elf, program
from tests.support.corpus import IMAGES as REAL
from tests.support.corpus import name, needs_corpus
from tests.support.images import FIXTURES, IMAGES, content, throw_away_keys

GOLDEN = FIXTURES.parent / "tests" / "golden"
PICTURES: dict[str, tuple[str, ...]] = {
    "1m-fus2-stack": ("stack-fus2-4k.bin", "--part", "STM32WB55RG"),
    "256k": ("stack-fus2-4k.bin", "--part", "STM32WB55CC"),
    "wb1x": ("stack-fus2-2k.bin", "--part", "STM32WB15CC"),
    "fus-and-stack": ("fus-2.2.0.bin", "stack-4k.bin", "--part", "STM32WB55RG", "--fus", "1.2.0"),
    "fus-1-spare": ("fus-1.1.0.bin", "--part", "STM32WB55RG"),
    "update": ("stack-4k.bin", "--part", "STM32WB55RG", "--sfsa", "0xF0"),
    "collision": ("stack-fus2-4k.bin", "--part", "STM32WB55RG", "--app", "{app}"),
    "safeboot-and-stack": ("safeboot-2.0.1.bin", "stack-4k.bin", "--part", "STM32WB55RG", "--app", "{app}"),
}


@pytest.fixture(autouse=True)
def _in_the_images_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.chdir(IMAGES)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["map", *map(str, arguments)], env={"COLUMNS": "300"})


@pytest.mark.parametrize("stem", PICTURES)
def test_pictures_are_as_they_were(stem: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    application = tmp_path / "app.elf"
    application.write_bytes(program(0xEF001))
    arguments = [one.format(app=application) for one in PICTURES[stem]]
    svg = tmp_path / "out.svg"
    result = run(*arguments, "--svg", svg)
    collides = stem in ("collision", "safeboot-and-stack")
    for path, text in ((GOLDEN / f"{stem}.txt", result.stdout), (GOLDEN / f"{stem}.svg", svg.read_text("utf-8"))):
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text("utf-8") == text
    assert result.exit_code == (3 if stem == "collision" else 0)
    assert ("╳" in result.stdout) is (stem == "collision")  # noqa: RUF001 - the picture's own
    assert not collides or "application" in result.stdout
    assert run(*arguments, "--svg", "-").stdout == svg.read_text("utf-8")


def test_svg_is_one_xml_document_that_loads_nothing() -> None:
    text = run(*PICTURES["1m-fus2-stack"], "--svg", "-").stdout
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox", "").startswith("0 0 800 ")
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0x080F4000", "gap for FUS 2", "SFSA 0xF4", "SFSA 0xEF, expected"} <= set(texts)


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    path = tmp_path / "<script>&\"'\x1b[31m]]>.bin"
    path.write_bytes(content("stack-4k"))
    text = run(path, "--part", "STM32WB55RG", "--svg", "-").stdout
    ET.fromstring(text)  # noqa: S314 - our own text
    assert "<script" not in text
    assert "\x1b" not in text + run(path, "--part", "STM32WB55RG").stdout


def test_three_columns_take_100_characters() -> None:
    assert max(map(len, run(*PICTURES["1m-fus2-stack"]).stdout.splitlines())) <= 100


def test_ascii_where_the_output_has_no_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.cli.layout.can_print", lambda text: False)  # noqa: ARG005
    assert run(*PICTURES["1m-fus2-stack"]).stdout.isascii()


def test_a_collision_is_one_line_and_3(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(program(0xF3001))
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", path)
    assert result.exit_code == 3
    assert result.stderr == (
        "imagekit: stack-4k.bin: WB305 the application ends at 0x080F3000, and the image starts at 0x080F3000: "
        "1 KiB (1 sector) too large\n"
    )


def test_ram_that_both_use_is_drawn_and_3(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(elf(Segment(0x08000000, bytes(16)), Segment(0x20032000, memory=0x1000)))
    result = run("stack-fus2-4k.bin", "--part", "STM32WB55RG", "--app", path)
    assert result.exit_code == 3
    assert "both use 2 KiB" in result.stdout
    assert "WB306" in result.stderr


@pytest.mark.parametrize("part", ["STM32WB55CC", "STM32WB15CC"])
def test_an_application_beyond_the_part_is_drawn(part: str, tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(bytes(0x60000))
    image = "stack-4k.bin" if part == "STM32WB55CC" else "stack-2k.bin"
    result = run(image, "--part", part, "--app", f"{tmp_path}/app.bin@0x08000000", "--svg", tmp_path / "x.svg")
    assert result.exit_code == 3
    assert "application and FUS" in result.stdout


def test_many_blocks_are_drawn_as_few(tmp_path: Path) -> None:
    segments = [Segment(0x08000000 + index * 0x4000, bytes(16)) for index in range(30)]
    (tmp_path / "app.elf").write_bytes(elf(*segments))
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", tmp_path / "app.elf")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) < 60


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["stack-2k.bin", "--part", "STM32WB55RG"], 3, "WB301 this image is for WB1x"),
        (["fus-2.2.0.bin", "--part", "STM32WB55RG", "--sfsa", "0xD0"], 3, "delete it first"),
        (["web-page.bin", "--part", "STM32WB55RG"], 4, "web page"),
        (["missing.bin", "--part", "STM32WB55RG"], 4, "no such file"),
        (["stack-4k.bin"], 2, "Missing option '--part'"),
        (["stack-4k.bin"] * 5 + ["--part", "STM32WB55RG"], 2, "5 images: 4 at the most"),
        (["stack-4k.bin", "--part", "STM32WB55RG", "--svg", "stack-4k.bin"], 2, "is an input"),
        (["stack-4k.bin", "--part", "STM32WB55RG", "--svg", "missing/x.svg"], 4, "missing/x.svg"),
    ],
)
def test_refusals(arguments: list[str], code: int, words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    assert code == 2 or len(result.stderr.splitlines()) == 1  # the runner prints usage errors at length


def test_bands_line_up_and_give_every_region_its_room() -> None:
    def region(start: int, end: int) -> Region:
        return Region(start=start, end=end, kind=RegionKind.FREE, label=f"{start}", size="")

    columns = [[region(0, 10), region(10, 30)], [region(0, 29), region(29, 30)]]
    rows = bands(columns, natural=lambda size: 1, needed=lambda one: 6, line=1)  # noqa: ARG005
    assert [(low, high) for low, high, _ in rows] == [(0, 10), (10, 29), (29, 30)]
    for column in columns:
        for one in column:
            span = [height for low, high, height in rows if one.start <= low and high <= one.end]
            assert sum(span) + len(span) - 1 >= 6


@needs_corpus
@pytest.mark.parametrize("path", REAL, ids=name)
def test_every_real_image_is_drawn_on_every_part_that_it_fits(path: Path) -> None:
    from imagekit.errors import PlacementError
    from imagekit.image import Image
    from imagekit.placement import place
    from imagekit.report.flash_map import Step, picture
    from imagekit.report.flash_map_svg import svg
    from imagekit.report.flash_map_text import text
    from imagekit.targets import TARGETS

    image = Image.parse(path.read_bytes())
    for target in TARGETS:
        try:
            placement = place(image, target)
        except PlacementError:
            continue
        drawing = picture("part", target, [Step(name=path.name, image=image, placement=placement, fus=None)])
        assert f"0x{placement.address:08X}" in text(drawing)
        ET.fromstring(svg(drawing))  # noqa: S314 - our own text
