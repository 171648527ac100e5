"""`map`: what is drawn, in text and SVG, and how it ends.

`pytest tests/test_map.py --update-golden` writes the pictures anew; look at them before committing.
"""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from imagekit.application.intel_hex import write_hex
from imagekit.cli.program import app
from imagekit.flash_map import Region, RegionKind, bands
from imagekit.text import cells
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
        "imagekit: stack-4k.bin: WB305 the image starts at 0x080F3000, and the application's 0x08000000-0x080F3000 "
        "reaches into it: 1 KiB (1 sector) too large\n"
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
    assert "application beyond this" in result.stdout
    assert ("application and FUS" in result.stdout) is (part == "STM32WB15CC")


def test_above_the_nominal_end_nothing_has_an_address_or_a_size(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(bytes(0x60000))
    for arguments in ((), ("--app", f"{tmp_path}/app.bin@0x08000000")):
        text = run("stack-4k.bin", "--part", "STM32WB55CC", *arguments).stdout
        flash = text.partition("SRAM2")[0]
        assert max(re.findall("0x0[0-9A-F]{7}", flash)) == "0x08040000"
        above = flash.partition("0x08040000")[0].partition("\n\n")[2]
        assert "KiB" not in above
        assert "sector" not in above


def application(path: Path, *segments: Segment) -> Path:
    path.write_bytes(elf(*segments))
    return path


LARGE = "stack-larger-than-256k.bin"


def test_the_rest_of_a_stack_is_not_the_stack(tmp_path: Path) -> None:
    start = int(re.findall("0x080[0-9A-F]{5}", run(LARGE, "--part", "STM32WB55RG").stdout)[1], 16)
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(start - 0x08000000 + 0x2000)))
    text = run(LARGE, "--part", "STM32WB55RG", "--app", app).stdout
    assert re.search(r"stack [0-9.]+, rest", text)
    assert not re.search(r"stack [0-9.]+(, staged)? ", text.partition("SRAM2")[0].replace("and stack", ""))
    assert text.count("8 KiB, 2 sectors") == 2


def test_the_old_stack_is_deleted_first(tmp_path: Path) -> None:
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(0xF1000)))
    alone = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", app)
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", app, "--sfsa", "0xF0", "--fus", "1.2.0")
    assert (alone.exit_code, alone.stderr, result.exit_code) == (0, "", 3)
    assert result.stderr == (
        "imagekit: --sfsa: the stack on the chip starts at 0x080F0000, and the application's 0x08000000-0x080F0FFF "
        "reaches into it: 4 KiB (1 sector) too large\n"
    )
    bonded = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", app, "--sfsa", "0xF0", "--fus", "2.1.0")
    assert bonded.exit_code == 3
    assert "the room that FUS keeps for bonding data starts at 0x080F0000" in bonded.stderr
    note = "The stack is deleted before the first image is programmed."
    assert (note in alone.stdout, note in result.stdout) == (False, True)
    columns = [line.split("│") for line in result.stdout.splitlines() if "a stack" in line]
    assert {tuple("a stack" in cell for cell in row) for row in columns} == {(False, True, False, False, False)}
    assert "as SFSA shows" in result.stdout
    assert "assumed: no stack" in alone.stdout
    fits = application(tmp_path / "fits.elf", Segment(0x08000000, bytes(0xF0000)))
    assert run("stack-4k.bin", "--part", "STM32WB55RG", "--app", fits, "--sfsa", "0xF0").exit_code == 0
    # No stack: what lies above is then the image's matter alone.
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", app, "--sfsa", "0xF4")
    assert (result.exit_code, result.stderr, note in result.stdout) == (0, "", False)


def test_any_image_is_drawn_though_a_stack_is_there() -> None:
    result = run("fus-2.2.0.bin", "--part", "STM32WB55RG", "--sfsa", "0xD0", "--fus", "1.2.0")
    assert (result.exit_code, result.stdout.count("SFSA 0xD0"), "SFSA 0xF4" in result.stdout) == (0, 1, True)


def test_the_new_fus_is_there_after_fus_0_5_3() -> None:
    result = run("fus-1.0.2.bin", "--part", "STM32WB55RG", "--fus", "0.5.3")
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("0x080F6000"))
    assert line.count("SFSA 0xF6") == 2
    assert "SFSA 0xF4, expected" in result.stdout
    assert result.stdout.count("40 KiB, 10 sectors") == 2
    assert result.stdout.count("48 KiB, 12 sectors") == 1


def test_each_image_finds_the_fus_that_the_one_before_gave() -> None:
    files = ("fus-2.2.0.bin", "stack-fus2-4k.bin")
    assert run(*files, "--part", "STM32WB55RG", "--fus", "1.2.0").exit_code == 0
    result = run(*reversed(files), "--part", "STM32WB55RG", "--fus", "1.2.0")
    assert (result.exit_code, "WB303" in result.stderr) == (3, True)


def test_every_image_counts_and_safeboot_erases_the_application(tmp_path: Path) -> None:
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(0xF0000)))
    part = ("--part", "STM32WB55RG", "--app", app)
    assert run("stack-4k.bin", *part).exit_code == 0
    assert run("stack-fus2-4k.bin", "stack-4k.bin", *part).exit_code == 3
    assert run("stack-4k.bin", "stack-fus2-4k.bin", *part).exit_code == 3
    assert run("safeboot-2.0.1.bin", "stack-fus2-4k.bin", *part).exit_code == 0


def test_ram_is_of_the_last_stack_and_judged_for_stacks_alone(tmp_path: Path) -> None:
    files = ("stack-4k.bin", "stack-fus2-4k.bin", "fus-2.2.0.bin")
    assert "SRAM2 with stack 1.24.0, as its footer gives it" in run(*files, "--part", "STM32WB55RG").stdout
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(16)), Segment(0x20030000, memory=0x10000))
    result = run("fus-2.2.0.bin", "--part", "STM32WB55RG", "--app", app)
    assert (result.exit_code, result.stderr, "both use" in result.stdout) == (0, "", False)


@pytest.mark.parametrize(
    ("start", "size", "cells"),
    [
        (0x20033000, 1, ["application 10 KiB", "stack 2 KiB", "both use 1 byte", "stack 20479 bytes"]),
        (0x20032000, 0x1000, ["application 10 KiB", "both use 2 KiB", "stack 20 KiB"]),
        (0x20037FFE, 2, ["application 10 KiB", "stack 22526 bytes", "both use 2 bytes"]),
        (0x20030000, 0x2800, ["application 10 KiB", "stack 22 KiB"]),
    ],
)
def test_what_both_use_is_drawn_where_it_is(start: int, size: int, cells: list[str], tmp_path: Path) -> None:
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(16)), Segment(start, memory=size))
    text = run("stack-fus2-4k.bin", "--part", "STM32WB55RG", "--app", app).stdout
    (line,) = (line for line in text.splitlines() if line.startswith("SRAM2a"))
    assert [cell.strip(" ╳") for cell in line.split("│")[1:-1]] == cells  # noqa: RUF001 - the picture's own


def test_a_hex_file_is_judged_where_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "stack.hex"
    path.write_bytes(write_hex([(0x080E0000, content("stack-4k"))]))
    app = application(tmp_path / "app.elf", Segment(0x08000000, bytes(0xE1000)))
    result = run(path, "--part", "STM32WB55RG", "--app", app)
    assert result.exit_code == 0
    assert "the file puts the image at 0x080E0000, but its address is 0x080F3000, where it is drawn" in result.stderr
    path.write_bytes(write_hex([(0x080F3000, content("stack-4k"))]))
    assert run(path, "--part", "STM32WB55RG", "--app", app).stderr == ""


def test_an_image_whose_address_stands_is_drawn() -> None:
    result = run("sector-count-too-small.bin", "--part", "STM32WB55RG")
    assert (result.exit_code, "WB105" in result.stderr) == (0, True)


def test_only_svg_files_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "stack.svg"
    image.write_bytes(content("stack-4k"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.c").write_text("precious", "utf-8")
    for out in ("main.c", "", "svg"):
        result = run("stack.svg", "--part", "STM32WB55RG", "--svg", out)
        assert (result.exit_code, "does not end with .svg" in result.stderr) == (2, True)
    assert (tmp_path / "main.c").read_text("utf-8") == "precious"
    (tmp_path / "link.svg").symlink_to("stack.svg")
    for out in ("stack.svg", "link.svg", f"../{tmp_path.name}/stack.svg"):
        result = run("stack.svg", "--part", "STM32WB55RG", "--svg", out)
        assert (result.exit_code, "is an input" in result.stderr) == (2, True)
    assert run("stack.svg", "--part", "STM32WB55RG", "--svg", "NEW.SVG").exit_code == 0
    assert run("stack.svg", "--part", "STM32WB55RG", "--svg", "NEW.SVG").exit_code == 0


@pytest.mark.parametrize(("width", "is_list"), [(40, True), (60, True), (80, True), (100, False), (None, False)])
def test_a_narrow_terminal_gets_a_list(width: int | None, is_list: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.cli.layout.terminal_width", lambda: width)
    result = run(*PICTURES["1m-fus2-stack"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert ("│" not in result.stdout) is is_list
    assert "gap for FUS 2" in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= (width or 100)


def test_several_parts_are_drawn_each() -> None:
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--part", "STM32WB55CC")
    assert [line.split(":")[0] for line in result.stdout.splitlines() if "KiB of flash" in line] == [
        "STM32WB55RG",
        "STM32WB55CC",
    ]
    assert run("stack-4k.bin", "-p", "STM32WB55RG", "-p", "STM32WB55CC", "--svg", "-").exit_code == 2


def test_the_svg_has_literal_colours_for_light_and_dark() -> None:
    text = run(*PICTURES["1m-fus2-stack"], "--svg", "-").stdout
    assert "var(" not in text
    light, _, dark = text.partition("@media (prefers-color-scheme:dark){")
    assert ".paper{fill:#ffffff}" in light
    assert ".paper{fill:#14171a}" in dark


def test_fus_is_drawn_with_its_version_before_and_after() -> None:
    text = run("fus-2.2.0.bin", "--part", "STM32WB55RG", "--fus", "1.2.0").stdout
    row = next(line for line in text.splitlines() if "FUS 1.2.0" in line)
    assert row.split("│")[1].strip() == "FUS 1.2.0"
    assert row.split("│")[-2].strip() == "FUS 2.2.0"


def test_wide_and_long_names_fit(tmp_path: Path) -> None:
    for long in ("\u4e2d" * 60 + ".bin", "W" * 200 + ".bin", "stm32wb5x_BLE_Mesh_" + "x" * 180 + "_fw.bin"):
        (tmp_path / long).write_bytes(content("stack-4k"))
        (tmp_path / f"2{long}").write_bytes(content("stack-4k"))
        files = (tmp_path / long, tmp_path / f"2{long}")
        text = run(*files, "--part", "STM32WB55RG").stdout
        assert max(map(cells, text.splitlines())) <= 121
        root = ET.fromstring(run(*files, "--part", "STM32WB55RG", "--svg", "-").stdout)  # noqa: S314 - our own text
        wide = {"\u4e2d": 12, "W": 11.5}
        for one in root.iter("{http://www.w3.org/2000/svg}text"):
            if one.get("text-anchor") != "end":
                right = int(one.get("x", "0")) + sum(wide.get(char, 6) for char in one.text or "")
                assert right <= 800, one.text


def test_many_blocks_are_drawn_as_few(tmp_path: Path) -> None:
    segments = [Segment(0x08000000 + index * 0x4000, bytes(16)) for index in range(30)]
    (tmp_path / "app.elf").write_bytes(elf(*segments))
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", tmp_path / "app.elf")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) < 60
    assert "Small holes in the application are not drawn." in result.stdout
    (tmp_path / "app.elf").write_bytes(elf(*segments[:4]))
    result = run("stack-4k.bin", "--part", "STM32WB55RG", "--app", tmp_path / "app.elf")
    assert "Small holes" not in result.stdout


def test_blocks_are_not_joined_across_the_stack(tmp_path: Path) -> None:
    """The nearest two are those on both sides of the image's start."""
    starts = [0x08000000, 0x08010000, 0x08020000, 0x08030000, 0x080ED000, 0x080F0000, 0x080F4000]
    app = application(tmp_path / "app.elf", *[Segment(start, bytes(16)) for start in starts])
    text = run("stack-fus2-4k.bin", "--part", "STM32WB55RG", "--app", app).stdout
    rows = [line.split("│")[-2].strip() for line in text.partition("SRAM2")[0].splitlines() if "│" in line]
    assert "stack 1.24.0" in rows
    assert sum("application and" in row for row in rows) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["stack-2k.bin", "--part", "STM32WB55RG"], 3, "WB301 this image is for WB1x"),
        (["stack-4k.bin", "--part", "STM32WB55RG", "--sfsa", "0xF5"], 3, "--sfsa: SFSA 0xF5 was never seen"),
        (["stack-4k.bin", "--part", "STM32WB55CC", "--sfsa", "0x60"], 3, "--sfsa: SFSA 0x60 was never seen"),
        (["stack-4k.bin", "--part", "STM32WB55RG", "--sfsa", "0xF6"], 3, "say so with --fus 0.5.3"),
        (["web-page.bin", "--part", "STM32WB55RG"], 4, "web page"),
        (["missing.bin", "--part", "STM32WB55RG"], 4, "no such file"),
        (["stack-4k.bin"], 2, "Missing option '--part'"),
        (["stack-4k.bin"] * 5 + ["--part", "STM32WB55RG"], 2, "5 images: at most 4 can be drawn"),
        (["stack-4k.bin", "--part", "STM32WB55RG", "--svg", "stack-4k.bin"], 2, "does not end with .svg"),
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
    from imagekit.flash_map import MapStep, picture
    from imagekit.image.model import Image
    from imagekit.placement import place
    from imagekit.report.map import text
    from imagekit.report.svg import svg
    from imagekit.targets import TARGETS

    image = Image.parse(path.read_bytes())
    for target in TARGETS:
        try:
            placement = place(image, target)
        except PlacementError:
            continue
        step = MapStep(title="stack", name=path.name, image=image, placement=placement, fus=None)
        drawing = picture("part", target, [step])
        assert f"0x{placement.address:08X}" in text(drawing)
        ET.fromstring(svg(drawing))  # noqa: S314 - our own text
