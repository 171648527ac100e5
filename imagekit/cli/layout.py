"""The commands about where things are in flash: map, convert."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import PLAN, app
from imagekit.cli.command_line import can_print
from imagekit.cli.console import about, complain, painter, print_json, print_result, shown, terminal_width
from imagekit.cli.extract import extract_image
from imagekit.cli.linker import only_chip, print_regions
from imagekit.cli.options import (
    App,
    AsJson,
    Fus,
    Part,
    Parts,
    Sfsa,
    application_path,
    chip_of,
    chips_of,
    image_names,
    number_of,
    write_result,
)
from imagekit.cli.placed import judged, read_as_image
from imagekit.errors import ExitCode
from imagekit.files import is_same, name_of, read_image
from imagekit.text import hex_word

if TYPE_CHECKING:
    from imagekit.assessment import Assessment
    from imagekit.flash_map import MapStep, Picture
    from imagekit.image.model import Image
    from imagekit.rules.registry import Chip


class Linker(StrEnum):
    """Whose linker `map` writes memory regions for."""

    GCC = "gcc"
    IAR = "iar"
    KEIL = "keil"


_COLLISIONS = frozenset({"WB305", "WB306", "WB308"})


@app.command(name="map", rich_help_panel=PLAN)
def map_(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Images, in the order of their installation.")],
    parts: Annotated[list[str], Parts],
    fus: Annotated[str | None, Fus] = None,
    sfsa: Annotated[str | None, Sfsa] = None,
    app_file: Annotated[str | None, App] = None,
    svg: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_SVG",
            metavar="OUT",
            help="Write the map as SVG too. OUT ends with .svg, and is replaced if it exists. With -, the SVG is "
            "printed in place of the text.",
            show_default=False,
        ),
    ] = None,
    linker: Annotated[
        Linker | None,
        typer.Option(
            envvar="IMAGEKIT_LINKER",
            metavar="LINKER",
            help="Print the memory regions for the application's linker script in place of the map: gcc, iar or keil.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Draw the flash, before and after.

    Shows the application, the images, their gaps and FUS, with addresses, before, during and after the installation.
    Images are placed as `plan` does it: with no stack on the chip. The stack that --sfsa shows is drawn in the first
    column only. Exits with 3 when an image has no address, or when the application reaches into an image, which is
    drawn.

    Example: imagekit map stack.bin --part STM32WB55RG --svg flash.svg

    Example: imagekit map stack.bin --part STM32WB55RG --linker gcc
    """
    from imagekit.report import map as report

    chips, sectors = chips_of(parts, fus, app=app_file), number_of("--sfsa", sfsa)
    _refuse_wrong_use(files, chips, app_file, svg)
    if json and svg == "-":
        raise typer.BadParameter("--json and --svg - contradict each other", param_hint="--json")
    images = _read_all(files)
    if linker is not None:
        only = only_chip(chips)
        steps, collides = _steps(files, images, only)
        print_regions(linker.value, only, files[-1], steps[-1], as_json=json)
        if collides:
            raise typer.Exit(ExitCode.REFUSED)
        return
    maps = [_mapped(chip, sectors, files, images) for chip in chips]
    if svg is not None:
        from imagekit.report.svg import svg as as_svg

        write_result(svg, as_svg(maps[0][0]).encode())
    if json:
        names = [shown(chip.part or "") for chip in chips]
        print_json(report.document(list(zip(names, [drawing for drawing, _ in maps], strict=True))))
    elif svg != "-":
        print_result("\n\n".join(_text(drawing) for drawing, _ in maps))
    if any(collides for _, collides in maps):
        raise typer.Exit(ExitCode.REFUSED)


def _refuse_wrong_use(files: Sequence[str], chips: "Sequence[Chip]", app_file: str | None, svg: str | None) -> None:
    """Exit with wrong usage for too many images, or an SVG that cannot be written."""
    from imagekit.flash_map import LARGEST_FILES

    if len(files) > LARGEST_FILES:
        raise typer.BadParameter(f"{len(files)} images: at most {LARGEST_FILES} can be drawn", param_hint="FILE")
    if svg is None:
        return
    if len(chips) > 1:
        raise typer.BadParameter("an SVG shows one part: give one --part", param_hint="--svg")
    if svg == "-":
        return
    if not svg.lower().endswith(".svg"):
        raise typer.BadParameter(f"{shown(svg)} does not end with .svg, and would be replaced", param_hint="--svg")
    _refuse_input(svg, files, app_file, "--svg")


def _mapped(
    chip: "Chip", sfsa: int | None, files: Sequence[str], images: "Sequence[tuple[Image, bytes, int | None]]"
) -> "tuple[Picture, bool]":
    """Return the map of one part, and whether the application collides with an image."""
    from imagekit.flash_map import picture

    assert chip.target is not None  # noqa: S101 - --part is required
    collides_before = sfsa is not None and _reaches_installed_stack(chip, sfsa)
    steps, collides = _steps(files, images, chip)
    name = shown(chip.part or chip.target.name)
    drawing = picture(name, chip.target, steps, fus=chip.fus, sfsa=sfsa, application=chip.application)
    return drawing, collides_before or collides


def _text(drawing: "Picture") -> str:
    """Return the drawing as text, or a list where the terminal is too narrow for it."""
    from imagekit.report.map import BOXES, as_list, columns_of, text

    width = terminal_width()
    if width is not None and width < columns_of(drawing):
        return as_list(drawing, width, paint=painter())
    return text(drawing, boxes=can_print(BOXES), width=width, paint=painter())


def _reaches_installed_stack(chip: "Chip", sfsa: int) -> bool:
    """Return whether the application reaches into what SFSA makes secure. Exits with 3 for an impossible SFSA."""
    from imagekit.placement import holds_stack
    from imagekit.rules.application import reaching

    assert chip.target is not None  # noqa: S101 - --part is required
    with about("--sfsa"):
        is_installed = holds_stack(chip.target, sfsa, chip.fus)
    start = chip.target.sector_address(sfsa)
    if start >= chip.target.limit or chip.application is None:
        return False
    what = "the stack on the chip" if is_installed else "the room that FUS keeps for bonding data"
    messages = list(reaching(chip.application, start, chip.target, what))
    for message in messages:
        complain(f"--sfsa: {message}")
    return bool(messages)


def _steps(
    files: Sequence[str], images: "Sequence[tuple[Image, bytes, int | None]]", chip: "Chip"
) -> "tuple[list[MapStep], bool]":
    """Place the images one after the other; return whether the application reaches into one. Exits where it cannot."""
    from imagekit.flash_map import MapStep
    from imagekit.fus_versions import fus_after
    from imagekit.image.model import ImageKind
    from imagekit.placement import place

    target, steps, collides = chip.target, [], False
    assert target is not None  # noqa: S101 - --part is required
    for file, (image, _, hex_address) in zip(files, images, strict=True):
        with about(file):
            # What is drawn is judged: the image at its own address, not where an Intel HEX file puts it.
            assessment, errors = judged(file, image, chip, passing=_COLLISIONS)
            placement = place(image, target, fus=chip.fus, variants=assessment.fus_variants)
        collides = collides or bool(errors & _COLLISIONS)
        if hex_address not in (None, placement.address):
            complain(
                f"{shown(file)}: the file puts the image at {hex_word(hex_address or 0)}, but its address is "
                f"{hex_word(placement.address)}, where it is drawn"
            )
        title, name = _names(file, assessment)
        steps.append(MapStep(title=title, name=name, image=image, placement=placement, fus=chip.fus))
        chip = replace(chip, fus=fus_after(image, chip.fus))
        if image.kind is ImageKind.SAFEBOOT:
            chip = replace(chip, application=None)
    return steps, collides


def _names(file: str, assessment: "Assessment") -> tuple[str, str]:
    """Return what to call an image, and the same or, when ST's name is not known, the name of its file."""
    from imagekit.upgrade.candidates import Candidate

    candidate = Candidate(file, assessment, is_named=True)
    if candidate.variants:
        return shown(candidate.title), shown(candidate.title)
    return shown(candidate.title), shown(name_of(file) or file)


def _read_all(files: Sequence[str]) -> "list[tuple[Image, bytes, int | None]]":
    """Read every file first: a file that is not an image weighs more than an image without an address."""
    images = []
    for file in files:
        with about(file):
            images.append(read_as_image(file, read_image(file)))
    return images


@app.command(rich_help_panel=PLAN)
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image: .bin, or Intel HEX named .hex.")],
    out: Annotated[
        str,
        typer.Argument(metavar="OUT", help="The file to write, named .bin or .hex. It is replaced if it exists."),
    ],
    part: Annotated[str | None, Part] = None,
    fus: Annotated[str | None, Fus] = None,
    app_file: Annotated[str | None, App] = None,
    extract: Annotated[
        bool,
        typer.Option(
            "--extract",
            envvar="IMAGEKIT_EXTRACT",
            help="Write an image that is inside FILE, such as a merged HEX file, a dump, an OTA file or a C array.",
        ),
    ] = False,
    which: Annotated[
        str | None,
        typer.Option(
            "--image",
            envvar="IMAGEKIT_IMAGE",
            metavar="NUMBER|NAME",
            help="Which of several images --extract writes: its number from 1, or ST's name.",
            show_default=False,
            autocompletion=image_names,
        ),
    ] = None,
) -> None:
    """Write an image as Intel HEX, or as binary.

    A .hex holds the image at its install address, which needs --part, and with --app also the application. To program
    it does not install the image: FUS must be told to install it. Exits with 3 when the image has no address, or when
    the application reaches into it.

    With --extract, OUT is a new .bin: an existing file is not replaced.

    Example: imagekit convert stack.bin stack.hex --part STM32WB55RG

    Example: imagekit convert --extract firmware.ota stack.bin
    """
    if extract:
        extract_image(file, out, which)
        return
    if which is not None:
        raise typer.BadParameter("it needs --extract", param_hint="--image")
    to_hex = _is_hex(out)
    if not to_hex and not out.lower().endswith(".bin"):
        raise typer.BadParameter(f"{shown(out)} must end with .bin or .hex", param_hint="OUT")
    if not to_hex and app_file is not None:
        raise typer.BadParameter("a .bin cannot hold an application: write a .hex", param_hint="--app")
    if not to_hex and not _is_hex(file):
        raise typer.BadParameter("binary to binary changes nothing: copy the file", param_hint="OUT")
    if to_hex and part is None:
        raise typer.BadParameter("a .hex holds addresses, which depend on the part", param_hint="--part")
    _refuse_input(out, [file], app_file, "OUT")
    chip = chip_of(part, fus, app=app_file)
    if to_hex:
        data, summary = _to_hex(file, out, chip)
    else:
        data, summary = _to_binary(file, chip)
    write_result(out, data)
    complain(f"{shown(out)}: {summary}. To program it does not install it: FUS must be told to install it.")


def _is_hex(path: str) -> bool:
    return path.lower().endswith(".hex")


def _to_hex(file: str, out: str, chip: "Chip") -> tuple[bytes, str]:
    """Return Intel HEX of an image at its install address, with the application if there is one, and a summary."""
    from imagekit.application.intel_hex import write_hex
    from imagekit.placement import place

    assert chip.target is not None  # noqa: S101 - --part is required
    with about(file):
        image, content, was = read_as_image(file, read_image(file))
        # The address in an Intel HEX file is not judged: the image goes to its own address.
        assessment, _ = judged(file, image, chip)
        address = place(image, chip.target, fus=chip.fus, variants=assessment.fus_variants).address
    blocks, start, application = [(address, content)], None, chip.application
    if application is not None:  # rule WB305 made sure that it ends below the image
        blocks += [(block.start, block.data) for block in application.blocks]
        start = application.start
    last = address + len(content) - 1
    summary = f"the image is at {hex_word(address)}-{hex_word(last)}, for {chip.target.name}"
    if was == address:
        summary += ", where it was"
    elif was is not None:
        summary += f", moved from {hex_word(was)}"
    if application is not None:
        summary += f", the application below it up to {hex_word(application.blocks[-1].end - 1)}"
    with about(out):
        return write_hex(blocks, start), summary


def _to_binary(file: str, chip: "Chip") -> tuple[bytes, str]:
    """Return the bytes of the image in an Intel HEX file, and a summary."""
    from imagekit.rules.installation import ADDRESS_STANDS

    with about(file):
        image, content, address = read_as_image(file, read_image(file))
        _, errors = judged(file, image, chip, hex_address=address)
        if errors >= ADDRESS_STANDS:
            complain(f"{shown(file)}: size and signature are both wrong: the file joins the image with other data")
            raise typer.Exit(ExitCode.REFUSED)
    return content, f"{len(content)} bytes, at {hex_word(address or 0)} in {shown(file)}"


def _refuse_input(out: str, files: "Sequence[str]", app_file: str | None, hint: str) -> None:
    """Exit with wrong usage when a result would overwrite what it is made from."""
    inputs = [file for file in files if file != "-"]
    if app_file is not None:
        inputs.append(application_path(app_file)[0])
    if any(is_same(out, path) for path in inputs):
        raise typer.BadParameter(f"{shown(out)} is an input: write to another file", param_hint=hint)
