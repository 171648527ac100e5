"""The way to a stack: which steps, in which order, at which addresses; or which reason, and which file is missing."""

import dataclasses
import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from imagekit.assessment import Assessment
from imagekit.catalogue import Content, Publication
from imagekit.cli.program import app
from imagekit.errors import EmitError, PlanError
from imagekit.image.model import Version
from imagekit.placement import place
from imagekit.report import plan as upgrade_plan
from imagekit.report import scripts
from imagekit.targets import select_target
from imagekit.upgrade.candidates import Candidate, choose
from imagekit.upgrade.plan import UpgradePlan, plan
from imagekit.upgrade.start import AntiRollback, Start
from imagekit.upgrade.steps import Action
from tests.support.images import IMAGES, assessed

GOLDEN = Path(__file__).parent / "golden"
WAYS = {
    "stack": "stack-4k",
    "stack for FUS 2": "stack-fus2-4k",
    "stack for WB1x": "stack-fus2-2k",
    "FUS 1.1.0": "fus-1.1.0",
    "FUS 1.2.0": "fus-hidden-version",
    "FUS 2.2.0": "fus-2.2.0",
    "FUS 2.2.0 for WB1x": "fus-2.2.0-2k",
    "FUS 1.0.2": "fus-1.0.2",
    "Safeboot 2.0.0": "safeboot-2.0.0",
    "Safeboot 2.0.1": "safeboot-2.0.1",
}


@cache
def candidate(name: str, path: str = "", *, is_named: bool = True) -> Candidate:
    return Candidate(path or f"{name}.bin", assessed(name), is_named)


def for_fus_0_5_3() -> Candidate:
    """The image that FUS 0.5.3 installs: no key is known that verifies it, and the catalogue knows it."""
    unsigned = assessed("fus-hidden-version")
    published = (Publication("v1.23.0", "STM32WB5x/stm32wb5x_FUS_fw_for_fus_0_5_3.bin", {}),)
    known = Content("", 0, "fus", None, (), None, None, None, None, None, published, None)
    from imagekit.image.signature import SignatureStatus, SignatureVerdict

    image = dataclasses.replace(unsigned.image, sha256="0" * 64)
    return Candidate(
        "stm32wb5x_FUS_fw_for_fus_0_5_3.bin",
        dataclasses.replace(unsigned, image=image, known=known, signature=SignatureVerdict(SignatureStatus.UNVERIFIED)),
        True,
    )


def start(part: str = "WB55RG", fus: str = "1.2.0", **facts: object) -> Start:
    return Start(target=select_target(part), fus=Version.from_text(fus), **facts)  # type: ignore[arg-type]


def way(begin: Start, goal: str, *others: str | Candidate) -> UpgradePlan:
    """Plan an upgrade with images by their names here; the first is the goal."""
    wanted = candidate(WAYS[goal])
    found = [one if isinstance(one, Candidate) else candidate(WAYS[one]) for one in others]
    return plan(begin, [wanted, *found], wanted)


def steps(made: UpgradePlan) -> str:
    """`delete 1.2.0 stack start`: what is installed, in order."""
    assert not made.refusals, made.refusals
    words = {Action.DELETE_STACK: "delete", Action.START_STACK: "start", Action.INSTALL_STACK: "stack"}
    return " ".join(words.get(step.action) or str(upgrade_plan.version(step)) for step in made.steps)


@pytest.mark.parametrize(
    ("begin", "goal", "others", "expected"),
    [
        (start(stack_installed=False), "stack", (), "stack start"),
        (start(stack_installed=True), "stack", (), "delete stack start"),
        (start(), "stack", (), "delete stack start"),
        (start(sfsa=0xF4), "stack", (), "stack start"),
        (start(sfsa=0xCE), "stack", (), "delete stack start"),
        (start(stack_version=Version(1, 13, 0)), "stack", (), "delete stack start"),
        (start(fus="2.2.0", stack_installed=False), "stack for FUS 2", (), "stack start"),
        (start(), "stack for FUS 2", ("FUS 2.2.0",), "delete 2.2.0 stack start"),
        (start(fus="1.0.2"), "stack for FUS 2", ("FUS 2.2.0", "FUS 1.2.0"), "delete 1.2.0 2.2.0 stack start"),
        (start(fus="1.1.0"), "stack", ("FUS 2.2.0", "FUS 1.2.0"), "delete 1.2.0 stack start"),
        (start(), "stack", ("FUS 2.2.0",), "delete stack start"),
        (start("WB15CC"), "stack for WB1x", ("FUS 2.2.0 for WB1x",), "delete 2.2.0 stack start"),
        (start("WB35CE"), "stack for FUS 2", ("FUS 2.2.0",), "delete 2.2.0 stack start"),
        (start(), "FUS 2.2.0", (), "delete 2.2.0"),
        (start(fus="1.0.1", sfsa=0xF4), "FUS 2.2.0", ("FUS 1.2.0",), "1.2.0 2.2.0"),
        (start(fus="1.1.0", stack_installed=False), "Safeboot 2.0.0", (), "2.0.0"),
        (start(fus="2.1.0", stack_installed=True), "Safeboot 2.0.1", (), "delete 2.0.1"),
        (start(fus="1.0.1", stack_installed=False), "FUS 1.1.0", (), "1.1.0"),
    ],
)
def test_ways(begin: Start, goal: str, others: tuple[str, ...], expected: str) -> None:
    assert steps(way(begin, goal, *others)) == expected


def test_from_0_5_3_the_special_image_then_2_x_then_the_stack() -> None:
    made = way(start(fus="0.5.3", sfsa=0xF6), "stack for FUS 2", "FUS 2.2.0", "FUS 1.2.0", for_fus_0_5_3())
    assert steps(made) == "1.2.0 2.2.0 stack start"
    assert made.steps[0].candidate is not None
    assert made.steps[0].candidate.path == "stm32wb5x_FUS_fw_for_fus_0_5_3.bin"
    assert any("although ST published exactly these bytes in v1.23.0" in warning for warning in made.warnings)
    assert "read the version back, sources disagree" in made.steps[0].gives


def test_a_verified_image_of_1_2_0_is_not_for_fus_0_5_3() -> None:
    made = way(start(fus="0.5.3", sfsa=0xF6), "FUS 2.2.0", "FUS 1.2.0")
    assert "missing: stm32wb5x_FUS_fw_for_fus_0_5_3.bin of STM32CubeWB v1.11.1 or later" in made.refusals


@pytest.mark.parametrize(
    ("begin", "goal", "others", "reason"),
    [
        (start(), "stack for FUS 2", (), r"needs FUS 2\.0\.0.*missing: stm32wb5x_FUS_fw\.bin of STM32CubeWB v1\.23\.0"),
        (start("WB35CE"), "stack for FUS 2", (), r"missing: stm32wb3x_FUS_fw\.bin of"),
        (
            start(fus="1.0.2"),
            "stack for FUS 2",
            ("FUS 2.2.0",),
            r"missing: stm32wb5x_FUS_fw_1_2_0\.bin .*; missing: stm32wb5x_FUS_fw\.bin",
        ),
        (
            start(fus="1.0.2"),
            "stack for FUS 2",
            ("FUS 1.2.0",),
            r"the files lead from FUS 1\.0\.2 to 1\.2\.0\); missing: stm32wb5x_FUS_fw\.bin",
        ),
        (start(fus="1.1.0"), "stack", (), r"the notes of v1\.11\.1 and later require FUS 1\.2\.0 or later first"),
        (start(fus="2.2.0"), "FUS 1.1.0", (), r"FUS cannot be downgraded to 1\.1\.0"),
        (start(fus="2.2.0"), "Safeboot 2.0.0", (), r"Safeboot 2\.0\.0 is for FUS 1\.1\.0 and 1\.1\.1"),
        (start("WB15CC"), "stack", (), r"WB301 .*in sectors of 4 KiB; STM32WB1xxC has sectors of 2 KiB"),
        (start(fus="0.0.0"), "stack", (), r"0\.0\.0 means that FUS was not running"),
        (start("WB15CC", fus="1.1.0"), "stack for WB1x", (), r"WB1x never had FUS 1\.1\.0"),
        (start(fus="3.0.0"), "stack", (), r"FUS 3\.0\.0 is not known"),
        (start(sfsa=0), "stack", (), r"SFSA 0x0 was never seen on STM32WB5xxG"),
        (start(sfsa=0xF6), "stack", (), r"SFSA 0xF6 is that of FUS 0\.5\.3"),
        (start(sfsa=0xF4, stack_installed=True), "stack", (), r"SFSA 0xF4 shows that a stack is not installed"),
        (start(sfsa=0xCE, stack_installed=False), "stack", (), r"SFSA 0xCE shows that a stack is installed"),
        (start("WB55CC", fus="1.0.1"), "FUS 1.2.0", (), r"ST requires FUS 1\.0\.2 .* use --no-stack"),
        (start(anti_rollback=AntiRollback.NO_STACK), "stack", (), r"refuses every stack for ever"),
        (start(anti_rollback=AntiRollback.UNKNOWN), "stack", (), r"the version that it stored is not known"),
        (
            start(anti_rollback=Version(1, 14, 0)),
            "stack",
            (),
            r"stored 1\.14\.0\.0: FUS refuses stack 1\.13\.3 \(1\.13\.3\.5\)",
        ),
        (start(fus="1.1.0", anti_rollback=Version(1, 1, 0)), "stack", (), r"with a FUS before 1\.2\.0"),
        (start(anti_rollback=AntiRollback.NO_STACK), "FUS 2.2.0", (), r"refuses every stack for ever"),
        (start(anti_rollback=AntiRollback.UNKNOWN), "FUS 2.2.0", (), r"the version that it stored is not known"),
        (start(sfsa=0xF5), "stack", (), r"SFSA 0xF5 was never seen on STM32WB5xxG"),
        (start("WB55CC", sfsa=0x60), "stack", (), r"SFSA 0x60 was never seen on STM32WB5xxC"),
        (start("WB55CC", sfsa=0xF6), "stack", (), r"SFSA 0xF6 is that of FUS 0\.5\.3"),
        (start("WB15CC", sfsa=0x8D), "stack for WB1x", (), r"SFSA 0x8D was never seen on STM32WB1xxC"),
        (start(sfsa=0xF4, stack_version=Version(1, 13, 0)), "stack", (), r"SFSA 0xF4 shows that a stack is not"),
        (start(fus="1.0.0", stack_installed=False), "stack", ("FUS 1.2.0",), r"FUS 1\.0\.0 was never published"),
    ],
)
def test_no_way(begin: Start, goal: str, others: tuple[str, ...], reason: str) -> None:
    made = way(begin, goal, *others)
    assert not made.steps
    assert re.search(reason, "; ".join(made.refusals)), made.refusals


def test_a_small_part_with_fus_1_0_1_gets_fus_first() -> None:
    made = way(start("WB55CC", fus="1.0.1", stack_installed=False), "stack", "FUS 1.2.0")
    assert steps(made) == "1.2.0 stack start"


def test_an_unsigned_unpublished_image_is_not_used() -> None:
    altered = dataclasses.replace(candidate("stack-4k"), assessment=_unverified("stack-4k"))
    made = plan(start(), [altered], altered)
    assert "WB201 the signature matches no known ST key" in made.refusals[0]
    fus = Candidate("fus.bin", _unverified("fus-2.2.0"), True)
    made = plan(start(), [fus, candidate("stack-fus2-4k")], candidate("stack-fus2-4k"))
    assert "missing: stm32wb5x_FUS_fw.bin" in made.refusals[1]
    assert "not used: fus.bin: WB201" in made.notes[0]


def _unverified(name: str) -> Assessment:
    from imagekit.image.signature import SignatureStatus, SignatureVerdict

    return dataclasses.replace(assessed(name), signature=SignatureVerdict(SignatureStatus.UNVERIFIED))


@pytest.mark.parametrize(
    ("begin", "goal"),
    [
        (start(fus="2.2.0"), "FUS 2.2.0"),
        (start(fus="1.2.0"), "FUS 1.2.0"),
        (start(sfsa=0xF3, stack_version=Version(1, 13, 3, 0, 5)), "stack"),
    ],
)
def test_nothing_to_do(begin: Start, goal: str) -> None:
    made = way(begin, goal)
    assert (made.steps, made.refusals) == ((), ())
    assert "already" in made.notes[0]
    assert "start the stack" in made.notes[1]  # reading FUS's version leaves a chip in FUS
    assert "-startwirelessstack" in scripts.cubeprogrammer(made, "STM32WB55RG")


def test_anti_rollback_is_ignored_when_nothing_is_to_do() -> None:
    begin = start(sfsa=0xF3, stack_version=Version(1, 13, 3, 0, 5), anti_rollback=AntiRollback.UNKNOWN)
    assert "already" in way(begin, "stack").notes[0]


@pytest.mark.parametrize(
    ("version", "is_same"),
    [("1.13.3.5", True), ("1.13.3", True), ("1.13.3.4", False), ("1.13.2", False), ("1.13.3.21", False)],
)
def test_a_version_without_its_build_stands_for_any_build(version: str, is_same: bool) -> None:
    made = way(start(sfsa=0xF3, stack_version=Version.from_text(version)), "stack")
    assert (not made.steps) is is_same


def test_another_build_of_fus_is_the_same_version() -> None:
    assert not way(start(fus="2.2.0.3"), "FUS 2.2.0").steps
    assert way(start(fus="2.2.0.3"), "FUS 2.2.0").notes


def test_anti_rollback_is_ignored_without_a_stack_step() -> None:
    made = way(start(stack_installed=False, anti_rollback=AntiRollback.UNKNOWN), "FUS 2.2.0")
    assert steps(made) == "2.2.0"


@pytest.mark.parametrize(
    ("begin", "goal", "others", "missing"),
    [
        (start(fus="1.0.1", stack_installed=False), "FUS 1.0.2", (), []),
        (start(fus="0.5.3", sfsa=0xF6), "FUS 1.2.0", (), ["FUS_fw_for_fus_0_5_3"]),
        (start(fus="0.5.3", sfsa=0xF6), "FUS 2.2.0", ("FUS 1.2.0",), ["FUS_fw_for_fus_0_5_3"]),
        (start(fus="1.0.2"), "FUS 2.2.0", (), ["FUS_fw_1_2_0"]),
        (start(fus="0.5.3", sfsa=0xF6), "stack", (), ["FUS_fw_for_fus_0_5_3"]),
        (start(fus="0.5.3", sfsa=0xF6), "stack for FUS 2", (), ["FUS_fw_for_fus_0_5_3", "FUS_fw"]),
        (start(fus="1.0.1"), "stack for FUS 2", (), ["FUS_fw_1_2_0", "FUS_fw"]),
        (start(fus="2.2.0"), "FUS 1.1.0", (), []),
        (start(fus="2.2.0"), "Safeboot 2.0.0", (), []),
    ],
)
def test_missing_files_are_those_of_st_s_upgrade_path(
    begin: Start, goal: str, others: tuple[str, ...], missing: list[str]
) -> None:
    made = way(begin, goal, *others)
    files = [line.removeprefix("missing: stm32wb5x_").partition(".bin")[0] for line in made.refusals[1:]]
    assert files == missing
    assert f"FUS {begin.fus.text}" in made.refusals[0] or "the chip has" in made.refusals[0]


def test_a_published_stack_without_a_valid_signature_fails() -> None:
    published = (Publication("v1.17.3", "STM32WB5x/stm32wb5x_BLE_HCI_AdvScan_fw.bin", {}),)
    known = Content("", 0, "stack", None, (), None, None, None, None, None, published, None)
    stack = Candidate("x.bin", dataclasses.replace(_unverified("stack-4k"), known=known), True)
    made = plan(start(), [stack], stack)
    assert "WB201 the signature matches no known ST key" in made.refusals[0]


def test_an_image_published_for_another_series_is_refused() -> None:
    published = (Publication("v1.7.0", "STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin", {}),)
    known = Content("", 0, "stack", None, (), None, None, None, None, None, published, None)
    stack = Candidate("x.bin", dataclasses.replace(assessed("stack-4k"), known=known), True)
    assert "ST published it for WB5x only" in plan(start("WB35CE"), [stack], stack).refusals[0]
    assert plan(start("WB55CE"), [stack], stack).steps


@pytest.mark.parametrize("part", ["WB55CC", "WB55CE", "WB55CY"])
def test_a_small_part_with_an_old_fus_is_warned(part: str) -> None:
    made = way(start(part, fus="1.0.1", stack_installed=False), "stack", "FUS 1.2.0")
    assert any("might be locked in an unrecoverable state" in warning for warning in made.warnings)
    with pytest.raises(EmitError, match="J-Link deletes the stack first"):
        scripts.jlink(made, part)
    later = way(start(part, fus="1.0.2", stack_installed=False), "stack", "FUS 1.2.0")
    assert not any("unrecoverable" in warning for warning in later.warnings)
    assert scripts.jlink(later, part)


@pytest.mark.parametrize("facts", [{"stack_version": Version(1, 13, 3, 0, 5)}, {"sfsa": 0xF3}, {"sfsa": 0xF2}])
def test_version_or_place_alone_does_not_prove_a_stack(facts: dict[str, object]) -> None:
    made = way(start(**facts), "stack")  # type: ignore[arg-type]
    assert steps(made) == "delete stack start"
    assert any("does not identify the variant" in warning for warning in made.warnings) is ("stack_version" in facts)


def test_anti_rollback_lets_the_same_and_newer_versions_pass() -> None:
    for stored in (Version(1, 13, 3, 0, 5), Version(1, 2, 0)):
        made = way(start(anti_rollback=stored), "stack")
        assert steps(made) == "delete stack start"
        assert any("anti-rollback is active: no source says" in warning for warning in made.warnings)


def test_fus_2_0_0_installs_over_usb_only() -> None:
    for begin, expected in ((start(fus="2.0.0.3"), True), (start(fus="2.1.0"), False)):
        assert (
            any("allow stacks over USB only" in warning for warning in way(begin, "stack for FUS 2").warnings)
            is expected
        )


def test_a_deleted_stack_without_a_new_one_is_reported() -> None:
    assert any("leaves the chip without a stack" in warning for warning in way(start(), "FUS 2.2.0").warnings)
    assert not any("without a stack" in warning for warning in way(start(stack_installed=False), "FUS 2.2.0").warnings)


def test_a_fus_newer_than_known_is_reported() -> None:
    assert any("newer than this imagekit knows" in warning for warning in way(start(fus="2.3.0"), "stack").warnings)


def test_images_that_are_not_needed_are_reported() -> None:
    made = way(start(), "stack", "FUS 2.2.0")
    assert made.notes == ("not used: fus-2.2.0.bin (FUS 2.2.0) was named, but the plan does not need it",)


def test_only_fus_and_safeboot_steps_are_irreversible() -> None:
    made = way(start(fus="1.0.2"), "stack for FUS 2", "FUS 2.2.0", "FUS 1.2.0")
    assert [step.irreversible for step in made.steps] == [False, True, True, False, False]
    assert way(start(fus="2.1.0", stack_installed=False), "Safeboot 2.0.1").steps[0].irreversible


def test_addresses_are_the_computed_ones() -> None:
    made = way(start(fus="1.0.2"), "stack for FUS 2", "FUS 2.2.0", "FUS 1.2.0")
    for step in made.steps:
        if step.candidate and step.placement:
            assert step.placement == place(step.candidate.image, made.start.target)


# Which image is meant.


def folder(*names: str) -> list[Candidate]:
    return [candidate(name, f"folder/{name}.bin", is_named=False) for name in names]


def test_the_named_stack_is_the_goal_beside_those_of_folders() -> None:
    assert choose([*folder("stack-fus2-4k", "fus-2.2.0"), candidate("stack-4k")]).path == "stack-4k.bin"


def test_the_only_stack_of_a_folder_is_the_goal() -> None:
    assert choose(folder("safeboot-2.0.1", "stack-4k", "fus-2.2.0")).path == "folder/stack-4k.bin"
    assert choose(folder("safeboot-2.0.1", "fus-1.1.0", "fus-2.2.0")).path == "folder/fus-2.2.0.bin"
    assert choose([candidate("safeboot-2.0.1"), *folder("stack-4k")]).path == "safeboot-2.0.1.bin"


def test_two_names_of_one_content_are_one_goal() -> None:
    assert choose([candidate("stack-4k", "a.bin"), candidate("stack-4k", "b.bin")]).path == "a.bin"


def test_several_stacks_need_a_word() -> None:
    with pytest.raises(
        PlanError,
        match=r"2 images match \(stack 1\.24\.0: .*, stack 1\.13\.3: folder/stack-4k\.bin\): .*--want",
    ):
        choose(folder("stack-4k", "stack-fus2-4k"))
    with pytest.raises(PlanError, match="2 images match"):
        choose([candidate("stack-4k"), candidate("stack-fus2-4k")])


@pytest.mark.parametrize("wanted", ["stack-4k", "STACK-4K.bin", "folder/stack-4k.bin", "stack 1.13.3"])
def test_the_word_is_a_name_or_a_path(wanted: str) -> None:
    assert choose(folder("stack-4k", "stack-fus2-4k"), wanted).path == "folder/stack-4k.bin"


def test_a_word_for_several_fus_means_the_newest() -> None:
    found = [candidate("fus-1.1.0", "a/stm32wb5x_FUS_fw.bin"), candidate("fus-2.2.0", "b/stm32wb5x_FUS_fw.bin")]
    assert choose(found, "FUS").path == "b/stm32wb5x_FUS_fw.bin"


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("stack-4k", "WB5x WB3x"),
        ("stack-2k", "WB1x"),
        ("signed-by-wb3x-early", "WB3x"),
        ("signed-by-wb1x-cut-in-4k", ""),
    ],
)
def test_sectors_and_key_tell_the_series(name: str, series: str) -> None:
    told = [part for part in ("WB55RG", "WB35CE", "WB15CC") if candidate(name).is_for(select_target(part))]
    assert told == [{"WB5x": "WB55RG", "WB3x": "WB35CE", "WB1x": "WB15CC"}[one] for one in series.split()]


@pytest.mark.parametrize(("wanted", "near"), [("BLE_Stack_ful", "BLE_Stack_full"), ("stack", "BLE_Stack_full")])
def test_a_word_that_is_nearly_a_name_gets_a_hint(wanted: str, near: str) -> None:
    found = [candidate("stack-4k", "x/stm32wb5x_BLE_Stack_full_fw.bin"), *folder("stack-fus2-4k")]
    with pytest.raises(PlanError, match=f"did you mean {near}"):
        choose(found, wanted)


def test_a_word_for_nothing_lists_what_there_is() -> None:
    with pytest.raises(PlanError, match=r"no image 'full' among the files: stack 1\.13\.3: folder/stack-4k\.bin"):
        choose(folder("stack-4k"), "full")


def test_the_file_name_names_an_image_unknown_elsewhere() -> None:
    made = candidate("stack-4k", "x/stm32wb5x_BLE_Stack_full_fw.bin")
    assert made.title == "BLE_Stack_full 1.13.3"
    assert choose([made, *folder("stack-fus2-4k")], "ble_stack_full") is made


# What is printed.


def _golden(name: str, printed: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.write_text(printed + "\n", encoding="utf-8")
    assert printed + "\n" == path.read_text(encoding="utf-8")


LONG = ("stack for FUS 2", "FUS 2.2.0", "FUS 1.2.0")
PRINTED = {
    "long": lambda: way(start(fus="1.0.2"), *LONG),
    "wb1x": lambda: way(start("WB15CC", stack_installed=False), "FUS 2.2.0 for WB1x"),
    "512-kib": lambda: way(start("WB55CE", fus="2.0.0"), "stack for FUS 2"),
    "safeboot": lambda: way(start(fus="2.1.0"), "Safeboot 2.0.1"),
    "refused": lambda: way(start(fus="1.0.2"), "stack for FUS 2", "FUS 2.2.0"),
    "nothing": lambda: way(start(fus="2.2.0"), "FUS 2.2.0"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_text(name: str, request: pytest.FixtureRequest) -> None:
    _golden(f"plan-{name}.txt", upgrade_plan.text(PRINTED[name](), "STM32WB"), request)


@pytest.mark.parametrize("name", PRINTED)
def test_json(name: str, request: pytest.FixtureRequest) -> None:
    _golden(f"plan-{name}.json", json.dumps(upgrade_plan.document(PRINTED[name]()), indent=1), request)


@pytest.mark.parametrize("name", ["long", "wb1x", "512-kib", "safeboot", "nothing"])
def test_cubeprogrammer(name: str, request: pytest.FixtureRequest) -> None:
    _golden(f"plan-{name}.cubeprogrammer", scripts.cubeprogrammer(PRINTED[name](), "STM32WB"), request)


@pytest.mark.parametrize("name", ["long", "wb1x", "512-kib", "nothing"])
def test_jlink(name: str, request: pytest.FixtureRequest) -> None:
    _golden(f"plan-{name}.jlink", scripts.jlink(PRINTED[name](), "STM32WB"), request)


@pytest.mark.parametrize("write", [scripts.cubeprogrammer, scripts.jlink])
def test_commands_hold_every_image_at_its_address(write: object) -> None:
    made = way(start(fus="1.0.2"), *LONG)
    commands = re.findall(r'"([^"]+)",? (0x[0-9A-F]{8})', write(made, "STM32WB55RG"))  # type: ignore[operator]
    expected = [
        (step.candidate.path, f"0x{place(step.candidate.image, made.start.target).address:08X}")
        for step in made.steps
        if step.candidate
    ]
    assert commands == expected


def test_a_j_link_script_installs_one_image_and_ends() -> None:
    text = scripts.jlink(way(start(fus="1.0.2"), *LONG), "STM32WB55RG")
    commands = [line for line in text.splitlines() if line and not line.startswith("//")]
    assert [line.split()[0] for line in commands] == [
        "ExitOnError",
        "device",
        "si",
        "speed",
        "connect",
        "loadbin",
        "exit",
    ]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: way(start("WB35CE", fus="2.2.0"), "stack for FUS 2"), "no J-Link device with FUS for STM32WB3xxE"),
        (lambda: way(start("WB15CC", fus="2.2.0"), "stack for WB1x"), "last 5 sectors below FUS, but this one ends 8"),
        (
            lambda: way(start(fus="2.2.0"), "Safeboot 2.0.1"),
            "it is not known whether J-Link Commander installs Safeboot",
        ),
    ],
)
def test_what_j_link_cannot_do(made: object, reason: str) -> None:
    with pytest.raises(EmitError, match=reason):
        scripts.jlink(made(), "STM32WB")  # type: ignore[operator]


@pytest.mark.parametrize(
    "path",
    [
        "a\u201cb.bin",
        "a\u2019; calc; \u2018.bin",
        "a\u2014b.bin",
        "\u202eb.bin",
        "a;b.bin",
        "a&b.bin",
        "a|b",
        "a^b",
        "a'b",
        'a"b.bin',
        "$(reboot).bin",
        "`x`.bin",
        "a%PATH%.bin",
        "a\nloadbin b.bin",
        "-",
        "-rdu",
        "a!b.bin",
        "f\\",
        "a\\\\b",
    ],
)
@pytest.mark.parametrize("write", [scripts.cubeprogrammer, scripts.jlink])
def test_a_name_that_a_shell_interprets_is_in_no_script(path: str, write: object) -> None:
    made = plan(start(), [candidate("stack-4k", path)], candidate("stack-4k", path))
    with pytest.raises(EmitError, match="a script cannot name this file safely"):
        write(made, "STM32WB55RG")  # type: ignore[operator]


@given(st.text(min_size=1, max_size=40))
def test_any_name_is_one_shell_word_or_in_no_script(path: str) -> None:
    made = plan(start(), [candidate("stack-4k", path)], candidate("stack-4k", path))
    try:
        script = scripts.cubeprogrammer(made, "STM32WB55RG")
    except EmitError:
        return
    commands = [shlex.split(line) for line in script.splitlines() if "-fwupgrade" in line and not line.startswith("#")]
    tool = ["STM32_Programmer_CLI", "-c", "port=swd", "mode=UR", "-fwupgrade"]
    assert commands == [[*tool, path, "0x080F3000", "firstinstall=0"]]


def test_a_windows_path_with_spaces_is() -> None:
    path = "C:\\Program Files\\ST\\stm32wb5x_BLE_Stack_full_fw.bin"
    made = plan(start(), [candidate("stack-4k", path)], candidate("stack-4k", path))
    assert f'-fwupgrade "{path}" 0x080F3000' in scripts.cubeprogrammer(made, "STM32WB55RG")


# The command.


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["plan", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The throw-away keys, as if they were ST's."""
    from tests.support.images import throw_away_keys

    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.chdir(IMAGES)


@pytest.mark.usefixtures("_trusted")
def test_the_command_plans_and_ends_with_0() -> None:
    code, out, _ = run("--part", "stm32wb55cg", "--fus", "1.2.0", "--no-stack", "stack-4k.bin")
    assert code == 0
    assert out.startswith("stm32wb55cg (STM32WB5xxG) with FUS 1.2.0: plan for stack 1.13.3\n1. install stack 1.13.3\n")


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("emit", ["text", "json"])
def test_the_command_refuses_with_3_and_prints_why(emit: str) -> None:
    code, out, _ = run("--part", "WB55CG", "--fus", "1.2.0", "stack-fus2-4k.bin", "--emit", emit)
    assert code == 3
    assert "missing: stm32wb5x_FUS_fw.bin" in out


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("emit", ["cubeprogrammer", "jlink"])
def test_a_refusal_writes_no_script(emit: str) -> None:
    code, out, errors = run("--part", "WB55CG", "--fus", "1.2.0", "stack-fus2-4k.bin", "--emit", emit)
    assert (code, out) == (3, "")
    assert "missing: stm32wb5x_FUS_fw.bin" in errors


@pytest.mark.usefixtures("_trusted")
def test_nothing_to_do_ends_with_0() -> None:
    code, out, _ = run("--part", "WB55CG", "--fus", "2.2.0", "fus-2.2.0.bin")
    assert code == 0
    assert "nothing to do" in out


@pytest.mark.usefixtures("_trusted")
def test_images_of_another_series_are_left_out(tmp_path: Path) -> None:
    for name in ("stack-4k", "stack-2k"):
        (tmp_path / f"{name}.bin").write_bytes((IMAGES / f"{name}.bin").read_bytes())
    for part, name in (("WB55CG", "stack-4k"), ("WB15CC", "stack-2k")):
        code, out, _ = run("--part", part, "--fus", "1.2.0", str(tmp_path))
        assert code == 0
        assert f"{name}.bin" in out
    assert run("--part", "WB15CC", "--fus", "1.2.0", str(tmp_path / "stack-4k.bin"))[0] == 3


@pytest.mark.usefixtures("_trusted")
def test_the_name_of_the_part_s_series_is_used(tmp_path: Path) -> None:
    for name in ("stm32wb3x_BLE_Stack_full_fw", "stm32wb5x_BLE_Stack_full_fw"):
        (tmp_path / f"{name}.bin").write_bytes((IMAGES / "stack-4k.bin").read_bytes())
    for part, name in (("WB55CG", "stm32wb5x"), ("WB35CE", "stm32wb3x")):
        assert f"{name}_BLE_Stack_full_fw.bin" in run("--part", part, "--fus", "1.2.0", str(tmp_path))[1]


@pytest.mark.usefixtures("_trusted")
def test_intel_hex_will_do_too(tmp_path: Path) -> None:
    from intelhex import IntelHex

    records = IntelHex()
    records.puts(0x080F3000, (IMAGES / "stack-4k.bin").read_bytes())
    records.write_hex_file(str(tmp_path / "stack.hex"))
    assert run("--part", "WB55CG", "--fus", "1.2.0", str(tmp_path / "stack.hex"))[0] == 0


@pytest.mark.usefixtures("_trusted")
def test_the_images_of_a_folder_are_used(tmp_path: Path) -> None:
    for name in ("stack-fus2-4k", "fus-2.2.0", "empty"):
        (tmp_path / f"{name}.bin").write_bytes((IMAGES / f"{name}.bin").read_bytes())
    code, out, errors = run("--part", "WB55CG", "--fus", "1.2.0", str(tmp_path))
    assert code == 0
    assert "2. install FUS 2.2.0" in out
    assert "empty.bin: not used: " in errors


def test_a_named_file_that_is_not_an_image_exits_with_4(tmp_path: Path) -> None:
    code, out, errors = run("--part", "WB55CG", "--fus", "1.2.0", str(IMAGES / "web-page.bin"), str(tmp_path))
    assert (code, out) == (4, "")
    assert "this is a web page" in errors
    assert "no image in this folder" in errors


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--part", "WB55CG", str(IMAGES / "stack-4k.bin")], "which FUS is on the chip?"),
        (["--part", "WB55CG", "--fus", "x", str(IMAGES / "stack-4k.bin")], "no firmware version 'x'"),
        (["--part", "WB55", "--fus", "1.2.0", str(IMAGES / "stack-4k.bin")], "its last letter is the flash size"),
        (["--part", "WB55CG", "--fus", "1.2.0", str(IMAGES)], "images match"),
        (["--part", "WB55CG", "--fus", "1.2.0", "--want", "x", str(IMAGES / "stack-4k.bin")], "no image 'x'"),
        (
            ["--part", "WB55CG", "--fus", "1.2.0", "--anti-rollback", "yes", str(IMAGES / "stack-4k.bin")],
            "as unknown, or as no-stack",
        ),
        (
            ["--part", "WB55CG", "--fus", "1.2.0", "--no-stack", "--stack-version", "1", str(IMAGES / "stack-4k.bin")],
            "contradict each other",
        ),
    ],
)
def test_wrong_usage(arguments: list[str], reason: str) -> None:
    code, out, errors = run(*arguments)
    assert (code, out) == (2, "")
    assert reason in " ".join(errors.replace("│", " ").split())


# --- room that FUS 2 reserves for bonding data


def test_a_stack_that_stands_below_reserved_room_is_recognised() -> None:
    installed = {"fus": "2.2.0", "sfsa": 0xEF, "stack_version": Version(1, 13, 3, 0, 5)}
    made = plan(start(**installed), [candidate("stack-4k")], candidate("stack-4k"))  # type: ignore[arg-type]
    assert made.steps == ()
    assert "the chip has a stack of this version and size already" in made.notes[0]


def test_a_stack_that_needs_the_reserved_room_is_not_refused() -> None:
    assessment = assessed("stack-4k")
    footer = dataclasses.replace(assessment.image.footer, flash_sectors=60)
    image = dataclasses.replace(assessment.image, footer=footer, size=60 * 4096)
    large = Candidate("large.bin", dataclasses.replace(assessment, image=image), True)
    begin = start("WB55CC", "2.2.0", sfsa=0x10, stack_version=Version(1, 13, 2))
    assert not plan(begin, [large], large).refusals


def reserved_warnings(made: UpgradePlan) -> list[str]:
    return [warning for warning in made.warnings if "--had-fus2-stack" in warning]


def test_reserved_room_lowers_a_plain_stack_in_the_plan() -> None:
    for known in ({"had_fus2_stack": True}, {"sfsa": 0xF0}):
        made = plan(start(fus="2.2.0", **known), [candidate("stack-4k")], candidate("stack-4k"))
        (address,) = [step.placement.address for step in made.steps if step.placement]
        assert address == 0x080EF000
        assert not reserved_warnings(made)


def test_sfsa_of_reserved_room_does_not_mean_a_stack() -> None:
    made = plan(start(fus="2.2.0", sfsa=0xF0), [candidate("stack-4k")], candidate("stack-4k"))
    assert Action.DELETE_STACK not in [step.action for step in made.steps]


def test_unknown_reserved_room_is_a_warning_with_the_address() -> None:
    made = plan(start(fus="2.2.0"), [candidate("stack-4k")], candidate("stack-4k"))
    (warning,) = reserved_warnings(made)
    assert "without a stack the address is 0x080EF000" in warning


def test_a_chip_that_comes_from_fus_1_has_no_reserved_room() -> None:
    way = [candidate("fus-2.2.0"), candidate("stack-4k")]
    assert not reserved_warnings(plan(start(fus="1.2.0"), way, way[1]))
    made = plan(start(fus="1.2.0", had_fus2_stack=True), way, way[1])
    assert "FUS 1.2.0 cannot have installed a stack for FUS 2" in made.refusals[0]
