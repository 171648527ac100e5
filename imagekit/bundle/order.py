"""The one legal order of some images on some targets, and from which FUS a chip can go it."""

from collections.abc import Sequence
from itertools import pairwise

from imagekit.assessment import Assessment
from imagekit.bundle.manifest import ORDER, ROLES, FusPolicy, Manifest, ManifestStep
from imagekit.errors import BundleError
from imagekit.fus_versions import fus_range, given_fus, oldest_on
from imagekit.image.model import ImageKind, Version
from imagekit.targets import Target

_OLDEST = Version(0, 0, 0)


def steps_for(assessments: Sequence[Assessment], targets: Sequence[Target]) -> tuple[ManifestStep, ...]:
    """Return the one legal order of some images: FUS from old to new, then the stack or Safeboot.

    Raises BundleError `steps` when they make no such order, or when no chip of a target has a FUS that installs one.
    """
    ordered = sorted(assessments, key=_place_in_order)
    last = [one for one in ordered if one.image.kind is not ImageKind.FUS]
    if len(last) > 1:
        raise BundleError("steps", f"{len(last)} stacks or Safeboots: a chip takes one")
    steps = tuple(_step(one, targets) for one in ordered)
    for (before, after), (_, image) in zip(pairwise(steps), pairwise(ordered), strict=True):
        if not _follows(before, after, to_fus=image.image.kind is ImageKind.FUS):
            raise BundleError("steps", _no_way(before, after))
    return steps


def _place_in_order(assessment: Assessment) -> tuple[int, Version, Version]:
    image = assessment.image
    oldest, _ = fus_range(image, assessment.fus_variants)
    return ORDER.index(ROLES[image.kind]), given_fus(image), oldest


def _follows(before: ManifestStep, after: ManifestStep, *, to_fus: bool) -> bool:
    """Whether a chip that has done one step can do the next, or may have been beyond it from the start."""
    has = Version.from_text(before.gives)
    below = Version.from_text(after.below_fus) if after.below_fus else None
    # Two FUS that both give 1.2.0, for FUS 0.5.3 and for 1.x, stand side by side. A Safeboot of FUS's number does not.
    is_beside = to_fus and before.gives == after.gives
    return has >= Version.from_text(after.min_fus) and (below is None or has < below or is_beside)


def _no_way(before: ManifestStep, after: ManifestStep) -> str:
    """Say which FUS is missing between two steps, or is too much."""
    way = f"no way from FUS {before.gives} to images/{after.image}, which needs FUS {range_text(*_ends(after))}"
    if Version.from_text(before.gives) < Version.from_text(after.min_fus):
        return f"{way}: add a FUS image that gives {after.min_fus} or later"
    return f"{way}: leave images/{before.image} out"


def _ends(step: ManifestStep) -> tuple[str, str | None]:
    return step.min_fus, step.below_fus


def range_text(first: str, below: str | None) -> str:
    """Return `1.2.0 or later, below 2.2.0`, or `1.2.0 or later`."""
    return f"{first} or later, below {below}" if below else f"{first} or later"


def _step(assessment: Assessment, targets: Sequence[Target]) -> ManifestStep:
    image = assessment.image
    variants = assessment.fus_variants
    if image.is_hidden_fus and not variants:
        raise BundleError(
            "steps", f"images/{image.sha256}: which FUS 1.2.0 this is, for FUS 0.5.3 or for 1.x, nothing tells"
        )
    oldest, below = fus_range(image, variants)
    is_fus = image.kind is ImageKind.FUS
    oldest = max([oldest, *(oldest_on(target, image) for target in targets)])
    if below is not None and oldest >= below:
        raise BundleError(
            "steps",
            f"images/{image.sha256}: FUS below {below.text} alone installs it, and the parts need {oldest.text} for it",
        )
    gives = given_fus(image).text if is_fus else (image.version.text if image.version else "hidden")
    return ManifestStep(
        image=image.sha256,
        min_fus=oldest.text,
        below_fus=below.text if below else None,
        gives=gives,
        irreversible=image.kind is not ImageKind.STACK,
    )


def steps_on(manifest: Manifest, fus: Version) -> tuple[ManifestStep, ...]:
    """Return the steps that a chip with this FUS takes, by the bundle's policy.

    With `always` these are all steps. With `needed` these are the fewest FUS upgrades after which the last image can be
    installed, as in `imagekit plan`; among equals the newest FUS comes first. Where the bundle does not lead there
    these are all steps, so that the caller can say which FUS is missing.
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
    """Whether a chip with this FUS can do the step."""
    if fus < Version.from_text(step.min_fus):
        return False
    return step.below_fus is None or fus < Version.from_text(step.below_fus)


def served(steps: Sequence[ManifestStep]) -> list[tuple[str, str | None]]:
    """Return the FUS with which a chip can begin: ranges from the first up to, not including, the second; None: no end.

    It begins at a step whose range holds its FUS, when its FUS is beyond every step before that one.
    """
    ranges: list[tuple[Version, Version | None]] = []
    passed = _OLDEST
    for step in steps:
        first = max(Version.from_text(step.min_fus), passed)
        below = Version.from_text(step.below_fus) if step.below_fus else None
        if below is not None and first >= below:
            continue
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], below)
        else:
            ranges.append((first, below))
        passed = below or passed
    return [(first.text, below.text if below else None) for first, below in ranges]
