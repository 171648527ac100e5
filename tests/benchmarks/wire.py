"""What an installation costs over each probe, counted on the simulated chip: `python tests/benchmarks/wire.py`.

Bytes over a J-Link are those that its library was asked to move: SEGGER's own protocol is not known. For the other
probes they are all bytes on USB, commands and answers included. Times are not compared: the simulated ones are not
measured.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measure import head, row, verdict
from tests.support.flashing import simulated
from tests.support.probe_rigs import KINDS, Rig

IMAGES = ("fus-2.2.0", "stack-larger-than-256k")
GOAL = 1.3
"""Of the J-Link's bytes, for an ST-LINK."""


@dataclass(frozen=True)
class Traffic:
    """What went over one probe: bytes, USB packets (none for a J-Link), accesses to the chip."""

    bytes: int
    packets: int
    accesses: int


def measure(kind: str, folder: Path) -> Traffic:
    """Install a bundle over a probe of a kind, and count."""
    rig = Rig(kind, simulated())
    accesses = 0
    read, write = rig.chip.read, rig.chip.write

    def counted_read(address: int, size: int, width: int) -> bytes:
        nonlocal accesses
        accesses += 1
        return read(address, size, width)

    def counted_write(address: int, data: bytes, width: int) -> None:
        nonlocal accesses
        accesses += 1
        write(address, data, width)

    rig.chip.read, rig.chip.write = counted_read, counted_write  # type: ignore[method-assign]
    rig.install(folder, *IMAGES)
    if kind == "jlink":
        counters = rig.dll.counters
        return Traffic(counters.bytes_read + counters.bytes_written, 0, accesses)
    return Traffic(rig.cable.bytes, rig.cable.packets, accesses)


def report_traffic(folder: Path) -> None:
    """Print a row for each figure."""
    traffic = {kind: measure(kind, folder / kind) for kind in KINDS}
    least = traffic["jlink"].bytes
    for kind, found in traffic.items():
        share = found.bytes / least
        goal = verdict(str(GOAL), share <= GOAL) if kind.startswith("stlink") else ""
        row(f"{kind}: bytes", f"J-Link: {least // 1024} KiB", f"{share:.3f}", "", goal)
        row(f"{kind}: USB packets, accesses to the chip", "", f"{found.packets}, {found.accesses}", "", "")


def main() -> None:
    """Print one table."""
    head("measured", "against", "", "", "goal")
    with tempfile.TemporaryDirectory() as folder:
        report_traffic(Path(folder))


if __name__ == "__main__":
    main()
