"""The explanations and `imagekit explain`: every code has one, with its evidence; awkward questions get one line."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagekit.cli.program import app
from imagekit.errors import ExplanationError
from imagekit.explanations import (
    Explanation,
    Group,
    explanations,
    fus_error,
    fus_state,
    lookup,
    magic_word,
    named,
    shci_status,
    suggestions,
)
from imagekit.report.explanation import complete, overview, page
from imagekit.rules import RULES

GOLDEN = Path(__file__).parent / "golden"


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments], input=stdin)


def refused(*arguments: str) -> str:
    """The one message of a question that is wrong usage."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())


def names(text: str) -> list[tuple[str, str]]:
    return [(one.group.value, one.name) for one in lookup(text)]


# shci.h, SHCI_FUS_GetState_ErrorCode_t; AN5185, table 12.
ERRORS = {
    0x00: "NO_ERROR",
    0x01: "IMG_NOT_FOUND",
    0x02: "IMG_CORRUPT",
    0x03: "IMG_NOT_AUTHENTIC",
    0x04: "IMG_NOT_ENOUGH_SPACE",
    0x05: "IMAGE_USRABORT",
    0x06: "IMAGE_ERSERROR",
    0x07: "IMAGE_WRTERROR",
    0x08: "AUTH_TAG_ST_NOTFOUND",
    0x09: "AUTH_TAG_CUST_NOTFOUND",
    0x0A: "AUTH_KEY_LOCKED",
    0x11: "FW_ROLLBACK_ERROR",
    0xFE: "NOT_RUNNING",
    0xFF: "UNKNOWN",
}


@pytest.mark.parametrize(("code", "name"), ERRORS.items())
def test_every_fus_error_is_explained(code: int, name: str) -> None:
    assert fus_error(code).name == name
    assert fus_error(code).never


def test_no_other_fus_error_is() -> None:
    known = {code for code in range(256) if any(one.has_code(code) for one in _of(Group.FUS_ERROR))}
    assert known == set(ERRORS)
    with pytest.raises(ExplanationError, match="FUS error 0x0B is not documented"):
        fus_error(0x0B)


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        *((0x00, 0x00, "IDLE"), (0x10, 0x1F, "FW_UPGRD_ONGOING"), (0x20, 0x2F, "FUS_UPGRD_ONGOING")),
        *((0x30, 0x3F, "SERVICE_ONGOING"), (0xFE, 0xFE, "STACK_RUNNING"), (0xFF, 0xFF, "ERROR")),
    ],
)
def test_every_fus_state_is_explained(first: int, last: int, name: str) -> None:
    assert {fus_state(code).name for code in range(first, last + 1)} == {name}


@pytest.mark.parametrize("code", [0x01, 0x0F, 0x40, 0xFD, -1, 256])
def test_no_other_fus_state_is(code: int) -> None:
    with pytest.raises(ExplanationError, match="is not documented"):
        fus_state(code)


@pytest.mark.parametrize("code", [0x00, 0x01, 0x07, 0x11, 0x12, 0x42, 0x92, 0xFF])
def test_every_shci_status_is_explained(code: int) -> None:
    assert shci_status(code).name.startswith("SHCI_")


def test_the_magic_words_are_explained() -> None:
    found = {word: magic_word(word) for word in (0x3DE96F61, 0x1170FD0F, 0xA94656B9)}
    assert [one.name for one in found.values() if one] == ["IPCC_MEM_INCORRECT", "CPU2_HARD_FAULT", "FUS_DEVICE_INFO"]
    assert magic_word(0x20030024) is None


def test_every_rule_is_explained_and_no_other() -> None:
    rules = _of(Group.RULE)
    assert {one.name for one in rules} == set(RULES)
    assert all(complete(one).title == RULES[one.name].title for one in rules)
    assert not any("](" in complete(one).means for one in rules)


@pytest.mark.parametrize("one", explanations(), ids=lambda one: one.name)
def test_every_explanation_is_whole(one: Explanation) -> None:
    full = complete(one)
    assert len(full.means) > 20
    assert full.title
    assert not full.title.endswith(".")
    assert one.sources
    assert one.causes
    assert one.never
    assert one.todo or one.group is Group.RULE
    evidence = [*one.sources, *(cause.source for cause in one.causes)]
    assert all(len(source) > 5 and "TODO" not in source for source in evidence)
    assert not [text for text in evidence if text.startswith("http") and re.search(r"[\s]", text)]


def test_names_are_unique_in_their_group() -> None:
    found = [(one.group, one.name) for one in explanations()]
    assert len(found) == len(set(found))
    groups = [one.group for one in explanations()]
    assert groups == sorted(groups, key=list(Group).index)


def test_commands_that_explanations_name_exist() -> None:
    told = " ".join(text for one in explanations() for text in (*one.todo, one.means))
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"`imagekit (\w+)", told)) <= known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, [("fus-error", "IMG_NOT_FOUND")]) for text in ("FUS_STATE_IMG_NOT_FOUND", "image not found")),
        *((text, [("fus-error", "IMG_NOT_FOUND")]) for text in ("img-not-found", "IMAGE_NOT_FOUND", " Img_Not_Found ")),
        ("Error: FUS_STATE_IMG_NOT_FOUND", [("fus-error", "IMG_NOT_FOUND")]),
        ("FUS_STATE_IMG_NOT_AUTHENTIC", [("fus-error", "IMG_NOT_AUTHENTIC")]),
        ("FUS_STATE_ERROR_IMG_CORRUPT", [("fus-error", "IMG_CORRUPT")]),
        ("ERR_UNKNOWN", [("fus-error", "UNKNOWN")]),
        ("FUS_STATE_ERR_UNKNOWN", [("fus-error", "UNKNOWN")]),
        *((text, [("fus-error", "IMG_NOT_ENOUGH_SPACE")]) for text in ("NOT_ENOUGH_SPACE", "NO_ENOUGH_SPACE")),
        ("SERVICE_ONGOING", [("fus-state", "SERVICE_ONGOING")]),
        ("FW_UPGRD_ONGOING", [("fus-state", "FW_UPGRD_ONGOING")]),
        ("FUS_UPGRD_ONGOING", [("fus-state", "FUS_UPGRD_ONGOING")]),
        ("FUS_STATE_FUS_UPGRD_ONGOING", [("fus-state", "FUS_UPGRD_ONGOING")]),
        ("FUS_STATE_NOT_RUNNING", [("fus-state", "STACK_RUNNING"), ("fus-error", "NOT_RUNNING")]),
        ("SHCI_FUS_CMD_NOT_SUPPORTED", [("shci-status", "SHCI_FUS_CMD_NOT_SUPPORTED")]),
        ("Security extension not instantiated", [("message", "SECURITY_EXTENSION")]),
        ("Error: security extension is not instantiated!", [("message", "SECURITY_EXTENSION")]),
        ("FUS_UFB_CORRUPT", [("message", "FUS_UFB_CORRUPT")]),
        *((text, [("message", "VERSION_HIDDEN")]) for text in ("V-1.-1.-1", "255.255.255", "-1.-1.-1")),
        ("File version: V-1.-1.-1", [("message", "VERSION_HIDDEN")]),
        *((text, [("message", "FUS_VERSION_ZERO")]) for text in ("0.0.0", "FUS version 0.0.0.0", "v0.0.0.0")),
        ("wb303", [("rule", "WB303")]),
        ("stack.bin: WB303 needs FUS 2.0.0", [("rule", "WB303")]),
        ("SFSA 0", [("option-bytes", "OB_SFSA_ZERO")]),
        ("sbrv 0x3FFFF", [("option-bytes", "OB_SBRV_SAFEBOOT")]),
        ("0x20030000 : 1170FD0F, that is 0x1170FD0F", [("magic-word", "CPU2_HARD_FAULT")]),
        ("1170fd0f", [("magic-word", "CPU2_HARD_FAULT")]),
        ("0x01", [("fus-error", "IMG_NOT_FOUND"), ("shci-status", "SHCI_UNKNOWN_CMD")]),
        ("FUS state is FUS_IDLE, FUS status is FUS_NO_ERROR", [("fus-state", "IDLE"), ("fus-error", "NO_ERROR")]),
        *((text, []) for text in ("", "   ", "0x99", "1.1.1", "V1.1.1", "---", "\0", "9" * 5000, "0x" + "F" * 100)),
    ],
)
def test_lookup(text: str, expected: list[tuple[str, str]]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize("text", ["0x11", "17", "0X11", "0x0011"])
def test_a_number_with_several_meanings_has_them_all(text: str) -> None:
    assert names(text) == [
        ("fus-state", "FW_UPGRD_ONGOING"),
        ("fus-error", "FW_ROLLBACK_ERROR"),
        ("shci-status", "SHCI_ERR_UNSUPPORTED_FEATURE"),
    ]
    printed = run(text).stdout
    for heading in ("FUS state 0x10-0x1F", "FUS error 0x11", "SHCI status 0x11"):
        assert heading in printed


def test_named_is_for_what_has_no_code() -> None:
    assert named("OB_SFSA_ZERO").group is Group.OPTION_BYTES
    with pytest.raises(ExplanationError, match="nothing is explained under 'IDLE'"):
        named("IDLE")


def test_what_must_never_be_forgotten() -> None:
    """The traps that have cost chips."""
    assert any("cannot be undone" in text for text in fus_error(0x11).never)
    assert "normal answer" in fus_error(0x01).means
    assert any("same FUS version" in cause.text for cause in fus_error(0x03).causes)
    assert "it worked" in lookup("FUS_UFB_CORRUPT")[0].title
    assert any("unknown" in text.lower() for text in (fus_error(0x06).means, fus_error(0x07).means))
    assert any("older" in text or "before 1.1.0" in text for text in named("OB_COMPLEMENT").never)
    assert "disputed" in fus_error(0x00).means
    for name in ("OB_SFSA_ZERO", "OB_DAMAGE", "OB_SBRV_SAFEBOOT"):
        assert any("read protection" in text for text in named(name).never)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("IMG_NOT_FUOND", "'IMG_NOT_FUOND' is not known: did you mean IMG_NOT_FOUND"),
        ("WB999", "'WB999' is not known"),
        ("0x99", "the number 0x99 is not known"),
        ("xyzzy", "is not a file, and not a known code, message or symptom"),
        ("SFSA=0xD0", "fields are judged with --option-bytes SFSA=0xD0 --part PART"),
        ("a\x1b[31mb", "'a\\x1b[31mb'"),
        ("x" * 5000, "x..."),
    ],
)
def test_an_unknown_question_gets_one_line(question: str, words: str) -> None:
    assert words.replace(" ", "") in refused(question).replace(" ", "")


def test_suggestions_are_few() -> None:
    assert suggestions("IMG_NOT") != ()
    assert len(suggestions("ERR")) <= 3
    assert suggestions("x" * 10_000) == ()


def test_words_of_one_name_need_no_quotes() -> None:
    assert run("img", "not", "found").stdout == run("IMG_NOT_FOUND").stdout


def test_several_questions_are_answered_once_each() -> None:
    printed = run("0x06", "ERSERROR", "WB001").stdout
    assert printed.count("FUS error 0x06") == 1
    assert "Rule WB001 (error)" in printed


def test_json() -> None:
    document = json.loads(run("0x06", "--json").stdout)
    assert document["schema"] == "imagekit.explanations/1"
    (one,) = document["explanations"]
    assert (one["group"], one["name"], one["codes"]) == ("fus-error", "IMAGE_ERSERROR", [{"first": 6, "last": 6}])
    assert len(json.loads(run("--json").stdout)["explanations"]) == len(explanations())


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("explain.txt", []),
        ("explain-0x11.txt", ["0x11"]),
        ("explain-img-not-found.txt", ["FUS_STATE_IMG_NOT_FOUND"]),
        ("explain-wb303.txt", ["WB303"]),
    ],
)
def test_text(file: str, arguments: list[str], request: pytest.FixtureRequest) -> None:
    printed = run(*arguments).stdout
    if request.config.getoption("--update-golden"):
        (GOLDEN / file).write_text(printed, encoding="utf-8")
    assert printed == (GOLDEN / file).read_text(encoding="utf-8")


def _of(group: Group) -> list[Explanation]:
    return [one for one in explanations() if one.group is group]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_pages_wrap_at_the_terminal_s_width(width: int) -> None:
    for one in explanations():
        for line in page(one, width=width).splitlines()[1:]:
            is_one_word = len(line[12:].removeprefix("- ").split()) == 1  # an address, which must stay whole
            assert len(line) <= width or is_one_word
    assert all(len(line) <= 120 for line in overview(explanations(), width=120).splitlines())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("error 0x04", {"IMG_NOT_ENOUGH_SPACE"}),
        ("state=0xFF error=0xFE", {"ERROR", "NOT_RUNNING"}),
        ("SHCI_C2_FUS_GetState returned 0xFF", {"ERROR", "SHCI_FUS_CMD_NOT_SUPPORTED"}),
        ("RDP", {"OB_RDP_1"}),
    ],
)
def test_a_line_of_a_log_with_a_code_is_understood(text: str, names: set[str]) -> None:
    assert {one.name for one in lookup(text)} == names
