"""The commands about many files: check, audit, rules."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.console import complain, painter, print_json, print_result, shown, terminal_width, trace
from imagekit.cli.options import App, Fus, KnownContents, Part, chip_of, expanded, known_contents, progress, require
from imagekit.errors import ExitCode, ImagekitError
from imagekit.files import files_in, read_image, read_text
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.releases.audit import AuditedRelease
    from imagekit.report.check import Entry


class Format(StrEnum):
    """What `check` and `audit` print."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


_Format = typer.Option("--format", envvar="IMAGEKIT_FORMAT", help="What to print.")
_Notes = typer.Option("--notes", envvar="IMAGEKIT_NOTES", help="List notes too, in the text format.")


@app.command()
def check(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, or folders with *.bin and *.hex at any depth.")
    ],
    part: Annotated[str | None, Part] = None,
    fus: Annotated[str | None, Fus] = None,
    needs_customer_signature: Annotated[
        bool,
        typer.Option(
            "--needs-customer-signature",
            envvar="IMAGEKIT_NEEDS_CUSTOMER_SIGNATURE",
            help="The chips hold a customer's key: refuse images without a customer's signature.",
        ),
    ] = False,
    app_file: Annotated[str | None, App] = None,
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    notes: Annotated[bool, _Notes] = False,
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """Refuse images that may not ship, and say why.

    Every rule, over files and folders. Exits with 3 when an image is refused, with 4 when a file is no image.

    Example: imagekit check release/ --part STM32WB55RG --fus 2.1.0
    """
    from imagekit.report import entries
    from imagekit.rules.check import FileVerdict, check_files

    chip = chip_of(part, fus, needs_customer_signature=needs_customer_signature, app=app_file)
    files, is_empty = expanded(paths, (".bin", ".hex"), "*.bin or *.hex")
    with progress(len(files), "checking") as done:
        checked = check_files(files, read_image, chip, done, catalogue=known_contents(known))
    if format is Format.JSON:
        from imagekit.report.check_document import check_document

        print_json(check_document(checked))
    else:
        from imagekit.report.listing import totals

        found = entries.of_check(checked)
        _print_entries("imagekit check", found, format, totals(found, with_notes=notes), with_notes=notes)
    verdicts = {file.verdict for file in checked}
    if FileVerdict.UNREADABLE in verdicts or is_empty:
        raise typer.Exit(ExitCode.UNREADABLE)
    raise typer.Exit(ExitCode.REFUSED if FileVerdict.REFUSED in verdicts else ExitCode.DONE)


@app.command()
def audit(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Folders with *.bin beside Release_Notes.html, or folders of such."),
    ],
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    notes: Annotated[bool, _Notes] = False,
) -> None:
    """Compare images with ST's release notes.

    Those beside them: wrong addresses, versions and marks, missing rows and files. Exits with 3 when something of
    severity error was found.

    Example: imagekit audit STM32WB_Copro_Wireless_Binaries
    """
    from imagekit.report import entries
    from imagekit.rules.registry import Severity

    require("lxml", "audit")
    pages, is_empty = expanded(folders, (os.sep + entries.NOTES.lower(),), entries.NOTES)
    _complain_of_folders_without_notes(folders, pages)
    releases, broken = _audit_all(pages)
    if pages and not releases and not broken:
        complain(f"{shown(folders[0])}: no image beside any Release_Notes.html")
    if format is Format.JSON:
        from imagekit.report.check_document import audit_document

        print_json(audit_document(releases))
    else:
        from imagekit.report.listing import audit_totals

        found, last_line = entries.of_audit(releases), audit_totals(releases, with_notes=notes)
        _print_entries("imagekit audit", found, format, last_line, with_notes=notes)
    severities = {finding.severity for release in releases for finding in release.findings}
    if broken or is_empty or not releases:
        raise typer.Exit(ExitCode.UNREADABLE)
    raise typer.Exit(ExitCode.REFUSED if Severity.ERROR in severities else ExitCode.DONE)


def _complain_of_folders_without_notes(folders: Sequence[str], pages: Sequence[str]) -> None:
    """Say which folders hold images of ST's, by their names, and no release notes: nothing is compared there."""
    from imagekit.catalogue import StName

    with_notes = {os.path.dirname(page) for page in pages}  # noqa: PTH120 - the path as the user typed it
    images = [path for folder in folders for path in files_in(folder, (".bin",))]
    places = {os.path.dirname(path) for path in images if StName.parse(os.path.basename(path))}  # noqa: PTH119, PTH120
    for place in sorted(places - with_notes):
        complain(f"{shown(place)}: no Release_Notes.html beside these images: not audited")


def _audit_all(pages: Sequence[str]) -> "tuple[list[AuditedRelease], bool]":
    """Audit the folder of each page; return what came of it, and whether a page could not be read."""
    releases, broken = [], False
    with progress(len(pages), "auditing") as done:
        for page in pages:
            try:
                if (release := _audit_one(page)) is not None:
                    releases.append(release)
            except (ImagekitError, OSError) as error:
                trace(error)
                complain(f"{shown(page)}: {why(error)}")
                broken = True
            done(1)
    return releases, broken


def _audit_one(page: str) -> "AuditedRelease | None":
    """Audit the folder of a page of release notes; None when no image is beside it, as with other software's notes."""
    from imagekit.releases.audit import audit as audit_release
    from imagekit.rules.check import check_files
    from imagekit.rules.registry import Chip

    folder = os.path.dirname(page)  # noqa: PTH120 - the path as the user typed it
    notes = read_text(page)
    files = [path for path in files_in(folder or ".", (".bin",)) if os.path.dirname(path) == (folder or ".")]  # noqa: PTH120
    return audit_release(folder, notes, check_files(files, read_image, Chip())) if files else None


@app.command(name="rules")
def rules_() -> None:
    """List every rule.

    Id, severity, and what holds when there is nothing to find. What a finding means: imagekit explain WB201.

    Example: imagekit rules
    """
    from imagekit.rules import RULES

    print_result("\n".join(f"{id_}  {rule.severity.value:<8} {rule.title}" for id_, rule in sorted(RULES.items())))


def _print_entries(name: str, found: "list[Entry]", format_: Format, last_line: str, *, with_notes: bool) -> None:
    """Print entries in any format but JSON; `last_line` ends the text for people."""
    if format_ is Format.SARIF:
        from imagekit.report.sarif import sarif

        print_json(sarif(found))
    elif format_ is Format.JUNIT:
        from imagekit.report.junit import junit

        print_result(junit(name, found))
    elif format_ is Format.GITHUB:
        from imagekit.report.github import annotations

        if text := annotations(found):
            print_result(text)
    else:
        from imagekit.report.listing import listing

        lines = listing(found, with_notes=with_notes, width=terminal_width(), paint=painter(), name=shown)
        print_result("\n".join([*lines, last_line]))
