"""Connect to the chip that the user chose, and release it at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from flasher.chip import ChipDriver
from flasher.probe import FaultOutcome, ProbeRequest
from flasher.probes import find_probes, only_probe, open_probe, parse_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """What the user said about the probe. `name`: see flasher/probes.py; None takes the only probe there is."""

    name: str | None = None
    library: str | None = None
    speed_khz: int = 4000
    under_reset: bool = False

    def request(self) -> ProbeRequest:
        """Return which probe to open. Raises UsageError, ProbeUnavailableError."""
        return replace(self._named(), library=self.library, speed_khz=self.speed_khz)

    def _named(self) -> ProbeRequest:
        if self.name is None:
            return only_probe(find_probes(self.library))
        return parse_name(self.name)


@contextmanager
def unconnected_chip(choice: ProbeChoice) -> Iterator[ChipDriver]:
    """Open the probe and leave connecting to the caller. The probe is released at the end. Raises FlasherError."""
    with open_probe(choice.request()) as opened:
        chip = ChipDriver(opened.probe, opened.clock)
        try:
            yield chip
        finally:
            chip.disconnect()


@contextmanager
def connected_chip(choice: ProbeChoice, on_fault: Callable[[FaultOutcome], None]) -> Iterator[ChipDriver]:
    """Connect to the chip. It is released at the end, whatever happens.

    `on_fault` is called at the end for each fault that was armed on a simulated board. Raises FlasherError.
    """
    with open_probe(choice.request()) as opened:
        chip = ChipDriver(opened.probe, opened.clock)
        try:
            chip.connect(under_reset=choice.under_reset)
            yield chip
        finally:
            chip.disconnect()
            for outcome in opened.faults():
                on_fault(outcome)
