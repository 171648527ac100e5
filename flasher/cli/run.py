"""Run a command on a chip: connect, hold back Ctrl-C, tell what happens, and end with one result and one exit code."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flasher.cli.display import Display, NoDisplay, make_display
from flasher.cli.events import StateMerger
from flasher.cli.failure import failure_lines
from flasher.cli.record import RunRecord
from flasher.errors import DO_NOT_POWER_OFF, BoardFileError, FlasherError, ProbeError
from imagekit.cli.console import complain, is_debugging, print_lines, print_result, shown, trace
from imagekit.errors import ExitCode
from imagekit.files import read_start, write_file
from imagekit.text import printable, why

if TYPE_CHECKING:
    from flasher.cli.options import ConnectionOptions, OutputOptions
    from flasher.probe import FaultOutcome
    from flasher.session import Event, Say, Session


@dataclass(slots=True)
class Stop:
    """Whether the user has asked to stop: the flasher stops between two steps, never while FUS is running."""

    wanted: bool = False

    def ask(self, *_: object) -> None:
        """Note Ctrl-C, and say what happens next."""
        self.wanted = True
        # os.write, because this is a signal handler: the interrupted code may be printing.
        os.write(2, b"flasher: stopping after this step. Do NOT power off or reset the board until then.\n")


stop = Stop()


@contextmanager
def held_signals() -> Iterator[None]:
    """Let Ctrl-C and requests to end count between two steps only."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop.ask) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


# --- connecting


@contextmanager
def connected(
    connection: "ConnectionOptions", say: "Say", on_fault: "Callable[[FaultOutcome], None]", *, restores: bool = True
) -> "Iterator[Session]":
    """Connect to the chip and open its journal. Raises FlasherError."""
    from flasher.install import session
    from flasher.journal import Journal, default_folder, locked_chip, unfinished
    from flasher.link import connected_chip

    folder = connection.folder or default_folder()
    choice = connection.choice()
    if choice.under_reset:
        uids = unfinished(folder)
        if uids:
            complain(f"--under-reset is ignored: FUS may still be running on {', '.join(uids)} (flasher journal)")
            choice = replace(choice, under_reset=False)
    with connected_chip(choice, on_fault) as chip:
        uid = chip.identity.uid
        with locked_chip(folder, uid):  # before the journal is read: the other process may still write to it
            journal = Journal(folder, uid)
            if restores:
                say_what_is_resumed(folder, uid, say)
            with session(chip, journal, say, lambda: stop.wanted, restores=restores) as opened:
                yield opened


def say_what_is_resumed(folder: Path, uid: str, say: "Say") -> None:
    """Tell which step of an earlier run did not end."""
    from flasher.cli.journals import read_journal
    from flasher.session import Event

    path = folder / f"{uid}.jsonl"
    step = read_journal(path).unfinished_step if path.exists() else None
    if step is not None:
        say(Event(event="resume", step=printable(step)))


@contextmanager
def looking(connection: "ConnectionOptions") -> "Iterator[Session]":
    """Connect to a chip that will not be changed. Exits with one line when that fails."""
    with errors_told(), connected(connection, lambda _: None, tell_struck, restores=False) as session:
        if session.journal.history.optr is not None:
            complain("an installation on this chip was interrupted. Run it again: it restores the option bytes")
        yield session


@contextmanager
def errors_told() -> Iterator[None]:
    """Print an error in one line and exit with its code."""
    try:
        yield
    except FlasherError as error:
        tell(error)
        raise typer.Exit(error.code) from error


def tell(error: FlasherError) -> None:
    """Print an error, with the probe's log and a traceback if they are wanted."""
    trace(error)
    if isinstance(error, ProbeError) and is_debugging():
        for line in error.log:
            complain(f"probe library: {line}")
    for line in failure_lines(error):
        complain(line)


# --- commands that change a chip


@dataclass(slots=True)
class Run:
    """One command that changes a chip."""

    reporting: "OutputOptions"
    display: Display = field(default_factory=NoDisplay)
    record: RunRecord = field(default_factory=RunRecord)
    _merger: StateMerger = field(default_factory=StateMerger)
    _report_path: str | None = None
    """Where the report goes; None until it is known that nothing else is there."""

    def hear(self, event: "Event") -> None:
        """Note and show one event. A reader that stopped reading does not stop an installation."""
        from flasher.show import event_document

        event = self.record.without_padding(event)
        self.record.note_event(event)
        document = event_document(event) | {"at": self.record.elapsed()}
        for complete in self._merger.add(document):
            self._pass_on(complete)
        with suppress(OSError):
            self.display.event(event)

    def _pass_on(self, document: dict[str, object]) -> None:
        if document["event"] != "progress":
            self.record.events.append(document)
        if self.reporting.json_lines:
            with suppress(OSError):
                print_result(json.dumps(document))

    @contextmanager
    def session(self, connection: "ConnectionOptions") -> "Iterator[Session]":
        """Connect to the chip, with signals held back. Raises FlasherError."""
        outcomes: list[FaultOutcome] = []
        try:
            with held_signals(), connected(connection, self.hear, outcomes.append) as session:
                self.record.session = session
                self.record.options = session.chip.options()
                yield session
        finally:
            self.display.close()
            for outcome in outcomes:
                complain(outcome.text)
        if not all(outcome.has_struck for outcome in outcomes):
            raise NotReachedError("the rehearsal is not valid: an armed fault was never reached")

    def finish(self, text: str) -> None:
        """Print the result of a run that did what it should."""
        self.display.close()
        self.record.succeed()
        if not self.reporting.json_lines:
            with suppress(OSError):
                print_lines([text])

    def end(self) -> None:
        """Print the result event and write the report: the last thing in every run."""
        self.display.close()
        for document in self._merger.flush():
            self._pass_on(document)
        if self.reporting.json_lines:
            with suppress(OSError):
                print_result(json.dumps(self.record.result()))
        is_written = self._report_path is None or self._write_report(self._report_path)
        if not is_written and self.record.code == ExitCode.DONE:
            raise typer.Exit(ExitCode.UNREADABLE)

    def prepare_report(self) -> None:
        """Write a first report: a file that cannot be written must not come as a surprise at the end.

        Raises ReportError.
        """
        if self.reporting.report is None:
            return
        path = Path(self.reporting.report)
        if path.exists() and not _is_report(path):
            raise ReportError(f"{shown(str(path))}: exists and is not a report. The chip was not changed")
        if not self._write_report(str(path)):
            raise typer.Exit(ExitCode.UNREADABLE)
        self._report_path = str(path)

    def _write_report(self, path: str) -> bool:
        try:
            write_file(path, self.record.report(keeps_serials=self.reporting.report_serials))
        except OSError as error:
            complain(f"{shown(path)}: {why(error)}: the report cannot be written")
            return False
        return True


def _is_report(path: Path) -> bool:
    """Return whether a file is a report of an earlier run: nothing else is replaced, no pipe, no device."""
    try:
        return b'"schema": "flasher.report/' in read_start(str(path), 200)
    except OSError:
        return False


def tell_struck(outcome: "FaultOutcome") -> None:
    """Print a fault that struck. Looking at a chip need not reach a fault that waits for an installation."""
    if outcome.has_struck:
        complain(outcome.text)


class NotReachedError(FlasherError):
    """A fault was armed on a simulated board, and the run ended before it was reached."""

    code = ExitCode.USAGE


class ReportError(BoardFileError):
    """The report would replace a file that is not a report."""


@contextmanager
def running(reporting: "OutputOptions") -> Iterator[Run]:
    """Run a command that changes a chip; whatever happens, end with one result. Exits with the exit code."""
    run = Run(reporting, make_display(reporting.verbosity, json_lines=reporting.json_lines))
    try:
        with errors_told_and_noted(run):
            run.prepare_report()
            yield run
    finally:
        run.end()


@contextmanager
def errors_told_and_noted(run: Run) -> Iterator[None]:
    """Put an error into the record, and print the same text."""
    try:
        yield
    except FlasherError as error:
        run.display.close()
        run.record.fail(error)
        tell(error)
        raise typer.Exit(error.code) from error
    except typer.Exit as error:
        run.record.crash(error, "stopped", ExitCode(error.exit_code))
        raise
    except KeyboardInterrupt as error:
        run.record.crash(error, "interrupted", ExitCode.INTERRUPTED)
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}: this is a defect of flasher; 'flasher --debug ...' shows where"
        run.record.crash(error, text, ExitCode.CRASHED)
        if run.record.session is not None and run.record.session.cpu2.is_fus_at_work:
            complain(DO_NOT_POWER_OFF)
        raise
