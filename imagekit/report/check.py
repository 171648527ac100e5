"""What `check` prints: the entries that every format is made from, text, and the JSON document (docs/json.md)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules.check import CheckedFile, FileVerdict
from imagekit.rules.registry import Finding, Severity
from imagekit.text import counted

CHECK_SCHEMA = "imagekit.check/1"


class Detail(Enum):
    """How much the text lists."""

    QUIET = "quiet"
    """Only what fails, without the totals."""
    FINDINGS = "findings"
    """Errors and warnings."""
    NOTES = "notes"
    """Notes too."""
    ALL = "all"
    """Notes too, and files without a finding."""


@dataclass(frozen=True, slots=True)
class Located:
    """A finding, and its place: a file, and a line in it if there is one."""

    rule: str
    severity: Severity
    message: str
    path: str
    line: int | None
    waived: str | None = None
    """The reason why it is accepted; None when it counts."""
    fails: bool = False
    """Whether it fails the run although it is not an error: `--fail-on warning`, `--known-st-faults`."""

    @property
    def is_failure(self) -> bool:
        """Whether it counts, and is an error or fails the run."""
        return self.waived is None and (self.fails or self.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, the verdict on it, and its findings."""

    path: str
    verdict: FileVerdict
    findings: tuple[Located, ...]


def of_check(files: Iterable[CheckedFile]) -> list[Entry]:
    """Return an entry for each checked file, in their order."""
    return [Entry(file.path, file.verdict, tuple(_located(file))) for file in files]


def _located(file: CheckedFile) -> Iterator[Located]:
    for finding in file.findings:
        yield Located(finding.rule, finding.severity, finding.text, file.path, None, finding.waived)


def listing(
    entries: Iterable[Entry],
    *,
    detail: Detail,
    width: int | None = None,
    paint: Paint = plain,
    name: Callable[[str], str] = str,
) -> list[str]:
    """List files with their findings, errors first. `name` returns a path as it can be shown."""
    lines = []
    for entry in entries:
        shown = [finding for finding in entry.findings if _is_shown(finding, detail)]
        if not shown and detail is not Detail.ALL:
            continue
        role = "good" if entry.verdict is FileVerdict.ACCEPTED else "error"
        lines.append(f"{paint(name(entry.path), 'bold')}: {paint(entry.verdict.value, role)}")
        for finding in sorted(shown, key=lambda finding: finding.severity.rank):
            lines.append(_finding_row(finding, width, paint))
    return lines


def _is_shown(finding: Located, detail: Detail) -> bool:
    if finding.is_failure:
        return True
    if detail is Detail.QUIET:
        return False
    return finding.severity is not Severity.NOTE or detail in (Detail.NOTES, Detail.ALL)


def _finding_row(finding: Located, width: int | None, paint: Paint) -> str:
    text = f"{finding.rule} {finding.message}"
    if finding.line:
        text = f"{finding.rule} {PurePath(finding.path).name}, line {finding.line}: {finding.message}"
    if finding.waived is None:
        return row(finding.severity.value, text, finding.severity.value, width, paint)
    return row("waived", f"{text} (waived: {finding.waived})", "dim", width, paint)


def totals(entries: Sequence[Entry], *, detail: Detail) -> str:
    """Count the files by verdict, the waived findings, and the notes that were not listed."""
    verdicts = [entry.verdict for entry in entries]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in FileVerdict)
    text = f"{counted(len(entries), 'file')}: {counts}"
    return text + remarks([finding for entry in entries for finding in entry.findings], detail)


def remarks(findings: Sequence[Located], detail: Detail) -> str:
    """Return how many findings are waived, and how many notes were not listed."""
    text = ""
    waived = sum(finding.waived is not None for finding in findings)
    if waived:
        text += f"; {counted(waived, 'finding')} waived"
    notes = sum(finding.severity is Severity.NOTE and not finding.is_failure for finding in findings)
    if notes and detail in (Detail.FINDINGS, Detail.QUIET):
        text += f"; {counted(notes, 'note')} not shown (--notes)"
    return text


def document(files: Sequence[CheckedFile]) -> Json:
    """Return what `check --format json` prints."""
    verdicts = [file.verdict for file in files]
    return {
        "schema": CHECK_SCHEMA,
        "files": [
            {
                "path": file.path,
                "verdict": file.verdict.value,
                "findings": [
                    {**finding_entry(finding), "part": finding.part, "waived": finding.waived}
                    for finding in file.findings
                ],
            }
            for file in files
        ],
        "summary": {verdict.value: verdicts.count(verdict) for verdict in FileVerdict},
    }


def finding_entry(finding: Finding) -> Json:
    """Return one finding."""
    return {"rule": finding.rule, "severity": finding.severity.value, "message": finding.message}
