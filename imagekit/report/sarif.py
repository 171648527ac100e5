"""SARIF 2.1.0 (OASIS standard): what code scanning services take.

Beyond the standard, GitHub and Azure DevOps require names and help links of rules, fingerprints of results and an
identity of the run (rules GH* and ADO* of the SARIF Multitool).
"""

import hashlib
from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath

from imagekit import __version__
from imagekit.report.check import Entry, Located
from imagekit.report.layout import Json
from imagekit.rules import RULES
from imagekit.rules.registry import Rule, Severity
from imagekit.text import printable

REPOSITORY = "https://github.com/stm32wb-imagekit/stm32wb-imagekit"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(name: str, entries: Iterable[Entry]) -> Json:
    """Return a SARIF log with one run: every rule with its help text, one result for each finding.

    `name` is the command, such as `imagekit check`.
    """
    ids = sorted(RULES)
    indices = {id_: index for index, id_ in enumerate(ids)}
    results = [_result(finding, indices[finding.rule]) for entry in entries for finding in entry.findings]
    driver = {
        "name": "imagekit",
        "fullName": f"imagekit {__version__}",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": REPOSITORY,
        "rules": [_rule(RULES[id_]) for id_ in ids],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{name.replace(' ', '/')}/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> Json:
    help_ = rule.help.replace("`", "")
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": f"{rule.title}."},
        "help": {"text": help_, "markdown": rule.help},
        "helpUri": f"{REPOSITORY}/blob/main/docs/rules.md",
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Located, rule_index: int) -> Json:
    location = {
        "artifactLocation": _artifact(finding.path),
        "region": {"startLine": finding.line or 1},  # code scanning services require a line, even for a binary
    }
    result: Json = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": _plain(finding.message)},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"imagekitFinding/v1": _fingerprint(finding)},
    }
    if finding.waived is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": _plain(finding.waived)}]
    return result


def _fingerprint(finding: Located) -> str:
    """An identity of the finding that stays the same when lines move or the folder is another one."""
    text = f"{finding.rule}\n{PurePath(finding.path).name}\n{finding.message}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _plain(text: str) -> str:
    """Text without the placeholders and links that SARIF reads in a message (section 3.11.5, 3.11.6)."""
    return printable(text).replace("{", "{{").replace("}", "}}").replace("[", "\\[").replace("]", "\\]")


def _artifact(path: str) -> Json:
    """A path as a URI reference: a relative path stays relative (RFC 3986; SARIF, section 3.4.3)."""
    pure = PurePath(path)
    if pure.is_absolute():
        return {"uri": pure.as_uri()}
    return {"uri": PurePosixPath("/", pure.as_posix()).as_uri().removeprefix("file:///")}
