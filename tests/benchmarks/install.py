"""What an installation costs on the wire, counted on the simulated chip: `python tests/benchmarks/install.py`.

The minimum: user flash read once (stray images), each image written once and read back once. Simulated time is that of
a J-Link at 4 MHz SWD as flasher.sim.dll_link models it, and of FUS as the simulated chip has it from logs.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measure import head, row, verdict
from tests.support.flashing import FUS_1_2_0, Bench, opened, simulated
from tests.support.images import content

FLASH = 0x0800_0000
GET_STATE = bytes.fromhex("10 52 FC 00")
"""Type, opcode and payload length of the packet (tl.h, shci.h)."""
IMAGES = ("fus-2.2.0", "stack-larger-than-256k")


@dataclass
class Cost:
    """One installation: bytes over the probe, calls that move memory, seconds of simulated time."""

    read: int = 0
    written: int = 0
    written_to_flash: int = 0
    calls: int = 0
    questions: int = 0
    seconds: float = 0.0


def measure(bench: Bench, *names: str) -> Cost:
    """Install a bundle, and count at the chip."""
    chip, cost = bench.chip, Cost(seconds=-bench.chip.clock)
    read, write = chip.read, chip.write

    def counted_read(address: int, size: int, width: int) -> bytes:
        cost.read += size
        cost.calls += 1
        return read(address, size, width)

    def counted_write(address: int, data: bytes, width: int) -> None:
        cost.written += len(data)
        cost.calls += 1
        cost.written_to_flash += len(data) if address >> 24 == FLASH >> 24 else 0
        cost.questions += data[8:] == GET_STATE
        write(address, data, width)

    chip.read, chip.write = counted_read, counted_write  # type: ignore[method-assign]
    bench.install(opened(*names))
    del chip.read, chip.write
    cost.seconds += chip.clock
    return cost


def report_costs(folder: Path) -> None:
    """Print a row for each figure."""
    bench = Bench(simulated(fus=FUS_1_2_0), folder / "journal")
    first, again = measure(bench, *IMAGES), measure(bench, *IMAGES)
    scan = bench.chip.part.image_limit(FUS_1_2_0) - FLASH
    least = scan + 2 * sum(len(content(name)) for name in IMAGES)
    on_the_wire, rate = (first.read + first.written) / least, first.questions / first.seconds
    against = f"flash read once, images written and read: {least // 1024} KiB"
    row("install: bytes on the wire", against, f"{on_the_wire:.3f}", "", verdict("1.15", on_the_wire <= 1.15))
    row("install: accesses", "", f"{first.calls}", "", "")
    row("install: FUS is asked, a second", "simulated time", f"{rate:.1f}", "", verdict("10", rate <= 10))
    row("install: simulated seconds", "SWD at 4 MHz; FUS as in logs", f"{first.seconds:.1f}", "", "")
    done = again.written_to_flash
    row("install again: bytes programmed", "", f"{done}", "", verdict("0", not done))
    row("install again: simulated seconds", "SWD at 4 MHz", f"{again.seconds:.1f}", "", "")


def main() -> None:
    """Print one table."""
    head("measured", "against", "", "", "goal")
    with tempfile.TemporaryDirectory() as folder:
        report_costs(Path(folder))


if __name__ == "__main__":
    main()
