"""What `audit` prints: its entries, the last line of its text, and the JSON document (docs/json.md)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from imagekit.releases.audit import AuditedRelease, AuditFinding
from imagekit.report.check import Detail, Entry, Located, remarks
from imagekit.report.layout import Json
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import counted

AUDIT_SCHEMA = "imagekit.audit/1"
NOTES = "Release_Notes.html"


def of_audit(releases: Iterable[AuditedRelease]) -> list[Entry]:
    """Return an entry for each file of each release, and one for release notes that name files which do not exist.

    A file with an error in its row of the release notes is refused too: it must not be installed as they say.
    """
    return [entry for release in releases for entry in _entries(release)]


def _entries(release: AuditedRelease) -> list[Entry]:
    verdicts = {PurePath(file.path).name: file.verdict for file in release.files}
    by_file: dict[str, list[Located]] = defaultdict(list)
    for finding in release.findings:
        file = finding.file if finding.file in verdicts else NOTES
        by_file[file].append(_located(release.path, finding))
    entries = []
    for file in sorted(verdicts.keys() | by_file.keys()):
        findings = tuple(by_file[file])
        verdict = verdicts.get(file, FileVerdict.ACCEPTED)
        if verdict is FileVerdict.ACCEPTED and any(_is_error(finding) for finding in findings):
            verdict = FileVerdict.REFUSED
        entries.append(Entry(_beside(release.path, file), verdict, findings))
    return entries


def _is_error(finding: Located) -> bool:
    return finding.severity is Severity.ERROR and finding.waived is None


def _located(folder: str, finding: AuditFinding) -> Located:
    """A finding about a row is in the release notes, any other is in the file."""
    if finding.line is None:
        path, message = _beside(folder, finding.file), finding.message
    else:
        path, message = _beside(folder, NOTES), f"{finding.file}: {_address(finding)}{finding.message}"
    return Located(finding.rule, finding.severity, message, path, finding.line, finding.waived)


def _address(finding: AuditFinding) -> str:
    if finding.target is None:
        return ""
    return f"{finding.target}: published {finding.published}, computed {finding.computed or 'none'}: "


def _beside(folder: str, name: str) -> str:
    return str(PurePath(folder) / name)


def totals(releases: Sequence[AuditedRelease], entries: Sequence[Entry], *, detail: Detail) -> str:
    """Count the releases, their files and addresses, the waived findings, and the notes that were not listed."""
    files = sum(len(release.files) for release in releases)
    text = (
        f"{counted(len(releases), 'release folder')}, {counted(files, 'file')}: "
        f"{sum(release.equal for release in releases)} addresses equal, "
        f"{sum(release.lower for release in releases)} lower, {sum(release.too_high for release in releases)} too high"
    )
    return text + remarks([finding for entry in entries for finding in entry.findings], detail)


def document(releases: Sequence[AuditedRelease]) -> Json:
    """Return what `audit --format json` prints."""
    return {
        "schema": AUDIT_SCHEMA,
        "releases": [
            {
                "path": release.path,
                "addresses": {"equal": release.equal, "lower": release.lower, "too_high": release.too_high},
                "findings": [_finding(finding) for finding in release.findings],
            }
            for release in releases
        ],
    }


def _finding(finding: AuditFinding) -> Json:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "file": finding.file,
        "target": finding.target,
        "published": finding.published,
        "computed": finding.computed,
        "line": finding.line,
        "message": finding.message,
        "waived": finding.waived,
    }
