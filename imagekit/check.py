"""The rules over many files: read in parallel, each content assessed once, nothing kept but the verdicts."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import PurePath
from threading import Lock

from imagekit import rules
from imagekit.assessment import Assessment, assess
from imagekit.errors import ParseError
from imagekit.image import Image
from imagekit.rules import Chip, Finding, Rule, Severity

_AT_ONCE = 512  # files in flight: enough to keep every core busy, few enough to bound the memory


class Verdict(Enum):
    """What becomes of a file; the values are those of `check --format json`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file and what the rules say of it."""

    path: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    assessment: Assessment | None
    """None when the file is no image."""


class _Assessments:
    """Assessments by content: identical contents are assessed once, whichever thread comes first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_content: dict[str, Future[Assessment]] = {}

    def of(self, image: Image) -> Assessment:
        with self._lock:
            future = self._by_content.get(image.sha256)
            if is_first := future is None:
                future = self._by_content[image.sha256] = Future()
        if is_first:
            future.set_result(assess(image))
        return future.result()


def check_files(
    paths: Iterable[str],
    read: Callable[[str], bytes],
    chip: Chip,
    done: Callable[[str], None] = lambda path: None,  # noqa: ARG005 - nobody listens
) -> list[CheckedFile]:
    """Check files, in their order, on all cores. `done` is called for each one when its turn is over.

    `read` returns a file's bytes or raises OSError. A broken file costs only itself.
    """
    assessments, checked = _Assessments(), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in _batches(paths):
            for file in pool.map(lambda path: _check_one(path, read, chip, assessments), batch):
                checked.append(file)
                done(file.path)
    return _with_folder_findings(checked)


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(paths)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


def _check_one(path: str, read: Callable[[str], bytes], chip: Chip, assessments: _Assessments) -> CheckedFile:
    """Check one file by itself."""
    try:
        data, hex_address = read(path), None
        if path.lower().endswith(".hex"):
            from imagekit.intel_hex import read_hex

            hex_address, data = read_hex(data)
        image = Image.parse(data)
    except ParseError as error:
        return CheckedFile(path, Verdict.UNREADABLE, (rules.not_an_image(error),), None)
    except OSError as error:
        unreadable = ParseError("unreadable", (error.strerror or str(error)).lower())
        return CheckedFile(path, Verdict.UNREADABLE, (rules.not_an_image(unreadable),), None)
    assessment = assessments.of(image)
    findings = rules.findings(assessment, chip, path=path, hex_address=hex_address)
    return CheckedFile(path, _verdict(findings), findings, assessment)


def _verdict(findings: Sequence[Finding]) -> Verdict:
    refused = any(finding.severity is Severity.ERROR for finding in findings)
    return Verdict.REFUSED if refused else Verdict.ACCEPTED


def _with_folder_findings(checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Add what only a look at the files beside them can tell."""
    folders: dict[str, list[CheckedFile]] = defaultdict(list)
    for file in checked:
        if file.assessment:
            folders[str(PurePath(file.path).parent)].append(file)
    extra: dict[str, list[Finding]] = defaultdict(list)
    for files in folders.values():
        _note_twins(rules.SAME_CONTENT, "has the same content as", _content, _stem, files, extra)
        _note_twins(rules.SAME_NAME, "holds another image than", _stem, _content, files, extra)
    return [_add(file, extra[file.path]) if file.path in extra else file for file in checked]


def _content(file: CheckedFile) -> str:
    return file.assessment.image.sha256 if file.assessment else ""


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
        for file in group if len({unlike(one) for one in group}) > 1 else ():
            others = sorted(PurePath(one.path).name for one in group if unlike(one) != unlike(file))
            extra[file.path].append(Finding(rule.id, rule.severity, f"{what} {' and '.join(others[:3])} beside it"))


def _add(file: CheckedFile, more: Sequence[Finding]) -> CheckedFile:
    findings = (*file.findings, *more)
    return replace(file, findings=findings, verdict=_verdict(findings))
