"""SARIF 2.1.0 (OASIS standard), which code scanning services read."""

from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath

from imagekit import __version__
from imagekit.report.check import Entry, Located
from imagekit.report.layout import Json
from imagekit.rules import RULES
from imagekit.rules.registry import Rule, Severity
from imagekit.text import printable

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(entries: Iterable[Entry]) -> Json:
    """Return a SARIF log with one run: every rule with its help text, one result for each finding."""
    ids = sorted(RULES)
    indices = {id_: index for index, id_ in enumerate(ids)}
    results = [_result(finding, indices[finding.rule]) for entry in entries for finding in entry.findings]
    driver = {"name": "imagekit", "version": __version__, "rules": [_rule(RULES[id_]) for id_ in ids]}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.title},
        "help": {"text": rule.help, "markdown": rule.help},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Located, rule_index: int) -> Json:
    location = {
        "artifactLocation": {"uri": _uri(finding.path)},
        "region": {"startLine": finding.line or 1},  # code scanning services need a line, even for a binary
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": _plain(finding.message)},
        "locations": [{"physicalLocation": location}],
    }


def _plain(text: str) -> str:
    """Return a printable text without the placeholders and links of a SARIF message (sections 3.11.5, 3.11.6)."""
    return printable(text).replace("{", "{{").replace("}", "}}").replace("[", "\\[").replace("]", "\\]")


def _uri(path: str) -> str:
    """Return a path as a URI reference: a relative path stays relative (RFC 3986; SARIF, section 3.4.3)."""
    pure = PurePath(path)
    if pure.is_absolute():
        return pure.as_uri()
    return PurePosixPath("/", pure.as_posix()).as_uri().removeprefix("file:///")
