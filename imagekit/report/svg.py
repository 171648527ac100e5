"""The map of a part's flash as one SVG file: without scripts, without other files, light and dark.

Kinds of region differ in words and, where it matters, in pattern, not in colour only. The colours are tints of the set
by M. Okabe and K. Ito, "Color Universal Design" (2008), which colour-blind people can tell apart.
"""

from collections.abc import Iterator, Sequence
from math import log2
from xml.sax.saxutils import escape

from imagekit.flash_map import Column, Picture, Region, RegionKind, Strip, bands
from imagekit.text import hex_word, is_wide, printable, shortened, wrapped

_WIDTH = 800
_MARGIN, _GUTTER, _BETWEEN = 20, 84, 10
_LINE = 16
"""Pixels from one line of text to the next, at 12 pixels a letter."""
_LETTER, _CAPITAL, _WIDEST_LETTER = 7.2, 8.6, 12.0
"""Pixels at 12 pixels in common sans-serif fonts: for a small letter on average, for a capital, for the widest."""
_BOLD = 1.1
"""How much wider letters are in bold."""
_PADDING = 11
_TOP, _HEADING = 58, 40
_STRIP_HEIGHT, _LEAST_CELL = 44, 170
_LABELS = 74  # pixels before a strip, for its name

# Name: light, dark.
_COLOURS = {
    "paper": ("#ffffff", "#14171a"),
    "ink": ("#1c2126", "#e8eaed"),
    "quiet": ("#5b6670", "#a3adb7"),
    "edge": ("#8a949e", "#737d87"),
    "free": ("#ffffff", "#14171a"),
    "application": ("#cfe5f6", "#12405f"),
    "staged": ("#fbe7bd", "#5c4409"),
    "stack": ("#c5eadd", "#0b4f3c"),
    "gap": ("#f3f4f6", "#23282d"),
    "unused": ("#f3f4f6", "#23282d"),
    "fus": ("#dfe2e6", "#3a4148"),
    "collision": ("#f8d0ba", "#6e2b04"),
    "cpu2": ("#c5eadd", "#0b4f3c"),
    "hatch": ("#aab2ba", "#59636d"),
    "alarm": ("#b34700", "#ff9c5c"),
    "sfsa": ("#0060a0", "#6cbcf5"),
}
_HATCHED = {RegionKind.GAP: "gap", RegionKind.UNUSED: "gap", RegionKind.COLLISION: "collision"}


def svg(picture: Picture) -> str:
    """Draw the map as an SVG document, 800 units wide."""
    flash, end = _flash(picture)
    strips, end = _strips(picture, end + 40)
    notes = [line for note in picture.notes for line in wrapped(note, _WIDTH - 2 * _MARGIN, _pixels)]
    body = [
        _text(_MARGIN, 32, picture.title, "title"),
        *flash,
        *strips,
        *(_text(_MARGIN, end + 18 + _LINE * index, line, "quiet") for index, line in enumerate(notes)),
    ]
    height = end + 18 + _LINE * len(notes) + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="imagekit-map" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="imagekit-title imagekit-desc">',
            f'<title id="imagekit-title">{_escaped(picture.title)}</title>',
            f'<desc id="imagekit-desc">{_escaped(_description(picture))}</desc>',
            f"<style>{_style()}</style>",
            _PATTERNS,
            f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
            *body,
            "</svg>",
            "",
        ]
    )


_PATTERNS = """<defs>
<pattern id="imagekit-gap" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<path d="M0 0V8" class="hatch"/></pattern>
<pattern id="imagekit-collision" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<path d="M0 0V9M0 0H9" class="crosses"/></pattern>
</defs>"""


_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_FIXED_FONT = "ui-monospace,SFMono-Regular,Consolas,'DejaVu Sans Mono',monospace"
_SHAPES = (
    f".imagekit-map text{{font-size:12px;font-family:{_FONT}}}"
    ".imagekit-map .title{font-size:16px;font-weight:600}"
    ".imagekit-map .strong,.imagekit-map .tag{font-weight:600}"
    f".imagekit-map .address{{font-family:{_FIXED_FONT}}}"
    ".edge,.staged-edge,.alarm{fill:none}"
    ".staged-edge{stroke-dasharray:5 3}"
    ".alarm{stroke-width:2}"
    ".crosses{stroke-opacity:.55}"
    ".guide{stroke-dasharray:1 4}"
    ".sfsa{stroke-width:3}"
)
_PAINTED = (
    *((f".{name}", "fill", name) for name in ("paper", *(kind.value for kind in RegionKind))),
    (".imagekit-map text", "fill", "ink"),
    (".imagekit-map .quiet", "fill", "quiet"),
    (".imagekit-map .tag", "fill", "sfsa"),
    (".edge", "stroke", "edge"),
    (".staged-edge", "stroke", "edge"),
    (".guide", "stroke", "edge"),
    (".alarm", "stroke", "alarm"),
    (".crosses", "stroke", "alarm"),
    (".hatch", "stroke", "hatch"),
    (".sfsa", "stroke", "sfsa"),
)
"""Selector, property, and the name of the colour."""


def _style() -> str:
    """Return the style sheet.

    Every colour is literal, without variables: CairoSVG draws a variable in black, and svglib fails at one.
    """
    light, dark = ("".join(_rules(scheme)) for scheme in (0, 1))
    return f"{_SHAPES}{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _rules(scheme: int) -> Iterator[str]:
    """Yield the colours of one scheme: 0 light, 1 dark."""
    for selector, attribute, colour in _PAINTED:
        yield f"{selector}{{{attribute}:{_COLOURS[colour][scheme]}}}"


def _flash(picture: Picture) -> tuple[list[str], int]:
    """Return the columns, and the height at which they end."""
    count = len(picture.columns)
    width = (_WIDTH - 2 * _MARGIN - _GUTTER - _BETWEEN * (count - 1)) // count
    rows = bands(
        [column.regions for column in picture.columns],
        natural=lambda size: max(20, round(12 * log2(size / 1024))),
        needed=lambda region: _LINE * len(_wrapped(region, width)) + 2 * _PADDING,
        line=0,
    )
    top = _TOP + _HEADING
    end = top + sum(height for _, _, height in rows)
    heights, at = {rows[0][0]: end}, end
    for _, high, height in rows:
        at -= height
        heights[high] = at
    parts = [f'<path class="guide" d="M{_MARGIN + _GUTTER - 6} {y}H{_WIDTH - _MARGIN}"/>' for y in heights.values()]
    for address, y in heights.items():
        if address != rows[-1][1] or not picture.top_is_open:
            parts.append(_text(_MARGIN, y + 4, hex_word(address), "address quiet"))
    for index, column in enumerate(picture.columns):
        x = _MARGIN + _GUTTER + index * (width + _BETWEEN)
        parts += _column(column, x, width, heights)
    return parts, end


def _column(column: Column, x: int, width: int, heights: dict[int, int]) -> Iterator[str]:
    yield _text(x, _TOP + 12, column.title, "strong")
    yield _text(x, _TOP + 12 + _LINE, shortened(column.name, width, _pixels), "quiet")
    for region in column.regions:
        yield from _box(region, x, heights[region.end], width, heights[region.start] - heights[region.end])
        yield from _label(region, x, heights[region.end], width, heights[region.start] - heights[region.end])
    # The frame of a collision is drawn last, so that its neighbours do not cover it.
    for region in column.regions:
        if region.kind is RegionKind.COLLISION:
            high, low = heights[region.end], heights[region.start]
            yield f'<rect class="alarm" x="{x}" y="{high}" width="{width}" height="{low - high}"/>'
    if column.sfsa is not None:
        y = heights[column.sfsa]
        yield f'<path class="sfsa" d="M{x} {y}H{x + width}"/>'
        # A narrow column has no room for the words that are in the notes too.
        label = column.sfsa_label
        if _tag_width(label) >= width:
            label = label.partition(",")[0]
        yield _tag(label, x + width, y)


def _box(region: Region, x: int, y: int, width: int, height: int) -> Iterator[str]:
    place = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    yield f'<rect class="{region.kind.value}" {place}/>'
    if region.kind in _HATCHED:
        yield f'<rect fill="url(#imagekit-{_HATCHED[region.kind]})" {place}/>'
    edge = "edge"
    if region.kind is RegionKind.STAGED:
        edge = "staged-edge"
    yield f'<rect class="{edge}" {place}/>'


def _label(region: Region, x: int, y: int, width: int, height: int) -> Iterator[str]:
    lines = _wrapped(region, width)
    first = y + (height - _LINE * len(lines)) // 2 + 12
    if region.kind in _HATCHED:
        yield _plate(region.kind, lines, x, first, width)
    sizes = len(wrapped(region.size, width - 14, _pixels))
    for index, line in enumerate(lines):
        style = ""
        if index < len(lines) - sizes:
            style = "strong"
        yield _text(x + 10, first + _LINE * index, line, style)


def _plate(kind: RegionKind, lines: Sequence[str], x: int, first: int, width: int) -> str:
    """Return a plain ground under a label, for a hatched region."""
    wide = min(width - 6, round(max(map(_bold_pixels, lines))) + 10)
    return (
        f'<rect class="{kind.value}" x="{x + 5}" y="{first - 13}" width="{wide}" '
        f'height="{_LINE * len(lines) + 3}" rx="3"/>'
    )


def _tag(label: str, right: int, y: int) -> str:
    """Return the name of SFSA on its line, at the right."""
    wide = _tag_width(label)
    return (
        f'<rect class="paper" x="{right - wide - 6}" y="{y - 9}" width="{wide}" height="18" rx="4"/>'
        f'<text class="tag" x="{right - 11}" y="{y + 4}" text-anchor="end">{_escaped(label)}</text>'
    )


def _tag_width(label: str) -> int:
    return round(_bold_pixels(label)) + 10


def _strips(picture: Picture, y: int) -> tuple[list[str], int]:
    """Return the SRAMs below one another, and the height at which they end."""
    title = shortened(picture.strips_title, _WIDTH - 2 * _MARGIN, _bold_pixels)
    parts = [_text(_MARGIN, y, title, "strong")]
    y += 12
    for strip in picture.strips:
        parts += _strip(strip, y)
        y += _STRIP_HEIGHT + 10
    return parts, y


def _strip(strip: Strip, y: int) -> Iterator[str]:
    yield _text(_MARGIN, y + _STRIP_HEIGHT // 2 + 4, strip.name, "strong")
    room = _WIDTH - 2 * _MARGIN - _LABELS
    whole = strip.regions[-1].end - strip.regions[0].start
    spare, x = room - _LEAST_CELL * len(strip.regions), _MARGIN + _LABELS
    for index, region in enumerate(strip.regions):
        width = _LEAST_CELL + spare * (region.end - region.start) // whole
        if index == len(strip.regions) - 1:
            width = _MARGIN + _LABELS + room - x
        yield from _box(region, x, y, width, _STRIP_HEIGHT)
        words = (f"{region.label} {region.size}", f"{hex_word(region.start)}-{hex_word(region.end - 1)}")
        if region.kind in _HATCHED:
            yield _plate(region.kind, words, x, y + 18, width)
        yield _text(x + 10, y + 18, words[0], "strong")
        yield _text(x + 10, y + 18 + _LINE, words[1], "")
        if region.kind is RegionKind.COLLISION:
            yield f'<rect class="alarm" x="{x}" y="{y}" width="{width}" height="{_STRIP_HEIGHT}"/>'
        x += width


def _wrapped(region: Region, width: int) -> list[str]:
    """Return the lines of a region's label, its size last."""
    return [*wrapped(region.label, width - 14, _bold_pixels), *wrapped(region.size, width - 14, _pixels)]


def _pixels(text: str) -> float:
    """Return the width of a text in pixels, at 12 pixels in common sans-serif fonts: an upper estimate."""
    return sum(map(_letter_pixels, text))


def _letter_pixels(char: str) -> float:
    if char in "MW@%mw…" or is_wide(char):
        return _WIDEST_LETTER
    if char.isupper():
        return _CAPITAL
    return _LETTER


def _bold_pixels(text: str) -> float:
    return _BOLD * _pixels(text)


def _text(x: int, y: int, text: str, style: str) -> str:
    if not text:
        return ""
    attribute = ""
    if style:
        attribute = f' class="{style}"'
    return f'<text{attribute} x="{x}" y="{y}">{_escaped(text)}</text>'


def _description(picture: Picture) -> str:
    """Return the map in words, for people who cannot see it."""
    columns = []
    for column in picture.columns:
        regions = "; ".join(map(_region_in_words, column.regions))
        name = " ".join(filter(None, [column.title, column.name]))
        columns.append(f"{name}, {column.sfsa_label}: {regions}.")
    return " ".join([*columns, *picture.notes])


def _region_in_words(region: Region) -> str:
    what = region.label
    if region.size:
        what += f" ({region.size})"
    return f"{what} from {hex_word(region.start)}"


def _escaped(text: str) -> str:
    return escape(printable(text))
