"""The JSON documents of `check` and `audit`: members and spelling are a contract (docs/json.md)."""

from collections.abc import Sequence

from imagekit.releases.audit import AuditedRelease
from imagekit.report.document import Json, finding_entry
from imagekit.rules.check import CheckedFile, FileVerdict

CHECK_SCHEMA = "imagekit.check/1"
AUDIT_SCHEMA = "imagekit.audit/1"


def check_document(files: Sequence[CheckedFile]) -> Json:
    """Return what `check --format json` prints."""
    verdicts = [file.verdict for file in files]
    return {
        "schema": CHECK_SCHEMA,
        "files": [
            {
                "path": file.path,
                "verdict": file.verdict.value,
                "findings": [finding_entry(finding) for finding in file.findings],
            }
            for file in files
        ],
        "summary": {verdict.value: verdicts.count(verdict) for verdict in FileVerdict},
    }


def audit_document(releases: Sequence[AuditedRelease]) -> Json:
    """Return what `audit --format json` prints."""
    return {
        "schema": AUDIT_SCHEMA,
        "releases": [
            {
                "path": release.path,
                "addresses": {"equal": release.equal, "lower": release.lower, "too_high": release.too_high},
                "findings": [
                    {
                        "rule": finding.rule,
                        "severity": finding.severity.value,
                        "file": finding.file,
                        "target": finding.target,
                        "published": finding.published,
                        "computed": finding.computed,
                        "line": finding.line,
                        "message": finding.message,
                    }
                    for finding in release.findings
                ],
            }
            for release in releases
        ],
    }
