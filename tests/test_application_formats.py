"""Applications in the file formats that tool chains write: S-records, DfuSe, UF2, ELF of armlink."""

import json
import struct
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from imagekit.application.intel_hex import read_blocks
from imagekit.application.model import Application
from imagekit.application.read import read_application
from imagekit.cli.program import app
from imagekit.errors import ApplicationError
from tests.support.applications import VECTORS, program
from tests.support.images import IMAGES, content, throw_away_keys

CASES = Path(__file__).parent / "cases"
START = 0x08000000
CODE = VECTORS + bytes(range(240))


def flash(application: Application) -> list[tuple[int, bytes]]:
    return [(block.start, block.data) for block in application.blocks]


# --- builders, written from the documents


def s_records(data: bytes, address: int = START, *, end: bool = True) -> bytes:
    def line(kind: int, body: bytes) -> bytes:
        whole = bytes([len(body) + 1]) + body
        return f"S{kind}{whole.hex().upper()}{~sum(whole) & 0xFF:02X}\n".encode()

    lines = [line(0, b"\0\0app")]
    for at in range(0, len(data), 16):
        lines.append(line(3, (address + at).to_bytes(4, "big") + data[at : at + 16]))
    if end:
        lines.append(line(7, address.to_bytes(4, "big")))
    return b"".join(lines)


def dfuse(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<II", address, len(data)) + data for address, data in elements)
    target = struct.pack("<6sBI255sII", b"Target", 0, 1, b"app", len(body), len(elements)) + body
    whole = struct.pack("<5sBIB", b"DfuSe", 1, 11 + len(target), 1) + target
    whole += struct.pack("<HHHH3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    return whole + struct.pack("<I", crc32(whole) ^ 0xFFFFFFFF)


def uf2(data: bytes, address: int = START, family: int = 0x70D16653) -> bytes:
    pieces = [data[at : at + 256] for at in range(0, len(data), 256)]
    blocks = b""
    for number, piece in enumerate(pieces):
        header = struct.pack(
            "<8I", 0x0A324655, 0x9E5D5157, 0x2000, address + 256 * number, len(piece), number, len(pieces), family
        )
        blocks += header + piece.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)
    return blocks


FORMATS = {
    "app.srec": s_records(CODE),
    "app.dfu": dfuse((START, CODE)),
    "app.uf2": uf2(CODE),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_bytes(name: str) -> None:
    assert flash(read_application(name, FORMATS[name])) == [(START, CODE)]


@pytest.mark.parametrize("name", FORMATS)
def test_the_name_does_not_tell_the_format(name: str) -> None:
    assert flash(read_application("firmware.bin", FORMATS[name])) == [(START, CODE)]


def test_elements_of_a_dfuse_file_keep_their_addresses() -> None:
    application = read_application("app.dfu", dfuse((START, CODE), (START + 0x8000, b"data")))
    assert flash(application) == [(START, CODE), (START + 0x8000, b"data")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (s_records(CODE, end=False), "no end record"),
        (s_records(CODE).replace(b"S3", b"X3", 1), "line 2 is not an S-record"),
        (s_records(CODE).replace(b"0001\n", b"0002\n", 1) + b"S30", "is not an S-record"),
        (FORMATS["app.dfu"][:-1] + b"\0", "CRC does not agree"),
        (FORMATS["app.dfu"][:-20], "does not end with its suffix"),
        (FORMATS["app.dfu"][:8], "truncated DfuSe file"),
        (b"DfuSe\2" + FORMATS["app.dfu"][6:], "not a DfuSe file of version 1"),
        (FORMATS["app.uf2"][:-1], "consists of blocks of 512 bytes"),
        (uf2(CODE, family=0x5EE21072), "for the chip family 0x5EE21072"),
        (uf2(CODE * 3)[512:], "blocks are missing"),
        (FORMATS["app.uf2"][:-4] + bytes(4), "damaged UF2 file"),
        (b"", "the file is empty"),
        (b"\x12\x34\x56\x78" * 8, "for a binary give its address"),
    ],
)
def test_damaged_file_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ApplicationError, match=reason):
        read_application("app", data)


def test_changed_digit_of_an_s_record_is_noticed() -> None:
    lines = FORMATS["app.srec"].splitlines(keepends=True)
    digit = b"0" if lines[1][20:21] != b"0" else b"1"
    lines[1] = lines[1][:20] + digit + lines[1][21:]
    with pytest.raises(ApplicationError, match="line 2 of the S-record file is damaged"):
        read_application("app.srec", b"".join(lines))


@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 2000), st.integers(0, 255))
def test_changed_byte_never_gives_another_error(name: str, at: int, value: int) -> None:
    data = bytearray(FORMATS[name])
    data[at % len(data)] = value
    try:
        read_application(name, bytes(data))
    except ApplicationError:
        return


def test_ram_of_armlink_is_recognised_by_its_variables() -> None:
    application = read_application("app.axf", (CASES / "keil-like.axf").read_bytes())
    assert max(run.end for run in application.ram) == 0x20030508 + 0x53C


def test_ram_of_armlink_does_not_count_as_flash() -> None:
    application = read_application("app.axf", (CASES / "keil-like.axf").read_bytes())
    assert application.end == 0x08000118


def test_elf_of_gcc_reads_as_before() -> None:
    application = read_application("app.elf", program(1024))
    assert application.end == START + 1024


def test_armlink_symbols_tell_where_the_mailbox_is() -> None:
    application = read_application("app.axf", (CASES / "keil-like.axf").read_bytes())
    assert application.mailbox == (("TL_RefTable", 0x20030000),)


def test_mailbox_section_with_a_dot_is_found() -> None:
    data = (CASES / "keil-like.axf").read_bytes()
    renamed = data.replace(b"RW_RAM_SHARED", b".mb_mem1\0\0\0\0\0")
    assert ("MB_MEM1", 0x20030000) in read_application("app.axf", renamed).mailbox


def stack_that_leaves_2_kib(folder: Path) -> Path:
    """A stack like ST's since v1.21, which leave 2 KiB of SRAM2a: 0x20030000 to 0x200307FF."""
    image = bytearray(content("stack-4k"))
    image[-104 + 10] = 2  # sram2a_kib of the image footer (docs/image-format.md)
    path = folder / "stack.bin"
    path.write_bytes(image)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})


def test_check_refuses_the_ram_of_an_armlink_program(tmp_path: Path) -> None:
    stack = stack_that_leaves_2_kib(tmp_path)
    result = run("check", stack, "--part", "WB55RG", "--app", CASES / "keil-like.axf")
    assert result.exit_code == 3
    assert "WB306 the application uses SRAM2a up to 0x20030A43" in " ".join(result.stdout.split())
    assert "up to 0x200307FF" in " ".join(result.stdout.split())


@pytest.mark.parametrize("name", [*FORMATS, "app.elf", "firmware.bin"])
@pytest.mark.parametrize("command", ["check", "map", "plan"])
def test_commands_take_every_format(command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    path = tmp_path / name
    path.write_bytes(FORMATS.get(name, program(1024)))
    more = ("--fus", "1.2.0") if command == "plan" else ()
    result = run(command, IMAGES / "stack-4k.bin", "--part", "WB55RG", *more, "--app", path)
    assert result.exit_code == 0, result.output


def test_convert_joins_a_uf2_application_and_a_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    (tmp_path / "app.uf2").write_bytes(FORMATS["app.uf2"])
    out = tmp_path / "both.hex"
    result = run("convert", IMAGES / "stack-4k.bin", out, "--part", "WB55RG", "--app", tmp_path / "app.uf2")
    assert result.exit_code == 0, result.output
    assert next(iter(read_blocks(out.read_bytes()).blocks)) == (START, CODE)


def test_plan_refuses_an_application_in_the_stacks_ram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    data = (CASES / "keil-like.axf").read_bytes().replace(b"\x08\x05\x03\x20", b"\x08\x85\x03\x20")
    path = tmp_path / "app.axf"
    path.write_bytes(data)
    stack = IMAGES / "stack-fus2-4k.bin"
    result = run("plan", stack, "--part", "WB55RG", "--fus", "2.1.0", "--no-stack", "--json", "--app", path)
    assert result.exit_code == 0
    stack_2k = IMAGES / "stack-2k.bin"
    result = run("plan", stack_2k, "--part", "WB15CC", "--fus", "1.2.0", "--no-stack", "--json", "--app", path)
    assert (result.exit_code, json.loads(result.stdout)["steps"]) == (3, [])
    assert any("WB306 the application uses SRAM2b" in refusal for refusal in json.loads(result.stdout)["refusals"])


def test_plan_refuses_an_application_in_the_image_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    path = tmp_path / "app.dfu"
    path.write_bytes(dfuse((START, CODE), (0x080F3800, b"storage!")))
    stack = IMAGES / "stack-4k.bin"
    result = run("plan", stack, "--part", "WB55RG", "--fus", "1.2.0", "--no-stack", "--json", "--app", path)
    assert result.exit_code == 3
    (refusal,) = json.loads(result.stdout)["refusals"]
    assert "WB305" in refusal
    assert "0x080F3800-0x080F3807 lies above that" in refusal
