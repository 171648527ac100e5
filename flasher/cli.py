"""The flasher's command line: options, printing, questions and exit codes live here and nowhere else."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flasher.sim.cli import app as sim
from imagekit import __version__
from imagekit.cli.console import (
    about,
    complain,
    is_debugging,
    painter,
    print_json,
    print_result,
    public_keys,
    run,
    set_debug,
    shown,
    trace,
)
from imagekit.files import read_bundle, write_file
from imagekit.text import printable, why

if TYPE_CHECKING:
    from flasher.chip import Options
    from flasher.install import Event, Session
    from flasher.link import Choice
    from flasher.plan import Consent, InstallPlan, Range
    from imagekit.bundle.verified import VerifiedBundle

app = typer.Typer(
    name="flasher",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sim)

ProbeName = Annotated[
    str,
    typer.Option("--probe", envvar="FLASHER_PROBE", metavar="PROBE", help="jlink, jlink:SERIAL or sim:FILE."),
]
Library = Annotated[
    str | None,
    typer.Option(
        "--jlink-dll", envvar="FLASHER_JLINK_DLL", metavar="PATH", help="SEGGER's library.", show_default=False
    ),
]
Speed = Annotated[int, typer.Option("--speed", envvar="FLASHER_SPEED", min=5, max=50_000, help="SWD clock in kHz.")]
UnderReset = Annotated[
    bool,
    typer.Option(
        "--under-reset",
        envvar="FLASHER_UNDER_RESET",
        help="Connect while the reset pin is low, for a chip that does not answer; never while FUS may be at work.",
    ),
]
SimFault = Annotated[
    str | None,
    typer.Option(
        "--sim-fault",
        envvar="FLASHER_SIM_FAULT",
        metavar="KIND@N",
        help="Rehearse a fault at the N-th access of a simulated board, such as link-lost@300.",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        envvar="FLASHER_JOURNAL",
        metavar="FOLDER",
        help="Where journals are kept.  [default: the user's folder for state]",
        show_default=False,
    ),
]
BundleFile = Annotated[str, typer.Argument(metavar="BUNDLE", help="A signed bundle (.wbz).", show_default=False)]
Trust = Annotated[
    list[str],
    typer.Option("--trust", envvar="FLASHER_TRUST", metavar="KEY", help="A public key (PEM) that may sign bundles."),
]
Threshold = Annotated[
    int, typer.Option("--threshold", envvar="FLASHER_THRESHOLD", min=1, help="How many of them must have signed.")
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept", envvar="FLASHER_ACCEPT", metavar="NAME", help="Accept what cannot be undone, such as fus-2.2.0."
    ),
]
EraseApplication = Annotated[
    list[str] | None,
    typer.Option(
        "--erase-application",
        envvar="FLASHER_ERASE_APPLICATION",
        metavar="FROM-TO",
        help="Pages in the way of an image that may be erased, such as 0x080D0000-0x080D0FFF.",
    ),
]
EraseStray = Annotated[
    list[str] | None,
    typer.Option(
        "--erase-leftover",
        "--erase-stray",
        envvar="FLASHER_ERASE_STRAY",
        metavar="FROM-TO",
        help="Sectors of a leftover image that may be erased.",
    ),
]
Json = Annotated[bool, typer.Option("--json", envvar="FLASHER_JSON", help="Print one JSON document.")]
JsonLines = Annotated[
    bool, typer.Option("--json-lines", envvar="FLASHER_JSON_LINES", help="Print events, one JSON document a line.")
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        envvar="FLASHER_REPORT",
        metavar="FILE",
        help="Write what happened, for support; serial numbers hashed, never ST's binaries.",
        show_default=False,
    ),
]
ReportSerials = Annotated[
    bool, typer.Option("--report-serials", envvar="FLASHER_REPORT_SERIALS", help="Leave serial numbers in the report.")
]


# --- the program


def _print_version(wanted: bool) -> None:
    if wanted:
        print_result(f"flasher {__version__} ({_versions()})")
        raise typer.Exit


def _versions() -> str:
    """pylink's version, and that of SEGGER's library where it is found."""
    from importlib.metadata import version

    pylink = f"pylink-square {version('pylink-square')}"
    try:
        from flasher.jlink import library_version

        return f"{pylink}, J-Link library {library_version()}"
    except _flasher_error():
        return f"{pylink}, no J-Link library found"


def _flasher_error() -> type[Exception]:
    from flasher.errors import FlasherError

    return FlasherError


@app.callback()
def _flasher(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - the callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show versions and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="FLASHER_DEBUG", help="Show a traceback and the probe's log with an error."),
    ] = False,
) -> None:
    """Install verified bundles on STM32WB chips over a J-Link.

    Exit codes: 0 done; 2 wrong usage; 3 refused; 4 unreadable; 5 probe or chip not reached; 6 the chip refuses; 7
    stopped, run it again. Without hardware: flasher sim new b.json --part STM32WB55RG, then --probe sim:b.json.
    """
    set_debug(debug)
    if context.invoked_subcommand is None:
        print_result(context.get_help())
        raise typer.Exit(2)


@app.command("list")
def list_(library: Library = None, as_json: Json = False) -> None:
    """List the J-Links that can be reached."""
    with _told():
        from flasher.jlink import JLink, load_library
        from flasher.probe import RealClock

        found = JLink(load_library(library), RealClock()).probes()
    if as_json:
        probes = [
            {"probe": f"jlink:{one.serial}", "product": one.product, "connection": one.connection} for one in found
        ]
        print_json({"schema": "flasher.list/1", "probes": probes})
        return
    for one in found:
        print_result(f"jlink:{one.serial}  {printable(one.product)}  {one.connection}")
    if not found:
        complain("no J-Link is connected")


@app.command()
def info(
    probe: ProbeName = "jlink",
    library: Library = None,
    speed: Speed = 4000,
    under_reset: UnderReset = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Show the chip, its option bytes, FUS and stack. Flash and option bytes are never written."""
    with _taken(_choice(probe, library, speed, under_reset), folder) as it:
        from flasher.plan import hindrances
        from flasher.show import info_document, info_lines

        options = it.chip.options()
        reasons = hindrances(options)
        told = it.cpu2.peek() or (it.cpu2.begin() if not reasons else None)
        values = it.chip.probe.info, it.chip.identity, it.chip.options(), told, reasons
    if as_json:
        print_json(info_document(*values))
    else:
        print_result("\n".join(info_lines(*values)))


@app.command()
def plan(
    bundle: BundleFile,
    trust: Trust,
    threshold: Threshold = 1,
    accept: Accept = None,
    erase_application: EraseApplication = None,
    erase_stray: EraseStray = None,
    probe: ProbeName = "jlink",
    library: Library = None,
    speed: Speed = 4000,
    under_reset: UnderReset = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Show what install would do to this chip, and what it costs. Flash and option bytes are not written."""
    consent = _consent(accept, erase_application, erase_stray)
    verified = _verified(bundle, trust, threshold)
    with _taken(_choice(probe, library, speed, under_reset), folder) as it:
        from flasher.install import survey
        from flasher.plan import make_plan

        made = make_plan(verified, survey(it, passive=True), it.journal.history, consent)
    _print_plan(made, as_json=as_json)


def _print_plan(made: "InstallPlan", *, as_json: bool) -> None:
    from flasher.show import plan_document, plan_lines

    if as_json:
        print_json(plan_document(made))
    else:
        print_result("\n".join(plan_lines(made)))
    _leave_refused(made.refusals, quiet=as_json)


def _leave_refused(reasons: Sequence[str], *, quiet: bool = False) -> None:
    """Exit with 3 when there are reasons, each in a line of its own."""
    if not reasons:
        return
    for reason in () if quiet else reasons:
        complain(f"refused: {reason}")
    raise typer.Exit(3)


@app.command()
def install(
    bundle: BundleFile,
    trust: Trust,
    threshold: Threshold = 1,
    accept: Accept = None,
    erase_application: EraseApplication = None,
    erase_stray: EraseStray = None,
    probe: ProbeName = "jlink",
    library: Library = None,
    speed: Speed = 4000,
    under_reset: UnderReset = False,
    sim_fault: SimFault = None,
    folder: Folder = None,
    json_lines: JsonLines = False,
    report: Report = None,
    report_serials: ReportSerials = False,
) -> None:
    """Bring a chip to what a bundle holds. Run it again to resume; what is there already is not written again.

    Example: flasher install product.wbz --trust release.pub --accept fus-2.2.0
    """
    from flasher.install import install as carry

    consent = _consent(accept, erase_application, erase_stray)
    verified = _verified(bundle, trust, threshold)
    choice = _choice(probe, library, speed, under_reset, sim_fault)
    _run_steps(
        choice,
        folder,
        _Output(json_lines=json_lines, report=report, report_serials=report_serials, bundle=_named(verified)),
        lambda it: _finished(it, carry(it, verified, consent, lambda made: _agreed(it, made, consent, json_lines))),
    )


def _named(verified: "VerifiedBundle") -> dict[str, Any]:
    """The bundle in a report."""
    manifest = verified.manifest
    return {"name": manifest.name, "sequence": manifest.sequence, "images": [one.sha256 for one in manifest.images]}


def _finished(it: "Session", done: "InstallPlan") -> str:
    """What to say of a chip on which a plan was carried out."""
    from flasher.show import chip_line

    did = "done: " if done.steps else "nothing to do: "
    return f"{did}{chip_line(it.chip.identity, it.cpu2.info)}{_simulated(it)}"


def _simulated(it: "Session") -> str:
    """What tells a rehearsal from the real thing."""
    return ", on a simulated board" if it.chip.probe.info.kind == "sim" else ""


@app.command()
def delete(
    probe: ProbeName = "jlink",
    library: Library = None,
    speed: Speed = 4000,
    under_reset: UnderReset = False,
    sim_fault: SimFault = None,
    folder: Folder = None,
    json_lines: JsonLines = False,
) -> None:
    """Delete the wireless stack. The chip has no radio until another one is installed."""
    from flasher.install import delete as do
    from flasher.show import chip_line

    def work(it: "Session") -> str:
        had = do(it).info.stack
        return f"{'done' if had else 'nothing to do'}: {chip_line(it.chip.identity, it.cpu2.info)}{_simulated(it)}"

    choice = _choice(probe, library, speed, under_reset, sim_fault)
    _run_steps(choice, folder, _Output(json_lines=json_lines), work)


@app.command("start-stack")
def start_stack(
    probe: ProbeName = "jlink",
    library: Library = None,
    speed: Speed = 4000,
    under_reset: UnderReset = False,
    sim_fault: SimFault = None,
    folder: Folder = None,
    json_lines: JsonLines = False,
) -> None:
    """Start the installed stack, on a chip that was left in FUS."""
    from flasher.install import start_stack as do
    from flasher.show import chip_line

    choice = _choice(probe, library, speed, under_reset, sim_fault)
    _run_steps(
        choice, folder, _Output(json_lines=json_lines), lambda it: f"{chip_line(it.chip.identity, do(it))} running"
    )


# --- what every command does


def _choice(name: str, library: str | None, speed: int, under_reset: bool, fault: str | None = None) -> "Choice":
    from flasher.link import Choice

    return Choice(name=name, library=library, speed_khz=speed, under_reset=under_reset, fault=fault)


def _verified(file: str, trust: Sequence[str], threshold: int) -> "VerifiedBundle":
    """The bundle, through the only door. Exits with what is wrong with it."""
    from imagekit.bundle.verified import open_bundle

    trusted = [key for path in trust for key in public_keys(path)]
    if threshold > len(trusted):
        keys = "one trusted key" if len(trusted) == 1 else f"{len(trusted)} trusted keys"
        raise typer.BadParameter(f"{threshold} signatures by {keys} cannot be", param_hint="--threshold")
    with about(file):
        return open_bundle(read_bundle(file), trusted, threshold)
    raise AssertionError  # about() does not swallow errors


def _consent(
    accept: Sequence[str] | None, erase_application: Sequence[str] | None, erase_stray: Sequence[str] | None
) -> "Consent":
    from flasher.plan import Consent

    return Consent(
        accept=frozenset(accept or ()),
        erase_application=tuple(_range("--erase-application", text) for text in erase_application or ()),
        erase_leftover=tuple(_range("--erase-leftover", text) for text in erase_stray or ()),
    )


def _range(option: str, text: str) -> "Range":
    """`FROM-TO`, both included, as the refusals print it."""
    match = re.fullmatch(r"(0x[0-9A-Fa-f]{1,8})-(0x[0-9A-Fa-f]{1,8})", text)
    first, last = (int(match[1], 16), int(match[2], 16)) if match else (1, 0)
    if first > last:
        raise typer.BadParameter(f"no range {text!r}: write it as 0x080D0000-0x080D0FFF", param_hint=option)
    return first, last + 1


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong with the chip into one line and an exit code."""
    from flasher.errors import FlasherError, ProbeError, ProbeUnavailableError, RefusedError

    try:
        yield
    except FlasherError as error:
        trace(error)
        if isinstance(error, RefusedError):
            _leave_refused(error.reasons)
        for line in error.log if isinstance(error, ProbeError) and is_debugging() else ():
            complain(f"J-Link library: {line}")
        advice = ""
        if isinstance(error, ProbeError) and not (error.is_fus_at_work or isinstance(error, ProbeUnavailableError)):
            advice = "; look at the cable and the power, then run it again"
        complain(f"{error}{advice}")
        raise typer.Exit(error.code) from error


@contextmanager
def _taken(
    choice: "Choice", folder: Path | None, say: "Callable[[Event], None]" = lambda _: None
) -> "Iterator[Session]":
    """A connected chip, its journal, and what was taken of it given back."""
    with _told(), _opened(choice, folder, say, restores=False) as it:
        if it.journal.history.optr is not None:
            complain("an installation on this chip was broken off here: run it again, it restores the option bytes")
        yield it


# --- commands that change a chip


@dataclass(slots=True)
class _Stop:
    """Whether the user has asked to stop: that is done between two steps, never while FUS is at work."""

    wanted: bool = False

    def ask(self, *_: object) -> None:
        """Note Ctrl-C, and say what becomes of it."""
        self.wanted = True
        # Written as it is: what prints may be printing at this moment.
        os.write(2, b"flasher: stopping after this step; FUS must not be interrupted: leave power and cable alone\n")


_stop = _Stop()


@dataclass(slots=True, kw_only=True)
class _Output:
    """What a command tells while it works: a bar on a terminal, lines or JSON elsewhere, a report at the end."""

    json_lines: bool = False
    report: str | None = None
    report_serials: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    bundle: dict[str, Any] | None = None
    options: "Options | None" = None
    """The option registers as they were found."""
    begun: float = field(default_factory=time.monotonic)
    _bar: Any = None
    _last: str = ""

    def say(self, event: "Event") -> None:
        """Tell one event. Whoever stops listening stops no installation."""
        with suppress(OSError):
            self._tell(event)

    def _tell(self, event: "Event") -> None:
        from flasher.show import event_document

        document = event_document(event) | {"at": round(time.monotonic() - self.begun, 3)}
        if event.event != "progress":
            self.events.append(document)
        if self.json_lines:
            print_result(json.dumps(document))
        elif event.event == "progress":
            self._progress(event)
        else:
            self.end_bar()
            self._line(event)

    def _progress(self, event: "Event") -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = typer.progressbar(length=event.of, label=event.step, file=sys.stderr)
            self._bar.__enter__()
        self._bar.update(event.done - self._bar.pos)
        if event.done >= event.of:
            self.end_bar()

    def refuse_other_file(self) -> None:
        """Exit when the report would replace anything but a report."""
        path = Path(self.report or "")
        with suppress(OSError):
            if path.is_file() and b'"schema": "flasher.report/' not in path.read_bytes()[:200]:
                complain(f"{shown(str(path))}: is there already, and is no report; nothing was done")
                raise typer.Exit(4)

    def write_report(self, result: dict[str, Any], taken: "Sequence[Session]", error: Exception | None) -> bool:
        """Write what support needs to know; False, and one line, when that fails."""
        import platform
        from datetime import UTC, datetime

        from flasher.show import anonymous, chip_document, probe_document

        document: dict[str, Any] = {
            "schema": "flasher.report/1",
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"flasher": __version__, "python": platform.python_version(), "system": platform.platform()},
            "bundle": self.bundle,
            "result": result,
            "events": self.events,
        }
        for it in taken:
            document["probe"] = probe_document(it.chip.probe.info)
            document["chip"] = chip_document(it.chip.identity)
            document["probe_log"] = list(getattr(error, "log", ()) or getattr(it.chip.probe, "log", ()))
        if self.options is not None:
            document["option_bytes"] = {name: f"0x{word:08X}" for name, word in self.options.words.items()}
        text = json.dumps(document, indent=1)
        if not self.report_serials:
            text = anonymous(text, *(it.chip.probe.info.serial for it in taken))
        path = self.report or ""
        try:
            write_file(path, text.encode() + b"\n")
        except OSError as problem:
            complain(f"{shown(path)}: {why(problem)}: no report can be written there")
            return False
        return True

    def end_bar(self) -> None:
        """Leave the line of the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None

    def _line(self, event: "Event") -> None:
        text = {"begin": event.step, "reset": "  the chip resets itself"}.get(event.event, f"  {event.text}")
        # Idle is no news; FF passes at the first question of a chip's life and near the end of an installation.
        is_passing = event.event == "state" and event.text.startswith(("0x00", "0xFF"))
        if event.event != "end" and not is_passing and text != self._last:
            self._last = text
            typer.echo(painter()(text, "bold" if event.event == "begin" else "dim"), err=True)


def _run_steps(choice: "Choice", folder: Path | None, output: _Output, work: "Callable[[Session], str]") -> None:
    """Run what changes a chip: signals held off, events told, the result at the end."""
    from flasher.errors import FlasherError

    result: dict[str, Any] = {"event": "result", "code": 0}
    taken: list[Session] = []
    if output.report is not None:  # before anything is done: a record that cannot be kept is no surprise at the end
        output.refuse_other_file()
        if not output.write_report(result | {"code": None}, (), None):
            raise typer.Exit(4)
    try:
        with _held_signals(), _opened(choice, folder, output.say) as it:
            taken.append(it)
            output.options = it.chip.options()
            said = work(it)
            told = it.cpu2.info
            result |= {
                "probe": it.chip.probe.info.kind,
                "fus": told.fus.text,
                "stack": told.stack.full_text if told.stack else None,
            }
    except FlasherError as error:
        output.end_bar()
        result |= {"code": int(error.code), "error": str(error)}
        try:
            with _told():
                raise
        finally:
            _finish(output, result, taken, error)
    output.end_bar()
    if not output.json_lines:
        with suppress(OSError):
            print_result(said)
    _finish(output, result, taken, None)


@contextmanager
def _opened(
    choice: "Choice", folder: Path | None, say: "Callable[[Event], None]", *, restores: bool = True
) -> "Iterator[Session]":
    from flasher.install import session
    from flasher.journal import Journal, default_folder, unfinished
    from flasher.link import opened

    folder = folder or default_folder()
    if choice.under_reset and (uids := unfinished(folder)):
        complain(f"--under-reset is left out: an installation was broken off on {', '.join(uids)}; FUS may be at work")
        choice = replace(choice, under_reset=False)
    with opened(choice) as chip:
        journal = Journal(folder, chip.identity.uid)
        with session(chip, journal, say, lambda: _stop.wanted, restores=restores) as it:
            yield it


@contextmanager
def _held_signals() -> Iterator[None]:
    """Ctrl-C, and being told to end, count between two steps only."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _stop.ask) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _finish(output: _Output, result: dict[str, Any], taken: "Sequence[Session]", error: Exception | None) -> None:
    """Print the last event, and write the report. Whoever stops listening changes nothing about what was done."""
    if output.json_lines:
        with suppress(OSError):
            print_result(json.dumps(result))
    if output.report is not None and not output.write_report(result, taken, error) and not result["code"]:
        raise typer.Exit(4)


def _agreed(it: "Session", made: "InstallPlan", consent: "Consent", json_lines: bool) -> "InstallPlan":
    """Ask on a terminal for what cannot be undone; elsewhere nobody is asked."""
    from flasher.plan import make_plan
    from flasher.show import plan_lines

    if json_lines:
        return made
    if made.steps:
        with suppress(OSError):
            typer.echo("\n".join(plan_lines(made)), err=True)
    only_names = made.to_accept and len(made.refusals) == len(made.to_accept)
    if not only_names or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return made
    given = set()
    for name, reason in zip(made.to_accept, made.refusals, strict=True):
        typer.echo(reason.partition(";")[0] + ".", err=True)
        if _typed(f"Type {name} to accept it: ") == name:
            given.add(name)
    return make_plan(made.bundle, made.facts, it.journal.history, replace(consent, accept=consent.accept | given))


def _typed(question: str) -> str:
    """What the user types; the library's own prompt would write to standard output."""
    from flasher.errors import StoppedError

    typer.echo(question, nl=False, err=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline().strip()
    except KeyboardInterrupt as error:
        raise StoppedError("stopped before anything was done") from error
    finally:
        signal.signal(signal.SIGINT, before)


def main() -> NoReturn:
    """Run the command line; leaves with its exit code."""
    run(app, "flasher")
