"""`imagekit doctor`: the most likely cause first, the check that decides, and the plan."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.doctor.answer import answer
from imagekit.doctor.diagnosis import Certainty, Diagnosis, Evidence, diagnose
from imagekit.option_bytes.decode import decode_pairs
from imagekit.targets import select_target
from tests.support.applications import program
from tests.support.images import IMAGES, throw_away_keys

CASES = Path(__file__).parent / "cases"
WB55 = ("--part", "STM32WB55RG")
NO_STACK = "SFSA=0xF4"


@pytest.fixture(autouse=True)
def _trust_the_throw_away_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)


def run(*words: object, given: str = "") -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, words)], input=given, env={"COLUMNS": "300"})


def document(*words: object, given: str = "") -> dict[str, Any]:
    result = run("--json", *words, given=given)
    assert result.exit_code in (0, 3), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def diagnosis(words: str = "", option_bytes: str = "", log: str = "", part: str = "WB55RG") -> Diagnosis:
    decoded = None
    if option_bytes:
        decoded = decode_pairs(option_bytes, select_target(part))
    told, read = (answer(text) if text else None for text in (words, log))
    return diagnose(Evidence(words=told, log=read, option_bytes=decoded))


def test_no_stack_is_the_first_cause_of_a_silent_radio() -> None:
    first = diagnosis("BLE does not start", NO_STACK).causes[0]
    assert (first.title, first.certainty, first.explains) == ("No stack is installed", Certainty.SEEN, "OB_NO_STACK")
    assert first.evidence == "option bytes: SFSA 0xF4: secure from 0x080F4000, where FUS begins: no stack"


@pytest.mark.parametrize("words", ["the radio does not start", "Thread does not start", "stuck in hci_reset"])
def test_no_stack_explains_every_silent_radio(words: str) -> None:
    assert diagnosis(words, NO_STACK).causes[0].title == "No stack is installed"


def test_a_missing_stack_is_not_a_fault_by_itself() -> None:
    found = diagnosis(option_bytes="SFSA=0xF4 SBRV=0x3D000 C2OPT=1")
    assert found.causes == ()
    assert found.good == ("option bytes: no stack is installed, and CPU2 boots FUS, as before a first installation",)


def test_no_stack_rules_out_a_selected_fus() -> None:
    titles = [cause.title for cause in diagnosis("BLE does not start", NO_STACK).causes]
    assert not any(title.startswith("FUS runs in place of the stack") for title in titles)


def test_selected_fus_is_seen_in_the_option_bytes() -> None:
    found = diagnosis("BLE does not start", "SFSA=0xD0 SBRV=0x3D000 C2OPT=1")
    assert found.causes[0].explains == "OB_FUS_SELECTED"
    assert not any(cause.title.startswith("No stack is installed") for cause in found.causes)


def test_damage_comes_before_a_missing_stack() -> None:
    found = diagnosis("BLE does not start", "SFSA=0xF4 ESE=0")
    assert [cause.explains for cause in found.causes[:2]] == ["OB_ESE_CLEAR", "OB_NO_STACK"]


def test_mark_of_a_stopped_cpu2_comes_first() -> None:
    found = diagnosis("BLE does not start", log="0x20030000 : 3DE96F61 00000000")
    assert found.causes[0].explains == "IPCC_MEM_INCORRECT"


def test_symptom_alone_ranks_causes_by_reports() -> None:
    found = diagnosis("BLE does not start")
    assert {cause.certainty for cause in found.causes} == {Certainty.REPORTED}
    reports = [cause.reports for cause in found.causes]
    assert reports == sorted(reports, reverse=True)
    assert found.check.startswith("Debugger: is the ready callback reached")


def test_error_in_a_log_is_seen_with_its_line() -> None:
    found = diagnosis(log="Error: FUS_STATE_IMG_NOT_AUTHENTIC\nerror: firmware not authentic")
    assert found.causes[0].explains == "IMG_NOT_AUTHENTIC"
    assert found.causes[0].evidence.startswith("log: ")


def test_log_that_ends_with_success_has_no_fault() -> None:
    found = diagnosis(log=(CASES / "cubeprogrammer-session.txt").read_text("utf-8"))
    assert found.causes == ()
    assert "the tool reported success" in found.good[0]


def test_plan_follows_the_cause() -> None:
    found = document(
        "BLE does not start", *WB55, "--option-bytes", NO_STACK, "--fus", "1.2.0", "--stack", IMAGES / "stack-4k.bin"
    )
    assert found["causes"][0]["explains"] == "OB_NO_STACK"
    # The option bytes show that there is nothing to delete.
    assert [step["action"] for step in found["plan"]["steps"]] == ["install-stack", "start-stack"]
    assert found["missing"] == []


def test_fus_version_of_the_log_serves_the_plan() -> None:
    found = document(
        "--log", "-", *WB55, "--stack", IMAGES / "stack-4k.bin", given="FUS version: 1.2.0\n0x20030030 : 01020000\n"
    )
    assert found["plan"] is not None
    assert found["plan"]["refusals"] == []
    assert found["plan"]["steps"][-1]["action"] == "start-stack"


def test_application_in_the_stacks_ram_is_seen(tmp_path: Path) -> None:
    stack = bytearray((IMAGES / "stack-4k.bin").read_bytes())
    stack[-104 + 10] = 2
    (tmp_path / "stack.bin").write_bytes(stack)
    result = run(
        "hardfault after APPE_Init",
        *WB55,
        "--stack",
        tmp_path / "stack.bin",
        "--app",
        CASES / "keil-like.axf",
        "--json",
    )
    assert result.exit_code == 3, result.output
    assert "WB306" in [cause["explains"] for cause in json.loads(result.stdout)["causes"]]


def test_application_over_the_stack_on_the_chip_is_seen(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(bytes(16))
    given = ("--option-bytes", "SFSA=0xD0", "--app", f"{tmp_path / 'app.bin'}@0x080D0000")
    first = document("application crashes", *WB55, *given)["causes"][0]
    assert first["explains"] == "WB305"
    assert "the stack on the chip starts at 0x080D0000" in first["evidence"]


def test_silent_radio_in_a_log_makes_a_missing_stack_a_fault() -> None:
    found = diagnosis(option_bytes=NO_STACK, log="tl_ble_wait_resp: timeout")
    assert found.causes[0].title == "No stack is installed"


def test_application_that_fits_rules_out_the_linker_script(tmp_path: Path) -> None:
    (tmp_path / "app.elf").write_bytes(program(1024))
    more = (*WB55, "--stack", IMAGES / "stack-4k.bin", "--app", tmp_path / "app.elf")
    titles = [cause["title"] for cause in document("BLE does not start", *more)["causes"]]
    assert "Mailbox sections not in SRAM2 because of the linker file." not in titles


def test_plan_that_is_refused_exits_with_3() -> None:
    result = run("--stack", IMAGES / "stack-fus2-4k.bin", *WB55, "--fus", "1.2.0")
    assert result.exit_code == 3
    assert "refused" in result.stdout


def test_a_fus_that_the_plan_upgrades_is_not_a_cause() -> None:
    images = ("--stack", IMAGES / "stack-fus2-4k.bin", "--stack", IMAGES / "fus-2.2.0.bin")
    found = document(*WB55, *images, "--fus", "1.2.0", "--option-bytes", NO_STACK)
    assert found["causes"] == []
    assert [step["action"] for step in found["plan"]["steps"]] == ["install-fus", "install-stack", "start-stack"]


def test_text_has_cause_check_and_plan() -> None:
    given = ("--option-bytes", NO_STACK, "--fus", "1.2.0", "--stack", IMAGES / "stack-4k.bin")
    result = run("BLE does not start", *WB55, *given)
    assert result.exit_code == 3
    assert result.stdout.startswith("Most likely: No stack is installed\n")
    assert result.stdout.index("What decides") < result.stdout.index("1. install stack")


def test_what_would_tell_more_is_named() -> None:
    missing = document("BLE does not start")["missing"]
    assert missing[0].startswith("--option-bytes DUMP --part PART")
    assert missing[1] == "--part --fus --stack: needed for the plan"


def test_unknown_words_are_named_beside_other_evidence() -> None:
    found = document("xyzzy", *WB55, "--option-bytes", "SFSA=0xF4 ESE=0")
    assert found["causes"][0]["explains"] == "OB_ESE_CLEAR"
    assert found["missing"][0].startswith("nothing is known of these words")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "give a symptom in words"),
        (("xyzzy",), "nothing is known of 'xyzzy'"),
        (("--option-bytes", NO_STACK), "it needs --part"),
        (("--log", "-", "--option-bytes", "-", *WB55), "standard input can be read only once"),
    ],
)
def test_wrong_usage_says_why(words: tuple[str, ...], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert reason in result.stderr
