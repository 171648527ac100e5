"""The commands about what ST has published: catalogue build, catalogue show."""

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.console import about, complain, print_result, shown
from imagekit.cli.options import (
    KnownContents,
    expanded,
    group,
    known_contents,
    number_of,
    output_name,
    require,
    version_of,
    write_result,
)
from imagekit.errors import ExitCode
from imagekit.files import read_image, read_text
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.releases.release_notes import Row


catalogue = group(app, "catalogue", "The contents that ST has published.")


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
    """Make a catalogue from ST's releases.

    Hashes and facts of what their folders hold, never ST's bytes. Files whose names are not of ST's form are left out.
    A folder's release is the version at the end of its name or of a name above it, such as v1.23.0. Use it with
    --catalogue.

    Example: imagekit catalogue build v1.23.0 v1.24.0 -o catalogue.json
    """
    from imagekit.catalogue import StName, dumps
    from imagekit.releases.catalogue_build import build, published_file

    require("lxml", "audit")
    version = version_of("--release", release)
    paths, is_empty = expanded(folders, (".bin",), "*.bin")
    files = []
    for path in paths:
        with about(path):
            # A file given by its name is read whatever its name is, so that a typing error is one.
            if path in folders or StName.parse(os.path.basename(path)):  # noqa: PTH119 - as the user typed it
                files.append(published_file(os.path.realpath(path), read_image(path), _rows_beside(path), version))
    if is_empty or not files:
        complain(f"{shown(out)}: not written: no file with a name of ST's, such as stm32wb5x_FUS_fw.bin")
        raise typer.Exit(ExitCode.UNREADABLE)
    write_result(out, dumps(build(files)).encode())
    left_out = f", {len(paths) - len(files)} left out that ST would name otherwise" if len(files) < len(paths) else ""
    complain(f"{output_name(out)}: {counted(len(files), 'file')}{left_out}")


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
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """List the contents that are known.

    Or those with the fields that a chip reports of its stack; and say when that is ambiguous. Exits with 3 when nothing
    matches.

    Example: imagekit catalogue show --series WB5x --version 1.13.3 --sectors 36
    """
    from imagekit.report.catalogue import contents
    from imagekit.targets import Series

    by_name = {one.value.lower(): one for one in Series}
    if series is not None and series.lower() not in by_name:
        raise typer.BadParameter(f"no series {series!r}: WB1x, WB3x or WB5x", param_hint="--series")
    if sha256 is not None and not re.fullmatch("[0-9A-Fa-f]{1,64}", sha256):
        raise typer.BadParameter(f"no start of a SHA-256 {sha256!r}", param_hint="SHA256")
    version_of("--version", version)
    matches = [
        content
        for content in known_contents(known).identify(
            series=by_name[series.lower()] if series is not None else None,
            magic=number_of("--magic", f"0x{magic.lower().removeprefix('0x')}" if magic is not None else None),
            version=version.lower().removeprefix("v") if version is not None else None,
            sectors=number_of("--sectors", sectors),
            sram2a_kib=number_of("--sram2a", sram2a),
            sram2b_kib=number_of("--sram2b", sram2b),
        )
        if content.sha256.startswith((sha256 or "").lower())
    ]
    if not matches:
        complain("no known content has these fields: it may come from a newer release than the catalogue knows")
        raise typer.Exit(ExitCode.REFUSED)
    asked = any(one is not None for one in (sha256, series, magic, version, sectors, sram2a, sram2b))
    print_result(contents(matches, identifying=asked))


@cache
def _rows_beside(path: str) -> "dict[str, Row]":
    """The rows of the release notes beside a file, by file name; empty where there are none."""
    from imagekit.releases.release_notes import current, read_rows
    from imagekit.report.audit import NOTES

    try:
        return current(read_rows(read_text(os.path.join(os.path.dirname(path), NOTES))))  # noqa: PTH118, PTH120
    except FileNotFoundError:
        return {}
