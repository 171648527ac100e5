"""`convert`: images between .bin and Intel HEX, alone and with the application, byte for byte."""

from io import StringIO
from pathlib import Path

import pytest
from intelhex import IntelHex
from typer.testing import CliRunner, Result

from imagekit.application.intel_hex import StartRecord, read_blocks, write_hex
from imagekit.application.model import from_elf
from imagekit.cli.program import app
from tests.support.applications import program
from tests.support.corpus import IMAGES as REAL
from tests.support.corpus import name, needs_corpus
from tests.support.images import IMAGES, content, throw_away_keys

STACK, PART = IMAGES / "stack-4k.bin", ("--part", "STM32WB55RG")


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)], env={"COLUMNS": "300"})


@pytest.mark.parametrize(
    ("image", "part", "address"),
    [
        ("stack-4k", "STM32WB55RG", 0x080F3000),
        ("stack-fus2-4k", "STM32WB55CC", 0x0803B000),
        ("stack-fus2-2k", "STM32WB15CC", 0x08041000),
        ("fus-1.1.0", "STM32WB55RG", 0x080F1000),
    ],
)
def test_to_hex_and_back(image: str, part: str, address: int, tmp_path: Path) -> None:
    there, back = tmp_path / "x.hex", tmp_path / "x.bin"
    result = run(IMAGES / f"{image}.bin", there, "--part", part)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"the image is at 0x{address:08X}-" in result.stderr
    assert "To program it does not install it: FUS must be told to install it." in result.stderr
    records = IntelHex(str(there))
    assert (records.minaddr(), records.tobinstr()) == (address, content(image))
    assert run(there, back, "--part", part).exit_code == 0
    assert run(there, back).exit_code == 0
    assert back.read_bytes() == content(image)


def test_hex_to_hex_moves_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old.hex", tmp_path / "new.hex"
    old.write_bytes(write_hex([(0x080F5000, content("stack-4k"))]))
    assert "moved from 0x080F5000" in run(old, new, *PART).stderr
    assert read_blocks(new.read_bytes()).blocks == ((0x080F3000, content("stack-4k")),)
    assert "where it was" in run(new, old, *PART).stderr


def test_hex_to_binary_holds_the_address_against_the_part(tmp_path: Path) -> None:
    old, out = tmp_path / "old.hex", tmp_path / "new.bin"
    old.write_bytes(write_hex([(0x080F5000, content("stack-4k"))]))
    result = run(old, out, *PART)
    assert (result.exit_code, out.exists()) == (3, False)
    assert "WB304" in result.stderr
    assert run(old, out).exit_code == 3  # no part has such a place
    assert run(old, out, "--fus", "0.5.3", *PART).exit_code == 0


def test_the_fus_on_the_chip_counts(tmp_path: Path) -> None:
    out = tmp_path / "x.hex"
    assert "the image is at 0x080F5000-" in run(STACK, out, *PART, "--fus", "0.5.3").stderr
    result = run(IMAGES / "stack-fus2-4k.bin", tmp_path / "y.hex", *PART, "--fus", "1.2.0")
    assert (result.exit_code, (tmp_path / "y.hex").exists(), "WB303" in result.stderr) == (3, False, True)


def test_an_image_whose_address_stands_is_converted(tmp_path: Path) -> None:
    for there, back in ((IMAGES / "sector-count-too-small.bin", "x.hex"), (tmp_path / "x.hex", "x.bin")):
        result = run(there, tmp_path / back, *PART)
        assert (result.exit_code, "WB105" in result.stderr) == (0, True)


@pytest.mark.parametrize("size", [0x1000, 0xF3000])
def test_application_and_image_in_one_block_are_refused(size: int, tmp_path: Path) -> None:
    both = from_elf("app.elf", program(size)).blocks[0].data + content("stack-4k")
    (tmp_path / "x.hex").write_bytes(write_hex([(0x080F3000 - size, both)]))
    result = run(tmp_path / "x.hex", tmp_path / "x.bin")
    assert (result.exit_code, (tmp_path / "x.bin").exists()) == (3, False)
    assert "starts with a vector table" in result.stderr
    (tmp_path / "x.hex").write_bytes(write_hex([(0x080F3000 - 4096, bytes(range(256)) * 16 + content("stack-4k"))]))
    result = run(tmp_path / "x.hex", tmp_path / "x.bin")
    assert (result.exit_code, (tmp_path / "x.bin").exists()) == (3, False)
    assert "the file joins the image with other data" in result.stderr


def test_a_hex_file_that_could_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "x.hex"
    assert run(STACK, out, *PART).exit_code == 0
    size = out.stat().st_size
    out.unlink()
    monkeypatch.setattr("imagekit.application.intel_hex.LARGEST_HEX", size - 1)
    result = run(STACK, out, *PART)
    assert (result.exit_code, list(tmp_path.iterdir())) == (4, [])
    assert f"x.hex: more than {size - 1} bytes of Intel HEX" in result.stderr
    monkeypatch.setattr("imagekit.application.intel_hex.LARGEST_HEX", size)
    assert run(STACK, out, *PART).exit_code == 0
    assert len(read_blocks(out.read_bytes()).blocks) == 1


def test_links_to_inputs_are_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a@b").mkdir()
    (tmp_path / "a@b" / "app.bin").write_bytes(bytes(16))
    (tmp_path / "x.hex").symlink_to("a@b/app.bin")
    result = run(STACK, "x.hex", *PART, "--app", "a@b/app.bin@0x08000000")
    assert (result.exit_code, (tmp_path / "a@b" / "app.bin").read_bytes()) == (2, bytes(16))
    assert "is an input" in result.stderr
    assert run(STACK, "y.hex", *PART, "--app", "a@b/app.bin@0x08000000").exit_code == 0


@pytest.mark.parametrize("command", ["convert", "map"])
def test_help_says_that_out_is_replaced(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).stdout
    assert "is replaced if it exists" in " ".join(text.split())


@pytest.mark.parametrize("type_", [3, 5])
def test_the_application_comes_along_with_its_start_record(type_: int, tmp_path: Path) -> None:
    start = StartRecord(type=type_, value=0x08000101)
    blocks = ((0x08000000, b"vectors!"), (0x08004000, b"code"))
    (tmp_path / "app.hex").write_bytes(write_hex(blocks, start))
    result = run(STACK, tmp_path / "all.hex", *PART, "--app", tmp_path / "app.hex")
    assert result.exit_code == 0
    assert "the application below it up to 0x08004003" in result.stderr
    both = read_blocks((tmp_path / "all.hex").read_bytes())
    assert both.blocks == (*blocks, (0x080F3000, content("stack-4k")))
    assert both.start == start


def test_an_application_may_touch_the_image_but_not_overlap_it(tmp_path: Path) -> None:
    out = tmp_path / "all.hex"
    (tmp_path / "app.elf").write_bytes(program(0xF3000))
    assert run(STACK, out, *PART, "--app", tmp_path / "app.elf").exit_code == 0
    ((start, data),) = read_blocks(out.read_bytes()).blocks
    assert (start, data[0xF3000:]) == (0x08000000, content("stack-4k"))
    out.unlink()
    (tmp_path / "app.elf").write_bytes(program(0xF3001))
    result = run(STACK, out, *PART, "--app", tmp_path / "app.elf")
    assert (result.exit_code, out.exists()) == (3, False)
    assert "WB305 the image starts at 0x080F3000, and the application's 0x08000000-0x080F3000 reaches" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{stack}", "x.hex"], "a .hex holds addresses, which depend on the part"),
        (["{stack}", "x.bin"], "binary to binary changes nothing"),
        (["{stack}", "x.elf", *PART], "must end with .bin or .hex"),
        (["{stack}", "-", *PART], "must end with .bin or .hex"),
        (["x.hex", "x.hex", *PART], "is an input"),
        (["y.hex", "x.bin", *PART, "--app", "x.bin@0x08000000"], "a .bin cannot hold an application"),
        (["{stack}", "x.bin", "--app", "app.hex"], "a .bin cannot hold an application: write a .hex"),
        (["{stack}", "x.hex", *PART, "--app", "x.hex"], "is an input"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*(one.format(stack=STACK) for one in arguments))
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert words in result.stderr


@pytest.mark.parametrize(
    ("image", "code"), [("unknown-byte9", 3), ("stack-2k", 3), ("web-page", 4), ("empty", 4), ("missing", 4)]
)
def test_what_has_no_address_is_not_written(image: str, code: int, tmp_path: Path) -> None:
    result = run(IMAGES / f"{image}.bin", tmp_path / "x.hex", *PART)
    assert (result.exit_code, list(tmp_path.iterdir())) == (code, [])


def test_a_result_that_cannot_be_written_is_4(tmp_path: Path) -> None:
    assert run(STACK, tmp_path / "missing" / "x.hex", *PART).exit_code == 4


def a_dozen(paths: list[Path]) -> list[Path]:
    """The smallest and the largest image, and ten between them by size."""
    by_size = sorted(paths, key=lambda path: (path.stat().st_size, path))
    if len(by_size) <= 12:
        return by_size
    return [by_size[number * (len(by_size) - 1) // 11] for number in range(12)]


@needs_corpus
@pytest.mark.parametrize("path", a_dozen(REAL), ids=name)
def test_a_dozen_real_images_come_back(path: Path) -> None:
    data = path.read_bytes()
    text = write_hex([(0x08001000, data)])
    assert read_blocks(text).blocks == ((0x08001000, data),)
    assert IntelHex(StringIO(text.decode())).minaddr() == 0x08001000


@needs_corpus
@pytest.mark.slow
@pytest.mark.parametrize("path", REAL, ids=name)
def test_every_real_image_comes_back(path: Path) -> None:
    data = path.read_bytes()
    assert read_blocks(write_hex([(0x08001000, data)])).blocks == ((0x08001000, data),)
