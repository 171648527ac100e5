"""The commands about many files: check, audit, rules."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import VALIDATE, app
from imagekit.cli.console import complain, painter, print_json, print_result, shown, terminal_width, trace
from imagekit.cli.options import (
    App,
    AsJson,
    Fus,
    KnownContents,
    Parts,
    chips_of,
    expanded,
    known_contents,
    progress,
    require,
)
from imagekit.errors import ExitCode, ImagekitError
from imagekit.files import files_in, folder_of, name_of, read_image, read_text
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.releases.audit import AuditedRelease
    from imagekit.report.check import Entry
    from imagekit.rules.registry import Chip


class Format(StrEnum):
    """What `check` and `audit` print."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


_Format = typer.Option(
    "--format", envvar="IMAGEKIT_FORMAT", metavar="FORMAT", help="One of: text, json, sarif, junit, github."
)
_Notes = typer.Option("--notes", envvar="IMAGEKIT_NOTES", help="List notes too, in the text format.")


@app.command(rich_help_panel=VALIDATE)
def check(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, or folders with *.bin and *.hex at any depth.")
    ],
    parts: Annotated[list[str] | None, Parts] = None,
    fus: Annotated[str | None, Fus] = None,
    needs_customer_signature: Annotated[
        bool,
        typer.Option(
            "--needs-customer-signature",
            envvar="IMAGEKIT_NEEDS_CUSTOMER_SIGNATURE",
            help="The chips hold a customer key: refuse images without a customer signature.",
        ),
    ] = False,
    app_file: Annotated[str | None, App] = None,
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    json: Annotated[bool, AsJson] = False,
    notes: Annotated[bool, _Notes] = False,
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """Refuse images that must not ship.

    Applies every rule to files and folders. Exits with 3 when an image is refused, with 4 when a file is not an image.

    Example: imagekit check release/ --part STM32WB55RG --fus 2.1.0

    Example: imagekit check release/ --part NUCLEO-WB55RG --part STM32WB55CC
    """
    from imagekit.report import check as report
    from imagekit.rules.check import FileVerdict, check_files

    format = _format_of(format, as_json=json)  # noqa: A001 - as above
    chips = chips_of(parts or [], fus, needs_customer_signature=needs_customer_signature, app=app_file)
    files, is_empty = expanded(paths, (".bin", ".hex"), "*.bin or *.hex")
    with progress(len(files), "checking") as done:
        checked = check_files(files, read_image, chips, done, catalogue=known_contents(known))
    if format is Format.JSON:
        print_json(report.document(checked))
    else:
        entries = report.of_check(checked)
        _print_entries("imagekit check", entries, format, report.totals(entries, with_notes=notes), with_notes=notes)
    verdicts = {file.verdict for file in checked}
    if FileVerdict.UNREADABLE in verdicts or is_empty:
        raise typer.Exit(ExitCode.UNREADABLE)
    if FileVerdict.REFUSED in verdicts:
        raise typer.Exit(ExitCode.REFUSED)


@app.command(rich_help_panel=VALIDATE)
def audit(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Folders with *.bin beside Release_Notes.html, at any depth."),
    ],
    parts: Annotated[list[str] | None, Parts] = None,
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    json: Annotated[bool, AsJson] = False,
    notes: Annotated[bool, _Notes] = False,
) -> None:
    """Compare images with ST's release notes.

    Finds wrong addresses, versions and marks, and missing rows and files. With --part, the images are also checked for
    that part. Exits with 3 when a finding is an error.

    Example: imagekit audit STM32WB_Copro_Wireless_Binaries
    """
    from imagekit.report import audit as report
    from imagekit.rules.registry import Severity

    format = _format_of(format, as_json=json)  # noqa: A001 - as above
    chips = chips_of(parts or [])
    require("lxml", "audit")
    pages, is_empty = expanded(folders, (os.sep + report.NOTES.lower(),), report.NOTES)
    _complain_of_folders_without_notes(folders, pages)
    releases, has_failed = _audit_all(pages, chips)
    if pages and not releases and not has_failed:
        complain(f"{shown(folders[0])}: there is no image beside any Release_Notes.html")
    if format is Format.JSON:
        print_json(report.document(releases))
    else:
        entries, last_line = report.of_audit(releases), report.totals(releases, with_notes=notes)
        _print_entries("imagekit audit", entries, format, last_line, with_notes=notes)
    if has_failed or is_empty or not releases:
        raise typer.Exit(ExitCode.UNREADABLE)
    if any(finding.severity is Severity.ERROR for release in releases for finding in release.findings):
        raise typer.Exit(ExitCode.REFUSED)


def _format_of(format_: Format, *, as_json: bool) -> Format:
    """Return the format: `--json` is another way to write `--format json`; exits when both contradict each other."""
    if not as_json:
        return format_
    if format_ not in (Format.TEXT, Format.JSON):
        raise typer.BadParameter(f"--json and --format {format_} contradict each other", param_hint="--json")
    return Format.JSON


def _complain_of_folders_without_notes(folders: Sequence[str], pages: Sequence[str]) -> None:
    """Name the folders that hold images named as ST names them, but no release notes: they are not audited."""
    from imagekit.catalogue import StName

    with_notes = {folder_of(page) for page in pages}
    images = [path for folder in folders for path in files_in(folder, (".bin",))]
    with_images = {folder_of(path) for path in images if StName.parse(name_of(path))}
    for folder in sorted(with_images - with_notes):
        complain(f"{shown(folder)}: not audited: there is no Release_Notes.html beside these images")


def _audit_all(pages: Sequence[str], chips: "Sequence[Chip]") -> "tuple[list[AuditedRelease], bool]":
    """Audit the folder of each page; return the results, and whether a page could not be read."""
    releases: list[AuditedRelease] = []
    has_failed = False
    with progress(len(pages), "auditing") as done:
        for page in pages:
            try:
                release = _audit_one(page, chips)
            except (ImagekitError, OSError) as error:
                trace(error)
                complain(f"{shown(page)}: {why(error)}")
                has_failed = True
            else:
                releases += [release] if release is not None else []
            done(1)
    return releases, has_failed


def _audit_one(page: str, chips: "Sequence[Chip]") -> "AuditedRelease | None":
    """Audit the folder of a page of release notes; None when it holds no image, as for notes about other software."""
    from imagekit.releases.audit import audit as audit_release
    from imagekit.rules.check import check_files

    folder = folder_of(page)
    place = folder or "."
    notes = read_text(page)
    files = [path for path in files_in(place, (".bin",)) if folder_of(path) == place]
    if not files:
        return None
    return audit_release(folder, notes, check_files(files, read_image, chips))


@app.command(name="rules", rich_help_panel=VALIDATE)
def rules_(json: Annotated[bool, AsJson] = False) -> None:
    """List every rule.

    Prints the id and severity of each rule, and what is true when it finds nothing. To see what a finding means and
    what to do about it: imagekit explain WB201.

    Example: imagekit rules
    """
    from imagekit.report import rules as report
    from imagekit.rules import RULES

    if json:
        print_json(report.document(RULES.values()))
    else:
        print_result(report.text(RULES.values()))


def _print_entries(name: str, entries: "list[Entry]", format_: Format, last_line: str, *, with_notes: bool) -> None:
    """Print entries in any format but JSON; `last_line` ends the text for people."""
    if format_ is Format.SARIF:
        from imagekit.report.sarif import sarif

        print_json(sarif(entries))
    elif format_ is Format.JUNIT:
        from imagekit.report.junit import junit

        print_result(junit(name, entries))
    elif format_ is Format.GITHUB:
        from imagekit.report.github import annotations

        if text := annotations(entries):
            print_result(text)
    else:
        from imagekit.report.check import listing

        lines = listing(entries, with_notes=with_notes, width=terminal_width(), paint=painter(), name=shown)
        print_result("\n".join([*lines, last_line]))
