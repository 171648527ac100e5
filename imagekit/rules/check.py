"""The rules over many files: on all cores, each content assessed once, nothing kept but the verdicts."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePath

from imagekit import parallel
from imagekit.assessment import Assessment, assess
from imagekit.catalogue import Catalogue
from imagekit.errors import ParseError
from imagekit.image.model import Image
from imagekit.rules import findings as image_findings
from imagekit.rules.folder import SAME_CONTENT, SAME_NAME
from imagekit.rules.not_an_image import not_an_image
from imagekit.rules.registry import Chip, Finding, Rule, Severity
from imagekit.text import printable, why

_WORTH_A_FORK = 25  # fewer files are done before a process has started


class FileVerdict(Enum):
    """What becomes of a file; the values are those of `check --format json`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file and what the rules say of it."""

    path: str
    verdict: FileVerdict
    findings: tuple[Finding, ...]
    image: Image | None
    """None when the file is no image."""


def check_files(
    paths: Sequence[str],
    read: Callable[[str], bytes],
    chips: Chip | Sequence[Chip],
    done: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - nobody listens
    catalogue: Catalogue | None = None,
) -> list[CheckedFile]:
    """Check files on all cores; return them in their order. `done` is told how many more were looked at.

    With several chips, every file is checked for each. `read` returns the bytes of a file or raises OSError. A broken
    file costs only itself. `catalogue` stands in place of the built-in one.
    """
    chips = [chips] if isinstance(chips, Chip) else chips
    shares = _shares(paths, max(1, min(parallel.cores(), len(paths) // _WORTH_A_FORK)))

    def check_share(share: Sequence[int]) -> list[tuple[int, CheckedFile]]:
        assessments: dict[str, Assessment] = {}
        checked = []
        for index in share:
            checked.append((index, _check_one(paths[index], read, chips, assessments, catalogue)))
            if share is shares[0]:  # the others come on as fast, and are in processes that cannot tell
                done(len(shares))
        return checked

    results = [one for share in parallel.map_shares(check_share, shares) for one in share]
    return _with_folder_findings([file for _, file in sorted(results, key=lambda one: one[0])])


def _shares(paths: Sequence[str], count: int) -> list[list[int]]:
    """Deal the files out by their sizes, so that identical contents, which have one size, are in one share."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        by_size[_size(path) if count > 1 else 0].append(index)
    shares: list[list[int]] = [[] for _ in range(count)]
    weights = [0] * count
    for size, indices in sorted(by_size.items(), reverse=True):
        lightest = weights.index(min(weights))
        shares[lightest] += indices
        weights[lightest] += (size + _OVERHEAD) * len(indices)
    return shares


_OVERHEAD = 300_000  # what a file costs beyond its bytes, in bytes read and hashed in that time


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - the path as the user typed it
    except OSError:
        return 0


def _check_one(
    path: str,
    read: Callable[[str], bytes],
    chips: Sequence[Chip],
    assessments: dict[str, Assessment],
    catalogue: Catalogue | None = None,
) -> CheckedFile:
    """Check one file by itself; `assessments` are those of the contents seen before."""
    try:
        data, hex_address = read(path), None
        if path.lower().endswith(".hex"):
            from imagekit.application.intel_hex import read_hex

            hex_address, data = read_hex(data)
        image = Image.parse(data)
    except ParseError as error:
        return CheckedFile(path, FileVerdict.UNREADABLE, (not_an_image(error),), None)
    except OSError as error:
        unreadable = ParseError("unreadable", why(error))
        return CheckedFile(path, FileVerdict.UNREADABLE, (not_an_image(unreadable),), None)
    assessment = assessments.get(image.sha256)
    if assessment is None:
        assessment = assessments[image.sha256] = assess(image, catalogue=catalogue)
    findings = for_every_part(
        [(chip.part, image_findings(assessment, chip, path=path, hex_address=hex_address)) for chip in chips]
    )
    return CheckedFile(path, _verdict(findings), findings, assessment.image)


def for_every_part(found: Sequence[tuple[str | None, tuple[Finding, ...]]]) -> tuple[Finding, ...]:
    """Return the findings that hold for every part, once; then the others, each with its part."""
    common = [finding for finding in found[0][1] if all(finding in findings for _, findings in found)]
    others = [replace(finding, part=part) for part, findings in found for finding in findings if finding not in common]
    return (*common, *others)


def _verdict(findings: Sequence[Finding]) -> FileVerdict:
    refused = any(finding.severity is Severity.ERROR for finding in findings)
    return FileVerdict.REFUSED if refused else FileVerdict.ACCEPTED


def _with_folder_findings(checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Add what only a look at the files beside them can tell."""
    folders: dict[str, list[CheckedFile]] = defaultdict(list)
    for file in checked:
        if file.image:
            folders[str(PurePath(file.path).parent)].append(file)
    extra: dict[str, list[Finding]] = defaultdict(list)
    for files in folders.values():
        _note_twins(SAME_CONTENT, "has the same content as", _content, _stem, files, extra)
        _note_twins(SAME_NAME, "holds another image than", _stem, _content, files, extra)
    return [_add(file, extra[file.path]) if file.path in extra else file for file in checked]


def _content(file: CheckedFile) -> str:
    return file.image.sha256 if file.image else ""


def _stem(file: CheckedFile) -> str:
    return PurePath(file.path).stem.casefold()


def _note_twins(
    rule: Rule,
    what: str,
    alike: Callable[[CheckedFile], str],
    unlike: Callable[[CheckedFile], str],
    files: Iterable[CheckedFile],
    extra: dict[str, list[Finding]],
) -> None:
    """Note, for each file, the files of its folder that are like it in one respect and unlike it in the other."""
    groups: dict[str, list[CheckedFile]] = defaultdict(list)
    for file in files:
        groups[alike(file)].append(file)
    for group in groups.values():
        for file in group if len(group) > 1 and len({unlike(one) for one in group}) > 1 else ():
            others = sorted(printable(PurePath(one.path).name) for one in group if unlike(one) != unlike(file))
            names = " and ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            extra[file.path].append(Finding(rule.id, rule.severity, f"{what} {names} beside it"))


def _add(file: CheckedFile, more: Sequence[Finding]) -> CheckedFile:
    findings = (*file.findings, *more)
    return replace(file, findings=findings, verdict=_verdict(findings))
