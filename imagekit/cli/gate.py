"""What decides whether `check` and `audit` fail: waivers, ST's known faults, a baseline, and the severity."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, shown
from imagekit.files import read_text

if TYPE_CHECKING:
    from imagekit.report.check import Entry, Located
    from imagekit.rules.waivers import Accept, Place, WaiverFile

_STRICT_FAMILY = "WB5"
"""With ST's known faults accepted, every other finding about release notes fails, also a note."""


class FailOn(StrEnum):
    """The lowest severity with which a command exits with 3."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


FailOnOption = typer.Option(
    "--fail-on",
    envvar="IMAGEKIT_FAIL_ON",
    metavar="SEVERITY",
    help="The lowest severity that fails: error, warning or never. Default: error; with --known-st-faults warning.",
    show_default=False,
)
WaiversOption = typer.Option(
    "--waivers",
    envvar="IMAGEKIT_WAIVERS",
    metavar="FILE",
    help="Findings that are accepted, as TOML. Default: imagekit.toml in the folder or above it.",
    show_default=False,
)
KnownFaultsOption = typer.Option(
    "--known-st-faults",
    envvar="IMAGEKIT_KNOWN_ST_FAULTS",
    help="Accept ST's own known faults, so that an untouched release passes and any other difference fails.",
)
BaselineOption = typer.Option(
    "--baseline",
    envvar="IMAGEKIT_BASELINE",
    metavar="FILE",
    help="An earlier --format json output: its findings do not fail again.",
    show_default=False,
)


@dataclass(frozen=True)
class Gate:
    """Which findings are accepted, and which of the others fail."""

    fail_on: FailOn
    is_strict: bool
    sources: "Sequence[Accept]"
    waiver_file: "WaiverFile | None"

    def accept(self, place: "Place") -> str | None:
        """Return the reason why a finding is accepted; None when it counts."""
        for source in self.sources:
            reason = source(place)
            if reason is not None:
                return reason
        return None

    def judged(self, entries: "Iterable[Entry]") -> "list[Entry]":
        """Mark the findings that fail this run and refuse their files: every format agrees with the exit code."""
        return [self._judged(entry) for entry in entries]

    def _judged(self, entry: "Entry") -> "Entry":
        from imagekit.rules.check import FileVerdict

        findings = tuple(replace(finding, fails=self._fails(finding)) for finding in entry.findings)
        verdict = entry.verdict
        if verdict is FileVerdict.ACCEPTED and any(finding.fails for finding in findings):
            verdict = FileVerdict.REFUSED
        return replace(entry, verdict=verdict, findings=findings)

    def has_failed(self, entries: "Iterable[Entry]") -> bool:
        """Return whether any finding fails this run."""
        return any(finding.fails for entry in entries for finding in entry.findings)

    def _fails(self, finding: "Located") -> bool:
        if finding.waived is not None or self.fail_on is FailOn.NEVER:
            return False
        if self.is_strict and finding.rule.startswith(_STRICT_FAMILY):
            return True
        failing = ["error"]
        if self.fail_on is FailOn.WARNING:
            failing.append("warning")
        return finding.severity.value in failing

    def warn_about_waivers(self) -> None:
        """Warn about waivers that are expired or match nothing."""
        if self.waiver_file is None:
            return
        for warning in self.waiver_file.warnings():
            complain(f"warning: {warning}")


def gate_of(
    paths: Sequence[str],
    *,
    waivers: str | None,
    known_faults: bool,
    baseline: str | None,
    fail_on: FailOn | None,
) -> Gate:
    """Return the gate that the options describe; exits when a file cannot be read or is not what it must be."""
    waiver_file = waivers_for(paths, waivers)
    sources: list[Accept] = [waiver_file.accept] if waiver_file else []
    if known_faults:
        from imagekit.releases.known_faults import accept_known_faults

        sources.append(accept_known_faults(_today()))
    if baseline is not None:
        from imagekit.rules.waivers import load_baseline

        with about(baseline):
            sources.append(load_baseline(shown(baseline), read_text(baseline)).accept)
    if fail_on is None:
        fail_on = FailOn.WARNING if known_faults else FailOn.ERROR
    return Gate(fail_on=fail_on, is_strict=known_faults, sources=sources, waiver_file=waiver_file)


def waivers_for(paths: Sequence[str], given: str | None) -> "WaiverFile | None":
    """Return the waivers of the named file, or of `imagekit.toml` in or above the first path; None: there is none."""
    from imagekit.rules.waivers import find_waiver_file, load_waivers

    path = given or find_waiver_file(paths)
    if path is None:
        return None
    from imagekit.rules import RULES

    with about(path):
        return load_waivers(path, read_text(path), today=_today(), rules=RULES)
    raise AssertionError  # about() does not swallow errors


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
