"""The direct probe of the tests does to the chip what pylink does: the same accesses, in the same order."""

from pathlib import Path

import pytest

from tests.support.fault_matrix import (
    CAUTIOUS,
    SCENARIOS,
    Case,
    Strike,
    bare,
    clean_run,
    directly,
    run_case,
    run_once,
    through_pylink,
)


@pytest.mark.parametrize("scenario", ["fresh", "replace-on-fus1", "unsettled-1", "survives"])
def test_both_probes_make_the_same_accesses(scenario: str, tmp_path: Path) -> None:
    runs = []
    with bare(tmp_path):
        for make_probe in (directly, through_pylink):
            chip = SCENARIOS[scenario].board()
            folder = tmp_path / make_probe.__name__
            runs.append((run_once(SCENARIOS[scenario], chip, folder, None, CAUTIOUS, make_probe), chip.clock))
    (direct, direct_clock), (pylink, pylink_clock) = runs
    assert (direct.text, pylink.text) == ("installed", "installed")
    assert direct.bench.kinds == pylink.bench.kinds
    assert direct_clock == pytest.approx(pylink_clock)


@pytest.mark.parametrize("kind", ["link-lost", "access-fails", "answer-lost", "short-read", "power-cut", "host-killed"])
def test_both_probes_report_a_fault_alike(kind: Strike, tmp_path: Path) -> None:
    accesses, _ = clean_run(SCENARIOS["fresh"])
    reads = [number for number, text in enumerate(accesses, 1) if text.startswith("read")]
    for at in (reads[len(reads) // 3], reads[len(reads) * 2 // 3 + 1]):
        outcomes = []
        with bare(tmp_path):
            for make_probe in (directly, through_pylink):
                folder = tmp_path / f"{make_probe.__name__}-{at}"
                outcomes.append(run_case(Case("fresh", kind, at), folder, make_probe))
        direct, pylink = outcomes
        assert direct.installed_by == pylink.installed_by
        assert [text.split(":")[0] for text in direct.texts] == [text.split(":")[0] for text in pylink.texts]
        assert direct.problems == pylink.problems == []
