"""Compare a folder of ST's images with the release notes beside it: which rows are wrong, and by how much."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from imagekit import parallel
from imagekit.errors import ImagekitError, ReleaseNotesError
from imagekit.image.model import FUS_1_2, FUS_2, Image
from imagekit.releases import release_notes
from imagekit.releases.address_cell import AddressCell, Outcome
from imagekit.releases.release_notes import Cell, Row
from imagekit.rules import check
from imagekit.rules.check import CheckedFile
from imagekit.rules.registry import Chip, Rule, Severity
from imagekit.rules.release_notes import FUS_2_MARK, NO_FILE, NO_ROW, TWO_ROWS, VERSION
from imagekit.rules.waivers import Accept, Place, message_of
from imagekit.targets import TARGETS

_BY_NAME = {target.name: target for target in TARGETS}
_EQUAL = (Outcome.EQUAL, Outcome.WITHIN_SPARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """A finding about a release, and its place."""

    rule: str
    severity: Severity
    message: str
    file: str
    """The file name."""
    target: str | None = None
    published: str | None = None
    computed: str | None = None
    line: int | None = None
    """The line of the table cell in Release_Notes.html; None for what is not in the notes."""
    waived: str | None = None
    """The reason why it is accepted; None when it counts."""


@dataclass(frozen=True, slots=True)
class AuditedRelease:
    """A release folder, how many of its published addresses are right, and what is wrong with it."""

    path: str
    """The folder, as the user gave it."""
    files: tuple[CheckedFile, ...]
    equal: int
    lower: int
    too_high: int
    findings: tuple[AuditFinding, ...]


def audit(path: str, notes: bytes, files: Sequence[CheckedFile]) -> AuditedRelease:
    """Compare the files of a folder with its release notes.

    Raises:
        ReleaseNotesError: the notes cannot be read.
    """
    newest = release_notes.read_newest_rows(notes)
    if not newest:
        raise ReleaseNotesError("this page has no address table of ST's")
    current = release_notes.current(newest)
    images = {PurePath(file.path).name: file.image for file in files if file.image}
    compared = [(row, images[name]) for name, row in current.items() if name in images]
    cells = [cell for row, image in compared for cell in _cells(row, image)]
    outcomes = [cell.outcome for cell in cells]
    findings = [
        *_address_findings(cells),
        *(finding for row, image in compared for finding in _row_findings(row, newest, image)),
        *_missing_rows(current.keys(), files),
        *_missing_files(newest, files),
        *_repeated_rows(newest),
        *_file_findings(files),
    ]
    return AuditedRelease(
        path=path,
        files=tuple(files),
        equal=sum(outcome in _EQUAL for outcome in outcomes),
        lower=outcomes.count(Outcome.LOWER),
        too_high=outcomes.count(Outcome.TOO_HIGH),
        findings=tuple(sorted(findings, key=lambda finding: (finding.line or 0, finding.file, finding.rule))),
    )


Result = AuditedRelease | ImagekitError | OSError


def audit_folders(
    images_by_page: Mapping[str, Sequence[str]],
    read_notes: Callable[[str], bytes],
    read_image: Callable[[str], bytes],
    chips: Chip | Sequence[Chip],
    done: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - progress is optional
) -> list[tuple[str, Result]]:
    """Audit the folder of each page of release notes, on all cores; return each page with its result or its error.

    All images are checked together, so that bytes which several folders hold are verified once.
    """
    paths = [path for images in images_by_page.values() for path in images]
    checked = {file.path: file for file in check.check_files(paths, read_image, chips, done)}

    def audit_share(pages: Sequence[str]) -> list[tuple[str, Result]]:
        return [(page, _audit_page(page, read_notes, map(checked.__getitem__, images_by_page[page]))) for page in pages]

    pages = list(images_by_page)
    count = max(1, min(parallel.cores(), len(pages)))
    shares = [pages[start::count] for start in range(count)]
    results = dict(result for share in parallel.map_shares(audit_share, shares) for result in share)
    return [(page, results[page]) for page in pages]


def _audit_page(page: str, read_notes: Callable[[str], bytes], files: Iterable[CheckedFile]) -> Result:
    try:
        return audit(os.path.dirname(page), read_notes(page), tuple(files))  # noqa: PTH120 - the path as the user typed it
    except (ImagekitError, OSError) as error:
        return error


def accept_findings(release: AuditedRelease, accept: Accept) -> AuditedRelease:
    """Mark the findings that a waiver accepts."""
    sha256_by_name = {PurePath(file.path).name: file.sha256 for file in release.files}
    findings = []
    for finding in release.findings:
        place = Place(
            rule=finding.rule,
            path=str(PurePath(release.path) / finding.file),
            message=message_of(finding.message, finding.target, finding.published),
            sha256=sha256_by_name.get(finding.file),
            target=finding.target,
            published=finding.published,
        )
        findings.append(replace(finding, waived=accept(place)))
    files = check.accept_findings(release.files, accept)
    return replace(release, files=tuple(files), findings=tuple(findings))


def _cells(row: Row, image: Image) -> list[AddressCell]:
    return [AddressCell(cell, _BY_NAME[target], image, row.file) for target, cell in row.addresses.items()]


def _address_findings(cells: Iterable[AddressCell]) -> Iterator[AuditFinding]:
    """Yield what is wrong with published addresses."""
    for cell in cells:
        problem = cell.problem
        if problem:
            rule, message = problem
            computed = f"0x{cell.placement.address:08X}" if cell.placement else None
            yield _on_cell(rule, cell.file, cell.cell, message, target=cell.target.name, computed=computed)


def _row_findings(row: Row, newest: Sequence[Row], image: Image) -> Iterator[AuditFinding]:
    """Yield what is wrong with the other cells of a row; `newest` are all rows of its release."""
    yield from _version_findings(row, image)
    needs_fus_2 = image.requires_fus == FUS_2
    # v1.23.0 has two rows for one file of WB1x, one of them marked.
    is_marked = any(_is_marked(other) for other in newest if other.file == row.file)
    if needs_fus_2 and not is_marked:
        yield _on_row(FUS_2_MARK, row, row.fus, "the image needs FUS 2, but the row is not marked")
    elif is_marked and not needs_fus_2:
        yield _on_row(FUS_2_MARK, row, row.fus, "the row is marked for FUS 2 only, but the image does not need FUS 2")


def _version_findings(row: Row, image: Image) -> Iterator[AuditFinding]:
    if row.version is None:
        return
    published = release_notes.published_version(row.version)
    version = FUS_1_2 if image.is_hidden_fus else image.version
    if published is None or version is None or published == version.text:
        return
    message = f"the row says {published}, the image {version.text}"
    if image.is_hidden_fus:
        message = f"the row says {published}; the image stores no version, and ST called such images {version.text}"
    yield _on_row(VERSION, row, row.version, message, computed=version.text)


def _is_marked(row: Row) -> bool:
    """Whether a row says `FUS_v2 only` or `FUSv2 only`."""
    return row.fus is not None and "v2only" in row.fus.text.lower().replace(" ", "").replace("_", "")


def _missing_rows(named: Iterable[str], files: Iterable[CheckedFile]) -> Iterator[AuditFinding]:
    """Yield the files without a row in the newest tables."""
    for file in sorted(_names(files) - set(named)):
        yield AuditFinding(
            rule=NO_ROW.id, severity=NO_ROW.severity, message="the newest tables have no row for this file", file=file
        )


def _missing_files(newest: Iterable[Row], files: Iterable[CheckedFile]) -> Iterator[AuditFinding]:
    """Yield the rows of the newest tables without a file."""
    present = _names(files)
    for row in newest:
        if row.file not in present:
            yield _on_row(NO_FILE, row, None, "the newest table names this file, but it does not exist")


def _repeated_rows(newest: Iterable[Row]) -> Iterator[AuditFinding]:
    """Yield the rows of the newest tables for a file that has a row already."""
    first_lines: dict[str, int] = {}
    for row in newest:
        first = first_lines.setdefault(row.file, row.line)
        if row.line != first:
            yield _on_row(TWO_ROWS, row, None, f"a second row for this file; the first is in line {first}")


def _file_findings(files: Iterable[CheckedFile]) -> Iterator[AuditFinding]:
    """Yield what `check` finds in the files themselves."""
    for file in files:
        for finding in file.findings:
            yield AuditFinding(
                rule=finding.rule,
                severity=finding.severity,
                message=finding.text,
                file=PurePath(file.path).name,
            )


def _names(files: Iterable[CheckedFile]) -> set[str]:
    return {PurePath(file.path).name for file in files}


def _on_row(rule: Rule, row: Row, cell: Cell | None, message: str, computed: str | None = None) -> AuditFinding:
    """A finding about a cell of a row, or about the row itself."""
    if cell is None:
        return AuditFinding(
            rule=rule.id, severity=rule.severity, message=message, file=row.file, computed=computed, line=row.line
        )
    return _on_cell(rule, row.file, cell, message, computed=computed)


def _on_cell(
    rule: Rule, file: str, cell: Cell, message: str, *, target: str | None = None, computed: str | None = None
) -> AuditFinding:
    return AuditFinding(
        rule=rule.id,
        severity=rule.severity,
        message=message,
        file=file,
        target=target,
        published=cell.text,
        computed=computed,
        line=cell.line,
    )
