"""What `inspect` and `address` print: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator

from imagekit.assessment import Assessment
from imagekit.errors import PlacementError
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import Placement
from imagekit.report.check import finding_entry
from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules.registry import Finding
from imagekit.targets import Target
from imagekit.text import counted, hex_word

INSPECT_SCHEMA = "imagekit.inspect/1"

_KINDS = {
    ImageKind.STACK: "wireless stack",
    ImageKind.FUS: "FUS",
    ImageKind.SAFEBOOT: "Safeboot",
    ImageKind.OTHER: "image of a reserved kind",
    ImageKind.UNKNOWN: "image of an unknown kind",
}
_NOWHERE = {
    "does-not-fit": "does not fit",
    "other-series": "not for this series",
    "other-key": "not signed for this series",
    "unknown-format": "unknown",
    "locks-chip": "never: it may lock the chip",
}


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
        ("known as", _known(assessment), ""),
        ("sha256", image.sha256, "dim"),
        *(
            (finding.severity.value, f"{finding.rule} {finding.message}", finding.severity.value)
            for finding in sorted(found, key=lambda finding: finding.severity.rank)
        ),
    ]
    lines = [paint(name, "bold")]
    for label, text, role in rows:
        lines.append(row(label, text, role, width, paint))
    return "\n".join(lines)


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
    """Show an install address, alone on the first line, and how it was computed, line by line."""
    target, sector = placement.target, placement.target.sector_size
    rows = [("file", f"{name}, {placement.size} bytes: {_what(image)}")]
    if image.requires_fus:
        rows.append(("needs", f"FUS {image.requires_fus.text} or later on the chip"))
    rows += [
        ("target", f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {sector} bytes"),
        ("by size", f"{placement.size} / {sector}, rounded up: {counted(placement.sectors_by_size, 'sector')}"),
        ("by footer", f"{counted(placement.sectors_footer, 'sector')}; the larger of the two counts"),
    ]
    if placement.gap_sectors:
        rows.append(("gap", f"{counted(placement.gap_sectors, 'sector')} above it, which its format needs"))
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
    for label, text in rows:
        lines.append(row(label, text, "", width, paint))
    return "\n".join(lines)


def arithmetic(placement: Placement) -> str:
    """Return `0x080F4000 - (32 + 4) x 4096 = 0x080D0000`."""
    terms = [str(number) for number in (placement.sectors, placement.gap_sectors, placement.spare_sectors) if number]
    total = f"({' + '.join(terms)})" if len(terms) > 1 else terms[0]
    return f"{hex_word(placement.limit)} - {total} x {placement.target.sector_size} = {hex_word(placement.address)}"


def _what(image: Image) -> str:
    """The kind and version."""
    version = image.version
    if version:
        text = f"{_KINDS[image.kind]} {version.text}"
        details = [f"branch {version.branch}"] if version.branch else []
        details += [f"build {version.build}"] if version.build else []
        text += f" ({', '.join(details)})" if details else ""
    else:
        text = f"{_KINDS[image.kind]}, version hidden{' as in FUS 1.2.0' if image.is_hidden_fus else ''}"
    if image.kind is ImageKind.UNKNOWN:
        text += f", magic {hex_word(image.footer.magic)}"
    return text + (", in the format for FUS 2 only" if image.footer.magic == FUS_2_STACK_MAGIC else "")


def _needs(assessment: Assessment) -> str:
    """What a chip must offer."""
    image, size, sectors = assessment.image, assessment.sector_size, assessment.sectors
    needs = [f"FUS {image.requires_fus.text} or later"] if image.requires_fus else []
    if size is None or sectors is None:
        needs.append(f"{image.size} bytes of flash")
    else:
        gap = f", {image.gap_sectors} more above it" if image.gap_sectors else ""
        needs.append(f"{counted(sectors, 'sector')} of {size // 1024} KiB{gap}")
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
    targets = list(assessment.install_addresses) if target is None else [target]
    if not targets:
        yield True, "ask `imagekit address FILE --part PART`: the footer does not tell the series"
    for index, one in enumerate(targets):
        try:
            where = hex_word(assessment.address_on(one))
        except PlacementError as error:
            where = _NOWHERE.get(error.reason, "none")
        yield index == 0, f"{one.name} {one.flash_kib:>4} KiB  {where}"


def _known(assessment: Assessment) -> str:
    """Where ST published it."""
    if assessment.known is None:
        return "unknown to the catalogue, as a newer release would be"
    first, *others = assessment.known.published
    also = f", and {len(others)} more" if others else ""
    return f"{first.variant} of {first.release}, {first.path}{also}"


def image_entry(path: str, assessment: Assessment, found: tuple[Finding, ...], target: Target | None = None) -> Json:
    """Return what `inspect --json` says of an image; `target` narrows its addresses to one."""
    image, verdict = assessment.image, assessment.signature
    footer = image.footer
    addresses = assessment.install_addresses if target is None else {target: _address_on(assessment, target)}
    signature: Json = {"status": verdict.status.value}
    if verdict.key:
        signature["key"] = verdict.key.name
    return {
        "path": path,
        "size": image.size,
        "sha256": image.sha256,
        "kind": image.kind.value,
        "magic": hex_word(footer.magic),
        "series": [series.value for series in image.series],
        "version": _version(image.version),
        "requires_fus": image.requires_fus.text if image.requires_fus else None,
        "flash": {
            "sector_size": assessment.sector_size,
            "sectors": assessment.sectors,
            "sectors_footer": footer.flash_sectors,
            "gap_sectors": image.gap_sectors,
        },
        "sram": {"sram2a_kib": footer.sram2a_kib, "sram2b_kib": footer.sram2b_kib},
        "signature": signature,
        "install_addresses": {
            target.name: None if address is None else hex_word(address) for target, address in addresses.items()
        },
        "known_as": [
            {"release": one.release, "path": one.path}
            for one in (assessment.known.published if assessment.known else ())
        ],
        "findings": [finding_entry(finding) for finding in found],
    }


def _address_on(assessment: Assessment, target: Target) -> int | None:
    try:
        return assessment.address_on(target)
    except PlacementError:
        return None


def error_entry(path: str, size: int | None, sha256: str | None, reason: str, message: str) -> Json:
    """Return what `inspect --json` says of a file that is no image; None for what was not read."""
    return {
        "path": path,
        "size": size,
        "sha256": sha256,
        "kind": None,
        "error": {"reason": reason, "message": message},
    }


def _version(version: Version | None) -> Json | None:
    if version is None:
        return None
    return {
        "text": version.text,
        "major": version.major,
        "minor": version.minor,
        "sub": version.sub,
        "branch": version.branch,
        "build": version.build,
    }
