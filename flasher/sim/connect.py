"""Open a simulated board for the flasher: the one module that knows both the simulated chip and the flasher.

`--probe sim:BOARD` goes through the real pylink to a simulated library, `sim+stlink:` and `sim+cmsis-dap:` through the
real pyOCD to a simulated probe.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flasher.errors import BoardFileError, ProbeUnavailableError
from flasher.jlink import JLink
from flasher.probe import FaultOutcome, OpenedProbe, Probe, ProbeRequest
from flasher.sim.dll import SimulatedDll
from flasher.sim.errors import BoardError, HostKilledError
from flasher.sim.probes import SimulatedJLink
from flasher.sim.session import OpenBoard, opened_board


@contextmanager
def open_board(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open a simulated board. It is written back at the end, also after an error.

    Raises:
        BoardFileError: the file is not a board, is in use, or cannot be read or written.
        ProbeUnavailableError: a fault ended this program.
    """
    path = Path(request.address or "")
    try:
        with opened_board(path) as board:
            yield OpenedProbe(_probe(request, board), board, lambda: _outcomes(board))
    except HostKilledError as error:
        raise ProbeUnavailableError(
            "the fault ended this program here, as if it had been killed. Run the command again"
        ) from error
    except BoardError as error:
        raise BoardFileError(_why_unreadable(path, error)) from error


def _start_of(path: Path) -> bytes:
    """Return the first bytes of a file: it may be far too large to be read whole. Raises OSError."""
    with path.open("rb") as file:
        return file.read(100)


def _why_unreadable(path: Path, error: BoardError) -> str:
    """Return one line. A file that cannot be a board, such as an image, gets no details about its bytes."""
    make = "make one with 'flasher sim new'"
    if not path.exists():
        return f"{path}: {error}; {make}"
    with suppress(OSError):
        if path.is_file() and not _start_of(path).lstrip().startswith(b"{"):
            return f"{path}: not a simulated board; {make}"
    return f"{path}: {error}"


def _probe(request: ProbeRequest, board: OpenBoard) -> Probe:
    """Return the real driver of a kind, in front of a simulated probe."""
    # Each file has its own serial number: pylink's lock then keeps two programs from one board on Windows too.
    serial = zlib.crc32(str(board.path.resolve()).encode()) & 0x7FFF_FFFF
    if request.kind != "sim":
        from flasher.sim.connect_pyocd import pyocd_probe

        return pyocd_probe(request.kind, board.chip, board, serial=str(serial), speed_khz=request.speed_khz)
    dll = SimulatedDll([SimulatedJLink(serial=serial, chip=board.chip, product="simulated J-Link")], board.settings)
    return JLink(dll, board, serial=serial, kind="sim", after_failure=dll.raise_stored)


def _outcomes(board: OpenBoard) -> tuple[FaultOutcome, ...]:
    return tuple(FaultOutcome(outcome.text, outcome.access is not None) for outcome in board.outcomes())
