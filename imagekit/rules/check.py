"""Apply the rules to many files: on all cores, each content assessed once, only the verdicts kept."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePath

from imagekit import parallel
from imagekit.assessment import Assessment, assess
from imagekit.catalogue import Catalogue, StName
from imagekit.errors import ParseError
from imagekit.image.model import Image
from imagekit.rules import findings as image_findings
from imagekit.rules.folder import folder_findings
from imagekit.rules.not_an_image import UNENCRYPTED, not_an_image
from imagekit.rules.registry import Chip, Finding, Severity
from imagekit.rules.waivers import Accept, Place
from imagekit.text import why

_FILES_PER_PROCESS = 25
"""Fewer files are checked before a process has started."""
_OVERHEAD = 300_000
"""What a file costs beyond its bytes, in bytes that are read and hashed in the same time."""


class FileVerdict(Enum):
    """The verdict on a file; the values are those of `check --format json`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file and what the rules found."""

    path: str
    verdict: FileVerdict
    findings: tuple[Finding, ...]
    image: Image | None
    """None when the file is not an image."""
    sha256: str | None = None
    """None when the file could not be read."""


def check_files(
    paths: Sequence[str],
    read: Callable[[str], bytes],
    chips: Chip | Sequence[Chip],
    done: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - progress is optional
    catalogue: Catalogue | None = None,
) -> list[CheckedFile]:
    """Check files on all cores and return them in their order. `done` receives how many more files were checked.

    With several chips, every file is checked for each. `read` returns the bytes of a file or raises OSError. A broken
    file does not affect the others. `catalogue` replaces the built-in one.
    """
    chip_list = [chips] if isinstance(chips, Chip) else chips
    shares = _shares(paths, max(1, min(parallel.cores(), len(paths) // _FILES_PER_PROCESS)))

    def check_share(share: Sequence[int]) -> list[tuple[int, CheckedFile]]:
        assessments: dict[str, Assessment] = {}
        checked = []
        for index in share:
            checked.append((index, _check_file(paths[index], read, chip_list, assessments, catalogue)))
            if share is shares[0]:  # the other processes are as fast, and cannot report
                done(len(shares))
        return checked

    checked = [indexed for share in parallel.map_shares(check_share, shares) for indexed in share]
    return _with_folder_findings([file for _, file in sorted(checked, key=lambda indexed: indexed[0])])


def _shares(paths: Sequence[str], count: int) -> list[list[int]]:
    """Divide the files by size, so that identical contents, which have the same size, are in the same share."""
    if count == 1:
        return [list(range(len(paths)))]
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        by_size[_size(path)].append(index)
    shares: list[list[int]] = [[] for _ in range(count)]
    weights = [0] * count
    for size, indices in sorted(by_size.items(), reverse=True):
        lightest = weights.index(min(weights))
        shares[lightest] += indices
        weights[lightest] += (size + _OVERHEAD) * len(indices)
    return shares


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - the path as the user typed it
    except OSError:
        return 0


def _check_file(
    path: str,
    read: Callable[[str], bytes],
    chips: Sequence[Chip],
    assessments: dict[str, Assessment],
    catalogue: Catalogue | None = None,
) -> CheckedFile:
    """Check one file by itself; `assessments` are those of the contents seen before."""
    data = b""
    try:
        data = read(path)
        content, hex_address = _from_hex(path, data)
        image = Image.parse(content)
    except ParseError as error:
        sha256 = hashlib.sha256(data).hexdigest()
        return CheckedFile(path, FileVerdict.UNREADABLE, (not_an_image(error),), None, sha256)
    except OSError as error:
        unreadable = ParseError("unreadable", why(error))
        return CheckedFile(path, FileVerdict.UNREADABLE, (not_an_image(unreadable),), None)
    if image.sha256 not in assessments:
        assessments[image.sha256] = assess(image, catalogue=catalogue)
    assessment = assessments[image.sha256]
    findings = for_every_part(
        [(chip.part, image_findings(assessment, chip, path=path, hex_address=hex_address)) for chip in chips]
    )
    return CheckedFile(path, _verdict(findings), findings, assessment.image, image.sha256)


def _from_hex(path: str, data: bytes) -> tuple[bytes, int | None]:
    """Return the bytes of an image, and the address at which an Intel HEX file puts them."""
    if not path.lower().endswith(".hex"):
        return data, None
    from imagekit.application.intel_hex import read_hex

    address, data = read_hex(data)
    return data, address


def for_every_part(found: Sequence[tuple[str | None, tuple[Finding, ...]]]) -> tuple[Finding, ...]:
    """Return the findings that hold for every part, once; then the others, each with its part."""
    common = [finding for finding in found[0][1] if all(finding in findings for _, findings in found)]
    others = [replace(finding, part=part) for part, findings in found for finding in findings if finding not in common]
    return (*common, *others)


def _verdict(findings: Sequence[Finding]) -> FileVerdict:
    refused = any(finding.severity is Severity.ERROR and finding.waived is None for finding in findings)
    return FileVerdict.REFUSED if refused else FileVerdict.ACCEPTED


def without_applications(files: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Leave out the unencrypted programs, unless they are named as ST names its images."""
    return [file for file in files if not _is_application(file)]


def _is_application(file: CheckedFile) -> bool:
    is_program = any(finding.rule == UNENCRYPTED.id for finding in file.findings)
    return is_program and StName.parse(PurePath(file.path).name) is None


def accept_findings(files: Sequence[CheckedFile], accept: Accept) -> list[CheckedFile]:
    """Mark the findings that a waiver accepts. A file whose errors are all accepted is accepted."""
    return [_accept_in(file, accept) for file in files]


def _accept_in(file: CheckedFile, accept: Accept) -> CheckedFile:
    findings = []
    for finding in file.findings:
        place = Place(rule=finding.rule, path=file.path, message=finding.message, sha256=file.sha256)
        findings.append(replace(finding, waived=accept(place)))
    verdict = _verdict(findings)
    if file.verdict is FileVerdict.UNREADABLE and verdict is FileVerdict.REFUSED:
        verdict = FileVerdict.UNREADABLE
    return replace(file, findings=tuple(findings), verdict=verdict)


def _with_folder_findings(checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Add the findings that need a look at the other files of the folder."""
    extra = folder_findings({file.path: file.image.sha256 for file in checked if file.image})
    return [_add(file, extra.get(file.path, ())) for file in checked]


def _add(file: CheckedFile, more: Sequence[Finding]) -> CheckedFile:
    if not more:
        return file
    findings = (*file.findings, *more)
    return replace(file, findings=findings, verdict=_verdict(findings))
