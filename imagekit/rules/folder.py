"""Rules about the files of one folder (WB406, WB407)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from imagekit.rules.registry import Finding, Severity, declare, finding_of
from imagekit.text import printable

SAME_CONTENT = declare(
    "WB406",
    "DuplicateContent",
    Severity.WARNING,
    "Two files of a folder have the same content",
    """Two names in one folder stand for the same bytes. ST does this where two variants are one build; elsewhere one of
    the two files was overwritten by the other.""",
)
SAME_NAME = declare(
    "WB407",
    "DuplicateName",
    Severity.ERROR,
    "Two files of a folder have the same name and different content",
    """Two files of a folder differ only in upper and lower case or in their ending (`.bin`, `.hex`), and hold different
    images: which of them is flashed depends on the tool.""",
)
FOLDER_RULES = (SAME_CONTENT, SAME_NAME)

_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    sha256: str

    @property
    def stem(self) -> str:
        return PurePath(self.path).stem.casefold()

    @property
    def name(self) -> str:
        return printable(PurePath(self.path).name)


def folder_findings(sha256_by_path: Mapping[str, str]) -> dict[str, list[Finding]]:
    """Return the findings that need a look at the files of the same folder, by path. Only images are to be given."""
    folders: dict[str, list[_File]] = defaultdict(list)
    for path, sha256 in sha256_by_path.items():
        folders[str(PurePath(path).parent)].append(_File(path, sha256))
    found: dict[str, list[Finding]] = defaultdict(list)
    for files in folders.values():
        for file, twins in _same_content(files):
            found[file.path].append(finding_of(SAME_CONTENT, f"has the same content as {_names(twins)} beside it"))
        for file, twins in _same_name(files):
            found[file.path].append(finding_of(SAME_NAME, f"holds another image than {_names(twins)} beside it"))
    return dict(found)


def _same_content(files: list[_File]) -> Iterator[tuple[_File, list[_File]]]:
    """Yield each file with those of the same content and another name."""
    groups: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        groups[file.sha256].append(file)
    for group in groups.values():
        for file in group:
            twins = [other for other in group if other.stem != file.stem]
            if twins:
                yield file, twins


def _same_name(files: list[_File]) -> Iterator[tuple[_File, list[_File]]]:
    """Yield each file with those of the same name, apart from case and ending, and other content."""
    groups: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        groups[file.stem].append(file)
    for group in groups.values():
        for file in group:
            twins = [other for other in group if other.sha256 != file.sha256]
            if twins:
                yield file, twins


def _names(files: list[_File]) -> str:
    names = sorted(file.name for file in files)
    text = " and ".join(names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        text += f" and {len(names) - _NAMES_SHOWN} more"
    return text
