"""Which chip: behind the only J-Link, behind the J-Link of a serial number, or on a simulated board in a file.

A simulated board goes through the same pylink as a real one; the file is written again when the program ends.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flasher.chip import Chip
from flasher.errors import ExitCode, FlasherError, ProbeUnavailableError
from flasher.jlink import JLink, load_library
from flasher.probe import Probe as AnyProbe
from flasher.probe import ProbeRequest, RealClock
from imagekit.errors import why

if TYPE_CHECKING:
    from flasher.sim.faults import FaultyChip


_NAMES = "jlink[:SERIAL], stlink[:SERIAL], cmsis-dap[:SERIAL], sim:FILE, sim+stlink:FILE or sim+cmsis-dap:FILE"


class BoardFileError(FlasherError):
    """The file is no simulated board, or cannot be read or written."""

    code = ExitCode.UNREADABLE


class ChoiceError(FlasherError):
    """What was said of the probe makes no sense."""

    code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the user said of the probe. `name`: as in `_NAMES`; `fault` for a simulated one."""

    name: str = "jlink"
    library: str | None = None
    speed_khz: int = 4000
    under_reset: bool = False
    fault: str | None = None


@contextmanager
def opened(choice: Choice) -> Iterator[Chip]:
    """Connect to the chip that was chosen; let it go at the end, whatever happens. Raises FlasherError."""
    kind, _, rest = choice.name.partition(":")
    if kind in ("sim", "sim+stlink", "sim+cmsis-dap") and rest:
        with _board(Path(rest), choice, kind) as chip:
            yield chip
        return
    if choice.fault:
        raise ChoiceError("--sim-fault is for simulated boards: --probe sim:FILE")
    if kind in ("stlink", "cmsis-dap") and not choice.name.endswith(":"):
        from flasher.pyocd import open_probe

        request = ProbeRequest(kind=kind, address=rest or None, speed_khz=choice.speed_khz)
        with open_probe(request) as found, _connected(Chip(found.probe, found.clock), choice) as chip:
            yield chip
        return
    if kind != "jlink" or not re.fullmatch(r"[0-9]{0,10}", rest) or (choice.name.endswith(":")):
        raise ChoiceError(f"no probe {choice.name!r}: write {_NAMES}")
    clock = RealClock()
    serial = int(rest) if rest else None
    with _connected(
        Chip(JLink(load_library(choice.library), clock, serial=serial, speed_khz=choice.speed_khz), clock), choice
    ) as chip:
        yield chip


@contextmanager
def _connected(chip: Chip, choice: Choice) -> Iterator[Chip]:
    try:
        chip.connect(under_reset=choice.under_reset)
        yield chip
    finally:
        chip.disconnect()


@dataclass(frozen=True, slots=True)
class _BoardClock:
    """The simulated chip's own time: nobody waits for it."""

    chip: "FaultyChip"

    def now(self) -> float:
        """Return simulated seconds."""
        return self.chip.clock

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.chip.advance(seconds)


@contextmanager
def _board(path: Path, choice: Choice, kind: str) -> Iterator[Chip]:
    """The chip on a simulated board. What came of it is written back, also after an error."""
    from flasher.sim.board import load_board, save_board
    from flasher.sim.dll import Probe, SimulatedDll
    from flasher.sim.errors import BoardError, HostKilledError
    from flasher.sim.faults import FaultyChip, parse_fault

    try:
        faults = (parse_fault(choice.fault),) if choice.fault else ()
    except ValueError as error:
        raise ChoiceError(f"--sim-fault: {error}") from error
    try:
        board = load_board(path)
    except (BoardError, OSError) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        raise BoardFileError(f"{path}: {reason}") from error
    faulty = FaultyChip(board, faults)
    # A serial number of its own for each file: pylink's lock then keeps two programs from one board.
    serial = zlib.crc32(str(path.resolve()).encode()) & 0x7FFF_FFFF
    dll = SimulatedDll([Probe(serial=serial, chip=faulty, product="simulated J-Link")])
    clock = _BoardClock(faulty)
    probe: AnyProbe = JLink(dll, clock, serial=serial, kind="sim", after_failure=dll.raise_stored)
    if kind != "sim":
        from flasher.sim.connect_pyocd import pyocd_probe

        probe = pyocd_probe(kind, faulty, clock, serial=str(serial), speed_khz=choice.speed_khz)
    try:
        with _connected(Chip(probe, clock), choice) as chip:
            yield chip
    except HostKilledError as error:
        raise ProbeUnavailableError(
            "as rehearsed, this program ends here as if it had been killed; run it again"
        ) from error
    finally:
        if board.state.powered is False:
            board.power_on()  # whoever cut it in a rehearsal has switched it on again by the next run
        try:
            save_board(board, path)
        except OSError as error:
            raise BoardFileError(f"{path}: {why(error)}: what was done is lost") from error
