"""Findings that are accepted in writing: waiver files, ST's known faults, and a baseline of earlier findings.

A waiver accepts one rule for some files, with a reason. All that it states must match: rule, file name or content, and
for release notes also the target and the published value.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePath
from typing import Any

from imagekit.errors import WaiverError
from imagekit.text import printable

WAIVER_FILE = "imagekit.toml"
"""The file that is looked for in the checked folder and above it."""
_KNOWN_FAULTS = Path(__file__).parents[1] / "data" / "st-faults.toml"
_SHA256 = re.compile("[0-9A-Fa-f]{64}")
_TEXT_MEMBERS = ("rule", "reason", "files", "sha256", "target", "published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A finding as waivers see it."""

    rule: str
    path: str
    """The file that the finding is about."""
    message: str = ""
    sha256: str | None = None
    target: str | None = None
    published: str | None = None


Accept = Callable[[Place], str | None]
"""Returns the reason why a finding is accepted; None when it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingWaiver:
    """One entry of a waiver file: which findings are accepted, and why."""

    rule: str
    reason: str
    files: str | None = None
    """A pattern for the path, relative to the waiver file; without a slash, for the file name."""
    sha256: str | None = None
    target: str | None = None
    published: str | None = None
    expires: date | None = None
    """The last day on which it is valid."""

    def covers(self, place: Place, folder: str) -> bool:
        """Whether it is about this finding; `folder` holds the waiver file."""
        return (
            self.rule == place.rule
            and (self.sha256 is None or self.sha256 == place.sha256)
            and (self.target is None or self.target == place.target)
            and (self.published is None or self.published == _without_spaces(place.published))
            and (self.files is None or _matches(self.files, place.path, folder))
        )

    @property
    def what(self) -> str:
        """The rule and the files, for messages."""
        return f"{self.rule} for {printable(self.files or str(self.sha256)[:12])}"


def _without_spaces(text: str | None) -> str | None:
    return None if text is None else text.replace(" ", "")


def _matches(pattern: str, path: str, folder: str) -> bool:
    """Whether a path matches a pattern: `*` and `?` within a name, `**` over folders."""
    if "/" not in pattern:
        return _fits(pattern, PurePath(path).name)
    absolute, base = Path(path).absolute(), Path(folder).absolute()
    if not absolute.is_relative_to(base):
        return False
    return _fits(pattern, absolute.relative_to(base).as_posix())


def _fits(pattern: str, text: str) -> bool:
    """Whether a whole text matches a pattern. Not a regular expression: one with some `**` takes hours to fail."""
    ends = {0}
    for part in filter(None, _WILDCARDS.split(pattern)):
        ends = _ends_after(part, text, ends)
    return len(text) in ends


_WILDCARDS = re.compile(r"(\*\*/|\*\*|\*|\?)")


def _ends_after(part: str, text: str, starts: set[int]) -> set[int]:
    """Return where a part of a pattern can end in a text, if it can start at any of these positions."""
    first = min(starts, default=len(text) + 1)
    if part == "**":
        return set(range(first, len(text) + 1))
    if part == "**/":
        return starts | {at + 1 for at in range(first, len(text)) if text[at] == "/"}
    if part == "?":
        return {at + 1 for at in starts if text[at : at + 1] not in ("", "/")}
    if part != "*":
        return {at + len(part) for at in starts if text.startswith(part, at)}
    ends = set(starts)
    for at in range(first, len(text)):
        if at in ends and text[at] != "/":
            ends.add(at + 1)
    return ends


@dataclass
class WaiverFile:
    """The waivers of one file, and which of them accepted a finding."""

    name: str
    """The file, as the user knows it."""
    folder: str
    waivers: Sequence[FindingWaiver]
    today: date
    _used: set[FindingWaiver] = field(default_factory=set)

    def accept(self, place: Place) -> str | None:
        """Return the reason of the first valid waiver for a finding."""
        for waiver in self.waivers:
            if waiver.covers(place, self.folder):
                self._used.add(waiver)
                if not self._has_expired(waiver):
                    return waiver.reason
        return None

    def warnings(self) -> Iterator[str]:
        """Yield what is wrong with waivers once all findings were seen."""
        for waiver in self.waivers:
            if self._has_expired(waiver):
                yield self._expired(waiver)
            elif waiver not in self._used:
                yield f"{self.name}: the waiver of {waiver.what} matches no finding: remove it"

    def expired(self) -> Iterator[str]:
        """Yield a warning for each waiver that would have accepted a finding, and has expired."""
        for waiver in self.waivers:
            if waiver in self._used and self._has_expired(waiver):
                yield self._expired(waiver)

    def _expired(self, waiver: FindingWaiver) -> str:
        return f"{self.name}: the waiver of {waiver.what} expired on {waiver.expires} and is ignored"

    def _has_expired(self, waiver: FindingWaiver) -> bool:
        return waiver.expires is not None and waiver.expires < self.today


def find_waiver_file(paths: Iterable[str]) -> str | None:
    """Return the waiver file in the folder of the first path, or in the nearest folder above it; None: no file."""
    for path in paths:
        start = Path(path).absolute()
        for folder in (start, *start.parents):
            if (folder / WAIVER_FILE).is_file():
                return str(folder / WAIVER_FILE)
        return None
    return None


def load_waivers(path: str, data: bytes, *, today: date, rules: Iterable[str]) -> WaiverFile:
    """Read a waiver file.

    Raises:
        WaiverError: it is not TOML, or an entry is not a waiver.
    """
    entries = _entries(data)
    known = set(rules)
    waivers = [_waiver(entry, f"waiver {number}", known) for number, entry in enumerate(entries, start=1)]
    return WaiverFile(name=path, folder=str(Path(path).absolute().parent), waivers=waivers, today=today)


def known_st_faults(today: date) -> WaiverFile:
    """Return ST's own faults in the releases of the catalogue, each with its reason."""
    entries = _entries(_KNOWN_FAULTS.read_bytes())
    waivers = [FindingWaiver(**entry) for entry in entries]
    return WaiverFile(name="the known ST faults", folder="/", waivers=waivers, today=today)


def _entries(data: bytes) -> list[dict[str, Any]]:
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists without end
        raise WaiverError(f"not a TOML file: {error}") from error
    others = sorted(document.keys() - {"waiver"})
    if others:
        raise WaiverError(f"unknown member {others[0]!r}: only [[waiver]] entries are allowed")
    entries = document.get("waiver", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WaiverError("waivers are written as [[waiver]] entries")
    return entries


def _waiver(entry: dict[str, Any], where: str, rules: set[str]) -> FindingWaiver:
    problem = _problem(entry, rules)
    if problem:
        raise WaiverError(f"{where}: {problem}")
    members = dict(entry)
    if "sha256" in members:
        members["sha256"] = members["sha256"].lower()
    return FindingWaiver(**members)


def _problem(entry: dict[str, Any], rules: set[str]) -> str:
    """What is wrong with an entry of a waiver file; empty when nothing is."""
    expires = entry.get("expires")
    unknown = sorted(entry.keys() - {*_TEXT_MEMBERS, "expires"})
    not_texts = [name for name in _TEXT_MEMBERS if name in entry and not _is_text(entry[name])]
    problems = (
        (unknown, f"unknown member {unknown[:1]}"),
        (not_texts, f"{not_texts[:1]} is not a text"),
        (expires is not None and type(expires) is not date, "expires is not a date such as 2027-01-31, without quotes"),
        (entry.get("rule") not in rules, "rule is not one of imagekit's rules, such as WB201"),
        ("reason" not in entry, "reason is missing"),
        (not {"files", "sha256"} & entry.keys(), "files or sha256 is missing: say what the waiver is for"),
        ("sha256" in entry and not _SHA256.fullmatch(str(entry["sha256"])), "sha256 is not 64 hex digits"),
    )
    return next((message for is_wrong, message in problems if is_wrong), "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings of an earlier run, which are not new."""

    name: str
    findings: frozenset[tuple[str, str, str]]
    """Rule, the last two parts of the path, message."""

    def accept(self, place: Place) -> str | None:
        """Return a reason for a finding of the earlier run."""
        if _key(place.rule, place.path, place.message) in self.findings:
            return f"in the baseline {self.name}"
        return None


def _key(rule: str, path: str, message: str) -> tuple[str, str, str]:
    return rule, "/".join(PurePath(path).parts[-2:]), message


def load_baseline(name: str, data: bytes) -> Baseline:
    """Read what `check` or `audit` printed with `--format json`.

    Raises:
        WaiverError: it is something else.
    """
    import json

    try:
        document = json.loads(data)
        findings = frozenset(
            _key(finding["rule"], path, _message(finding)) for path, finding in _earlier_findings(document)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WaiverError("not the output of `check --format json` or `audit --format json`") from error
    return Baseline(name, findings)


def _earlier_findings(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if document["schema"] == "imagekit.check/1":
        for file in document["files"]:
            for finding in file["findings"]:
                yield file["path"], finding
    elif document["schema"] == "imagekit.audit/1":
        for release in document["releases"]:
            for finding in release["findings"]:
                yield f"{release['path']}/{finding['file']}", finding
    else:
        raise ValueError(document["schema"])


def _message(finding: dict[str, Any]) -> str:
    parts = (finding.get("target"), finding.get("published"), finding["message"])
    return " ".join(part for part in parts if part)


def message_of(message: str, target: str | None, published: str | None) -> str:
    """Return a message as a baseline compares it."""
    return _message({"message": message, "target": target, "published": published})
