"""The commands about where things lie in flash: map, convert."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.command_line import can_print
from imagekit.cli.console import about, complain, painter, print_result, shown, terminal_width
from imagekit.cli.options import App, Fus, Part, Sfsa, application_path, chip_of, number_of, write_result
from imagekit.cli.placed import judged, read_as_image
from imagekit.errors import ExitCode
from imagekit.files import read_image

if TYPE_CHECKING:
    from imagekit.flash_map import MapStep, Picture
    from imagekit.image.model import Image
    from imagekit.rules.registry import Chip

_COLLISIONS = frozenset({"WB305", "WB306"})


@app.command(name="map")
def map_(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Images, in the order of their installation.")],
    part: Annotated[str, Part],
    fus: Annotated[str | None, Fus] = None,
    sfsa: Annotated[str | None, Sfsa] = None,
    app_file: Annotated[str | None, App] = None,
    svg: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_SVG",
            metavar="OUT",
            help="Write the picture as SVG too; OUT ends with .svg and is replaced when it is there. - prints it in "
            "place of the text.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw the flash, before and after.

    Application, image, gap, FUS, with addresses, also while images are installed. Images are placed as `plan` does it:
    with no stack on the chip. One that --sfsa tells of is drawn before that alone. Exits with 3 when an image has no
    place, or when the application reaches into it; the second is drawn.

    Example: imagekit map stack.bin --part STM32WB55RG --svg flash.svg
    """
    from imagekit.flash_map import LARGEST_FILES, picture

    if len(files) > LARGEST_FILES:
        raise typer.BadParameter(f"{len(files)} images: {LARGEST_FILES} at the most can be drawn", param_hint="FILE")
    if svg is not None and svg != "-":
        if not svg.lower().endswith(".svg"):
            raise typer.BadParameter(f"{shown(svg)} does not end with .svg, and would be replaced", param_hint="--svg")
        _refuse_input(svg, files, app_file, "--svg")
    chip, sectors = chip_of(part, fus, app=app_file), number_of("--sfsa", sfsa)
    assert chip.target is not None  # noqa: S101 - --part is required
    images = _read_all(files)
    collides_before = sectors is not None and _reaches_installed_stack(chip, sectors)
    steps, collides = _steps(files, images, chip)
    drawing = picture(shown(part.strip()), chip.target, steps, fus=chip.fus, sfsa=sectors, application=chip.application)
    if svg is not None:
        from imagekit.report.svg import svg as as_svg

        write_result(svg, as_svg(drawing).encode())
    if svg != "-":
        _print(drawing)
    raise typer.Exit(ExitCode.REFUSED if collides_before or collides else ExitCode.DONE)


def _print(drawing: "Picture") -> None:
    """Print the picture as text, and say where the terminal is too narrow for it."""
    from imagekit.report.map import BOXES, columns_of, text

    width, needed = terminal_width(), columns_of(drawing)
    print_result(text(drawing, boxes=can_print(BOXES), width=width, paint=painter()))
    if width is not None and width < needed:
        complain(f"the picture needs {needed} columns: widen the terminal, or use --svg")


def _reaches_installed_stack(chip: "Chip", sfsa: int) -> bool:
    """Say whether the application reaches into the stack on the chip. Exits with 3 for an SFSA that cannot be."""
    from imagekit.placement import holds_stack
    from imagekit.rules.application import reaching

    assert chip.target is not None  # noqa: S101 - --part is required
    with about("--sfsa"):
        is_installed = holds_stack(chip.target, sfsa, chip.fus)
    if not is_installed or chip.application is None:
        return False
    start = chip.target.sector_address(sfsa)
    found = list(reaching(chip.application, start, chip.target, "the stack on the chip"))
    for one in found:
        complain(f"--sfsa: {one}")
    return bool(found)


def _steps(
    files: Sequence[str], images: "Sequence[tuple[Image, bytes, int | None]]", chip: "Chip"
) -> "tuple[list[MapStep], bool]":
    """Place the images one after the other; say whether the application reaches into one. Exits where one cannot be."""
    from imagekit.flash_map import MapStep
    from imagekit.fus_versions import fus_after
    from imagekit.image.model import ImageKind
    from imagekit.placement import place

    target, steps, collides = chip.target, [], False
    assert target is not None  # noqa: S101 - --part is required
    for file, (image, _, hex_address) in zip(files, images, strict=True):
        with about(file):
            # Judged is what is drawn: the image where it goes.
            assessment, errors = judged(file, image, chip, passing=_COLLISIONS)
            placement = place(image, target, fus=chip.fus, variants=assessment.fus_variants)
        collides = collides or bool(errors & _COLLISIONS)
        if hex_address not in (None, placement.address):
            complain(
                f"{shown(file)}: the file puts the image at 0x{hex_address:08X}; it goes to 0x{placement.address:08X}, "
                "and is drawn there"
            )
        name = shown(os.path.basename(file) or file)  # noqa: PTH119 - as the user typed it
        steps.append(MapStep(name=name, image=image, placement=placement, fus=chip.fus))
        chip = replace(chip, fus=fus_after(image, chip.fus))
        if image.kind is ImageKind.SAFEBOOT:
            chip = replace(chip, application=None)
    return steps, collides


def _read_all(files: Sequence[str]) -> "list[tuple[Image, bytes, int | None]]":
    """Every file, or the exit code of the one that is no image: that weighs more than one without a place."""
    found = []
    for file in files:
        with about(file):
            found.append(read_as_image(file, read_image(file)))
    return found


@app.command()
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image: .bin, or Intel HEX named .hex.")],
    out: Annotated[
        str,
        typer.Argument(metavar="OUT", help="What to write, named .bin or .hex; it is replaced when it is there."),
    ],
    part: Annotated[str | None, Part] = None,
    fus: Annotated[str | None, Fus] = None,
    app_file: Annotated[str | None, App] = None,
) -> None:
    """Write an image as Intel HEX, or as binary.

    At its install address, or as the binary that an Intel HEX file holds. A .hex needs --part. With --app it holds the
    application too. Programming it does not install the image: FUS must be told to. Exits with 3 when there is no
    address, or when the application reaches into the image.

    Example: imagekit convert stack.bin stack.hex --part STM32WB55RG
    """
    to_hex = _is_hex(out)
    if not to_hex and not out.lower().endswith(".bin"):
        raise typer.BadParameter(f"{shown(out)} ends with neither .bin nor .hex", param_hint="OUT")
    if not to_hex and app_file is not None:
        raise typer.BadParameter("a .bin cannot hold an application: write a .hex", param_hint="--app")
    if not to_hex and not _is_hex(file):
        raise typer.BadParameter("binary to binary changes nothing: copy it", param_hint="OUT")
    if to_hex and part is None:
        raise typer.BadParameter("a .hex holds addresses, and only the part tells them", param_hint="--part")
    _refuse_input(out, [file], app_file, "OUT")
    chip = chip_of(part, fus, app=app_file)
    data, lies = _to_hex(file, out, chip) if to_hex else _to_binary(file, chip)
    write_result(out, data)
    complain(f"{shown(out)}: {lies}; programming it installs nothing: FUS must be told to")


def _is_hex(path: str) -> bool:
    return path.lower().endswith(".hex")


def _to_hex(file: str, out: str, chip: "Chip") -> tuple[bytes, str]:
    """Intel HEX of an image at its install address, with the application if there is one; and where the image lies."""
    from imagekit.application.intel_hex import write_hex
    from imagekit.placement import place

    assert chip.target is not None  # noqa: S101 - --part is required
    with about(file):
        image, content, was = read_as_image(file, read_image(file))
        # Where a HEX file puts it now is not judged: it goes to its place.
        assessment, _ = judged(file, image, chip)
        address = place(image, chip.target, fus=chip.fus, variants=assessment.fus_variants).address
    blocks, start, application = [(address, content)], None, chip.application
    if application is not None:  # WB305 has seen to it that it ends below the image
        blocks += [(block.start, block.data) for block in application.blocks]
        start = application.start
    lies = f"the image is at 0x{address:08X}-0x{address + len(content) - 1:08X}, for {chip.target.name}"
    if was is not None:
        lies += f", moved from 0x{was:08X}" if was != address else ", where it was"
    if application is not None:
        lies += f", the application below it up to 0x{application.blocks[-1].end - 1:08X}"
    with about(out):
        return write_hex(blocks, start), lies


def _to_binary(file: str, chip: "Chip") -> tuple[bytes, str]:
    """The bytes of the image in an Intel HEX file, and where that put them."""
    from imagekit.rules.installation import ADDRESS_STANDS

    with about(file):
        image, content, address = read_as_image(file, read_image(file))
        _, errors = judged(file, image, chip, hex_address=address)
        if errors >= ADDRESS_STANDS:
            complain(f"{shown(file)}: neither size nor signature is right: something else is in one with the image")
            raise typer.Exit(ExitCode.REFUSED)
    return content, f"{len(content)} bytes, at 0x{address:08X} in {shown(file)}"


def _refuse_input(out: str, files: "Sequence[str]", app_file: str | None, hint: str) -> None:
    """Exit with wrong usage when a result would be written over what it is made from."""
    inputs = [one for one in files if one != "-"]
    if app_file is not None:
        inputs.append(application_path(app_file)[0])
    for one in inputs:
        if os.path.realpath(out) == os.path.realpath(one):
            raise typer.BadParameter(f"{shown(out)} is an input: write to another file", param_hint=hint)
