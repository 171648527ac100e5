"""GitHub Actions workflow commands: findings as annotations (GitHub docs, "Workflow commands")."""

from collections.abc import Iterable

from imagekit.report.check import Entry, Located
from imagekit.rules.registry import Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def annotations(entries: Iterable[Entry]) -> str:
    """Return one workflow command for each finding."""
    return "\n".join(_annotation(finding) for entry in entries for finding in entry.findings)


def _annotation(finding: Located) -> str:
    line = f",line={finding.line}" if finding.line else ""
    file = _escaped(finding.path).replace(":", "%3A").replace(",", "%2C")
    return f"::{_COMMANDS[finding.severity]} file={file}{line},title={finding.rule}::{_escaped(finding.message)}"


def _escaped(text: str) -> str:
    """Text in one line, without control characters that a terminal or log would act on."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
