"""Option bytes as chips had them: decoded from dumps and tools' output, judged, reported, exit codes."""

import json
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.errors import OptionBytesError
from imagekit.explanations import named
from imagekit.option_bytes import suitability
from imagekit.option_bytes import verdicts as option_verdicts
from imagekit.option_bytes.decode import LARGEST_DUMP, OptionBytes, decode, decode_pairs
from imagekit.option_bytes.verdicts import Grade, judge_fields, judge_together
from imagekit.targets import select_target

GOLDEN = Path(__file__).parent / "golden"
WB55RG, WB55CE, WB35CE, WB15CC = map(select_target, ("WB55RG", "WB55CE", "WB35CE", "WB15CC"))
# Flipper Zero, scripts/ob_custradio.data: read from its chips with the light stack.
FLIPPER = (
    "RDP=0xAA ESE=1 BOR_LEV=4 nBOOT0=1 nBOOT1=1 nSWBOOT0=1 SRAM2RST=0 SRAM2PE=1 IPCCDBA=0 FSD=0 DDS=1 SFSA=0xD7 "
    "C2OPT=1 NBRSD=0 SNBRSA=0x0D BRSD=0 SBRSA=0x12 SBRV=0x35C00"
)
# community.st.com, thread 121054: FUS runs, a stack is installed; SFSA of such a chip from thread 166018.
FUS_SELECTED = {"OPTR": 0x3FFFF1AA, "IPCCBR": 0, "SFR": 0x000010CE, "SRRVR": 0x9E2BD000}
INDEX = {"OPTR": 0, "WRP1AR": 3, "WRP1BR": 4, "IPCCBR": 13, "SFR": 14, "SRRVR": 15}


def memory(registers: dict[str, int]) -> bytes:
    """The memory image: each word and its complement."""
    words = [0xFFFFFFFF] * 16
    for name, value in {"WRP1AR": 0xFF, "WRP1BR": 0xFF, **registers}.items():
        words[INDEX[name]] = value
    return b"".join(struct.pack("<II", word, word ^ 0xFFFFFFFF) for word in words)


def judged(option_bytes: OptionBytes) -> dict[str, tuple[str, str, str]]:
    """Field -> grade, meaning, explanation."""
    return {one.name: (one.grade.value, one.meaning, one.explains) for one in judge_fields(option_bytes)}


def together(pairs: str, part: str = "WB55RG") -> list[tuple[str, str]]:
    return [(one.name, one.grade.value) for one in judge_together(decode_pairs(pairs, select_target(part)))]


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments], input=stdin)


def test_flipper_s_reference_is_good() -> None:
    chip = decode_pairs(FLIPPER, WB55RG)
    assert {one.grade for one in judge_fields(chip)} == {Grade.GOOD}
    fields = judged(chip)
    assert fields["SFSA"][1] == "secure from 0x080D7000: a stack, of 29 sectors at most"
    assert fields["SBRV"][1] == "CPU2 boots from 0x080D7000: the stack"
    assert fields["BOR_LEV"][1] == "reset below about 2.8 V"
    assert fields["SBRSA BRSD"][1] == "SRAM2A is secure from 0x20034800: 18 KiB of it are CPU1's"
    assert fields["SNBRSA NBRSD"][1] == "SRAM2B is secure from 0x2003B400: 13 KiB of it are CPU1's"
    assert together(FLIPPER) == [("CPU2", "good")]


def test_the_dump_of_a_chip_with_fus_selected() -> None:
    chip = decode(memory(FUS_SELECTED), WB55RG)
    assert not chip.damaged
    assert not chip.not_given
    cut = {name: chip.fields[name] for name in ("SBRV", "SBRSA", "BRSD", "SNBRSA", "NBRSD", "C2OPT")}
    assert cut == {"SBRV": 0x3D000, "SBRSA": 10, "BRSD": 0, "SNBRSA": 15, "NBRSD": 0, "C2OPT": 1}
    assert judged(chip)["SBRV"] == (
        "warning",
        "CPU2 boots from 0x080F4000: FUS, though a stack is installed",
        "OB_FUS_SELECTED",
    )
    assert [one.explains for one in judge_together(chip)] == ["OB_FUS_SELECTED"]


@pytest.mark.parametrize(
    ("pairs", "part", "expected"),
    [
        ("SFSA=0xF4 SBRV=0x3D000", "WB55RG", [("OB_NO_STACK", "good")]),
        ("SFSA=0xF4 SBRV=0x3D000", "WB55CE", [("OB_NO_STACK", "good")]),
        ("SFSA=0x8C SBRV=0x11800", "WB15CC", [("OB_NO_STACK", "good")]),
        ("SFSA=0xCB SBRV=0x32C00", "WB55RG", [("CPU2", "good")]),
        # Hazards 1, 3, 4, 5, 6 of the dossier: what killed boards.
        ("SFSA=0xF4 SBRV=0x17000", "WB55RG", [("OB_SBRV_NOWHERE", "error")]),
        ("SFSA=0xF4 SBRV=0x33800", "WB55RG", [("OB_SBRV_NOWHERE", "error")]),
        ("SFSA=0xF4 SBRV=0x3FFFF", "WB55RG", [("OB_SBRV_SAFEBOOT", "error"), ("OB_DAMAGE", "warning")]),
        ("SFSA=0", "WB55RG", [("OB_DAMAGE", "warning")]),
        ("SFSA=0x9D SBRV=0x31C00", "WB55RG", [("OB_SBRV_INSIDE", "error")]),
        ("C2OPT=0 SBRSA=0x1F", "WB15CC", [("OB_C2OPT_ZERO", "error")]),
        ("SFSA=0xF4 SBRV=0x3E000", "WB55RG", [("OB_SBRV_NOWHERE", "error")]),
        ("SFSA=0xCE SBRV=0x30000", "WB55RG", [("OB_SBRV_NOWHERE", "error")]),
        ("ESE=0", "WB55RG", []),
        # Where FUS begins on WB3x is unknown: nothing may be called an error for it.
        ("SFSA=0xF4 SBRV=0x3D000", "WB35CE", [("OB_NO_STACK", "good")]),
        ("SFSA=0x60 SBRV=0x3D000", "WB35CE", [("OB_SBRV_INSIDE", "note")]),
        ("SFSA=0xF6 SBRV=0x3D000", "WB55RG", [("OB_SBRV_NOWHERE", "error")]),
        ("SFSA=0xF6 SBRV=0x3D800", "WB55RG", [("OB_NO_STACK", "good")]),
        ("SFSA=0xF6 SBRV=0x3D900", "WB55RG", []),
        ("RDP=0xAA", "WB55RG", []),
    ],
)
def test_what_fields_tell_together(pairs: str, part: str, expected: list[tuple[str, str]]) -> None:
    assert together(pairs, part) == expected


@pytest.mark.parametrize(
    ("pairs", "part", "field", "grade", "words"),
    [
        ("SFSA=0xF6", "WB55RG", "SFSA", "warning", "FUS 0.5.3 and no stack"),
        ("SFSA=0xF6", "WB55CE", "SFSA", "error", "higher than FUS begins on STM32WB5xxE"),
        ("SFSA=0xF5", "WB55RG", "SFSA", "error", "higher than FUS begins"),
        ("SFSA=0x8D", "WB15CC", "SFSA", "error", "higher than FUS begins"),
        ("SFSA=0xF4", "WB55CE", "SFSA", "good", "0x080F4000, where FUS begins: no stack"),
        ("SFSA=0x90", "WB55CE", "SFSA", "warning", "below FUS, which was never seen"),
        ("SFSA=0x60", "WB55CE", "SFSA", "good", "0x08060000: a stack, of 32 sectors at most"),
        ("SFSA=0xF4", "WB35CE", "SFSA", "note", "where FUS begins on WB3x is unknown"),
        ("SFSA=0x50", "WB15CC", "SFSA", "good", "0x08028000: a stack, of 60 sectors at most"),
        ("SFSA=0", "WB15CC", "SFSA", "error", "all of the flash"),
        ("SBRV=0x3D000", "WB55RG", "SBRV", "good", "0x080F4000: FUS"),
        ("SBRV=0x35C00", "WB55RG", "SBRV", "note", "is unknown without an SFSA of"),
        ("SBRV=0x3D000 C2OPT=0", "WB55RG", "SBRV", "note", "an offset in SRAM2"),
        ("SBRV=0x3FFFF", "WB55RG", "SBRV", "error", "Safeboot's vector"),
        ("RDP=0xBB", "WB55RG", "RDP", "warning", "level 1"),
        ("RDP=0x00", "WB55RG", "RDP", "warning", "level 1"),
        ("RDP=0xCC", "WB55RG", "RDP", "warning", "irreversible"),
        ("ESE=0", "WB55RG", "ESE", "error", "security is off"),
        ("FSD=1", "WB55RG", "FSD", "error", "disabled"),
        ("DDS=0", "WB55RG", "DDS", "warning", "CPU2 can be debugged"),
        ("C2OPT=0", "WB55RG", "C2OPT", "error", "SRAM2"),
        ("BOR_LEV=7", "WB55RG", "BOR_LEV", "warning", "not defined"),
        ("IPCCDBA=0x10", "WB55RG", "IPCCDBA", "warning", "disputed"),
        ("SRAM2RST=0", "WB55RG", "SRAM2RST", "good", "a system reset erases SRAM2"),
        ("SBRSA=0 BRSD=1", "WB55RG", "SBRSA BRSD", "note", "not secured"),
        ("SBRSA=0 BRSD=0", "WB55RG", "SBRSA BRSD", "note", "no room there for the mailbox"),
        ("SBRSA_B=3 BRSD_B=0", "WB15CC", "SBRSA_B BRSD_B", "good", "0x20038C00: 3 KiB"),
        ("SNBRSA=3 NBRSD=0", "WB15CC", "SBRSA_B BRSD_B", "good", "0x20038C00: 3 KiB"),
        ("WRP1A_STRT=0 WRP1A_END=1", "WB55RG", "WRP1A", "warning", "0x08000000 - 0x08001FFF"),
        ("WRP1BR=0xFF", "WB55RG", "WRP1B", "good", "protects nothing"),
    ],
)
def test_one_field(pairs: str, part: str, field: str, grade: str, words: str) -> None:
    found = judged(decode_pairs(pairs, select_target(part)))[field]
    assert found[0] == grade
    assert words in found[1]


@pytest.mark.parametrize(
    ("bits", "grade", "words"),
    [
        ((1, 1, 1), "good", "low main flash, high system memory"),
        ((1, 0, 1), "note", "high SRAM1"),
        ((0, 1, 1), "note", "main flash, whatever the BOOT0 pin says"),
        ((0, 1, 0), "warning", "system memory"),
        ((0, 0, 0), "warning", "SRAM1, whatever"),  # psdb boots CPU1 so
    ],
)
def test_where_cpu1_boots(bits: tuple[int, int, int], grade: str, words: str) -> None:
    chip = decode_pairs("nSWBOOT0={} nBOOT1={} nBOOT0={}".format(*bits), WB55RG)
    found = judged(chip)["nSWBOOT0 nBOOT1 nBOOT0"]
    assert found[0] == grade
    assert words in found[1]


def test_every_bad_verdict_tells_what_can_be_done() -> None:
    bad = "RDP=0 ESE=0 BOR_LEV=0 nSWBOOT0=0 nBOOT0=0 nBOOT1=0 IPCCDBA=1 FSD=1 DDS=0 SFSA=0 SBRV=0x3FFFF WRP1AR=0"
    verdicts = (*judge_fields(decode_pairs(bad, WB55RG)), *judge_together(decode_pairs(bad, WB55RG)))
    for one in verdicts:
        if one.grade in (Grade.WARNING, Grade.ERROR):
            assert one.recovery.startswith(named(one.explains).todo[0])
            assert named(one.explains).sources[0] in one.recovery
        else:
            assert one.recovery == ""


R32 = b"""
  0x1FFF8000 : 3FFFF1AA C0000E55 FFFFFFFF 00000000
  0x1FFF8068 : 00000000 FFFFFFFF
  0x1FFF8070 : 00001CF4 FFFFE30B 9E2BD000 61D42FFF
"""
JLINK = b"J-Link>mem32 1FFF8070, 4\r\n1FFF8070 = 00001CF4 FFFFE30B 9E2BD000 61D42FFF \r\n"
REGISTERS = b"0x58004080 : 00001CF4 9E2BD000\n0x58004020 : 3FFFF1AA"
DISPL = b"""OPTION BYTES BANK: 0
   Read Out Protection:
     RDP          : 0xAA (Level 0, no protection)
     SFSA         : 0xF4  (0x80F4000)
     SBRV         : 0x3D000  (0x3D000)
     nSWboot0     : 0x1 (BOOT0 taken from PH3/BOOT0 pin)
"""
DISPL_BOM, DISPL_16 = b"\xef\xbb\xbf" + DISPL, DISPL.decode().encode("utf-16")


@pytest.mark.parametrize("data", [R32, JLINK, REGISTERS, DISPL, DISPL_BOM, DISPL_16])
def test_the_output_of_tools_is_read(data: bytes) -> None:
    fields = decode(data, WB55RG).fields
    assert (fields["SFSA"], fields["SBRV"]) == (0xF4, 0x3D000)


def test_what_a_dump_does_not_hold_is_not_judged() -> None:
    chip = decode(JLINK, WB55RG)
    assert "RDP" in chip.not_given
    assert "RDP" not in judged(chip)


def test_a_wrong_complement_is_an_error() -> None:
    data = bytearray(memory(FUS_SELECTED))
    data[4] ^= 1
    chip = decode(bytes(data), WB55RG)
    assert chip.damaged == (("OPTR", 0x3FFFF1AA, 0xC0000E54),)
    first = judge_together(chip)[0]
    assert (first.name, first.grade) == ("OB_COMPLEMENT", Grade.ERROR)
    assert "OPTR is 0x3FFFF1AA and its complement 0xC0000E54, not 0xC0000E55" in first.meaning


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "empty", "contains no option bytes"),
        (b" \n", "empty", "contains no option bytes"),
        (
            b"hello",
            "not-option-bytes",
            "neither words of memory (0x1FFF8000 : 3FFFF1AA C0000E55), nor names and values",
        ),
        (bytes(128), "not-option-bytes", "followed by its complement"),
        (b"\xff" * 128, "not-option-bytes", "followed by its complement"),
        (b"\0" * 127, "not-option-bytes", "127 bytes, not text: a dump of the option bytes has 128 bytes"),
        (b"a" * (LARGEST_DUMP + 1), "not-option-bytes", "larger than 1048576 bytes"),
        (b"0x1FFF7800 : 3FFFF1AA C0000E55", "other-series", "0x1FFF7800, as on WB1x"),
        (b"SFSA : 0xF4\nSFSA : 0xF6", "contradiction", "SFSA is both 0xF4 and 0xF6"),
        (b"1FFF8070 = 000010F4\n1FFF8070 = 000010F6", "contradiction", "0x1FFF8070 is both"),
        (b"SFSA : 0x1F4", "bad-value", "SFSA=0x1F4 does not fit: it has 8 bits"),
    ],
)
def test_a_text_that_is_not_a_dump_is_explained(data: bytes, reason: str, words: str) -> None:
    with pytest.raises(OptionBytesError) as caught:
        decode(data, WB55RG)
    assert caught.value.reason == reason
    assert words in str(caught.value)


def test_a_dump_of_wb5x_is_refused_for_wb1x() -> None:
    with pytest.raises(OptionBytesError, match="the option bytes of STM32WB1xxC are at 0x1FFF7800"):
        decode(R32, WB15CC)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("SFSX=0xF4", "no option byte 'SFSX' on STM32WB5xxG: did you mean SFSA?"),
        ("QQ=1", "registers are OPTR, SFR"),
        ("SFSA=F4", "write it as SFSA=0xF4"),
        ("SFSA=", "write it as SFSA=0xF4"),
        ("SFSA=0xF4 hello", "'hello': write it as"),
        ("OPTR=9999999999", "more than 32 bits"),
        ("SFSA=-1", "write it as SFSA=0xF4"),
        ("SFSA=0xF4 SFR=0xF6", "SFSA is both 0xF6 and 0xF4"),
        ("SBRSA_A=1", "no option byte 'SBRSA_A'"),
    ],
)
def test_bad_pairs(pairs: str, words: str) -> None:
    with pytest.raises(OptionBytesError) as caught:
        decode_pairs(pairs, WB55RG)
    assert words in str(caught.value)


def test_a_vector_too_large_for_wb1x_is_refused() -> None:
    with pytest.raises(OptionBytesError, match="SBRV=0x3FFFF does not fit: it has 17 bits"):
        decode_pairs("SBRV=0x3FFFF", WB15CC)


def test_an_explanation_stands_behind_every_name() -> None:
    source = Path(option_verdicts.__file__).read_text(encoding="utf-8")
    for name in re.findall(r'"(OB_[A-Z0-9_]+)"', source):
        assert named(name).todo


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["--option-bytes", "SFSA=0xF4 SBRV=0x3D000"], None, 0),
        (["--option-bytes", "SFSA=0xF4", "SBRV=0x3D000"], None, 0),
        (["--option-bytes", "SFSA=0xCE SBRV=0x3D000"], None, 0),
        (["--option-bytes", "RDP=0xAA"], None, 0),
        (["--option-bytes", "SFSA=0"], None, 3),
        (["--option-bytes", "-"], memory(FUS_SELECTED), 0),
        (["--option-bytes", "-"], R32, 0),
        (["--option-bytes", "-"], b"", 4),
        (["--option-bytes", "-"], b"\0\1", 4),
        (["--option-bytes", "no-such-file"], None, 4),
        (["--option-bytes", "."], None, 4),
        (["--option-bytes", "SFSX=1"], None, 2),
        (["--option-bytes", "-", "0x11"], R32, 2),
    ],
)
def test_exit_codes(arguments: list[str], stdin: bytes | None, code: int) -> None:
    result = run("--part", "STM32WB55RG", *arguments, stdin=stdin)
    assert result.exit_code == code
    assert (result.stdout != "") == (code in (0, 3))


def test_the_part_is_needed_and_must_be_one() -> None:
    result = run("--option-bytes", "SFSA=0xF4")
    assert result.exit_code == 2
    assert "it needs --part PART" in " ".join(result.stderr.replace("│", " ").split())
    assert run("--option-bytes", "SFSA=0xF4", "--part", "STM32L476").exit_code == 2


def test_json() -> None:
    document = json.loads(run("--part", "WB55RG", "--json", "--option-bytes", "SFSA=0xF4 SBRV=0x17000").stdout)
    assert (document["schema"], document["target"]) == ("imagekit.option-bytes/1", "STM32WB5xxG")
    assert [(one["name"], one["value"], one["severity"]) for one in document["fields"]] == [
        ("SFSA", "0xF4", "good"),
        ("SBRV", "0x17000", "error"),
    ]
    assert document["fields"][0]["recovery"] is None
    assert "No recovery is known" in document["verdicts"][0]["recovery"]
    assert document["verdicts"][0]["explains"] == "OB_SBRV_NOWHERE"


def test_the_stack_is_named_where_the_catalogue_tells() -> None:
    document = json.loads(run("--part", "WB55RG", "--json", "--option-bytes", FLIPPER).stdout)
    assert document["stack_candidates"] == ["BLE_Stack_light"]


@pytest.mark.parametrize(
    ("file", "part", "pairs"),
    [
        ("option-bytes-good.txt", "STM32WB55RG", "OPTR=0x3FFFF1AA SFR=0x000010F4 SRRVR=0x9E2BD000 IPCCBR=0"),
        ("option-bytes-damaged.txt", "STM32WB15CC", "SFSA=0 ESE=0 C2OPT=0 SBRSA=0x1F RDP=0xBB"),
    ],
)
def test_text(file: str, part: str, pairs: str, request: pytest.FixtureRequest) -> None:
    printed = run("--part", part, "--option-bytes", pairs).stdout
    if request.config.getoption("--update-golden"):
        (GOLDEN / file).write_text(printed, encoding="utf-8")
    assert printed == (GOLDEN / file).read_text(encoding="utf-8")


def test_damage_under_fus_0_5_3_is_said_to_be_final() -> None:
    verdicts = judge_together(decode(b"0x1FFF8070 : 000010F6 00000000", WB55RG))
    assert verdicts[-1].meaning == "FUS 0.5.3 is older than 1.1.0: this damage cannot be repaired"


@pytest.mark.parametrize(
    ("part", "register", "word", "expected"),
    [
        ("WB55RG", "OPTR", 0x0FFF_FFFF, {"RDP": 0xFF, "ESE": 1, "BOR_LEV": 7, "nBOOT1": 1, "SRAM2PE": 1, "nBOOT0": 1}),
        ("WB55RG", "OPTR", 0x0400_0200, {"RDP": 0, "ESE": 0, "BOR_LEV": 1, "nSWBOOT0": 1, "nBOOT0": 0, "SRAM2RST": 0}),
        ("WB55RG", "WRP1AR", 0x0012_0034, {"WRP1A_STRT": 0x34, "WRP1A_END": 0x12}),
        ("WB55RG", "WRP1BR", 0x0056_0078, {"WRP1B_STRT": 0x78, "WRP1B_END": 0x56}),
        ("WB55RG", "IPCCBR", 0xFFFF_FFFF, {"IPCCDBA": 0x3FFF}),
        ("WB55RG", "SFR", 0x0000_11CE, {"SFSA": 0xCE, "FSD": 1, "DDS": 1}),
        (
            "WB55RG",
            "SRRVR",
            0x9E2B_D000,
            {"SBRV": 0x3D000, "SBRSA": 10, "BRSD": 0, "SNBRSA": 15, "NBRSD": 0, "C2OPT": 1},
        ),
        ("WB15CC", "SRRVR", 0xFFFF_FFFF, {"SBRV": 0x1FFFF, "SBRSA_A": 31, "BRSD_A": 1, "SBRSA_B": 3, "BRSD_B": 1}),
    ],
)
def test_every_field_is_cut_where_st_s_header_has_it(
    part: str, register: str, word: int, expected: dict[str, int]
) -> None:
    fields = decode_pairs(f"{register}=0x{word:X}", select_target(part)).fields
    assert {name: fields[name] for name in expected} == expected


def test_each_register_stands_at_its_place_in_memory() -> None:
    """Index of each word: Flipper Zero, scripts/flipper/utils/stm32wb55.py."""
    dump = bytearray(128)
    for index in range(16):
        dump[8 * index : 8 * index + 8] = struct.pack("<II", index << 16 | index, ~(index << 16 | index) & 0xFFFFFFFF)
    fields = decode(bytes(dump), select_target("WB55RG")).fields
    told = {
        name: fields[name] for name in ("RDP", "WRP1A_STRT", "WRP1A_END", "WRP1B_STRT", "WRP1B_END", "IPCCDBA", "SFSA")
    }
    assert told == {
        "RDP": 0,
        "WRP1A_STRT": 3,
        "WRP1A_END": 3,
        "WRP1B_STRT": 4,
        "WRP1B_END": 4,
        "IPCCDBA": 13,
        "SFSA": 14,
    }
    assert fields["SBRV"] == 0xF << 16 & 0x3FFFF | 15


def test_no_field_of_a_damaged_word_is_good(tmp_path: Path) -> None:
    dump = tmp_path / "dump.txt"
    dump.write_text("0x1FFF8070 : 000010CE 00000000\n0x1FFF8078 : 9E2BD000 61D42FFF\n")
    option_bytes = decode(dump.read_bytes(), select_target("WB55RG"))
    grades = {one.name: one.grade.value for one in judge_fields(option_bytes)}
    assert {grades[name] for name in ("SFSA", "FSD", "DDS")} == {"note"}
    assert grades["C2OPT"] == "good"
    result = CliRunner().invoke(app, ["explain", "--option-bytes", str(dump), "--part", "WB55RG"])
    assert result.exit_code == 3
    assert "SFR is 0x000010CE and its complement 0x00000000" in result.stdout


def test_a_single_damaged_word_is_damage() -> None:
    assert decode(b"0x1FFF8070 : 000010CE 00000000", select_target("WB55RG")).damaged


# --- registers, and whether work on the chip is allowed

SHIPPED = {
    "OPTR": 0x3FFFF1AA,
    "SFR": 0x10F4,
    "SRRVR": 0xBD83D000,
    "IPCCBR": 0xFFFFC000,
    "WRP1AR": 0xFF00FFFF,
    "WRP1BR": 0xFF00FFFF,
    "PCROP1ASR": 0xFFFFFFFF,
    "PCROP1AER": 0xFFFFFE00,
    "PCROP1BSR": 0xFFFFFFFF,
    "PCROP1BER": 0xFFFFFE00,
}


@given(st.dictionaries(st.sampled_from(["OPTR", "SFR", "SRRVR", "IPCCBR", "WRP1AR"]), st.integers(0, 0xFFFFFFFF)))
def test_registers_decode_as_the_same_registers_in_text(words: dict[str, int]) -> None:
    text = " ".join(f"{name}=0x{word:08X}" for name, word in {**SHIPPED, **words}.items() if "PCROP" not in name)
    for target in (WB55RG, WB15CC):
        assert OptionBytes.from_registers({**SHIPPED, **words}, target) == decode_pairs(text, target)


def test_a_register_of_more_than_32_bits_is_refused() -> None:
    with pytest.raises(OptionBytesError, match="more than 32 bits"):
        OptionBytes.from_registers({"OPTR": 1 << 32}, WB55RG)


def test_option_bytes_as_shipped_allow_work() -> None:
    assert suitability.refusals(SHIPPED, WB55RG) == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"OPTR": 0x3FFFF1BB}, "RDP 0xBB: level 1"),
        ({"OPTR": 0x3FFFF1CC}, "RDP 0xCC: level 2"),
        ({"OPTR": 0x3FFFF0AA}, "ESE 0x0: security is off"),
        ({"OPTR": 0x3FFEF1AA}, "IWDG_SW 0: this watchdog starts with the chip"),
        ({"OPTR": 0x3FF7F1AA}, "WWDG_SW 0: this watchdog starts with the chip"),
        ({"SFR": 0x10FF}, "SFSA 0xFF: "),
        ({"IPCCBR": 0xFFFFC001}, "IPCCDBA 0x1: "),
        ({"PCROP1ASR": 0xFFFFFE00}, "PCROP1A protects code: its sectors cannot be read"),
        ({"PCROP1BSR": 0xFFFFFE00}, "PCROP1B protects code: its sectors cannot be read"),
    ],
)
def test_what_forbids_work_is_named(changed: dict[str, int], reason: str) -> None:
    (refusal,) = suitability.refusals({**SHIPPED, **changed}, WB55RG)
    assert refusal.startswith(reason)


def test_a_factory_reset_is_needed_also_while_fus_is_busy() -> None:
    for changed, needs_reset in (({"SFR": 0x1000}, True), ({"SRRVR": 0xBD8F0000}, False)):
        registers = {**SHIPPED, **changed}
        assert suitability.refusals(registers, WB55RG)
        assert bool(suitability.refusals(registers, WB55RG, fus_may_be_busy=True)) is needs_reset
