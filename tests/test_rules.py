"""Every rule finds its defect, stays silent on good images, and has its section in the docs."""

import dataclasses
import importlib
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from imagekit import rules
from imagekit.application.model import Application, Block, MemoryRange
from imagekit.catalogue import Catalogue, Content, Publication
from imagekit.errors import ParseError
from imagekit.image.model import Image, Version
from imagekit.rules import RULES, findings
from imagekit.rules.not_an_image import NOT_AN_IMAGE_RULES, not_an_image
from imagekit.rules.registry import Chip, ImageRule, Rule, Severity
from imagekit.targets import select_target
from tests.support.images import FIXTURES, assessed, content
from tests.test_container import NOT_IMAGES

# One line for each way a rule can fire: rule, fixture, facts about the chip and the file, words of the message.
FAILING: list[tuple[str, str, dict[str, Any], str]] = [
    ("WB101", "damaged-info2", {}, "info2 of the image footer is 0xABCDABCC"),
    ("WB101", "damaged-signature-marker", {}, "the signature footer starts with 0x12341235"),
    ("WB102", "unknown-magic", {}, "image magic 0x12345678 is not known"),
    ("WB102", "other-magic", {}, "image magic 0x42769811 is reserved"),
    ("WB103", "unknown-info1", {}, "info1 is 0x01020304"),
    ("WB103", "unknown-gap", {}, "info1 is 0x060106CD"),
    ("WB103", "unknown-byte9", {}, "byte 9 of the image footer is 0x07, not 0xFF"),
    ("WB104", "unknown-source", {}, "source of the signature footer is 0x58, not 0x57"),
    ("WB104", "unknown-signature-magic", {}, "footers are 0x11111111: expected ST's alone, or"),
    ("WB104", "signed-twice-by-st", {}, "footers are 0xD3A12C5E and 0xD3A12C5E"),
    ("WB104", "customer-before-st", {}, "footers are 0xE2B51D4A and 0xD3A12C5E"),
    ("WB104", "empty-block-appended", {}, "signature size of the signature footer is 0x0, not 0x40"),
    ("WB104", "signature-too-long", {}, "signature size of the signature footer is 0x48, not 0x40"),
    ("WB105", "sector-count-too-small", {}, "says 1 sectors, but 5104 bytes need 2 of 4 KiB or 3 of 2 KiB"),
    ("WB106", "length-not-of-words", {}, "3099 bytes is not a multiple of 4"),
    ("WB107", "no-carriage-returns-unsigned", {}, "no byte 0x0D in 7104 bytes"),
    ("WB108", "fus-hidden-version", {}, "stores no version (FF FF FF FF), which is normal for FUS 1.2.0"),
    ("WB109", "unencrypted-in-footers", {}, "the body starts with a vector table"),
    ("WB110", "unknown-version-word", {}, "version word of the signature footer is 0x33110045, not 0x22110045"),
    ("WB201", "no-carriage-returns-unsigned", {}, "the file was modified, or ST used a key we do not have"),
    (
        "WB202",
        "signed-by-wb1x-cut-in-4k",
        {},
        "signed with test-wb1x, a key for WB1x, but divided into sectors of WB3x or",
    ),
    ("WB203", "signed-by-wb3x-early", {}, "ST used for WB3x only, not for WB5x"),
    ("WB204", "customer-signed", {}, "a customer signature, which only a chip with that key can verify"),
    ("WB205", "stack-4k", {"needs_customer_signature": True}, "AUTH_TAG_CUST_NOTFOUND"),
    ("WB206", "signature-r-zero", {}, "cannot be valid: r of the signature is zero"),
    ("WB206", "customer-signature-only", {}, "carries no ST signature"),
    ("WB301", "stack-larger-than-256k", {"part": "WB55CC"}, "does not fit on STM32WB5xxC"),
    (
        "WB301",
        "stack-4k",
        {"part": "WB15CC"},
        "this image is for WB3x or WB5x, in sectors of 4 KiB; STM32WB1xxC has sectors of 2 KiB",
    ),
    ("WB301", "signed-by-wb3x-early", {"part": "WB55RG"}, "a key for WB3x, not WB5x"),
    ("WB302", "safeboot-2.0.0", {}, "factory reset"),
    ("WB302", "safeboot-2.0.1", {}, "factory reset"),
    ("WB303", "stack-fus2-4k", {"fus": "1.2.0"}, "needs FUS 2.0.0 or later, and the chip has 1.2.0"),
    ("WB303", "stack-2k", {"fus": "1.1.0"}, "WB1x never had FUS 1.1.0"),
    ("WB303", "fus-2.2.0", {"fus": "2.2.0"}, "refuses its own version"),
    ("WB303", "fus-2.2.0", {"fus": "1.1.0"}, "install FUS 1.2.0 before FUS 2.2.0"),
    ("WB303", "fus-1.1.0", {"fus": "1.2.0"}, "FUS cannot be downgraded to 1.1.0"),
    ("WB303", "fus-2.2.0", {"fus": "0.5.3"}, "installs only the file named FUS_fw_for_fus_0_5_3, or"),
    ("WB303", "safeboot-2.0.0", {"fus": "2.0.0"}, "Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1, and the chip has"),
    ("WB303", "safeboot-2.0.0", {"fus": "1.0.2"}, "Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1, and the chip has"),
    ("WB304", "stack-4k", {"hex_address": 0x080F4000}, "highest possible address on any target is 0x080F3000"),
    ("WB304", "stack-4k", {"part": "WB55CC", "hex_address": 0x080F3000}, "on STM32WB5xxC is 0x0803F000"),
    ("WB303", "safeboot-2.0.0", {"fus": "2.0.0"}, "Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1, and the chip has"),
    ("WB303", "safeboot-2.0.0", {"fus": "1.0.2"}, "Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1, and the chip has"),
    ("WB304", "stack-4k", {"hex_address": 0}, "at 0x00000000: CPU1's vector table is there, or no flash"),
    ("WB304", "stack-4k", {"hex_address": 0x08000000}, "at 0x08000000: CPU1's vector table"),
    ("WB303", "stack-4k", {"fus": "0.5.3", "part": "WB55CE"}, "may lock for ever"),
    ("WB304", "stack-4k", {"hex_address": 0x08000800}, "not the start of a sector"),
    (
        "WB305",
        "stack-4k",
        {"part": "WB55RG", "flash": 0x080F3001},
        "starts at 0x080F3000, and the application's 0x08000000-0x080F3000 reaches into it: 1 KiB (1 sector) too large",
    ),
    ("WB305", "stack-2k", {"part": "WB15CC", "flash": 0x08046801}, "7 KiB (4 sectors) too large"),
    (
        "WB305",
        "fus-1.1.0",
        {"part": "WB55CC", "flash": 0x08040000},
        "application's 0x08000000-0x0803FFFF reaches into it",
    ),
    ("WB305", "stack-4k", {"part": "WB55RG", "flash": 0x08002001, "hex_address": 0x08002000}, "starts at 0x08002000"),
    ("WB305", "fus-1.1.0", {"part": "WB55RG", "flash": 0x080F3001, "hex_address": 0x080F3000}, "starts at 0x080F3000"),
    ("WB306", "stack-fus2-4k", {"part": "WB55RG", "ram": (0x20000000, 0x32801)}, "SRAM2a up to 0x20032800, but 10 KiB"),
    (
        "WB306",
        "stack-fus2-4k",
        {"part": "WB55RG", "ram": (0x2003BC00, 0x4400)},
        "SRAM2b up to 0x2003FFFF, but 15 KiB",
    ),
    (
        "WB306",
        "stack-2k",
        {"part": "WB15CC", "ram": (0x20038000, 4)},
        "SRAM2b up to 0x20038003, but 0 KiB of it are left",
    ),
    (
        "WB307",
        "stack-4k",
        {"part": "WB55RG", "mailbox": (("TL_RefTable", 0x20030008),)},
        "TL_RefTable at 0x20030008, and CPU2 looks for it at 0x20030000",
    ),
    (
        "WB307",
        "stack-4k",
        {"part": "WB55RG", "mailbox": (("MAPPING_TABLE", 0x20030000), ("MB_MEM2", 0x20001000))},
        "MB_MEM2 at 0x20001000, outside of SRAM2",
    ),
    ("WB401", "stack-4k", {"name": "stm32wb1x_BLE_LLD_fw.bin"}, "says WB1x, but the sectors are those of WB3x or WB5x"),
    (
        "WB401",
        "signed-by-wb3x-early",
        {"name": "stm32wb5x_BLE_LLD_fw.bin"},
        "says WB5x, but the image is signed for WB3x",
    ),
    ("WB402", "fus-1.1.0", {"name": "stm32wb5x_BLE_Stack_full_fw.bin"}, "the name says stack, but the content is fus"),
    ("WB402", "stack-4k", {"name": "stm32wb5x_FUS_fw.bin"}, "the name says fus, but the content is stack"),
    ("WB402", "stack-4k", {"name": "stm32wb5x_Safeboot_fw.bin"}, "the name says safeboot, but the content is stack"),
    ("WB403", "fus-1.1.0", {"name": "stm32wb5x_FUS_fw_1_0_2.bin"}, "the name says 1.0.2, but the footer says 1.1.0"),
    (
        "WB404",
        "stack-4k",
        {"name": "stm32wb5x_BLE_Stack_light_fw.bin", "known": True},
        "published it as BLE_Stack_full",
    ),
    ("WB404", "stack-4k", {"name": "STM32WB5X_BLE_STACK_LIGHT_FW.BIN", "known": True}, "published it as"),
    ("WB405", "stack-4k", {"known": True}, "it catches fire"),
]
SILENT = [
    ("stack-4k", "stm32wb5x_BLE_Stack_full_fw.bin"),
    ("stack-4k", "stm32wb3x_Mac_802_15_4_fw.bin"),
    ("stack-2k", "stm32wb1x_BLE_LLD_fw.bin"),
    ("stack-fus2-4k", "my favourite stack.bin"),
    ("stack-fus2-2k", ""),
    ("fus-1.0.2", "stm32wb5x_FUS_fw_1_0_2.bin"),
    ("fus-1.1.0", "stm32wb5x_FUS_fw.bin"),
    ("fus-2.2.0", "stm32wb5x_FUS_fw.bin"),
    ("fus-2.2.0-2k", "stm32wb1x_FUS_fw.bin"),
]


def found(name: str, facts: dict[str, Any]) -> dict[str, str]:
    """Rule id → message, for an image under the throw-away keys, with facts about its name and chip."""
    facts = dict(facts)
    assessment = assessed(name)
    if facts.pop("known", False):
        publication = Publication("v9.9.9", "STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin", {})
        other = Publication("v9.9.9", "STM32WB5x/stm32wb5x_BLE_Stack_light_fw.bin", {})
        known = Content("", 0, *(None,) * 2, (), *(None,) * 5, published=(publication,), known_bad="it catches fire")
        contents = {"0" * 64: known, "1" * 64: dataclasses.replace(known, published=(other,))}
        assessment = dataclasses.replace(assessment, known=known, catalogue=Catalogue((), contents))
    if {"flash", "ram", "mailbox"} & set(facts):
        facts["application"] = dataclasses.replace(
            application(facts.pop("flash", 0x08001000), facts.pop("ram", None)), mailbox=facts.pop("mailbox", ())
        )
    path, hex_address = "folder/" + facts.pop("name", "x.bin"), facts.pop("hex_address", None)
    if part := facts.pop("part", None):
        facts["target"] = select_target(part)
    if fus := facts.pop("fus", None):
        facts["fus"] = Version.from_text(fus)
    return {
        finding.rule: finding.message
        for finding in findings(assessment, Chip(**facts), path=path, hex_address=hex_address)
    }


def application(end: int, ram: tuple[int, int] | None = None) -> Application:
    """An application that ends just below an address in flash, and uses some RAM."""
    blocks = (Block(start=0x08000000, data=bytes(end - 0x08000000)),)
    return Application(
        name="app.elf", blocks=blocks, ram=(MemoryRange(start=ram[0], end=ram[0] + ram[1]),) if ram else ()
    )


SILENT_WITH_APPLICATION: list[tuple[str, dict[str, Any]]] = [
    ("stack-4k", {"part": "WB55RG", "flash": 0x080F3000}),
    ("stack-4k", {"part": "WB55RG", "flash": 0x080F4000, "fus": "0.5.3"}),
    ("stack-fus2-4k", {"part": "WB55RG", "ram": (0x20000000, 0x32800)}),
    ("stack-fus2-4k", {"part": "WB55RG", "ram": (0x20038000, 15 * 1024)}),
    ("fus-2.2.0-2k", {"part": "WB15CC", "ram": (0x20000000, 0x40000)}),
    ("stack-2k", {"part": "WB15CC", "ram": (0x20039000, 4)}),
    # SRAM2a is wholly CPU1's under this stack, and SRAM2b up to 0x2003D000.
    ("stack-4k", {"part": "WB55RG", "ram": (0x20030000, 0xD000)}),
    ("stack-4k", {"part": "WB55RG", "mailbox": (("TL_RefTable", 0x20030000), ("MB_MEM1", 0x20030080))}),
    # FUS has a mailbox of its own in the flasher's place.
    ("fus-2.2.0", {"part": "WB55RG", "mailbox": (("TL_RefTable", 0x20000000),)}),
    # ST leaves two sectors free above it, and a HEX file that uses them is where it may be.
    ("fus-1.1.0", {"part": "WB55RG", "flash": 0x080F3000, "hex_address": 0x080F3000}),
]


@pytest.mark.parametrize(("name", "facts"), SILENT_WITH_APPLICATION)
def test_an_application_that_fits_has_no_finding(name: str, facts: dict[str, Any]) -> None:
    assert found(name, facts) == {}


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (((0x08000000, 16), (0x080F8000, 256)), "the application's 0x080F8000-0x080F80FF lies above that"),
        (((0x080F2000, 8192), (0x080F8000, 1)), "0x080F2000-0x080F3FFF reaches into it, with 1 block more above"),
        (((0x080F3000, 1), (0x080F3002, 1), (0x080F3004, 1)), "0x080F3000 lies above that, with 2 blocks more above"),
    ],
)
def test_the_block_that_is_above_is_named(blocks: tuple[tuple[int, int], ...], words: str) -> None:
    app = Application(name="app.elf", blocks=tuple(Block(start=start, data=bytes(size)) for start, size in blocks))
    chip = Chip(target=select_target("WB55RG"), application=app)
    (finding,) = findings(assessed("stack-4k"), chip)
    assert finding.message.endswith(words)
    assert finding.message.startswith("the image starts at 0x080F3000, and ")


def test_an_image_without_an_address_has_one_finding() -> None:
    assert set(found("stack-larger-than-256k", {"part": "WB55CC", "flash": 0x08040000})) == {"WB301"}


@pytest.mark.parametrize(("rule", "name", "facts", "words"), FAILING)
def test_a_rule_finds_its_defect(rule: str, name: str, facts: dict[str, Any], words: str) -> None:
    assert words in found(name, facts)[rule]


@pytest.mark.parametrize(("name", "file"), SILENT)
def test_good_images_have_no_findings(name: str, file: str) -> None:
    part, fus = ("WB15CC", "2.0.0") if name.endswith("2k") else ("WB55RG", "2.0.0")
    if name.startswith("fus-1"):
        fus = "0.5.3" if name == "fus-1.0.2" else "1.0.2"
    assert found(name, {"name": file, "part": part, "fus": fus, "hex_address": 0x08001000}) == {}


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, (reason, _) in sorted(NOT_IMAGES.items())])
def test_every_reason_not_to_be_an_image_has_a_rule(name: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        Image.parse(content(name))
    finding = not_an_image(caught.value)
    assert finding.severity is Severity.ERROR
    assert finding.message == str(caught.value)
    assert RULES[finding.rule].id == f"WB{REASONS.index(reason) + 1:03}"


REASONS = [
    *("unreadable", "empty", "too-short", "too-large", "web-page", "lfs-pointer"),
    *("text-mangled", "unencrypted", "no-signature-footer", "no-image-footer"),
]


def test_an_unverified_known_image_names_its_release() -> None:
    message = found("no-carriage-returns-unsigned", {"known": True})["WB201"]
    assert "ST published exactly these bytes in v9.9.9" in message


@pytest.mark.parametrize("file", ["stm32wb5x_BLE_Stack_new_fw.bin", "STM32WB5X_BLE_STACK_FULL_FW.BIN", "x.bin"])
def test_a_known_image_under_its_own_or_a_new_name_is_fine(file: str) -> None:
    assert "WB404" not in found("stack-4k", {"known": True, "name": file})


def test_a_needed_customer_signature_has_no_finding() -> None:
    assert found("customer-signed", {"needs_customer_signature": True}) == {}


def test_a_valid_signature_rules_out_a_text_mode_transfer() -> None:
    assessment = assessed("stack-4k")
    body = dataclasses.replace(assessment, image=dataclasses.replace(assessment.image, lacks_carriage_returns=True))
    assert findings(body) == ()


def test_only_a_fus_image_is_compared_with_fus_1_2_0() -> None:
    assessment = assessed("stack-4k")
    footer = dataclasses.replace(assessment.image.footer, major=255, minor=255, sub=255, branch_build=255)
    hidden = dataclasses.replace(assessment, image=dataclasses.replace(assessment.image, footer=footer))
    assert [finding.message for finding in findings(hidden)] == ["the file stores no version (FF FF FF FF)"]


def test_a_gap_in_sectors_of_the_other_size_is_unknown() -> None:
    assessment = assessed("stack-fus2-2k")
    footer = dataclasses.replace(assessment.image.footer, info1=0x040104CD)
    other = dataclasses.replace(assessment, image=dataclasses.replace(assessment.image, footer=footer))
    assert "4 sectors of 2 KiB are not the 16 KiB of FUS 2" in next(finding.message for finding in findings(other))


def test_every_image_rule_has_a_failing_case() -> None:
    folder_and_release = {"WB406", "WB407"} | {id_ for id_ in RULES if id_.startswith(("WB0", "WB5"))}
    assert set(RULES) - folder_and_release == {case[0] for case in FAILING}


def test_every_other_rule_is_tested_where_it_belongs() -> None:
    """Of files that are no images here, of folders in test_check, of release notes in test_audit, each by its id."""
    tests = Path(__file__).parent
    for prefixes, file in ((("WB406", "WB407"), "test_check.py"), (("WB5",), "test_audit.py")):
        text = (tests / file).read_text(encoding="utf-8")
        assert [id_ for id_ in RULES if id_.startswith(prefixes) and id_ not in text] == []
    tested = {reason for reason, _ in NOT_IMAGES.values()} | {"unreadable", "too-large"}
    assert tested == set(REASONS)


def test_every_declared_rule_is_in_the_table() -> None:
    declared = {
        value.rule if isinstance(value, ImageRule) else value
        for module in pkgutil.iter_modules(rules.__path__, "imagekit.rules.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Rule | ImageRule)
    }
    assert {rule.id for rule in declared} <= set(RULES)
    assert declared | set(NOT_AN_IMAGE_RULES) == set(RULES.values())


def test_the_table_is_complete_whichever_module_is_imported() -> None:
    code = "import imagekit.releases.audit; from imagekit.rules import RULES; print(*sorted(RULES))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == sorted(RULES)


def test_titles_state_the_finding_in_one_sentence() -> None:
    for rule in RULES.values():
        assert re.fullmatch(r"[A-Z][^.]*[^.\s]", rule.title.replace("1.x", "1")), rule.title
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", rule.name), rule.name
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_ids_have_their_form() -> None:
    assert all(re.fullmatch(r"WB[0-9]\d\d", id_) and rule.id == id_ for id_, rule in RULES.items())


FAMILIES = {
    "WB0": "files that are not an image",
    "WB1": "the file's own bytes",
    "WB2": "signatures",
    "WB3": "whether and where the image can be installed",
    "WB4": "names and known images",
    "WB5": "release notes",
}


def test_the_docs_are_made_from_the_rules(request: pytest.FixtureRequest) -> None:
    lines = [
        "# Rules",
        "",
        "What `imagekit inspect`, `check` and `audit` can find. This page is generated from the rules. Each title",
        "states the finding.",
        "",
        "The meaning of an id never changes. Only an **error** makes `check` refuse a file. A **warning** is something",
        "to know before you ship, a **note** explains.",
    ]
    for family, what in FAMILIES.items():
        lines += ["", f"## {family}xx: {what}"]
        for id_, rule in sorted(RULES.items()):
            if id_.startswith(family):
                help_ = textwrap.fill(rule.help, 120, break_long_words=False, break_on_hyphens=False)
                lines += ["", f"### {id_} {rule.title} ({rule.severity.value})", "", help_]
    path, text = FIXTURES.parent / "docs" / "rules.md", "\n".join(lines) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
    assert all(len(rule.help) > 40 for rule in RULES.values())


HAVE_TWO = (
    *("no-carriage-returns-unsigned", "signature-too-long", "customer-signature-only"),
    *("customer-before-st", "safeboot-2.0.0", "empty-block-appended"),
)


def test_one_defect_is_one_finding() -> None:
    """A fixture with one defect fires one rule, and no other."""
    for rule, name, facts, _ in FAILING:
        if facts == {} and name not in HAVE_TWO:
            assert set(found(name, facts)) == {rule}, name
