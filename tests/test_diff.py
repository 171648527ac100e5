"""`imagekit diff`: what changes between two images, two releases or two bundles."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from tests.support.bundles import BUNDLES
from tests.support.corpus import CORPUS
from tests.support.images import IMAGES, throw_away_keys

WB55 = ("--part", "STM32WB55RG")
PLAIN, FUS_2 = IMAGES / "stack-4k.bin", IMAGES / "stack-fus2-4k.bin"


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, words)], env={"COLUMNS": "300"})


def document(*words: object) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def only(*words: object) -> dict[str, Any]:
    (image,) = document(*words)["images"]
    found: dict[str, Any] = image
    return found


def test_address_and_flash_of_the_application() -> None:
    (change,) = only(PLAIN, FUS_2, *WB55)["addresses"]
    # The new format leaves 4 sectors free above itself.
    assert change == {
        "target": "STM32WB5xxG",
        "old": "0x080F3000",
        "new": "0x080EF000",
        "application_bytes": -0x4000,
    }


def test_linker_script_changes_with_flash_and_sram2() -> None:
    assert only(PLAIN, FUS_2, *WB55)["linker"] == [
        "STM32WB5xxG: FLASH LENGTH 972K -> 956K",
        "RAM_SHARED (SRAM2a): LENGTH 32K -> 10K",
        "RAMB_SHARED (SRAM2b): LENGTH 20K -> 15K",
    ]


def test_product_needs_a_newer_fus_first() -> None:
    product = only(PLAIN, FUS_2, *WB55)["product"]
    assert product[0] == "FUS 2.0.0 or later must be on the chip: an upgrade of FUS is irreversible"
    assert "the application loses 16 KiB and must end below 0x080EF000 before the update" in product[1]
    assert "rebuild the application" in product[2]


def test_way_back_needs_no_newer_fus() -> None:
    found = only(FUS_2, PLAIN, *WB55)
    assert not any("must be on the chip" in sentence for sentence in found["product"])
    assert found["addresses"][0]["application_bytes"] == 0x4000


def test_ota_stages_below_the_installed_stack() -> None:
    (staging,) = only(PLAIN, PLAIN, *WB55)["ota"]
    # One sector below the installed stack (AN5247), which starts at 0x080F3000; in its place once it is deleted.
    assert (staging["with_stack"], staging["after_delete"]) == ("0x080F2000", "0x080F3000")


def test_larger_stack_has_no_ota_address_beside_a_small_one() -> None:
    """AN5185 asks for more room than SFSA tells, and that path has killed a chip."""
    large = IMAGES / "stack-larger-than-256k.bin"
    (staging,) = only(PLAIN, large, *WB55)["ota"]
    assert staging["with_stack"] is None
    assert "delete" in staging["why_not"]
    assert staging["after_delete"] is not None


def test_bonding_data_depends_on_the_fus() -> None:
    found = only(FUS_2, PLAIN, *WB55)["bonding_data"]
    assert [(entry["fus"], entry["fate"]) for entry in found] == [("FUS 1.x", "lost"), ("FUS 2.x", "unknown")]
    assert [entry["fus"] for entry in only(PLAIN, FUS_2, *WB55)["bonding_data"]] == ["FUS 2.x"]


def test_same_image_has_no_changes() -> None:
    found = only(PLAIN, PLAIN, *WB55)
    assert (found["same"], found["linker"], found["product"]) == (True, [], [])
    assert "same" in run(PLAIN, PLAIN).stdout


def test_releases_are_compared_by_name(tmp_path: Path) -> None:
    for folder, files in (
        ("old", {"BLE_Stack_full": PLAIN, "Thread_FTD": PLAIN}),
        ("new", {"BLE_Stack_full": FUS_2, "Thread_RCP": PLAIN}),
    ):
        (tmp_path / folder).mkdir()
        for name, source in files.items():
            shutil.copy(source, tmp_path / folder / f"stm32wb5x_{name}_fw.bin")
    found = document(tmp_path / "old", tmp_path / "new", *WB55)
    assert [image["name"] for image in found["images"]] == ["WB5x BLE_Stack_full"]
    assert (found["removed"], found["added"]) == (["WB5x Thread_FTD"], ["WB5x Thread_RCP"])


def test_text_names_every_subject() -> None:
    text = run(PLAIN, FUS_2, *WB55).stdout
    for label in ("needs", "SRAM2a", "goes to", "OTA", "pairings", "linker", "product"):
        assert f"\n  {label:<10}" in text


@pytest.mark.parametrize(
    ("old", "new", "code", "reason"),
    [
        (PLAIN, IMAGES, 2, "compare two files or two folders"),
        (PLAIN, IMAGES / "text.bin", 4, "text.bin"),
        (IMAGES, IMAGES, 4, "no image that ST named"),
    ],
)
def test_what_cannot_be_compared_says_why(old: Path, new: Path, code: int, reason: str) -> None:
    result = run(old, new)
    assert (result.exit_code, reason in result.stderr) == (code, True)


def test_bundles_are_compared_by_role() -> None:
    found = document(BUNDLES / "good-p256.wbz", BUNDLES / "good-p256.wbz", *WB55)
    assert {image["same"] for image in found["images"]} == {True}
    assert found["removed"] == found["added"] == []


def test_full_stack_of_1_23_0_needs_fus_2() -> None:
    old, new = (
        CORPUS / release / "STM32WB5x" / "stm32wb5x_BLE_Stack_full_fw.bin" for release in ("v1.17.3", "v1.23.0")
    )
    if not (old.exists() and new.exists()):
        pytest.skip("no v1.17.3 and v1.23.0 of STM32CubeWB")
    found = only(old, new, *WB55)
    # ST's tables: 0x080CE000 in v1.17.3, 0x080D0000 in v1.23.0.
    assert [(change["old"], change["new"]) for change in found["addresses"]] == [("0x080CE000", "0x080D0000")]
    assert found["linker"] == ["STM32WB5xxG: FLASH LENGTH 824K -> 832K"]
