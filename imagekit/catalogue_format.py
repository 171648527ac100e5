"""Check that a catalogue from a file has the form that `imagekit catalogue build` writes, before it is used."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from imagekit.errors import CatalogueError, VersionError
from imagekit.image.model import ImageKind, Version
from imagekit.targets import Series

MOST_CONTENTS = 20_000
"""Contents in a catalogue: ST published fewer than 700 in 37 releases."""
_LONGEST_TEXT = 500
_SHA256 = re.compile("[0-9a-f]{64}")
_RELEASE = re.compile(r"v[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_WORD = re.compile("0x[0-9A-F]{8}")
_KINDS = frozenset(kind.value for kind in ImageKind)
_SERIES = frozenset(series.value for series in Series)


def check_document(document: Any) -> None:
    """Check a whole catalogue, apart from its schema.

    Raises:
        CatalogueError: with the path of the first member that is wrong.
    """
    _require(isinstance(document, dict), "the document")
    releases = document.get("releases")
    _require(isinstance(releases, list) and all(map(_is_release, releases)), "releases")
    contents = document.get("contents")
    _require(isinstance(contents, dict) and len(contents) <= MOST_CONTENTS, "contents")
    for sha256, entry in contents.items():
        _require(bool(_SHA256.fullmatch(sha256)), "contents: a SHA-256")
        _check_entry(entry, f"contents.{sha256[:12]}...")


def _check_entry(entry: Any, path: str) -> None:
    _require(isinstance(entry, dict), path)
    for name, is_valid in _MEMBERS.items():
        _require(is_valid(entry.get(name)), f"{path}.{name}")
    if entry.get("kind") is not None:
        _require(all(entry.get(name) is not None for name in ("magic", "sectors")), f"{path}: magic and sectors")
    for number, file in enumerate(entry["published"]):
        where = f"{path}.published[{number}]"
        _require(isinstance(file, dict), where)
        _require(_is_release(file.get("release")), f"{where}.release")
        _require(_is_text(file.get("path")), f"{where}.path")
        _require(_are_addresses(file.get("addresses")), f"{where}.addresses")


def _require(is_valid: bool, path: str) -> None:
    if not is_valid:
        raise CatalogueError(f"not a catalogue that `imagekit catalogue build` made: {path} is missing or not valid")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT and value.isprintable()


def _is_release(value: object) -> bool:
    return isinstance(value, str) and _RELEASE.fullmatch(value) is not None


def _is_version(value: object) -> bool:
    if not _is_text(value):
        return False
    try:
        return bool(Version.from_text(str(value)))
    except VersionError:
        return False


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _number_up_to(most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and 0 <= value <= most


def _or_none(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_valid(value)


def _are_series(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name in _SERIES for name in value)


def _are_publications(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MOST_CONTENTS


def _are_addresses(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(_is_text(target) and _or_none(_is_word)(address) for target, address in value.items())


_MEMBERS: Mapping[str, Callable[[object], bool]] = {
    "size": _number_up_to(2**31),
    "kind": _or_none(lambda value: isinstance(value, str) and value in _KINDS),
    "magic": _or_none(_is_word),
    "version": _or_none(_is_version),
    "sectors": _or_none(_number_up_to(255)),
    "sram2a_kib": _or_none(_number_up_to(255)),
    "sram2b_kib": _or_none(_number_up_to(255)),
    "key": _or_none(_is_text),
    "known_bad": _or_none(lambda value: isinstance(value, str) and len(value) <= 10 * _LONGEST_TEXT),
    "series": _are_series,
    "published": _are_publications,
}
