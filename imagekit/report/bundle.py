"""What a bundle holds, as text for people and as the JSON document of `bundle verify --json` (docs/json.md)."""

from collections.abc import Sequence

from imagekit.bundle.manifest import ImageEntry, Manifest, StepEntry
from imagekit.report.document import Json, hex_word
from imagekit.report.text import Paint, plain, row

BUNDLE_SCHEMA = "imagekit.bundle/1"


def text(stated: Manifest, signed: Sequence[tuple[str, str]], *, width: int | None = None, paint: Paint = plain) -> str:
    """Show a bundle; `signed` says who signed it, each with the role to paint that with."""
    rows = [
        ("sequence", str(stated.sequence), ""),
        ("made", f"{stated.created} by {stated.tool}", ""),
        *(("signed", line, role) for line, role in signed),
        *(("for", f"{target.name}, {target.flash_kib} KiB", "") for target in stated.targets),
    ]
    lines = [paint(stated.name, "bold"), *(row(label, line, role, width, paint) for label, line, role in rows)]
    for number, step in enumerate(stated.steps, start=1):
        image = next(one for one in stated.images if one.sha256 == step.image)
        lines.append(paint(f"{number}. {_title(step, image)}", "bold") + _mark(step, paint))
        lines += [row(label, line, "", width, paint) for label, line in _step_rows(step, image, stated)]
    lines += [row("waived", f"{one.rule}: {one.reason}", "warning", width, paint) for one in stated.waivers]
    return "\n".join(lines)


def _title(step: StepEntry, image: ImageEntry) -> str:
    what = {"fus": "FUS", "stack": "stack", "safeboot": "Safeboot"}[image.role]
    return f"install {what} {step.gives}"


def _mark(step: StepEntry, paint: Paint) -> str:
    return paint("  CANNOT BE UNDONE", "error") if step.irreversible else ""


def _step_rows(step: StepEntry, image: ImageEntry, stated: Manifest) -> list[tuple[str, str]]:
    needs = f"FUS {step.min_fus}" + (f" up to below {step.below_fus}" if step.below_fus else " or later")
    places = {target.name: stated.addresses[target.name][image.sha256] for target in stated.targets}
    return [
        ("is", image.known_as or "unknown to the maker's catalogue"),
        ("sha256", image.sha256),
        ("by ST", image.st_key or "not verified"),
        ("needs", needs),
        *(("goes to", f"{hex_word(address)} on {name}") for name, address in places.items()),
    ]


def document(stated: Manifest, signers: Sequence[str]) -> Json:
    """Return the document of `bundle verify --json`."""
    return {
        "schema": BUNDLE_SCHEMA,
        "name": stated.name,
        "sequence": stated.sequence,
        "created": stated.created,
        "signers": list(signers),
        "targets": [target.name for target in stated.targets],
        "images": [
            {"sha256": one.sha256, "role": one.role, "version": one.version, "st_key": one.st_key}
            for one in stated.images
        ],
        "steps": [_entry(step, stated) for step in stated.steps],
        "waivers": [{"rule": one.rule, "reason": one.reason} for one in stated.waivers],
    }


def _entry(step: StepEntry, stated: Manifest) -> Json:
    return {
        "image": step.image,
        "requires_fus": {"min": step.min_fus, "below": step.below_fus},
        "gives": step.gives,
        "irreversible": step.irreversible,
        "addresses": {target.name: hex_word(stated.addresses[target.name][step.image]) for target in stated.targets},
    }
