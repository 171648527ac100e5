"""The commands: what they take, what they call, how they end (docs/exit-codes.md).

Modules that cost start-up time are imported by the command that needs them.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit import __version__
from imagekit.console import (
    ExitCode,
    about,
    complain,
    files_in,
    painter,
    print_json,
    print_result,
    read_image,
    read_text,
    set_debug,
    shown,
    size_of,
    terminal_width,
    trace,
    write_file,
)
from imagekit.errors import ImagekitError, ParseError, TargetError, VersionError, why

if TYPE_CHECKING:
    from imagekit.audit import AuditedRelease
    from imagekit.catalogue import Catalogue
    from imagekit.image import Version
    from imagekit.release_notes import Row
    from imagekit.report.document import Json
    from imagekit.report.entries import Entry
    from imagekit.rules import Chip
    from imagekit.targets import Target


app = typer.Typer(
    name="imagekit",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: narrow terminals and pipes can read it, and it starts faster
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_result(f"imagekit {__version__}")
        raise typer.Exit


@app.callback()
def _imagekit(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - the callback acts on it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="IMAGEKIT_DEBUG", help="Show a traceback with every error.")
    ] = False,
) -> None:
    """Inspect, verify and place ST's STM32WB wireless coprocessor images, offline.

    Exit codes: 0 done; 2 wrong usage; 3 looked, and refuses; 4 not readable or not an image.
    """
    set_debug(debug)
    if context.invoked_subcommand is None:
        print_result(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


_Part = typer.Option(
    "--part",
    "-p",
    envvar="IMAGEKIT_PART",
    metavar="PART",
    help="The number printed on the chip, such as STM32WB55RG.",
    show_default=False,
)
_Fus = typer.Option(
    "--fus",
    envvar="IMAGEKIT_FUS",
    metavar="VERSION",
    help="The FUS on the chip, such as 1.2.0.",
    show_default=False,
)
_Catalogue = typer.Option(
    "--catalogue",
    envvar="IMAGEKIT_CATALOGUE",
    metavar="FILE",
    help="A catalogue that you built, in place of the shipped one.",
    show_default=False,
)


@app.command()
def inspect(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Images; - is standard input.")],
    part: Annotated[str | None, _Part] = None,
    json: Annotated[bool, typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")] = False,
    known: Annotated[str | None, _Catalogue] = None,
) -> None:
    """Say what each file is: kind, version, what it needs, who signed it, where it goes, what is wrong.

    Exits with 0 whenever every file is an image, whatever was found; with 4 otherwise.

    Example: imagekit inspect stm32wb5x_BLE_Stack_full_fw.bin --part STM32WB55RG
    """
    chip = _chip(part)
    if files.count("-") > 1:
        raise typer.BadParameter("standard input can be read once only", param_hint="FILE")
    # One after the other: threads would wait for each other here, and the work is too short for processes.
    contents = _known_contents(known)
    reports = [_inspect_one(path, chip, contents, as_json=json) for path in files]
    if json:
        from imagekit.report.document import INSPECT_SCHEMA

        print_json({"schema": INSPECT_SCHEMA, "images": [report.entry for report in reports]})
    elif texts := [report.text for report in reports if report.text]:
        print_result("\n\n".join(texts))
    for report in reports:
        if report.error:
            complain(report.error)
    raise typer.Exit(ExitCode.UNREADABLE if any(report.error for report in reports) else ExitCode.DONE)


@app.command()
def address(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image; - is standard input.")],
    part: Annotated[str, _Part],
    fus: Annotated[str | None, _Fus] = None,
    sfsa: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_SFSA",
            metavar="SECTORS",
            help="SFSA from the chip's option bytes, such as 0xF4.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compute the install address of an image, and show how.

    The first line of the output is the address alone. Exits with 3 when there is none, or when FUS would refuse the
    image. That ST's signature is not verified is told and does not stop it: the key of some FUS images is not known.

    Example: imagekit address stm32wb5x_BLE_Stack_full_fw.bin --part STM32WB55RG --fus 2.1.0
    """
    from imagekit.assessment import assess
    from imagekit.image import Image
    from imagekit.placement import differences_from_st, place
    from imagekit.report.text import working
    from imagekit.rules import ADDRESS_STANDS, Severity, findings

    chip, sectors = _chip(part, fus), _number("--sfsa", sfsa)
    assert chip.target is not None  # noqa: S101 - --part is required
    with about(file):
        image = Image.parse(read_image(file))
        assessment = assess(image)
        found = findings(assessment, chip)
        for finding in found:
            if finding.severity is not Severity.NOTE:
                complain(f"{shown(file)}: {finding.rule} {finding.message}")
        if any(finding.severity is Severity.ERROR and finding.rule not in ADDRESS_STANDS for finding in found):
            raise typer.Exit(ExitCode.REFUSED)
        placement = place(image, chip.target, fus=chip.fus, sfsa=sectors, variants=assessment.variants)
    if placement.after_delete is not None:
        complain(
            f"{shown(file)}: SFSA says that a stack is installed: delete it first; without it the address is "
            f"0x{placement.after_delete:08X}"
        )
    notes = differences_from_st(image, placement)
    print_result(
        working(image, placement, shown(part.strip()), shown(file), notes, width=terminal_width(), paint=painter())
    )


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
    part: Annotated[str | None, _Part] = None,
    fus: Annotated[str | None, _Fus] = None,
    needs_customer_signature: Annotated[
        bool,
        typer.Option(
            "--needs-customer-signature",
            envvar="IMAGEKIT_NEEDS_CUSTOMER_SIGNATURE",
            help="The chips hold a customer's key: refuse images without a customer's signature.",
        ),
    ] = False,
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    notes: Annotated[bool, _Notes] = False,
    known: Annotated[str | None, _Catalogue] = None,
) -> None:
    """Say which images may ship, and why the others may not: every rule, over files and folders.

    Exits with 3 when an image is refused, with 4 when a file is no image.

    Example: imagekit check release/ --part STM32WB55RG --fus 2.1.0 --format sarif > imagekit.sarif
    """
    from imagekit.check import Verdict, check_files
    from imagekit.report import entries

    chip = _chip(part, fus, needs_customer_signature=needs_customer_signature)
    files, is_empty = _expanded(paths, (".bin", ".hex"), "*.bin or *.hex")
    with _progress(len(files), "checking") as done:
        checked = check_files(files, read_image, chip, done, catalogue=_known_contents(known))
    if format is Format.JSON:
        from imagekit.report.check_document import check_document

        print_json(check_document(checked))
    else:
        from imagekit.report.listing import totals

        found = entries.of_check(checked)
        _print_entries("imagekit check", found, format, totals(found, with_notes=notes), with_notes=notes)
    verdicts = {file.verdict for file in checked}
    if Verdict.UNREADABLE in verdicts or is_empty:
        raise typer.Exit(ExitCode.UNREADABLE)
    raise typer.Exit(ExitCode.REFUSED if Verdict.REFUSED in verdicts else ExitCode.DONE)


@app.command()
def audit(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Folders with *.bin beside Release_Notes.html, or folders of such."),
    ],
    format: Annotated[Format, _Format] = Format.TEXT,  # noqa: A002 - the option's name
    notes: Annotated[bool, _Notes] = False,
) -> None:
    """Compare ST's images with the release notes beside them: wrong addresses, versions, marks, missing rows and files.

    Exits with 3 when something of severity error was found.

    Example: imagekit audit STM32CubeWB/Projects/STM32WB_Copro_Wireless_Binaries
    """
    from imagekit.report import entries
    from imagekit.rules import Severity

    _require_lxml()
    pages, is_empty = _expanded(folders, (os.sep + entries.NOTES.lower(),), entries.NOTES)
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
    with _progress(len(pages), "auditing") as done:
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
    from imagekit.audit import audit as audit_release
    from imagekit.check import check_files
    from imagekit.rules import Chip

    folder = os.path.dirname(page)  # noqa: PTH120 - the path as the user typed it
    notes = read_text(page)
    files = [path for path in files_in(folder or ".", (".bin",)) if os.path.dirname(path) == (folder or ".")]  # noqa: PTH120
    return audit_release(folder, notes, check_files(files, read_image, Chip())) if files else None


@app.command(name="rules")
def rules_() -> None:
    """List every rule: id, severity, and what holds when there is nothing to find.

    What a finding means and what to do: docs/rules.md.
    """
    import imagekit.audit  # noqa: F401 - it enters its rules into the table
    from imagekit.rules import RULES

    print_result("\n".join(f"{id_}  {rule.severity.value:<8} {rule.title}" for id_, rule in sorted(RULES.items())))


catalogue = typer.Typer(help="The contents that ST has published.", invoke_without_command=True, rich_markup_mode=None)
app.add_typer(catalogue, name="catalogue")


@catalogue.callback()
def _catalogue(context: typer.Context) -> None:
    """The contents that ST has published."""
    if context.invoked_subcommand is None:
        print_result(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


@catalogue.command(name="build")
def catalogue_build(
    folders: Annotated[list[str], typer.Argument(metavar="DIR", help="STM32CubeWB release folders.")],
    out: Annotated[
        str, typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="Where to write it; - prints it.")
    ],
    release: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_RELEASE",
            metavar="VERSION",
            help="The release, where no folder says it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a catalogue of known contents from ST's release folders: hashes and facts, never ST's bytes.

    Files whose names are not of ST's form are left out. A folder's release is the version at the end of its name or of
    a name above it, such as v1.23.0. Use it with --catalogue.

    Example: imagekit catalogue build v1.23.0 v1.24.0 -o catalogue.json
    """
    from imagekit.catalogue import StName, dumps
    from imagekit.catalogue_build import build, published_file
    from imagekit.report.text import counted

    _require_lxml()
    version = _version("--release", release)
    paths, is_empty = _expanded(folders, (".bin",), "*.bin")
    files = []
    for path in paths:
        with about(path):
            # A file given by its name is read whatever its name is, so that a typing error is one.
            if path in folders or StName.parse(os.path.basename(path)):  # noqa: PTH119 - as the user typed it
                files.append(published_file(os.path.realpath(path), read_image(path), _rows_beside(path), version))
    if is_empty or not files:
        complain(f"{shown(out)}: not written: no file with a name of ST's, such as stm32wb5x_FUS_fw.bin")
        raise typer.Exit(ExitCode.UNREADABLE)
    try:
        write_file(out, dumps(build(files)).encode())
    except OSError as error:
        trace(error)
        complain(f"{_output(out)}: {why(error)}")
        raise typer.Exit(ExitCode.UNREADABLE) from error
    left_out = f", {len(paths) - len(files)} left out that ST would name otherwise" if len(files) < len(paths) else ""
    complain(f"{_output(out)}: {counted(len(files), 'file')}{left_out}")


def _output(path: str) -> str:
    return "standard output" if path == "-" else shown(path)


@catalogue.command(name="show")
def catalogue_show(
    sha256: Annotated[
        str | None, typer.Argument(metavar="[SHA256]", help="The start of a content's SHA-256.", show_default=False)
    ] = None,
    series: Annotated[str | None, typer.Option(envvar="IMAGEKIT_SERIES", help="WB1x, WB3x or WB5x.")] = None,
    magic: Annotated[str | None, typer.Option(envvar="IMAGEKIT_MAGIC", help="The image footer's magic.")] = None,
    version: Annotated[str | None, typer.Option(envvar="IMAGEKIT_VERSION", help="Such as 1.13.3 or 1.13.3.2.")] = None,
    sectors: Annotated[str | None, typer.Option(envvar="IMAGEKIT_SECTORS", help="Sectors of flash.")] = None,
    sram2a: Annotated[str | None, typer.Option(envvar="IMAGEKIT_SRAM2A", help="KiB of SRAM2a.")] = None,
    sram2b: Annotated[str | None, typer.Option(envvar="IMAGEKIT_SRAM2B", help="KiB of SRAM2b.")] = None,
    known: Annotated[str | None, _Catalogue] = None,
) -> None:
    """List known contents; or those with the fields that a chip reports of its stack, and say when that is ambiguous.

    Exits with 3 when nothing matches.

    Example: imagekit catalogue show --series WB5x --version 1.13.3.2 --sectors 36 --sram2a 10 --sram2b 15
    """
    from imagekit.report.text import contents
    from imagekit.targets import Series

    by_name = {one.value.lower(): one for one in Series}
    if series is not None and series.lower() not in by_name:
        raise typer.BadParameter(f"no series {series!r}: WB1x, WB3x or WB5x", param_hint="--series")
    if sha256 is not None and not re.fullmatch("[0-9A-Fa-f]{1,64}", sha256):
        raise typer.BadParameter(f"no start of a SHA-256 {sha256!r}", param_hint="SHA256")
    _version("--version", version)
    matches = [
        content
        for content in _known_contents(known).identify(
            series=by_name[series.lower()] if series is not None else None,
            magic=_number("--magic", f"0x{magic.lower().removeprefix('0x')}" if magic is not None else None),
            version=version.lower().removeprefix("v") if version is not None else None,
            sectors=_number("--sectors", sectors),
            sram2a_kib=_number("--sram2a", sram2a),
            sram2b_kib=_number("--sram2b", sram2b),
        )
        if content.sha256.startswith((sha256 or "").lower())
    ]
    if not matches:
        complain("no known content has these fields: it may come from a newer release than the catalogue knows")
        raise typer.Exit(ExitCode.REFUSED)
    asked = any(one is not None for one in (sha256, series, magic, version, sectors, sram2a, sram2b))
    print_result(contents(matches, identifying=asked))


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What is left of one file once it was looked at."""

    entry: "Json | None" = None
    text: str = ""
    error: str = ""


def _inspect_one(path: str, chip: "Chip", known: "Catalogue", *, as_json: bool) -> _Inspection:
    """Read and describe one file."""
    from imagekit.assessment import assess
    from imagekit.image import Image
    from imagekit.report import document, text
    from imagekit.rules import findings

    data = None
    try:
        data = read_image(path)
        assessment = assess(Image.parse(data), catalogue=known)
    except (ParseError, OSError) as error:
        trace(error)
        reason = error.reason if isinstance(error, ParseError) else "unreadable"
        message = why(error)
        size, sha256 = _size_and_hash(path, data)
        return _Inspection(document.error_entry(path, size, sha256, reason, message), error=f"{shown(path)}: {message}")
    found = findings(assessment, chip)
    if as_json:
        return _Inspection(document.image_entry(path, assessment, found, chip.target))
    return _Inspection(
        text=text.inspection(shown(path), assessment, found, chip.target, width=terminal_width(), paint=painter())
    )


def _size_and_hash(path: str, data: bytes | None) -> tuple[int | None, str | None]:
    """The size and SHA-256 of a file that is no image, as far as they are known without reading on."""
    from hashlib import sha256

    from imagekit.targets import LARGEST_FLASH

    if data is None:
        return None, None
    if len(data) > LARGEST_FLASH:
        return size_of(path), None
    return len(data), sha256(data).hexdigest()


def _expanded(paths: Sequence[str], endings: tuple[str, ...], what: str) -> tuple[list[str], bool]:
    """The files themselves and those below the folders, and whether a folder held none: that is no success."""
    files: list[str] = []
    is_empty = False
    for path in paths:
        below = files_in(path, endings) if os.path.isdir(path) else [path]  # noqa: PTH112 - the path as the user typed it
        if not below:
            complain(f"{shown(path)}: no {what} in this folder")
            is_empty = True
        files += below
    return list(dict.fromkeys(files)), is_empty


@contextmanager
def _progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; call what is yielded with how many more are done."""
    if not sys.stderr.isatty() or length < _SLOW:
        yield lambda count: None  # noqa: ARG005 - nobody looks
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


_SLOW = 1000  # fewer files are done before anybody looks


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


@cache
def _rows_beside(path: str) -> "dict[str, Row]":
    """The rows of the release notes beside a file, by file name; empty where there are none."""
    from imagekit.release_notes import current, read_rows
    from imagekit.report.entries import NOTES

    try:
        return current(read_rows(read_text(os.path.join(os.path.dirname(path), NOTES))))  # noqa: PTH118, PTH120
    except FileNotFoundError:
        return {}


def _chip(part: str | None, fus: str | None = None, *, needs_customer_signature: bool = False) -> "Chip":
    """What the options say of the chip; exits with wrong usage when they say nonsense."""
    from imagekit.rules import Chip
    from imagekit.targets import select_target

    target: Target | None = None
    try:
        target = select_target(part) if part is not None else None
    except TargetError as error:
        raise typer.BadParameter(str(error), param_hint="--part") from error
    return Chip(target=target, fus=_version("--fus", fus), needs_customer_signature=needs_customer_signature)


def _version(option: str, text: str | None) -> "Version | None":
    """A version as people write it; exits with wrong usage when it is none."""
    from imagekit.image import Version

    try:
        return Version.from_text(text) if text is not None else None
    except VersionError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _known_contents(path: str | None) -> "Catalogue":
    """The catalogue in a file, or the shipped one."""
    from imagekit.catalogue import loads, shipped

    if path is None:
        return shipped()
    with about(path):
        return loads(read_text(path))
    raise AssertionError  # about() does not swallow errors


def _require_lxml() -> None:
    """Exit with wrong usage when the extra that reads release notes is not installed."""
    from importlib.util import find_spec

    if find_spec("lxml") is None:
        complain("this command needs lxml: pip install 'stm32wb-imagekit[audit]', or -e '.[audit]' in a checkout")
        raise typer.Exit(ExitCode.USAGE)


def _number(option: str, text: str | None) -> int | None:
    """A number as people write it: 244, 0xF4, 0b11, 1_000."""
    try:
        number = int(text, 0) if text is not None else None
    except ValueError:
        number = -1
    if number is not None and number < 0:
        raise typer.BadParameter(f"no number {text!r}: write it as 244 or 0xF4", param_hint=option)
    return number
