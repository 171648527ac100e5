"""Images inside other files: merged HEX files, dumps, OTA files, inverted bytes, C arrays."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from imagekit.application.intel_hex import write_hex
from imagekit.catalogue import Catalogue, Content, Publication
from imagekit.cli.program import app
from imagekit.embedded import Stored, find_embedded
from imagekit.image.model import Image
from tests.support.applications import VECTORS
from tests.support.corpus import CORPUS
from tests.support.images import content, throw_away_keys

STACK = content("stack-4k")
FUS = content("fus-2.2.0")
APPLICATION = VECTORS + bytes(range(200)) * 7


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})


def known(*images: bytes) -> Catalogue:
    """A catalogue that has these images as BLE_Thread_static."""
    publication = Publication("v9.9.9", "STM32WB5x/stm32wb5x_BLE_Thread_static_fw.bin", {})
    contents = {}
    for data in images:
        image = Image.parse(data)
        contents[image.sha256] = Content(
            sha256=image.sha256,
            size=len(data),
            kind="stack",
            magic=f"0x{image.footer.magic:08X}",
            series=("WB5x",),
            version="1.13.3.0",
            sectors=None,
            sram2a_kib=image.footer.sram2a_kib,
            sram2b_kib=image.footer.sram2b_kib,
            key=None,
            published=(publication,),
            known_bad=None,
        )
    return Catalogue(("v9.9.9",), contents)


def flash_dump(*placed: tuple[int, bytes]) -> bytes:
    """User flash of 1 MiB, erased but for these bytes at their addresses."""
    flash = bytearray(b"\xff" * 0x100000)
    for address, data in placed:
        flash[address - 0x08000000 : address - 0x08000000 + len(data)] = data
    return bytes(flash)


def c_array(data: bytes) -> bytes:
    lines = [", ".join(f"0x{byte:02x}" for byte in data[at : at + 12]) for at in range(0, len(data), 12)]
    body = ",\n  ".join(lines)
    return f"/* 3 images */\nconst unsigned char stack[{len(data)}] = {{\n  {body} // end 99\n}};\n".encode()


def test_known_image_is_found_at_any_offset() -> None:
    data = b"OTA header, 61 bytes".ljust(61, b"\0") + APPLICATION + STACK + b"trailer"
    (image,) = find_embedded(data, known(STACK))
    assert (image.offset, image.data, image.stored) == (61 + len(APPLICATION), STACK, Stored.PLAIN)
    assert image.title == "BLE_Thread_static 1.13.3"


def test_images_of_a_flash_dump_need_no_catalogue() -> None:
    dump = flash_dump((0x08000000, APPLICATION), (0x080D0000, STACK), (0x080E0000, FUS))
    found = find_embedded(dump, Catalogue((), {}))
    assert [(image.offset, image.data) for image in found] == [(0xD0000, STACK), (0xE0000, FUS)]


def test_merged_hex_gives_addresses() -> None:
    merged = write_hex([(0x08000000, APPLICATION), (0x080D0000, STACK)])
    (image,) = find_embedded(merged, Catalogue((), {}))
    assert (image.offset, image.is_address, image.data) == (0x080D0000, True, STACK)


def test_inverted_image_is_found() -> None:
    (image,) = find_embedded(bytes(byte ^ 0xFF for byte in STACK), Catalogue((), {}))
    assert (image.stored, image.data) == (Stored.INVERTED, STACK)


def test_image_in_a_c_array_is_found() -> None:
    (image,) = find_embedded(c_array(STACK), Catalogue((), {}))
    assert (image.stored, image.data) == (Stored.C_ARRAY, STACK)


def test_two_images_in_a_row_are_two() -> None:
    found = find_embedded(FUS + STACK, known(STACK, FUS))
    assert [image.data for image in found] == [FUS, STACK]


@pytest.mark.parametrize("at", [100, len(STACK) - 60])
def test_altered_image_is_not_whole(at: int) -> None:
    altered = bytearray(STACK)
    altered[at] ^= 1
    assert find_embedded(bytes(altered), known(STACK)) == ()


@pytest.mark.parametrize("data", [b"", b"{", bytes(range(256)) * 40, b":", STACK[-84:], c_array(APPLICATION)])
def test_no_image_is_found_in_other_files(data: bytes) -> None:
    assert find_embedded(data, known(STACK)) == ()


@pytest.mark.parametrize(
    "data", [b"/*" * 500_000, b"{" * 500_000, STACK[-104:] * 5_000, b"{" + b"1," * 300_000], ids=range(4)
)
def test_made_up_files_take_little_time(data: bytes) -> None:
    start = time.process_time()
    assert find_embedded(data, known(STACK)) == ()
    assert time.process_time() - start < 5


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_beside_an_image_do_no_harm(beside: bytes, before: bool) -> None:
    data = beside + STACK if before else STACK + beside
    assert [image.data for image in find_embedded(data, known(STACK))] == [STACK]


def test_inspect_says_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "dump.bin"
    path.write_bytes(flash_dump((0x08000000, APPLICATION), (0x080D0000, STACK)))
    result = run("inspect", path)
    assert result.exit_code == 4
    assert "a whole ST image at offset 0x000D0000: stack 1.13.3; `imagekit convert --extract" in result.stderr
    (entry,) = json.loads(run("inspect", "--json", path).stdout)["images"]
    assert [(image["offset"], image["stored"]) for image in entry["contains"]] == [("0x000D0000", "plain")]


def test_extract_writes_the_image(tmp_path: Path) -> None:
    (tmp_path / "both.hex").write_bytes(write_hex([(0x08000000, APPLICATION), (0x080D0000, STACK)]))
    result = run("convert", "--extract", tmp_path / "both.hex", tmp_path / "stack.bin")
    assert (result.exit_code, (tmp_path / "stack.bin").read_bytes()) == (0, STACK), result.output


def test_extract_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "dump.bin").write_bytes(flash_dump((0x080D0000, STACK)))
    (tmp_path / "stack.bin").write_bytes(b"mine")
    result = run("convert", "--extract", tmp_path / "dump.bin", tmp_path / "stack.bin")
    assert (result.exit_code, (tmp_path / "stack.bin").read_bytes()) == (4, b"mine")
    assert "exists" in result.stderr


def test_several_images_need_a_number_or_a_name(tmp_path: Path) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(flash_dump((0x080D0000, STACK), (0x080E0000, FUS)))
    undecided = run("convert", "--extract", dump, tmp_path / "a.bin")
    assert (undecided.exit_code, "2 images match: 1 stack 1.13.3, 2 fus 2.2.0" in undecided.stderr) == (2, True)
    assert run("convert", "--extract", dump, tmp_path / "b.bin", "--image", "2").exit_code == 0
    assert run("convert", "--extract", dump, tmp_path / "c.bin", "--image", "STACK 1.13.3").exit_code == 0
    assert ((tmp_path / "b.bin").read_bytes(), (tmp_path / "c.bin").read_bytes()) == (FUS, STACK)
    wrong = run("convert", "--extract", dump, tmp_path / "d.bin", "--image", "3")
    assert (wrong.exit_code, "'3' is not among the images" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--extract", "app.bin", "out.hex"), 2, "must end with .bin"),
        (("--image", "1", "app.bin", "out.hex", "--part", "WB55RG"), 2, "it needs --extract"),
        (("--extract", "app.bin", "out.bin"), 4, "no whole image of ST's is in this file"),
    ],
)
def test_what_cannot_be_extracted_says_why(
    words: tuple[str, ...], code: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.bin").write_bytes(APPLICATION)
    result = run("convert", *words)
    assert (result.exit_code, reason in result.stderr) == (code, True)


def test_image_of_st_is_named_inside_an_ota_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = CORPUS / "v1.11.0" / "STM32WB5x" / "stm32wb5x_BLE_Thread_static_fw.bin"
    if not path.exists():
        pytest.skip("no v1.11.0 of STM32CubeWB")
    image = path.read_bytes()
    (found,) = find_embedded(b"\x1e\xf1\xee\x0b".ljust(77, b"\0") + APPLICATION + image + b"\xff" * 9)
    assert found.data == image
    assert found.title.startswith("BLE_Thread_static 1.11.0")
