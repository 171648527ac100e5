"""What `map` prints: a drawing, in ASCII where the output has no box drawing characters, and JSON (docs/json.md)."""

from collections.abc import Iterator, Sequence
from functools import partial

from imagekit.flash_map import Column, Picture, Region, RegionKind, Strip, bands
from imagekit.report.layout import Json, Paint, hex_or_none, plain
from imagekit.text import cells, hex_word, padded, shortened, wrapped

MAP_SCHEMA = "imagekit.map/1"

_CROSS = "\N{BOX DRAWINGS LIGHT DIAGONAL CROSS}"
BOXES = f"─│┌┐└┘├┤┬┴┼═…·{_CROSS}"
"""The characters of the drawing that are not in ASCII."""

_ASCII = str.maketrans(BOXES, "-|+++++++++=~.X")
_GUTTER = 12
# Three columns and the addresses take at most 100 characters.
_WIDTHS = {3: 28, 4: 26, 5: 24, 6: 22}
_FILLS = {RegionKind.GAP: "·", RegionKind.UNUSED: "·", RegionKind.COLLISION: _CROSS}
_STRIP_FILLS = {RegionKind.COLLISION: _CROSS}
_ROLES = {RegionKind.COLLISION: "error"}
_STRIP_WIDTH, _LEAST_CELL = 87, 25
# (line on the left, line on the right) between two columns
_JUNCTIONS = {(False, False): "│", (True, False): "┤", (False, True): "├", (True, True): "┼"}


def text(picture: Picture, *, boxes: bool = True, width: int | None = None, paint: Paint = plain) -> str:
    """Draw a map as lines of text; notes are wrapped at `width` columns, or at 100."""
    cell = _WIDTHS.get(len(picture.columns), _WIDTHS[6])
    lines = [paint(picture.title, "bold"), "", *_headings(picture.columns, cell)]
    lines += _flash(picture, cell, paint)
    lines += ["", picture.strips_title]
    for strip in picture.strips:
        lines += _strip(strip, paint)
    lines.append("")
    for note in picture.notes:
        lines += wrapped(note, min(width or 100, 100))
    drawn = "\n".join(line.rstrip() for line in lines)
    if not boxes:
        return drawn.translate(_ASCII)
    return drawn


def as_list(picture: Picture, width: int, *, paint: Paint = plain) -> str:
    """Return the map as a list, for a terminal that is too narrow for the drawing: one region below the other."""
    lines = [paint(line, "bold") for line in _folded(picture.title, width, "")]
    for column in picture.columns:
        heading = column.title
        if column.name:
            heading += f": {column.name}"
        lines += ["", *_folded(f"{heading} ({column.sfsa_label})", width, "")]
        for region in reversed(column.regions):
            lines += _listed(region, width, paint)
    lines += ["", *_folded(picture.strips_title, width, "")]
    for strip in picture.strips:
        lines.append(strip.name)
        for region in strip.regions:
            lines += _listed(region, width, paint)
    lines.append("")
    for note in picture.notes:
        lines += _folded(note, width, "")
    return "\n".join(lines)


def _listed(region: Region, width: int, paint: Paint) -> list[str]:
    """Return a region in one line, or more where it does not fit."""
    where, what = f"above {hex_word(region.start)}", region.label
    if region.size:
        where, what = f"{hex_word(region.start)}-{hex_word(region.end - 1)}", f"{region.label}, {region.size}"
    lines = _folded(f"{where:<21}  {what}", width, "  ")
    return [paint(line, _ROLES.get(region.kind, "")) for line in lines]


def _folded(text: str, width: int, indent: str) -> list[str]:
    """Break a text into lines, and indent all but the first further."""
    first, *rest = wrapped(text, max(width - len(indent) - 2, _NARROWEST)) or [""]
    return [indent + first, *(f"{indent}  {line}" for line in rest)]


_NARROWEST = 24


def document(maps: Sequence[tuple[str, Picture]]) -> Json:
    """Return what `map --json` prints, from each part and its map."""
    return {"schema": MAP_SCHEMA, "maps": [{"part": part, **_map(picture)} for part, picture in maps]}


def _map(picture: Picture) -> Json:
    return {
        "title": picture.title,
        "columns": [
            {
                "title": column.title,
                "name": column.name,
                "sfsa": hex_or_none(column.sfsa),
                "regions": [_region(region) for region in column.regions],
            }
            for column in picture.columns
        ],
        "memories": [
            {"name": strip.name, "regions": [_region(region) for region in strip.regions]} for strip in picture.strips
        ],
        "notes": list(picture.notes),
    }


def _region(region: Region) -> Json:
    end = None
    if region.size:
        end = hex_word(region.end - 1)
    return {"kind": region.kind.value, "label": region.label, "start": hex_word(region.start), "end": end}


def _headings(columns: Sequence[Column], cell: int) -> Iterator[str]:
    for row in ([column.title for column in columns], [shortened(column.name, cell - 1) for column in columns]):
        yield " " * (_GUTTER + 1) + " ".join(padded(heading, cell) for heading in row)


def columns_of(picture: Picture) -> int:
    """Return the columns that a terminal must have for the drawing."""
    return max(map(cells, text(picture).splitlines()))


def _wrapped(region: Region, cell: int) -> list[str]:
    """Return the lines of a region's label."""
    lines = wrapped(region.label, cell - 2)
    if region.size:
        lines.append(region.size)
    return lines


def _flash(picture: Picture, cell: int, paint: Paint) -> Iterator[str]:
    """Yield the columns side by side, the highest address first."""
    columns = [column.regions for column in picture.columns]
    rows = bands(
        columns,
        natural=_natural_height,
        needed=lambda region: len(_wrapped(region, cell)),
        line=1,
    )
    cuts = [low for low, _, _ in rows]
    starts = {address: index for index, address in enumerate([*cuts, rows[-1][1]])}
    cells = [list(_column_rows(column, rows, starts, cell, paint)) for column in picture.columns]
    top = rows[-1][1]
    yield _edge(top, ("┌", "┬", "┐"), cell, len(cells), is_open=picture.top_is_open)
    at = 0
    for index, (low, _, height) in reversed(list(enumerate(rows))):
        for row in range(at, at + height):
            yield " " * _GUTTER + "│" + "│".join(column[row] for column in cells) + "│"
        at += height + 1
        if index:
            yield _boundary(low, picture.columns, [column[at - 1] for column in cells])
    yield _edge(cuts[0], ("└", "┴", "┘"), cell, len(cells))


_LARGE = 64 * 1024  # bytes; a band of at least this size is drawn higher


def _natural_height(size: int) -> int:
    if size >= _LARGE:
        return 3
    return 1


def _edge(address: int, corners: tuple[str, str, str], cell: int, count: int, *, is_open: bool = False) -> str:
    left, middle, right = corners
    start = hex_word(address)
    if is_open:
        start = " " * len(start)
    return f"{start}  {left}{middle.join(['─' * cell] * count)}{right}"


def _boundary(address: int, columns: Sequence[Column], parts: Sequence[str]) -> str:
    """Return the row of a boundary: a line in the columns that have it, the region that continues in the others."""
    lines = [any(region.start == address for region in column.regions) for column in columns]
    ends = zip([False, *lines], [*lines, False], strict=True)
    junctions = [_JUNCTIONS[left, right] for left, right in ends]
    junctions[-1] = "│"
    if lines[-1]:
        junctions[-1] = "┤"
    return f"{hex_word(address)}  {junctions[0]}" + "".join(
        part + junction for part, junction in zip(parts, junctions[1:], strict=True)
    )


def _column_rows(
    column: Column, rows: Sequence[tuple[int, int, int]], starts: dict[int, int], cell: int, paint: Paint
) -> Iterator[str]:
    """Yield all rows of a column, downwards, including those of boundaries."""
    for region in reversed(column.regions):
        span = rows[starts[region.start] : starts[region.end]]
        height = sum(band_height for _, _, band_height in span) + len(span) - 1
        label = _wrapped(region, cell)
        before = (height - len(label)) // 2
        fill, role = _FILLS.get(region.kind, " "), _ROLES.get(region.kind, "")
        for row in range(height):
            inside = ""
            if before <= row < before + len(label):
                inside = label[row - before]
            yield paint(_filled(inside, fill, cell), role)
        if region.start != column.regions[0].start:
            yield _line(column, region.start, cell)


def _filled(inside: str, fill: str, cell: int) -> str:
    """Return one row of a region."""
    if not inside:
        return fill * cell
    return f" {inside} ".ljust(cell, fill)


def _line(column: Column, address: int, cell: int) -> str:
    """Return the line below a region, marked where SFSA points to it."""
    if address == column.sfsa:
        return f"══ {column.sfsa_label} ".ljust(cell, "═")
    return "─" * cell


def _strip(strip: Strip, paint: Paint) -> Iterator[str]:
    """Yield one SRAM, from left to right."""
    widths = _cell_widths(strip.regions)
    line = partial(_strip_line, strip.regions, widths, paint)
    yield " " * 12 + "┌" + "┬".join("─" * width for width in widths) + "┐"
    yield f"{strip.name:<12}" + line([f"{region.label} {region.size}" for region in strip.regions])
    yield " " * 12 + line([f"{hex_word(region.start)}-{hex_word(region.end - 1)}" for region in strip.regions])
    yield " " * 12 + "└" + "┴".join("─" * width for width in widths) + "┘"


def _strip_line(regions: Sequence[Region], widths: Sequence[int], paint: Paint, texts: Sequence[str]) -> str:
    cells = (
        paint(_filled(text, _STRIP_FILLS.get(region.kind, " "), width), _ROLES.get(region.kind, ""))
        for region, width, text in zip(regions, widths, texts, strict=True)
    )
    return "│" + "│".join(cells) + "│"


def _cell_widths(regions: Sequence[Region]) -> list[int]:
    """Return the widths of a strip's cells: by size, but wide enough for their words."""
    room = max(_STRIP_WIDTH - 1 - len(regions), _LEAST_CELL * len(regions))
    whole = regions[-1].end - regions[0].start
    spare = room - _LEAST_CELL * len(regions)
    widths = [_LEAST_CELL + spare * (region.end - region.start) // whole for region in regions]
    widths[-1] += room - sum(widths)
    return widths
