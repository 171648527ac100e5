"""What a bundle holds, as text for people and as the JSON document of `bundle verify --json` (docs/json.md)."""

from collections.abc import Mapping, Sequence

from imagekit.assessment import Assessment
from imagekit.bundle.manifest import FusPolicy, ImageEntry, Manifest, ManifestStep, known_as
from imagekit.bundle.order import range_text, served
from imagekit.bundle.verified import found_in
from imagekit.report.document import Json, hex_word
from imagekit.report.text import Paint, plain, row
from imagekit.rules.registry import Severity

BUNDLE_SCHEMA = "imagekit.bundle/1"


def text(
    stated: Manifest,
    assessments: Mapping[str, Assessment],
    signed: Sequence[tuple[str, str]],
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Show a bundle; `signed` is the verdict, then who signed it, each with the role to paint that with."""
    (verdict, role), *signers = signed
    rows = [
        ("sequence", str(stated.sequence), ""),
        ("made", f"{stated.created} by {stated.tool}", ""),
        *(("signed", line, role) for line, role in signers),
        *(("for", f"{target.name}, {target.flash_kib} KiB", "") for target in stated.targets),
        ("for", f"boards with FUS {_boards(stated)}", ""),
        *_policy(stated),
        *_lacks(stated),
    ]
    lines = [paint(verdict, role), paint(stated.name, "bold")]
    lines += [row(label, line, role, width, paint) for label, line, role in rows]
    for number, step in enumerate(stated.steps, start=1):
        image = next(one for one in stated.images if one.sha256 == step.image)
        lines.append(paint(f"{number}. {_title(step, image)}", "bold") + _mark(step, paint))
        below = [*_step_rows(step, image, stated, assessments), *_remarks(image, stated, assessments)]
        lines += [row(label, line, role, width, paint) for label, line, role in below]
    return "\n".join(lines)


def _boards(stated: Manifest) -> str:
    """With which FUS a chip can begin: `1.2.0 and later`."""
    ranges = [range_text(*one).replace(" or later", " and later") for one in served(stated.steps)]
    return ", or FUS ".join(ranges)


def _policy(stated: Manifest) -> list[tuple[str, str, str]]:
    """When the bundle's FUS is installed, and until when the bundle is."""
    rows = []
    if len(stated.images) > 1 and any(image.role == "fus" for image in stated.images):
        when = "always, when the FUS on the chip is older"
        if stated.fus_policy is FusPolicy.NEEDED:
            when = "only where the last image needs it"
        rows.append(("FUS", f"installed {when}", ""))
    if stated.expires is not None:
        rows.append(("expires", f"{stated.expires}, by the clock of the computer", ""))
    return rows


def _lacks(stated: Manifest) -> list[tuple[str, str, str]]:
    """What whoever installs it must have, or will not have."""
    roles = {image.role for image in stated.images}
    if "stack" not in roles:
        return [("leaves", "no stack", "warning")]
    if "fus" not in roles:
        return [("expects", f"FUS {stated.steps[-1].min_fus} on the chip: it brings none", "warning")]
    return []


def _title(step: ManifestStep, image: ImageEntry) -> str:
    what = {"fus": "FUS", "stack": "stack", "safeboot": "Safeboot"}[image.role]
    return f"install {what} {step.gives}"


def _mark(step: ManifestStep, paint: Paint) -> str:
    return paint("  CANNOT BE UNDONE", "error") if step.irreversible else ""


def _step_rows(
    step: ManifestStep, image: ImageEntry, stated: Manifest, assessments: Mapping[str, Assessment]
) -> list[tuple[str, str, str]]:
    places = {target.name: stated.addresses[target.name][image.sha256] for target in stated.targets}
    rows = [
        ("is", _known(image, assessments[image.sha256])),
        ("sha256", image.sha256),
        ("by ST", image.st_key or "not verified"),
        ("needs", f"FUS {range_text(step.min_fus, step.below_fus)}"),
        *(("goes to", f"{hex_word(address)} on {name}") for name, address in places.items()),
    ]
    return [(label, line, "") for label, line in rows]


def _known(image: ImageEntry, assessment: Assessment) -> str:
    """What this imagekit's own catalogue calls it; the maker's word is told as the maker's."""
    unknown = "unknown to the catalogue"
    return known_as(assessment) or (f"{unknown}; its maker says {image.known_as}" if image.known_as else unknown)


def _remarks(image: ImageEntry, stated: Manifest, assessments: Mapping[str, Assessment]) -> list[tuple[str, str, str]]:
    """The warnings of an image, and what was accepted of it in writing."""
    found = found_in(stated.targets, {image.sha256: assessments[image.sha256]})[image.sha256]
    rows = [("warning", f"{one.rule} {one.message}", "warning") for one in found if one.severity is Severity.WARNING]
    for waiver in stated.waivers:
        if waiver.image == image.sha256:
            rows.append(("waived", f"{waiver.rule}: {waiver.reason}", "warning"))
            rows += [("", one.message, "warning") for one in found if one.rule == waiver.rule]
    return rows


def document(stated: Manifest, assessments: Mapping[str, Assessment], signers: Sequence[str] | None) -> Json:
    """Return the document of `bundle verify --json`; that of `bundle show --json` has no signers."""
    return {
        "schema": BUNDLE_SCHEMA,
        "verified": signers is not None,
        "name": stated.name,
        "sequence": stated.sequence,
        "created": stated.created,
        "signers": list(signers or ()),
        "targets": [target.name for target in stated.targets],
        "fus": [{"min": first, "below": below} for first, below in served(stated.steps)],
        "images": [_image(one, stated, assessments) for one in stated.images],
        "steps": [_entry(step, stated) for step in stated.steps],
        "waivers": [{"rule": one.rule, "image": one.image, "reason": one.reason} for one in stated.waivers],
        "fus_policy": stated.fus_policy.value,
        "expires": stated.expires,
    }


def _image(image: ImageEntry, stated: Manifest, assessments: Mapping[str, Assessment]) -> Json:
    found = found_in(stated.targets, {image.sha256: assessments[image.sha256]})[image.sha256]
    return {
        "sha256": image.sha256,
        "role": image.role,
        "version": image.version,
        "st_key": image.st_key,
        "known_as": known_as(assessments[image.sha256]),
        "warnings": [{"rule": one.rule, "message": one.message} for one in found if one.severity is Severity.WARNING],
    }


def _entry(step: ManifestStep, stated: Manifest) -> Json:
    return {
        "image": step.image,
        "requires_fus": {"min": step.min_fus, "below": step.below_fus},
        "gives": step.gives,
        "irreversible": step.irreversible,
        "addresses": {target.name: hex_word(stated.addresses[target.name][step.image]) for target in stated.targets},
    }
