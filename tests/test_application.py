"""The application as `--app` takes it: ELF, Intel HEX, binaries at an address, and what is none."""

import os
import struct
from pathlib import Path

import pytest
from intelhex import IntelHex
from typer.testing import CliRunner, Result

from imagekit.application import model as application
from imagekit.application.intel_hex import StartRecord, write_hex
from imagekit.application.model import Application, from_binary, from_elf, from_hex
from imagekit.cli.program import app
from imagekit.errors import ApplicationError
from imagekit.files import LARGEST_ELF, read_application
from imagekit.targets import LARGEST_FLASH, LARGEST_HEX
from tests.support.applications import VECTORS, Segment, elf, program
from tests.support.images import IMAGES, content, throw_away_keys

STACK = str(IMAGES / "stack-4k.bin")
PART = ("--part", "STM32WB55RG")
FINDINGS = Path(__file__).parent / "fuzz" / "findings"


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def check(given: str | Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["check", STACK, *(more or PART), "--app", str(given)], env={"COLUMNS": "300"})


def blocks(one: Application) -> list[tuple[int, int]]:
    return [(block.start, block.end) for block in one.blocks]


def test_an_elf_s_flash_is_physical_and_its_ram_virtual() -> None:
    one = from_elf("a.elf", program(0x2000, ram=0x3000))
    assert blocks(one) == [(0x08000000, 0x08002000)]
    assert one.blocks[0].data.endswith(b"initialised data")
    assert [(ram.start, ram.end) for ram in one.ram] == [(0x20000008, 0x20003008)]
    assert one.start == StartRecord(type=5, value=0x08000101)
    assert one.end == 0x08002000


def test_segments_without_bytes_count_as_ram_alone() -> None:
    one = from_elf("a.elf", elf(Segment(0x08000000, VECTORS), Segment(0x20030000, memory=0x400)))
    assert [(ram.start, ram.end) for ram in one.ram] == [(0x20030000, 0x20030400)]
    assert blocks(one) == [(0x08000000, 0x08000010)]


def test_unloaded_segments_and_other_memory_do_not_count() -> None:
    data = elf(Segment(0x08000000, VECTORS), Segment(0x90000000, b"note", type=4), Segment(0x40000000, memory=64))
    one = from_elf("a.elf", data)
    assert (blocks(one), one.ram) == ([(0x08000000, 0x08000010)], ())


def test_elf_headers_do_not_belong_to_the_program() -> None:
    headers = 52 + 32
    data = elf(Segment(0, VECTORS), sections=[(headers, len(VECTORS))], mapped_headers=0x08000000 - headers)
    assert from_elf("a.elf", data).blocks[0].start == 0x08000000
    assert from_elf("a.elf", data).blocks[0].data == VECTORS


@pytest.mark.parametrize(
    ("sections", "physical", "start"),
    [
        ([(0, 16)], 0, 0x08000000),  # a section that has them: the program wants its headers
        ([(60, 0), (84, 16)], 0, 0x08000054),  # an empty section tells nothing
        ([(200, 16)], 0, 0x08000000),  # no section of this segment
    ],
)
def test_headers_are_cut_only_before_the_first_section(
    sections: list[tuple[int, int]], physical: int, start: int
) -> None:
    no_bytes = [(3, 0x20000000, 60, 16)]  # its offset says nothing
    data = elf(Segment(physical, VECTORS), sections=sections, unfilled=no_bytes, mapped_headers=0x08000000)
    assert from_elf("a.elf", data).blocks[0].start == start


def test_only_a_segment_at_the_file_s_start_has_headers() -> None:
    data = elf(Segment(0x08000000, bytes(64)), sections=[(52, 16)])
    assert blocks(from_elf("a.elf", data)) == [(0x08000000, 0x08000040)]


def test_memory_without_file_content_counts_as_used() -> None:
    sections = [(3, 0x08004000, 84, 0x100), (0x403, 0x08005000, 84, 0x100), (1, 0x08006000, 84, 0x100)]
    one = from_elf("a.elf", elf(Segment(0x08000000, VECTORS, memory=0x20), unfilled=sections))
    assert blocks(one) == [(0x08000000, 0x08000010)]
    # A thread's part (0x400) takes no room, and what is not allocated is not there.
    assert [(use.start, use.end) for use in one.flash] == [(0x08000000, 0x08000020), (0x08004000, 0x08004100)]
    assert one.end == 0x08004100
    beyond = from_elf("a.elf", elf(Segment(0x08000000, VECTORS, memory=0x40000000)))
    assert (beyond.end, [use.end for use in beyond.ram]) == (0x08100000, [0x48000000])
    # Initialised data lies in flash at its physical address, and .bss behind it does not.
    data = elf(Segment(0x08000000, VECTORS), Segment(0x08000010, b"data", virtual=0x20000000, memory=0x100))
    assert from_elf("a.elf", data).end == 0x08000014


@pytest.mark.parametrize(
    ("start", "size", "counts"),
    [
        (0x1FFFFFFC, 4, False),
        (0x1FFFFFFC, 5, True),
        (0x2003FFFF, 1, True),
        (0x2003FFFF, 0x10000000, True),
        (0x20040000, 4, False),
        (0x10000000, 0x80000000, True),
    ],
)
def test_ram_that_is_partly_there_counts_whole(start: int, size: int, *, counts: bool) -> None:
    one = from_elf("a.elf", elf(Segment(0x08000000, VECTORS), Segment(start, memory=size)))
    assert [(ram.start, ram.end) for ram in one.ram] == ([(start, start + size)] if counts else [])


def test_ram_beyond_the_end_is_judged(tmp_path: Path) -> None:
    (tmp_path / "app.elf").write_bytes(elf(Segment(0x08000000, VECTORS), Segment(0x2003F000, memory=0x2000)))
    result = check(tmp_path / "app.elf")
    assert (result.exit_code, "SRAM2b up to 0x2003FFFF" in result.stdout) == (3, True)


def test_flash_ends_where_the_largest_does() -> None:
    assert from_binary("a.bin", b"x", 0x080FFFFF).end == 0x08100000
    with pytest.raises(ApplicationError, match="0x080FFFFF-0x08100000, outside of flash"):
        from_binary("a.bin", b"xy", 0x080FFFFF)
    with pytest.raises(ApplicationError, match="outside of flash"):
        from_elf("a.elf", elf(Segment(0x07FFFFFF, b"xy")))


def test_an_entry_of_0_counts_as_missing() -> None:
    assert from_elf("a.elf", elf(Segment(0x08000000, VECTORS), entry=0)).start is None


def test_segments_over_the_same_bytes_take_no_memory() -> None:
    """2000 copies of one MiB would be 2 GiB."""
    import tracemalloc

    data = elf(Segment(0x08000000, bytes(1 << 20)), *[Segment(0x08000000) for _ in range(2000)])
    header = data[52 : 52 + 32]
    data = data[:52] + header * 2001 + data[52 + 32 * 2001 :]
    tracemalloc.start()
    with pytest.raises(ApplicationError, match="overlap at 0x08000000"):
        from_elf("a.elf", data)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_many_sections_and_segments_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from elftools.elf.elffile import ELFFile

    reads, whole = [], ELFFile.iter_sections

    def counting(file: ELFFile) -> object:
        reads.append(file)
        return whole(file)

    monkeypatch.setattr(ELFFile, "iter_sections", counting)
    from_elf("a.elf", elf(*[Segment(0x08000000 + 4 * at, b"code") for at in range(50)], sections=[(84, 16)] * 50))
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (elf(Segment(0x08000000, VECTORS), order=">"), "another processor"),
        (elf(Segment(0x08000000, VECTORS), Segment(0x0800000F, VECTORS)), "overlap at 0x0800000F"),
        (b"hello", "not an ELF file; Intel HEX must be named .hex"),
        (content("elf"), "ELF file"),
        (elf(Segment(0x08000000, VECTORS), machine=62), "another processor"),
        (b"\x7fELF\x02" + elf(Segment(0x08000000, VECTORS))[5:] + bytes(64), "another processor"),
        (elf(Segment(0x08000000, VECTORS), type_=1), "not linked to fixed addresses"),
        (elf(Segment(0x08000000, VECTORS))[:-1], "truncated"),
        (elf(Segment(0x08000000, VECTORS))[:60], "damaged ELF"),
        ((FINDINGS / "elf" / "four-thousand-million-segments.elf").read_bytes(), "damaged ELF"),
        (elf(), "no bytes for flash"),
        (elf(Segment(0x08000000, VECTORS), Segment(0x08000004, VECTORS)), "overlap at 0x08000004"),
        (elf(Segment(0x20000000, VECTORS)), "bytes at 0x20000000-0x2000000F, outside of flash"),
        (elf(Segment(0x080FFFF4, VECTORS)), "bytes at 0x080FFFF4-0x08100003, outside of flash"),
        (elf(Segment(0x080D0000, content("stack-4k"))), "an encrypted coprocessor image at 0x080D0000"),
    ],
)
def test_a_file_without_an_application_is_one_error(data: bytes, words: str) -> None:
    with pytest.raises(ApplicationError, match=words):
        from_elf("a.elf", data)


def test_an_elf_too_large_to_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "LARGEST_ELF", 100)
    with pytest.raises(ApplicationError, match="more than 0 MiB"):
        from_elf("a.elf", program(1000))


def test_hex_with_several_blocks_and_a_start_record() -> None:
    start = StartRecord(type=3, value=0x08000101)
    data = write_hex([(0x08004000, b"later"), (0x08000000, VECTORS)], start)
    one = from_hex("a.hex", data)
    assert (blocks(one), one.start) == ([(0x08000000, 0x08000010), (0x08004000, 0x08004005)], start)
    with pytest.raises(ApplicationError, match="damaged Intel HEX"):
        from_hex("a.hex", data.replace(b"0", b"1", 20))
    with pytest.raises(ApplicationError, match="outside of flash"):
        from_hex("a.hex", write_hex([(0x1FFF8000, b"option bytes")]))
    with pytest.raises(ApplicationError, match="the file is empty"):
        from_hex("a.hex", b"")


def test_a_binary_lies_where_it_is_said_to() -> None:
    assert blocks(from_binary("a.bin", bytes(100), 0x08001000)) == [(0x08001000, 0x08001064)]
    with pytest.raises(ApplicationError, match="outside of flash"):
        from_binary("a.bin", bytes(1 << 20), 0x08000004)
    with pytest.raises(ApplicationError, match="coprocessor image"):
        from_binary("a.bin", content("stack-4k"), 0x08000000)


@pytest.mark.parametrize("name", ["app.elf", "app.AXF", "app", "zephyr@2.elf"])
def test_check_takes_an_elf_under_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(program(0x4000))
    assert check(path).exit_code == 0
    path.write_bytes(program(0xF3001))
    result = check(path)
    assert result.exit_code == 3
    assert (
        "WB305 the image starts at 0x080F3000, and the application's 0x08000000-0x080F3000 reaches into it: 1 "
        in result.stdout
    )


def test_check_takes_hex_and_binaries(tmp_path: Path) -> None:
    records = IntelHex()
    records.frombytes(bytes(16), 0x080F3000)
    records.write_hex_file(str(tmp_path / "app.HEX"))
    assert check(tmp_path / "app.HEX").exit_code == 3
    folder = tmp_path / "a@b.bin@c"
    folder.mkdir()
    (folder / "app.bin").write_bytes(bytes(0x1000))
    assert check(f"{folder}/app.bin@0x080F2000").exit_code == 0
    assert check(f"{folder}/app.bin@0x080F2001").exit_code == 3
    assert check(f"{folder}/app.bin@{0x080F2000}").exit_code == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("app.bin", "a binary needs its address, such as app.bin@0x08000000"),
        ("a@0x08000000.bin", "such as a@0x08000000.bin@0x08000000"),
        ("app.bin@", "'' is not an address: write it as 0x08000000"),
        ("app.bin@here", "'here' is not an address: write it as 0x08000000"),
        ("app.bin@-4", "-4 is not in flash: write the address as 0x08000000"),
        ("app.bin@0x08100000", "0x08100000 is not in flash"),
        ("app.bin@0x20000000", "0x20000000 is not in flash"),
        ("-", "standard input does not tell its format"),
    ],
)
def test_wrong_usage_is_2(given: str, words: str) -> None:
    result = check(given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_without_a_part_it_says_why_it_needs_one() -> None:
    result = check("app.elf", "--notes")
    assert result.exit_code == 2
    assert "needs --part: the address of an image depends on the part" in result.stderr


def test_files_that_are_none_are_4_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.hex").write_bytes(b"")
    (tmp_path / "x.elf").write_bytes(b"\x7fELF" + bytes(60))
    for given in ("missing.elf", tmp_path, tmp_path / "x.hex", tmp_path / "x.elf", tmp_path / "no.bin@0x08000000"):
        result = check(given)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (4, "", 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("ending", ["app.elf", "app.bin@0x08000000"])
def test_a_pipe_is_not_an_application(ending: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ending.partition("@")[0])
    result = check(tmp_path / ending)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (4, "", 1)
    assert "is not a regular file" in result.stderr


@pytest.mark.parametrize(("ending", "limit"), [("hex", LARGEST_HEX), ("BIN", LARGEST_FLASH), ("elf", LARGEST_ELF)])
def test_at_most_the_largest_size_of_a_kind_is_read(ending: str, limit: int, tmp_path: Path) -> None:
    path = tmp_path / f"app.{ending}"
    with path.open("wb") as file:
        file.truncate(limit + 100)
    assert len(read_application(str(path))) == limit + 1


def test_an_at_before_a_folder_belongs_to_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.bin@0x08000000").mkdir()
    (tmp_path / "app.bin@0x08000000" / "app.elf").write_bytes(program(0x1000))
    monkeypatch.chdir(tmp_path)
    assert check("app.bin@0x08000000/app.elf").exit_code == 0
    assert "no such file" in check("app.bin@0x08000000\\app.elf").stderr


def test_the_environment_names_the_application(tmp_path: Path) -> None:
    path = tmp_path / "app.hex"
    path.write_bytes(write_hex([(0x080F3000, struct.pack("<I", 1))]))
    environment = {"IMAGEKIT_APP": str(path), "IMAGEKIT_PART": "STM32WB55RG"}
    assert CliRunner().invoke(app, ["check", STACK], env=environment).exit_code == 3
