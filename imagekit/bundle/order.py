"""The one allowed order of images on targets, and the FUS versions from which a chip can start."""

from collections.abc import Sequence
from itertools import pairwise

from imagekit.assessment import Assessment
from imagekit.bundle.manifest import ORDER, ROLES, FusPolicy, Manifest, ManifestStep
from imagekit.errors import BundleError
from imagekit.fus_versions import fus_range, given_fus, oldest_on
from imagekit.image.model import Image, ImageKind, Version
from imagekit.targets import Target

_OLDEST = Version(0, 0, 0)


def steps_for(assessments: Sequence[Assessment], targets: Sequence[Target]) -> tuple[ManifestStep, ...]:
    """Return the one allowed order of images: FUS from old to new, then the stack or Safeboot.

    Raises BundleError `steps` when there is no such order, or when no FUS on a target installs one of the images.
    """
    ordered = sorted(assessments, key=_place_in_order)
    last = [assessment for assessment in ordered if assessment.image.kind is not ImageKind.FUS]
    if len(last) > 1:
        raise BundleError("steps", f"{len(last)} stacks or Safeboots: a chip holds one")
    steps = tuple(_step(assessment, targets) for assessment in ordered)
    for (before, after), (_, image) in zip(pairwise(steps), pairwise(ordered), strict=True):
        if not _follows(before, after, to_fus=image.image.kind is ImageKind.FUS):
            raise BundleError("steps", _gap_between(before, after))
    return steps


def _place_in_order(assessment: Assessment) -> tuple[int, Version, Version]:
    image = assessment.image
    oldest, _ = fus_range(image, assessment.fus_variants)
    return ORDER.index(ROLES[image.kind]), given_fus(image), oldest


def _follows(before: ManifestStep, after: ManifestStep, *, to_fus: bool) -> bool:
    """Return whether a chip can do the second step after the first, or can have been past it from the start."""
    has = Version.from_text(before.gives)
    if has < Version.from_text(after.min_fus):
        return False
    if after.below_fus is None or has < Version.from_text(after.below_fus):
        return True
    # Two FUS images that both give 1.2.0, for FUS 0.5.3 and for 1.x, are alternatives. A Safeboot with the version of a
    # FUS is not.
    return to_fus and before.gives == after.gives


def _gap_between(before: ManifestStep, after: ManifestStep) -> str:
    """Return which FUS is missing between two steps, or which image is not needed."""
    gap = f"FUS {before.gives} cannot install images/{after.image}, which needs FUS {range_text(*_ends(after))}"
    if Version.from_text(before.gives) < Version.from_text(after.min_fus):
        return f"{gap}: add a FUS image that gives {after.min_fus} or later"
    return f"{gap}: leave images/{before.image} out"


def _ends(step: ManifestStep) -> tuple[str, str | None]:
    return step.min_fus, step.below_fus


def range_text(first: str, below: str | None) -> str:
    """Return `1.2.0 or later, below 2.2.0`, or `1.2.0 or later`."""
    if below is None:
        return f"{first} or later"
    return f"{first} or later, below {below}"


def _step(assessment: Assessment, targets: Sequence[Target]) -> ManifestStep:
    image = assessment.image
    variants = assessment.fus_variants
    if image.is_hidden_fus and not variants:
        raise BundleError(
            "steps", f"images/{image.sha256}: FUS 1.2.0, but it is not known whether for FUS 0.5.3 or for 1.x"
        )
    oldest, below = fus_range(image, variants)
    oldest = max([oldest, *(oldest_on(target, image) for target in targets)])
    if below is not None and oldest >= below:
        raise BundleError(
            "steps",
            f"images/{image.sha256}: only FUS below {below.text} installs it, but these parts need {oldest.text}",
        )
    return ManifestStep(
        image=image.sha256,
        min_fus=oldest.text,
        below_fus=_text(below),
        gives=_given_version(image),
        irreversible=image.kind is not ImageKind.STACK,
    )


def _given_version(image: Image) -> str:
    """Return the version that a chip has after it installed an image."""
    if image.kind is ImageKind.FUS:
        return given_fus(image).text
    return _text(image.version) or "hidden"


def _text(version: Version | None) -> str | None:
    if version is None:
        return None
    return version.text


def steps_on(manifest: Manifest, fus: Version) -> tuple[ManifestStep, ...]:
    """Return the steps that a chip with this FUS needs, by the bundle's policy.

    With `always`, these are all steps. With `needed`, these are the fewest FUS upgrades after which the last image can
    be installed, as in `imagekit plan`; among equals, the newest FUS comes first. If the bundle has no such upgrades,
    these are all steps, so that the caller can name the missing FUS.
    """
    *upgrades, last = manifest.steps
    role = next(image.role for image in manifest.images if image.sha256 == last.image)
    if manifest.fus_policy is FusPolicy.ALWAYS or role == "fus":
        return manifest.steps
    upgrades.sort(key=lambda step: Version.from_text(step.gives), reverse=True)
    reached: dict[Version, tuple[ManifestStep, ...]] = {fus: ()}
    queue = [fus]
    for version in queue:
        if _installs(version, last):
            return (*reached[version], last)
        for step in upgrades:
            gives = Version.from_text(step.gives)
            if gives not in reached and _installs(version, step):
                reached[gives] = (*reached[version], step)
                queue.append(gives)
    return manifest.steps


def _installs(fus: Version, step: ManifestStep) -> bool:
    """Return whether a chip with this FUS can do the step."""
    if fus < Version.from_text(step.min_fus):
        return False
    return step.below_fus is None or fus < Version.from_text(step.below_fus)


def served(steps: Sequence[ManifestStep]) -> list[tuple[str, str | None]]:
    """Return the FUS versions from which a chip can start, as ranges (first, first version above); None: no limit.

    A chip starts at a step whose range includes its FUS, if its FUS is past every step before that one.
    """
    ranges: list[tuple[Version, Version | None]] = []
    passed = _OLDEST
    for step in steps:
        first = max(Version.from_text(step.min_fus), passed)
        below = None
        if step.below_fus is not None:
            below = Version.from_text(step.below_fus)
        if below is not None and first >= below:
            continue
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], below)
        else:
            ranges.append((first, below))
        passed = below or passed
    return [(first.text, _text(below)) for first, below in ranges]
