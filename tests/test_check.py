"""`check`: files and folders, every format, broken files among good ones."""

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from intelhex import IntelHex
from junitparser import JUnitXml
from typer.testing import CliRunner, Result

from imagekit.assessment import Assessment, assess
from imagekit.cli.program import app
from imagekit.image.model import Image
from imagekit.rules import check
from imagekit.rules.check import FileVerdict, check_files
from imagekit.rules.registry import Chip
from tests.support.images import IMAGES, content, throw_away_keys
from tests.support.sarif import validate_sarif


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with good images, a bad image, a web page, and files that are not checked."""
    folder = tmp_path / "größe 1" / "STM32WB5x"
    folder.mkdir(parents=True)
    for name, image in {
        "stm32wb5x_BLE_Stack_full_fw.bin": "stack-4k",
        "stm32wb5x_FUS_fw.BIN": "fus-2.2.0",
        "bad.bin": "unknown-byte9",
        "page.bin": "web-page",
    }.items():
        (folder / name).write_bytes(content(image))
    (folder / "Release_Notes.html").write_text("<html>")
    (folder / "notes.txt").write_text("nothing")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def verdicts(result: Result) -> dict[str, str]:
    files = json.loads(result.stdout)["files"]
    return {Path(file["path"]).name: file["verdict"] for file in files}


EXPECTED = {
    "bad.bin": "refused",
    "page.bin": "unreadable",
    "stm32wb5x_BLE_Stack_full_fw.bin": "accepted",
    "stm32wb5x_FUS_fw.BIN": "accepted",
}


def test_json(release: Path) -> None:
    result = run(release, "--format", "json")
    document = json.loads(result.stdout)
    assert document["schema"] == "imagekit.check/1"
    assert verdicts(result) == EXPECTED
    assert document["summary"] == {"accepted": 2, "refused": 1, "unreadable": 1}
    page = next(file for file in document["files"] if file["path"].endswith("page.bin"))
    assert page["findings"] == [
        {
            "rule": "WB005",
            "severity": "error",
            "message": "this is a web page, not a binary: download the raw file again",
            "part": None,
            "waived": None,
        }
    ]


def test_text_lists_findings_and_counts_the_rest(release: Path) -> None:
    result = run(release)
    assert "bad.bin: refused\n  error     WB103 byte 9" in result.stdout
    assert "page.bin: unreadable\n  error     WB005" in result.stdout
    assert "BLE_Stack" not in result.stdout
    assert result.stdout.endswith("4 files: 2 accepted, 1 refused, 1 unreadable\n")


def test_notes_are_listed_on_request() -> None:
    image = IMAGES / "fus-hidden-version.bin"
    assert run(image).stdout == "1 file: 1 accepted, 0 refused, 0 unreadable; 1 note not shown (--notes)\n"
    assert "note      WB108" in run(image, "--notes").stdout


def test_sarif_is_valid_and_has_the_same_findings(release: Path) -> None:
    log = json.loads(run(release, "--format", "sarif").stdout)
    validate_sarif(log)
    (run_,) = log["runs"]
    rules = run_["tool"]["driver"]["rules"]
    assert all(rule["help"]["text"] for rule in rules)
    found = {
        (result["ruleId"], Path(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]).name)
        for result in run_["results"]
    }
    assert found == {("WB103", "bad.bin"), ("WB005", "page.bin")}
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run_["results"])


def test_sarif_uris_are_references(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def uris(*arguments: str) -> set[str]:
        results = json.loads(run(*arguments, "--format", "sarif").stdout)["runs"][0]["results"]
        return {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results}

    monkeypatch.chdir(release)
    assert uris("größe 1") == {f"gr%C3%B6%C3%9Fe%201/STM32WB5x/{name}.bin" for name in ("bad", "page")}
    assert all(uri.startswith("file:///") for uri in uris(str(release)))


def test_junit_is_read_back(release: Path, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(run(release, "--format", "junit").stdout, encoding="utf-8")
    document = JUnitXml.fromfile(str(path))
    assert (document.tests, document.failures, document.errors) == (4, 1, 1)
    (suite,) = document
    results = {case.name: [type(result).__name__ for result in case.result] for case in suite}
    assert results == {
        "bad.bin": ["Failure"],
        "page.bin": ["Error"],
        "stm32wb5x_BLE_Stack_full_fw.bin": [],
        "stm32wb5x_FUS_fw.BIN": [],
    }


def test_github_annotations(release: Path) -> None:
    lines = run(release, "--format", "github").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("::error file=")
    assert "bad.bin,title=WB103::byte 9 of the image footer is 0x07, not 0xFF" in lines[0]


def test_awkward_names_break_no_format(tmp_path: Path) -> None:
    name = "a,b:c%\n\x1b[31m::error::x.bin" if os.name == "posix" else "a,b%.bin"
    (tmp_path / name).write_bytes(content("unknown-byte9"))
    validate_sarif(json.loads(run(tmp_path, "--format", "sarif").stdout))
    ET.fromstring(run(tmp_path, "--format", "junit").stdout)  # noqa: S314 - our own text
    assert len(run(tmp_path, "--format", "github").stdout.splitlines()) == 2
    for format_ in ("text", "github", "junit", "sarif", "json"):
        assert "\x1b" not in run(tmp_path, "--format", format_).stdout


def test_junit_is_ascii_whatever_the_output_encoding(tmp_path: Path) -> None:
    (tmp_path / "größe-\x9b.bin").write_bytes(b"")
    text = run(tmp_path, "--format", "junit").stdout
    assert text.isascii()
    (case,) = ET.fromstring(text).iter("testcase")  # noqa: S314 - our own text
    assert case.get("name") == "größe-\ufffd.bin"


def test_sarif_escapes_links_and_placeholders(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"see [this](https://example.com) and {0}\n" * 9)
    (result,) = json.loads(run(tmp_path, "--format", "sarif").stdout)["runs"][0]["results"]
    assert r"see \[this\](https://example.com) and {{0}}" in result["message"]["text"]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["stack-4k", "fus-2.2.0"], 0),
        (["stack-4k", "safeboot-2.0.0"], 0),
        (["stack-4k", "unknown-byte9"], 3),
        (["unknown-byte9", "empty"], 4),
        (["stack-4k", "missing"], 4),
    ],
)
@pytest.mark.parametrize("format_", ["text", "json", "sarif", "junit", "github"])
def test_the_exit_code_is_that_of_the_worst_file(names: list[str], code: int, format_: str) -> None:
    assert run(*(IMAGES / f"{name}.bin" for name in names), "--format", format_).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--part", "STM32WB55RG", "--fus", "2.1.0"], 0),
        (["--part", "STM32WB55RG", "--fus", "1.2.0"], 3),
        (["--part", "STM32WB15CC"], 3),
        (["--needs-customer-signature"], 3),
    ],
)
def test_the_options_about_the_chip_count(arguments: list[str], code: int) -> None:
    assert run(IMAGES / "stack-fus2-4k.bin", *arguments).exit_code == code


def test_a_folder_without_images_is_not_a_success(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.exit_code, result.stdout) == (4, "0 files: 0 accepted, 0 refused, 0 unreadable\n")
    assert result.stderr == f"imagekit: {tmp_path}: no *.bin or *.hex in this folder\n"
    document = json.loads(run(tmp_path, "--format", "json").stdout)
    assert (document["files"], document["summary"]) == ([], {"accepted": 0, "refused": 0, "unreadable": 0})
    validate_sarif(json.loads(run(tmp_path, "--format", "sarif").stdout))


def test_github_says_how_many_files_were_checked() -> None:
    printed = run(IMAGES / "stack-4k.bin", "--format", "github").stdout
    assert printed == "::notice title=imagekit check::1 file checked, 0 refused, 0 findings waived\n"


def test_an_empty_folder_does_not_affect_the_others(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(IMAGES / "stack-4k.bin", empty, "--format", "json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["summary"]["accepted"] == 1


def test_a_broken_file_does_not_affect_299_others(tmp_path: Path) -> None:
    for index in range(300):
        (tmp_path / f"{index:03}.bin").write_bytes(content("stack-4k") if index != 150 else b"")
    result = run(tmp_path, "--format", "json")
    assert json.loads(result.stdout)["summary"] == {"accepted": 299, "refused": 0, "unreadable": 1}
    assert verdicts(result)["150.bin"] == "unreadable"


def write_hex(path: Path, *blocks: tuple[int, bytes]) -> Path:
    records = IntelHex()
    for address, data in blocks:
        records.frombytes(data, address)
    records.write_hex_file(str(path))
    return path


def test_intel_hex_at_its_address_is_accepted(tmp_path: Path) -> None:
    path = write_hex(tmp_path / "stack.hex", (0x080F3000, content("stack-4k")))
    assert run(path, "--part", "STM32WB55RG").exit_code == 0
    refused = run(path, "--part", "STM32WB55CC")
    assert refused.exit_code == 3
    assert "WB304 the file puts the image at 0x080F3000; the highest possible address on STM32WB5xxC" in refused.stdout


def test_intel_hex_with_data_after_its_end_is_unreadable(tmp_path: Path) -> None:
    path = write_hex(tmp_path / "x.hex", (0x080F3000, content("stack-4k")))
    whole = path.read_bytes()
    end = b":00000001FF"
    assert end in whole
    for data in (whole + b":020000040800F2\n", whole.replace(end, b""), whole + whole):
        path.write_bytes(data)
        assert "WB001 the Intel HEX file does not end with its end record" in run(path).stdout
    path.write_bytes(whole + b"\n" * (4 << 20) + b":0100000001FE\n")
    assert "WB004 more than 4194304 bytes of Intel HEX" in run(path).stdout


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b":10000000FF\n", "WB001 damaged Intel HEX"),
        (b"\xff\xfe:1", "WB001 not Intel HEX but binary"),
        (b":00000001FF\n", "WB001 the Intel HEX file holds no data"),
        (b"", "WB001 the Intel HEX file holds no data"),
        (b"<!DOCTYPE html>", "WB005 this is a web page"),
    ],
)
def test_damaged_intel_hex_is_unreadable(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.hex"
    path.write_bytes(data)
    result = run(path)
    assert result.exit_code == 4
    assert words in result.stdout


def test_intel_hex_with_two_blocks_is_unreadable(tmp_path: Path) -> None:
    path = write_hex(tmp_path / "all.hex", (0x08000000, b"app!"), (0x080F3000, content("stack-4k")))
    assert "holds 2 separate blocks (0x08000000-0x08000003, 0x080F3000-0x080F3C1B)" in run(path).stdout


def test_duplicates_in_a_folder(tmp_path: Path) -> None:
    shutil.copy(IMAGES / "stack-4k.bin", tmp_path / "one.bin")
    shutil.copy(IMAGES / "stack-4k.bin", tmp_path / "two.bin")
    write_hex(tmp_path / "ONE.hex", (0x080F3000, content("fus-2.2.0")))
    found = {
        Path(file["path"]).name: [f"{finding['rule']} {finding['message']}" for finding in file["findings"]]
        for file in json.loads(run(tmp_path, "--format", "json").stdout)["files"]
    }
    assert found == {
        "one.bin": [
            "WB406 has the same content as two.bin beside it",
            "WB407 holds another image than ONE.hex beside it",
        ],
        "two.bin": ["WB406 has the same content as one.bin beside it"],
        "ONE.hex": ["WB407 holds another image than one.bin beside it"],
    }


def test_intel_hex_at_the_computed_address_is_accepted(tmp_path: Path) -> None:
    old = write_hex(tmp_path / "stack.hex", (0x080F5000, content("stack-4k")))
    assert run(old, "--part", "wb55rg", "--fus", "0.5.3").exit_code == 0
    assert run(old, "--part", "wb55rg", "--fus", "1.2.0").exit_code == 3
    without_spare = write_hex(tmp_path / "fus.hex", (0x080F3000, content("fus-1.1.0")))
    assert run(without_spare, "--part", "wb55rg").exit_code == 0


def test_names_of_twins_are_shown_printable_and_counted(tmp_path: Path) -> None:
    for index in range(5):
        (tmp_path / f"{index}\x1b[31m\n.bin").write_bytes(content("stack-4k"))
    text = run(tmp_path).stdout
    assert "\x1b" not in text
    assert "same content as 1\\x1b[31m\\n.bin and 2\\x1b[31m\\n.bin and 3\\x1b[31m\\n.bin and 1 more beside" in text


def test_two_images_under_one_name_are_refused(tmp_path: Path) -> None:
    shutil.copy(IMAGES / "stack-4k.bin", tmp_path / "one.bin")
    write_hex(tmp_path / "one.HEX", (0x080F3000, content("fus-2.2.0")))
    result = run(tmp_path, "--format", "json")
    assert result.exit_code == 3
    assert set(verdicts(result).values()) == {"refused"}


def test_equal_content_in_other_folders_is_not_a_finding(tmp_path: Path) -> None:
    for folder in ("STM32WB3x", "STM32WB5x"):
        (tmp_path / folder).mkdir()
        shutil.copy(IMAGES / "stack-4k.bin", tmp_path / folder / "stack.bin")
    assert run(tmp_path).stdout == "2 files: 2 accepted, 0 refused, 0 unreadable\n"


def test_each_content_is_assessed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assessed = []

    def counting(image: Image, catalogue: object) -> Assessment:  # noqa: ARG001
        assessed.append(image.sha256)
        return assess(image)

    monkeypatch.setattr(check, "assess", counting)
    names = ["stack-4k", "fus-2.2.0"] * 20
    files = check_files(names, content, Chip())
    assert [file.path for file in files] == names
    assert len(assessed) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_identical_contents_are_in_one_share(tmp_path: Path, count: int) -> None:
    paths = []
    for index in range(60):
        paths.append(str(tmp_path / f"{index}.bin"))
        Path(paths[-1]).write_bytes(bytes(index % 7))
    paths.append("missing")
    shares = check._shares(paths, count)
    assert sorted(index for share in shares for index in share) == list(range(61))
    for share in shares:
        assert all(index % 7 in {other % 7 for other in share} or index == 60 for index in share)
    sizes = [{index % 7 for index in share if index != 60} for share in shares]
    assert sum(map(len, sizes)) == 7


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_the_result_does_not_depend_on_the_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    paths = [str(path) for path in sorted(IMAGES.glob("*.bin"))] + ["missing"]
    expected = [check._check_file(path, lambda path: Path(path).read_bytes(), [Chip()], {}) for path in paths]
    monkeypatch.setattr("imagekit.parallel.cores", lambda: cores)
    files = check_files(paths, lambda path: Path(path).read_bytes(), Chip())
    assert [(file.path, file.verdict, file.image) for file in files] == [
        (file.path, file.verdict, file.image) for file in expected
    ]


def test_an_error_of_the_system_is_the_file_s_own() -> None:
    def read(path: str) -> bytes:
        if path == "bad":
            raise PermissionError(13, "Permission denied")
        return content("stack-4k")

    bad, good = check_files(["bad", "good"], read, Chip())
    assert (bad.verdict, good.verdict) == (FileVerdict.UNREADABLE, FileVerdict.ACCEPTED)
    assert bad.findings[0].message == "permission denied"


def test_every_file_is_reported_to_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.parallel.cores", lambda: 1)
    done: list[int] = []
    check_files([f"{i}" for i in range(1200)], lambda _: b"", Chip(), done.append)
    assert done == [1] * 1200


def test_only_this_process_reports_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr("imagekit.parallel.cores", lambda: 2)
    paths = [str(path) for path in sorted(IMAGES.glob("*.bin"))]

    def done(count: int) -> None:
        with log.open("a") as file:
            file.write(f"{os.getpid()} {count}\n")

    check_files(paths, lambda path: Path(path).read_bytes(), Chip(), done)
    assert set(log.read_text().splitlines()) == {f"{os.getpid()} 2"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_in_a_folder_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "x.bin").write_bytes(content("stack-4k"))
    assert run(tmp_path).stdout == "1 file: 1 accepted, 0 refused, 0 unreadable\n"


def test_a_dangling_link_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "x.bin").symlink_to(tmp_path / "nothing")
    result = run(tmp_path)
    assert result.exit_code == 4
    assert "WB001 no such file or directory" in result.stdout


def test_an_unreadable_folder_is_not_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything, so the refusal is played: what matters is that the folder is not passed over."""
    (tmp_path / "x.bin").write_bytes(content("stack-4k"))
    locked = tmp_path / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    result = run(tmp_path)
    assert result.exit_code == 4
    assert f"{locked}: unreadable" in result.stdout


def test_folders_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for release in ("v1.11.0", "v1.5.0", "v1.23.0"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "x.bin").write_bytes(content("stack-4k"))
    files = json.loads(run(tmp_path, "--format", "json").stdout)["files"]
    assert [Path(file["path"]).parent.name for file in files] == ["v1.5.0", "v1.11.0", "v1.23.0"]


def test_every_part_is_checked_and_a_finding_names_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", tuple)
    image = str(IMAGES / "stack-4k.bin")
    both = run(image, "--part", "STM32WB15CC", "--part", "STM32WB55RG", "--json")
    found = json.loads(both.stdout)["files"][0]["findings"]
    assert [finding["part"] for finding in found if finding["rule"] == "WB301"] == ["STM32WB15CC"]
    assert [finding["part"] for finding in found if finding["rule"] == "WB201"] == [None]
    assert "WB301 STM32WB15CC: " in run(image, "--part", "STM32WB15CC", "--part", "STM32WB55RG").stdout


def test_a_finding_for_one_of_two_parts_refuses_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    image = str(IMAGES / "stack-4k.bin")
    assert run(image, "--part", "STM32WB55RG").exit_code == 0
    for parts in (("STM32WB15CC", "STM32WB55RG"), ("STM32WB55RG", "STM32WB15CC")):
        assert run(image, "--part", parts[0], "--part", parts[1]).exit_code == 3
