"""How fast blocks cross the real pylink and the simulated J-Link library, and what a simulated installation costs.

`python tests/benchmarks/probe.py`. The goals: 20 MB/s each way, and the largest stack installed in 2 s of CPU.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from flasher.sim.dll import SimulatedDll
from flasher.sim.probes import SimulatedJLink
from tests.benchmarks.measure import head, row, verdict
from tests.support.jlinks import SERIAL, attach
from tests.support.sim_chips import idle
from tests.support.sim_driver import FW_UPGRADE
from tests.support.sim_images import place, stack
from tests.support.toy_chip import RAM, ToyChip

GOAL = 20.0
INSTALL_GOAL = 2.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What went through pylink, in 10^6 bytes per second, and what one word takes, in microseconds."""

    write: float
    read: float
    word_write: float
    word_read: float


def throughput(jlink: Any, address: int, size: int, repeats: int = 9) -> Throughput:
    """Measure an attached pylink.JLink at a range of RAM: medians of some runs."""
    words = list(range(size // 4))

    def seconds(call: Callable[[], object]) -> float:
        def once() -> float:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start

        once()
        return median(once() for _ in range(repeats))

    return Throughput(
        write=size / seconds(lambda: jlink.memory_write32(address, words)) / 1e6,
        read=size / seconds(lambda: jlink.memory_read(address, size)) / 1e6,
        word_write=seconds(lambda: jlink.memory_write32(address, [1])) * 1e6,
        word_read=seconds(lambda: jlink.memory_read32(address, 1)) * 1e6,
    )


def measure() -> None:
    """Print a row for each size of block, and one for a single word."""
    chip = ToyChip(ram_size=256 * 1024)
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)])
    jlink = attach(dll, serial=None)
    for size in (1024, 16 * 1024, 256 * 1024):
        result = throughput(jlink, RAM, size)
        goal = verdict(f"{GOAL:.0f} MB/s", min(result.write, result.read) >= GOAL)
        what, against = (
            f"simulated J-Link, {size // 1024} KiB",
            f"write {result.write:.1f} MB/s, read {result.read:.1f}",
        )
        row(what, against, "", "", goal)
    row("simulated J-Link, one word", f"write {result.word_write:.1f} us, read {result.word_read:.1f} us", "", "", "")
    jlink.close()
    dll.raise_stored()


def main() -> None:
    """Print one table."""
    head("measured", "", "", "", "goal")
    measure()
    seconds = install_seconds()
    row("largest stack, installed", f"{seconds:.2f} s of CPU", "", "", verdict("2 s", seconds <= INSTALL_GOAL))


def install_seconds() -> float:
    """Return the CPU seconds in which the largest stack is programmed, installed and started, without a probe."""
    image = replace(stack, size=606_956).build()  # as BLE_Thread_dynamic of v1.17.3, the largest of ten releases
    _, driver = idle()
    start = time.process_time()
    driver.burn(place(image), image)
    driver.run(FW_UPGRADE)
    return time.process_time() - start


if __name__ == "__main__":
    main()
