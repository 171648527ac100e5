"""The command diff: what changes between two images, two release folders or two bundles."""

from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import PLAN, app
from imagekit.cli.console import about, complain, painter, print_json, print_result, shown, terminal_width, trace
from imagekit.cli.options import AsJson, Parts, target_of
from imagekit.cli.placed import read_as_image
from imagekit.errors import ExitCode, ParseError
from imagekit.files import files_in, is_folder, name_of, read_bundle, read_image
from imagekit.text import why

if TYPE_CHECKING:
    from collections.abc import Collection

    from imagekit.comparison import Side
    from imagekit.targets import Series

_BUNDLE = b"PK\x03\x04"
"""How a bundle begins: it is a ZIP archive (docs/bundle.md)."""


@app.command(rich_help_panel=PLAN)
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="An image, a folder of ST's release, or a bundle.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same kind of thing, newer.")],
    parts: Annotated[list[str] | None, Parts] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show what changes with another image.

    Compares two images, two release folders or two bundles. Prints the address on each part, flash, SRAM2, the FUS that
    is needed, what happens to bonding data, where an update over the air puts the image, and what to change in the
    linker script and in the product. The signatures of a bundle are not verified.

    Example: imagekit diff v1.22.1 v1.24.0 --part STM32WB55RG
    """
    from imagekit.comparison import compare
    from imagekit.report import diff as report
    from imagekit.targets import TARGETS

    if is_folder(old) != is_folder(new):
        raise typer.BadParameter("compare two files or two folders", param_hint="NEW")
    targets = [target_of(part) for part in parts or []] or list(TARGETS)
    series = {target.series for target in targets}
    before, after = _images(old, series), _images(new, series)
    if len(before) == len(after) == 1 and not is_folder(old):
        # Two single images are compared whatever their names are.
        (side,) = after.values()
        after = {next(iter(before)): side}
    comparison = compare(before, after, targets)
    if json:
        print_json(report.document(old, new, comparison))
    else:
        print_result(report.text(comparison, width=terminal_width(), paint=painter()))


def _images(path: str, series: "Collection[Series]") -> "dict[str, Side]":
    """Return the images of a file, a folder or a bundle by what identifies them; exits when there is none."""
    if is_folder(path):
        return _of_folder(path, series)
    with about(path):
        data = read_image(path)
        if data.startswith(_BUNDLE):
            return _of_bundle(path)
        return _of_file(path, data)


def _of_file(path: str, data: bytes) -> "dict[str, Side]":
    from imagekit.assessment import assess
    from imagekit.comparison import Side

    image, _, _ = read_as_image(path, data)
    side = Side(path=path, assessment=assess(image))
    return {shown(name_of(path) or path): side}


def _of_folder(folder: str, series: "Collection[Series]") -> "dict[str, Side]":
    """Return the images below a folder that ST named for one of the series, by series and variant."""
    from imagekit.catalogue import StName

    found: dict[str, Side] = {}
    for path in files_in(folder, (".bin",)):
        name = StName.parse(name_of(path))
        if name is None or name.series not in series:
            continue
        try:
            (side,) = _of_file(path, read_image(path)).values()
        except (ParseError, OSError) as error:
            trace(error)
            complain(f"{shown(path)}: left out: {why(error)}")
            continue
        found[f"{name.series.value} {name.variant}"] = side
    if not found:
        complain(f"{shown(folder)}: no image that ST named, such as stm32wb5x_FUS_fw.bin, in this folder")
        raise typer.Exit(ExitCode.UNREADABLE)
    return found


def _of_bundle(path: str) -> "dict[str, Side]":
    """Return the images of a bundle by role and series; several of one kind are numbered by version."""
    from imagekit.bundle.unverified import read
    from imagekit.comparison import Side

    assessments = read(read_bundle(path)).assessments
    ordered = sorted(assessments.values(), key=lambda assessment: str(assessment.image.version))
    found: dict[str, Side] = {}
    for assessment in ordered:
        series = " ".join(member.value for member in assessment.image.series)
        kind = f"{assessment.image.kind.value} for {series}"
        name, number = kind, 1
        while name in found:
            number += 1
            name = f"{kind} ({number})"
        found[name] = Side(path=path, assessment=assessment)
    return found
