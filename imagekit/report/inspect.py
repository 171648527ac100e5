"""What `inspect` and `address` print: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imagekit.assessment import Assessment
from imagekit.catalogue import Catalogue
from imagekit.errors import PlacementError
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import Placement
from imagekit.report.catalogue import not_in_catalogue, summary
from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules.registry import Finding
from imagekit.targets import SRAM2A_KIB, SRAM2B_KIB, Target
from imagekit.text import counted, hex_word

if TYPE_CHECKING:
    from imagekit.embedded import EmbeddedImage

INSPECT_SCHEMA = "imagekit.inspect/1"
ADDRESS_SCHEMA = "imagekit.address/1"

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
    catalogue: Catalogue | None = None,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Describe one image.

    `catalogue` is the one that the image was looked up in, by default the built-in one. Lines are wrapped at `width`
    columns, or not at all.
    """
    image = assessment.image
    rows = [
        ("is", _what(image), ""),
        ("for", ", ".join(series.value for series in image.series) or "unknown: the footer does not tell", ""),
        ("needs", _needs(assessment), ""),
        *((name, line, "") for name, line in _sram(image)),
        ("signed", *_signed(assessment)),
        *(("goes to" if first else "", line, "") for first, line in _addresses(assessment, target)),
        *(("" if index else "known as", line, "") for index, line in enumerate(_known(assessment, catalogue))),
        *(("used by", ", ".join(host.title for host in assessment.hosts), "") for _ in assessment.hosts[:1]),
        ("sha256", image.sha256, "dim"),
        *(
            (finding.severity.value, f"{finding.rule} {finding.text}", finding.severity.value)
            for finding in sorted(found, key=lambda finding: finding.severity.rank)
        ),
    ]
    lines = [paint(name, "bold")]
    lines += [row(label, text, role, width, paint) for label, text, role in rows]
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
    """Return an install address, alone on the first line, and how it was computed, line by line."""
    target, sector = placement.target, placement.target.sector_size
    rows = [("file", f"{name}, {placement.size} bytes: {_what(image)}")]
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
    total = f"({' + '.join(terms)})" if len(terms) > 1 else terms[0]
    return f"{hex_word(placement.limit)} - {total} x {placement.target.sector_size} = {hex_word(placement.address)}"


def _what(image: Image) -> str:
    """Return the kind and the version."""
    text = _KINDS[image.kind]
    version = image.version
    if version is None:
        text += ", version not stored in the file"
        if image.is_hidden_fus:
            text += ", which is normal for FUS 1.2.0"
    else:
        text += f" {version.text}"
        details = [f"branch {version.branch}"] if version.branch else []
        details += [f"build {version.build}"] if version.build else []
        text += f" ({', '.join(details)})" if details else ""
    if image.kind is ImageKind.UNKNOWN:
        text += f", magic {hex_word(image.footer.magic)}"
    if image.footer.magic == FUS_2_STACK_MAGIC:
        text += ", in the format for FUS 2 only"
    return text


def _needs(assessment: Assessment) -> str:
    """Return what the chip must have: FUS and flash."""
    image, size, sectors = assessment.image, assessment.sector_size, assessment.sectors
    needs = [f"FUS {image.requires_fus.text} or later"] if image.requires_fus else []
    if size is None or sectors is None:
        needs.append(f"{image.size} bytes of flash")
    else:
        gap = f", {image.gap_sectors} more above it" if image.gap_sectors else ""
        needs.append(f"{counted(sectors, 'sector')} of {size // 1024} KiB{gap}")
    return "; ".join(needs)


def _sram(image: Image) -> Iterator[tuple[str, str]]:
    """Yield the two memories of SRAM2, and how a stack divides them between the application and itself."""
    memory = _memory(image)
    for name in ("SRAM2a", "SRAM2b"):
        left, used = memory[f"app_{name.lower()}_kib"], memory[f"stack_{name.lower()}_kib"]
        if image.kind is not ImageKind.STACK:
            yield name, f"{left} KiB in the footer"
        elif used is None:
            yield name, f"{left} KiB left to the application"
        else:
            yield name, f"{left} KiB left to the application, {used} KiB used by the stack"


def _memory(image: Image) -> dict[str, int | None]:
    """Return the KiB of SRAM2 that an image leaves to the application, and those it uses; None: size not known.

    The footer holds what is left to the application (docs/image-format.md); a chip reports what the stack uses.
    """
    left_a, left_b = image.footer.sram2a_kib, image.footer.sram2b_kib
    sizes_b = {SRAM2B_KIB[series] for series in image.series}
    whole_b = sizes_b.pop() if len(sizes_b) == 1 else None
    return {
        "app_sram2a_kib": left_a,
        "app_sram2b_kib": left_b,
        "stack_sram2a_kib": _rest(SRAM2A_KIB, left_a),
        "stack_sram2b_kib": _rest(whole_b, left_b),
    }


def _rest(whole: int | None, left: int) -> int | None:
    if whole is None or left > whole:
        return None
    return whole - left


def _signed(assessment: Assessment) -> tuple[str, str]:
    """Return who signed it, and the role to paint that with."""
    verdict = assessment.signature
    if verdict.status is SignatureStatus.VALID and verdict.key:
        return f"by ST: valid under {verdict.key.name}", "good"
    if verdict.status is SignatureStatus.UNVERIFIED:
        return "not verified: the signature matches no known ST key", "error"
    return "not by ST", "error"


def _addresses(assessment: Assessment, target: Target | None) -> Iterator[tuple[bool, str]]:
    """Yield the install addresses, one line each; the first is marked."""
    targets = list(assessment.install_addresses) if target is None else [target]
    if not targets:
        yield True, "unknown: the footer does not tell the series. Run imagekit address FILE --part PART."
    for index, member in enumerate(targets):
        try:
            where = hex_word(assessment.address_on(member))
        except PlacementError as error:
            where = _NOWHERE.get(error.reason, "none")
        yield index == 0, f"{member.name} {member.flash_kib:>4} KiB  {where}"


def _known(assessment: Assessment, catalogue: Catalogue | None) -> list[str]:
    """Return the name of the image, what it is for, and its releases."""
    if assessment.known is None:
        return [not_in_catalogue(catalogue)]
    return summary(assessment.known)


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
        "address_after_delete": hex_word(placement.after_delete) if placement.after_delete is not None else None,
        "requires_fus": image.requires_fus.text if image.requires_fus else None,
        "notes": list(notes),
    }


def image_entry(path: str, assessment: Assessment, found: tuple[Finding, ...], target: Target | None = None) -> Json:
    """Return what `inspect --json` prints about an image; with a `target`, its addresses are for that target only."""
    from imagekit.report.check import finding_entry  # of all that inspect prints, only JSON needs it

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
        "sram": {"sram2a_kib": footer.sram2a_kib, "sram2b_kib": footer.sram2b_kib, **_memory(image)},
        "signature": signature,
        "install_addresses": {
            target.name: hex_word(address) if address is not None else None for target, address in addresses.items()
        },
        "known_as": [
            {"release": publication.release, "path": publication.path}
            for publication in (assessment.known.published if assessment.known else ())
        ],
        "used_by": [
            {"name": host.name, "version": host.version, "unsure": host.is_unsure} for host in assessment.hosts
        ],
        "findings": [finding_entry(finding) for finding in found],
    }


def _address_on(assessment: Assessment, target: Target) -> int | None:
    try:
        return assessment.address_on(target)
    except PlacementError:
        return None


def error_entry(
    path: str,
    size: int | None,
    sha256: str | None,
    reason: str,
    message: str,
    contained: "Sequence[EmbeddedImage]" = (),
) -> Json:
    """Return what `inspect --json` prints about a file that is not an image; None for what was not read."""
    return {
        "path": path,
        "size": size,
        "sha256": sha256,
        "kind": None,
        "error": {"reason": reason, "message": message},
        "contains": [
            {
                "offset": hex_word(image.offset),
                "is_address": image.is_address,
                "stored": image.stored.value,
                "title": image.title,
                "size": len(image.data),
                "sha256": image.assessment.image.sha256,
            }
            for image in contained
        ],
    }


_STORED = {"plain": "", "inverted": ", inverted (XOR 0xFF)", "c-array": ", in a C array"}
"""Values of imagekit.embedded.Stored, which few runs need -> the words for them."""


def contained_lines(contained: "Sequence[EmbeddedImage]") -> Iterator[str]:
    """Yield a sentence for each image inside a file, then how to take one out."""
    for image in contained:
        where = "address" if image.is_address else "offset"
        yield f"a whole ST image at {where} {hex_word(image.offset)}{_STORED[image.stored.value]}: {image.title}"
    if contained:
        yield "`imagekit convert --extract FILE OUT` writes it to a file"


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
