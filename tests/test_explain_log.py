"""`imagekit explain` on logs, words read off a chip, and symptoms."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagekit.catalogue import shipped
from imagekit.cli.program import app
from imagekit.doctor.answer import answer
from imagekit.doctor.chip_report import ChipReport, Running
from imagekit.doctor.log import read_log
from imagekit.doctor.messages import Message, messages, messages_in
from imagekit.doctor.stack_lookup import stacks_like, variant_names
from imagekit.doctor.story import story
from imagekit.doctor.symptoms import symptoms, symptoms_like
from imagekit.explanations import explanations
from imagekit.image.model import Version

CASES = Path(__file__).parent / "cases"


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


def report(text: str) -> ChipReport:
    return read_log(text).report


# --- data


def test_every_message_and_symptom_has_a_source() -> None:
    assert all(message.sources for message in messages())
    assert all(cause.sources for symptom in symptoms() for cause in symptom.causes)


def test_what_data_refers_to_is_there() -> None:
    names = {entry.name for entry in explanations()}
    referred = {message.extends for message in messages()} | {symptom.extends for symptom in symptoms()}
    assert referred - names == {None}


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.text[:40])
def test_every_message_is_found_in_its_own_line(message: Message) -> None:
    line = message.text.replace("{hex}", "0x1F").replace("{num}", "7").replace("{name}", "word")
    assert message in messages_in(f"12:30:01:123 : Error: {line}")


def test_causes_are_ranked_by_their_reports() -> None:
    for symptom in symptoms():
        counts = [cause.reports for cause in symptom.causes]
        assert counts == sorted(counts, reverse=True), symptom.name


# --- messages


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (">>== SHCI_SUB_EVT_CODE_READY - FUS_FW_RUNNING", "SHCI_SUB_EVT_CODE_READY - FUS_FW_RUNNING"),
        ("FUS state is WIRELESS_STACK_UPGRADE_ONGOING", "FUS state is WIRELESS_STACK_UPGRADE_ONGOING"),
        ("10:12:33 : Error: fwdelete Operation Failure!", "fwdelete Operation Failure"),
        ("Error: failed to reconnect after starting FUS operator", "failed to reconnect after starting FUS operator"),
        ("Error: Firmware not authentic!", "Firmware not authentic"),
        ("Error: Option Byte Programming failed", "Option Byte Programming failed"),
        ("Error: Sector erase operation failed", "Sector erase operation failed"),
        ("RSS state is RSS_ERROR", "RSS state is RSS_ERROR"),
        ("RSS status is RSS_NOT_RUNNING", "RSS_NOT_RUNNING"),
        ("tl_ble_wait_resp: timeout.", "tl_ble_wait_resp: timeout"),
        ("Unsupported radio stack", "unsupported radio stack"),
        ("1234 [E][Bt] Core2 startup failed", "Core2 startup failed"),
        ("[12-0]", "[12-0]"),
        ("** ERR_THREAD : LLD_FATAL_ERROR ", "ERR_THREAD : LLD_FATAL_ERROR"),
        (
            'Error: Expected value for Option Byte "sfsa": 0xCB, found: 0x0',
            'Expected value for Option Byte "sfsa": {hex}, found: {hex}',
        ),
    ],
)
def test_pasted_line_is_known(line: str, text: str) -> None:
    assert text in [message.text for message in messages_in(line)]


def test_number_in_a_message_is_not_the_start_of_a_longer_one() -> None:
    assert [message.text for message in messages_in("result: 0x12")] == ["result: 0x12"]


def test_more_specific_message_hides_the_general_one() -> None:
    found = [message.text for message in messages_in('Expected value for Option Byte "RDP": 0xAA, found: 0xBB')]
    assert found == ['Expected value for Option Byte "RDP": {hex}, found: {hex}']


# --- what a chip reports


@pytest.mark.parametrize(
    ("text", "fus"),
    [
        ("0x20030030 : 00050300", "0.5.3"),
        ("0x20030030 : 01020000", "1.2.0"),
        ("0x20010010 : 02020000", "2.2.0"),
        ("20030030 = 01010100", "1.1.1"),
        ("01020000", "1.2.0"),
        ("0x01020000", "1.2.0"),
        ("FUS Version: v1.2.0", "1.2.0"),
        ("FUS Version: v5.3", "0.5.3"),
        ("FUS version : 0x01020000", "1.2.0"),
        (">>> stm.rfcore_fw_version(0)\n(1, 1, 0, 0, 0)", "1.1.0"),
        ("radio_fus_major : 1\nradio_fus_minor : 2\nradio_fus_sub : 0", "1.2.0"),
        ('{"schema": "flasher.info/1", "fus": {"version": "2.1.0"}, "stack": null, "running": "fus"}', "2.1.0"),
    ],
)
def test_fus_version_is_read(text: str, fus: str) -> None:
    assert report(text).fus == Version.from_text(fus)


@pytest.mark.parametrize(
    ("text", "stack"),
    [
        ("0x20010014 : 010F0003", "1.15.0.3"),
        ("010F0003", "1.15.0.3"),
        ("STACK version v1.13.0.5", "1.13.0.5"),
        (">>> stm.rfcore_fw_version(1)\n(1, 13, 3, 0, 2)", "1.13.3.2"),
        ("radio.stack.major: 1\nradio.stack.minor: 20\nradio.stack.sub: 0", "1.20.0.0"),
    ],
)
def test_stack_version_is_read(text: str, stack: str) -> None:
    assert report(text).stack == Version.from_text(stack)


def test_zero_version_means_no_stack() -> None:
    assert report("Stack version: v0.0.0.0").has_stack is False


def test_zero_word_means_that_sram2_was_cleared() -> None:
    found = report("0x20030030 : 00000000")
    assert (found.is_cleared, found.fus) == (True, None)


def test_table_of_fus_over_several_lines_is_read_as_one() -> None:
    table = "0x20030024 : A94656B9 00000001 01010000 01020000\n0x20030034 : 00000006 010F0003 00000026 00000000\n"
    assert report(table) == ChipReport(
        fus=Version(1, 2, 0), stack=Version(1, 15, 0, 0, 3), has_stack=True, sectors=0x26, running=Running.FUS
    )


def test_bare_table_of_fus_without_a_stack_is_read() -> None:
    found = report("A94656B9 00000001 01010000 01010100 00000006 00000000 00000000")
    assert (found.fus, found.has_stack, found.running) == (Version(1, 1, 1), False, Running.FUS)


def test_table_of_a_stack_tells_its_type() -> None:
    found = report("0x20030028: 01010000 01020000 00000006 00000000 010F0003 0A0F0026 00000001 00000000")
    assert (found.stack, found.stack_type, found.running) == (Version(1, 15, 0, 0, 3), 1, Running.STACK)


def test_type_of_an_nvm_program_means_work() -> None:
    found = report("0x20030028: 02000000 02020000 00000006 00000000 01180001 00000020 000000F1 00000000")
    assert found.running is Running.NVM
    told = story(read_log("INFO_STACK_TYPE_NVM_RESTORE"))
    assert told is not None
    assert "do NOT power off" in told.state


def test_fault_words_are_named() -> None:
    page = run("explain", "0x20030000 : 1170FD0F 00002F3C 00001F99 20037C00\nx").stdout
    assert "PC 0x00002F3C, LR 0x00001F99, SP 0x20037C00" in page


FIELDS = """VersionMajor = 1
VersionMinor: 13
VersionSub = 3
MemorySizeFlash = 0x17
MemorySizeSram2A = {sram2a}
StackType = 0x03
"""


def test_fields_name_the_stack() -> None:
    content = next(
        one for one in shipped().contents.values() if "BLE_Stack_light" in one.variants and one.version == "1.13.3.2"
    )
    assert content.sram2a_kib is not None
    text = FIELDS.replace("0x17", str(content.sectors)).format(sram2a=hex(32 - content.sram2a_kib))
    assert variant_names(stacks_like(report(text), shipped())) == ("BLE_Stack_light 1.13.3",)


def test_kept_sram2_is_not_taken_for_used_sram2() -> None:
    content = next(
        one for one in shipped().contents.values() if "BLE_Stack_light" in one.variants and one.version == "1.13.3.2"
    )
    text = FIELDS.replace("0x17", str(content.sectors)).format(sram2a=content.sram2a_kib)
    assert stacks_like(report(text), shipped()) == ()


# --- symptoms


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("BLE does not start", "BLE_NOT_STARTING"),
        ("advertising not visible", "NOT_ADVERTISING_AFTER_UPDATE"),
        ("hard fault in SHCI_C2_BLE_Init", "HARDFAULT_CPU1_AFTER_INIT"),
        ("aci_gap_init returns 0xFF", "ACI_COMMAND_RETURNS_0XFF"),
        ("stuck in MX_APPE_Init", "BLE_NOT_STARTING"),
        ("device not found after update", "NOT_FOUND_AFTER_UPDATE"),
        ("CubeProgrammer shows 0.0.0.0", "FUS_VERSION_ZERO_SHOWN"),
        ("my board is dead after the FUS update", "DEAD_AFTER_UPDATE"),
        ("the phone must pair again", "BONDING_LOST"),
        ("BONDING_LOST", "BONDING_LOST"),
    ],
)
def test_symptom_in_words_is_found(words: str, name: str) -> None:
    assert symptoms_like(words)[0].name == name


@pytest.mark.parametrize("words", ["how do I bake bread", "hello", "x=3", "", "the a of"])
def test_other_words_are_not_a_symptom(words: str) -> None:
    assert symptoms_like(words) == ()


# --- whole logs


def test_session_is_explained_in_its_order_and_as_a_whole() -> None:
    page = run("explain", str(CASES / "cubeprogrammer-session.txt")).stdout
    order = ["line 1:", "line 10:", "FUS 0.5.3", "line 17:", "line 18:", "FUS 1.0.2", "The whole log", "next"]
    positions = [page.index(text) for text in order]
    assert positions == sorted(positions)
    assert "FUS 0.5.3 had become 1.0.2" in page
    assert "18 lines of 18 explained" in page


def test_lines_with_an_equals_sign_are_not_option_bytes() -> None:
    page = run("explain", str(CASES / "lines-with-equals.txt")).stdout
    assert "--option-bytes Failed" not in page
    assert "3 lines of 3 explained" in page


def test_unknown_line_with_an_equals_sign_is_unknown() -> None:
    result = run("explain", "frobnicate=7 now")
    assert result.exit_code == 2
    assert "--option-bytes" not in result.stderr


def test_log_from_standard_input_in_utf_16_is_read() -> None:
    result = run("explain", "-", stdin="Error: Firmware not authentic!\r\n0x20030030 : 01020000\r\n".encode("utf-16"))
    assert result.exit_code == 0
    assert "FUS 1.2.0" in result.stdout


def test_log_without_a_known_line_is_refused() -> None:
    result = run("explain", "-", stdin=b"alpha\nbeta\n")
    assert result.exit_code == 4
    assert "no line in it is known" in result.stderr


def test_equal_lines_are_counted_once() -> None:
    page = run("explain", "FUS state is FUS_IDLE\nFUS state is FUS_IDLE\nFUS state is FUS_IDLE").stdout
    assert page.count("line 1:") == 1
    assert "(3 times)" in page


def test_control_characters_of_a_log_are_not_printed() -> None:
    page = run("explain", "\x1b[31mFUS state is FUS_IDLE\x07\nFUS state is FUS_ERROR").stdout
    assert "\x1b" not in page
    assert "\x07" not in page


def test_json_of_a_log_has_lines_chip_and_story() -> None:
    document = json.loads(run("explain", "--json", str(CASES / "version-words.txt")).stdout)
    assert document["schema"] == "imagekit.explanations/1"
    (reading,) = document["readings"]
    assert reading["chip"]["fus"] == "1.2.0"
    assert reading["chip"]["is_cleared"] is True
    assert reading["story"]["next"].startswith("start FUS")


def test_answer_of_an_unknown_text_is_empty() -> None:
    assert answer("quux").is_empty
