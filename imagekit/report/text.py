"""Text for people: what `inspect` and `address` print. The words may change between versions."""

import textwrap
from collections.abc import Callable, Iterator

from imagekit.assessment import Assessment
from imagekit.container import FUS_2_STACK_MAGIC
from imagekit.image import Image, ImageKind
from imagekit.placement import Placement
from imagekit.report.document import hex_address
from imagekit.rules import Finding, Severity
from imagekit.signature import SignatureStatus
from imagekit.targets import Target

Paint = Callable[[str, str], str]
"""Colours a text for a role: `bold`, `dim`, `good`, `error`, `warning`; any other stays plain."""

_KINDS = {
    ImageKind.STACK: "wireless stack",
    ImageKind.FUS: "FUS",
    ImageKind.SAFEBOOT: "Safeboot",
    ImageKind.OTHER: "image of a reserved kind",
    ImageKind.UNKNOWN: "image of an unknown kind",
}
_LABEL_WIDTH = 10


def plain(text: str, role: str) -> str:  # noqa: ARG001 - the signature of Paint
    """Paint nothing."""
    return text


def inspection(
    name: str,
    assessment: Assessment,
    found: tuple[Finding, ...],
    target: Target | None = None,
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Describe one image; lines are wrapped at `width` columns, or not at all."""
    image = assessment.image
    rows = [
        ("is", _what(image), ""),
        ("for", ", ".join(series.value for series in image.series) or "a series its footer does not tell", ""),
        ("needs", _needs(assessment), ""),
        ("signed", *_signed(assessment)),
        *(("goes to" if first else "", line, "") for first, line in _addresses(assessment, target)),
        ("sha256", image.sha256, "dim"),
        *(
            (finding.severity.value, f"{finding.rule} {finding.message}", finding.severity.value)
            for finding in sorted(found, key=lambda finding: list(Severity).index(finding.severity))
        ),
    ]
    lines = [paint(name, "bold")]
    for label, text, role in rows:
        lines += _row(label, text, role, width, paint)
    return "\n".join(lines)


def working(image: Image, placement: Placement, part: str, name: str, notes: tuple[str, ...]) -> str:
    """Show an install address, alone on the first line, and how it was computed, line by line."""
    target = placement.target
    sector = target.sector_size
    terms = [str(placement.sectors)]
    rows = [
        ("file", f"{name}, {placement.size} bytes: {_what(image)}"),
        ("target", f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {sector} bytes"),
        ("by size", f"{placement.size} / {sector}, rounded up: {_count(placement.sectors_by_size)}"),
        ("by footer", f"{_count(placement.sectors_footer)}; the larger of the two counts"),
    ]
    if image.requires_fus:
        rows.insert(1, ("needs", f"FUS {image.requires_fus.text} or later on the chip"))
    if placement.gap_sectors:
        rows.append(("gap", f"{_count(placement.gap_sectors)} above it, which its format needs"))
        terms.append(str(placement.gap_sectors))
    if placement.spare_sectors:
        rows.append(("spare", f"{_count(placement.spare_sectors)} that ST leaves free above a FUS 1.x image"))
        terms.append(str(placement.spare_sectors))
    sectors = terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"
    rows += [
        ("limit", f"{hex_address(placement.limit)}: {placement.limit_source}"),
        ("address", f"{hex_address(placement.limit)} - {sectors} x {sector} = {hex_address(placement.address)}"),
        *(("note", note) for note in notes),
    ]
    return "\n".join([hex_address(placement.address), *(f"  {label:<{_LABEL_WIDTH}}{text}" for label, text in rows)])


def _count(sectors: int) -> str:
    return f"{sectors} sector{'' if sectors == 1 else 's'}"


def _what(image: Image) -> str:
    """The kind and version."""
    version = image.version
    if version:
        text = f"{_KINDS[image.kind]} {version.text}"
        details = [f"branch {version.branch}"] if version.branch else []
        details += [f"build {version.build}"] if version.build else []
        text += f" ({', '.join(details)})" if details else ""
    else:
        text = f"{_KINDS[image.kind]}, version hidden"
    if image.kind is ImageKind.UNKNOWN:
        text += f", magic {hex_address(image.footer.magic)}"
    return text + (", in the format for FUS 2 only" if image.footer.magic == FUS_2_STACK_MAGIC else "")


def _needs(assessment: Assessment) -> str:
    """What a chip must offer."""
    image, size, sectors = assessment.image, assessment.sector_size, assessment.sectors
    needs = [f"FUS {image.requires_fus.text} or later"] if image.requires_fus else []
    if size is None or sectors is None:
        needs.append(f"{image.size} bytes of flash")
    else:
        gap = f", {image.gap_sectors} more above it" if image.gap_sectors else ""
        needs.append(f"{_count(sectors)} of {size // 1024} KiB{gap}")
    needs.append(f"SRAM2a {image.footer.sram2a_kib} KiB, SRAM2b {image.footer.sram2b_kib} KiB")
    return "; ".join(needs)


def _signed(assessment: Assessment) -> tuple[str, str]:
    """Who signed it, and the role to paint that with."""
    verdict = assessment.signature
    if verdict.status is SignatureStatus.VALID and verdict.key:
        return f"by ST: valid under {verdict.key.name}", "good"
    if verdict.status is SignatureStatus.UNVERIFIED:
        return "not verified: no key that is known matches", "error"
    return "not by ST", "error"


def _addresses(assessment: Assessment, target: Target | None) -> Iterator[tuple[bool, str]]:
    """The install addresses, one line each; the first is marked."""
    addresses = assessment.install_addresses
    if target is not None:
        addresses = {target: addresses.get(target)}
    if not addresses:
        yield True, "ask `imagekit address FILE --part PART`: the footer does not tell the series"
    nowhere = "does not fit" if assessment.image.gap_sectors is not None else "unknown: see below"
    for index, (one, address) in enumerate(addresses.items()):
        where = nowhere if address is None else hex_address(address)
        yield index == 0, f"{one.name} {one.flash_kib:>4} KiB  {where}"


def _row(label: str, text: str, role: str, width: int | None, paint: Paint) -> list[str]:
    """One labelled text, wrapped under itself."""
    room = max(width - _LABEL_WIDTH - 2, 20) if width else 0
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) if room else [text]
    painted = [paint(line, role) for line in lines]
    indent = "\n" + " " * (_LABEL_WIDTH + 2)
    return [f"  {label:<{_LABEL_WIDTH}}" + indent.join(painted)]
