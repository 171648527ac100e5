"""What `diff` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator

from imagekit.comparison import AddressChange, Comparison, Difference, Side, Staging
from imagekit.report.layout import Json, Paint, plain, row, rows
from imagekit.text import hex_word

DIFF_SCHEMA = "imagekit.diff/1"
_ITEM = ("- ", "  ")


def text(comparison: Comparison, *, width: int | None = None, paint: Paint = plain) -> str:
    """Return what changes, image by image, then what only one of the two has."""
    same = [difference.name for difference in comparison.differences if difference.is_same]
    pages = [
        "\n".join(_page(difference, width, paint)) for difference in comparison.differences if not difference.is_same
    ]
    others = [
        *rows("same", same, "", width, paint),
        *rows("removed", comparison.removed, "warning", width, paint),
        *rows("added", comparison.added, "", width, paint),
    ]
    if others:
        pages.append("\n".join([paint("Other images", "bold"), *others]))
    return "\n\n".join(pages)


def _page(difference: Difference, width: int | None, paint: Paint) -> Iterator[str]:
    old, new = difference.old, difference.new
    yield paint(f"{difference.name}: {old.title} -> {new.title}", "bold")
    yield row("needs", _needs(old, new), "", width, paint)
    yield row("SRAM2a", _change(*(f"{side.image.footer.sram2a_kib} KiB" for side in (old, new))), "", width, paint)
    yield row("SRAM2b", _change(*(f"{side.image.footer.sram2b_kib} KiB" for side in (old, new))), "", width, paint)
    yield from rows("goes to", map(_address, difference.addresses), "", width, paint)
    yield from rows("OTA", map(_staging, difference.staging), "", width, paint, _ITEM)
    pairings = (
        f"{fus}: stored by the radio core: {data.fate.value}; {data.why} ({data.source})"
        for fus, data in difference.bonding_data
    )
    yield from rows("pairings", pairings, "", width, paint, _ITEM)
    yield from rows("linker", difference.linker, "", width, paint, _ITEM)
    yield from rows("product", difference.product, "", width, paint, _ITEM)


def _change(old: str, new: str) -> str:
    """Return what is left to the application, or how that changes."""
    if old == new:
        return f"{new} left to the application, as before"
    return f"{old} -> {new} left to the application"


def _needs(old: Side, new: Side) -> str:
    fus = _arrow(_fus(old), _fus(new))
    sectors = _arrow(*(f"{side.image.footer.flash_sectors} sectors" for side in (old, new)))
    return f"{fus}; {sectors}"


def _arrow(old: str, new: str) -> str:
    if old == new:
        return new
    return f"{old} -> {new}"


def _fus(side: Side) -> str:
    if side.image.requires_fus is None:
        return "any FUS"
    return f"FUS {side.image.requires_fus.text} or later"


def _address(change: AddressChange) -> str:
    old, new = _word(change.old) or "does not fit", _word(change.new) or "does not fit"
    name = f"{change.target.name:<11} "
    if old == new:
        return f"{name} {new}, as before"
    gained = change.application_bytes
    if gained is None:
        return f"{name} {old} -> {new}"
    return f"{name} {old} -> {new} (application {gained // 1024:+} KiB)"


def _staging(staging: Staging) -> str:
    name = staging.target.name
    after = f"{_word(staging.after_delete)} after the old stack is deleted, which ends the connection"
    if staging.with_stack is None:
        return f"{name}: no address while the old stack is installed ({staging.why_not}); {after}"
    return f"{name}: {_word(staging.with_stack)} while the old stack is installed (AN5247); {after}"


def _word(address: int | None) -> str:
    if address is None:
        return ""
    return hex_word(address)


def document(old: str, new: str, comparison: Comparison) -> Json:
    """Return what `diff --json` prints."""
    return {
        "schema": DIFF_SCHEMA,
        "old": old,
        "new": new,
        "images": [_entry(difference) for difference in comparison.differences],
        "removed": list(comparison.removed),
        "added": list(comparison.added),
    }


def _entry(difference: Difference) -> Json:
    return {
        "name": difference.name,
        "same": difference.is_same,
        "old": _side(difference.old),
        "new": _side(difference.new),
        "addresses": [
            {
                "target": change.target.name,
                "old": _word(change.old) or None,
                "new": _word(change.new) or None,
                "application_bytes": change.application_bytes,
            }
            for change in difference.addresses
        ],
        "ota": [
            {
                "target": staging.target.name,
                "with_stack": _word(staging.with_stack) or None,
                "why_not": staging.why_not or None,
                "after_delete": _word(staging.after_delete) or None,
            }
            for staging in difference.staging
        ],
        "bonding_data": [{"fus": fus, **data.document} for fus, data in difference.bonding_data],
        "linker": list(difference.linker),
        "product": list(difference.product),
    }


def _side(side: Side) -> Json:
    image = side.image
    return {
        "path": side.path,
        "title": side.title,
        "sha256": image.sha256,
        "version": image.version and image.version.full_text,
        "requires_fus": image.requires_fus and image.requires_fus.text,
        "sectors": side.assessment.sectors,
        "gap_sectors": image.gap_sectors,
        "sram2a_kib": image.footer.sram2a_kib,
        "sram2b_kib": image.footer.sram2b_kib,
    }
