"""Every reader with changed inputs, the same ones every time; and with every input that one has ever failed on.

Hours of it: tests/fuzz/README.md.
"""

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS_BY_NAME

FINDINGS = sorted((Path(__file__).parent / "fuzz" / "findings").glob("*/*"))


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_was_found_stays_mended(path: Path) -> None:
    TARGETS_BY_NAME[path.parent.name].try_one(path.read_bytes())


def try_changed_inputs(name: str, count: int) -> None:
    target, chance = TARGETS_BY_NAME[name], Random(name)  # noqa: S311
    seeds = list(target.seeds())
    for _ in range(count):
        target.try_one(mutate(chance.choice(seeds), chance))


@pytest.mark.parametrize("name", TARGETS_BY_NAME)
def test_changed_inputs(name: str) -> None:
    try_changed_inputs(name, TARGETS_BY_NAME[name].smoke // 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS_BY_NAME)
def test_many_changed_inputs(name: str) -> None:
    """The inputs of `test_changed_inputs`, and four times as many more."""
    try_changed_inputs(name, TARGETS_BY_NAME[name].smoke)
