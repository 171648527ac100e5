"""What people see on standard error: a live line on a terminal, plain lines when piped, colours when wanted."""

import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flasher.cli.run
from flasher.cli import app
from flasher.cli.display import PlainDisplay
from flasher.cli.events import StateMerger
from flasher.cli.terminal import TerminalDisplay
from flasher.session import Event
from flasher.sim.board import save_board
from tests.support.bundles import bundle, private, public_file
from tests.support.flashing import FUS_2_2_0, simulated
from tests.support.images import FIXTURES, throw_away_keys
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture
from tests.support.terminal import run_on_terminal, screen_of

TRUST = ("--trust", str(public_file("p256")))
BOARD = ("--probe", "sim:board.json")
INSTALL = ("install", "p.wbz", *TRUST, "--accept", "fus-2.2.0", *BOARD)
WARNING = "Do NOT power off or reset the board"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setattr("imagekit.cli.console._program", "flasher")
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journals"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    save_board(simulated(), tmp_path / "board.json")
    (tmp_path / "p.wbz").write_bytes(bundle("fus-2.2.0", "stack-fus2-4k", keys=[private("p256")]))
    return tmp_path


def installed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int, verbosity: int = 0, environment: dict[str, str] | None = None
) -> str:
    """Install on a terminal of this width; return every byte that it received."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, value in (environment or {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(flasher.cli.run, "make_display", lambda *_, **__: TerminalDisplay(verbosity, terminal))
    result = CliRunner().invoke(app, list(INSTALL))
    assert result.exit_code == 0, result.output
    return terminal.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("verbosity", [0, 1])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, verbosity: int) -> None:
    raw = installed_on_a_terminal(monkeypatch, columns, verbosity)
    updates = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw).replace("\r", "\n").split("\n")
    assert max(map(len, updates)) <= columns


def test_progress_prints_no_new_line_for_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(installed_on_a_terminal(monkeypatch, 80))
    text = "\n".join(screen)
    assert [line.split("  ")[0] for line in screen if line.startswith("done ")] == [
        "done 1/3 install-fus 2.2.0 at 0x080F3000",
        "done 2/3 install-stack 1.24.0 at 0x080EF000",
        "done 3/3 start-stack",
    ]
    assert "KiB" not in text, "the bar is gone"
    assert "0x" not in re.sub(r"at 0x[0-9A-F]{8}", "", text), "states are shown with -v only"


def test_the_warning_is_bold_and_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = installed_on_a_terminal(monkeypatch, 80)
    assert f"\x1b[1m{WARNING}" in raw
    first = next(line for line in screen_of(raw) if line)
    assert first.startswith(WARNING)
    assert "\x1b[2m" not in raw, "nothing is dim"


def test_what_is_irreversible_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31mIRREVERSIBLE\x1b[0m" in installed_on_a_terminal(monkeypatch, 120)


def test_no_color_leaves_no_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = installed_on_a_terminal(monkeypatch, 80, environment={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[(\d+;)*(3[0-9]|9[0-7])(;\d+)*m", raw)


def test_identical_states_are_printed_once_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(installed_on_a_terminal(monkeypatch, 80, verbosity=1))
    states = [line for line in screen if line.startswith("  0x")]
    assert any(re.search(r"\(x\d+\)$", state) for state in states)
    assert all(first != second for first, second in itertools.pairwise(screen) if first)


def piped(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program with pipes; the bundle's stack is accepted although only the throw-away keys verify it."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env = {**clean, "PYTHONPATH": str(FIXTURES.parent), **environment}
    command = [sys.executable, "-m", "flasher", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)


def test_piped_output_is_plain_and_stable() -> None:
    result = CliRunner().invoke(app, list(INSTALL))
    assert "\x1b" not in result.output
    lines = re.sub(r"in \d+\.\d s", "in N s", result.stderr).splitlines()
    assert lines[0].startswith(WARNING)
    assert [line for line in lines if line[:3] in ("1/3", "2/3", "3/3")] == [
        "1/3 install-fus 2.2.0 at 0x080F3000",
        "1/3 install-fus 2.2.0 at 0x080F3000: done in N s",
        "2/3 install-stack 1.24.0 at 0x080EF000",
        "2/3 install-stack 1.24.0 at 0x080EF000: done in N s",
        "3/3 start-stack",
        "3/3 start-stack: done in N s",
    ]


def test_force_color_colours_a_pipe_without_moving_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stderr = CliRunner().invoke(app, list(INSTALL), color=True).stderr
    assert "\x1b[31m\x1b[1mIRREVERSIBLE\x1b[0m" in stderr
    assert not re.search(r"\x1b\[[0-9;?]*[A-KSTf-l]", stderr), "no control sequence but colours"


def test_quiet_prints_the_warning_and_the_result_only() -> None:
    result = CliRunner().invoke(app, [*INSTALL, "-q"])
    assert result.stderr.splitlines() == [f"{WARNING} until this command ends."]
    assert result.stdout.startswith("done: ")


def test_verbose_prints_states_with_a_count_when_piped() -> None:
    stderr = CliRunner().invoke(app, [*INSTALL, "-v"]).stderr
    assert re.search(r"^  0x\d\d .* \(\d+ times\)$", stderr, re.MULTILINE)


def test_a_single_operation_is_confirmed_on_a_terminal(folder: Path) -> None:
    save_board(simulated(fus=FUS_2_2_0, stack="stack-fus2-4k"), folder / "board.json")
    before = (folder / "board.json").read_bytes()
    refused = run_on_terminal("delete", *BOARD, typed=b"n\n")
    assert (refused.code, refused.stdout) == (7, "")
    assert "Delete the wireless stack?" in refused.raw
    assert "stopped: nothing was done" in refused.raw
    assert (folder / "board.json").read_bytes() == before
    assert run_on_terminal("delete", *BOARD, typed=b"y\n").code == 0


def test_yes_and_a_pipe_ask_nothing(folder: Path) -> None:
    save_board(simulated(fus=FUS_2_2_0, stack="stack-fus2-4k"), folder / "board.json")
    done = run_on_terminal("delete", *BOARD, "--yes")
    assert done.code == 0, done.raw
    assert "[y/N]" not in done.raw
    assert piped("delete", *BOARD).returncode == 0


def test_a_run_loads_rich_only_on_a_terminal() -> None:
    code = "import sys; import flasher.cli; print('rich' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(FIXTURES.parent)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert result.stdout == "False\n"


def test_messages_for_the_user_are_never_held_back() -> None:
    merger = StateMerger()
    message = {"event": "state", "step": "install", "text": "do not power off"}
    state = {"event": "state", "step": "install", "text": "0x20 FUS installs"}
    assert merger.add(message) == [message]
    assert merger.add(state) == merger.add(dict(state)) == []
    assert merger.flush() == [{**state, "count": 2}]


def test_a_step_without_a_plan_has_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay()
    display.event(Event(event="begin", step="delete-stack"))
    display.event(Event(event="end", step="delete-stack"))
    assert capsys.readouterr().err.splitlines()[0] == "delete-stack"
