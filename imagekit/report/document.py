"""The JSON documents that other people's scripts read: members and spelling are a contract (docs/json.md)."""

from imagekit.assessment import Assessment
from imagekit.errors import PlacementError
from imagekit.image.model import Version
from imagekit.rules.registry import Finding
from imagekit.targets import Target

INSPECT_SCHEMA = "imagekit.inspect/1"

Json = dict[str, object]


def hex_word(address: int) -> str:
    """Return an address as ST prints it: `0x080D0000`."""
    return f"0x{address:08X}"


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


def finding_entry(finding: Finding) -> Json:
    """Return one finding."""
    return {"rule": finding.rule, "severity": finding.severity.value, "message": finding.message}


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
