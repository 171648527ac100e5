"""The commands about what ST has published: catalogue build, catalogue update, catalogue show."""

import os
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import VALIDATE, app
from imagekit.cli.console import about, complain, painter, print_json, print_result, shown, terminal_width
from imagekit.cli.options import (
    AsJson,
    KnownContents,
    beginning_so,
    expanded,
    group,
    image_names,
    is_stream,
    known_contents,
    number_of,
    output_name,
    version_of,
    write_result,
)
from imagekit.errors import ExitCode, HostError
from imagekit.files import exists, folder_of, in_folder, is_folder, name_of, read_image, read_start, read_text
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.catalogue import Catalogue, Content
    from imagekit.releases.catalogue_build import PublishedFile
    from imagekit.releases.release_notes import Row
    from imagekit.targets import Series


catalogue = group(app, "catalogue", "The images that ST has published.", VALIDATE)
_Out = typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="The file to write; - prints it.")
_Release = typer.Option(
    envvar="IMAGEKIT_RELEASE",
    metavar="VERSION",
    help="The release, where no folder name gives it.",
    show_default=False,
)


@catalogue.command(name="build")
def catalogue_build(
    folders: Annotated[list[str], typer.Argument(metavar="DIR", help="STM32CubeWB release folders.")],
    out: Annotated[str, _Out],
    release: Annotated[str | None, _Release] = None,
) -> None:
    """Make a catalogue from ST's releases.

    Writes hashes and facts about the images in the folders, and none of their content. Files that are not named as ST
    names them are left out. The release of a folder is the version at the end of its name or of a parent's name, such
    as v1.23.0. Use the catalogue with --catalogue.

    Example: imagekit catalogue build v1.23.0 v1.24.0 -o catalogue.json
    """
    _write(out, _read_releases(folders, release, out), base=None)


@catalogue.command(name="update")
def catalogue_update(
    folders: Annotated[list[str], typer.Argument(metavar="DIR", help="STM32CubeWB release folders.")],
    out: Annotated[str, _Out],
    release: Annotated[str | None, _Release] = None,
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """Add releases to the built-in catalogue.

    For releases that are newer than this imagekit. Writes the built-in catalogue, or that of --catalogue, together with
    the images in the folders. Use the result with --catalogue or IMAGEKIT_CATALOGUE.

    Example: imagekit catalogue update STM32CubeWB-1.25.0 -o catalogue.json
    """
    _write(out, _read_releases(folders, release, out), base=known_contents(known))


def _read_releases(folders: Sequence[str], release: str | None, out: str) -> "tuple[list[PublishedFile], int]":
    """Read the files in release folders; return them, and how many were left out. Exits when there is none."""
    from imagekit.catalogue import StName
    from imagekit.releases.catalogue_build import published_file

    refuse_other_file(out)
    version = version_of("--release", release)
    paths, is_empty = expanded(folders, (".bin",), "*.bin")
    files = []
    for path in paths:
        with about(path):
            # A file that the user names is read whatever its name is, so that a typing error is reported.
            if path in folders or StName.parse(name_of(path)):
                files.append(published_file(os.path.realpath(path), read_image(path), _rows_beside(path), version))
    if is_empty or not files:
        complain(f"{shown(out)}: not written: found no file that ST named, such as stm32wb5x_FUS_fw.bin")
        raise typer.Exit(ExitCode.UNREADABLE)
    return files, len(paths) - len(files)


def _write(out: str, read: "tuple[list[PublishedFile], int]", *, base: "Catalogue | None") -> None:
    """Write the catalogue of files, added to another catalogue if there is one."""
    from imagekit.catalogue import dumps
    from imagekit.releases.catalogue_build import build

    files, left_out = read
    result = build(files)
    if base is not None:
        result = base.updated(result)
    write_result(out, dumps(result).encode())
    summary = f"{output_name(out)}: {counted(len(files), 'file')}"
    if left_out:
        summary += f", {left_out} left out because of their names"
    complain(summary)


def _host_names(incomplete: str) -> list[str]:
    """Return the host software that begins so, with its releases once the name is complete."""
    from imagekit.hosts import host_releases

    rows = host_releases()
    names = dict.fromkeys(row.name for row in rows)
    if ":" in incomplete:
        names = dict.fromkeys(f"{row.name}:{row.version}" for row in rows)
    return beginning_so(incomplete, names)


def refuse_other_file(out: str) -> None:
    """Exit when a file is at OUT that is not a catalogue: it could be a key, an image or an input."""
    from imagekit.catalogue import SCHEMA

    if is_stream(out) or not exists(out) or is_folder(out):
        return
    with about(out):
        start = read_start(out, _START)
    schema = SCHEMA.partition("/")[0]
    if start and f'"schema": "{schema}/' not in start.decode("utf-8", "replace"):
        complain(f"{shown(out)}: exists and is not a catalogue: not replaced. Name another file.")
        raise typer.Exit(ExitCode.UNREADABLE)


_START = 200
"""Bytes in which a catalogue names its schema."""


@catalogue.command(name="show")
def catalogue_show(
    sha256: Annotated[
        str | None, typer.Argument(metavar="[SHA256]", help="The start of an image's SHA-256.", show_default=False)
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(
            "--what",
            envvar="IMAGEKIT_WHAT",
            metavar="NAME",
            help="ST's name of an image, such as BLE_Stack_full: lists its versions with sizes, FUS and addresses.",
            show_default=False,
            autocompletion=image_names,
        ),
    ] = None,
    series: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_SERIES", metavar="SERIES", help="WB1x, WB3x or WB5x.")
    ] = None,
    magic: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_MAGIC", metavar="HEX", help="The magic of the image footer.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_VERSION", metavar="VERSION", help="Such as 1.13.3 or 1.13.3.2.")
    ] = None,
    sectors: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_SECTORS", metavar="NUMBER", help="Sectors of flash.")
    ] = None,
    sram2a: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_SRAM2A", metavar="KIB", help="SRAM2a left to the application.")
    ] = None,
    sram2b: Annotated[
        str | None, typer.Option(envvar="IMAGEKIT_SRAM2B", metavar="KIB", help="SRAM2b left to the application.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--for",
            envvar="IMAGEKIT_FOR",
            metavar="HOST:VERSION",
            help="List the stacks that a host software expects, such as zephyr:4.2; without a version, for all of its "
            "releases.",
            show_default=False,
            autocompletion=_host_names,
        ),
    ] = None,
    known: Annotated[str | None, KnownContents] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """List the images that are known.

    With options, lists only those that match, and says whether they are one image or several. Exits with 3 when no
    image matches.

    Example: imagekit catalogue show --series WB5x --version 1.13.3 --sectors 36

    Example: imagekit catalogue show --what BLE_Stack_full --series WB5x

    Example: imagekit catalogue show --for zephyr:4.2
    """
    from imagekit.report import catalogue as report

    fields = (sha256, series, magic, version, sectors, sram2a, sram2b)
    if host is not None:
        if any(field is not None for field in fields):
            raise typer.BadParameter("give it alone: it names the images itself", param_hint="--for")
        _show_host(host, known, as_json=json)
        return

    if sha256 is not None and not re.fullmatch("[0-9A-Fa-f]{1,64}", sha256):
        raise typer.BadParameter(f"{sha256!r} is not the start of a SHA-256", param_hint="SHA256")
    version_of("--version", version)
    contents = known_contents(known)
    matches = [
        content
        for content in contents.identify(
            series=_series_of(series),
            magic=number_of("--magic", f"0x{magic.lower().removeprefix('0x')}" if magic is not None else None),
            version=version.lower().removeprefix("v") if version is not None else None,
            sectors=number_of("--sectors", sectors),
            sram2a_kib=number_of("--sram2a", sram2a),
            sram2b_kib=number_of("--sram2b", sram2b),
        )
        if content.sha256.startswith((sha256 or "").lower()) and _is_called(content, what)
    ]
    if not matches:
        complain(f"no image matches: {report.not_in_catalogue(contents)}")
        raise typer.Exit(ExitCode.REFUSED)
    if json:
        print_json(report.document(matches))
        return
    if what is not None:
        print_result(report.history(matches))
        return
    fields = (sha256, series, magic, version, sectors, sram2a, sram2b)
    print_result(report.text(matches, identifying=any(field is not None for field in fields)))


def _is_called(content: "Content", name: str | None) -> bool:
    """Return whether ST published an image under a name; every image matches None."""
    return name is None or name.casefold() in [variant.casefold() for variant in content.variants]


def _show_host(host: str, known: str | None, *, as_json: bool) -> None:
    """Print the stacks that a host software expects; exits with wrong usage when nothing is known about it."""
    from imagekit.hosts import releases_of
    from imagekit.report import hosts as report

    try:
        releases = releases_of(host)
    except HostError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error
    contents = known_contents(known)
    if as_json:
        print_json(report.document(releases, contents))
    else:
        print_result(report.text(releases, contents, width=terminal_width(), paint=painter()))


def _series_of(text: str | None) -> "Series | None":
    """Return a series; exits with wrong usage when the text is not one."""
    from imagekit.targets import Series

    if text is None:
        return None
    for series in Series:
        if series.value.lower() == text.lower():
            return series
    raise typer.BadParameter(f"{text!r} is not a series: WB1x, WB3x or WB5x", param_hint="--series")


@cache
def _rows_beside(path: str) -> "dict[str, Row]":
    """Return the rows of the release notes beside a file, by file name; empty where there are none."""
    from imagekit.releases.release_notes import current, read_rows
    from imagekit.report.audit import NOTES

    try:
        return current(read_rows(read_text(in_folder(folder_of(path), NOTES))))
    except FileNotFoundError:
        return {}
