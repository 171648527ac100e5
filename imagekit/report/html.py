"""One self-contained HTML page for the people who decide about a release: what fails, what is waived and why."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath

from imagekit import __version__
from imagekit.report.check import Entry, Located
from imagekit.rules import RULES
from imagekit.rules.check import FileVerdict
from imagekit.text import printable

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1a1a1a}"
    "table{border-collapse:collapse;width:100%;margin:1em 0}"
    "th,td{border:1px solid #ccc;padding:.35em .6em;text-align:left;vertical-align:top}"
    "th{background:#f2f2f2}code{overflow-wrap:anywhere}td:has(code){min-width:17em}div{overflow-x:auto}"
    ".error{color:#a40000;font-weight:600}.warning{color:#8a5a00;font-weight:600}.note,.waived{color:#555}"
)


def html(name: str, entries: Sequence[Entry], totals: str) -> str:
    """Return the page of one run. It loads nothing and runs no script."""
    findings = [finding for entry in entries for finding in entry.findings]
    counting = [finding for finding in findings if finding.waived is None]
    waived = [finding for finding in findings if finding.waived is not None]
    refused = [entry for entry in entries if entry.verdict is not FileVerdict.ACCEPTED]
    verdict = "All files are accepted."
    if refused:
        verb = "is" if len(refused) == 1 else "are"
        verdict = f"{len(refused)} of {len(entries)} files {verb} refused."
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta name="viewport" content="width=device-width"><title>{escape(name)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(name)}</h1>",
            f"<p><strong>{escape(verdict)}</strong> {escape(totals)}.</p>",
            *_table("Findings", ("Severity", "Rule", "Place", "Finding"), map(_finding_cells, _by_severity(counting))),
            *_table("Waived findings", ("Rule", "Place", "Finding", "Reason"), map(_waived_cells, waived)),
            *_table("Files", ("File", "Verdict"), map(_file_cells, entries)),
            f"<p class=note>imagekit {escape(__version__)}</p></body></html>",
        ]
    )


def _by_severity(findings: Iterable[Located]) -> list[Located]:
    return sorted(findings, key=lambda finding: finding.severity.rank)


def _table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A heading and a table; nothing when it has no rows. The cells are HTML."""
    body = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not body:
        return []
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return [f"<h2>{escape(heading)}</h2>", f"<div><table><tr>{head}</tr>", *body, "</table></div>"]


def _finding_cells(finding: Located) -> tuple[str, ...]:
    severity = finding.severity.value
    return f'<span class="{severity}">{severity}</span>', _rule(finding), _place(finding), _text(finding.message)


def _waived_cells(finding: Located) -> tuple[str, ...]:
    return _rule(finding), _place(finding), _text(finding.message), _text(finding.waived or "")


def _file_cells(entry: Entry) -> tuple[str, ...]:
    role = "note" if entry.verdict is FileVerdict.ACCEPTED else "error"
    return _path(entry.path), f'<span class="{role}">{entry.verdict.value}</span>'


def _rule(finding: Located) -> str:
    return f'<abbr title="{escape(RULES[finding.rule].title)}">{finding.rule}</abbr>'


def _place(finding: Located) -> str:
    if finding.line:
        return f"{_path(PurePath(finding.path).as_posix())}, line {finding.line}"
    return _path(finding.path)


def _path(path: str) -> str:
    """A path that wraps at its slashes rather than anywhere."""
    return f"<code>{_text(path).replace('/', '/<wbr>')}</code>"


def _text(text: str) -> str:
    return escape(printable(text))
