"""Text for people: what `check` and `audit` print. The words may change between versions."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from imagekit.report.entries import Entry
from imagekit.report.text import Paint, plain, row
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.releases.audit import AuditedRelease


def listing(
    entries: Iterable[Entry],
    *,
    with_notes: bool,
    width: int | None = None,
    paint: Paint = plain,
    name: Callable[[str], str] = str,
) -> list[str]:
    """List the files that something was found about, each with its findings; errors first. `name` shows a path."""
    lines = []
    for entry in entries:
        found = [one for one in entry.findings if with_notes or one.severity is not Severity.NOTE]
        if not found:
            continue
        role = "good" if entry.verdict is FileVerdict.ACCEPTED else "error"
        lines.append(f"{paint(name(entry.path), 'bold')}: {paint(entry.verdict.value, role)}")
        for one in sorted(found, key=lambda one: one.severity.rank):
            where = f"line {one.line}: " if one.line else ""
            lines.append(row(one.severity.value, f"{one.rule} {where}{one.message}", one.severity.value, width, paint))
    return lines


def totals(entries: Sequence[Entry], *, with_notes: bool) -> str:
    """Count the files by verdict, and what was not listed."""
    verdicts = [entry.verdict for entry in entries]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in FileVerdict)
    text = f"{counted(len(entries), 'file')}: {counts}"
    return text + _hidden([one.severity for entry in entries for one in entry.findings], with_notes)


def audit_totals(releases: "Sequence[AuditedRelease]", *, with_notes: bool) -> str:
    """Count the releases, their files and their addresses, and what was not listed."""
    files = sum(len(one.files) for one in releases)
    text = (
        f"{counted(len(releases), 'release folder')}, {counted(files, 'file')}: "
        f"{sum(one.equal for one in releases)} addresses equal, {sum(one.lower for one in releases)} lower, "
        f"{sum(one.too_high for one in releases)} too high"
    )
    return text + _hidden([finding.severity for one in releases for finding in one.findings], with_notes)


def _hidden(severities: Sequence[Severity], with_notes: bool) -> str:
    """Say how many notes were not listed, if any."""
    notes = severities.count(Severity.NOTE)
    return "" if with_notes or not notes else f"; {counted(notes, 'note')} not shown (--notes)"
