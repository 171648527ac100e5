"""Ask on a terminal: for irreversible steps, and before a single operation."""

import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from flasher.cli.display import KEEP_POWERED
from flasher.cli.run import Run
from flasher.errors import StoppedError

if TYPE_CHECKING:
    from flasher.acceptance import Acceptance
    from flasher.plan import InstallPlan
    from flasher.session import Session


def agree(run: Run, session: "Session", plan: "InstallPlan", acceptance: "Acceptance") -> "InstallPlan":
    """Show the plan; on a terminal, ask for the irreversible steps. Without one, nothing is asked."""
    from flasher.plan import make_plan

    with suppress(OSError):
        if plan.steps and not plan.refusals:
            run.display.warn(KEEP_POWERED)
        run.display.plan(plan)
    run.record.note_plan(plan)
    is_only_acceptance_missing = bool(plan.to_accept) and len(plan.refusals) == len(plan.to_accept)
    if run.reporting.json_lines or not is_only_acceptance_missing or not is_interactive():
        return plan
    accepted = {
        name
        for name, reason in zip(plan.to_accept, plan.refusals, strict=True)
        if ask(f"{reason.partition(';')[0]}.\nType {name} to accept it: ") == name
    }
    wider = replace(acceptance, accept=acceptance.accept | accepted)
    agreed = make_plan(plan.bundle, plan.facts, session.journal.history, wider)
    if not agreed.refusals:
        run.display.warn(KEEP_POWERED)
    return agreed


def confirm(question: str, *, assume_yes: bool) -> None:
    """Ask on a terminal before a single operation. Raises StoppedError unless the answer is yes."""
    if assume_yes or not is_interactive():
        return
    if ask(f"{question} [y/N] ").lower() not in ("y", "yes"):
        raise StoppedError("stopped: nothing was done")


def is_interactive() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """Return what the user types. The question goes to standard error. Raises StoppedError after Ctrl-C."""
    typer.echo(question, nl=False, err=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline().strip()
    except KeyboardInterrupt as error:
        raise StoppedError("stopped before the first step") from error
    finally:
        signal.signal(signal.SIGINT, before)
