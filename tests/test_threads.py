"""Real cries for help: what imagekit answers from the data in the thread is what would have helped.

Each test names its thread, and puts what its author had (part, FUS, file, address) to the command line. The images are
those that the thread is about, or of the same size where the thread's own release is not at hand.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.corpus import CORPUS, needs_corpus

pytestmark = needs_corpus


def st(file: str) -> str:
    """A file of ST's; skips where this corpus lacks it."""
    path = CORPUS / file
    if not path.exists():
        pytest.skip(f"this corpus lacks {file}")
    return str(path)


def run(*arguments: str) -> tuple[int, str]:
    """Run imagekit; return its exit code and all that it prints, as one line of words."""
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, " ".join(result.output.split())


def address(file: str, part: str, *more: str) -> str:
    """The first line of `imagekit address`."""
    result = CliRunner().invoke(app, ["address", st(file), "--part", part, *more])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[0]


def plan(*arguments: str) -> dict[str, object]:
    """The document of `imagekit plan --emit json`."""
    result = CliRunner().invoke(app, ["plan", *arguments, "--emit", "json"])
    assert result.exit_code in (0, 3), result.output
    document: dict[str, object] = json.loads(result.stdout)
    return document


def hex_at(tmp_path: Path, file: str, start: int) -> str:
    """An Intel HEX file that puts an image at an address that a report names."""
    from intelhex import IntelHex

    records = IntelHex()
    records.puts(start, Path(st(file)).read_bytes())
    path = tmp_path / "image.hex"
    records.write_hex_file(str(path))
    return str(path)


# Wrong address, wrong flash size.


def test_wb1x_light_at_0x08029000_as_the_notes_print_it(tmp_path: Path) -> None:
    """https://github.com/STMicroelectronics/STM32CubeWB/issues/73"""
    light = "v1.11.1/STM32WB1x/stm32wb1x_BLE_Stack_light_fw.bin"  # 60 sectors, as in v1.16.0
    assert address(light, "STM32WB15CC") == "0x08028000"
    code, out = run("check", hex_at(tmp_path, light, 0x08029000), "--part", "STM32WB15CC")
    assert code == 3
    assert "the file puts the image at 0x08029000; the highest possible address on STM32WB1xxC is 0x08028000" in out


def test_the_programmer_proposes_another_address_than_the_notes() -> None:
    """https://github.com/STMicroelectronics/STM32CubeWB/issues/58"""
    assert address("v1.13.3/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin", "WB55RG") == "0x080D0000"


def test_an_address_from_an_old_document_is_too_high(tmp_path: Path) -> None:
    """https://community.st.com/t5/stm32cubeprogrammer-mcus/error-upgrading-stack-version-in-firmware-upgrade-service/td-p/794652"""
    full = "v1.17.3/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"
    code, out = run("check", hex_at(tmp_path, full, 0x080D4000), "--part", "WB55RG")
    assert code == 3
    assert "the highest possible address on STM32WB5xxG is 0x080CE000" in out
    # ... and anti-rollback was on: a stack older than the stored one is refused before anything is deleted.
    made = plan("--part", "WB55RG", "--fus", "1.2.0", "--anti-rollback", "1.19.0", st(full))
    assert "anti-rollback is active and stored 1.19.0.0: FUS refuses BLE_Stack_full 1.17.3" in str(made["refusals"])


def test_the_address_of_a_1_mib_part_on_a_256_kib_part(tmp_path: Path) -> None:
    """https://community.st.com/s/question/0D50X0000BSYaHa/cant-program-ble-stack-to-stm32wb55cc"""
    stack = "v1.1.0/stm32wb5x_BLE_Stack_fw.bin"  # 40 sectors: 0x080CC000 on 1 MiB
    assert address(stack, "STM32WB55RG") == "0x080CC000"
    assert address(stack, "STM32WB55CC") == "0x08018000"
    code, out = run("check", hex_at(tmp_path, stack, 0x080CC000), "--part", "STM32WB55CC")
    assert code == 3
    assert "the highest possible address on STM32WB5xxC is 0x08018000" in out


@pytest.mark.parametrize("part", ["STM32WB55CE", "STM32WB55RE"])
def test_512_kib_parts_have_their_own_addresses(part: str) -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-ble-stack-trouble-on-new-hardware/td-p/301387
    https://community.st.com/t5/stm32-mcus-wireless/stm32wb55rev6-custom-target-board-ble-wireless-stack-program/m-p/221562/highlight/true
    """
    full = "v1.7.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"
    assert (address(full, "STM32WB55RG"), address(full, part)) == ("0x080CB000", "0x08057000")


def test_wb55ce_has_512_kib_and_not_256() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/wireless-stack-binary-firmware-update-start-adress/td-p/64142"""
    code, out = run("address", st("v1.7.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"), "--part", "STM32WB55CE")
    assert code == 0
    assert "STM32WB5xxE, 512 KiB of flash" in out


def test_wb35cc_has_an_address_though_the_notes_had_no_table() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/cant-find-any-information-about-how-to-program-bluetooth-stack/td-p/172500"""
    assert address("v1.7.0/STM32WB3x/stm32wb3x_BLE_HCILayer_fw.bin", "STM32WB35CC") == "0x08028000"


def test_the_module_wb5mmg_is_a_1_mib_part() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/how-do-i-upgrade-the-wireless-stack-on-stm32wb5mmg-what-s-the/td-p/163988"""
    code, out = run("address", st("v1.13.3/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"), "--part", "STM32WB5MMG")
    assert (code, out.split()[0]) == (0, "0x080D0000")
    assert "0x080F4000 - 36 x 4096 = 0x080D0000" in out


def test_install_at_is_computed_and_shown() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/flashing-stm32wb5x-ble-stack-full-fw-bin-start-address/m-p/58839/highlight/true"""
    made = plan("--part", "STM32WB55RG", "--fus", "1.2.0", st("v1.17.3/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"))
    assert [(step["action"], step["address"]) for step in made["steps"]] == [  # type: ignore[attr-defined]
        ("delete-stack", None),
        ("install-stack", "0x080CE000"),
        ("start-stack", None),
    ]


def test_fus_0_0_0_0_is_not_a_version() -> None:
    """https://stcommunity.st.com/t5/stm32-mcus-wireless/stm32wb55-fus-state-err-unknown-error-when-upgrading-fus/td-p/823226"""
    file = st("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin")
    made = plan("--part", "STM32WB55RG", "--fus", "v0.0.0.0", file)
    assert "0.0.0 means that FUS was not running or not readable" in str(made["refusals"])
    # The author typed 0x08C00000, where no flash is.
    assert address("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin", "STM32WB55RG", "--fus", "1.1.0") == "0x080EC000"


def test_wb15_full_stack_has_an_address_of_its_own() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/quot-error-failed-to-download-segment-0-quot-while-downloading/m-p/615168/highlight/true"""
    assert address("v1.17.3/STM32WB1x/stm32wb1x_BLE_Stack_full_fw.bin", "STM32WB15CC") == "0x08021000"


def test_wb55rg_is_not_a_512_kib_part() -> None:
    """https://r.arson.gg/r/embedded/duplicates/1rorlux"""
    made = plan("--part", "STM32WB55RG", "--fus", "2.2.0", st("v1.23.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"))
    assert made["target"] == "STM32WB5xxG"
    assert made["steps"][1]["address"] == "0x080D0000"  # type: ignore[index]


def test_j_link_on_a_512_kib_part_is_warned_of() -> None:
    """https://forum.segger.com/index.php/Thread/7375-ABANDONED-Wireless-stack-update-not-working-for-STM32WB55/"""
    file = st("v1.7.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin")
    code, out = run("plan", "--part", "STM32WB55CE", "--fus", "1.2.0", file, "--emit", "jlink")
    assert code == 0
    assert "WARNING: on a WB55CE, J-Link before V7.86f looked for the image in other sectors than ST's" in out
    assert "0x08057000" in out  # the address that worked with ST's tool in a later thread


def test_a_product_guide_s_address_is_a_sector_too_high(tmp_path: Path) -> None:
    """https://github.com/Lora-net/lora_edge_tracker_ref_design/issues/7"""
    full = "v1.11.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"
    assert address(full, "STM32WB55RG") == "0x080CA000"
    code, out = run("check", hex_at(tmp_path, full, 0x080CB000), "--part", "STM32WB55RG")
    assert (code, "the highest possible address on STM32WB5xxG is 0x080CA000" in out) == (3, True)


# The FUS 2 wall.


def test_an_extended_stack_of_v1_22_1_does_not_go_on_fus_1_2_0() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/p-nucleo-wb55-usb-dongle-stack-programming-problem/td-p/795916"""
    file = st("v1.22.1/STM32WB5x/stm32wb5x_BLE_Stack_full_extended_fw.bin")
    made = plan("--part", "STM32WB55CG", "--fus", "1.2.0", file)
    assert made["steps"] == []
    refusals = str(made["refusals"])
    assert "needs FUS 2.0.0 or later, and the chip has 1.2.0" in refusals
    assert "or use an image of STM32CubeWB v1.22.0 or older" in refusals  # with v1.22.0 it worked


def test_a_working_stack_is_not_deleted_for_one_that_fus_refuses() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-fus-state-img-not-found/td-p/809819"""
    full = st("v1.22.1/STM32WB5x/stm32wb5x_BLE_Stack_full_extended_fw.bin")
    made = plan("--part", "STM32WB55RG", "--fus", "1.2.0", "--stack-installed", full)
    assert made["steps"] == []
    assert "missing: stm32wb5x_FUS_fw.bin of STM32CubeWB v1.23.0 or later" in str(made["refusals"])
    # 0x080C7000 was right all the time: it is FUS that was too old.
    with_fus = plan("--part", "STM32WB55RG", "--fus", "1.2.0", full, st("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin"))
    addresses = [step["address"] for step in with_fus["steps"]]  # type: ignore[attr-defined]
    assert addresses == [None, "0x080EE000", "0x080C7000", None]


@pytest.mark.parametrize("release", ["v1.22.1", "v1.23.0"])
def test_16_kib_lower_than_the_size_alone_says(release: str, tmp_path: Path) -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/cannot-flash-ble-wireless-stack-into-stm32wb55cg-usb-dongle-fus/td-p/809775
    https://community.st.com/t5/stm32-mcus-wireless/cannot-run-any-example-on-nucleo-wb55rg-board/td-p/806816
    """
    full = f"{release}/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"
    assert address(full, "STM32WB55CG") == "0x080D0000"
    code, out = run("check", hex_at(tmp_path, full, 0x080D4000), "--part", "STM32WB55CG", "--fus", "2.0.0")
    assert (code, "the highest possible address on STM32WB5xxG is 0x080D0000" in out) == (3, True)


def test_a_stack_of_v1_23_0_has_a_version() -> None:
    """https://github.com/STMicroelectronics/STM32CubeWB/issues/115
    https://community.st.com/t5/stm32cubeprogrammer-mcus/stm32wb-ble-stack-1-23-0-not-working-on-stm32wb55cgu6-firmware/td-p/822108
    """
    code, out = run("inspect", st("v1.23.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"), "--part", "STM32WB55CGU6")
    assert code == 0
    assert "wireless stack 1.23.0" in out
    assert "in the format for FUS 2 only" in out
    assert "STM32WB5xxG 1024 KiB 0x080D0000" in out


@pytest.mark.parametrize(("installed", "wanted"), [("2.0.0", "v1.22.1/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin"),
                                                   ("1.2.0", "v1.7.0/STM32WB5x/stm32wb5x_FUS_fw.bin")])  # fmt: skip
def test_fus_cannot_be_downgraded(installed: str, wanted: str) -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-fus-and-ble-stack-upgrade-issue/td-p/799504
    https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-fus-and-ble-stack/td-p/142787
    """
    made = plan("--part", "STM32WB55CG", "--fus", installed, st(wanted))
    assert "FUS cannot be downgraded to 1." in str(made["refusals"])


def test_an_irreversible_step_and_its_cost_are_named_first() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-fus-and-ble-stack-upgrade-issue/td-p/799504"""
    made = plan("--part", "STM32WB55CG", "--fus", "1.2.0", st("v1.22.1/STM32WB5x/stm32wb5x_FUS_fw.bin"))
    step = made["steps"][1]  # type: ignore[index]
    assert (step["action"], step["irreversible"]) == ("install-fus", True)
    assert "FUS 1.2.0 cannot be installed again, ever" in step["afterwards"]


def test_fus_2_0_0_needs_usb_which_the_board_lacks() -> None:
    """https://qa-community.st.com/stm32-mcus-wireless-35/upgraded-fus-and-ble-stack-not-compatible-with-older-firmware-codes-151083
    https://red.127.pp.ua/r/embedded/comments/1kx7b7r/need_help_with_stm32wb5mmg_wb55
    """
    made = plan("--part", "STM32WB5MMG", "--fus", "2.0.0", st("v1.22.1/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"))
    assert "ST's notes of v1.22.1 allow stacks over USB only" in str(made["warnings"])
    # Before the upgrade, with 2.1.0 among the files too, 2.0.0 is not in the way at all.
    both = plan(
        "--part", "STM32WB5MMG", "--fus", "1.2.0", st("v1.22.1/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"),
        st("v1.22.1/STM32WB5x/stm32wb5x_FUS_fw.bin"), st("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin"),
    )  # fmt: skip
    assert [step["version"] for step in both["steps"]] == [None, "2.1.0", "1.22.1", None]  # type: ignore[attr-defined]


def test_every_plan_ends_with_the_stack_started() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55-nucleo-shci-fus-cmd-not-supported-error-on-shci-c2/td-p/863664"""
    made = plan("--part", "STM32WB55RG", "--fus", "2.2.0", st("v1.23.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"))
    last = made["steps"][-1]  # type: ignore[index]
    assert last["action"] == "start-stack"
    assert "a chip left in FUS has no radio" in last["why"]


def test_fus_at_the_address_of_a_512_kib_part_on_a_weact_board() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/unable-to-upgrade-fus-on-stm32wb55-weact-fus-not-running/td-p/901345"""
    fus = "v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin"
    assert address(fus, "STM32WB55CG", "--fus", "1.2.0") == "0x080EE000"
    assert address(fus, "STM32WB55CE", "--fus", "1.2.0") == "0x0807A000"
    made = plan("--part", "STM32WB55CG", "--fus", "1.1.0", st(fus))
    assert "install FUS 1.2.0 before FUS 2.1.0" in str(made["refusals"])


# The old chain.


@pytest.mark.parametrize("fus", ["1.1.0", "1.2.0"])
def test_the_same_fus_again_is_nothing_to_do(fus: str) -> None:
    """https://stmicroelectronics-en-community.insided.com/stm32-mcus-wireless-35/stm32wb55-fus-update-issue-46736
    https://community.st.com/s/question/0D50X0000CAuDZy/stm32wb55-fus-update-issue
    """
    file = {"1.1.0": "v1.7.0/STM32WB5x/stm32wb5x_FUS_fw.bin", "1.2.0": "v1.17.3/STM32WB5x/stm32wb5x_FUS_fw.bin"}[fus]
    made = plan("--part", "STM32WB55RG", "--fus", fus, st(file))
    assert (made["steps"], made["refusals"]) == ([], [])
    assert made["notes"][0] == f"the chip has FUS {fus} already"  # type: ignore[index]


@pytest.mark.parametrize("wrong", ["v1.11.1/STM32WB5x/stm32wb5x_FUS_fw.bin", "v1.6.0/STM32WB5x/stm32wb5x_FUS_fw.bin"])
def test_fus_0_5_3_takes_one_file_only(wrong: str) -> None:
    """https://community.st.com/stm32-mcus-wireless-35/first-hand-on-nucleo-pack-and-fus-image-not-authentic-error-when-upgrading-fus-on-stm32wb55rg-59736
    https://community.st.com/t5/stm32-mcus-wireless/where-can-i-find-fus-binary-file-with-fus-version-1-0-2/m-p/151322/highlight/true
    """
    refused = plan("--part", "STM32WB55RG", "--fus", "0.5.3", st(wrong))
    assert "FUS 0.5.3 installs only the file named FUS_fw_for_fus_0_5_3" in str(refused["refusals"]) or (
        "missing: stm32wb5x_FUS_fw_for_fus_0_5_3.bin of STM32CubeWB v1.11.1 or later" in str(refused["refusals"])
    )
    right = plan("--part", "STM32WB55RG", "--fus", "0.5.3", st("v1.11.1/STM32WB5x/stm32wb5x_FUS_fw_for_fus_0_5_3.bin"))
    assert [step["address"] for step in right["steps"]] == [None, "0x080EC000"]  # type: ignore[attr-defined]


def test_stuck_at_0_5_3_with_examples_that_hard_fault() -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/nucleo-wb55-unable-to-get-bluetooth-to-work/m-p/213638/highlight/true"""
    made = plan("--part", "STM32WB55RG", "--fus", "0.5.3", st("v1.17.3/STM32WB5x"), "--want", "BLE_Stack_full")
    actions = [(step["action"], step["version"], step["address"]) for step in made["steps"]]  # type: ignore[attr-defined]
    assert actions == [
        ("delete-stack", None, None),
        ("install-fus", "1.2.0", "0x080EC000"),
        ("install-stack", "1.17.3", "0x080CE000"),
        ("start-stack", None, None),
    ]


def test_fus_1_0_1_becomes_1_2_0_and_not_1_0_2() -> None:
    """https://github.com/bluekitchen/btstack/pull/228"""
    made = plan("--part", "STM32WB55RG", "--fus", "1.0.1", st("v1.11.0/STM32WB5x/stm32wb5x_FUS_fw_1_0_2.bin"))
    assert "FUS 1.0.1 does not install FUS 1.0.2: use FUS 1.2.0" in str(made["refusals"])


def test_fus_1_1_2_upgrades_1_1_0_but_not_the_reverse() -> None:
    """https://community.st.com/s/question/0D53W00000dPRmm/stm32wb-fus-upgrade-fail-from-110-to-112"""
    up = plan("--part", "STM32WB55RG", "--fus", "1.1.0", st("v1.11.0/STM32WB5x/stm32wb5x_FUS_fw.bin"))
    assert [step["version"] for step in up["steps"]] == [None, "1.1.2"]  # type: ignore[attr-defined]
    down = plan("--part", "STM32WB55RG", "--fus", "1.1.2", st("v1.7.0/STM32WB5x/stm32wb5x_FUS_fw.bin"))
    assert "FUS cannot be downgraded to 1.1.0" in str(down["refusals"])


# Files that are not what they seem.


def test_fus_1_2_0_hides_its_version_and_goes_on_512_kib_parts() -> None:
    """https://github.com/STMicroelectronics/STM32CubeWB/issues/29
    https://community.st.com/t5/stm32-mcus-wireless/how-to-update-stm32wb55ce-fus-and-wireless-stack/td-p/184451
    """
    made = plan("--part", "STM32WB55CE", "--fus", "1.1.0", st("v1.11.1/STM32WB5x/stm32wb5x_FUS_fw.bin"))
    step = made["steps"][1]  # type: ignore[index]
    assert (step["version"], step["address"]) == ("1.2.0", "0x0807A000")


def test_a_saved_web_page_is_recognised(tmp_path: Path) -> None:
    """https://github.com/STMicroelectronics/STM32CubeWB/issues/41"""
    page = tmp_path / "stm32wb5x_FUS_fw.bin"
    page.write_bytes(b"\n\n<!DOCTYPE html>\n" + b"<p>GitHub</p>" * 9390)
    code, out = run("plan", "--part", "STM32WB55RG", "--fus", "1.1.0", str(page))
    assert (code, "this is a web page, not a binary" in out) == (4, True)


# Anti-rollback.


@pytest.mark.parametrize("said", ["no-stack", "unknown"])
def test_anti_rollback_without_a_stack_blocks_every_stack(said: str) -> None:
    """https://community.st.com/t5/stm32-mcus-wireless/stm32wb55rg-wireless-stack-installation-fails-due-to-anti/td-p/800310
    https://community.st.com/t5/stm32cubeprogrammer-mcus/cubeprogrammer-fus-is-not-possible-due-to-error-rollback-to/td-p/672218
    """
    stack = st("v1.23.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin")
    made = plan("--part", "STM32WB55RG", "--fus", "2.1.0", "--anti-rollback", said, stack)
    expected = {"no-stack": "refuses every stack for ever", "unknown": "the version that it stored is not known"}[said]
    assert expected in str(made["refusals"])
