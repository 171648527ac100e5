"""What `check` prints: the entries that every format is made from, text, and the JSON document (docs/json.md)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules.check import CheckedFile, FileVerdict
from imagekit.rules.registry import Finding, Severity
from imagekit.text import counted

CHECK_SCHEMA = "imagekit.check/1"


@dataclass(frozen=True, slots=True)
class Located:
    """A finding and its place: a file, and a line in it if there is one."""

    rule: str
    severity: Severity
    message: str
    path: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, its verdict, and what was found."""

    path: str
    verdict: FileVerdict
    findings: tuple[Located, ...]


def of_check(files: Iterable[CheckedFile]) -> list[Entry]:
    """Return an entry for each checked file, in their order."""
    return [
        Entry(
            file.path,
            file.verdict,
            tuple(Located(finding.rule, finding.severity, finding.text, file.path, None) for finding in file.findings),
        )
        for file in files
    ]


def listing(
    entries: Iterable[Entry],
    *,
    with_notes: bool,
    width: int | None = None,
    paint: Paint = plain,
    name: Callable[[str], str] = str,
) -> list[str]:
    """List the files that have findings, each with its findings, errors first. `name` makes a path printable."""
    lines = []
    for entry in entries:
        found = [finding for finding in entry.findings if with_notes or finding.severity is not Severity.NOTE]
        if not found:
            continue
        role = "good" if entry.verdict is FileVerdict.ACCEPTED else "error"
        lines.append(f"{paint(name(entry.path), 'bold')}: {paint(entry.verdict.value, role)}")
        for finding in sorted(found, key=lambda finding: finding.severity.rank):
            where = f"line {finding.line}: " if finding.line else ""
            severity = finding.severity.value
            lines.append(row(severity, f"{finding.rule} {where}{finding.message}", severity, width, paint))
    return lines


def totals(entries: Sequence[Entry], *, with_notes: bool) -> str:
    """Count the files by verdict, and what was not listed."""
    verdicts = [entry.verdict for entry in entries]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in FileVerdict)
    text = f"{counted(len(entries), 'file')}: {counts}"
    return text + hidden([finding.severity for entry in entries for finding in entry.findings], with_notes)


def hidden(severities: Sequence[Severity], with_notes: bool) -> str:
    """Return how many notes were not listed, if any."""
    notes = severities.count(Severity.NOTE)
    return "" if with_notes or not notes else f"; {counted(notes, 'note')} not shown (--notes)"


def document(files: Sequence[CheckedFile]) -> Json:
    """Return what `check --format json` prints."""
    verdicts = [file.verdict for file in files]
    return {
        "schema": CHECK_SCHEMA,
        "files": [
            {
                "path": file.path,
                "verdict": file.verdict.value,
                "findings": [{**finding_entry(finding), "part": finding.part} for finding in file.findings],
            }
            for file in files
        ],
        "summary": {verdict.value: verdicts.count(verdict) for verdict in FileVerdict},
    }


def finding_entry(finding: Finding) -> Json:
    """Return one finding."""
    return {"rule": finding.rule, "severity": finding.severity.value, "message": finding.message}
