"""A run on a terminal: one line for each step with its result, and a live line below for the present one."""

import sys
import textwrap
import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from flasher.cli.display import VERBOSE
from flasher.cli.events import is_polled

if TYPE_CHECKING:
    from flasher.plan import InstallPlan
    from flasher.session import Event

_NARROWEST = 20
_NARROW = 80
"""Fewer columns get a short bar."""


class _Amount(ProgressColumn):
    """`64/128 KiB 12 s`, or the seconds alone for a step that moves no bytes."""

    def render(self, task: Task) -> Text:
        """Return the text of one refresh."""
        seconds = f"{task.elapsed or 0:.0f} s"
        if task.fields["is_busy"] or task.total is None:
            return Text(seconds)
        return Text(f"{task.completed / 1024:.0f}/{task.total / 1024:.0f} KiB {seconds}")


class _BarOrState(ProgressColumn):
    """A bar while bytes are moved; while FUS works, its last state."""

    def __init__(self, width: int) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self._bar = BarColumn(bar_width=width)
        self._most = width * 2

    def render(self, task: Task) -> RenderableType:
        """Return what one refresh shows."""
        if task.fields["is_busy"] or task.total is None:
            text = Text(str(task.fields["detail"]))
            text.truncate(self._most, overflow="ellipsis")
            return text
        return self._bar.render(task)


def wrapped(line: str, width: int) -> str:
    """Wrap one line; what follows is indented."""
    indent = " " * (len(line) - len(line.lstrip()) + 3)
    return "\n".join(textwrap.wrap(line, max(width, _NARROWEST), subsequent_indent=indent, replace_whitespace=False))


class TerminalDisplay:
    """Shows a run with rich, which is loaded for this alone."""

    def __init__(self, verbosity: int, stream: TextIO | None = None) -> None:
        self._verbosity = verbosity
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._steps: list[str] = []
        self._number = 0
        self._begun = 0.0
        self._label = ""
        self._last, self._count = "", 0

    def plan(self, plan: "InstallPlan") -> None:
        """Show the plan."""
        from flasher.show import plan_lines

        self.close()
        self._steps = [step.title for step in plan.steps]
        for line in plan_lines(plan):
            text = Text(wrapped(line, self._console.width))
            text.highlight_words(["IRREVERSIBLE"], "bold red")
            self._console.print(text)

    def warn(self, text: str) -> None:
        """Show what must not be overlooked: bold, never dim."""
        self._console.print(Text(text, style="bold"))

    def event(self, event: "Event") -> None:
        """Show one event."""
        if event.event == "progress":
            self._live(event)
        elif event.event == "begin":
            self._begin(event)
        elif event.event == "resume":
            self._console.print(Text(f"resuming {event.step}", style="bold"))
        elif event.event == "end":
            self._end(event)
        else:
            self._state(event)

    def _begin(self, event: "Event") -> None:
        self.close()
        self._number += 1
        self._begun = time.monotonic()
        self._label = event.step
        if self._number <= len(self._steps):
            self._label = f"{self._number}/{len(self._steps)} {event.step}"
        self._start(total=None)

    def _end(self, event: "Event") -> None:
        self.close()
        line = Text.assemble(("done ", "green"), self._label or event.step)
        line.append(f"  {time.monotonic() - self._begun:.1f} s")
        self._console.print(line)

    def _live(self, event: "Event") -> None:
        """Move the bar; a scan before the plan has no step of its own."""
        if self._progress is None or self._task is None:
            self._label = self._label or event.step
            self._start(total=event.of)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=event.done, total=event.of, is_busy=False)
        if event.step == "scan" and event.done >= event.of:
            self.close()
            self._label = ""

    def _state(self, event: "Event") -> None:
        text = event.text or "the chip was reset"
        if event.event == "state" and not is_polled(event.event, event.text):
            self._print(text)
            return
        if text == self._last:
            self._count += 1
        else:
            self._end_states()
            self._last, self._count = text, 1
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, is_busy=True, detail=self._counted())

    def _counted(self) -> str:
        if self._count > 1:
            return f"{self._last} (x{self._count})"
        return self._last

    def _end_states(self) -> None:
        """With `-v`, keep a state that ended on the screen."""
        if self._last and self._verbosity >= VERBOSE:
            self._print(self._counted())
        self._last, self._count = "", 0

    def _print(self, text: str) -> None:
        console = self._console
        if self._progress is not None:
            console = self._progress.console
        console.print(Text(wrapped(f"  {text}", console.width)))

    def _start(self, total: int | None) -> None:
        width = 24
        if self._console.width < _NARROW:
            width = 10
        one_line = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=one_line, markup=False),
            _BarOrState(width),
            _Amount(table_column=Column(no_wrap=True)),
            console=self._console,
            expand=True,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task(self._label, total=total, detail="", is_busy=False)

    def close(self) -> None:
        """Remove the live line."""
        self._end_states()
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._task = None, None
