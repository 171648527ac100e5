"""The commands that look at a chip or change it."""

from typing import TYPE_CHECKING, Annotated

import typer

from flasher.cli.journals import JournalFormat, journal_csv, journal_document, journal_text, read_journals
from flasher.cli.options import (
    AcceptOptions,
    BundleOptions,
    ConnectionOptions,
    JLinkLibrary,
    JournalFolder,
    Json,
    OutputOptions,
    command,
)
from flasher.cli.questions import agree, confirm
from flasher.cli.run import errors_told, looking, running
from imagekit.cli.console import complain, fitted, print_json, print_lines, print_result
from imagekit.errors import ExitCode

if TYPE_CHECKING:
    from flasher.plan import InstallPlan
    from flasher.session import Session

Yes = Annotated[
    bool, typer.Option("--yes", "-y", envvar="FLASHER_YES", help="Do not ask for confirmation, for scripts.")
]


def add_commands(app: typer.Typer) -> None:
    """Give the program its commands."""
    app.command("list")(command(list_probes))
    app.command("info")(command(info))
    app.command("doctor")(command(doctor))
    app.command("plan")(command(plan))
    app.command("install")(command(install))
    app.command("journal")(command(journal))
    app.command("delete")(command(delete))
    app.command("start-stack")(command(start_stack))


# --- looking


def list_probes(
    *,
    library: JLinkLibrary = None,
    as_json: Json = False,
) -> None:
    """List the debug probes that are connected.

    Example: flasher list
    """
    from flasher.probes import find_probes
    from flasher.show import found_line, list_document

    search = find_probes(library)
    if as_json:
        print_json(list_document(search.found))
    else:
        for probe in search.found:
            print_result(found_line(probe))
    if not search.found:
        complain("no probe is connected; connect one, or check its USB cable")
    for problem in search.problems:
        complain(f"some kinds of probes could not be searched for: {problem}")
    if search.problems and not search.found:
        raise typer.Exit(ExitCode.UNREACHABLE)


def info(*, connection: ConnectionOptions, as_json: Json = False) -> None:
    """Show the chip, its option bytes, FUS and the wireless stack. Flash and option bytes are not written.

    Example: flasher info --probe jlink
    """
    with looking(connection) as session:
        from flasher.facts import option_refusals
        from flasher.show import info_document, info_lines

        reasons = option_refusals(session.chip.options())
        versions = session.cpu2.peek()
        if versions is None and not reasons:
            versions = session.cpu2.begin()
        facts = session.chip.probe.info, session.chip.identity, session.chip.options(), versions, reasons
    if as_json:
        print_json(info_document(*facts))
    else:
        print_lines(info_lines(*facts))


def doctor(*, connection: ConnectionOptions, as_json: Json = False) -> None:
    """Check the probe, its library and the target. Nothing on the chip is changed.

    Example: flasher doctor --probe stlink
    """
    from flasher.cli.examine import check_document, check_lines, exit_code, run_checks

    with errors_told():
        checks = run_checks(connection.choice())
    if as_json:
        print_json(check_document(checks))
    else:
        print_lines(check_lines(checks))
    code = exit_code(checks)
    if code != ExitCode.DONE:
        raise typer.Exit(code)


def plan(
    *, choice: BundleOptions, accepted: AcceptOptions, connection: ConnectionOptions, as_json: Json = False
) -> None:
    """Show what `install` would do to this chip, and what it costs. Flash and option bytes are not written.

    Example: flasher plan product.wbz --trust release.pub
    """
    with errors_told():
        acceptance = accepted.acceptance()
        bundle = choice.open()
    with looking(connection) as session:
        from flasher.install import survey
        from flasher.plan import make_plan

        new_plan = make_plan(bundle.verified, survey(session, passive=True), session.journal.history, acceptance)
    _print_plan(new_plan, as_json=as_json)


def _print_plan(shown_plan: "InstallPlan", *, as_json: bool) -> None:
    import sys

    from flasher.cli.display import paint
    from flasher.show import plan_document, plan_lines

    if as_json:
        print_json(plan_document(shown_plan))
    else:
        mark = paint("IRREVERSIBLE", "irreversible", sys.stdout)
        lines = [fitted(line, sys.stdout) for line in plan_lines(shown_plan)]
        print_result("\n".join(lines).replace("IRREVERSIBLE", mark))
        for reason in shown_plan.refusals:
            complain(f"refused: {reason}")
    if shown_plan.refusals:
        raise typer.Exit(ExitCode.REFUSED)


def journal(
    *,
    uid: Annotated[
        str | None,
        typer.Argument(metavar="UID", help="The chip's UID, or its first digits.  [default: every chip]"),
    ] = None,
    folder: JournalFolder = None,
    form: Annotated[
        JournalFormat, typer.Option("--format", envvar="FLASHER_JOURNAL_FORMAT", help="How to print it.")
    ] = JournalFormat.TEXT,
    as_json: Json = False,
) -> None:
    """Show what was done to each chip on this computer, and check that no journal is damaged.

    Example: flasher journal 0f5a2b --format csv
    """
    from flasher.journal import default_folder

    with errors_told():
        journals = read_journals(folder or default_folder(), uid)
    if as_json or form is JournalFormat.JSON:
        print_json(journal_document(journals))
    elif form is JournalFormat.CSV:
        print_result(journal_csv(journals))
    elif journals:
        print_result(journal_text(journals, with_entries=uid is not None))
    else:
        complain("no journal yet")


# --- changing


def install(
    *,
    choice: BundleOptions,
    accepted: AcceptOptions,
    connection: ConnectionOptions,
    reporting: OutputOptions,
) -> None:
    """Install what a bundle holds. Run the command again to resume; what is installed already is not written again.

    Example: flasher install product.wbz --trust release.pub --accept fus-2.2.0
    """
    from flasher.install import install as carry_out

    with running(reporting) as run:
        acceptance = accepted.acceptance()
        run.record.bundle = choice.open()
        verified = run.record.bundle.verified
        with run.session(connection) as session:
            done = carry_out(session, verified, acceptance, lambda plan: agree(run, session, plan, acceptance))
            text = _result_text(session, has_steps=bool(done.steps))
        run.finish(text)


def delete(*, connection: ConnectionOptions, yes: Yes = False, reporting: OutputOptions) -> None:
    """Delete the wireless stack. The chip has no radio until another stack is installed.

    Example: flasher delete --probe jlink --yes
    """
    from flasher.install import delete as delete_stack

    with running(reporting) as run:
        _confirm(reporting, "Delete the wireless stack? The chip then has no radio.", yes=yes)
        with run.session(connection) as session:
            run.record.before = delete_stack(session).info
            text = _result_text(session, has_steps=run.record.before.stack is not None)
        run.finish(text)


def start_stack(*, connection: ConnectionOptions, yes: Yes = False, reporting: OutputOptions) -> None:
    """Start the installed wireless stack. For a chip that was left in FUS.

    Example: flasher start-stack --probe jlink --yes
    """
    from flasher.install import start_stack as start
    from flasher.show import chip_line

    with running(reporting) as run:
        _confirm(reporting, "Start the wireless stack? This resets the chip.", yes=yes)
        with run.session(connection) as session:
            line = chip_line(session.chip.identity, start(session))
        run.finish(f"{line} running")


def _confirm(reporting: OutputOptions, question: str, *, yes: bool) -> None:
    confirm(question, assume_yes=yes or reporting.json_lines)


def _result_text(session: "Session", *, has_steps: bool) -> str:
    """Return the chip as it is now, and whether this run changed it."""
    from flasher.show import chip_line

    done = "nothing to do"
    if has_steps:
        done = "done"
    simulated = ""
    if session.chip.probe.info.kind.startswith("sim"):
        simulated = ", on a simulated board"
    return f"{done}: {chip_line(session.chip.identity, session.cpu2.info)}{simulated}"
