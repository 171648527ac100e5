"""What `check` and `audit` found, in the one shape that every format is made from: files, each with its findings."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from imagekit.rules.check import CheckedFile, FileVerdict
from imagekit.rules.registry import Severity

if TYPE_CHECKING:
    from imagekit.releases.audit import AuditedRelease, AuditFinding

NOTES = "Release_Notes.html"


@dataclass(frozen=True, slots=True)
class Located:
    """A finding, and where it stands: a file, and a line in it where there is one."""

    rule: str
    severity: Severity
    message: str
    path: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, what becomes of it, and what was found."""

    path: str
    verdict: FileVerdict
    findings: tuple[Located, ...]


def of_check(files: Iterable[CheckedFile]) -> list[Entry]:
    """Return an entry for each checked file, in their order."""
    return [
        Entry(
            file.path,
            file.verdict,
            tuple(Located(one.rule, one.severity, one.message, file.path, None) for one in file.findings),
        )
        for file in files
    ]


def of_audit(releases: "Iterable[AuditedRelease]") -> list[Entry]:
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


def _located(folder: str, finding: "AuditFinding") -> Located:
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
