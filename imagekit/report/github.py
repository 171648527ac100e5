"""GitHub Actions workflow commands: findings as annotations (GitHub docs, "Workflow commands")."""

from collections.abc import Sequence

from imagekit.report.check import Entry, Located
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import counted, printable

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def annotations(name: str, entries: Sequence[Entry]) -> str:
    """Return one workflow command for each finding that counts, and the number of checked files as the last one."""
    findings = [finding for entry in entries for finding in entry.findings]
    lines = [_annotation(finding) for finding in findings if finding.waived is None]
    refused = sum(entry.verdict is not FileVerdict.ACCEPTED for entry in entries)
    waived = sum(finding.waived is not None for finding in findings)
    summary = f"{counted(len(entries), 'file')} checked, {refused} refused, {counted(waived, 'finding')} waived"
    return "\n".join([*lines, f"::notice title={name}::{summary}"])


def _annotation(finding: Located) -> str:
    line = f",line={finding.line}" if finding.line else ""
    file = _escaped(finding.path).replace(":", "%3A").replace(",", "%2C")
    return f"::{_COMMANDS[finding.severity]} file={file}{line},title={finding.rule}::{_escaped(finding.message)}"


def _escaped(text: str) -> str:
    """Text in one line, without control characters that a terminal or log would interpret."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(text)
