"""What `audit` prints: its entries, the last line of its text, and the JSON document (docs/json.md)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from imagekit.releases.audit import AuditedRelease, AuditFinding
from imagekit.report.check import Entry, Located, hidden
from imagekit.report.layout import Json
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import counted

AUDIT_SCHEMA = "imagekit.audit/1"
NOTES = "Release_Notes.html"


def of_audit(releases: Iterable[AuditedRelease]) -> list[Entry]:
    """Return an entry for each file of each release with `check`'s verdict, and for notes that name files of nobody.

    A file that ST's notes are wrong about is refused too: nobody should install it as they say.
    """
    entries = []
    for release in releases:
        verdicts = {PurePath(file.path).name: file.verdict for file in release.files}
        by_file: dict[str, list[Located]] = defaultdict(list)
        for finding in release.findings:
            by_file[finding.file if finding.file in verdicts else NOTES].append(_located(release.path, finding))
        for file in sorted(verdicts.keys() | by_file.keys()):
            found = tuple(by_file[file])
            verdict = verdicts.get(file, FileVerdict.ACCEPTED)
            if verdict is FileVerdict.ACCEPTED and any(one.severity is Severity.ERROR for one in found):
                verdict = FileVerdict.REFUSED
            entries.append(Entry(_beside(release.path, file), verdict, found))
    return entries


def _located(folder: str, finding: AuditFinding) -> Located:
    """A finding about a row stands in the release notes, any other in the file."""
    where = f"{finding.target}: published {finding.published}, computed {finding.computed or 'none'}: "
    where = where if finding.target else ""
    return Located(
        finding.rule,
        finding.severity,
        f"{finding.file}: {where}{finding.message}" if finding.line else finding.message,
        _beside(folder, NOTES if finding.line else finding.file),
        finding.line,
    )


def _beside(folder: str, name: str) -> str:
    return str(PurePath(folder) / name)


def totals(releases: Sequence[AuditedRelease], *, with_notes: bool) -> str:
    """Count the releases, their files and their addresses, and what was not listed."""
    files = sum(len(one.files) for one in releases)
    text = (
        f"{counted(len(releases), 'release folder')}, {counted(files, 'file')}: "
        f"{sum(one.equal for one in releases)} addresses equal, {sum(one.lower for one in releases)} lower, "
        f"{sum(one.too_high for one in releases)} too high"
    )
    return text + hidden([finding.severity for one in releases for finding in one.findings], with_notes)


def document(releases: Sequence[AuditedRelease]) -> Json:
    """Return what `audit --format json` prints."""
    return {
        "schema": AUDIT_SCHEMA,
        "releases": [
            {
                "path": release.path,
                "addresses": {"equal": release.equal, "lower": release.lower, "too_high": release.too_high},
                "findings": [
                    {
                        "rule": finding.rule,
                        "severity": finding.severity.value,
                        "file": finding.file,
                        "target": finding.target,
                        "published": finding.published,
                        "computed": finding.computed,
                        "line": finding.line,
                        "message": finding.message,
                    }
                    for finding in release.findings
                ],
            }
            for release in releases
        ],
    }
