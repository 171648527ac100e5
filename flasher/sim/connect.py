"""Connect the flasher's drivers to a simulated board: the one module that knows both.

`--probe sim:BOARD` goes through the real pylink to a simulated library. The board is written back at the end.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flasher.errors import BoardFileError, ProbeUnavailableError, UsageError
from flasher.jlink import JLink
from flasher.probe import Clock, OpenedProbe, ProbeRequest
from flasher.probe import Probe as AnyProbe
from flasher.sim.board import load_board, save_board
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import Probe, SimulatedDll
from flasher.sim.errors import BoardError, HostKilledError
from flasher.sim.faults import Fault, FaultyChip, parse_fault


@dataclass(frozen=True, slots=True)
class BoardClock:
    """The simulated chip's own time: nothing waits for it."""

    chip: FaultyChip

    def now(self) -> float:
        """Return simulated seconds."""
        return self.chip.clock

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.chip.advance(seconds)


@contextmanager
def open_board(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open the chip on a simulated board; the board is written back, also after an error. Raises FlasherError."""
    path = Path(request.address or "")
    board = _load(path)
    chip = FaultyChip(board, _faults(request.fault))
    # Each file has its own serial number: pylink's lock then keeps two programs from one board.
    serial = zlib.crc32(str(path.resolve()).encode()) & 0x7FFF_FFFF
    clock = BoardClock(chip)
    try:
        yield OpenedProbe(_probe(request, chip, clock, serial), clock)
    except HostKilledError as error:
        raise ProbeUnavailableError(
            "the fault ended this program here, as if it had been killed. Run the command again"
        ) from error
    finally:
        _save(board, path)


def _probe(request: ProbeRequest, chip: FaultyChip, clock: Clock, serial: int) -> AnyProbe:
    """Return the real driver of a kind, in front of a simulated probe."""
    if request.kind != "sim":
        from flasher.sim.connect_pyocd import pyocd_probe

        return pyocd_probe(request.kind, chip, clock, serial=str(serial), speed_khz=request.speed_khz)
    dll = SimulatedDll([Probe(serial=serial, chip=chip, product="simulated J-Link")])
    return JLink(dll, clock, serial=serial, kind="sim", after_failure=dll.raise_stored)


def _load(path: Path) -> SimulatedChip:
    try:
        return load_board(path)
    except BoardError as error:
        raise BoardFileError(f"{path}: {error}") from error
    except OSError as error:
        raise BoardFileError(f"{path}: {_reason(error)}") from error


def _save(board: SimulatedChip, path: Path) -> None:
    if board.state.powered is False:
        board.power_on()  # a fault cut the power: the user has switched it on again by the next run
    try:
        save_board(board, path)
    except OSError as error:
        raise BoardFileError(f"{path}: {_reason(error)}: what was done is lost") from error


def _faults(text: str | None) -> tuple[Fault, ...]:
    if text is None:
        return ()
    try:
        return (parse_fault(text),)
    except ValueError as error:
        raise UsageError(f"--sim-fault: {error}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
