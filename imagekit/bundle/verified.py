"""Open a bundle: ten checks in a fixed order, then a VerifiedBundle.

A VerifiedBundle holds images that enough trusted keys signed and that ST signed. Their addresses and their order were
computed again from the bytes themselves. Nothing else makes a VerifiedBundle.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType

from imagekit.assessment import Assessment, assess
from imagekit.bundle import archive, envelope, manifest, manifest_json
from imagekit.bundle.keys import PublicKey, distinct, verifies
from imagekit.bundle.manifest import ImageEntry, Manifest, Waiver
from imagekit.bundle.order import steps_for
from imagekit.errors import BundleError, ParseError, PlacementError
from imagekit.image.model import Image, ImageKind
from imagekit.image.signing_keys import SigningKey
from imagekit.rules import findings
from imagekit.rules.registry import Chip, Finding, Severity
from imagekit.targets import Target
from imagekit.text import counted

_DOOR = object()


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle that passed every check. Only `open_bundle` makes one."""

    manifest: Manifest
    images: Mapping[str, bytes]
    """SHA-256 -> the very bytes that were hashed, parsed and verified."""
    assessments: Mapping[str, Assessment]
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed it."""
    strangers: tuple[str, ...]
    """Key ids of signatures by keys that are not trusted: reported, never counted."""
    door: InitVar[object]

    def __post_init__(self, door: object) -> None:
        """Refuse every caller but open_bundle."""
        if door is not _DOOR:
            raise TypeError("only open_bundle makes a VerifiedBundle")
        object.__setattr__(self, "images", MappingProxyType(dict(self.images)))
        object.__setattr__(self, "assessments", MappingProxyType(dict(self.assessments)))


def open_bundle(
    data: bytes | bytearray | memoryview,
    trusted: Sequence[PublicKey],
    threshold: int = 1,
    st_keys: Sequence[SigningKey] | None = None,
    *,
    now: datetime | None = None,
) -> VerifiedBundle:
    """Check a bundle, read once and held in memory; return what it holds.

    `trusted` are the keys that may sign bundles, `threshold` is how many of them must have signed, `now` is the time
    instead of the computer's clock. Raises BundleError with the reason of the first check that fails, NotABundleError,
    KeyFileError for one key given twice, or TypeError for a threshold that is not an int.
    """
    if type(threshold) is not int:
        raise TypeError(f"a threshold is an int, not {threshold!a}")
    # (1) sizes, (2) the archive
    members = archive.read_archive(bytes(data))
    # (3) the envelope's JSON, (4) the type of its payload
    signed = envelope.loads(members.pop(archive.MANIFEST_NAME))
    # (5) the signatures
    signers, strangers = _signers(signed, distinct(trusted), threshold)
    # (6) the manifest: the very bytes that were signed
    content = manifest_json.loads(signed.payload)
    _refuse_expired(content, now or datetime.now(UTC))
    images, assessments = examine(content, members, st_keys)
    return VerifiedBundle(content, images, assessments, signers, strangers, _DOOR)


def _refuse_expired(content: Manifest, now: datetime) -> None:
    """Raise BundleError `expired` at or after the time that the manifest gives."""
    if content.expires is not None and now >= manifest.time_of(content.expires):
        clock = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise BundleError(
            "expired",
            f"it expired at {content.expires}, and the clock of this computer says {clock}: get a newer bundle, or "
            "correct the clock",
        )


def examine(
    content: Manifest, members: dict[str, bytes], st_keys: Sequence[SigningKey] | None = None
) -> tuple[dict[str, bytes], dict[str, Assessment]]:
    """Compare a manifest with the members of its archive; return the images and their assessments, by SHA-256.

    Raises BundleError. The signatures of the bundle are not verified here.
    """
    # (7) images and members, one to one
    images = _images(content, members)
    parsed = {sha256: _parse(sha256, data) for sha256, data in images.items()}
    # (8) each image, from its bytes
    assessments = {entry.sha256: _assess(entry, parsed[entry.sha256], st_keys) for entry in content.images}
    _refuse_findings(content, assessments)
    # (9) the addresses
    _compare_addresses(content, assessments)
    # (10) the steps
    _compare_steps(content, assessments)
    return images, assessments


def _signers(
    signed: envelope.Envelope, trusted: dict[str, PublicKey], threshold: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fingerprints of the trusted keys that signed, and the other key ids.

    Raises BundleError `signature`.
    """
    if not trusted:
        raise BundleError("signature", "no trusted key was given: without one, nothing can be verified")
    if not 1 <= threshold <= len(trusted):
        raise BundleError("signature", f"a threshold of {threshold} is not possible with {len(trusted)} trusted keys")
    if not signed.signatures:
        raise BundleError("signature", "it is not signed")
    signers = tuple(keyid for keyid, key in trusted.items() if _has_signed(signed, keyid, key))
    keyids = [signature.keyid for signature in signed.signatures]
    if len(signers) < threshold:
        raise BundleError("signature", f"{_too_few(len(signers), threshold)}; signed by {', '.join(keyids)}")
    return signers, tuple(keyid for keyid in keyids if keyid not in trusted)


def _too_few(signers: int, threshold: int) -> str:
    if not signers:
        return f"not signed by any trusted key ({threshold} required)"
    return f"signed by {counted(signers, 'trusted key')} only ({threshold} required)"


def _has_signed(signed: envelope.Envelope, keyid: str, key: PublicKey) -> bool:
    """Return whether a trusted key signed. Raises BundleError for a key id that does not match its signature."""
    for signature in signed.signatures:
        is_valid = verifies(key, signature.sig, signed.signed)
        if is_valid and signature.keyid != keyid:
            raise BundleError("signature", f"the signature of {keyid} has the id of another key, {signature.keyid}")
        if signature.keyid == keyid and not is_valid:
            raise BundleError("signature", f"the signature of {keyid} is not valid: the bundle was changed")
    return any(signature.keyid == keyid for signature in signed.signatures)


def _images(content: Manifest, members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the images by SHA-256.

    Raises BundleError `content` unless the members are those of the manifest, `steps` unless each is used once.
    """
    names = {f"images/{entry.sha256}" for entry in content.images}
    missing, extra = names - set(members), set(members) - names
    if missing:
        raise BundleError("content", f"{min(missing)}: in the manifest, but not in the archive")
    if extra:
        raise BundleError("content", f"{min(extra)}: in the archive, but not in the manifest")
    if sorted(step.image for step in content.steps) != [entry.sha256 for entry in content.images]:
        raise BundleError("steps", "the steps do not use every image once")
    return {entry.sha256: members[f"images/{entry.sha256}"] for entry in content.images}


def _parse(sha256: str, data: bytes) -> Image:
    """Read one member.

    Raises BundleError `content` when its bytes do not have the hash in its name, `image` when it is not an image.
    """
    try:
        image = Image.parse(data)
    except ParseError as error:
        _compare_hash(hashlib.sha256(data).hexdigest(), sha256)
        raise BundleError("image", f"images/{sha256}: {error}") from error
    _compare_hash(image.sha256, sha256)  # parsing hashes all bytes: they are not hashed again
    return image


def _compare_hash(computed: str, name: str) -> None:
    if computed != name:
        raise BundleError("content", f"images/{name}: its bytes do not have the SHA-256 that its name gives")


def _assess(entry: ImageEntry, image: Image, st_keys: Sequence[SigningKey] | None) -> Assessment:
    """Assess an image. Raises BundleError `image` when the manifest contradicts it."""
    name = f"images/{entry.sha256}"
    assessment = assess(image, st_keys)
    described = manifest.describe(assessment)
    for field in fields(ImageEntry):
        claimed, actual = getattr(entry, field.name), getattr(described, field.name)
        # The catalogue grows with every release of imagekit; nothing depends on this name.
        if field.name != "known_as" and claimed != actual:
            raise BundleError("image", f"{name}: {field.name} is {actual!a}, but the manifest says {claimed!a}")
    return assessment


def found_in(targets: Sequence[Target], assessments: Mapping[str, Assessment]) -> dict[str, tuple[Finding, ...]]:
    """Return what the rules find in each image, by its SHA-256, on any of the targets."""
    return {
        sha256: tuple(
            dict.fromkeys(finding for target in targets for finding in findings(assessment, Chip(target=target))),
        )
        for sha256, assessment in assessments.items()
    }


def errors_of(targets: Sequence[Target], assessments: Mapping[str, Assessment]) -> dict[str, list[Finding]]:
    """Return the errors that keep each image out of a bundle, by its SHA-256: those on any of the targets.

    For FUS and Safeboot, WB110 counts as an error too: every byte must be as ST published it.
    """
    return {
        sha256: [finding for finding in image_findings if _is_error(finding, assessments[sha256])]
        for sha256, image_findings in found_in(targets, assessments).items()
    }


def _is_error(finding: Finding, assessment: Assessment) -> bool:
    return finding.severity is Severity.ERROR or _is_about_st_bytes(finding.rule, assessment)


NEVER_WAIVED = frozenset({"WB101", "WB102", "WB103", "WB206", "WB301"})
"""Errors with which an image has no safe address, or cannot be installed by FUS."""


def is_waivable(rule: str, assessment: Assessment) -> bool:
    """Return whether an error can be accepted in writing.

    Installing FUS or Safeboot is irreversible. A finding about their bytes is accepted only if the catalogue shows that
    ST published exactly these bytes. A FUS or Safeboot for another series is never accepted.
    """
    if rule == "WB307" and assessment.image.kind is not ImageKind.STACK:
        return False
    return rule not in NEVER_WAIVED and not _is_about_st_bytes(rule, assessment)


_BYTE_RULES = frozenset({"WB104", "WB105", "WB106", "WB109", "WB110", "WB201", "WB202", "WB204"})
"""Rules about bytes and signatures that fail when the bytes are not those that ST published."""


def _is_about_st_bytes(rule: str, assessment: Assessment) -> bool:
    """Return whether a finding casts doubt on whether the bytes of a FUS or Safeboot are ST's."""
    is_irreversible = assessment.image.kind is not ImageKind.STACK
    return is_irreversible and not assessment.known and rule in _BYTE_RULES


def why_final(rule: str, assessment: Assessment) -> str:
    """Return why an error cannot be waived; empty when it can."""
    if is_waivable(rule, assessment):
        return ""
    if rule in NEVER_WAIVED:
        return f"{rule} cannot be waived"
    return f"{rule} cannot be waived for FUS and Safeboot: they are installed only as ST published them"


def unaccepted(
    waivers: Sequence[Waiver], errors: Mapping[str, Sequence[Finding]], assessments: Mapping[str, Assessment]
) -> Iterator[tuple[str, Finding]]:
    """Yield the errors that no waiver accepts, each with the hash of its image."""
    waived = {(waiver.image, waiver.rule) for waiver in waivers if is_waivable(waiver.rule, assessments[waiver.image])}
    for sha256, image_errors in errors.items():
        yield from ((sha256, error) for error in image_errors if (sha256, error.rule) not in waived)


def refuse_unneeded(waivers: Sequence[Waiver], errors: Mapping[str, Sequence[Finding]]) -> None:
    """Raise BundleError `image` for a waiver that its image does not need."""
    needed = {(sha256, error.rule) for sha256, image_errors in errors.items() for error in image_errors}
    for waiver in waivers:
        if (waiver.image, waiver.rule) not in needed:
            raise BundleError(
                "image",
                f"images/{waiver.image}: {waiver.rule} is waived, but the image does not have this error",
            )


def _refuse_findings(content: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `image` for an error that no waiver accepts, or for a waiver that is not needed."""
    errors = errors_of(content.targets, assessments)
    for sha256, finding in unaccepted(content.waivers, errors, assessments):
        text = f"images/{sha256}: {finding.rule} {finding.message}"
        if any((waiver.image, waiver.rule) == (sha256, finding.rule) for waiver in content.waivers):
            text += f"; {why_final(finding.rule, assessments[sha256])}"
        raise BundleError("image", text)
    refuse_unneeded(content.waivers, errors)


def _compare_addresses(content: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `address` unless every address is the computed one."""
    for target in content.targets:
        for sha256, address in content.addresses[target.name].items():
            try:
                computed = assessments[sha256].address_on(target)
            except PlacementError as error:
                raise BundleError("address", f"images/{sha256}: {error}") from error
            if address != computed:
                raise BundleError(
                    "address",
                    f"images/{sha256}: 0x{address:08X} on {target.name}, but it must be 0x{computed:08X}",
                )


def _compare_steps(content: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `steps` unless the steps are the one allowed order of the images."""
    computed = steps_for(list(assessments.values()), content.targets)
    for index, (step, computed_step) in enumerate(zip(content.steps, computed, strict=True)):
        for field in fields(step):
            claimed, expected = getattr(step, field.name), getattr(computed_step, field.name)
            if claimed != expected:
                where = f"manifest.predicate.steps[{index}].{field.name}"
                raise BundleError("steps", f"{where}: {claimed!a}, but it must be {expected!a}")
