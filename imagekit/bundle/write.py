"""Make a bundle: describe its images, compute addresses and steps, and sign it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from imagekit import __version__
from imagekit.assessment import Assessment
from imagekit.bundle import archive, envelope, manifest, manifest_json
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

    Raises:
        BundleError: `check` would refuse an image and no waiver accepts it, or a waiver is not needed.
        PlacementError: an image has no address on a target.
    """
    assessments = {content.assessment.image.sha256: content.assessment for content in contents}
    ordered = dict(sorted(assessments.items()))
    described = Manifest(
        name=name,
        sequence=sequence,
        created=datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tool=f"imagekit {__version__}",
        targets=tuple(target for target in TARGETS if target in targets),
        addresses={
            target.name: {sha256: _address(assessment, target) for sha256, assessment in ordered.items()}
            for target in targets
        },
        images=tuple(map(manifest.describe, ordered.values())),
        steps=steps_for(list(ordered.values()), targets),
        waivers=tuple(waivers),
        fus_policy=fus_policy,
        expires=expires,
    )
    errors = errors_of(described.targets, assessments)
    for sha256, finding in unaccepted(described.waivers, errors, assessments):
        next_step = why_final(finding.rule, assessments[sha256]) or f"to accept it: --waive {finding.rule}=REASON"
        raise BundleError("image", f"images/{sha256}: {finding.rule} {finding.message}; {next_step}")
    refuse_unneeded(described.waivers, errors)
    return manifest_json.loads(manifest_json.dumps(described))


def _address(assessment: Assessment, target: Target) -> int:
    """Return the address on a target. Raises PlacementError, which names the image."""
    try:
        return assessment.address_on(target)
    except PlacementError as error:
        raise PlacementError(error.reason, f"images/{assessment.image.sha256}: {error}") from error


def signature(key: PrivateKey, payload: bytes) -> Signature:
    """Return the signature of a payload, as an envelope holds it."""
    return Signature(fingerprint(key.public_key()), sign(key, envelope.pae(envelope.PAYLOAD_TYPE, payload)))


def write_bundle(payload: bytes, signatures: Sequence[Signature], contents: Sequence[BundleContent]) -> bytes:
    """Return the bundle of a payload, its signatures and its images."""
    images = {f"images/{content.assessment.image.sha256}": content.data for content in contents}
    signed = envelope.dumps(Envelope(payload, tuple(signatures)))
    return archive.write_archive([(archive.MANIFEST_NAME, signed), *sorted(images.items())])
