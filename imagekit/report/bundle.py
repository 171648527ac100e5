"""What `bundle show` and `bundle verify` print: text, and JSON, whose members may not change (docs/json.md)."""

from collections.abc import Mapping, Sequence

from imagekit.assessment import Assessment
from imagekit.bundle.manifest import FusPolicy, ImageEntry, Manifest, ManifestStep, known_as
from imagekit.bundle.order import range_text, served
from imagekit.bundle.verified import found_in
from imagekit.report.catalogue import not_in_catalogue
from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules.registry import Severity
from imagekit.text import hex_word, printable

BUNDLE_SCHEMA = "imagekit.bundle/1"

Line = tuple[str, str]
"""A text, and the role to paint it with."""


def text(
    manifest: Manifest,
    assessments: Mapping[str, Assessment],
    signed: Sequence[Line],
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Return what a bundle holds; `signed` is the verdict, then who signed it."""
    (verdict, verdict_role), *signers = signed
    rows = [
        ("sequence", str(manifest.sequence), ""),
        ("made", f"{manifest.created} by {manifest.tool}", ""),
        *(("signed", line, role) for line, role in signers),
        *(("for", f"{target.name}, {target.flash_kib} KiB", "") for target in manifest.targets),
        ("for", f"boards with FUS {_boards(manifest)}", ""),
        *_policy(manifest),
        *_lacks(manifest),
    ]
    lines = [paint(verdict, verdict_role), paint(printable(manifest.name), "bold")]
    lines += [row(label, line, role, width, paint) for label, line, role in rows]
    images = {image.sha256: image for image in manifest.images}
    for number, step in enumerate(manifest.steps, start=1):
        image = images[step.image]
        heading = paint(f"{number}. {_title(step, image)}", "bold")
        if step.irreversible:
            heading += paint("  IRREVERSIBLE", "error")
        lines.append(heading)
        below = [*_step_rows(step, image, manifest, assessments), *_remarks(image, manifest, assessments)]
        lines += [row(label, line, role, width, paint) for label, line, role in below]
    return "\n".join(lines)


def _boards(manifest: Manifest) -> str:
    """Return which FUS a chip may have at the start: `1.2.0 and later`."""
    ranges = [range_text(*bounds).replace(" or later", " and later") for bounds in served(manifest.steps)]
    return ", or FUS ".join(ranges)


def _policy(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Return when the FUS of the bundle is installed, and when the bundle expires."""
    rows = []
    if len(manifest.images) > 1 and any(image.role == "fus" for image in manifest.images):
        when = "always, when the FUS on the chip is older"
        if manifest.fus_policy is FusPolicy.NEEDED:
            when = "only where the last image needs it"
        rows.append(("FUS", f"installed {when}", ""))
    if manifest.expires is not None:
        rows.append(("expires", f"{manifest.expires}, by the clock of the computer", ""))
    return rows


def _lacks(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Return what the chip must have already, or will not have afterwards."""
    roles = {image.role for image in manifest.images}
    if "stack" not in roles:
        return [("leaves", "no stack on the chip", "warning")]
    if "fus" not in roles:
        return [("expects", f"FUS {manifest.steps[-1].min_fus} on the chip: the bundle holds no FUS", "warning")]
    return []


def _title(step: ManifestStep, image: ImageEntry) -> str:
    what = {"fus": "FUS", "stack": "stack", "safeboot": "Safeboot"}[image.role]
    return f"install {what} {step.gives}"


def _step_rows(
    step: ManifestStep, image: ImageEntry, manifest: Manifest, assessments: Mapping[str, Assessment]
) -> list[tuple[str, str, str]]:
    places = {target.name: manifest.addresses[target.name][image.sha256] for target in manifest.targets}
    rows = [
        ("is", _known(image, assessments[image.sha256])),
        ("sha256", image.sha256),
        ("by ST", image.st_key or "not verified"),
        ("needs", f"FUS {range_text(step.min_fus, step.below_fus)}"),
        *(("goes to", f"{hex_word(address)} on {name}") for name, address in places.items()),
    ]
    return [(label, line, "") for label, line in rows]


def _known(image: ImageEntry, assessment: Assessment) -> str:
    """Return the name in this imagekit's own catalogue, or else the one that the maker of the bundle gives."""
    name = known_as(assessment)
    if name:
        return name
    text = not_in_catalogue()
    if image.known_as:
        text += f"; the maker of the bundle calls it {image.known_as}"
    return text


def _remarks(
    image: ImageEntry, manifest: Manifest, assessments: Mapping[str, Assessment]
) -> list[tuple[str, str, str]]:
    """Return the warnings about an image, and the errors that were waived."""
    found = found_in(manifest.targets, {image.sha256: assessments[image.sha256]})[image.sha256]
    warnings = [finding for finding in found if finding.severity is Severity.WARNING]
    rows = [("warning", f"{finding.rule} {finding.message}", "warning") for finding in warnings]
    for waiver in manifest.waivers:
        if waiver.image == image.sha256:
            rows.append(("waived", f"{waiver.rule}: {waiver.reason}", "warning"))
            rows += [("", finding.message, "warning") for finding in found if finding.rule == waiver.rule]
    return rows


def document(manifest: Manifest, assessments: Mapping[str, Assessment], signers: Sequence[str] | None) -> Json:
    """Return the document of `bundle verify --json`; that of `bundle show --json` has no signers."""
    return {
        "schema": BUNDLE_SCHEMA,
        "verified": signers is not None,
        "name": manifest.name,
        "sequence": manifest.sequence,
        "created": manifest.created,
        "signers": list(signers or ()),
        "targets": [target.name for target in manifest.targets],
        "fus": [{"min": first, "below": below} for first, below in served(manifest.steps)],
        "images": [_image(image, manifest, assessments) for image in manifest.images],
        "steps": [_entry(step, manifest) for step in manifest.steps],
        "waivers": [
            {"rule": waiver.rule, "image": waiver.image, "reason": waiver.reason} for waiver in manifest.waivers
        ],
        "fus_policy": manifest.fus_policy.value,
        "expires": manifest.expires,
    }


def _image(image: ImageEntry, manifest: Manifest, assessments: Mapping[str, Assessment]) -> Json:
    found = found_in(manifest.targets, {image.sha256: assessments[image.sha256]})[image.sha256]
    return {
        "sha256": image.sha256,
        "role": image.role,
        "version": image.version,
        "st_key": image.st_key,
        "known_as": known_as(assessments[image.sha256]),
        "warnings": [
            {"rule": finding.rule, "message": finding.message}
            for finding in found
            if finding.severity is Severity.WARNING
        ],
    }


def _entry(step: ManifestStep, manifest: Manifest) -> Json:
    return {
        "image": step.image,
        "requires_fus": {"min": step.min_fus, "below": step.below_fus},
        "gives": step.gives,
        "irreversible": step.irreversible,
        "addresses": {
            target.name: hex_word(manifest.addresses[target.name][step.image]) for target in manifest.targets
        },
    }
