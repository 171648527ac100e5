"""The commands about many files: check, audit, rules."""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import VALIDATE, app
from imagekit.cli.console import complain, print_json, print_result, shown, trace
from imagekit.cli.gate import BaselineOption, FailOn, FailOnOption, Gate, KnownFaultsOption, WaiversOption, gate_of
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
)
from imagekit.cli.outputs import (
    Format,
    FormatOption,
    OutputOption,
    QuietOption,
    Report,
    VerboseOption,
    detail_of,
    format_of,
    outputs_of,
    publish,
)
from imagekit.errors import ExitCode, ImagekitError
from imagekit.files import files_in, folder_of, name_of, read_image, read_text
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.releases.audit import AuditedRelease
    from imagekit.report.check import Entry
    from imagekit.rules.registry import Chip

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
    format: Annotated[Format, FormatOption] = Format.TEXT,  # noqa: A002 - the option's name
    json: Annotated[bool, AsJson] = False,
    outputs: Annotated[list[str] | None, OutputOption] = None,
    notes: Annotated[bool, _Notes] = False,
    quiet: Annotated[bool, QuietOption] = False,
    verbose: Annotated[bool, VerboseOption] = False,
    waivers: Annotated[str | None, WaiversOption] = None,
    known_faults: Annotated[bool, KnownFaultsOption] = False,
    baseline: Annotated[str | None, BaselineOption] = None,
    fail_on: Annotated[FailOn | None, FailOnOption] = None,
    skip_applications: Annotated[
        bool,
        typer.Option(
            "--skip-applications",
            envvar="IMAGEKIT_SKIP_APPLICATIONS",
            help="Leave out unencrypted programs, unless they are named as ST names its images.",
        ),
    ] = False,
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """Refuse images that must not ship.

    Applies every rule to files and folders. Exits with 3 when an image is refused, with 4 when a file is not an image.

    Example: imagekit check release/ --part STM32WB55RG --fus 2.1.0

    Example: imagekit check release/ --part NUCLEO-WB55RG --part STM32WB55CC
    """
    from imagekit.report import check as report
    from imagekit.rules.check import FileVerdict, accept_findings, check_files, without_applications

    started = time.monotonic()
    files_to_write, detail = outputs_of(outputs or []), detail_of(quiet=quiet, verbose=verbose, notes=notes)
    format = format_of(format, as_json=json)  # noqa: A001 - as above
    gate = gate_of(paths, waivers=waivers, known_faults=known_faults, baseline=baseline, fail_on=fail_on)
    chips = chips_of(parts or [], fus, needs_customer_signature=needs_customer_signature, app=app_file)
    files, is_empty = expanded(paths, (".bin", ".hex"), "*.bin or *.hex")
    with progress(len(files), "checking") as done:
        checked = check_files(files, read_image, chips, done, catalogue=known_contents(known))
    if skip_applications:
        checked = without_applications(checked)
    checked = accept_findings(checked, gate.accept)
    entries = gate.judged(report.of_check(checked))
    result = Report(
        name="imagekit check",
        entries=entries,
        document=lambda: report.document(checked),
        totals=lambda detail: report.totals(entries, detail=detail),
        detail=detail,
        duration_s=time.monotonic() - started,
    )
    publish(result, format, files_to_write)
    is_unreadable = any(file.verdict is FileVerdict.UNREADABLE for file in checked)
    _leave(gate, entries, is_incomplete=is_empty or (is_unreadable and gate.fail_on is not FailOn.NEVER))


def _leave(gate: Gate, entries: "Sequence[Entry]", *, is_incomplete: bool) -> None:
    """Exit with the code of a run; `is_incomplete`: something could not be read."""
    gate.warn_about_waivers()
    if is_incomplete:
        raise typer.Exit(ExitCode.UNREADABLE)
    if gate.has_failed(entries):
        raise typer.Exit(ExitCode.REFUSED)


@app.command(rich_help_panel=VALIDATE)
def audit(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Folders with *.bin beside Release_Notes.html, at any depth."),
    ],
    parts: Annotated[list[str] | None, Parts] = None,
    format: Annotated[Format, FormatOption] = Format.TEXT,  # noqa: A002 - the option's name
    json: Annotated[bool, AsJson] = False,
    outputs: Annotated[list[str] | None, OutputOption] = None,
    notes: Annotated[bool, _Notes] = False,
    quiet: Annotated[bool, QuietOption] = False,
    verbose: Annotated[bool, VerboseOption] = False,
    waivers: Annotated[str | None, WaiversOption] = None,
    known_faults: Annotated[bool, KnownFaultsOption] = False,
    baseline: Annotated[str | None, BaselineOption] = None,
    fail_on: Annotated[FailOn | None, FailOnOption] = None,
) -> None:
    """Compare images with ST's release notes.

    Finds wrong addresses, versions and marks, and missing rows and files. With --part, the images are also checked for
    that part. Exits with 3 when a finding is an error.

    Example: imagekit audit STM32WB_Copro_Wireless_Binaries

    Example: imagekit audit STM32WB_Copro_Wireless_Binaries --known-st-faults
    """
    from imagekit.releases.audit import accept_findings
    from imagekit.report import audit as report

    started = time.monotonic()
    files_to_write, detail = outputs_of(outputs or []), detail_of(quiet=quiet, verbose=verbose, notes=notes)
    format = format_of(format, as_json=json)  # noqa: A001 - as above
    gate = gate_of(folders, waivers=waivers, known_faults=known_faults, baseline=baseline, fail_on=fail_on)
    chips = chips_of(parts or [])
    pages, is_empty = expanded(folders, (os.sep + report.NOTES.lower(),), report.NOTES)
    unaudited = _folders_without_notes(folders, pages)
    found, is_broken = _audit_all(pages, chips)
    if pages and not found and not is_broken:
        complain(f"{shown(folders[0])}: no image is beside any Release_Notes.html")
    releases = [accept_findings(release, gate.accept) for release in found]
    entries = gate.judged(report.of_audit(releases))
    result = Report(
        name="imagekit audit",
        entries=entries,
        document=lambda: report.document(releases),
        totals=lambda detail: report.totals(releases, entries, detail=detail),
        detail=detail,
        duration_s=time.monotonic() - started,
    )
    publish(result, format, files_to_write)
    _leave(gate, entries, is_incomplete=is_broken or is_empty or not releases or (gate.is_strict and unaudited))


def _folders_without_notes(folders: Sequence[str], pages: Sequence[str]) -> bool:
    """Name the folders that are not audited; return whether there are any.

    They hold images named as ST names them, but no release notes.
    """
    from imagekit.catalogue import StName

    with_notes = {folder_of(page) for page in pages}
    images = [path for folder in folders for path in files_in(folder, (".bin",))]
    with_images = {folder_of(path) for path in images if StName.parse(name_of(path))}
    unaudited = sorted(with_images - with_notes)
    for folder in unaudited:
        complain(f"{shown(folder)}: not audited: there is no Release_Notes.html beside these images")
    return bool(unaudited)


def _audit_all(pages: Sequence[str], chips: "Sequence[Chip]") -> "tuple[list[AuditedRelease], bool]":
    """Audit the folder of each page; return the results, and whether a page could not be read."""
    from imagekit.releases.audit import audit_folders

    # Other software has release notes too: a page without an image beside it is left out.
    images = {page: paths for page, paths in ((page, _images_beside(page)) for page in pages) if paths}
    with progress(sum(len(paths) for paths in images.values()), "auditing") as done:
        results = audit_folders(images, read_text, read_image, chips, done)
    releases: list[AuditedRelease] = []
    is_broken = False
    for page, result in results:
        if isinstance(result, ImagekitError | OSError):
            trace(result)
            complain(f"{shown(page)}: {why(result)}")
            is_broken = True
        else:
            releases.append(result)
    return releases, is_broken


def _images_beside(page: str) -> list[str]:
    place = folder_of(page) or "."
    return [path for path in files_in(place, (".bin",)) if folder_of(path) == place]


@app.command(name="rules", rich_help_panel=VALIDATE)
def rules_(json: Annotated[bool, AsJson] = False) -> None:
    """List every rule.

    Prints id, severity and title of each rule. To see what a finding means and what to do about it: imagekit explain
    WB201.

    Example: imagekit rules
    """
    from imagekit.report import rules as report
    from imagekit.rules import RULES

    if json:
        print_json(report.document(RULES.values()))
    else:
        print_result(report.text(RULES.values()))
