"""The map of a part's flash, as values: columns of regions before, during and after the installation of images.

Nothing is drawn here: report/map.py and report/svg.py do that, and share the bands that the map is laid out in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from imagekit.application.model import Application
from imagekit.fus_versions import FUS_0_5_3, fus_after
from imagekit.image.model import Image, ImageKind, Version
from imagekit.placement import Placement
from imagekit.rules.application import shared_ram
from imagekit.targets import FLASH_BASE, Target
from imagekit.text import counted, shortened

LARGEST_FILES = 4
"""Images that can be drawn readably."""

_LARGEST_RUNS = 4  # parts of an application drawn one by one
_LONGEST_NAME = 40  # columns; as long as ST's own are


class RegionKind(Enum):
    """What a region holds; the values are the names of its style in SVG."""

    FREE = "free"
    APPLICATION = "application"
    STAGED = "staged"
    STACK = "stack"
    GAP = "gap"
    UNUSED = "unused"
    FUS = "fus"
    COLLISION = "collision"
    CPU2 = "cpu2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A range of memory that holds one thing."""

    start: int
    end: int
    """The address just above it."""
    kind: RegionKind
    label: str
    size: str
    """Its size in words; empty when it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The flash at one moment, upwards and without holes."""

    title: str
    name: str
    """The image that it is about, or where its state is known from; empty for neither."""
    regions: tuple[Region, ...]
    sfsa: int | None
    """The address that SFSA gives; None when it is above the flash of this part."""
    sfsa_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One SRAM, as an image divides it between the CPUs."""

    name: str
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that is drawn."""

    title: str
    columns: tuple[Column, ...]
    top_is_open: bool
    """Whether the highest address is not an end: FUS is somewhere above it."""
    strips_title: str
    strips: tuple[Strip, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStep:
    """One image to install, in its place."""

    title: str
    """What to call the image: `BLE_Stack_full 1.24.0`, or `stack 1.24.0` when its name is not known."""
    name: str
    """The title, or the name of the file when ST's name is not known."""
    image: Image
    placement: Placement
    fus: Version | None
    """The FUS that installs it; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is in flash at one moment, upwards: an application, then `system` up to the top."""

    title: str
    name: str
    system: tuple[Region, ...]
    application: Application | None
    sfsa: int
    sfsa_note: str = ""


def picture(
    part: str,
    target: Target,
    steps: Sequence[MapStep],
    *,
    fus: Version | None = None,
    sfsa: int | None = None,
    application: Application | None = None,
) -> Picture:
    """Return the map of a part before, during and after the installation of images, in their order.

    There is at least one step. `sfsa` is the SFSA field at first, in sectors: the stack that it shows is deleted before
    the first image is programmed.
    """
    steps = [
        replace(step, name=shortened(step.name, _LONGEST_NAME), title=shortened(step.title, _LONGEST_NAME))
        for step in steps
    ]
    moments = list(_moments(target, steps, fus, sfsa, application))
    top = max(moments[0].system[-1].end, *(_end(moment.application, target) for moment in moments))
    last = next((step for step in reversed(steps) if step.image.kind is ImageKind.STACK), steps[-1])
    return Picture(
        title=f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {target.sector_size // 1024} KiB",
        columns=tuple(_column(moment, target, top) for moment in moments),
        top_is_open=_is_above(target),
        strips_title=f"SRAM2 with {last.title}, as its footer gives it",
        strips=tuple(_strips(last.image, target, application)),
        notes=(
            *_notes(target, steps, is_deleted=moments[0].system[0].kind is RegionKind.STACK),
            *(["Small holes in the application are not drawn."] if _hides_holes(moments, target) else []),
        ),
    )


def bands(
    columns: Sequence[Sequence[Region]],
    *,
    natural: Callable[[int], int],
    needed: Callable[[Region], int],
    line: int,
) -> list[tuple[int, int, int]]:
    """Cut all columns at every boundary of any; return start, end and height of each band, upwards.

    `natural` is the height for a size in bytes, `needed` the least height of a region, `line` the height that the line
    between two bands adds to a region that spans both. Then all columns line up, and the smallest region is readable.
    """
    cuts = sorted({address for column in columns for region in column for address in (region.start, region.end)})
    heights = [natural(high - low) for low, high in pairwise(cuts)]
    place = {address: index for index, address in enumerate(cuts)}
    regions = {(region.start, region.end, region.label, region.size): region for column in columns for region in column}
    for region in sorted(regions.values(), key=lambda region: (place[region.end] - place[region.start], region.start)):
        span = range(place[region.start], place[region.end])
        lacking = needed(region) - sum(heights[index] for index in span) - line * (len(span) - 1)
        if lacking > 0:
            heights[max(span, key=lambda index: (cuts[index + 1] - cuts[index], index))] += lacking
    return [(low, high, height) for (low, high), height in zip(pairwise(cuts), heights, strict=True)]


def _moments(
    target: Target, steps: Sequence[MapStep], fus: Version | None, sfsa: int | None, application: Application | None
) -> Iterator[_Moment]:
    """Yield the moment before, one for each image as it is programmed, and the moment after the last."""
    edge = fus_start = _fus_start(target, fus)
    if sfsa is not None:
        edge = min(target.sector_address(sfsa), fus_start)
    system = _top(target, fus_start, fus)
    if edge < fus_start:
        system = (_region(edge, fus_start, RegionKind.STACK, "a stack", target), *system)
    why = "assumed: no stack" if sfsa is None else "as SFSA shows"
    yield _Moment(title="before", name=why, system=system, application=application, sfsa=edge)
    for step in steps:
        fus_start = _fus_start(target, step.fus)
        above = _top(target, fus_start, step.fus)
        system = (*_room(step, RegionKind.STAGED, f"{step.title}{_STAGED}", fus_start), *above)
        yield _Moment(title="programmed", name=step.name, system=system, application=application, sfsa=fus_start)
        if step.image.kind is ImageKind.STACK:
            system = (*_room(step, RegionKind.STACK, step.title, fus_start), *above)
        else:
            new_fus = fus_after(step.image, step.fus)
            system = _top(target, _fus_start(target, new_fus), new_fus)
        if step.image.kind is ImageKind.SAFEBOOT:
            application = None
    sfsa_after = system[0].start
    yield _Moment(
        title="after", name="", system=system, application=application, sfsa=sfsa_after, sfsa_note=", expected"
    )


_STAGED = ", staged"


def _room(step: MapStep, kind: RegionKind, label: str, edge: int) -> tuple[Region, ...]:
    """Return an image, its gap, and what is unused below `edge`."""
    placement, target = step.placement, step.placement.target
    end = placement.address + placement.sectors * target.sector_size
    gap_end = end + placement.gap_sectors * target.sector_size
    regions = (
        _region(placement.address, end, kind, label, target),
        _region(end, gap_end, RegionKind.GAP, "gap for FUS 2", target),
        _region(gap_end, edge, RegionKind.UNUSED, "unused", target),
    )
    return tuple(region for region in regions if region.start < region.end)


def _is_above(target: Target) -> bool:
    """Return whether FUS lies above the nominal end of the flash of this part."""
    return target.limit == _flash_end(target)


def _flash_end(target: Target) -> int:
    """Return the nominal end of the flash of this part."""
    return FLASH_BASE + target.flash_kib * 1024


def _fus_start(target: Target, fus: Version | None) -> int:
    """Return where FUS begins, or the nominal end of flash when FUS lies above it."""
    if fus == FUS_0_5_3 and target.limit_fus_0_5_3 is not None:
        return target.limit_fus_0_5_3
    return target.limit


def _top(target: Target, start: int, fus: Version | None) -> tuple[Region, ...]:
    """Return FUS, or the nominal end of the flash when FUS lies above it."""
    name = f"FUS {fus.text}" if fus else "FUS"
    if _is_above(target):
        # Its end is the end of the drawing, and not of anything on the chip.
        label, end = f"{name} lies above the nominal end", start + target.sector_size
        return (Region(start=start, end=end, kind=RegionKind.FUS, label=label, size=""),)
    return (_region(start, _flash_end(target), RegionKind.FUS, name, target),)


def _region(start: int, end: int, kind: RegionKind, label: str, target: Target) -> Region:
    return Region(start=start, end=end, kind=kind, label=label, size=_size(start, end, target))


def _size(start: int, end: int, target: Target) -> str:
    return f"{(end - start) // 1024} KiB, {counted((end - start) // target.sector_size, 'sector')}"


def _column(moment: _Moment, target: Target, top: int) -> Column:
    """Return a column: the application below the system, and where the two collide."""
    edge = moment.system[0].start
    system = list(_up_to(top, moment.system, target))
    runs = _runs(moment, target)
    regions: list[Region] = []
    at = FLASH_BASE
    for start, end in runs:
        regions += _free(at, min(start, edge), target)
        if start < edge:
            regions.append(_region(start, min(end, edge), RegionKind.APPLICATION, "application", target))
        at = max(at, min(end, edge))
    regions += _free(at, edge, target)
    for region in system:
        regions += _cut(region, [(max(start, edge), end) for start, end in runs if end > edge], target)
    is_above = _is_above(target) and moment.sfsa >= target.limit
    number = (moment.sfsa - FLASH_BASE) // target.sector_size
    return Column(
        title=moment.title,
        name=moment.name,
        regions=tuple(regions),
        sfsa=None if is_above else moment.sfsa,
        sfsa_label=f"SFSA {'above' if is_above else f'0x{number:02X}'}{moment.sfsa_note}",
    )


def _up_to(top: int, system: Sequence[Region], target: Target) -> Iterator[Region]:
    """Yield the system up to the top of the drawing, which is higher when the application is too large for the part."""
    last = system[-1]
    yield from system[:-1]
    yield replace(last, end=top) if _is_above(target) else last
    if last.end < top and not _is_above(target):
        yield Region(start=last.end, end=top, kind=RegionKind.UNUSED, label="no flash of this part", size="")


def _cut(region: Region, runs: Sequence[tuple[int, int]], target: Target) -> Iterator[Region]:
    """Yield a region, cut where the application reaches into it."""
    name, at = region.label.removesuffix(_STAGED), region.start
    is_beyond = region.start >= _flash_end(target)
    rest = region if is_beyond else replace(region, label=f"{name}, rest")
    both = "application beyond this part's flash" if is_beyond else f"application and {name}"
    reached = [(low, high) for start, end in runs if (low := max(start, at)) < (high := min(end, region.end))]
    if not reached:
        yield region
        return
    for low, high in reached:
        yield from _part(rest, at, low, target)
        yield from _part(replace(region, kind=RegionKind.COLLISION, label=both), low, high, target)
        at = high
    yield from _part(rest, at, region.end, target)


def _part(region: Region, start: int, end: int, target: Target) -> tuple[Region, ...]:
    """Return the part of a region between two addresses, with its own size; empty when there is none."""
    size = _size(start, end, target) if region.size else ""
    return (replace(region, start=start, end=end, size=size),) if start < end else ()


def _free(start: int, end: int, target: Target) -> tuple[Region, ...]:
    return (_region(start, end, RegionKind.FREE, "free", target),) if start < end else ()


def _sectors(application: Application | None, target: Target) -> list[tuple[int, int]]:
    """Return the sectors that the application takes, upwards."""
    runs: list[tuple[int, int]] = []
    for used in application.flash if application else ():
        sector = target.sector_size
        start, end = used.start // sector * sector, -(-used.end // sector) * sector
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs


def _runs(moment: _Moment, target: Target) -> list[tuple[int, int]]:
    """Return the sectors that the application takes.

    The nearest are joined until few are left, but not across a border of the system.
    """
    runs = _sectors(moment.application, target)
    borders = [region.start for region in moment.system]
    while len(runs) > _LARGEST_RUNS:
        holes = [
            # Holes inside the system come last: when joined, they look like collisions.
            (low >= borders[0], high - low, index)
            for index, ((_, low), (high, _)) in enumerate(pairwise(runs))
            if not any(low < border < high for border in borders)
        ]
        if not holes:
            break
        nearest = min(holes)[-1]
        runs[nearest : nearest + 2] = [(runs[nearest][0], runs[nearest + 1][1])]
    return runs


def _hides_holes(moments: Sequence[_Moment], target: Target) -> bool:
    """Return whether the application is drawn without some of its holes."""
    return any(len(_runs(moment, target)) < len(_sectors(moment.application, target)) for moment in moments)


def _end(application: Application | None, target: Target) -> int:
    return -(-application.end // target.sector_size) * target.sector_size if application else 0


def _strips(image: Image, target: Target, application: Application | None) -> Iterator[Strip]:
    """Yield SRAM2a and SRAM2b: what is left to the application, what the stack uses, and what both use."""
    ram = application.ram if application and image.kind is ImageKind.STACK else ()
    owner = {ImageKind.STACK: "stack", ImageKind.FUS: "FUS"}.get(image.kind, "image")
    for name, start, end, kept in shared_ram(image, target):
        both = [used for used in ram if used.meets(kept, end)]
        low = min([end, *(max(used.start, kept) for used in both)])
        high = max([low, *(min(used.end, end) for used in both)])
        parts = (
            (start, kept, RegionKind.FREE, "application"),
            (kept, low, RegionKind.CPU2, owner),
            (low, high, RegionKind.COLLISION, "both use"),
            (high, end, RegionKind.CPU2, owner),
        )
        yield Strip(
            name=name,
            regions=tuple(
                Region(start=first, end=last, kind=kind, label=label, size=_kib(last - first))
                for first, last, kind, label in parts
                if first < last
            ),
        )


def _kib(size: int) -> str:
    return f"{size // 1024} KiB" if size % 1024 == 0 else counted(size, "byte")


def _notes(target: Target, steps: Sequence[MapStep], *, is_deleted: bool) -> Iterator[str]:
    """Yield what the drawing cannot show."""
    yield "Not to scale. Programming an image does not install it: FUS must be told to install it."
    if steps[-1].image.kind is ImageKind.STACK:
        yield (
            'The column "after" is a prediction: hardware has not confirmed for every part and FUS that SFSA becomes '
            "the address of the image."
        )
    if _is_above(target):
        yield "SFSA above: without a stack, it points to FUS above the nominal end of flash. FUS is not drawn in full."
    if is_deleted:
        yield "The stack is deleted before the first image is programmed."
    for before, after in pairwise(steps):
        if before.image.kind is ImageKind.STACK:
            yield f"Delete {before.title} before you program {after.title}."
    if any(step.image.kind is ImageKind.SAFEBOOT for step in steps):
        yield "To install Safeboot is a factory reset: it erases the stack and the application."
