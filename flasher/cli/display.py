"""What people see on standard error while a chip is changed. Stable lines when piped; a terminal: terminal.py."""

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

import typer

from flasher.cli.events import is_polled

if TYPE_CHECKING:
    from flasher.plan import InstallPlan
    from flasher.session import Event

KEEP_POWERED = "Do NOT power off or reset the board until this command ends."
"""Before the first step: FUS must not be interrupted (AN5185, section 2)."""
QUIET, NORMAL, VERBOSE = -1, 0, 1
"""`-q`: errors and the result; nothing: one line for each step; `-v`: every state and reset too."""


class Display(Protocol):
    """What shows the progress of a run."""

    def plan(self, plan: "InstallPlan") -> None:
        """Show what will be done."""

    def warn(self, text: str) -> None:
        """Show what must not be overlooked."""

    def event(self, event: "Event") -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal tidy."""


class NoDisplay:
    """Shows nothing: JSON lines, or `-q`."""

    def plan(self, plan: "InstallPlan") -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show it all the same."""
        write_line(paint(text, "warning"))

    def event(self, event: "Event") -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class PlainDisplay:
    """One line for each step, for files and pipes."""

    verbosity: int = NORMAL
    _steps: list[str] = field(default_factory=list)
    _number: int = 0
    _begun: float = 0.0
    _last: str = ""
    _count: int = 0

    def plan(self, plan: "InstallPlan") -> None:
        """Show the plan."""
        from flasher.show import plan_lines

        self._steps = [step.title for step in plan.steps]
        for line in plan_lines(plan):
            write_line(line.replace("IRREVERSIBLE", paint("IRREVERSIBLE", "irreversible")))

    def warn(self, text: str) -> None:
        """Show what must not be overlooked."""
        write_line(paint(text, "warning"))

    def event(self, event: "Event") -> None:
        """Show the begin and end of steps, messages, and every state with `-v`."""
        if event.event == "resume":
            write_line(f"resuming {event.step}")
        elif event.event == "begin":
            self._number += 1
            self._begun = time.monotonic()
            write_line(f"{self._position()}{event.step}")
        elif event.event == "end":
            self._end_states()
            write_line(f"{self._position()}{event.step}: done in {time.monotonic() - self._begun:.1f} s")
        elif event.event in ("state", "reset"):
            self._state(event)

    def _position(self) -> str:
        total = len(self._steps)
        if self._number > total or total < 1:
            return ""
        return f"{self._number}/{total} "

    def _state(self, event: "Event") -> None:
        if event.event == "state" and not is_polled(event.event, event.text):
            self._end_states()
            write_line(f"  {event.text}")
            return
        if self.verbosity < VERBOSE:
            return
        text = event.text or "the chip was reset"
        if text == self._last:
            self._count += 1
            return
        self._end_states()
        self._last, self._count = text, 1

    def _end_states(self) -> None:
        """Print the state that ended, with how often it was read."""
        if self._count == 1:
            write_line(f"  {self._last}")
        elif self._count > 1:
            write_line(f"  {self._last} ({self._count} times)")
        self._last, self._count = "", 0

    def close(self) -> None:
        """Print what was held back."""
        self._end_states()


def make_display(verbosity: int, *, json_lines: bool) -> Display:
    """Return the display for this run: nothing beside JSON lines, a live one on a terminal, else plain lines."""
    if json_lines or verbosity <= QUIET:
        return NoDisplay()
    if is_live(sys.stderr):
        from flasher.cli.terminal import TerminalDisplay

        return TerminalDisplay(verbosity)
    return PlainDisplay(verbosity)


def is_live(stream: TextIO) -> bool:
    """Return whether lines of a stream can be rewritten: a terminal that is not dumb."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Return whether to colour what is written to a stream: NO_COLOR and FORCE_COLOR win (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_live(stream)


_STYLES: dict[str, dict[str, str | bool]] = {
    "irreversible": {"fg": "red", "bold": True},
    "warning": {"bold": True},
    "error": {"fg": "red"},
    "good": {"fg": "green"},
}


def paint(text: str, role: str, stream: TextIO | None = None) -> str:
    """Colour a text for a stream that takes colours; standard error unless another one is named."""
    if not has_colour(stream or sys.stderr):
        return text
    return typer.style(text, **_STYLES[role])  # type: ignore[arg-type]


def write_line(text: str) -> None:
    """Write one line to standard error."""
    typer.echo(text, err=True, color=has_colour(sys.stderr))
