"""GitHub Actions workflow commands: findings as annotations (GitHub docs, "Workflow commands")."""

from collections.abc import Iterable

from imagekit.report.check import Entry, Located
from imagekit.rules.registry import Severity
from imagekit.text import printable

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def annotations(entries: Iterable[Entry]) -> str:
    """Return one workflow command for each finding."""
    return "\n".join(_annotation(finding) for entry in entries for finding in entry.findings)


def _annotation(finding: Located) -> str:
    line = f",line={finding.line}" if finding.line else ""
    file = _escaped(finding.path).replace(":", "%3A").replace(",", "%2C")
    return f"::{_COMMANDS[finding.severity]} file={file}{line},title={finding.rule}::{_escaped(finding.message)}"


def _escaped(text: str) -> str:
    """Return a printable text in one line, with the characters escaped that a workflow command gives a meaning."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(text)
