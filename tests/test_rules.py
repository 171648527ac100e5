"""Every rule finds its defect, stays silent on good images, and has its section in the docs."""

import re

import pytest

from imagekit.rules import RULES, Severity, findings
from imagekit.targets import select_target
from tests.support.images import FIXTURES, assessed, rules_found

# Rule → (fixture, part, words of the message). One line for each way a rule can fire.
FAILING = [
    ("WB101", "damaged-info2", None, "info2 of the image footer is 0xABCDABCC"),
    ("WB101", "damaged-signature-marker", None, "the signature footer starts with 0x12341235"),
    ("WB102", "unknown-magic", None, "image magic 0x12345678 is not known"),
    ("WB102", "other-magic", None, "image magic 0x42769811 is reserved"),
    ("WB103", "unknown-info1", None, "info1 is 0x01020304"),
    ("WB103", "unknown-gap", None, "info1 is 0x060106CD"),
    ("WB103", "unknown-byte9", None, "byte 9 of the image footer is 0x07, not 0xFF"),
    ("WB104", "unknown-source", None, "source of the signature footer is 0x58, not 0x57"),
    ("WB104", "unknown-version-word", None, "version word of the signature footer is 0x33110045"),
    ("WB104", "unknown-signature-magic", None, "magic of the signature footer is 0x11111111"),
    ("WB104", "signature-too-long", None, "signature size of the signature footer is 0x48, not 0x40"),
    ("WB105", "sector-count-too-small", None, "says 1 sectors, and 5104 bytes take 2 of 4 KiB or 3 of 2 KiB"),
    ("WB106", "length-not-of-words", None, "3099 bytes are no multiple of 4"),
    ("WB107", "no-carriage-returns-unsigned", None, "no byte 0x0D in 7104 bytes"),
    ("WB108", "fus-hidden-version", None, "this is FUS 1.2.0"),
    ("WB109", "unencrypted-in-footers", None, "the body starts with a vector table"),
    ("WB201", "signature-r-zero", None, "cannot be valid: r of the signature is zero"),
    ("WB201", "customer-signature-only", None, "carries no signature of ST's"),
    ("WB202", "signed-by-wb1x-cut-in-4k", None, "signed with test-wb1x, a key for WB1x, but cut in sectors of WB3x or"),
    ("WB203", "signed-by-wb3x-early", None, "ST used for WB3x only, not WB5x"),
    ("WB204", "customer-signed", None, "a customer's signature, which is not checked"),
    ("WB301", "stack-larger-than-256k", "WB55CC", "does not fit on STM32WB5xxC"),
    ("WB301", "stack-4k", "WB15CC", "STM32WB1xxC is a WB1x"),
    ("WB301", "signed-by-wb3x-early", "WB55RG", "a key for WB3x, not WB5x"),
    ("WB302", "safeboot-2.0.0", None, "factory reset"),
    ("WB302", "safeboot-2.0.1", None, "factory reset"),
]
SILENT = [
    "stack-4k",
    "stack-2k",
    "stack-fus2-4k",
    "stack-fus2-2k",
    "fus-1.0.2",
    "fus-1.1.0",
    "fus-2.2.0",
    "fus-2.2.0-2k",
]


@pytest.mark.parametrize(("rule", "name", "part", "words"), FAILING)
def test_a_rule_finds_its_defect(rule: str, name: str, part: str | None, words: str) -> None:
    assert words in rules_found(name, select_target(part) if part else None)[rule]


@pytest.mark.parametrize("name", SILENT)
def test_good_images_have_no_findings(name: str) -> None:
    part = "WB15CC" if name.endswith("2k") else "WB55RG"
    assert rules_found(name, select_target(part)) == {}


def test_an_unverified_signature_names_both_causes() -> None:
    from imagekit.assessment import assess
    from tests.support.images import image

    (finding,) = findings(assess(image("stack-4k")))
    assert (finding.rule, finding.severity) == ("WB201", Severity.ERROR)
    assert "altered, or signed under a key not known" in finding.message


def test_every_rule_has_a_failing_case() -> None:
    assert {rule.id for rule in RULES} == {case[0] for case in FAILING}


def test_ids_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"WB[1-9]\d\d", id_) for id_ in ids)


def test_every_rule_has_its_section_in_the_docs() -> None:
    text = (FIXTURES.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    documented = re.findall(r"^### (WB\d{3}) (.+) \((\w+)\)$", text, re.MULTILINE)
    assert documented == [(rule.id, rule.title, rule.severity.value) for rule in RULES]


def test_one_defect_is_one_finding() -> None:
    """A fixture with one defect fires one rule, and where damage breaks the signature too, that one."""
    for rule, name, part, _ in FAILING:
        if part is None and name != "customer-signature-only":
            assert set(rules_found(name)) - {"WB201"} <= {rule}, name


def test_sorting_and_order_do_not_depend_on_the_image() -> None:
    ids = [finding.rule for finding in findings(assessed("signed-by-wb3x-early"), select_target("WB55RG"))]
    assert ids == ["WB203", "WB301"]
