"""What `inspect` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imagekit.assessment import Assessment
from imagekit.catalogue import Catalogue, Publication
from imagekit.errors import PlacementError
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.report.catalogue import not_in_catalogue, purposes, releases, title
from imagekit.report.layout import Json, Paint, hex_or_none, plain, row, rows, text_or_none
from imagekit.rules.registry import Finding
from imagekit.targets import SRAM2A_KIB, SRAM2B_KIB, Target
from imagekit.text import counted, hex_word

if TYPE_CHECKING:
    from imagekit.embedded import EmbeddedImage

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
    catalogue: Catalogue | None = None,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Describe one image: what it is in words on the first line, then the facts.

    `catalogue` is the one that the image was looked up in, by default the built-in one. Lines are wrapped at `width`
    columns, or not at all.
    """
    lines = [
        paint(_title(assessment), "bold"),
        row("file", name, "", width, paint),
        *(row(label, text, role, width, paint) for label, text, role in _facts(assessment, catalogue)),
        *rows("goes to", _addresses(assessment, target), "", width, paint),
    ]
    if assessment.hosts:
        lines.append(row("used by", ", ".join(host.title for host in assessment.hosts), "", width, paint))
    lines.append(row("sha256", assessment.image.sha256, "dim", width, paint))
    for finding in sorted(found, key=lambda finding: finding.severity.rank):
        severity = finding.severity.value
        lines.append(row(severity, f"{finding.rule} {finding.text}", severity, width, paint))
    return "\n".join(lines)


def _title(assessment: Assessment) -> str:
    """Return what an image is in words: `BLE_Stack_full 1.24.0`, or its kind and version without a name."""
    if assessment.known is None:
        return kind_and_version(assessment.image)
    return title(assessment.known)


def _facts(assessment: Assessment, catalogue: Catalogue | None) -> Iterator[tuple[str, str, str]]:
    """Yield label, text and role of the rows above the addresses."""
    image = assessment.image
    if assessment.known is None:
        yield "released", not_in_catalogue(catalogue), ""
    else:
        label = "purpose"
        for purpose in purposes(assessment.known):
            yield label, purpose, ""
            label = ""
        yield "released", releases(assessment.known), ""
        yield "is", kind_and_version(image), ""
    yield "for", ", ".join(series.value for series in image.series) or "unknown: the footer does not tell", ""
    yield "needs", _needs(assessment), ""
    for memory, line in _sram(image):
        yield memory, line, ""
    yield "signed", *_signed(assessment)


def kind_and_version(image: Image) -> str:
    """Return the kind and the version."""
    text = _KINDS[image.kind]
    version = image.version
    if version is None:
        text += ", version not stored in the file"
        if image.is_hidden_fus:
            text += ", which is normal for FUS 1.2.0"
    else:
        text += f" {version.text}" + _details(version)
    if image.kind is ImageKind.UNKNOWN:
        text += f", magic {hex_word(image.footer.magic)}"
    if image.footer.magic == FUS_2_STACK_MAGIC:
        text += ", in the format for FUS 2 only"
    return text


def _details(version: Version) -> str:
    """Return ` (branch 1, build 3)`; empty when both are 0."""
    details = [f"{name} {number}" for name, number in (("branch", version.branch), ("build", version.build)) if number]
    if not details:
        return ""
    return f" ({', '.join(details)})"


def _needs(assessment: Assessment) -> str:
    """Return what the chip must have: FUS and flash."""
    image, size, sectors = assessment.image, assessment.sector_size, assessment.sectors
    room = f"{image.size} bytes of flash"
    if size is not None and sectors is not None:
        room = f"{counted(sectors, 'sector')} of {size // 1024} KiB"
        if image.gap_sectors:
            room += f", {image.gap_sectors} more above it"
    if image.requires_fus is None:
        return room
    return f"FUS {image.requires_fus.text} or later; {room}"


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
    whole_b = None
    if len(sizes_b) == 1:
        (whole_b,) = sizes_b
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


def _addresses(assessment: Assessment, target: Target | None) -> Iterator[str]:
    """Yield the install addresses, one line each."""
    targets = [target] if target else list(assessment.install_addresses)
    if not targets:
        yield "unknown: the footer does not tell the series. Run imagekit address FILE --part PART."
    for member in targets:
        try:
            where = hex_word(assessment.address_on(member))
        except PlacementError as error:
            where = _NOWHERE.get(error.reason, "none")
        yield f"{member.name} {member.flash_kib:>4} KiB  {where}"


def image_entry(path: str, assessment: Assessment, found: tuple[Finding, ...], target: Target | None = None) -> Json:
    """Return what `inspect --json` prints about an image; with a `target`, its addresses are for that target only."""
    from imagekit.report.check import finding_entry  # of all that inspect prints, only JSON needs it

    image, verdict = assessment.image, assessment.signature
    footer = image.footer
    addresses = assessment.install_addresses
    if target is not None:
        addresses = {target: _address_on(assessment, target)}
    published: Sequence[Publication] = ()
    if assessment.known is not None:
        published = assessment.known.published
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
        "requires_fus": text_or_none(image.requires_fus),
        "flash": {
            "sector_size": assessment.sector_size,
            "sectors": assessment.sectors,
            "sectors_footer": footer.flash_sectors,
            "gap_sectors": image.gap_sectors,
        },
        "sram": {"sram2a_kib": footer.sram2a_kib, "sram2b_kib": footer.sram2b_kib, **_memory(image)},
        "signature": signature,
        "install_addresses": {target.name: hex_or_none(address) for target, address in addresses.items()},
        "known_as": [{"release": publication.release, "path": publication.path} for publication in published],
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
        where = "offset"
        if image.is_address:
            where = "address"
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
