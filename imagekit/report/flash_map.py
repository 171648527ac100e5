"""The picture of a part's flash, as values: columns of regions before, while and after images are installed.

It holds no drawing: flash_map_text.py and flash_map_svg.py render it, and share the bands in which it is laid out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from imagekit.application import Application
from imagekit.errors import counted
from imagekit.image import FUS_1_2, Image, ImageKind, Version
from imagekit.placement import Placement
from imagekit.rules import shared_ram
from imagekit.targets import FLASH_BASE, Target
from imagekit.upgrade import FUS_0_5_3

LARGEST_FILES = 4
"""Images that still make a readable picture."""

_LARGEST_RUNS = 4  # parts of an application drawn one by one


class RegionKind(Enum):
    """What a region is; the values are the names of its style in SVG."""

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
    """A run of memory that is one thing."""

    start: int
    end: int
    """The address just above it."""
    kind: RegionKind
    label: str
    size: str
    """Its size in words; empty where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The flash at one moment, upwards without holes."""

    title: str
    name: str
    """The file that it is about; empty for none."""
    regions: tuple[Region, ...]
    sfsa: int | None
    """The address that SFSA says; None when it lies above this part's flash."""
    sfsa_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One SRAM, as an image divides it between the CPUs."""

    name: str
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that is drawn."""

    title: str
    columns: tuple[Column, ...]
    top_is_open: bool
    """Whether the uppermost address is not the end of anything: FUS lies somewhere above."""
    strips_title: str
    strips: tuple[Strip, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One image to install, in its place."""

    name: str
    image: Image
    placement: Placement
    fus: Version | None
    """The FUS that installs it, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is in flash at one moment, from below: an application, then `system` up to the top."""

    title: str
    name: str
    system: tuple[Region, ...]
    application: Application | None
    sfsa: int
    sfsa_note: str = ""


def picture(
    part: str,
    target: Target,
    steps: Sequence[Step],
    *,
    fus: Version | None = None,
    sfsa: int | None = None,
    application: Application | None = None,
) -> Picture:
    """Draw the flash of a part before, while and after images are installed, in their order.

    `sfsa` is the SFSA field before the first, in sectors. One step at least.
    """
    moments = list(_moments(target, steps, fus, sfsa, application))
    top = max(moments[0].system[-1].end, *(_end(one.application, target) for one in moments))
    last = next((step for step in reversed(steps) if step.image.kind is ImageKind.STACK), steps[-1])
    return Picture(
        title=f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {target.sector_size // 1024} KiB",
        columns=tuple(_column(moment, target, top) for moment in moments),
        top_is_open=_is_above(target),
        strips_title=f"SRAM2 under {what(last.image)}, as the footer of {last.name} says",
        strips=tuple(_strips(last.image, target, application)),
        notes=tuple(_notes(target, steps)),
    )


def what(image: Image) -> str:
    """Return the kind and version of an image: `stack 1.23.0`."""
    kind = {ImageKind.FUS: "FUS", ImageKind.SAFEBOOT: "Safeboot"}.get(image.kind, image.kind.value)
    version = FUS_1_2 if image.is_hidden_fus else image.version
    return f"{kind} {version.text}" if version else kind


def bands(
    columns: Sequence[Sequence[Region]],
    *,
    natural: Callable[[int], int],
    needed: Callable[[Region], int],
    line: int,
) -> list[tuple[int, int, int]]:
    """Cut all columns at every boundary of any; return start, end and height of each band, upwards.

    `natural` is the height for a size in bytes, `needed` the least height of a region, `line` what the line between
    two bands adds to a region that spans both. So that all columns line up, and the smallest region can be read.
    """
    cuts = sorted({address for column in columns for region in column for address in (region.start, region.end)})
    heights = [natural(high - low) for low, high in pairwise(cuts)]
    place = {address: index for index, address in enumerate(cuts)}
    regions = {(one.start, one.end, one.label, one.size): one for column in columns for one in column}.values()
    for region in sorted(regions, key=lambda one: (place[one.end] - place[one.start], one.start)):
        span = range(place[region.start], place[region.end])
        lacking = needed(region) - sum(heights[index] for index in span) - line * (len(span) - 1)
        if lacking > 0:
            heights[max(span, key=lambda index: (cuts[index + 1] - cuts[index], index))] += lacking
    return [(low, high, height) for (low, high), height in zip(pairwise(cuts), heights, strict=True)]


def _moments(
    target: Target, steps: Sequence[Step], fus: Version | None, sfsa: int | None, application: Application | None
) -> Iterator[_Moment]:
    """Before, once for each image as it is programmed, and after the last."""
    edge = fus_start = _fus_start(target, fus)
    if sfsa is not None:
        edge = min(FLASH_BASE + sfsa * target.sector_size, fus_start)
    old = (_region(edge, fus_start, RegionKind.STACK, "a stack", target),) if edge < fus_start else ()
    system: tuple[Region, ...] = (*old, *_top(target, fus_start))
    yield _Moment(title="before", name="", system=system, application=application, sfsa=edge)
    for step in steps:
        fus_start = _fus_start(target, step.fus)
        above, edge = _top(target, fus_start), edge if old else fus_start
        staged = _room(step, RegionKind.STAGED, f"{what(step.image)}, staged", edge)
        system = (*staged, *old, *above)
        yield _Moment(title="programmed", name=step.name, system=system, application=application, sfsa=edge)
        if step.image.kind is ImageKind.STACK:
            rest = (_region(edge, fus_start, RegionKind.UNUSED, "the old stack's room", target),) if old else ()
            system = (*_room(step, RegionKind.STACK, what(step.image), edge), *rest, *above)
        else:
            system = above
        if step.image.kind is ImageKind.SAFEBOOT:
            application = None
        old = ()  # the next one is placed as if there were no stack: it must be deleted first
    sfsa_after = system[0].start
    yield _Moment(
        title="after", name="", system=system, application=application, sfsa=sfsa_after, sfsa_note=", expected"
    )


def _room(step: Step, kind: RegionKind, label: str, edge: int) -> tuple[Region, ...]:
    """An image, its gap, and what is left over below `edge`."""
    one, target = step.placement, step.placement.target
    end = one.address + one.sectors * target.sector_size
    gap_end = end + one.gap_sectors * target.sector_size
    return (
        _region(one.address, end, kind, label, target),
        *((_region(end, gap_end, RegionKind.GAP, "gap for FUS 2", target),) if end < gap_end else ()),
        *((_region(gap_end, edge, RegionKind.UNUSED, "unused", target),) if gap_end < edge else ()),
    )


def _is_above(target: Target) -> bool:
    """Whether FUS lies above the nominal end of the part's flash."""
    return target.limit == FLASH_BASE + target.flash_kib * 1024


def _fus_start(target: Target, fus: Version | None) -> int:
    """Where FUS begins, or the nominal end of flash where it lies above that."""
    if fus == FUS_0_5_3 and target.limit_fus_0_5_3 is not None:
        return target.limit_fus_0_5_3
    return target.limit


def _top(target: Target, start: int) -> tuple[Region, ...]:
    """FUS, or where the flash of the part nominally ends."""
    if _is_above(target):
        label, end = "FUS lies above the nominal end", start + target.sector_size  # its place is not told
        return (Region(start=start, end=end, kind=RegionKind.FUS, label=label, size=""),)
    return (_region(start, FLASH_BASE + target.flash_kib * 1024, RegionKind.FUS, "FUS", target),)


def _region(start: int, end: int, kind: RegionKind, label: str, target: Target) -> Region:
    return Region(start=start, end=end, kind=kind, label=label, size=_size(start, end, target))


def _size(start: int, end: int, target: Target) -> str:
    return f"{(end - start) // 1024} KiB, {counted((end - start) // target.sector_size, 'sector')}"


def _column(moment: _Moment, target: Target, top: int) -> Column:
    """Put the application below the system, and show where the two collide."""
    edge = moment.system[0].start
    system = list(moment.system)
    if system[-1].end < top:  # an application that is too large for the part
        system.append(_region(system[-1].end, top, RegionKind.UNUSED, "no flash of this part", target))
    runs = _runs(moment.application, target)
    regions: list[Region] = []
    at = FLASH_BASE
    for start, end in runs:
        regions += _free(at, min(start, edge), target)
        if start < edge:
            regions.append(_region(start, min(end, edge), RegionKind.APPLICATION, "application", target))
        at = max(at, min(end, edge))
    regions += _free(at, edge, target)
    for one in system:
        regions += _cut(one, [(max(start, edge), end) for start, end in runs if end > edge], target)
    shown = _is_above(target) and moment.sfsa >= target.limit
    number = (moment.sfsa - FLASH_BASE) // target.sector_size
    return Column(
        title=moment.title,
        name=moment.name,
        regions=tuple(regions),
        sfsa=None if shown else moment.sfsa,
        sfsa_label=f"SFSA above{moment.sfsa_note}" if shown else f"SFSA 0x{number:02X}{moment.sfsa_note}",
    )


def _cut(region: Region, runs: Sequence[tuple[int, int]], target: Target) -> Iterator[Region]:
    """A region, cut where the application reaches into it."""
    at = region.start
    for start, end in runs:
        low, high = max(start, at), min(end, region.end)
        if low >= high:
            continue
        if at < low:
            yield _part(region, at, low, target)
        yield _region(
            low,
            high,
            RegionKind.COLLISION,
            f"application and {region.label.partition(' lies')[0].removesuffix(', staged')}",
            target,
        )
        at = high
    if at < region.end:
        yield _part(region, at, region.end, target)


def _part(region: Region, start: int, end: int, target: Target) -> Region:
    return replace(region, start=start, end=end, size=_size(start, end, target) if region.size else "")


def _free(start: int, end: int, target: Target) -> tuple[Region, ...]:
    return (_region(start, end, RegionKind.FREE, "free", target),) if start < end else ()


def _runs(application: Application | None, target: Target) -> list[tuple[int, int]]:
    """The sectors that the application takes, upwards; the nearest runs joined until they are few."""
    runs: list[tuple[int, int]] = []
    for block in application.blocks if application else ():
        sector = target.sector_size
        start, end = block.start // sector * sector, -(-block.end // sector) * sector
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    while len(runs) > _LARGEST_RUNS:
        nearest = min(range(len(runs) - 1), key=lambda index: runs[index + 1][0] - runs[index][1])
        runs[nearest : nearest + 2] = [(runs[nearest][0], runs[nearest + 1][1])]
    return runs


def _end(application: Application | None, target: Target) -> int:
    return -(-application.end // target.sector_size) * target.sector_size if application else 0


def _strips(image: Image, target: Target, application: Application | None) -> Iterator[Strip]:
    """SRAM2a and SRAM2b: what CPU1 keeps, what CPU2 takes, and what both want."""
    ram = application.ram if application and image.kind is ImageKind.STACK else ()
    for name, start, end, kept in shared_ram(image, target):
        used = max([kept, *(min(one.end, end) for one in ram if one.start < end and one.end > kept)])
        parts = (
            (start, kept, RegionKind.FREE, "CPU1 keeps"),
            (kept, used, RegionKind.COLLISION, "both use"),
            (used, end, RegionKind.CPU2, "CPU2 takes"),
        )
        yield Strip(
            name=name,
            regions=tuple(
                Region(start=low, end=high, kind=kind, label=label, size=_kib(high - low))
                for low, high, kind, label in parts
                if low < high
            ),
        )


def _kib(size: int) -> str:
    return f"{size // 1024} KiB" if size % 1024 == 0 else f"{size} bytes"


def _notes(target: Target, steps: Sequence[Step]) -> Iterator[str]:
    """What the picture cannot show."""
    yield "Not to scale. Programming an image does not install it: FUS does, when it is told to."
    if steps[-1].image.kind is ImageKind.STACK:
        yield (
            "After: expected. That SFSA then is the address of the image is not confirmed on hardware for every part "
            "and FUS."
        )
    if _is_above(target):
        yield "SFSA above: with no stack it points above the nominal end of flash, to FUS, which is not drawn in full."
    if steps[0].placement.after_delete is not None:
        yield (
            "A stack is installed: FUS may move the new one up into its room, which is not confirmed. Deleting it "
            "first leaves all of that room."
        )
    for before, after in pairwise(steps):
        if before.image.kind is ImageKind.STACK:
            yield f"Before {after.name} is programmed, the stack of {before.name} must be deleted."
    if any(step.image.kind is ImageKind.SAFEBOOT for step in steps):
        yield "Installing Safeboot is a factory reset: it erases the stack and the application."
