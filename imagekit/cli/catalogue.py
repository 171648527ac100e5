"""The commands about what ST has published: catalogue build, catalogue show."""

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import VALIDATE, app
from imagekit.cli.console import about, complain, print_json, print_result, shown
from imagekit.cli.options import (
    AsJson,
    KnownContents,
    expanded,
    group,
    is_stream,
    known_contents,
    number_of,
    output_name,
    require,
    version_of,
    write_result,
)
from imagekit.errors import ExitCode
from imagekit.files import exists, folder_of, in_folder, is_folder, name_of, read_image, read_start, read_text
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.releases.release_notes import Row
    from imagekit.targets import Series


catalogue = group(app, "catalogue", "The images that ST has published.", VALIDATE)


@catalogue.command(name="build")
def catalogue_build(
    folders: Annotated[list[str], typer.Argument(metavar="DIR", help="STM32CubeWB release folders.")],
    out: Annotated[
        str, typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="The file to write; - prints it.")
    ],
    release: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_RELEASE",
            metavar="VERSION",
            help="The release, where no folder name gives it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a catalogue from ST's releases.

    Writes hashes and facts about the images in the folders, and none of their content. Files that are not named as ST
    names them are left out. The release of a folder is the version at the end of its name or of a parent's name, such
    as v1.23.0. Use the catalogue with --catalogue.

    Example: imagekit catalogue build v1.23.0 v1.24.0 -o catalogue.json
    """
    from imagekit.catalogue import StName, dumps
    from imagekit.releases.catalogue_build import build, published_file

    require("lxml", "audit")
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
    write_result(out, dumps(build(files)).encode())
    summary = f"{output_name(out)}: {counted(len(files), 'file')}"
    if len(files) < len(paths):
        summary += f", {len(paths) - len(files)} left out because of their names"
    complain(summary)


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
    known: Annotated[str | None, KnownContents] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """List the images that are known.

    With options, lists only those that match, and says whether they are one image or several. Exits with 3 when no
    image matches.

    Example: imagekit catalogue show --series WB5x --version 1.13.3 --sectors 36
    """
    from imagekit.report import catalogue as report

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
        if content.sha256.startswith((sha256 or "").lower())
    ]
    if not matches:
        complain(f"no image matches: {report.not_in_catalogue(contents)}")
        raise typer.Exit(ExitCode.REFUSED)
    if json:
        print_json(report.document(matches))
        return
    fields = (sha256, series, magic, version, sectors, sram2a, sram2b)
    print_result(report.text(matches, identifying=any(field is not None for field in fields)))


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
