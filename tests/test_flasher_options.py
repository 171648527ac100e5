"""Option bytes that were programmed and not loaded when the program was killed: the register alone does not tell."""

from pathlib import Path

import pytest

from flasher.sim.errors import HostKilledError
from flasher.sim.faults import Fault
from tests.support.flashing import FUS_2_2_0, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

FLASH_CR, OBL_LAUNCH = 0x5800_4014, 1 << 27
FACTORY = 0x3FFF_F1AA


def launches(folder: Path) -> list[int]:
    """At which write of FLASH_CR, counted from 1, a clean run loads the option bytes."""
    bench = Bench(simulated(fus=FUS_2_2_0), folder)
    found, count, write = [], 0, bench.chip.write

    def watched(address: int, data: bytes, width: int) -> None:
        nonlocal count
        if address == FLASH_CR:
            count += 1
            if int.from_bytes(data, "little") & OBL_LAUNCH:
                found.append(count)
        write(address, data, width)

    bench.chip.write = watched  # type: ignore[method-assign]
    bench.install(opened("stack-fus2-4k"))
    return found


@pytest.mark.parametrize("which", [0, 1])
def test_unloaded_option_bytes_are_corrected_by_the_next_run(tmp_path: Path, which: int) -> None:
    at = launches(tmp_path / "clean")[which]
    chip = simulated(fus=FUS_2_2_0)
    bench = Bench(chip, tmp_path, faults=(Fault(kind="host-killed", at=at, on="write", address=FLASH_CR),))
    with pytest.raises(HostKilledError):
        bench.install(opened("stack-fus2-4k"))
    states = chip.options.state
    assert states.stored["OPTR"] != states.loaded["OPTR"], "programmed and not loaded"
    bench.faults = ()
    bench.install(opened("stack-fus2-4k"))
    assert (chip.options.state.stored["OPTR"], chip.options.state.loaded["OPTR"]) == (FACTORY, FACTORY)
    assert chip.fus.secret.stack is not None
