"""What is unknown about silicon: the flasher survives every setting of it, alone and in pairs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flasher.sim.behaviour import Behaviour
from flasher.sim.chip import SimulatedChip
from tests.support.behaviours import SETTINGS, Row, covering_pairs, name_of, one_at_a_time
from tests.support.flashing import FUS_1_2_0, FUS_2_2_0, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

UPGRADE = ("fus-2.2.0", "stack-fus2-4k")
V1_24_0 = 0x01180001
VECTORS = (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little")
PAIRS = covering_pairs()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return lambda chip, **choices: Bench(chip, tmp_path / "journals", **choices)


def board(row: Row, fus: int, stack: str | None) -> SimulatedChip:
    """A board whose application runs, and which has bonding data where it has a stack."""
    chip = simulated(fus=fus, stack=stack, **row)
    if stack is not None:
        chip.fus.secret.bonding = "present"
    if fus == FUS_2_2_0 and stack == "stack-fus2-4k":
        chip.fus.secret.nvm_sectors = row.get("nvm_section_sectors", 0)
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.power_cycle()
    chip.advance(1)
    return chip


def judge(chip: SimulatedChip, optr: int) -> None:
    """The stack of the bundle is there, nothing is broken, and the board is given back."""
    chip.advance(60)
    secret = chip.fus.secret
    assert secret.dead == ""
    assert secret.stack is not None
    assert (secret.fus_version, secret.stack.version) == (FUS_2_2_0, V1_24_0)
    assert (secret.operation, secret.nvm_job) == (None, None)
    assert chip.options.state.stored["OPTR"] == optr
    assert not chip.is_halted


def test_the_defaults_are_those_of_the_simulated_chip() -> None:
    for name, values in SETTINGS.items():
        assert getattr(Behaviour(), name) == values[0]


def test_every_pair_of_settings_is_in_the_sample() -> None:
    met = {(first, second) for row in PAIRS for first in row.items() for second in row.items()}
    for first, values in SETTINGS.items():
        for second, others in SETTINGS.items():
            if first != second:
                assert {((first, a), (second, b)) for a in values for b in others} <= met


@pytest.mark.parametrize("row", [*one_at_a_time(), *PAIRS], ids=name_of)
def test_an_upgrade_from_fus_1_survives(row: Row, bench: Callable[..., Bench]) -> None:
    chip = board(row, FUS_1_2_0, "stack-4k")
    optr = chip.options.state.stored["OPTR"]
    bench(chip).install(opened(*UPGRADE))
    judge(chip, optr)


def other_stack(run: Bench) -> None:
    """Make the journal say that the installed stack is another variant, so that it is replaced."""
    connected = run.connect()
    run.journal(connected).note("step", step="install-stack 1.24.0", stack="0" * 64)
    run.journal(connected).note("done", step="install-stack 1.24.0")
    connected.disconnect()


@pytest.mark.parametrize("row", [*one_at_a_time(), *PAIRS], ids=name_of)
def test_a_new_format_stack_is_replaced_and_keeps_bonding_data(row: Row, bench: Callable[..., Bench]) -> None:
    chip = board(row, FUS_2_2_0, "stack-fus2-4k")
    other_stack(bench(chip))
    chip.advance(1)
    optr = chip.options.state.stored["OPTR"]
    run = bench(chip)
    run.install(opened("stack-fus2-4k"))
    judge(chip, optr)
    if row.get("nvm_section_sectors"):
        assert chip.fus.secret.bonding == "kept"


def test_an_nvm_job_is_reported(bench: Callable[..., Bench]) -> None:
    chip = board({"nvm_job_seconds": 30.0}, FUS_2_2_0, "stack-fus2-4k")
    other_stack(bench(chip))
    run = bench(chip)
    run.install(opened("stack-fus2-4k"))
    texts = {event.text for event in run.events if event.event == "state"}
    assert "NVM backup is running: do NOT power off or reset the board" in texts
    assert "NVM restore is running: do NOT power off or reset the board" in texts
