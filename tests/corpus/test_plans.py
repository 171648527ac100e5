"""Every target x every FUS x every stack that ST released: a way that a chip could go, or a reason.

Each way is carried out, step by step, on the chip of tests/support/chip.py, which knows nothing of imagekit.
"""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from imagekit.assessment import assess
from imagekit.image.model import Image, ImageKind, Version
from imagekit.report.upgrade_plan import document
from imagekit.rules import findings
from imagekit.rules.registry import Chip, Finding
from imagekit.targets import TARGETS, Target
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.plan import Start, UpgradePlan, plan
from tests.support.chip import OracleChip
from tests.support.corpus import CORPUS, IMAGES, counts_hold, name, needs_corpus

pytestmark = needs_corpus

FUS_VERSIONS = ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0")


@cache
def contents() -> dict[str, Candidate]:
    """Every content of the corpus once, by its SHA-256."""
    found: dict[str, Candidate] = {}
    for path in IMAGES:
        image = Image.parse(path.read_bytes())
        found.setdefault(image.sha256, Candidate(str(path), assess(image), is_named=False))
    return found


@cache
def judged(sha256: str, chip: Chip) -> tuple[Finding, ...]:
    return findings(contents()[sha256].assessment, chip)


@pytest.fixture(autouse=True)
def _judge_each_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are pure: the same image on the same chip gets the same findings, in every plan."""
    monkeypatch.setattr("imagekit.upgrade.plan.findings", lambda assessed, chip: judged(assessed.image.sha256, chip))


def of_kind(*kinds: ImageKind) -> list[Candidate]:
    return [one for one in contents().values() if one.image.kind in kinds]


@cache
def read(path: str) -> bytes:
    return Path(path).read_bytes()


def numbers(text: str) -> tuple[int, int, int]:
    major, minor, sub = map(int, text.split("."))
    return major, minor, sub


def carried_out(made: UpgradePlan, *, has_stack: bool) -> OracleChip:
    chip = OracleChip(made.start.target.name, numbers(made.start.fus.text), has_stack)
    for step in document(made)["steps"]:  # type: ignore[attr-defined]
        path = step["file"]
        chip.carry_out(step, read(path) if path else None, path or "")
    return chip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("fus", FUS_VERSIONS)
def test_every_stack_has_a_plan_that_works_or_a_refusal(target: Target, fus: str) -> None:
    upgrades = of_kind(ImageKind.FUS)
    for goal in of_kind(ImageKind.STACK):
        for has_stack in (False, True):
            begin = Start(target=target, fus=Version.from_text(fus), stack_installed=has_stack)
            made = plan(begin, [*upgrades, goal], goal)
            assert bool(made.steps) != bool(made.refusals), (goal.path, made)
            if made.refusals:
                assert len(made.refusals[0]) > 20
                continue
            chip = carried_out(made, has_stack=has_stack)
            assert chip.running
            assert made.steps[-2].candidate is goal


@pytest.mark.parametrize("fus", FUS_VERSIONS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_fus_and_safeboot_has_a_plan_or_a_refusal(target: Target, fus: str) -> None:
    upgrades = of_kind(ImageKind.FUS)
    for goal in of_kind(ImageKind.FUS, ImageKind.SAFEBOOT):
        made = plan(Start(target=target, fus=Version.from_text(fus), stack_installed=False), [*upgrades, goal], goal)
        assert bool(made.steps) + bool(made.refusals) + bool(made.notes and not made.refusals) == 1, made
        if made.steps:
            carried_out(made, has_stack=False)


STACKS = {
    "STM32WB5xxG": 138,
    "STM32WB5xxY": 138,
    "STM32WB5xxE": 126,
    "STM32WB5xxC": 72,
    "STM32WB3xxE": 92,
    "STM32WB3xxC": 65,
    "STM32WB1xxC": 37,
}
"""How many of the stacks have a way to a target, from whatever FUS, with the FUS images of all releases."""


@counts_hold
@pytest.mark.parametrize("fus", FUS_VERSIONS)
def test_every_stack_that_fits_has_a_plan(fus: str) -> None:
    """A change of these numbers is a change of what users are told: look at it before changing them."""
    counts: Counter[str] = Counter()
    upgrades = of_kind(ImageKind.FUS)
    for target in TARGETS:
        begin = Start(target=target, fus=Version.from_text(fus), stack_installed=False)
        for goal in of_kind(ImageKind.STACK):
            counts[target.name] += bool(plan(begin, [*upgrades, goal], goal).steps)
    is_possible = Version.from_text(fus) >= Version(1, 2, 0)
    assert counts == STACKS | ({} if is_possible else {"STM32WB1xxC": 0})


def test_a_release_folder_is_enough_from_any_fus_in_its_notes() -> None:
    folder = CORPUS / "v1.23.0" / "STM32WB5x"
    if not folder.exists():
        pytest.skip("this corpus lacks v1.23.0")
    files = {name(path): contents()[_sha256(path)] for path in folder.glob("*.bin")}
    goal = files["v1.23.0/STM32WB5x/stm32wb5x_BLE_Stack_full_fw.bin"]
    for fus, steps in (("0.5.3", 4), ("1.0.2", 4), ("1.1.2", 4), ("1.2.0", 3), ("2.0.0", 2), ("2.1.0", 2)):
        begin = Start(target=TARGETS[0], fus=Version.from_text(fus), stack_installed=False)
        assert len(plan(begin, list(files.values()), goal).steps) == steps, fus


def _sha256(path: Path) -> str:
    return Image.parse(path.read_bytes()).sha256
