"""Open a bundle: ten checks in a fixed order, then a VerifiedBundle.

A VerifiedBundle holds bytes that were signed by enough trusted keys, that ST signed, and whose addresses and order were
computed again from the bytes themselves. Nothing else makes one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType

from imagekit.assessment import Assessment, assess
from imagekit.bundle import archive, envelope, manifest
from imagekit.bundle.keys import PublicKey, distinct, verifies
from imagekit.bundle.manifest import ImageEntry, Manifest, Waiver
from imagekit.bundle.order import steps_for
from imagekit.errors import BundleError, ParseError, PlacementError
from imagekit.image.model import Image, ImageKind
from imagekit.image.signing_keys import SigningKey
from imagekit.rules import findings
from imagekit.rules.registry import Chip, Finding, Severity
from imagekit.targets import Target

_DOOR = object()


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle that passed every check. `open_bundle` alone makes one."""

    manifest: Manifest
    images: Mapping[str, bytes]
    """SHA-256 -> the very bytes that were hashed, parsed and verified."""
    assessments: Mapping[str, Assessment]
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed it."""
    strangers: tuple[str, ...]
    """Key ids of signatures by keys that are not trusted: told, never counted."""
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
    stated = manifest.loads(signed.payload)
    _refuse_expired(stated, now or datetime.now(UTC))
    images, assessments = examine(stated, members, st_keys)
    return VerifiedBundle(stated, images, assessments, signers, strangers, _DOOR)


def _refuse_expired(stated: Manifest, now: datetime) -> None:
    """Raise BundleError `expired` once the time has come that the manifest names."""
    if stated.expires is not None and now >= manifest.time_of(stated.expires):
        clock = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise BundleError(
            "expired",
            f"it expired at {stated.expires}, and the clock of this computer says {clock}: get a newer bundle, or "
            "correct the clock",
        )


def examine(
    stated: Manifest, members: dict[str, bytes], st_keys: Sequence[SigningKey] | None = None
) -> tuple[dict[str, bytes], dict[str, Assessment]]:
    """Hold a manifest against the members of its archive; return the images and what they are, by SHA-256.

    Raises BundleError. Signatures are not looked at here: this alone makes nothing trustworthy.
    """
    # (7) images and members, one to one
    images = _images(stated, members)
    parsed = {sha256: _parse(sha256, data) for sha256, data in images.items()}
    # (8) each image, from its bytes
    assessments = {entry.sha256: _assess(entry, parsed[entry.sha256], st_keys) for entry in stated.images}
    _refuse_findings(stated, assessments)
    # (9) the addresses
    _compare_addresses(stated, assessments)
    # (10) the steps
    _compare_steps(stated, assessments)
    return images, assessments


def _signers(
    signed: envelope.Envelope, trusted: dict[str, PublicKey], threshold: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fingerprints of the trusted keys that signed, and the other key ids. Raises BundleError `signature`."""
    if not trusted:
        raise BundleError("signature", "no trusted key: without one nothing can be believed")
    if not 1 <= threshold <= len(trusted):
        raise BundleError("signature", f"a threshold of {threshold} with {len(trusted)} trusted keys makes no sense")
    if not signed.signatures:
        raise BundleError("signature", "it has no signature")
    signers = tuple(keyid for keyid, key in trusted.items() if _has_signed(signed, keyid, key))
    by = ", ".join(one.keyid for one in signed.signatures)
    if len(signers) < threshold:
        raise BundleError(
            "signature", f"signed by {len(signers)} of the trusted keys, {threshold} required; its signatures: {by}"
        )
    return signers, tuple(one.keyid for one in signed.signatures if one.keyid not in trusted)


def _has_signed(signed: envelope.Envelope, keyid: str, key: PublicKey) -> bool:
    """Whether a trusted key signed. Raises BundleError for a key id that does not fit its signature."""
    for one in signed.signatures:
        is_valid = verifies(key, one.sig, signed.signed)
        if is_valid and one.keyid != keyid:
            raise BundleError("signature", f"the signature of {keyid} stands under another key's id, {one.keyid}")
        if one.keyid == keyid and not is_valid:
            raise BundleError("signature", f"the signature of {keyid} is not valid: the bundle was changed")
    return any(one.keyid == keyid for one in signed.signatures)


def _images(stated: Manifest, members: dict[str, bytes]) -> dict[str, bytes]:
    """The images by SHA-256. Raises BundleError `content` unless the members are those that are stated, `steps`."""
    stated_names = {f"images/{entry.sha256}" for entry in stated.images}
    if missing := stated_names - set(members):
        raise BundleError("content", f"{min(missing)}: stated, and not there")
    if extra := set(members) - stated_names:
        raise BundleError("content", f"{min(extra)}: there, and not stated")
    if sorted(step.image for step in stated.steps) != [entry.sha256 for entry in stated.images]:
        raise BundleError("steps", "the steps do not use every image once")
    return {entry.sha256: members[f"images/{entry.sha256}"] for entry in stated.images}


def _parse(sha256: str, data: bytes) -> Image:
    """Read one member. Raises BundleError `content` when its bytes are not those of its name, `image` for no image."""
    error = None
    try:
        image = Image.parse(data)  # it hashes all of the bytes: they are not hashed again
        found = image.sha256
    except ParseError as no_image:
        error, found = no_image, hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise BundleError("content", f"images/{sha256}: holds other bytes than its name says")
    if error:
        raise BundleError("image", f"images/{sha256}: {error}") from error
    return image


def _assess(entry: ImageEntry, image: Image, st_keys: Sequence[SigningKey] | None) -> Assessment:
    """Assess an image. Raises BundleError `image` when the manifest says anything else of it."""
    name = f"images/{entry.sha256}"
    assessment = assess(image, st_keys)
    found = manifest.describe(assessment)
    for field in fields(ImageEntry):
        said, is_so = getattr(entry, field.name), getattr(found, field.name)
        # What a catalogue knows grows with every release of imagekit; nothing depends on it.
        if field.name != "known_as" and said != is_so:
            raise BundleError("image", f"{name}: {field.name} is {is_so!a}, and the manifest says {said!a}")
    return assessment


def found_in(targets: Sequence[Target], assessments: Mapping[str, Assessment]) -> dict[str, tuple[Finding, ...]]:
    """Return what the rules find in each image, by its SHA-256, on any of the targets."""
    return {
        sha256: tuple(
            dict.fromkeys(one for target in targets for one in findings(assessment, Chip(target=target))),
        )
        for sha256, assessment in assessments.items()
    }


def errors_of(targets: Sequence[Target], assessments: Mapping[str, Assessment]) -> dict[str, list[Finding]]:
    """Return what keeps each image out of a bundle, by its SHA-256: errors that the rules find on any of the targets.

    For FUS and Safeboot, WB110 counts as an error too: ST's bytes must be ST's to the last one.
    """
    found = found_in(targets, assessments)
    return {
        sha256: [
            one for one in some if one.severity is Severity.ERROR or _is_about_st_bytes(one.rule, assessments[sha256])
        ]
        for sha256, some in found.items()
    }


NEVER_WAIVED = frozenset({"WB101", "WB102", "WB103", "WB206", "WB301"})
"""Rules without which there is no address, or nothing that FUS could install."""


def is_waivable(rule: str, assessment: Assessment) -> bool:
    """Say whether an error can be accepted in writing.

    Installing FUS or Safeboot is irreversible: no finding about their bytes is accepted, unless the catalogue knows the
    content, whose every byte ST has published then. An image of FUS or Safeboot for another series never is.
    """
    if rule == "WB307" and assessment.image.kind is not ImageKind.STACK:
        return False
    return rule not in NEVER_WAIVED and not _is_about_st_bytes(rule, assessment)


_BYTE_RULES = frozenset({"WB104", "WB105", "WB106", "WB109", "WB110", "WB201", "WB202", "WB204"})
"""Rules about bytes and signatures that fail when the bytes are not those that ST published."""


def _is_about_st_bytes(rule: str, assessment: Assessment) -> bool:
    """Say whether a finding doubts that the bytes of a FUS or Safeboot are ST's."""
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
    waived = {(one.image, one.rule) for one in waivers if is_waivable(one.rule, assessments[one.image])}
    for sha256, some in errors.items():
        yield from ((sha256, one) for one in some if (sha256, one.rule) not in waived)


def refuse_unneeded(waivers: Sequence[Waiver], errors: Mapping[str, Sequence[Finding]]) -> None:
    """Raise BundleError `image` for a waiver that its image does not need."""
    needed = {(sha256, one.rule) for sha256, some in errors.items() for one in some}
    for waiver in waivers:
        if (waiver.image, waiver.rule) not in needed:
            raise BundleError(
                "image", f"images/{waiver.image}: {waiver.rule} is waived, and nothing was found that needs it"
            )


def _refuse_findings(stated: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `image` for an error that no waiver accepts, or for a waiver that nothing needs."""
    errors = errors_of(stated.targets, assessments)
    for sha256, finding in unaccepted(stated.waivers, errors, assessments):
        reason = why_final(finding.rule, assessments[sha256])
        is_waived = (sha256, finding.rule) in {(waiver.image, waiver.rule) for waiver in stated.waivers}
        note = f"; {reason}" if is_waived else ""
        raise BundleError("image", f"images/{sha256}: {finding.rule} {finding.message}{note}")
    refuse_unneeded(stated.waivers, errors)


def _compare_addresses(stated: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `address` unless every address is the computed one."""
    for target in stated.targets:
        for sha256, address in stated.addresses[target.name].items():
            try:
                computed = assessments[sha256].address_on(target)
            except PlacementError as error:
                raise BundleError("address", f"images/{sha256}: {error}") from error
            if address != computed:
                raise BundleError(
                    "address",
                    f"images/{sha256}: 0x{address:08X} on {target.name}, where it must be 0x{computed:08X}",
                )


def _compare_steps(stated: Manifest, assessments: Mapping[str, Assessment]) -> None:
    """Raise BundleError `steps` unless the steps are the one legal order of the images."""
    computed = steps_for(list(assessments.values()), stated.targets)
    for index, (said, is_so) in enumerate(zip(stated.steps, computed, strict=True)):
        for field in fields(said):
            if getattr(said, field.name) != getattr(is_so, field.name):
                raise BundleError(
                    "steps",
                    f"manifest.predicate.steps[{index}].{field.name}: {getattr(said, field.name)!a}, where it must be "
                    f"{getattr(is_so, field.name)!a}",
                )
