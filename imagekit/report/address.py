"""What `address` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from imagekit.image.model import Image
from imagekit.placement import Placement
from imagekit.report.inspect import kind_and_version
from imagekit.report.layout import Json, Paint, hex_or_none, plain, row, text_or_none
from imagekit.text import counted, hex_word

ADDRESS_SCHEMA = "imagekit.address/1"


def working(
    image: Image,
    placement: Placement,
    part: str,
    name: str,
    notes: tuple[str, ...],
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Return an install address, alone on the first line, and how it was computed, line by line."""
    target, sector = placement.target, placement.target.sector_size
    rows = [("file", f"{name}, {placement.size} bytes: {kind_and_version(image)}")]
    if image.requires_fus:
        rows.append(("needs", f"FUS {image.requires_fus.text} or later on the chip"))
    rows += [
        ("target", f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {sector} bytes"),
        ("by size", f"{placement.size} / {sector}, rounded up: {counted(placement.sectors_by_size, 'sector')}"),
        ("by footer", f"{counted(placement.sectors_footer, 'sector')}; the larger number is used"),
    ]
    if placement.gap_sectors:
        rows.append(("gap", f"{counted(placement.gap_sectors, 'sector')} above it, as its format requires"))
    if placement.spare_sectors:
        rows.append(
            ("spare", f"{counted(placement.spare_sectors, 'sector')} that ST leaves free above a FUS 1.x image")
        )
    rows += [
        ("limit", f"{hex_word(placement.limit)}: {placement.limit_source}"),
        ("address", arithmetic(placement)),
        *(("note", note) for note in notes),
    ]
    lines = [paint(hex_word(placement.address), "bold")]
    lines += [row(label, text, "", width, paint) for label, text in rows]
    return "\n".join(lines)


def arithmetic(placement: Placement) -> str:
    """Return `0x080F4000 - (32 + 4) x 4096 = 0x080D0000`."""
    terms = [str(number) for number in (placement.sectors, placement.gap_sectors, placement.spare_sectors) if number]
    total = " + ".join(terms)
    if len(terms) > 1:
        total = f"({total})"
    return f"{hex_word(placement.limit)} - {total} x {placement.target.sector_size} = {hex_word(placement.address)}"


def address_document(path: str, image: Image, placement: Placement, part: str, notes: tuple[str, ...]) -> Json:
    """Return what `address --json` prints."""
    return {
        "schema": ADDRESS_SCHEMA,
        "path": path,
        "part": part,
        "target": placement.target.name,
        "sha256": image.sha256,
        "address": hex_word(placement.address),
        "limit": hex_word(placement.limit),
        "sector_size": placement.target.sector_size,
        "sectors": placement.sectors,
        "gap_sectors": placement.gap_sectors,
        "spare_sectors": placement.spare_sectors,
        "address_after_delete": hex_or_none(placement.after_delete),
        "requires_fus": text_or_none(image.requires_fus),
        "notes": list(notes),
    }
