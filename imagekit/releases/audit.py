"""A folder of ST's images against the release notes beside them: which of ST's own rows are wrong, and by how much."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import PurePath

from imagekit.errors import PlacementError, ReleaseNotesError
from imagekit.image.model import FUS_1_2, FUS_2, Image
from imagekit.placement import Placement, place
from imagekit.releases import release_notes
from imagekit.releases.release_notes import Cell, Row
from imagekit.rules.check import CheckedFile
from imagekit.rules.registry import Rule, Severity
from imagekit.rules.release_notes import (
    FITS,
    FUS_2_MARK,
    LOWER,
    NO_FILE,
    NO_ROOM,
    NO_ROW,
    NO_SPARE,
    STRANGE_CELL,
    TOO_HIGH,
    TWO_ROWS,
    VERSION,
)
from imagekit.targets import FLASH_BASE, LARGEST_FLASH, TARGETS, Target

_BY_NAME = {target.name: target for target in TARGETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """What is wrong with a release: a rule's finding, and where it stands."""

    rule: str
    severity: Severity
    message: str
    file: str
    """The file's name."""
    target: str | None = None
    published: str | None = None
    computed: str | None = None
    line: int | None = None
    """The line of the table cell in Release_Notes.html; None for what is not in the notes."""


@dataclass(frozen=True, slots=True)
class AuditedRelease:
    """A release folder, how many of its published addresses are right, and what is wrong with it."""

    path: str
    """The folder, as it was given."""
    files: tuple[CheckedFile, ...]
    equal: int
    lower: int
    too_high: int
    findings: tuple[AuditFinding, ...]


class _Outcome(Enum):
    """How a published address compares with the computed one."""

    EQUAL = "equal"
    LOWER = "lower"
    TOO_HIGH = "too high"
    WITHIN_SPARE = "within the spare sectors"
    NO_ROOM = "does not fit"
    FITS = "NA, and fits"
    STRANGE = "not an address"


@dataclass(frozen=True)
class _Published:
    """One cell of a row, beside what is computed for the same file and target."""

    row: Row
    cell: Cell
    target: Target
    image: Image

    @cached_property
    def placed(self) -> Placement | PlacementError:
        """Where it goes, or why it goes nowhere."""
        try:
            return place(self.image, self.target)
        except PlacementError as error:
            return error

    @property
    def placement(self) -> Placement | None:
        return self.placed if isinstance(self.placed, Placement) else None

    @cached_property
    def address(self) -> int | None:
        """The published address. Raises ValueError when the cell holds none."""
        return release_notes.published_address(self.cell)

    @cached_property
    def outcome(self) -> _Outcome:
        try:
            published = self.address
        except ValueError:
            return _Outcome.STRANGE
        if published is not None and not self.is_sector(published):
            return _Outcome.STRANGE
        if self.placement is None or published is None:
            both = self.placement is None and published is None
            return _Outcome.EQUAL if both else _Outcome.FITS if published is None else _Outcome.NO_ROOM
        computed = self.placement.address
        spare = self.placement.spare_sectors * self.target.sector_size
        if computed < published <= computed + spare:
            return _Outcome.WITHIN_SPARE
        if published == computed:
            return _Outcome.EQUAL
        return _Outcome.LOWER if published < computed else _Outcome.TOO_HIGH

    def is_sector(self, address: int) -> bool:
        """Whether a sector of flash begins there, other than the first."""
        offset = address - FLASH_BASE
        return 0 < offset < LARGEST_FLASH and offset % self.target.sector_size == 0

    def finding(self, rule: Rule, message: str) -> AuditFinding:
        return AuditFinding(
            rule=rule.id,
            severity=rule.severity,
            message=message,
            file=self.row.file,
            target=self.target.name,
            published=self.cell.text,
            computed=None if self.placement is None else f"0x{self.placement.address:08X}",
            line=self.cell.line,
        )

    def sectors(self, bytes_: int) -> str:
        count = bytes_ // self.target.sector_size
        return f"{count} sector{'' if count == 1 else 's'}"


def audit(path: str, notes: bytes, files: Sequence[CheckedFile]) -> AuditedRelease:
    """Compare the files of a folder with its release notes. Raises ReleaseNotesError when those cannot be read."""
    rows = release_notes.read_rows(notes)
    if not rows:
        raise ReleaseNotesError("no address table of ST's in this page")
    current = release_notes.current(row for row in rows if row.release == rows[0].release)
    images = {PurePath(file.path).name: file.image for file in files if file.image}
    compared = {name: row for name, row in current.items() if name in images}
    cells = [
        _Published(row, cell, _BY_NAME[target], images[name])
        for name, row in compared.items()
        for target, cell in row.addresses.items()
    ]
    outcomes = [cell.outcome for cell in cells]
    findings = [
        *(finding for cell in cells for finding in _address_findings(cell)),
        *(finding for name, row in compared.items() for finding in _row_findings(row, rows, images[name])),
        *_missing(rows, current.keys(), {PurePath(file.path).name for file in files}),
        *_file_findings(files),
    ]
    return AuditedRelease(
        path=path,
        files=tuple(files),
        equal=sum(outcome in (_Outcome.EQUAL, _Outcome.WITHIN_SPARE) for outcome in outcomes),
        lower=outcomes.count(_Outcome.LOWER),
        too_high=outcomes.count(_Outcome.TOO_HIGH),
        findings=tuple(sorted(findings, key=lambda finding: (finding.line or 0, finding.file, finding.rule))),
    )


def _address_findings(cell: _Published) -> Iterator[AuditFinding]:
    """What is wrong with one published address."""
    outcome, placement = cell.outcome, cell.placement
    if outcome is _Outcome.STRANGE:
        yield cell.finding(
            STRANGE_CELL, f"{cell.cell.text!r} is neither NA nor the start of a sector of flash behind the first"
        )
    elif placement is None:
        if outcome is _Outcome.NO_ROOM:
            yield cell.finding(NO_ROOM, f"an address is published, and {cell.placed}")
    elif outcome is _Outcome.FITS:
        kib = (placement.address - FLASH_BASE) // 1024
        yield cell.finding(FITS, f"NA is published; it fits, and leaves {kib} KiB for the application")
    elif outcome is _Outcome.WITHIN_SPARE:
        yield cell.finding(
            NO_SPARE, "it fits, without the spare sectors that other releases leave above a FUS 1.x image"
        )
    elif outcome is _Outcome.LOWER:
        room = cell.sectors(placement.address - (cell.address or 0))
        yield cell.finding(LOWER, f"{room} lower than needed: harmless, it wastes room")
    elif outcome is _Outcome.TOO_HIGH:
        over = cell.sectors((cell.address or 0) - placement.address)
        yield cell.finding(TOO_HIGH, f"{over} too high: {_what_it_hits(cell.address or 0, placement)}")


def _what_it_hits(published: int, placement: Placement) -> str:
    """What an image at an address that is too high runs into."""
    end = published + placement.sectors * placement.target.sector_size
    if end <= placement.limit:
        return f"it would leave {(placement.limit - end) // 1024} KiB above the image where its format needs 16"
    beyond = "the end of the flash" if "end of" in placement.limit_source else "the start of FUS"
    return f"the image would reach beyond {beyond}, 0x{placement.limit:08X}"


def _row_findings(row: Row, rows: Sequence[Row], image: Image) -> Iterator[AuditFinding]:
    """What is wrong with the other cells of a row; `rows` are all of the page."""
    said = release_notes.published_version(row.version) if row.version else None
    version = FUS_1_2 if image.is_hidden_fus else image.version
    if row.version and version and said and said != version.text:
        message = f"the row says {said}, the image {version.text}"
        if image.is_hidden_fus:
            message = f"the row says {said}; the image hides its version, and ST called such images {version.text}"
        yield _on_cell(VERSION, row, row.version, message, computed=version.text)
    needs_fus_2 = image.requires_fus == FUS_2
    # v1.23.0 has two rows for one file of WB1x, one of them marked.
    marked = any(one.file == row.file and one.release == row.release and _is_marked(one) for one in rows)
    if needs_fus_2 and not marked:
        yield _on_cell(FUS_2_MARK, row, row.fus, "it needs FUS 2, and is not marked so")
    elif marked and not needs_fus_2:
        yield _on_cell(FUS_2_MARK, row, row.fus, "it is marked for FUS 2 only, and needs no FUS 2")


def _is_marked(row: Row) -> bool:
    """Whether a row says `FUS_v2 only` or `FUSv2 only`."""
    return row.fus is not None and "v2only" in row.fus.text.lower().replace(" ", "").replace("_", "")


def _on_cell(rule: Rule, row: Row, cell: Cell | None, message: str, computed: str | None = None) -> AuditFinding:
    return AuditFinding(
        rule=rule.id,
        severity=rule.severity,
        message=message,
        file=row.file,
        published=cell.text if cell else None,
        computed=computed,
        line=cell.line if cell else row.line,
    )


def _missing(rows: Sequence[Row], named: Iterable[str], present: set[str]) -> Iterator[AuditFinding]:
    """Files without a row; rows of the newest section without a file, or with a file that has a row already."""
    for file in sorted(present - set(named)):
        yield AuditFinding(
            rule=NO_ROW.id, severity=NO_ROW.severity, message="the newest tables have no row for it", file=file
        )
    for row in rows:
        if row.release == rows[0].release and row.file not in present:
            yield _on_cell(NO_FILE, row, None, "the newest table names it, and there is no such file")
    first_lines: dict[str, int] = {}
    for row in rows:
        first = first_lines.setdefault(row.file, row.line)
        if row.release == rows[0].release and row.line != first:
            yield _on_cell(TWO_ROWS, row, None, f"a second row for this file; the first is in line {first}")


def _file_findings(files: Iterable[CheckedFile]) -> Iterator[AuditFinding]:
    """What `check` finds in the files themselves."""
    for file in files:
        for finding in file.findings:
            yield AuditFinding(
                rule=finding.rule,
                severity=finding.severity,
                message=finding.text,
                file=PurePath(file.path).name,
            )
