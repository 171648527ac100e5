"""What `catalogue show` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator, Sequence

from imagekit.catalogue import Catalogue, Content, image_of, purpose, shipped
from imagekit.errors import PlacementError
from imagekit.fus_versions import fus_range
from imagekit.image.model import Image, Version
from imagekit.placement import place
from imagekit.report.layout import Json, plain, row
from imagekit.targets import TARGETS, Target
from imagekit.text import hex_word

CONTENTS_SCHEMA = "imagekit.contents/1"


def not_in_catalogue(catalogue: Catalogue | None = None) -> str:
    """Return that an image is not in a catalogue, and which releases that covers; None is the built-in one."""
    built_in = shipped()
    catalogue = catalogue or built_in
    which = "this catalogue"
    if catalogue is built_in:
        which = "the built-in catalogue"
    if not catalogue.releases:
        return f"not in {which}"
    return f"not in {which} (ST releases {catalogue.releases[0]} to {catalogue.releases[-1]})"


def text(matches: Sequence[Content], *, identifying: bool) -> str:
    """List known images, one line each; a single one in full. `identifying`: say whether they are one variant."""
    if len(matches) == 1:
        return _in_full(matches[0])
    lines = [_line(content) for content in _sorted(matches)]
    last = f"{len(matches)} contents"
    if identifying:
        variants = {content.variants for content in matches}
        last += ", one variant"
        if len(variants) > 1:
            last = f"{len(matches)} contents, {len(variants)} variants: these fields do not tell which one"
    return "\n".join([*lines, last])


def history(matches: Sequence[Content]) -> str:
    """List every version of a variant, newest first, with its sizes, the FUS that it needs and its addresses."""
    lines = []
    for content in sorted(matches, key=_age, reverse=True):
        released = content.first_release
        if content.last_release != released:
            released += f" to {content.last_release}"
        lines.append(f"{title(content)}, {' and '.join(content.series) or 'series unknown'}, {released}")
        lines += [row(label, line, "", None, plain) for label, line in _history_rows(content)]
    return "\n".join(lines)


def _age(content: Content) -> tuple[Version, Version]:
    return Version.from_text(content.last_release), Version.from_text(content.version or "0.0.0")


def _history_rows(content: Content) -> Iterator[tuple[str, str]]:
    image = image_of(content)
    if image is None:
        yield "is", "not an image"
    else:
        left = f"SRAM2a {content.sram2a_kib} KiB, SRAM2b {content.sram2b_kib} KiB left to the application"
        yield "size", f"{content.size} bytes, {content.sectors} sectors; {left}"
        oldest, below = fus_range(image, content.variants)
        needed = f"{oldest.text} or later"
        if below is not None:
            needed += f", below {below.text}"
        yield "FUS", needed
        for target in TARGETS:
            if target.series in (content.published_series or image.series):
                yield "goes to", f"{target.name} {_address(image, target)}"
    if content.known_bad:
        yield "bad", content.known_bad


def _address(image: Image, target: Target) -> str:
    try:
        return hex_word(place(image, target).address)
    except PlacementError:
        return "does not fit"


def title(content: Content) -> str:
    """Return the name of an image: `BLE_Stack_full 1.24.0`; several names if ST published it under several."""
    name = " = ".join(content.variants)
    if content.version is None:
        return name
    return f"{name} {Version.from_text(content.version).text}"


def purposes(content: Content) -> list[str]:
    """Return what a known image is for, one line for each of its names; empty when that is not known."""
    return list(dict.fromkeys(filter(None, map(purpose, content.variants))))


def releases(content: Content) -> str:
    """Return the first and the last release that hold a known image."""
    if content.first_release == content.last_release:
        return f"in {content.first_release} only"
    return f"first in {content.first_release}, last in {content.last_release}"


def document(matches: Sequence[Content]) -> Json:
    """Return what `catalogue show --json` prints."""
    return {"schema": CONTENTS_SCHEMA, "contents": [_entry(content) for content in _sorted(matches)]}


def lines(matches: Sequence[Content]) -> list[str]:
    """Return one line for each known image."""
    return [_line(content) for content in _sorted(matches)]


def _sorted(matches: Sequence[Content]) -> list[Content]:
    return sorted(matches, key=lambda content: (content.variants, content.published[-1].release))


def _line(content: Content) -> str:
    """Return one known image in one line."""
    releases = dict.fromkeys(publication.release for publication in content.published)
    size = "not an image"
    if content.kind:
        size = f"{content.sectors} sectors, SRAM2 left {content.sram2a_kib}/{content.sram2b_kib} KiB"
    line = (
        f"{content.sha256[:12]}  {' '.join(content.series) or '-':<9}  {content.version or '-':<10}"
        f"  {size:<32}  {' = '.join(content.variants)} of {' '.join(releases)}"
    )
    if content.known_bad:
        line += f"; bad: {content.known_bad}"
    return line


def _in_full(content: Content) -> str:
    rows = [
        ("is", f"{' = '.join(content.variants)}, {content.size} bytes"),
        ("version", content.version or "not stored in the file"),
        ("for", ", ".join(content.series) or "not stored in the file"),
        ("signed", f"by ST: {content.key}" if content.key else "not verified"),
    ]
    if content.kind:
        left = f"left to the application: SRAM2a {content.sram2a_kib} KiB, SRAM2b {content.sram2b_kib} KiB"
        rows.append(("needs", f"{content.sectors} sectors; {left}"))
    for publication in content.published:
        addresses = ", ".join(f"{target} {address or 'NA'}" for target, address in publication.addresses.items())
        where = f"{publication.release} {publication.path}"
        if addresses:
            where += f": {addresses}"
        rows.append(("published", where))
    if content.known_bad:
        rows.append(("bad", content.known_bad))
    return "\n".join([content.sha256, *(row(label, line, "", None, plain) for label, line in rows)])


def _entry(content: Content) -> Json:
    return {
        "sha256": content.sha256,
        "size": content.size,
        "kind": content.kind,
        "magic": content.magic,
        "series": list(content.series),
        "version": content.version,
        "sectors": content.sectors,
        "sram2a_kib": content.sram2a_kib,
        "sram2b_kib": content.sram2b_kib,
        "key": content.key,
        "known_bad": content.known_bad,
        "variants": list(content.variants),
        "published": [
            {"release": publication.release, "path": publication.path, "addresses": publication.addresses}
            for publication in content.published
        ],
    }
