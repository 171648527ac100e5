"""`audit`: each way in which release notes can be wrong about the files beside them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.errors import ReleaseNotesError
from imagekit.releases.release_notes import Cell, current, published_address, published_version, read_rows
from tests.support.images import content, throw_away_keys
from tests.support.sarif import validate_sarif

HEADINGS = ["FW", "STM32WB5xxG(1M)", "STM32WB5xxY (640k)", "STM32WB5xxE(512K)", "STM32WB5xxC(256K)"]
STACK_CELLS = ["0x080 F3 000", "0x809F000", "0x0807F000", "0x0803F000"]
RIGHT = ["stack.bin", *STACK_CELLS, "-", "V1.13.3"]


def section(release: str, *rows: list[str], headings: list[str] | None = None) -> str:
    """One release's section of the notes, every cell on a line of its own."""
    lines = [f"<div><label>V{release} / 02-June-2025</label>", "<table>"]
    for row in (headings or [*HEADINGS, "FUS compatibility", "Version"], *rows):
        lines += ["<tr>", *(f"<td>{cell}</td>" for cell in row), "</tr>"]
    return "\n".join([*lines, "</table></div>"]) + "\n"


def page(*sections: str) -> str:
    naming = "<table><tr><th>Wireless Coprocessor Binary</th></tr><tr><td>stack.bin</td></tr></table>"
    return f"<!DOCTYPE html>\n<html><body>{naming}\n<h1>Update History</h1>\n{''.join(sections)}</body></html>\n"


Audit = Callable[..., dict[str, Any]]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Audit a folder with these notes and files; return its entry of the JSON document."""
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)

    def run(notes: str, **files: str) -> dict[str, Any]:
        (tmp_path / "Release_Notes.html").write_text(notes, encoding="utf-8")
        for name, image in files.items():
            (tmp_path / f"{name}.bin").write_bytes(content(image))
        result = CliRunner().invoke(app, ["audit", str(tmp_path), "--format", "json"])
        (release,) = json.loads(result.stdout)["releases"]
        errors = [finding for finding in release["findings"] if finding["severity"] == "error"]
        assert result.exit_code == (3 if errors else 0)
        return release  # type: ignore[no-any-return]

    return run


def rules(release: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in release["findings"]]


def test_right_notes_have_no_findings(audit: Audit) -> None:
    release = audit(page(section("1.13.3", RIGHT)), stack="stack-4k")
    assert release["findings"] == []
    assert release["addresses"] == {"equal": 4, "lower": 0, "too_high": 0}


@pytest.mark.parametrize(
    ("cells", "rule", "severity", "target", "computed", "words"),
    [
        (["0x080F4000"], "WB501", "error", "STM32WB5xxG", "0x080F3000", "1 sector too high: .* the start of FUS"),
        (
            ["0x080F3000", "0x080A1000"],
            "WB501",
            "error",
            "STM32WB5xxY",
            "0x0809F000",
            "2 sectors too high: .* the flash",
        ),
        (["0x080E3000"], "WB502", "note", "STM32WB5xxG", "0x080F3000", "16 sectors lower than needed: harmless"),
        (["NA"], "WB504", "note", "STM32WB5xxG", "0x080F3000", "the image fits and leaves 972 KiB"),
        (["0x00"], "WB504", "note", "STM32WB5xxG", "0x080F3000", "NA is published"),
        (["see below"], "WB509", "error", "STM32WB5xxG", "0x080F3000", "'see below' is neither"),
        (["0x080F300"], "WB509", "error", "STM32WB5xxG", "0x080F3000", "'0x080F300' is neither NA nor"),
        (["0x080F2F00"], "WB509", "error", "STM32WB5xxG", "0x080F3000", "nor the start of a flash sector"),
        (["0x08000000"], "WB509", "error", "STM32WB5xxG", "0x080F3000", "flash sector after the first"),
        (["0x08100000"], "WB509", "error", "STM32WB5xxG", "0x080F3000", "neither NA nor"),
    ],
)
def test_an_address_that_is_not_the_computed_one(
    audit: Audit, cells: list[str], rule: str, severity: str, target: str, computed: str, words: str
) -> None:
    cells = [*cells, *STACK_CELLS[len(cells) :]]
    release = audit(page(section("1.13.3", ["stack.bin", *cells, "-", "V1.13.3"])), stack="stack-4k")
    (finding,) = release["findings"]
    assert (finding["rule"], finding["severity"], finding["file"]) == (rule, severity, "stack.bin")
    assert (finding["target"], finding["computed"]) == (target, computed)
    assert finding["published"] in cells
    assert re.search(words, finding["message"])


def test_a_missing_gap_is_named(audit: Audit) -> None:
    """The mistake of the first tools for FUS 2: the image ends where FUS begins, without the room its format needs."""
    cells = ["0x080F3000", "0x0809B000", "0x0807B000", "0x0803B000", "FUS_v2 only", "V1.24.0"]
    (finding,) = audit(page(section("1.24.0", ["stack.bin", *cells])), stack="stack-fus2-4k")["findings"]
    assert finding["rule"] == "WB501"
    assert finding["message"] == "4 sectors too high: it would leave 0 KiB above the image, but its format needs 16 KiB"


def test_a_file_in_an_older_table_only_has_no_row(audit: Audit) -> None:
    older = section("1.5.0", ["old.bin", *["0x08001000"] * 4, "-", "V1.5.0"])
    release = audit(page(section("1.13.3", RIGHT), older), stack="stack-4k", old="stack-4k")
    assert [(finding["rule"], finding["file"]) for finding in release["findings"] if finding["rule"] != "WB406"] == [
        ("WB506", "old.bin")
    ]


def test_an_unrelated_label_opens_no_section() -> None:
    notes = page(section("1.13.3", RIGHT)).replace("<table>", "<label>Contents</label><table>")
    assert [(row.file, row.release) for row in read_rows(notes.encode())] == [("stack.bin", "1.13.3")]


def test_a_row_knows_its_line() -> None:
    notes = page(section("1.13.3", RIGHT))
    (row,) = read_rows(notes.encode())
    assert notes.splitlines()[row.line - 1] == "<td>stack.bin</td>"


def test_every_file_is_a_junit_test_case(folder: Path, tmp_path: Path) -> None:
    (folder / "empty.bin").write_bytes(b"")
    report = tmp_path / "junit.xml"
    report.write_text(run(folder, "--format", "junit").stdout)
    document = JUnitXml.fromfile(str(report))
    assert (document.tests, document.failures, document.errors) == (2, 1, 1)


def test_the_line_is_that_of_the_cell(audit: Audit) -> None:
    notes = page(section("1.13.3", ["stack.bin", *STACK_CELLS[:3], "0x08040000", "-", "V1.13.3"]))
    (finding,) = audit(notes, stack="stack-4k")["findings"]
    assert notes.splitlines()[finding["line"] - 1] == "<td>0x08040000</td>"


def test_an_address_where_the_image_does_not_fit(audit: Audit) -> None:
    cells = ["0x080AE000", "0x0805A000", "0x0803A000", "0x08001000"]
    release = audit(page(section("1.13.3", ["big.bin", *cells, "-", "V1.13.3"])), big="stack-larger-than-256k")
    (finding,) = release["findings"]
    assert (finding["rule"], finding["target"], finding["computed"]) == ("WB503", "STM32WB5xxC", None)
    assert "does not fit" in finding["message"]


def test_na_where_the_image_does_not_fit_is_right(audit: Audit) -> None:
    cells = ["0x080AE000", "0x0805A000", "0x0803A000", "Na"]
    release = audit(page(section("1.13.3", ["big.bin", *cells, "-", "V1.13.3"])), big="stack-larger-than-256k")
    assert release["findings"] == []


def test_an_image_of_another_series(audit: Audit) -> None:
    notes = page(section("1.11.0", ["x.bin", "0x0803E000", "v1.13.3"], headings=["W", "stm32wb1x(320K)", "Version"]))
    assert rules(audit(notes, x="stack-4k")) == ["WB503"]


def test_a_fus_1_image_without_its_spare_sectors_fits(audit: Audit) -> None:
    cells = ["0x080F3000", "0x0809F000", "0x0807F000", "0x0803F000"]
    release = audit(page(section("1.22.1", ["fus.bin", *cells, "-", "V1.1.0"])), fus="fus-1.1.0")
    (finding,) = release["findings"]
    assert finding["rule"] == "WB511"
    assert "without the spare sectors" in finding["message"]
    assert release["addresses"] == {"equal": 4, "lower": 0, "too_high": 0}


def test_a_version_cell_that_differs(audit: Audit) -> None:
    release = audit(page(section("1.14.0", ["stack.bin", *STACK_CELLS, "-", "V1.14.0"])), stack="stack-4k")
    (finding,) = release["findings"]
    assert (finding["rule"], finding["published"], finding["computed"]) == ("WB505", "V1.14.0", "1.13.3")


def test_a_file_without_a_row_and_a_row_without_a_file(audit: Audit) -> None:
    release = audit(page(section("1.13.3", ["other.bin", *STACK_CELLS, "-", "V1.13.3"])), stack="stack-4k")
    assert [(finding["rule"], finding["file"]) for finding in release["findings"]] == [
        ("WB506", "stack.bin"),
        ("WB507", "other.bin"),
    ]


def test_rows_of_older_releases_need_no_file(audit: Audit) -> None:
    older = section(
        "1.13.2", ["stack.bin", *["0x08000000"] * 4, "-", "V1.13.2"], ["gone.bin", *STACK_CELLS, "-", "V1.0.0"]
    )
    assert audit(page(section("1.13.3", RIGHT), older), stack="stack-4k")["findings"] == []


@pytest.mark.parametrize(
    ("name", "mark", "rule"),
    [
        ("stack-fus2-4k", "FUS_v2 only", []),
        ("stack-fus2-4k", "FUSv2 only", []),
        ("stack-fus2-4k", "-", ["WB508"]),
        ("stack-4k", "FUS_v2 only", ["WB508"]),
    ],
)
def test_the_mark_for_fus_2(audit: Audit, name: str, mark: str, rule: list[str]) -> None:
    fus_2 = ["0x080EF000", "0x0809B000", "0x0807B000", "0x0803B000"]
    cells = [*(fus_2 if "fus2" in name else STACK_CELLS), mark, "V1.24.0" if "fus2" in name else "V1.13.3"]
    assert rules(audit(page(section("1.24.0", ["stack.bin", *cells])), stack=name)) == rule


def test_a_table_without_the_column_of_marks_marks_nothing(audit: Audit) -> None:
    fus_2 = ["0x080EF000", "0x0809B000", "0x0807B000", "0x0803B000"]
    notes = page(section("1.24.0", ["stack.bin", *fus_2, "V1.24.0"], headings=[*HEADINGS, "Version"]))
    assert rules(audit(notes, stack="stack-fus2-4k")) == ["WB508"]


def test_findings_of_check_are_reported_too(audit: Audit) -> None:
    notes = page(
        section("1.13.3", RIGHT, ["bad.bin", *STACK_CELLS, "-", "V1.13.3"], ["page.bin", *STACK_CELLS, "-", "V1"])
    )
    assert rules(audit(notes, stack="stack-4k", bad="unknown-byte9", page="web-page")) == ["WB103", "WB005"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = ["0x080F4000", *STACK_CELLS[1:]]
    notes = page(section("1.13.3", ["stack.bin", *cells, "-", "V1.13.3"]))
    (tmp_path / "Release_Notes.html").write_text(notes, encoding="utf-8")
    (tmp_path / "stack.bin").write_bytes(content("stack-4k"))
    return tmp_path


def test_text(folder: Path) -> None:
    result = run(folder)
    assert (
        "WB501 Release_Notes.html, line 17: stack.bin: STM32WB5xxG: published 0x080F4000, computed 0x080F3000"
        in result.stdout
    )
    assert result.stdout.endswith("1 release folder, 1 file: 3 addresses equal, 0 lower, 1 too high\n")


def test_sarif_points_into_the_notes(folder: Path) -> None:
    log = json.loads(run(folder, "--format", "sarif").stdout)
    validate_sarif(log)
    wrong = next(result for result in log["runs"][0]["results"] if result["ruleId"] == "WB501")
    location = wrong["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("/Release_Notes.html")
    assert location["region"] == {"startLine": 17}


def test_github_points_into_the_notes(folder: Path) -> None:
    assert f"::error file={folder}/Release_Notes.html,line=17,title=WB501::" in run(folder, "--format", "github").stdout


def test_a_folder_without_notes_is_not_a_success(tmp_path: Path) -> None:
    result = run(tmp_path, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)["releases"]) == (4, [])
    assert result.stderr == f"imagekit: {tmp_path}: no Release_Notes.html in this folder\n"


def test_the_name_of_the_notes_is_matched_in_any_case(folder: Path) -> None:
    (folder / "Release_Notes.html").rename(folder / "RELEASE_NOTES.HTML")
    (folder / "Old_Release_Notes.html").write_text("<html>")
    assert run(folder).stdout.endswith("1 release folder, 1 file: 3 addresses equal, 0 lower, 1 too high\n")


def test_a_file_missing_beside_the_notes_is_not_a_failure(folder: Path, tmp_path: Path) -> None:
    (folder / "stack.bin").rename(folder / "stm32wb5x_BLE_LLD_fw.bin")
    report = tmp_path / "junit.xml"
    report.write_text(run(folder, "--format", "junit").stdout)
    document = JUnitXml.fromfile(str(report))
    assert (document.tests, document.failures, document.errors) == (2, 1, 0)  # the file, unsigned, and the notes
    assert "accepted\n  warning   WB507 Release_Notes.html, line 16: stack.bin:" in run(folder).stdout


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an HTML page"),
        (b"\x00\xff", "(this page has no address table|not an HTML page)"),
        (b"<html>hello", "this page has no address table"),
    ],
)
def test_unreadable_notes_are_an_error(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "Release_Notes.html").write_bytes(data)
    (tmp_path / "stack.bin").write_bytes(content("stack-4k"))
    result = run(tmp_path)
    assert result.exit_code == 4
    assert re.match(f"imagekit: {re.escape(str(tmp_path))}/Release_Notes.html: {words}", result.stderr)


def test_notes_without_images_are_ignored(folder: Path) -> None:
    other = folder / "Drivers"
    other.mkdir()
    (other / "Release_Notes.html").write_text("<html>release notes of something else")
    assert run(folder, "--format", "json").stderr == ""
    alone = run(other)
    assert (alone.exit_code, "no image is beside any Release_Notes.html" in alone.stderr) == (4, True)


def test_images_without_notes_are_reported(folder: Path) -> None:
    other = folder / "STM32WB3x"
    other.mkdir()
    (other / "stm32wb3x_BLE_LLD_fw.bin").write_bytes(content("stack-4k"))
    result = run(folder, "--format", "json")
    assert result.stderr == f"imagekit: {other}: not audited: there is no Release_Notes.html beside these images\n"


def test_an_unreadable_page_does_not_affect_the_others(folder: Path) -> None:
    other = folder / "z"
    other.mkdir()
    (other / "Release_Notes.html").write_text("<html>")
    (other / "x.bin").write_bytes(content("stack-4k"))
    result = run(folder, folder / "missing", "--format", "json")
    assert result.exit_code == 4
    assert [release["path"] for release in json.loads(result.stdout)["releases"]] == [str(folder)]
    assert len(result.stderr.splitlines()) == 2


def test_two_rows_for_one_file(audit: Audit) -> None:
    release = audit(page(section("1.13.3", RIGHT, RIGHT)), stack="stack-4k")
    (finding,) = release["findings"]
    assert (finding["rule"], finding["file"]) == ("WB510", "stack.bin")
    assert finding["message"] == f"a second row for this file; the first is in line {finding['line'] - 9}"


def test_junit_says_the_line(folder: Path) -> None:
    assert f"WB501 {folder}/Release_Notes.html:17: stack.bin: STM32WB5xxG" in run(folder, "--format", "junit").stdout


@pytest.mark.parametrize("data", [b"", b"   "])
def test_no_page_at_all(data: bytes) -> None:
    with pytest.raises(ReleaseNotesError, match="not an HTML page"):
        read_rows(data)


@pytest.mark.parametrize("notes", [page(), "<html><table></table></html>", page(section("1.0.0"))])
def test_a_page_without_tables_has_no_rows(notes: str) -> None:
    assert read_rows(notes.encode()) == ()


def test_a_row_that_is_too_short_has_the_cells_that_it_has() -> None:
    (row,) = read_rows(page(section("1.0.0", ["stack.bin", "0x080F3000"])).encode())
    assert (list(row.addresses), row.version, row.fus) == (["STM32WB5xxG"], None, None)


def test_the_first_row_of_a_file_counts() -> None:
    rows = read_rows(page(section("1.1.0", ["a.bin", "NA"]), section("1.0.0", ["a.bin", "0x080F3000"])).encode())
    assert [row.release for row in rows] == ["1.1.0", "1.0.0"]
    assert current(rows)["a.bin"].release == "1.1.0"


def test_the_single_column_of_the_first_release() -> None:
    notes = page(section("1.1.0", ["a.bin", "0x080EC000 (On top of FUS v0.5.3)"], headings=["B", "Install address"]))
    (row,) = read_rows(notes.encode())
    assert published_address(row.addresses["STM32WB5xxG"]) == 0x080EC000


def test_a_table_with_a_row_for_each_device_is_left_out() -> None:
    headings = ["Binary", "Device", "Install address", "Version"]
    assert (
        read_rows(page(section("1.2.0", ["a.bin", "STM32WB5xC(256K)", "0x0803E000", "v1"], headings=headings)).encode())
        == ()
    )


def test_a_column_for_an_unknown_part_is_left_out() -> None:
    headings = ["Binary", "STM32WB1x(1M)", "STM32WB5xxG(1M)"]
    (row,) = read_rows(page(section("1.2.0", ["a.bin", "0x080EC000", "0x080EC000"], headings=headings)).encode())
    assert list(row.addresses) == ["STM32WB5xxG"]


def test_a_table_in_a_table_is_read_by_itself() -> None:
    inner = "<table><tr><th>Binary<th>STM32WB5xxG(1M)</tr><tr><td>b.bin<td>NA</tr></table>"
    rows = read_rows(page(section("1.2.0", ["a.bin", f"0x080EC000{inner}", *["NA"] * 4])).encode())
    assert [row.file for row in rows] == ["a.bin", "b.bin"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0x080 EC 000", 0x080EC000),
        ("0x80D9000", 0x080D9000),
        ("NA", None),
        ("Na", None),
        ("N/A", None),
        ("0x00", None),
    ],
)
def test_published_addresses(text: str, address: int | None) -> None:
    assert published_address(Cell(text, 1)) == address


@pytest.mark.parametrize("text", ["", "-", "TBD", "080EC000", "0x", "0x080EC0000"])
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor NA"):
        published_address(Cell(text, 1))


@pytest.mark.parametrize(("text", "version"), [("V1.23.0", "1.23.0"), ("v1.1.0 new", "1.1.0"), ("-", None), ("", None)])
def test_published_versions(text: str, version: str | None) -> None:
    assert published_version(Cell(text, 1)) == version


ROW = "<tr><td>stm32wb5x_FUS_fw.bin</td><td>0x080EC000</td></tr>"


def page_of(rows: int, row: str = ROW) -> bytes:
    head = "<label>V1.23.0 / 2026</label><table><tr><th>binary</th><th>STM32WB5xxG(1M)</th></tr>"
    return f"<html>{head}{row * rows}</table></html>".encode()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (page_of(5001), "more than 5000 rows"),
        (page_of(1, "<tr>" + "<td>x</td>" * 65 + "</tr>"), "more than 64 cells"),
        (page_of(1) + bytes(2 * 1024 * 1024), "larger than 2097152 bytes"),
    ],
)
def test_an_endless_page_is_refused(page: bytes, words: str) -> None:
    with pytest.raises(ReleaseNotesError, match=words):
        read_rows(page)
