"""A bundle is installed over each probe with its real library: the same board results; a second run does nothing."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flasher.errors import FlasherError
from flasher.sim.board import to_document
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll_link import Fails, Survives, Unsettled
from flasher.sim.faults import Fault
from tests.support.flashing import simulated
from tests.support.jlinks import own_locks_and_no_sleep
from tests.support.probe_rigs import USB_KINDS, Rig

__all__ = ["own_locks_and_no_sleep"]

SMALL, SMALL_IMAGES = "STM32WB15CC", ("fus-2.2.0-2k", "stack-2k")
LARGE, LARGE_IMAGES = "STM32WB55RG", ("fus-2.2.0", "stack-4k")
IMAGES = {SMALL: SMALL_IMAGES, LARGE: LARGE_IMAGES}


def install_over(rig: Rig, folder: Path) -> list[str]:
    return rig.install(folder, *IMAGES[rig.chip.part.name])


def lasting(chip: SimulatedChip) -> dict[str, Any]:
    """What a board keeps without power: flash, option bytes, and FUS's own memory."""
    document = to_document(chip)
    return {"flash": document["flash"]["pages"], "options": document["options"], "secret": document["secret"]}


@cache
def over_jlink(part: str, folder: Path) -> dict[str, Any]:
    rig = Rig("jlink", simulated(part))
    assert install_over(rig, folder) == ["install-fus", "install-stack", "start-stack"]
    return lasting(rig.chip)


@pytest.mark.parametrize(("kind", "part"), [*((kind, SMALL) for kind in USB_KINDS), ("stlink-v2-1", LARGE)])
def test_a_board_ends_as_over_a_jlink(kind: str, part: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    rig = Rig(kind, simulated(part))
    folder = tmp_path_factory.mktemp(kind)
    assert install_over(rig, folder) == ["install-fus", "install-stack", "start-stack"]
    assert lasting(rig.chip) == over_jlink(part, tmp_path_factory.mktemp("jlink"))


@pytest.mark.parametrize("kind", USB_KINDS)
def test_a_second_run_changes_nothing(kind: str, tmp_path: Path) -> None:
    rig = Rig(kind, simulated(SMALL))
    install_over(rig, tmp_path)
    before = lasting(rig.chip)
    assert install_over(rig, tmp_path) == []
    assert lasting(rig.chip) == before


@pytest.mark.parametrize("kind", USB_KINDS)
@pytest.mark.parametrize("policy", [Survives(), Fails(), Unsettled(1), Unsettled(2)])
def test_resets_by_fus_are_survived(kind: str, policy: Any, tmp_path: Path) -> None:
    rig = Rig(kind, simulated(SMALL), after_reset=policy)
    assert install_over(rig, tmp_path) == ["install-fus", "install-stack", "start-stack"]


@pytest.mark.parametrize("kind", USB_KINDS)
@pytest.mark.parametrize(
    ("fault", "at"),
    [("link-lost", 400), ("power-cut", 900), ("answer-lost", 900), ("access-fails", 150), ("reset", 400)],
)
def test_an_interrupted_run_is_finished_by_the_next(kind: str, fault: Any, at: int, tmp_path: Path) -> None:
    """Never a dead board; whatever the first run came to, at most two more finish the work."""
    chip = simulated(SMALL, interrupted_write="abort")
    rig = Rig(kind, chip, faults=(Fault(kind=fault, at=at, value=300),))
    for _ in range(3):
        try:
            install_over(rig, tmp_path)
        except FlasherError:
            rig.clock.sleep(60.0)
            rig = Rig(kind, chip)
            continue
        break
    else:
        pytest.fail("the work was never finished")
    assert chip.fus.secret.stack is not None
    assert chip.fus.secret.fus_version >> 24 == 2
