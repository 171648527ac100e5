"""In which formats `check` and `audit` report, and where each is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import painter, print_result, shown, terminal_width
from imagekit.cli.options import write_result
from imagekit.report.layout import Json, plain

if TYPE_CHECKING:
    from imagekit.report.check import Detail, Entry


class Format(StrEnum):
    """The formats of a report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"
    HTML = "html"


FormatOption = typer.Option(
    "--format",
    envvar="IMAGEKIT_FORMAT",
    metavar="FORMAT",
    help="What to print: text, json, sarif, junit, github or html.",
)
OutputOption = typer.Option(
    "--output",
    "-o",
    envvar="IMAGEKIT_OUTPUT",
    metavar="FORMAT=FILE",
    help="Also write a report to a file, such as sarif=imagekit.sarif. Repeat it for several reports.",
    show_default=False,
)
QuietOption = typer.Option("--quiet", "-q", envvar="IMAGEKIT_QUIET", help="Print only the findings that fail.")
VerboseOption = typer.Option("--verbose", "-v", envvar="IMAGEKIT_VERBOSE", help="List notes and accepted files too.")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The results of one run, for every format."""

    name: str
    """`imagekit check` or `imagekit audit`."""
    entries: "Sequence[Entry]"
    document: Callable[[], Json]
    totals: "Callable[[Detail], str]"
    """Return the last line of the text, which counts what was not listed."""
    detail: "Detail"
    duration_s: float

    def rendered(self, format_: Format, *, is_terminal: bool) -> str:
        """Return the report in a format; text is wrapped and coloured for the terminal."""
        if format_ is Format.JSON:
            return _json(self.document())
        if format_ is Format.SARIF:
            from imagekit.report.sarif import sarif

            return _json(sarif(self.name, self.entries))
        if format_ is Format.JUNIT:
            from imagekit.report.junit import junit

            return junit(self.name, self.entries, self.duration_s)
        if format_ is Format.GITHUB:
            from imagekit.report.github import annotations

            return annotations(self.name, self.entries)
        if format_ is Format.HTML:
            from imagekit.report.check import Detail
            from imagekit.report.html import html

            return html(self.name, self.entries, self.totals(Detail.ALL))
        return self._text(is_terminal=is_terminal)

    def _text(self, *, is_terminal: bool) -> str:
        from imagekit.report.check import Detail, listing

        width = terminal_width() if is_terminal else None
        paint = painter() if is_terminal else plain
        lines = listing(self.entries, detail=self.detail, width=width, paint=paint, name=shown)
        if self.detail is not Detail.QUIET:
            lines.append(self.totals(self.detail))
        return "\n".join(lines)


def _json(document: Json) -> str:
    from json import dumps

    return dumps(document, indent=1)


def format_of(format_: Format, *, as_json: bool) -> Format:
    """Return the format: `--json` is another way to write `--format json`; exits when both contradict each other."""
    if not as_json:
        return format_
    if format_ not in (Format.TEXT, Format.JSON):
        raise typer.BadParameter(f"--json and --format {format_} contradict each other", param_hint="--json")
    return Format.JSON


def outputs_of(texts: Sequence[str]) -> list[tuple[Format, str]]:
    """Return the formats and files of `--output`; exits with wrong usage for anything else."""
    outputs = []
    for text in texts:
        name, _, path = text.partition("=")
        if name not in list(Format) or not path:
            names = ", ".join(Format)
            raise typer.BadParameter(f"{text!r}: write FORMAT=FILE with one of {names}", param_hint="--output")
        outputs.append((Format(name), path))
    return outputs


def detail_of(*, quiet: bool, verbose: bool, notes: bool) -> "Detail":
    """Return how much the text lists; exits when `-q` contradicts another option."""
    from imagekit.report.check import Detail

    if quiet and (verbose or notes):
        raise typer.BadParameter("--quiet contradicts --verbose and --notes", param_hint="--quiet")
    if quiet:
        return Detail.QUIET
    if verbose:
        return Detail.ALL
    if notes:
        return Detail.NOTES
    return Detail.FINDINGS


def publish(report: Report, format_: Format, outputs: Sequence[tuple[Format, str]]) -> None:
    """Print a report in one format and write it to files in others."""
    for file_format, path in outputs:
        write_result(path, (report.rendered(file_format, is_terminal=False) + "\n").encode())
    text = report.rendered(format_, is_terminal=True)
    if text:
        print_result(text)
