"""`map --linker`: memory regions for a part and a stack, as ST's example projects have them."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.errors import LinkerError
from imagekit.image.model import Image
from imagekit.linker import SRAM1_KIB, Region, regions
from imagekit.placement import place
from imagekit.targets import PARTS, select_target
from tests.support.images import IMAGES, content, throw_away_keys


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def of(part: str, name: str, sram2: tuple[int, int] | None = None) -> dict[str, tuple[int, int]]:
    """Name -> start and size of each region, for a stack that leaves so many KiB of SRAM2a and SRAM2b."""
    data = bytearray(content(name))
    if sram2 is not None:
        data[-104 + 10 : -104 + 12] = bytes(sram2)  # sram2a_kib, sram2b_kib (docs/image-format.md)
    image = Image.parse(bytes(data))
    placement = place(image, select_target(part))
    return {region.name: (region.start, region.size) for region in regions(part, image, placement)}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["map", *map(str, words)], env={"COLUMNS": "300"})


def test_regions_are_those_of_st_s_example_script() -> None:
    """STM32CubeWB, BLE examples for P-NUCLEO-WB55.Nucleo, stm32wb55xx_flash_cm4.ld, written for a stack that leaves 10
    KiB: RAM1 at 0x20000008, 0x2FFF8 bytes; RAM_SHARED at 0x20030000, 10K."""
    found = of("STM32WB55RG", "stack-4k", sram2=(10, 0))
    assert found["FLASH"] == (0x08000000, 0x080F3000 - 0x08000000)
    assert found["RAM1"] == (0x20000008, 0x2FFF8)
    assert found["RAM_SHARED"] == (0x20030000, 10 * 1024)
    assert "RAMB_SHARED" not in found


def test_sram2b_that_is_left_is_a_region() -> None:
    assert of("WB55RG", "stack-fus2-4k")["RAMB_SHARED"] == (0x20038000, 15 * 1024)


@pytest.mark.parametrize(
    ("part", "name", "kib"),
    [("WB55RC", "stack-4k", 64), ("WB50CG", "stack-4k", 64), ("WB35CE", "stack-4k", 32), ("WB15CC", "stack-2k", 12)],
)
def test_sram1_depends_on_the_part(part: str, name: str, kib: int) -> None:
    assert of(part, name)["RAM1"] == (0x20000008, kib * 1024 - 8)


def test_every_part_has_its_sram1() -> None:
    assert set(SRAM1_KIB) == set(PARTS)


def test_board_stands_for_its_part() -> None:
    assert of("NUCLEO-WB15CC", "stack-2k")["RAM1"] == (0x20000008, 12 * 1024 - 8)


@pytest.mark.parametrize(
    ("part", "name", "sram2", "reason"),
    [
        ("STM32WB5xxG", "stack-4k", None, "the size of SRAM1 depends on the part number"),
        ("WB55RG", "fus-2.2.0", None, "the image is not a stack"),
        ("WB55RG", "stack-4k", (0, 8), "leaves no SRAM2a"),
    ],
)
def test_what_cannot_be_told_is_refused(part: str, name: str, sram2: tuple[int, int] | None, reason: str) -> None:
    with pytest.raises(LinkerError, match=reason):
        of(part, name, sram2)


def test_gcc_regions_have_the_form_of_st_s_scripts() -> None:
    result = run(IMAGES / "stack-fus2-4k.bin", "--part", "STM32WB55RG", "--linker", "gcc")
    assert result.exit_code == 0, result.output
    found = re.findall(r"^(\w+) \((\w+)\) +: ORIGIN = (0x[0-9A-F]{8}), LENGTH = (\w+)$", result.stdout, re.MULTILINE)
    assert found[1:] == [
        ("RAM1", "xrw", "0x20000008", "0x2FFF8"),
        ("RAM_SHARED", "xrw", "0x20030000", "10K"),
        ("RAMB_SHARED", "xrw", "0x20038000", "15K"),
    ]


def test_iar_regions_end_at_their_last_byte() -> None:
    result = run(IMAGES / "stack-4k.bin", "--part", "STM32WB55RG", "--linker", "iar")
    assert "define symbol __ICFEDIT_region_ROM_end__   = 0x080F2FFF;" in result.stdout
    assert "define symbol __ICFEDIT_region_RAM_end__   = 0x2002FFFF;" in result.stdout


def test_keil_scatter_file_has_balanced_braces() -> None:
    result = run(IMAGES / "stack-4k.bin", "--part", "STM32WB55RG", "--linker", "keil")
    assert "  RW_IRAM1 0x20000008 0x0002FFF8  {" in result.stdout
    assert result.stdout.count("{") == result.stdout.count("}") == 5


def test_json_has_the_regions() -> None:
    result = run(IMAGES / "stack-4k.bin", "--part", "STM32WB55RG", "--linker", "gcc", "--json")
    document = json.loads(result.stdout)
    assert document["regions"][1] == {"name": "RAM1", "start": "0x20000008", "size": 0x2FFF8}
    assert document["text"].startswith("/* STM32WB55RG with stack 1.13.3:")


def test_only_one_part_at_a_time() -> None:
    both = ("--part", "STM32WB55RG", "--part", "STM32WB55CC")
    result = run(IMAGES / "stack-4k.bin", *both, "--linker", "gcc")
    assert (result.exit_code, "one part" in result.stderr) == (2, True)


def test_application_outside_of_the_regions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(bytes(16))
    stack = IMAGES / "stack-4k.bin"
    result = run(stack, "--part", "WB55RG", "--linker", "gcc", "--app", f"{tmp_path / 'app.bin'}@0x080F3000")
    assert (result.exit_code, "WB305" in result.stderr) == (3, True)


def test_last_address_of_a_region() -> None:
    assert Region(name="RAM_SHARED", start=0x20030000, size=0x2800).end == 0x200327FF


def test_target_in_place_of_a_part_is_refused_by_the_command() -> None:
    result = run(IMAGES / "stack-4k.bin", "--part", "STM32WB5xxG", "--linker", "gcc")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "the size of SRAM1 depends on the part number" in result.stderr
