"""`--probe sim+stlink:BOARD` and `sim+cmsis-dap:BOARD`, through the program's own way of opening a board."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from flasher.chip import ChipDriver
from flasher.errors import BoardFileError, ProbeUnavailableError, TargetUnavailableError
from flasher.link import ProbeChoice, connected_chip
from flasher.sim.board import create_board, load_board, save_board
from flasher.sim.errors import AccessError
from tests.support.flashing import simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

NAMES = ("sim+stlink", "sim+cmsis-dap")
SRAM1 = 0x2000_0000


def opened(name: str) -> AbstractContextManager[ChipDriver]:
    """Connect as the program does, to `--probe NAME`."""
    return connected_chip(ProbeChoice(name=name), lambda _: None)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.json"
    create_board(simulated(), path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_opened_and_written_back(name: str, board: Path) -> None:
    with opened(f"{name}:{board}") as chip:
        chip.put(SRAM1, 0xCAFE_0001)
        assert chip.probe.info.kind == name
        assert "simulated" in chip.probe.info.product
    assert load_board(board).read(SRAM1, 4, 4) == bytes.fromhex("0100FECA")


@pytest.mark.parametrize("name", NAMES)
def test_a_second_program_on_one_board_is_refused(name: str, board: Path) -> None:
    choice = f"{name}:{board}"
    with (
        opened(choice),
        pytest.raises(BoardFileError, match="in use by another program"),
        opened(choice),
    ):
        pass
    with opened(choice) as chip:
        assert chip.identity.dev_id == 0x495


@pytest.mark.parametrize("name", NAMES)
def test_faults_strike_over_every_probe(name: str, board: Path) -> None:
    chip = load_board(board)
    chip.faults = ("host-killed@5",)
    save_board(chip, board)
    with pytest.raises(ProbeUnavailableError, match="as if it had been killed"), opened(f"{name}:{board}"):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_connect_leaves_no_lock(name: str, board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flasher.sim.chip.SimulatedChip.read", _raise_access_error)
    with pytest.raises(TargetUnavailableError, match="the chip does not answer over SWD"), opened(f"{name}:{board}"):
        pass
    monkeypatch.undo()
    with opened(f"{name}:{board}") as chip:
        assert chip.identity.dev_id == 0x495


def _raise_access_error(_chip: Any, address: int, _size: int, _width: int) -> bytes:
    raise AccessError(address)
