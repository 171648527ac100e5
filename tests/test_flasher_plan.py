"""flasher/plan.py: every step, every refusal with its reason, and no area where nothing may be erased."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flasher.acceptance import consequence, name_to_accept
from flasher.clearing import FlashContent
from flasher.device import Area, Options, Staging
from flasher.facts import Facts, difference, option_refusals
from flasher.journal import History
from flasher.plan import InstallStep
from flasher.registers import FLASH_BASE
from imagekit import placement
from imagekit.assessment import assess
from imagekit.bundle.manifest import ManifestStep, describe
from imagekit.image.model import Image, Version
from imagekit.targets import TARGETS, select_target
from tests.support.facts import accepting, facts, planned
from tests.support.flashing import opened
from tests.support.images import content

G = select_target("STM32WB55RG")
FUS_AT, STACK_AT = 0x080F3000, 0x080EF000
"""Where fus-2.2.0 and stack-fus2-4k go on 1 MiB: one sector each, the stack with four free above it."""
UPGRADE = ("fus-2.2.0", "stack-fus2-4k")
LINE = b"\x12\x34\x56\x78" * 2
VECTORS = bytes.fromhex("00100020 01010008")
FUS2 = accepting("fus-2.2.0")


def actions(chip: Facts, *names: str, history: History | None = None, **consent: Any) -> list[str]:
    plan = planned(opened(*names), chip, history, **consent)
    assert plan.refusals == ()
    return [step.title for step in plan.steps]


def reasons(chip: Facts, *names: str, history: History | None = None, **consent: Any) -> str:
    plan = planned(opened(*names), chip, history, **consent)
    assert plan.refusals
    return "\n".join(plan.refusals)


# --- which steps


def test_a_fresh_chip_gets_fus_and_stack_and_is_started() -> None:
    assert actions(facts(), *UPGRADE, **FUS2) == [
        "install-fus 2.2.0 at 0x080F3000",
        "install-stack 1.24.0 at 0x080EF000",
        "start-stack",
    ]


def test_what_each_step_is_made_of() -> None:
    plan = planned(opened(*UPGRADE), facts(), **FUS2)
    fus, stack, start = plan.steps
    assert fus.staging is not None
    assert fus.staging.data.startswith(content("fus-2.2.0"))
    assert hashlib.sha256(fus.staging.data[: len(content("fus-2.2.0"))]).hexdigest() == fus.image
    assert len(fus.staging.data) % 8 == 0
    assert fus.area == fus.staging.area == Area(FUS_AT, FUS_AT + 4096, G)
    assert (fus.name, fus.is_irreversible, stack.name, stack.is_irreversible) == ("fus-2.2.0", True, None, False)
    assert stack.version == Version(1, 24, 0, 0, 1)
    assert {fus.image, stack.image} == set(plan.bundle.images)
    assert (start.image, start.staging, start.area) == (None, None, None)
    assert plan.to_accept == ()


def test_an_image_is_padded_with_ones_to_a_double_word() -> None:
    """0xFF, so that no magic word stands there twice."""
    image = content("stack-4k")
    assert len(image) % 8 == 4
    (step, _) = planned(opened("stack-4k"), facts()).steps
    assert step.staging is not None
    assert step.staging.data == image + b"\xff" * 4


def test_a_chip_with_a_newer_fus_gets_the_stack_alone() -> None:
    for fus in ("2.2.0", "2.3.0"):
        assert actions(facts(fus=fus), *UPGRADE) == ["install-stack 1.24.0 at 0x080EF000", "start-stack"]


def test_fus_alone_is_installed_and_nothing_is_started() -> None:
    assert actions(facts(), "fus-2.2.0", **FUS2) == ["install-fus 2.2.0 at 0x080F3000"]


def test_fus_alone_on_a_chip_that_has_it_leaves_its_stack_alone() -> None:
    assert actions(facts(fus="2.2.0", stack="stack-4k"), "fus-2.2.0") == []


def test_from_fus_0_5_3_each_stage_in_its_turn() -> None:
    chain = ("fus-1.0.2", "fus-1.1.0")
    assert actions(facts(fus="0.5.3"), *chain, **accepting("fus-1.0.2", "fus-1.1.0")) == [
        "install-fus 1.0.2 at 0x080F1000",
        "install-fus 1.1.0 at 0x080F1000",
    ]
    assert actions(facts(fus="1.0.2"), *chain, **accepting("fus-1.1.0")) == ["install-fus 1.1.0 at 0x080F1000"]
    assert actions(facts(fus="1.2.0"), *chain) == []


def test_an_installed_stack_is_deleted_first() -> None:
    assert actions(facts(stack="stack-4k"), *UPGRADE, **FUS2) == [
        "delete-stack",
        "install-fus 2.2.0 at 0x080F3000",
        "install-stack 1.24.0 at 0x080EF000",
        "start-stack",
    ]


def test_a_stack_that_sfsa_alone_knows_of_is_deleted_too() -> None:
    chip = facts(stack="stack-4k", is_fus=True)
    chip = replace(chip, info=replace(chip.info, stack=None, stack_sectors=0))
    assert actions(chip, "stack-4k")[0] == "delete-stack"


def test_the_same_stack_is_left_alone() -> None:
    assert actions(facts(stack="stack-4k"), "stack-4k") == []


def test_the_same_stack_under_an_older_fus_is_reinstalled() -> None:
    """FUS is upgraded on a chip without a stack."""
    assert actions(facts(stack="stack-4k"), "fus-2.2.0", "stack-4k", **FUS2) == [
        "delete-stack",
        "install-fus 2.2.0 at 0x080F3000",
        "install-stack 1.13.3 at 0x080F3000",
        "start-stack",
    ]


def test_the_same_stack_with_fus_selected_is_started() -> None:
    chip = facts(stack="stack-4k", is_fus=True)
    assert actions(chip, "stack-4k") == ["start-stack"]
    selected = chip.options.words["SRRVR"] & ~0x3FFFF | 0x3D000
    chip = facts(stack="stack-4k", is_fus=False, words={"SRRVR": selected})
    assert actions(chip, "stack-4k") == ["start-stack"]


def test_the_same_version_of_another_variant_is_replaced() -> None:
    """Version numbers name no variant: sectors and SRAM2 do."""
    larger = facts(stack="stack-4k", stack_sectors=3)
    assert actions(larger, "stack-4k")[:2] == ["delete-stack", "install-stack 1.13.3 at 0x080F3000"]
    chip = facts(stack="stack-4k")
    other = chip.options.words["SRRVR"] & ~(0x1F << 25) | 10 << 25
    assert actions(facts(stack="stack-4k", words={"SRRVR": other}), "stack-4k")[0] == "delete-stack"


def test_the_journal_tells_two_alike_variants_apart() -> None:
    """BLE_Stack_full and BLE_Stack_basic of v1.13.3 differ in nothing that a chip tells."""
    chip = facts(stack="stack-4k")
    (image,) = opened("stack-4k").images
    assert actions(chip, "stack-4k", history=History(stack=image)) == []
    assert actions(chip, "stack-4k", history=History(stack="0" * 64))[0] == "delete-stack"


def test_safeboot_is_installed_once() -> None:
    chip = facts(fus="2.2.0")
    accepted = accepting("safeboot-2.0.1")
    assert actions(chip, "safeboot-2.0.1", **accepted) == ["install-safeboot 2.0.1 at 0x080F3000"]
    assert actions(facts(fus="2.2.0", safeboot=Version(2, 0, 1)), "safeboot-2.0.1") == []


def test_safeboot_after_fus_is_installed_in_any_case() -> None:
    chip = facts(fus="1.0.1", safeboot=Version(2, 0, 0))
    accepted = accepting("fus-1.1.0", "safeboot-2.0.0")
    assert [one.split()[0] for one in actions(chip, "fus-1.1.0", "safeboot-2.0.0", **accepted)] == [
        "install-fus",
        "install-safeboot",
    ]


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("STM32WB55VY", UPGRADE),
        ("STM32WB55RE", UPGRADE),
        ("STM32WB55RC", UPGRADE),
        ("STM32WB35CE", UPGRADE),
        ("STM32WB35CC", UPGRADE),
        ("STM32WB15CC", ("fus-2.2.0-2k", "stack-fus2-2k")),
    ],
)
def test_every_part_has_its_own_addresses(part: str, names: tuple[str, str]) -> None:
    bundle = opened(*names, part=part)
    plan = planned(bundle, facts(part), **FUS2)
    assert plan.refusals == ()
    target = select_target(part)
    staged = [step.staging.area for step in plan.steps if step.staging]
    size = target.sector_size
    sectors = [-(-len(content(name)) // size) for name in names]
    sectors[1] += 0x4000 // size
    assert [area.start for area in staged] == [target.limit - count * size for count in sectors]


# --- bonding data, and the room that FUS 2 keeps for them


def reserved(words: int = 0x10F0) -> Facts:
    """A chip with FUS 2.2.0, no stack, and SFSA 16 KiB below its usual place."""
    return facts(fus="2.2.0", words={"SFR": words})


def test_a_plain_stack_waits_for_a_purge_where_room_is_kept() -> None:
    for chip in (reserved(), facts(fus="2.2.0", stack="stack-fus2-4k")):
        plan = planned(opened("stack-4k"), chip)
        assert plan.to_accept == ("purge-nvm",)
        (refusal,) = plan.refusals
        assert "deletes the stack and all bonding data (pairings)" in refusal
        assert refusal.endswith("accept it by name: --accept purge-nvm")


def test_an_accepted_purge_takes_the_place_of_the_delete() -> None:
    for chip in (reserved(), facts(fus="2.2.0", stack="stack-fus2-4k")):
        assert actions(chip, "stack-4k", **accepting("purge-nvm")) == [
            "purge-nvm",
            "install-stack 1.13.3 at 0x080F3000",
            "start-stack",
        ]
    purge = planned(opened("stack-4k"), reserved(), **accepting("purge-nvm")).steps[0]
    assert purge.is_irreversible


def test_fus_and_safeboot_wait_for_a_purge_as_well() -> None:
    chip = facts(fus="2.1.0", stack="stack-fus2-4k")
    assert planned(opened("fus-2.2.0"), chip, **FUS2).to_accept == ("purge-nvm",)
    assert planned(opened("safeboot-2.0.1"), chip, **accepting("safeboot-2.0.1")).to_accept == ("purge-nvm",)


def test_a_stack_for_fus_2_needs_no_purge() -> None:
    assert actions(reserved(), *UPGRADE) == ["install-stack 1.24.0 at 0x080EF000", "start-stack"]


def test_a_purge_is_never_planned_unless_it_is_named_or_needed() -> None:
    chip = facts(fus="2.2.0", stack="stack-4k")
    assert actions(chip, *UPGRADE)[0] == "delete-stack"
    assert actions(chip, *UPGRADE, **accepting("purge-nvm"))[0] == "delete-stack", "this stack keeps no bonding data"
    old = facts(fus="1.2.0", stack="stack-4k")
    assert actions(old, *UPGRADE, **accepting("purge-nvm", "fus-2.2.0"))[0] == "delete-stack", "FUS 1 has no purge"
    assert actions(reserved(), *UPGRADE, **accepting("purge-nvm"))[0] == "purge-nvm"


def fates(chip: Facts, *names: str, **accepted: Any) -> dict[str, str | None]:
    steps = planned(opened(*names), chip, **accepted).steps
    return {step.action: step.bonding_data.fate.value if step.bonding_data else None for step in steps}


def test_each_step_says_what_happens_to_bonding_data() -> None:
    nothing = {"install-fus": None, "install-stack": None, "start-stack": None}
    assert fates(facts(), *UPGRADE, **FUS2) == nothing
    assert fates(facts(stack="stack-4k"), *UPGRADE, **FUS2) == {
        "delete-stack": "lost",
        "install-fus": "lost",
        "install-stack": "lost",
        "start-stack": None,
    }
    plain = facts(fus="2.2.0", stack="stack-4k")
    assert fates(plain, *UPGRADE) == {"delete-stack": "unknown", "install-stack": "unknown", "start-stack": None}
    purged = fates(reserved(), "stack-4k", **accepting("purge-nvm"))
    assert purged == {"purge-nvm": "lost", "install-stack": None, "start-stack": None}


# --- who is refused


def test_another_target() -> None:
    assert reasons(facts("STM32WB55CE"), *UPGRADE) == "this chip is STM32WB5xxE, but the bundle is for STM32WB5xxG"


def test_a_lower_sequence_than_the_chip_has_seen() -> None:
    assert "this bundle is sequence 7 of product, but the chip has received sequence 8: an older" in reasons(
        facts(), *UPGRADE, history=History(sequences={"product": 8}), **FUS2
    )
    for seen in ({}, {"product": 0}, {"product": 7}, {"another": 9}):
        assert actions(facts(), *UPGRADE, history=History(sequences=seen), **FUS2)


def test_fus_0_0_0_is_refused() -> None:
    chip = facts()
    chip = replace(chip, info=replace(chip.info, fus=Version(0, 0, 0)))
    assert reasons(chip, *UPGRADE) == (
        "FUS 0.0.0 is not a known version: FUS was not running, or its version was not readable"
    )


def test_a_fus_that_is_too_old() -> None:
    assert reasons(facts(fus="1.1.0"), *UPGRADE, **FUS2) == (
        "fus 2.2.0 needs FUS 1.2.0 or later and below 2.2.0, but the chip has FUS 1.1.0: use a bundle that also "
        "holds the FUS images in between (`imagekit plan --part PART --fus 1.1.0` names them)"
    )
    assert "stack 1.13.3 needs FUS 1.2.0 or later, but the chip has FUS 1.1.0" in reasons(
        facts(fus="1.1.0"), "stack-4k"
    )


def test_a_fus_that_is_too_new() -> None:
    told = reasons(facts(fus="1.2.0"), "safeboot-2.0.0")
    assert told.endswith("1.1.0 or later and below 1.1.2, but the chip has FUS 1.2.0: FUS cannot be downgraded")


def test_a_fus_between_two_stages() -> None:
    """FUS 1.0.1 is beyond the first image and takes the second; 0.5.3 does not take the second without the first."""
    chain = ("fus-1.0.2", "fus-1.1.0")
    assert actions(facts(fus="1.0.1"), *chain, **accepting("fus-1.1.0")) == ["install-fus 1.1.0 at 0x080F1000"]
    assert "needs FUS 1.0.1 or later" in reasons(facts(fus="0.5.3"), "fus-1.1.0", **accepting("fus-1.1.0"))


def test_what_cannot_be_undone_must_be_accepted_by_its_name() -> None:
    told = (
        "fus-2.2.0 is irreversible, and keys that users stored in FUS are lost; accept it by name: --accept fus-2.2.0"
    )
    for accepted in ((), ("fus-2.1.0",), ("stack-1.24.0",), ("fus",)):
        plan = planned(opened(*UPGRADE), facts(), **accepting(*accepted))
        assert plan.refusals == (told,)
        assert plan.to_accept == ("fus-2.2.0",)
        assert len(plan.steps) == 3, "what would be done is shown all the same"


def test_each_of_several_is_accepted_for_itself() -> None:
    plan = planned(opened("fus-1.0.2", "fus-1.1.0"), facts(fus="0.5.3"), **accepting("fus-1.0.2"))
    assert plan.to_accept == ("fus-1.1.0",)


def test_safeboot_is_accepted_by_name_and_says_what_it_costs() -> None:
    told = reasons(facts(fus="2.2.0"), "safeboot-2.0.1")
    assert "safeboot-2.0.1 is irreversible, and it erases the stack and the application" in told
    assert "--accept safeboot-2.0.1" in told


def test_a_small_wb5x_with_an_old_fus_and_a_stack() -> None:
    """ST wants FUS 1.0.2 before anything else; whether the stack may be deleted first, no source tells."""
    bundle = opened("fus-1.1.0", part="STM32WB55CE")
    chip = facts("STM32WB55CE", "1.0.1", "stack-4k")
    told = planned(bundle, chip, **accepting("fus-1.1.0")).refusals
    assert len(told) == 1
    assert "ST requires a newer FUS than 1.0.1 on STM32WB5xxE before any other operation" in told[0]
    assert planned(bundle, facts("STM32WB55CE", "1.0.1"), **accepting("fus-1.1.0")).refusals == ()


def test_a_signed_address_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundle that came through the door says so: it computes them too. This is the second lock on the same door."""
    original = placement.place

    def elsewhere(*arguments: Any, **choices: Any) -> Any:
        found = original(*arguments, **choices)
        return replace(found, limit=found.limit - 4096)

    monkeypatch.setattr("flasher.plan.place", elsewhere)
    told = reasons(facts(fus="2.2.0"), *UPGRADE)
    assert told == "the bundle places stack 1.24.0 at 0x080EF000, but on this chip its address is 0x080EE000"


def test_what_has_no_place_on_this_chip() -> None:
    chip = facts("STM32WB15CC")
    chip = replace(chip, options=Options({**chip.options.words, "SFR": 0x1000 | 0xA1}, chip.identity.target))
    plan = planned(opened("stack-2k", part="STM32WB15CC"), chip)
    assert len(plan.refusals) == 1
    assert "SFSA 0xA1" in plan.refusals[0]
    assert plan.steps == ()


# --- what is in the way


def test_an_application_where_an_image_must_go_is_refused() -> None:
    chip = facts(fus="2.2.0", flash={0x080EF800: LINE, 0x080F2000: LINE})
    assert reasons(chip, *UPGRADE) == "\n".join(
        f"0x{first}-0x{last} holds data (an application?) where an image must go or that CPU1 boots; "
        f"check it, then accept its loss: "
        f"--erase-application 0x{first}-0x{last}"
        for first, last in (("080EF000", "080EFFFF"), ("080F2000", "080F2FFF"))
    )


@pytest.mark.parametrize(
    ("allowed", "is_enough"),
    [
        ([(0x080F0000, 0x080F2000)], True),
        ([(0x08000000, 0x08100000)], True),
        ([(0x080F0000, 0x080F1000), (0x080F1000, 0x080F2000)], True),
        ([(0x080F0000, 0x080F1000)], False),
        ([(0x080F0001, 0x080F2000)], False),
        ([(0x080F0000, 0x080F1FFF)], False),
        ([], False),
    ],
)
def test_every_sector_to_erase_must_be_accepted(allowed: list[tuple[int, int]], is_enough: bool) -> None:
    chip = facts(fus="2.2.0", flash={0x080F0FF8: LINE * 2})
    plan = planned(opened(*UPGRADE), chip, erase_application=tuple(allowed))
    assert (plan.refusals == ()) is is_enough
    assert plan.steps[0].title == "erase 0x080F0000-0x080F1FFF"
    leftover = planned(opened(*UPGRADE), chip, erase_leftover=tuple(allowed))
    assert leftover.refusals, "accepting the loss of images does not cover an application"


def test_sectors_of_the_first_image_are_not_erased_twice() -> None:
    chip = facts(fus="2.2.0", flash={STACK_AT: LINE})
    everywhere = ((0x08000000, 0x08100000),)
    assert actions(chip, *UPGRADE, erase_application=everywhere) == [
        "install-stack 1.24.0 at 0x080EF000",
        "start-stack",
    ]


def test_an_application_below_the_images_is_left_alone() -> None:
    chip = facts(flash={0x08000000: VECTORS, STACK_AT - 8: LINE})
    assert actions(chip, *UPGRADE, **FUS2) == actions(facts(), *UPGRADE, **FUS2)


LEFTOVER_AT = 0x08040000


def test_an_image_somewhere_in_flash_would_be_taken_instead() -> None:
    chip = facts(fus="2.2.0", flash={LEFTOVER_AT + 0x104: content("stack-4k")})
    told = reasons(chip, *UPGRADE)
    assert told == (
        "0x08040000-0x08040FFF holds a leftover image that FUS could install instead; check it, then accept its loss: "
        "--erase-leftover 0x08040000-0x08040FFF"
    )
    pages = ((LEFTOVER_AT, LEFTOVER_AT + 4096),)
    assert planned(opened(*UPGRADE), chip, erase_application=pages).refusals == (told,)
    assert actions(chip, *UPGRADE, erase_leftover=pages)[0] == "erase 0x08040000-0x08040FFF"


def test_a_leftover_image_at_the_second_place_is_erased_first() -> None:
    """FUS would see it beside the first one."""
    chip = facts(flash={STACK_AT: content("stack-4k")})
    pages = ((STACK_AT, STACK_AT + 4096),)
    assert actions(chip, *UPGRADE, erase_leftover=pages, **FUS2)[:2] == [
        "erase 0x080EF000-0x080EFFFF",
        "install-fus 2.2.0 at 0x080F3000",
    ]


def test_a_staged_second_image_is_erased_before_the_first() -> None:
    """FUS would see two; and the bundle has what is erased, byte by byte."""
    chip = facts(flash={STACK_AT: content("stack-fus2-4k")})
    assert actions(chip, *UPGRADE, **FUS2)[0] == "erase 0x080EF000-0x080EFFFF"


def test_an_already_staged_first_image_is_kept() -> None:
    chip = facts(fus="2.2.0", flash={STACK_AT: content("stack-fus2-4k")})
    assert actions(chip, *UPGRADE) == ["install-stack 1.24.0 at 0x080EF000", "start-stack"]
    chip = facts(flash={FUS_AT: content("fus-2.2.0")})
    assert actions(chip, *UPGRADE, **FUS2) == actions(facts(), *UPGRADE, **FUS2)


def test_sectors_of_an_earlier_run_are_erased_unasked() -> None:
    """As far as they hold what it has written: the image's bytes, and the page at which it was broken off."""
    staged, erased = ((STACK_AT, STACK_AT + 4096),), "erase 0x080EF000-0x080EFFFF"
    for written in (content("stack-fus2-4k"), content("stack-fus2-4k")[:1000]):
        chip = facts(flash={STACK_AT: written})
        assert actions(chip, *UPGRADE, history=History(staged=staged), **FUS2)[0] == erased
    torn = facts(flash={STACK_AT: LINE})
    assert actions(torn, *UPGRADE, history=History(staged=staged, is_torn=True), **FUS2)[0] == erased
    assert "--erase-application 0x080EF000-0x080EFFFF" in reasons(
        torn, *UPGRADE, history=History(staged=staged), **FUS2
    )
    two = facts(flash={STACK_AT: LINE, STACK_AT + 4096: LINE})
    wider = History(staged=((STACK_AT, STACK_AT + 2 * 4096),), is_torn=True)
    assert "--erase-application 0x080EF000-0x080F0FFF" in reasons(two, *UPGRADE, history=wider, **FUS2)
    assert actions(facts(), *UPGRADE, history=History(staged=staged), **FUS2)[0].startswith("install-fus")


def test_an_unexplained_boot_from_sram1_must_be_accepted() -> None:
    chip = facts(words={"OPTR": 0x337FF1AA})
    assert "boot-from-flash makes CPU1 boot from flash again" in reasons(chip, *UPGRADE, **FUS2)
    accepted = accepting("fus-2.2.0", "boot-from-flash")
    assert actions(chip, *UPGRADE, **accepted)[0] == "boot-from-flash"
    known = History(optr=0x3FFFF1AA)
    assert actions(chip, *UPGRADE, history=known, **FUS2)[0].startswith("install-fus")


def test_with_an_old_fus_cpu1_may_have_nothing_to_boot() -> None:
    """Option bytes are not written then, and an application would meddle with CPU2 over FUS's resets."""
    chip = facts(fus="1.0.1", flash={FLASH_BASE: VECTORS})
    accepted = accepting("fus-1.1.0")
    told = reasons(chip, "fus-1.1.0", **accepted)
    assert told.endswith("--erase-application 0x08000000-0x08000FFF")
    first = ((FLASH_BASE, FLASH_BASE + 4096),)
    assert actions(chip, "fus-1.1.0", erase_application=first, **accepted)[0] == "erase 0x08000000-0x08000FFF"
    assert actions(facts(fus="1.0.1"), "fus-1.1.0", **accepted)[0].startswith("install-fus")
    newer = facts(fus="1.1.0", flash={FLASH_BASE: VECTORS})
    assert "--erase-application" not in "".join(planned(opened("safeboot-2.0.0"), newer).refusals)


def test_whether_cpu1_has_anything_to_boot() -> None:
    assert not FlashContent(b"\xff" * 4096, G).has_application
    assert FlashContent(VECTORS, G).has_application
    assert FlashContent(bytes(8), G).has_application


@pytest.mark.parametrize("register", ["WRP1AR", "WRP1BR"])
@pytest.mark.parametrize(
    ("first", "last", "is_hit"),
    [(0xEF, 0xEF, True), (0x00, 0xFF, True), (0xF3, 0xFF, False), (0x00, 0xEE, False), (0xFF, 0x00, False)],
)
def test_write_protection_over_pages_that_must_change(register: str, first: int, last: int, is_hit: bool) -> None:
    chip = facts(fus="2.2.0", words={register: 0xFF00FF00 | last << 16 | first})
    told = planned(opened(*UPGRADE), chip).refusals
    assert [one.split(":")[0] for one in told] == [f"{register} write-protects sectors that must change"] * is_hit


def test_write_protection_over_pages_that_must_be_erased() -> None:
    chip = facts(fus="2.2.0", flash={0x080F1000: LINE}, words={"WRP1AR": 0xFFF1FFF1})
    told = reasons(chip, *UPGRADE, erase_application=((0x080F1000, 0x080F2000),))
    assert told == "WRP1AR write-protects sectors that must change: clear it first (0xFFF1FFF1)"


# --- option bytes


def optr(clear: int = 0, rdp: int = 0xAA) -> dict[str, int]:
    return {"OPTR": 0x3FFFF100 & ~clear | rdp}


def srrvr(chip: Facts, clear: int) -> dict[str, int]:
    return {"SRRVR": chip.options.words["SRRVR"] & ~clear}


FRESH = facts()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (optr(rdp=0xBB), "RDP 0xBB: level 1"),
        (optr(rdp=0xCC), "RDP 0xCC: level 2"),
        (optr(clear=1 << 8), "ESE 0x0: security is off"),
        (optr(clear=1 << 16), "IWDG_SW 0: this watchdog starts with the chip and would reset it while FUS works"),
        (optr(clear=1 << 19), "WWDG_SW 0: this watchdog"),
        ({"SFR": 0x1000}, "SFSA 0x0: all of the flash is secure"),
        ({"SFR": 0x10FF}, "SFSA 0xFF: "),
        ({"SFR": 0x11F4}, "FSD 0x1: flash security is disabled"),
        ({"IPCCBR": 0xFFFFC001}, "IPCCDBA 0x1: the mailbox is elsewhere"),
        (srrvr(FRESH, 1 << 31), "C2OPT 0x0: CPU2 would boot from SRAM2"),
        ({"SRRVR": FRESH.options.words["SRRVR"] | 0x3FFFF}, "SBRV 0x3FFFF: Safeboot's vector"),
        ({"PCROP1ASR": 0xFFFFFE00, "PCROP1AER": 0xFFFFFE00}, "PCROP1A protects code: "),
        ({"PCROP1BSR": 0xFFFFFE07, "PCROP1BER": 0xFFFFFE09}, "PCROP1B protects code: "),
    ],
)
def test_option_bytes_that_forbid_everything(words: dict[str, int], told: str) -> None:
    chip = facts()
    found = option_refusals(Options({**chip.options.words, **words}, G))
    assert any(one.startswith(told) for one in found), found


@pytest.mark.parametrize(
    ("part", "fus", "stack"),
    [
        ("STM32WB55RG", "0.5.3", None),
        ("STM32WB55RG", "1.2.0", None),
        ("STM32WB55RG", "2.2.0", "stack-4k"),
        ("STM32WB55CC", "1.2.0", "stack-4k"),
        ("STM32WB35CE", "1.2.0", None),
        ("STM32WB15CC", "1.2.0", "stack-2k"),
    ],
)
def test_option_bytes_as_shipped_allow_work(part: str, fus: str, stack: str | None) -> None:
    assert option_refusals(facts(part, fus, stack).options) == ()


def test_boot_and_sram_options_allow_work() -> None:
    for clear in (1 << 25, 1 << 24, 1 << 26, 1 << 27 | 1 << 26 | 1 << 23):
        assert option_refusals(Options({**FRESH.options.words, **optr(clear)}, G)) == ()


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(sorted(FRESH.options.words)), st.integers(0, 0xFFFF_FFFF)))
def test_whatever_option_bytes_say_they_are_judged(words: dict[str, int]) -> None:
    for target in TARGETS:
        assert all(option_refusals(Options({**FRESH.options.words, **words}, target)))


# --- difference


def test_what_makes_two_stacks_differ() -> None:
    bundle = opened("stack-4k")
    (entry,) = bundle.manifest.images
    chip = facts(stack="stack-4k")

    def told(words: dict[str, int] | None = None, **info: Any) -> str:
        options = Options({**chip.options.words, **(words or {})}, G)
        return difference(entry, replace(chip.info, **info), options)

    assert told() == ""
    assert told(stack=None) == "no stack instead of 1.13.3.5"
    assert told(stack=Version(1, 13, 3, 0, 4)) == "stack 1.13.3.4 instead of 1.13.3.5"
    assert told(stack_sectors=2) == "a stack of 2 sectors instead of 1"
    assert told(stack_sectors=0) == "", "ST released an image whose footer says a sector too few"
    assert told(words={"SRRVR": chip.options.words["SRRVR"] & ~(0x1F << 25) | 19 << 25}) == (
        "SRAM2b: 19 KiB left to the application instead of 20 KiB"
    )
    assert (
        told(words={"SRRVR": chip.options.words["SRRVR"] | 1 << 30})
        == "SRAM2b: all left to the application instead of 20 KiB"
    )


def test_32_kib_of_sram2_are_31_or_all_of_it() -> None:
    """The field has five bits: 32 cannot be said."""
    (entry,) = opened("stack-4k").manifest.images
    chip = facts(stack="stack-4k")
    assert entry.sram2a_kib == 32
    for bits, is_same in ((1 << 23, True), (31 << 18, True), (30 << 18, False)):
        word = chip.options.words["SRRVR"] & ~(0x3F << 18) | bits
        assert (difference(entry, chip.info, Options({**chip.options.words, "SRRVR": word}, G)) == "") is is_same


def test_on_wb1x_the_field_of_sram2b_has_two_bits() -> None:
    (entry,) = opened("stack-2k", part="STM32WB15CC").manifest.images
    chip = facts("STM32WB15CC", stack="stack-2k")
    assert difference(entry, chip.info, chip.options) == ""


# --- areas


IMAGES = (
    "stack-4k",
    "stack-fus2-4k",
    "fus-2.2.0",
    "safeboot-2.0.0",
    "safeboot-2.0.1",
    "fus-hidden-version",
    "other-magic",
)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0x07FFF000, 0x08001000), (0x08000000, 0x08000000), (0x08001000, 0x08000000), (0x08000800, 0x08001000),
        (0x08000000, 0x08000FFF), (0x080F3000, 0x080F5000), (0x080F4000, 0x080F5000), (0, 0x1000),
        (0x20000000, 0x20001000),
    ],
)  # fmt: skip
def test_an_area_of_partial_or_foreign_sectors_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not whole sectors of STM32WB5xxG: 0x"):
        Area(start, end, G)


def test_data_that_does_not_fit_its_area() -> None:
    area = Area(STACK_AT, STACK_AT + 4096, G)
    for data in (b"", bytes(7), bytes(4104)):
        with pytest.raises(ValueError, match="bytes do not fit into 0x080EF000-0x080EFFFF"):
            Staging(area, data)


ADDRESS = st.integers(0x07FF0000 // 0x800, 0x08110000 // 0x800).map(lambda page: page * 0x800)
RANGES = st.lists(st.tuples(ADDRESS, ADDRESS), max_size=3).map(tuple)
PARTS = {
    "STM32WB55RG": UPGRADE,
    "STM32WB55VY": UPGRADE,
    "STM32WB55CC": UPGRADE,
    "STM32WB35CE": ("fus-2.2.0", "stack-4k"),
    "STM32WB15CC": ("fus-2.2.0-2k", "stack-fus2-2k"),
}
BUNDLES = {part: opened(*names, part=part) for part, names in PARTS.items()}
CHIPS = {
    part: [facts(part, fus, stack) for fus in ("1.2.0", "2.2.0") for stack in (None, "stack-" + names[1][-2:])]
    for part, names in PARTS.items()
}


@settings(max_examples=300, deadline=None)
@given(
    part=st.sampled_from(sorted(PARTS)),
    which=st.integers(0, 3),
    sfsa=st.none() | st.integers(0, 0xFF),
    staged=RANGES,
    application=RANGES,
    leftover=RANGES,
    things=st.dictionaries(st.integers(0, 255), st.sampled_from([*IMAGES, ""]), max_size=4),
)
def test_nothing_is_ever_erased_above_sfsa_or_the_parts_limit(
    part: str, which: int, sfsa: int | None, staged: Any, application: Any, leftover: Any, things: dict[int, str]
) -> None:
    chip, target = CHIPS[part][which], select_target(part)
    words = {**chip.options.words, **({} if sfsa is None else {"SFR": 0x1000 | sfsa})}
    options = Options(words, target)
    flash = bytearray(chip.flash[: max(target.sector_address(options.sfsa) - FLASH_BASE, 0)])
    for page, name in things.items():
        at, data = page * target.sector_size, content(name) if name else LINE
        flash[at : at + len(data)] = data[: max(len(flash) - at, 0)]
    chip = replace(chip, options=options, flash=bytes(flash))
    plan = planned(
        BUNDLES[part], chip, History(staged=staged), erase_application=application, erase_leftover=leftover, **FUS2
    )
    secure = min(target.sector_address(options.sfsa), target.limit)
    for step in plan.steps:
        if step.action == "delete-stack":
            secure = target.limit
        if step.area is not None:
            assert FLASH_BASE <= step.area.start < step.area.end <= secure, step.title
    if not plan.refusals:
        assert_accepted(plan.steps, chip, (staged, application, leftover))


def assert_accepted(steps: tuple[InstallStep, ...], chip: Facts, allowed: tuple[Any, ...]) -> None:
    """Every erased sector that is not blank was accepted, or holds what will be staged there."""
    size = chip.identity.target.sector_size
    for step in steps:
        for at in range(step.area.start, step.area.end, size) if step.area else ():
            page = chip.flash[at - FLASH_BASE : at - FLASH_BASE + size]
            held = step.staging is not None and chip.flash.startswith(
                step.staging.data, step.staging.area.start - FLASH_BASE
            )
            named = any(first <= at and at + size <= end for ranges in allowed for first, end in ranges)
            assert held or named or page == b"\xff" * len(page), step.title


def test_an_unverified_stack_is_accepted_by_its_whole_hash() -> None:
    image = Image.parse(content("stack-4k"))
    entry = replace(describe(assess(image, ())), st_key=None)
    step = ManifestStep(image=image.sha256, min_fus="1.2.0", below_fus=None, gives="1.13.3", irreversible=False)
    name = name_to_accept(entry, step)
    assert name == f"unverified-{image.sha256}"
    assert f"the stack {image.sha256}, and" in consequence(name, Version(1, 2, 0))
