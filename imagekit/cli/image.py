"""The commands about single images: inspect, address."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import LOOK, PLAN, app
from imagekit.cli.console import (
    about,
    complain,
    painter,
    print_json,
    print_result,
    shown,
    terminal_width,
    trace,
)
from imagekit.cli.options import (
    AsJson,
    Fus,
    HadFus2Stack,
    KnownContents,
    Part,
    Sfsa,
    chip_of,
    known_contents,
    number_of,
)
from imagekit.cli.placed import images_inside, judged, read_as_image
from imagekit.errors import ExitCode, ParseError
from imagekit.files import read_image, size_of
from imagekit.text import hex_word, why

if TYPE_CHECKING:
    from imagekit.catalogue import Catalogue
    from imagekit.report.layout import Json
    from imagekit.rules.registry import Chip


@app.command(rich_help_panel=LOOK)
def inspect(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Images; - is standard input.")],
    part: Annotated[str | None, Part] = None,
    json: Annotated[bool, AsJson] = False,
    known: Annotated[str | None, KnownContents] = None,
) -> None:
    """Show what files are, and who signed them.

    Prints the kind, the version, what the image needs, its addresses, and what is wrong with it. Exits with 0 when
    every file is an image, whatever was found, and with 4 otherwise.

    Example: imagekit inspect stack.bin --part STM32WB55RG
    """
    chip = chip_of(part)
    if files.count("-") > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="FILE")
    # One after the other: threads would wait for each other here, and the work is too short for processes.
    contents = known_contents(known)
    reports = [_inspect_one(path, chip, contents, as_json=json) for path in files]
    if json:
        from imagekit.report.inspect import INSPECT_SCHEMA

        print_json({"schema": INSPECT_SCHEMA, "images": [report.entry for report in reports]})
    elif any(report.text for report in reports):
        print_result("\n\n".join(report.text for report in reports if report.text))
    errors = [report.error for report in reports if report.error]
    for error in errors:
        complain(error)
    if errors:
        raise typer.Exit(ExitCode.UNREADABLE)


@app.command(rich_help_panel=PLAN)
def address(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image; - is standard input.")],
    part: Annotated[str, Part],
    fus: Annotated[str | None, Fus] = None,
    sfsa: Annotated[str | None, Sfsa] = None,
    had_fus2_stack: Annotated[bool, HadFus2Stack] = False,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Compute the install address of an image.

    The first line is the address alone. The lines below show how it was computed. Exits with 3 when the image has no
    address, or when FUS would refuse it. A signature that matches no known ST key is reported and does not prevent
    the computation: the key of some old FUS images is not known.

    Example: imagekit address stack.bin --part STM32WB55RG --fus 2.1.0
    """
    from imagekit.placement import differences_from_st, place, reserved_note
    from imagekit.report import address as report

    chip, sectors = chip_of(part, fus), number_of("--sfsa", sfsa)
    assert chip.target is not None  # noqa: S101 - --part is required
    with about(file):
        image, _, _ = read_as_image(file, read_image(file))
        assessment, _ = judged(file, image, chip)
        variants = assessment.fus_variants
        placement = place(
            image, chip.target, fus=chip.fus, sfsa=sectors, variants=variants, had_fus2_stack=had_fus2_stack
        )
        reserved = reserved_note(
            image, placement, fus=chip.fus, sfsa=sectors, had_fus2_stack=had_fus2_stack, variants=variants
        )
    if placement.after_delete is not None:
        complain(
            f"{shown(file)}: SFSA shows that a stack is installed. Delete it first: without it, the address is "
            f"{hex_word(placement.after_delete)}."
        )
    notes = (*differences_from_st(image, placement), *filter(None, [reserved]))
    name = shown(part.strip())
    if json:
        print_json(report.address_document(file, image, placement, name, notes))
        return
    print_result(report.working(image, placement, name, shown(file), notes, width=terminal_width(), paint=painter()))


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What to print about one file: a JSON entry or a text, and an error."""

    entry: "Json | None" = None
    text: str = ""
    error: str = ""


def _inspect_one(path: str, chip: "Chip", known: "Catalogue", *, as_json: bool) -> _Inspection:
    """Read and describe one file."""
    from imagekit.assessment import assess
    from imagekit.report import inspect as report
    from imagekit.rules import findings

    data = None
    try:
        data = read_image(path)
        image, _, hex_address = read_as_image(path, data)
        assessment = assess(image, catalogue=known)
    except (ParseError, OSError) as error:
        trace(error)
        reason: str = "unreadable"
        if isinstance(error, ParseError):
            reason = error.reason
        message = why(error)
        size, sha256 = _size_and_hash(path, data)
        contained = images_inside(path, data)
        entry = report.error_entry(path, size, sha256, reason, message, contained)
        return _Inspection(entry, error="; ".join([f"{shown(path)}: {message}", *report.contained_lines(contained)]))
    found = findings(assessment, chip, hex_address=hex_address)
    if as_json:
        return _Inspection(report.image_entry(path, assessment, found, chip.target))
    text = report.inspection(
        shown(path), assessment, found, chip.target, catalogue=known, width=terminal_width(), paint=painter()
    )
    return _Inspection(text=text)


def _size_and_hash(path: str, data: bytes | None) -> tuple[int | None, str | None]:
    """Return the size and SHA-256 of a file that is not an image, where they are known without reading on."""
    from hashlib import sha256

    from imagekit.targets import LARGEST_FLASH

    if data is None:
        return None, None
    if len(data) > LARGEST_FLASH:
        return size_of(path), None
    return len(data), sha256(data).hexdigest()
