"""The door from the flasher to simulated boards: a board behind the real pylink, as a probe and a clock.

The one module of the simulation that knows the flasher's driver (see the import contracts in pyproject.toml).
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flasher.errors import BoardFileError, ProbeUnavailableError
from flasher.jlink import JLink
from flasher.sim.dll import Probe, SimulatedDll
from flasher.sim.errors import BoardError, HostKilledError
from flasher.sim.session import OpenBoard, opened_board


@contextmanager
def opened_probe(
    path: Path, faults: tuple[str, ...] = (), report: Callable[[str], None] | None = None
) -> Iterator[tuple[JLink, OpenBoard]]:
    """A J-Link before a simulated board, not connected yet, and the board's clock.

    `report` gets one line for each fault that was armed, when the board has been written back.

    Raises:
        BoardFileError: the file is not a board, is in use, or cannot be read or written.
        ProbeUnavailableError: a fault ended this program.
        ValueError: one of `faults` is not a fault.
    """
    board: OpenBoard | None = None
    try:
        with opened_board(path, faults) as board:
            yield _probe(board), board
    except HostKilledError as error:
        raise ProbeUnavailableError(
            "as rehearsed, this program ends here as if it had been killed; run it again"
        ) from error
    except BoardError as error:
        raise BoardFileError(f"{path}: {error}") from error
    finally:
        if board is not None and report is not None:
            for line in board.report():
                report(line)


def _probe(board: OpenBoard) -> JLink:
    # A serial number of its own for each file: pylink's lock then keeps two programs from one board on Windows too.
    serial = zlib.crc32(str(board.path.resolve()).encode()) & 0x7FFF_FFFF
    dll = SimulatedDll([Probe(serial=serial, chip=board.chip, product="simulated J-Link")], board.settings)
    return JLink(dll, board, serial=serial, kind="sim", after_failure=dll.raise_stored)
