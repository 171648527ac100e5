"""Which chip: behind the only J-Link, behind the J-Link of a serial number, or on a simulated board in a file.

A simulated board goes through the same pylink as a real one; the file is written again when the program ends.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flasher.chip import ChipDriver
from flasher.errors import FlasherError
from flasher.jlink import JLink, load_library
from flasher.probe import RealClock
from imagekit.cli.console import complain
from imagekit.errors import ExitCode


class ChoiceError(FlasherError):
    """What was said of the probe makes no sense."""

    code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the user said of the probe. `name`: `jlink`, `jlink:SERIAL` or `sim:FILE`; `fault` for a simulated one."""

    name: str = "jlink"
    library: str | None = None
    speed_khz: int = 4000
    under_reset: bool = False
    fault: str | None = None


@contextmanager
def opened(choice: Choice) -> Iterator[ChipDriver]:
    """Connect to the chip that was chosen; let it go at the end, whatever happens. Raises FlasherError."""
    kind, _, rest = choice.name.partition(":")
    if kind == "sim" and rest:
        with _board(Path(rest), choice) as chip:
            yield chip
        return
    if choice.fault:
        raise ChoiceError("--sim-fault is for simulated boards: --probe sim:FILE")
    if kind != "jlink" or not re.fullmatch(r"[0-9]{0,10}", rest) or (choice.name.endswith(":")):
        raise ChoiceError(f"no probe {choice.name!r}: write jlink, jlink:SERIAL or sim:FILE")
    clock = RealClock()
    serial = int(rest) if rest else None
    with _connected(
        ChipDriver(JLink(load_library(choice.library), clock, serial=serial, speed_khz=choice.speed_khz), clock), choice
    ) as chip:
        yield chip


@contextmanager
def _connected(chip: ChipDriver, choice: Choice) -> Iterator[ChipDriver]:
    try:
        chip.connect(under_reset=choice.under_reset)
        yield chip
    finally:
        chip.disconnect()


@contextmanager
def _board(path: Path, choice: Choice) -> Iterator[ChipDriver]:
    """The chip on a simulated board. What came of it is written back, also after an error."""
    from flasher.sim.connect import opened_probe
    from flasher.sim.faults import parse_fault

    faults = (choice.fault,) if choice.fault else ()
    try:
        _ = [parse_fault(fault) for fault in faults]
    except ValueError as error:
        raise ChoiceError(f"--sim-fault: {error}") from error
    opened_board = opened_probe(path, faults, report=complain)
    with opened_board as (probe, clock), _connected(ChipDriver(probe, clock), choice) as chip:
        yield chip
