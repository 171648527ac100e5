"""Reading an image, and refusing one that must not have an address: what address, map and convert share."""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import complain, shown
from imagekit.errors import ExitCode
from imagekit.files import LARGEST_CONTAINER, is_device, name_of, read_some

if TYPE_CHECKING:
    from imagekit.assessment import Assessment
    from imagekit.embedded import EmbeddedImage
    from imagekit.image.model import Image
    from imagekit.rules.registry import Chip


def read_as_image(path: str, data: bytes) -> "tuple[Image, bytes, int | None]":
    """Return the image in a file, its bytes, and the address that an Intel HEX file gives it. Raises ParseError."""
    from imagekit.image.model import Image

    hex_address = None
    if path.lower().endswith(".hex"):
        from imagekit.application.intel_hex import read_hex

        hex_address, data = read_hex(data)
    return Image.parse(data), data, hex_address


def images_inside(path: str, data: bytes | None) -> "tuple[EmbeddedImage, ...]":
    """Return the whole images inside a file that is not one itself; `data` is what was read of it, None: nothing."""
    from imagekit.embedded import find_embedded

    if data is None:
        return ()
    if path != "-" and not is_device(path):
        with suppress(OSError):
            data = read_some(path, LARGEST_CONTAINER)
    return find_embedded(data)


def judged(
    path: str, image: "Image", chip: "Chip", *, hex_address: int | None = None, passing: Collection[str] = ()
) -> "tuple[Assessment, frozenset[str]]":
    """Return the assessment of an image, and the rules that found an error.

    Prints the findings on standard error. Exits with 3 for an error that makes every address unsafe: any error except
    those that leave the address valid (ADDRESS_STANDS) and those of `passing`, which the caller handles.
    """
    from imagekit.assessment import assess
    from imagekit.rules import findings
    from imagekit.rules.installation import ADDRESS_STANDS
    from imagekit.rules.registry import Severity

    assessment = assess(image)
    found = findings(assessment, chip, hex_address=hex_address)
    for finding in found:
        # The name is not judged here, so WB307 cannot say that it tells nothing; _refuse_other_series looks at it.
        is_about_the_name = finding.rule == "WB307" and finding.severity is Severity.WARNING
        if finding.severity is not Severity.NOTE and not is_about_the_name:
            complain(f"{shown(path)}: {finding.rule} {finding.message}")
    errors = frozenset(finding.rule for finding in found if finding.severity is Severity.ERROR)
    _refuse_other_series(path, assessment, chip)
    if errors - ADDRESS_STANDS - frozenset(passing):
        raise typer.Exit(ExitCode.REFUSED)
    return assessment, errors


def _refuse_other_series(path: str, assessment: "Assessment", chip: "Chip") -> None:
    """Exit with 3 when the name of an image that the catalogue does not know says another series than the part's."""
    from imagekit.catalogue import StName
    from imagekit.rules.installation import series_elsewhere

    if chip.target is None or assessment.known or chip.target.series not in assessment.image.series:
        return
    reason = series_elsewhere(assessment, StName.parse(name_of(path)), chip.target)
    if reason:
        complain(f"{shown(path)}: WB307 {reason}")
        raise typer.Exit(ExitCode.REFUSED)
