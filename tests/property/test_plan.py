"""Plans from any set of images: legal step by step, no longer than needed, and never fewer for having more images."""

from collections.abc import Iterator
from functools import cache
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from imagekit.image.model import ImageKind, Version
from imagekit.report.plan import document
from imagekit.targets import TARGETS, Target
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.plan import UpgradePlan, plan
from imagekit.upgrade.start import Start
from tests.support.chip import OracleChip
from tests.support.images import assessed, content

UPGRADES = ("fus-1.0.2", "fus-1.1.0", "fus-hidden-version", "fus-2.2.0", "fus-2.2.0-2k")
GOALS = ("stack-4k", "stack-2k", "stack-fus2-4k", "stack-fus2-2k", "safeboot-2.0.0", "safeboot-2.0.1", *UPGRADES)
FUS_VERSIONS = ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0")

targets = st.sampled_from(TARGETS)
versions = st.sampled_from(FUS_VERSIONS)
goals = st.sampled_from(GOALS)
sets = st.sets(st.sampled_from(UPGRADES)).map(sorted)
stacks = st.sampled_from([True, False, None])


def candidate(name: str) -> Candidate:
    return Candidate(name, assessed(name), is_named=True)


def made(target: Target, fus: str, goal: str, others: list[str], has_stack: bool | None) -> UpgradePlan:
    begin = Start(target=target, fus=Version.from_text(fus), stack_installed=has_stack)
    wanted = candidate(goal)
    return plan(begin, [wanted, *map(candidate, others)], wanted)


def carry_out(target: str, fus: str, steps: list[dict[str, object]], *, has_stack: bool) -> OracleChip:
    major, minor, sub = map(int, fus.split("."))
    chip = OracleChip(target, (major, minor, sub), has_stack)
    for step in steps:
        chip.carry_out(step, content(cast("str", step["file"])) if step["file"] else None)
    return chip


@given(targets, versions, goals, sets, stacks)
def test_every_plan_works_with_and_without_a_stack(
    target: Target, fus: str, goal: str, others: list[str], has_stack: bool | None
) -> None:
    way = made(target, fus, goal, others, has_stack)
    steps = cast("list[dict[str, object]]", document(way)["steps"])
    for really in (True, False) if has_stack is None else (has_stack,):
        chip = carry_out(target.name, fus, steps, has_stack=really)
        if steps and candidate(goal).image.kind is ImageKind.STACK:
            assert chip.running
    assert bool(way.refusals) is not bool(way.steps or way.notes) or (way.refusals and way.notes)


@given(targets, versions, goals, sets, sets)
def test_more_images_never_remove_a_plan(
    target: Target, fus: str, goal: str, others: list[str], more: list[str]
) -> None:
    if made(target, fus, goal, others, has_stack=False).steps:
        assert made(target, fus, goal, sorted({*others, *more}), has_stack=False).steps


@given(targets, versions, st.sampled_from(("stack-fus2-4k", "stack-fus2-2k")), sets)
def test_no_chip_gets_there_with_fewer_upgrades(target: Target, fus: str, goal: str, others: list[str]) -> None:
    """Stacks for FUS 2 only: what ST merely asks for, as for older stacks, a chip does not enforce."""
    way = made(target, fus, goal, others, has_stack=False)
    lengths = [len(order) for order in _orders(target, fus, others) if _is_possible(target, fus, (*order, goal))]
    if way.steps:
        assert len(way.steps) - 2 == min(lengths)
    else:
        assert not lengths


def _orders(target: Target, fus: str, others: list[str], begin: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every order of some of the images that a chip could install, longer ones behind those that they begin with."""
    yield begin
    for name in others:
        if name not in begin and _is_possible(target, fus, (*begin, name)):
            yield from _orders(target, fus, others, (*begin, name))


@cache
def _is_possible(target: Target, fus: str, names: tuple[str, ...]) -> bool:
    major, minor, sub = map(int, fus.split("."))
    chip = OracleChip(target.name, (major, minor, sub), has_stack=False)
    try:
        for name in names:
            data, kind = content(name), assessed(name).image.kind
            assert (target.sector_size == 2048) is name.endswith("2k")
            first = target.name in ("STM32WB5xxY", "STM32WB5xxE", "STM32WB5xxC") and chip.fus < (1, 0, 2)
            chip.install("install-fus" if kind is ImageKind.FUS else "install-stack", data, name, first_on_small=first)
    except AssertionError:
        return False
    return not (target.sector_size == 2048 and (major, minor, sub) < (1, 2, 0))
