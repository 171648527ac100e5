"""Make a bundle: describe its images, compute addresses and steps, have it signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from imagekit import __version__
from imagekit.assessment import Assessment
from imagekit.bundle import archive, envelope, manifest
from imagekit.bundle.envelope import Envelope, Signature
from imagekit.bundle.keys import PrivateKey, fingerprint, sign
from imagekit.bundle.manifest import FusPolicy, Manifest, Waiver
from imagekit.bundle.order import steps_for
from imagekit.bundle.verified import errors_of, refuse_unneeded, unaccepted, why_final
from imagekit.errors import BundleError, PlacementError
from imagekit.targets import TARGETS, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContent:
    """What goes into a bundle: an assessed image and its bytes."""

    assessment: Assessment
    data: bytes


def make_manifest(
    contents: Sequence[BundleContent],
    targets: Sequence[Target],
    *,
    name: str,
    sequence: int,
    created: int,
    waivers: Sequence[Waiver] = (),
    fus_policy: FusPolicy = FusPolicy.NEEDED,
    expires: str | None = None,
) -> Manifest:
    """Describe the images for the targets. Addresses and steps are computed, never given.

    `created` is in seconds since 1970, `expires` a time as in `manifest.is_time`.

    Raises BundleError for an image that `check` would refuse and no waiver accepts, or for a waiver that nothing needs,
    PlacementError for an image without an address on a target.
    """
    assessments = {one.assessment.image.sha256: one.assessment for one in contents}
    ordered = dict(sorted(assessments.items()))
    made = Manifest(
        name=name,
        sequence=sequence,
        created=datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tool=f"imagekit {__version__}",
        targets=tuple(target for target in TARGETS if target in targets),
        addresses={
            target.name: {sha256: _address(one, target) for sha256, one in ordered.items()} for target in targets
        },
        images=tuple(manifest.describe(one) for one in ordered.values()),
        steps=steps_for(list(ordered.values()), targets),
        waivers=tuple(waivers),
        fus_policy=fus_policy,
        expires=expires,
    )
    errors = errors_of(made.targets, assessments)
    for sha256, finding in unaccepted(made.waivers, errors, assessments):
        way_out = why_final(finding.rule, assessments[sha256]) or f"if you must: --waive {finding.rule}=REASON"
        raise BundleError("image", f"images/{sha256}: {finding.rule} {finding.message}; {way_out}")
    refuse_unneeded(made.waivers, errors)
    return manifest.loads(manifest.dumps(made))


def _address(assessment: Assessment, target: Target) -> int:
    """Return the address on a target. Raises PlacementError, which names the image."""
    try:
        return assessment.address_on(target)
    except PlacementError as error:
        raise PlacementError(error.reason, f"images/{assessment.image.sha256}: {error}") from error


def signature(key: PrivateKey, payload: bytes) -> Signature:
    """Sign a payload as an envelope carries it."""
    return Signature(fingerprint(key.public_key()), sign(key, envelope.pae(envelope.PAYLOAD_TYPE, payload)))


def write_bundle(payload: bytes, signatures: Sequence[Signature], contents: Sequence[BundleContent]) -> bytes:
    """Return the bundle of a payload, its signatures and its images."""
    images = {f"images/{one.assessment.image.sha256}": one.data for one in contents}
    signed = envelope.dumps(Envelope(payload, tuple(signatures)))
    return archive.write_archive([(archive.MANIFEST_NAME, signed), *sorted(images.items())])
