"""Which findings are accepted, which fail, and where reports are written: `check` and `audit` as a gate."""

import datetime as dt
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.errors import WaiverError
from imagekit.image.model import Image
from imagekit.rules import RULES
from imagekit.rules.waivers import Place, WaiverFile, load_baseline, load_waivers
from tests.support.images import IMAGES, content, throw_away_keys
from tests.support.sarif import validate_sarif

TODAY = dt.date(2027, 1, 31)
BAD_SHA256 = Image.parse(content("unknown-byte9")).sha256
WAIVER = """
[[waiver]]
rule = "WB103"
files = "*.bin"
reason = "tested on hardware"
"""


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setattr("imagekit.cli.gate._today", lambda: TODAY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image that WB103 refuses."""
    folder = tmp_path / "product" / "images"
    folder.mkdir(parents=True)
    (folder / "bad.bin").write_bytes(content("unknown-byte9"))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def waivers(text: str) -> WaiverFile:
    return load_waivers("/product/imagekit.toml", text.encode(), today=TODAY, rules=RULES)


def place(path: str = "/product/images/bad.bin", rule: str = "WB103") -> Place:
    return Place(rule=rule, path=path, sha256=BAD_SHA256)


def test_a_waiver_in_a_folder_above_accepts_a_finding(folder: Path) -> None:
    (folder.parent / "imagekit.toml").write_text(WAIVER)
    result = run(folder)
    assert result.exit_code == 0
    assert "waived    WB103 byte 9 of the image footer" in result.stdout
    assert "(waived: tested on hardware)" in result.stdout
    assert result.stdout.endswith("1 file: 1 accepted, 0 refused, 0 unreadable; 1 finding waived\n")


def test_the_nearest_waiver_file_is_used(folder: Path) -> None:
    (folder.parent / "imagekit.toml").write_text(WAIVER)
    (folder / "imagekit.toml").write_text("")
    assert run(folder).exit_code == 3


def test_a_named_waiver_file_is_used(folder: Path, tmp_path: Path) -> None:
    named = tmp_path / "named.toml"
    named.write_text(WAIVER)
    assert run(folder, "--waivers", named).exit_code == 0
    assert run(folder, "--waivers", tmp_path / "missing.toml").exit_code == 4


@pytest.mark.parametrize(
    ("files", "path", "is_covered"),
    [
        ("bad.bin", "/product/images/bad.bin", True),
        ("*.bin", "/product/images/deep/bad.bin", True),
        ("images/*.bin", "/product/images/bad.bin", True),
        ("images/*.bin", "/product/images/deep/bad.bin", False),
        ("images/**/*.bin", "/product/images/deep/bad.bin", True),
        ("images/**/*.bin", "/product/images/bad.bin", True),
        ("images/*.bin", "/elsewhere/images/bad.bin", False),
        ("b?d.bin", "/product/bad.bin", True),
        ("[b]ad.bin", "/product/bad.bin", False),
    ],
)
def test_patterns(files: str, path: str, is_covered: bool) -> None:
    text = f'[[waiver]]\nrule = "WB103"\nfiles = "{files}"\nreason = "r"\n'
    assert (waivers(text).accept(place(path)) == "r") is is_covered


def test_another_rule_and_other_content_are_not_accepted() -> None:
    by_name = waivers('[[waiver]]\nrule = "WB201"\nfiles = "bad.bin"\nreason = "r"\n')
    assert by_name.accept(place()) is None
    by_content = waivers(f'[[waiver]]\nrule = "WB103"\nsha256 = "{"0" * 64}"\nreason = "r"\n')
    assert by_content.accept(place()) is None
    same_content = waivers(f'[[waiver]]\nrule = "WB103"\nsha256 = "{BAD_SHA256.upper()}"\nreason = "r"\n')
    assert same_content.accept(place()) == "r"


@pytest.mark.parametrize(("day", "is_accepted"), [("2027-01-31", True), ("2027-01-30", False)])
def test_a_waiver_counts_up_to_its_last_day(day: str, is_accepted: bool) -> None:
    file = waivers(WAIVER + f"expires = {day}\n")
    assert (file.accept(place()) is not None) is is_accepted
    assert any("expired on 2027-01-30 and is ignored" in warning for warning in file.warnings()) is not is_accepted


def test_a_waiver_that_matches_nothing_is_a_warning(folder: Path) -> None:
    (folder / "imagekit.toml").write_text(WAIVER + WAIVER.replace("*.bin", "gone.bin"))
    result = run(folder)
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "the waiver of WB103 for gone.bin matches no finding: remove it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[waiver", "not a TOML file"),
        ("a = " + "[" * 2000, "not a TOML file"),
        ("a = " + "1" * 5000, "not a TOML file"),
        ("x = 1", "unknown member 'x'"),
        ("waiver = 1", r"written as \[\[waiver\]\] entries"),
        (WAIVER.replace("WB103", "WB999"), "waiver 1: rule is not one of imagekit's rules"),
        (WAIVER.replace('reason = "tested on hardware"', ""), "waiver 1: reason is missing"),
        (WAIVER.replace("tested on hardware", " "), "'reason'.* is not a text"),
        (WAIVER.replace('files = "*.bin"', ""), "waiver 1: files or sha256 is missing"),
        (WAIVER.replace('files = "*.bin"', 'sha256 = "12"'), "sha256 is not 64 hex digits"),
        (WAIVER + 'expires = "2027-01-31"', "expires is not a date"),
        (WAIVER + 'file = "x"', "unknown member .*'file'"),
    ],
)
def test_a_wrong_waiver_file_is_refused(text: str, reason: str) -> None:
    with pytest.raises(WaiverError, match=reason):
        waivers(text)


def test_a_wrong_waiver_file_exits_with_4(folder: Path) -> None:
    (folder / "imagekit.toml").write_text("[[waiver")
    result = run(folder)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "imagekit.toml: not a TOML file" in result.stderr


def test_a_baseline_accepts_the_findings_of_an_earlier_run(folder: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run(folder, "--format", "json").stdout)
    assert run(folder, "--baseline", baseline).exit_code == 0
    (folder / "new.bin").write_bytes(content("other-magic"))
    result = run(folder, "--baseline", baseline)
    assert result.exit_code == 3
    assert "error     WB102" in result.stdout
    assert "waived    WB103" in result.stdout


@pytest.mark.parametrize("data", [b"", b"[]", b'{"schema": "imagekit.plan/1"}', b'{"schema": "imagekit.check/1"}'])
def test_another_file_is_not_a_baseline(data: bytes) -> None:
    with pytest.raises(WaiverError, match="not the output of `check --format json`"):
        load_baseline("x", data)


@pytest.mark.parametrize(
    ("name", "fail_on", "code"),
    [
        ("unknown-byte9", "error", 3),
        ("unknown-byte9", "warning", 3),
        ("unknown-byte9", "never", 0),
        ("unknown-version-word", "error", 0),
        ("unknown-version-word", "warning", 3),
        ("empty", "error", 4),
        ("empty", "never", 0),
        ("fus-hidden-version", "warning", 0),
    ],
)
def test_fail_on_decides_the_exit_code(name: str, fail_on: str, code: int) -> None:
    assert run(IMAGES / f"{name}.bin", "--fail-on", fail_on).exit_code == code


def test_a_warning_that_fails_is_a_refusal_in_every_format() -> None:
    image = IMAGES / "unknown-version-word.bin"
    options = ("--fail-on", "warning")
    assert "1 file: 0 accepted, 1 refused" in run(image, *options).stdout
    assert "unknown-version-word.bin: refused" in run(image, *options, "-q").stdout
    assert 'failures="1"' in run(image, *options, "--format", "junit").stdout
    assert "1 file checked, 1 refused" in run(image, *options, "--format", "github").stdout
    assert "All files are accepted" not in run(image, *options, "--format", "html").stdout


def test_reports_are_written_beside_what_is_printed(folder: Path, tmp_path: Path) -> None:
    (folder / "imagekit.toml").write_text(WAIVER)
    outputs = {
        format_: tmp_path / f"report.{format_}" for format_ in ("json", "sarif", "junit", "github", "html", "text")
    }
    options = [f"--output={format_}={path}" for format_, path in outputs.items()]
    assert "1 file: 1 accepted" in run(folder, *options).stdout
    (finding,) = json.loads(outputs["json"].read_text())["files"][0]["findings"]
    assert finding["waived"] == "tested on hardware"
    log = json.loads(outputs["sarif"].read_text())
    validate_sarif(log)
    (result,) = log["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "tested on hardware"}]
    suite = ET.fromstring(outputs["junit"].read_text())  # noqa: S314 - our own text
    assert suite.get("skipped") == "1"
    assert suite.find("testcase/skipped") is not None
    assert "1 file checked, 0 refused, 1 finding waived" in outputs["github"].read_text()
    assert "Waived findings" in outputs["html"].read_text()


@pytest.mark.parametrize("output", ["sarif", "pdf=x", "sarif="])
def test_an_output_needs_a_format_and_a_file(folder: Path, output: str) -> None:
    result = run(folder, "--output", output)
    assert result.exit_code == 2
    assert "write FORMAT=FILE" in " ".join(result.stderr.split())


def test_quiet_prints_what_fails_and_nothing_else(folder: Path) -> None:
    assert run(IMAGES / "stack-4k.bin", "-q").stdout == ""
    assert run(folder, "-q").stdout.splitlines()[0].endswith("bad.bin: refused")
    assert run(folder, "-q", "-v").exit_code == 2


def test_verbose_lists_accepted_files() -> None:
    assert "stack-4k.bin: accepted" in run(IMAGES / "stack-4k.bin", "-v").stdout


def test_the_html_page_loads_nothing_and_escapes_names(folder: Path) -> None:
    (folder / "<script>.bin").write_bytes(b"")
    page = run(folder, "--format", "html").stdout
    assert "<script>" not in page
    assert "&lt;script&gt;.bin" in page
    assert "http" not in page
    assert "2 of 2 files are refused" in page


def test_sarif_has_what_code_scanning_requires(folder: Path) -> None:
    (run_,) = json.loads(run(folder, "--format", "sarif").stdout)["runs"]
    assert run_["automationDetails"] == {"id": "imagekit/check/"}
    for rule in run_["tool"]["driver"]["rules"]:
        assert rule["helpUri"].startswith("https://")
        assert "`" not in rule["help"]["text"]
        assert "](" not in rule["help"]["markdown"]
    assert [rule["id"] for rule in run_["tool"]["driver"]["rules"]] == sorted(RULES)


def test_fingerprints_stay_when_the_folder_moves(folder: Path, tmp_path: Path) -> None:
    def fingerprint(path: Path) -> str:
        (result,) = json.loads(run(path, "--format", "sarif").stdout)["runs"][0]["results"]
        return str(result["partialFingerprints"]["imagekitFinding/v1"])

    before = fingerprint(folder)
    folder.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == before


def test_applications_can_be_left_out(folder: Path) -> None:
    (folder / "bad.bin").unlink()
    (folder / "ble_app.bin").write_bytes(content("unencrypted"))
    assert run(folder).exit_code == 4
    assert run(folder, "--skip-applications").exit_code == 0
    (folder / "stm32wb5x_FUS_fw.bin").write_bytes(content("unencrypted"))
    assert run(folder, "--skip-applications").exit_code == 4
    (folder / "ble.bin").write_bytes(content("empty"))
    assert "ble.bin: unreadable" in run(folder, "--skip-applications").stdout


@pytest.mark.parametrize(
    ("path", "is_checked"),
    [
        ("firmware/stm32wb5x_BLE_Stack_full_fw.bin", True),
        ("STM32WB3X_FUS_FW.BIN", True),
        ("a/stm32wb1x_BLE_LLD_fw.hex", True),
        ("ble.bin", True),
        ("images/zigbee-ffd.bin", True),
        ("stm32wb55-app/build/app.bin", False),
        ("stm32wb5x_images/app.bin", False),
        ("ble/app.bin", False),
        ("ble_app.hex", False),
        ("stm32wb5x_BLE_Stack_full_fw.bin.md5", False),
    ],
)
def test_the_pre_commit_hook_looks_at_file_names(path: str, is_checked: bool) -> None:
    hook = (Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    pattern = next(line.partition("files: ")[2] for line in hook.splitlines() if line.startswith("  files: "))
    assert bool(re.search(pattern, path)) is is_checked
