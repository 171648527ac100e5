"""ST's ten releases audited: every finding was gone through by hand once, and is pinned here with its reason."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.corpus import CORPUS, NOT_IMAGES, counts_hold, needs_corpus
from tests.support.sarif import validate_sarif

pytestmark = [needs_corpus, counts_hold]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments[:1], str(CORPUS), *arguments[1:]])
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def audited() -> dict[str, Any]:
    code, text = run("audit", "--format", "json")
    assert code == 3
    return json.loads(text)  # type: ignore[no-any-return]


def findings(audited: dict[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [
        (Path(release["path"]).relative_to(CORPUS).as_posix(), finding["file"], finding["rule"], finding)
        for release in audited["releases"]
        for finding in release["findings"]
    ]


# Release folder, file, rule, targets → why it is so. Notes and the signatures of FUS images are counted below.
WRONG = {
    ("v1.6.0/STM32WB5x", "stm32wb5x_Thread_FTD_fw.bin", "WB501", "G E"): "sector count 85 for 86: it overlaps FUS",
    ("v1.13.3/STM32WB3x", "stm32wb3x_BLE_Mac_802_15_4_fw.bin", "WB501", "E"): "three sectors beyond the flash",
    ("v1.13.3/STM32WB3x", "stm32wb3x_Zigbee_RFD_fw.bin", "WB501", "E"): "one sector beyond the flash",
    ("v1.13.3/STM32WB5x", "stm32wb5x_Safeboot_fw.bin", "WB501", "Y E C"): "one sector beyond the flash",
    ("v1.17.3/STM32WB5x", "stm32wb5x_Safeboot_fw.bin", "WB501", "Y E C"): "one sector beyond the flash",
    ("v1.11.0/STM32WB1x", "stm32wb1x_BLE_LLD_fw.bin", "WB503", "C"): "a WB3x file has no address on a WB1x",
    ("v1.11.0/STM32WB1x", "stm32wb1x_BLE_LLD_fw.bin", "WB401", ""): "a WB3x file under a WB1x name",
    ("v1.11.0/STM32WB1x", "stm32wb1x_BLE_LLD_fw.bin", "WB405", ""): "the same, known since v1.11.1",
    ("v1.11.0/STM32WB1x", "stm32wb1x_BLE_HCI_AdvScan_fw.bin", "WB506", ""): "its row has a WB5x name",
    ("v1.11.0/STM32WB1x", "stm32wb5x_BLE_HCI_AdvScan_fw.bin", "WB507", ""): "the row that has it",
    ("v1.23.0/STM32WB1x", "stm32wb1x_Safeboot_fw_v1.2.0.bin", "WB506", ""): "its row lacks the _v1.2.0",
    ("v1.11.1/STM32WB3x", "stm32wb3x_FUS_fw_1_0_2.bin", "WB506", ""): "only v1.11.0's table has a row for it",
    ("v1.11.1/STM32WB5x", "stm32wb5x_FUS_fw_1_0_2.bin", "WB506", ""): "only v1.11.0's table has a row for it",
    ("v1.11.1/STM32WB1x", "stm32wb1x_BLE_LLD_fw.bin", "WB505", ""): "the row says 1.11.1, the image is 1.11.0",
    ("v1.11.1/STM32WB3x", "stm32wb3x_BLE_LLD_fw.bin", "WB505", ""): "the row says 1.11.1, the image is 1.11.0",
    ("v1.13.3/STM32WB3x", "stm32wb3x_BLE_LLD_fw.bin", "WB505", ""): "the row says 1.12.0, the image is 1.11.0",
    ("v1.22.1/STM32WB3x", "stm32wb3x_FUS_fw_for_fus_0_5_3.bin", "WB505", ""): "1.0.0, in older notes 1.2.0",
    ("v1.22.1/STM32WB5x", "stm32wb5x_FUS_fw_for_fus_0_5_3.bin", "WB505", ""): "1.0.0, in older notes 1.2.0",
    ("v1.23.0/STM32WB3x", "stm32wb3x_FUS_fw_for_fus_0_5_3.bin", "WB505", ""): "1.0.0, in older notes 1.2.0",
    ("v1.23.0/STM32WB5x", "stm32wb5x_FUS_fw_for_fus_0_5_3.bin", "WB505", ""): "1.0.0, in older notes 1.2.0",
    ("v1.23.0/STM32WB1x", "stm32wb1x_Safeboot_fw.bin", "WB505", ""): "the row of 2.0.0 has the name of 2.0.1",
    ("v1.23.0/STM32WB1x", "stm32wb1x_Safeboot_fw.bin", "WB510", ""): "the same: two rows have that name",
    ("v1.23.0/STM32WB3x", "stm32wb3x_BLE_Mac_802_15_4_fw.bin", "WB508", ""): "needs FUS 2, and the mark is missing",
    ("v1.23.0/STM32WB1x", "stm32wb1x_Safeboot_fw_v1.2.0.bin", "WB403", ""): "1.2.0 in the name of Safeboot 2.0.0",
    ("v1.23.0/STM32WB3x", "stm32wb3x_Safeboot_fw_v1.2.0.bin", "WB403", ""): "1.2.0 in the name of Safeboot 2.0.0",
    ("v1.23.0/STM32WB5x", "stm32wb5x_Safeboot_fw_v1.2.0.bin", "WB403", ""): "1.2.0 in the name of Safeboot 2.0.0",
    ("v1.5.0/STM32WB5x", "stm32wb5x_FUS_fw.bin", "WB008", ""): "unencrypted",
    ("v1.11.1/STM32WB3x", "stm32wb3x_FUS_fw_1_0_2.bin", "WB002", ""): "0 bytes",
    ("v1.11.1/STM32WB5x", "stm32wb5x_FUS_fw_1_0_2.bin", "WB002", ""): "0 bytes",
    ("v1.17.3/STM32WB3x", "stm32wb3x_BLE_HCI_AdvScan_fw.bin", "WB201", ""): "no known key verifies it",
    ("v1.17.3/STM32WB3x", "stm32wb3x_BLE_HCI_AdvScan_fw.bin", "WB405", ""): "the same",
    **{
        (f"{release}/STM32WB{series}x", f"stm32wb{series}x_Thread_FTD_fw.bin", rule, ""): "sector count 85 for 86"
        for release in ("v1.6.0", "v1.7.0")
        for series in "35"
        for rule in ("WB105", "WB405")
    },
}


def test_every_error_and_warning_is_known_with_its_reason(audited: dict[str, Any]) -> None:
    found: dict[tuple[str, str, str], list[str]] = {}
    for folder, file, rule, finding in findings(audited):
        is_fus_of_unknown_key = rule == "WB201" and "_FUS_fw" in file
        if finding["severity"] != "note" and not is_fus_of_unknown_key:
            found.setdefault((folder, file, rule), []).append((finding["target"] or "")[-1:])
    assert {(*key, " ".join(targets).strip()) for key, targets in found.items()} == set(WRONG)


def test_the_counts_of_the_audit_are_known(audited: dict[str, Any]) -> None:
    """By hand: 16 FUS images with an unknown key; lower addresses as in test_addresses."""
    assert Counter(rule for _, _, rule, _ in findings(audited)) == {
        "WB002": 2,
        "WB008": 1,
        "WB105": 4,
        "WB108": 20,
        "WB201": 17,
        "WB203": 17,
        "WB401": 1,
        "WB403": 3,
        "WB405": 6,
        "WB501": 10,
        "WB502": 36,
        "WB503": 1,
        "WB504": 10,
        "WB505": 8,
        "WB506": 4,
        "WB507": 1,
        "WB508": 1,
        "WB510": 1,
        "WB511": 2,
    }
    sums = Counter[str]()
    for release in audited["releases"]:
        sums.update(release["addresses"])
    assert sums == {"equal": 877, "lower": 36, "too_high": 10}


def test_lines_are_those_of_the_cells(audited: dict[str, Any]) -> None:
    for folder, _, _, finding in findings(audited):
        if finding["line"] and finding["published"]:
            lines = (CORPUS / folder / "Release_Notes.html").read_text(encoding="utf-8").splitlines()
            cell = lines[finding["line"] - 1].replace("<strong>", "").replace("</strong>", "").replace(" ", "")
            assert finding["published"].replace(" ", "").removeprefix("(").split("(")[0] in cell


@pytest.fixture(scope="module")
def checked() -> dict[str, Any]:
    code, text = run("check", "--format", "json")
    assert code == 4
    return json.loads(text)  # type: ignore[no-any-return]


def test_check_accepts_refuses_and_cannot_read(checked: dict[str, Any]) -> None:
    assert checked["summary"] == {"accepted": 330, "refused": 22, "unreadable": 3}
    unreadable = [file["path"] for file in checked["files"] if file["verdict"] == "unreadable"]
    assert {Path(path).relative_to(CORPUS).as_posix() for path in unreadable} == set(NOT_IMAGES)


def test_every_format_gives_the_same_verdicts(checked: dict[str, Any], tmp_path: Path) -> None:
    expected = sorted((file["path"], finding["rule"]) for file in checked["files"] for finding in file["findings"])
    code, text = run("check", "--format", "sarif")
    log = json.loads(text)
    validate_sarif(log)
    results = log["runs"][0]["results"]
    uri = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
    assert code == 4
    assert (
        sorted(zip((one.removeprefix("file://") for one in uri), (one["ruleId"] for one in results), strict=True))
        == expected
    )

    code, text = run("check", "--format", "junit")
    (tmp_path / "junit.xml").write_text(text, encoding="utf-8")
    document = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert (code, document.tests, document.failures, document.errors) == (4, 355, 22, 3)

    code, text = run("check", "--format", "github")
    assert (code, len(text.splitlines())) == (4, len(expected) + 1)  # and how many files were checked

    code, text = run("check")
    assert code == 4
    assert "355 files: 330 accepted, 22 refused, 3 unreadable" in text
