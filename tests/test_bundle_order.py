"""The order of the steps: what follows what, what the parts ask for, and which boards a bundle serves."""

from collections.abc import Sequence

import pytest

from imagekit.bundle.manifest import ManifestStep
from imagekit.bundle.order import _follows, served, steps_for
from imagekit.errors import BundleError
from imagekit.targets import Target, select_target
from tests.support.images import assessed

LARGE, SMALL, WB1X = (select_target(part) for part in ("STM32WB55RG", "STM32WB55CC", "STM32WB15CC"))


def step(min_fus: str, below: str | None, gives: str) -> ManifestStep:
    return ManifestStep(image="0" * 64, min_fus=min_fus, below_fus=below, gives=gives, irreversible=True)


def test_a_fus_and_a_safeboot_of_one_number_are_refused() -> None:
    fus, safeboot = step("1.2.0", "2.0.0", "2.0.0"), step("1.1.0", "1.1.2", "2.0.0")
    assert not _follows(fus, safeboot, to_fus=False)
    assert _follows(step("0.5.3", "1.0.1", "1.2.0"), step("1.0.1", "1.2.0", "1.2.0"), to_fus=True)
    assert not _follows(step("0.5.3", "1.0.1", "1.2.0"), step("1.1.0", "1.1.2", "2.0.0"), to_fus=True)


@pytest.mark.parametrize(
    ("name", "targets", "first"),
    [
        ("stack-4k", [LARGE], "1.2.0"),
        ("safeboot-2.0.0", [LARGE], "1.1.0"),
        ("fus-hidden-version", [LARGE], "1.0.1"),
        ("fus-hidden-version", [SMALL], "1.0.1"),
        ("fus-2.2.0", [LARGE, SMALL], "1.2.0"),
        ("stack-2k", [WB1X], "1.2.0"),
        ("fus-2.2.0-2k", [WB1X], "1.2.0"),
    ],
)
def test_the_parts_say_where_a_range_begins(name: str, targets: Sequence[Target], first: str) -> None:
    assert steps_for([assessed(name)], targets)[0].min_fus == first


def test_a_range_with_nothing_in_it_is_refused() -> None:
    """No WB1x has a FUS that installs Safeboot 2.0.0."""
    with pytest.raises(BundleError, match=r"these parts need 1\.2\.0") as refused:
        steps_for([assessed("safeboot-2.0.0-2k")], [WB1X])
    assert refused.value.reason == "steps"


def test_nothing_but_fus_below_1_0_2_on_a_small_wb5x(monkeypatch: pytest.MonkeyPatch) -> None:
    from imagekit.fus_versions import FUS_1_0_1

    monkeypatch.setattr("imagekit.bundle.order.fus_range", lambda *_: (FUS_1_0_1, None))
    stack = [assessed("stack-4k")]
    assert [steps_for(stack, targets)[0].min_fus for targets in ([LARGE], [SMALL], [LARGE, SMALL])] == [
        "1.0.1",
        "1.0.2",
        "1.0.2",
    ]


def test_a_safeboot_cannot_be_undone() -> None:
    assert steps_for([assessed("safeboot-2.0.0")], [LARGE])[0].irreversible
    assert steps_for([assessed("safeboot-2.0.1")], [LARGE])[0].irreversible
    assert not steps_for([assessed("stack-4k")], [LARGE])[0].irreversible


@pytest.mark.parametrize(
    ("steps", "ranges"),
    [
        ([("1.2.0", None, "1.24.0")], [("1.2.0", None)]),
        ([("1.2.0", "2.2.0", "2.2.0")], [("1.2.0", "2.2.0")]),
        ([("0.5.3", "1.0.1", "1.2.0"), ("1.0.1", "1.2.0", "1.2.0"), ("1.1.0", None, "1.9.0")], [("0.5.3", None)]),
        ([("0.5.3", "1.0.1", "1.2.0"), ("1.2.0", "2.2.0", "2.2.0")], [("0.5.3", "1.0.1"), ("1.2.0", "2.2.0")]),
        ([("1.2.0", "2.2.0", "2.2.0"), ("1.1.0", None, "1.9.0")], [("1.2.0", None)]),
        ([("1.0.1", "1.2.0", "1.2.0"), ("1.0.1", "1.2.0", "1.2.0")], [("1.0.1", "1.2.0")]),
    ],
)
def test_which_boards_are_served(
    steps: list[tuple[str, str | None, str]], ranges: list[tuple[str, str | None]]
) -> None:
    """A board enters where a step takes its FUS, and no step before that one is left to do."""
    assert served([step(*one) for one in steps]) == ranges


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("fus-hidden-version", "stack-fus2-4k"), "add a FUS image that gives 2.0.0 or later"),
        (("fus-2.2.0", "safeboot-2.0.0"), "leave images/"),
    ],
)
def test_no_way_says_what_to_do(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        steps_for([assessed(name) for name in names], [LARGE])
