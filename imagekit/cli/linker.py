"""Print the memory regions of a linker script: what `map --linker` does."""

from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, print_json, print_result, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagekit.flash_map import MapStep
    from imagekit.rules.registry import Chip


def only_chip(chips: "Sequence[Chip]") -> "Chip":
    """Return the only chip; exits with wrong usage when there are several."""
    if len(chips) > 1:
        raise typer.BadParameter("a linker script is for one part: give one --part", param_hint="--linker")
    return chips[0]


def print_regions(linker: str, chip: "Chip", file: str, step: "MapStep", *, as_json: bool) -> None:
    """Print the regions that an image in its place leaves to the application; exits with 4 when they are not known."""
    from imagekit.linker import regions
    from imagekit.report import linker as report

    part = (chip.part or "").strip()
    with about(file):
        found = regions(part, step.image, step.placement)
    if as_json:
        print_json(report.document(linker, found, shown(part), step.title, step.image.sha256))
    else:
        print_result(report.text(linker, found, shown(part), step.title))
