"""Take an image out of a file that holds more: what `convert --extract` does."""

from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, shown
from imagekit.errors import ExitCode, ParseError
from imagekit.files import LARGEST_CONTAINER, create_file, read_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagekit.embedded import EmbeddedImage


def extract_image(file: str, out: str, which: str | None) -> None:
    """Write one image inside a file to a new file; exits with 4 without an image, and with 2 when several match."""
    from imagekit.embedded import find_embedded
    from imagekit.report.inspect import contained_lines

    if not out.lower().endswith(".bin"):
        raise typer.BadParameter(f"{shown(out)} must end with .bin", param_hint="OUT")
    with about(file):
        found = find_embedded(read_some(file, LARGEST_CONTAINER))
        if not found:
            raise ParseError("no-signature-footer", "no whole image of ST's is in this file")
    image = _chosen(found, which)
    with about(out):
        create_file(out, image.data, private=False)
    sentence = next(contained_lines([image]))
    complain(f"{shown(out)}: {len(image.data)} bytes, {sentence} in {shown(file)}")


def _chosen(found: "Sequence[EmbeddedImage]", which: str | None) -> "EmbeddedImage":
    """Return the image with this number or name; exits with wrong usage when there is not exactly one."""
    listed = ", ".join(f"{number} {image.title}" for number, image in enumerate(found, start=1))
    if which is None:
        matches = list(found)
    elif which.isdecimal():
        matches = [image for number, image in enumerate(found, start=1) if number == int(which)]
    else:
        matches = [image for image in found if which.casefold() in _names(image)]
    if len({image.data for image in matches}) == 1:
        return matches[0]
    if not matches:
        raise typer.BadParameter(f"{which!r} is not among the images: {listed}", param_hint="--image")
    complain(f"{len(matches)} images match: {listed}. Name one with --image NUMBER")
    raise typer.Exit(ExitCode.USAGE)


def _names(image: "EmbeddedImage") -> set[str]:
    return {name.casefold() for name in (image.title, *image.assessment.variants)}
