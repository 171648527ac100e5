"""A simulated board for the length of one run: locked, loaded, its faults armed, and written back at the end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flasher.sim.behaviour import Behaviour
from flasher.sim.board import load_board, save_board, to_document
from flasher.sim.board_lock import locked
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll_session import Settings
from flasher.sim.errors import BoardError
from flasher.sim.faults import FaultStrike, FaultyChip, parse_fault


@dataclass(slots=True)
class OpenBoard:
    """What is needed to connect to a board. `chip` is the chip behind its faults.

    It is a clock too: the simulated chip's own time, which passes without waiting.
    """

    path: Path
    chip: FaultyChip
    settings: Settings = field(default_factory=Settings)

    def now(self) -> float:
        """Return simulated seconds."""
        return self.chip.clock

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.chip.advance(seconds)

    def outcomes(self) -> list[FaultStrike]:
        """What became of every fault that was armed."""
        return self.chip.outcomes()

    def report(self) -> list[str]:
        """One line for each fault that was armed, to be shown when the run has ended."""
        return [outcome.text for outcome in self.outcomes()]


def dll_settings(behaviour: Behaviour) -> Settings:
    """Return how the simulated J-Link library behaves before a chip of this behaviour."""
    return Settings(
        memory_cache=behaviour.dll_memory_cache,
        unknown_answer=behaviour.dll_unknown_command,
        clears_vector_catch=behaviour.vector_catch == "cleared",
    )


@contextmanager
def opened_board(path: Path, faults: tuple[str, ...] = ()) -> Iterator[OpenBoard]:
    """Open a board; write it back at the end, whatever happens, if anything on it has changed.

    `faults` are armed for this run beside those of the board. A fault of the board that has struck is disarmed; one
    that was never reached stays. Power that a fault cut is back at the end.

    Raises:
        BoardError: the file is not a board, is damaged, in use by another program, or cannot be read or written.
        ValueError: one of `faults` is not a fault.
    """
    extra = tuple(parse_fault(text) for text in faults)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path))
            chip = load_board(path)
        except OSError as error:
            raise BoardError(_why(error)) from error
        before = to_document(chip)["sha256"]
        stored = chip.faults
        armed = tuple(parse_fault(text) for text in stored)
        board = OpenBoard(path, FaultyChip(chip, armed + extra), dll_settings(chip.behaviour))
        try:
            yield board
        finally:
            if not chip.state.powered:
                chip.power_on()
            outcomes = zip(stored, board.outcomes(), strict=False)
            chip.faults = tuple(text for text, outcome in outcomes if outcome.access is None)
            if to_document(chip)["sha256"] != before:
                _save(chip, path)


def _save(chip: SimulatedChip, path: Path) -> None:
    try:
        save_board(chip, path)
    except OSError as error:
        raise BoardError(f"{_why(error)}: what was done is lost") from error


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
