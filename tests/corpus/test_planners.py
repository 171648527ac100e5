"""Both planners against each other: `imagekit plan` and the flasher's plan take the same steps at the same addresses.

For every part, every FUS and every image of the corpus, on a chip with and without a stack, with a bundle that upgrades
FUS only where it is needed. A sample by default; all of them with `-m slow`.
"""

from collections.abc import Iterator
from functools import cache

import pytest

from flasher.acceptance import Acceptance
from flasher.facts import Facts
from flasher.journal import History
from flasher.plan import make_plan
from imagekit.bundle import manifest_json, write
from imagekit.bundle.manifest import FusPolicy, Waiver
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.bundle.write import BundleContent
from imagekit.errors import BundleError, PlacementError
from imagekit.fus_versions import given_fus
from imagekit.image.model import FUS_1_2, ImageKind, Version
from imagekit.targets import TARGETS, Target
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.plan import plan
from imagekit.upgrade.start import Start
from tests.corpus.test_flasher_corpus import PARTS, read
from tests.support.bundles import private, public
from tests.support.corpus import IMAGES, needs_corpus
from tests.support.facts import facts

pytestmark = needs_corpus
Steps = list[tuple[str, int | None]]
FUS_VERSIONS = ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0")
SAMPLE = ("1.1.0", "1.2.0", "2.0.0", "2.2.0")


@cache
def contents(target: Target) -> tuple[BundleContent, ...]:
    """Every content that fits the target's series once, by its hash."""
    found: dict[str, BundleContent] = {}
    for path in IMAGES:
        content = read(path)
        series = path.name[5:8].upper()
        if content.assessment.signature.key and target.name.startswith(f"STM32{series}"):
            found.setdefault(content.assessment.image.sha256, content)
    return tuple(found.values())


@cache
def upgrades(target: Target) -> tuple[BundleContent, ...]:
    """One FUS image for each version from 1.2.0 on."""
    found: dict[Version, BundleContent] = {}
    for content in contents(target):
        image = content.assessment.image
        if image.kind is ImageKind.FUS and given_fus(image) >= FUS_1_2:
            found.setdefault(given_fus(image), content)
    return tuple(found.values())


def goals(target: Target) -> Iterator[BundleContent]:
    yield from (content for content in contents(target) if content.assessment.image.kind is ImageKind.STACK)


@cache
def chip(part: str, fus: str, stack: str | None) -> Facts:
    return facts(part, fus, stack)


def bundled(target: Target, goal: BundleContent) -> VerifiedBundle | None:
    """A bundle of all upgrades and the goal; None where imagekit makes none."""
    inside = (*upgrades(target), goal)
    waivers = [
        Waiver("WB105", content.assessment.image.sha256, "a test")
        for content in inside
        if not content.assessment.image.series
    ]
    try:
        stated = write.make_manifest(
            inside,
            [target],
            name="product",
            sequence=1,
            created=0,
            waivers=waivers,
            fus_policy=FusPolicy.NEEDED,
        )
    except (BundleError, PlacementError):
        return None
    payload = manifest_json.dumps(stated)
    data = write.write_bundle(payload, [write.signature(private("p256"), payload)], inside)
    return open_bundle(data, [public("p256")])


def by_imagekit(target: Target, goal: BundleContent, fus: str, *, has_stack: bool) -> Steps | None:
    """The steps of `imagekit plan`; None where it refuses."""
    candidates = [Candidate(f"{index}.bin", one.assessment, False) for index, one in enumerate(upgrades(target))]
    wanted = Candidate("goal.bin", goal.assessment, True)
    start = Start(target=target, fus=Version.from_text(fus), stack_installed=has_stack)
    made = plan(start, [*candidates, wanted], wanted)
    if made.refusals:
        return None
    return [(step.action.value, step.placement.address if step.placement else None) for step in made.steps]


def by_flasher(bundle: VerifiedBundle, target: Target, fus: str, *, has_stack: bool) -> Steps | None:
    """The steps of the flasher, everything accepted; None where it refuses."""
    stack = None
    if has_stack:
        stack = "stack-2k" if target.sector_size == 2048 else "stack-4k"
    facts = chip(PARTS[target.name], fus, stack)
    first = make_plan(bundle, facts, History(), Acceptance())
    made = make_plan(bundle, facts, History(), Acceptance(accept=frozenset(first.to_accept)))
    if made.refusals:
        return None
    return [(step.action, step.staging.area.start if step.staging else None) for step in made.steps]


def assert_agreement(target: Target, goal: BundleContent, fus_versions: tuple[str, ...]) -> int:
    """Both plan the same, or both refuse. Returns how many plans were compared."""
    bundle = bundled(target, goal)
    if bundle is None:
        return 0
    compared = 0
    for fus in fus_versions:
        if target.name.startswith("STM32WB1") and Version.from_text(fus) < FUS_1_2:
            continue  # no WB1x has such a FUS
        for has_stack in (False, True):
            expected = by_imagekit(target, goal, fus, has_stack=has_stack)
            planned = by_flasher(bundle, target, fus, has_stack=has_stack)
            image = goal.assessment.image
            assert planned == expected, (target.name, fus, has_stack, goal.assessment.variants, image.version)
            compared += 1
    return compared


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_both_planners_agree_on_a_sample(target: Target) -> None:
    sample = list(goals(target))[::20]
    assert sum(assert_agreement(target, goal, SAMPLE) for goal in sample)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_both_planners_agree_on_the_whole_corpus(target: Target) -> None:
    assert sum(assert_agreement(target, goal, FUS_VERSIONS) for goal in goals(target))
