"""The manifest: what a bundle holds, for which chips, in which order. An in-toto Statement v1 with a predicate of ours.

Source of the frame: in-toto attestation framework, spec/v1/statement.md. Every member is looked at; what is unknown is
refused, with its path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

from imagekit.assessment import Assessment
from imagekit.bundle import strict_json
from imagekit.bundle.archive import MOST_IMAGES
from imagekit.bundle.strict_json import Members, is_plain, short
from imagekit.errors import BundleError, VersionError
from imagekit.image.model import ImageKind, Version
from imagekit.targets import TARGETS, Target

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:stm32wb-imagekit:bundle:v1"
SCHEMA = 1
ROLES = {ImageKind.FUS: "fus", ImageKind.STACK: "stack", ImageKind.SAFEBOOT: "safeboot"}
ORDER = ("fus", "stack", "safeboot")
_BY_NAME = {target.name: target for target in TARGETS}
_NAME = re.compile(r"[A-Za-z0-9](?: ?[A-Za-z0-9._+-])*")
_LONGEST_NAME = 100
NAME_IN_WORDS = (
    f"1 to {_LONGEST_NAME} of A-Z a-z 0-9 . _ + - and single spaces, beginning with a letter or digit, not ending with "
    "a space"
)
LONGEST_REASON = 500
_CREATED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
_WORD = re.compile("0x[0-9A-F]{8}")


class FusPolicy(Enum):
    """When a FUS image of the bundle is installed; the values are those of the member `fus_policy`."""

    NEEDED = "needed"
    """Only where the last image needs a newer FUS than the chip has."""
    ALWAYS = "always"
    """Whenever the FUS on the chip is older. A manifest without the member, as before version 0.2, means this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """What the manifest says of one image."""

    sha256: str
    role: str
    """`fus`, `stack` or `safeboot`."""
    size: int
    magic: int
    version: str | None
    """With branch and build as one number, `1.23.0.1`; None: hidden."""
    sectors: int
    gap_sectors: int
    sram2a_kib: int
    sram2b_kib: int
    st_key: str | None
    """The key of ST's that verifies it; None only with a waiver."""
    known_as: str | None
    """What the maker's catalogue knew it as, `BLE_Stack_full of v1.23.0`: for people, nothing depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestStep:
    """One installation: of which image, on which FUS, and what the chip has then."""

    image: str
    min_fus: str
    below_fus: str | None
    """The first FUS that does not install it; None: no end is known."""
    gives: str
    """The version of FUS, stack or Safeboot that the chip has then."""
    irreversible: bool


@dataclass(frozen=True, slots=True)
class Waiver:
    """An error of one rule, found in one image, that was accepted in writing."""

    rule: str
    image: str
    """The SHA-256 of the image."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A bundle's content and conditions."""

    name: str
    sequence: int
    """Only ever rises; the flasher goes to no lower one."""
    created: str
    """RFC 3339, UTC, to the second."""
    tool: str
    targets: tuple[Target, ...]
    addresses: Mapping[str, Mapping[str, int]]
    """Target name -> SHA-256 -> install address."""
    images: tuple[ImageEntry, ...]
    """In the order of their hashes."""
    steps: tuple[ManifestStep, ...]
    waivers: tuple[Waiver, ...] = ()
    fus_policy: FusPolicy = FusPolicy.ALWAYS
    expires: str | None = None
    """RFC 3339, UTC, to the second: from then on the bundle is refused. None: never."""

    def __post_init__(self) -> None:
        """Make the addresses read-only: what was checked stays as it was checked."""
        fixed = {name: MappingProxyType(dict(places)) for name, places in self.addresses.items()}
        object.__setattr__(self, "addresses", MappingProxyType(fixed))


def describe(assessment: Assessment) -> ImageEntry:
    """Return what a manifest must say of an image. Raises BundleError `image` for what no bundle holds."""
    image, key = assessment.image, assessment.signature.key
    if image.kind not in ROLES or assessment.sectors is None or image.gap_sectors is None:
        raise BundleError("image", f"images/{image.sha256}: no FUS, stack or Safeboot of a known format")
    return ImageEntry(
        sha256=image.sha256,
        role=ROLES[image.kind],
        size=image.size,
        magic=image.footer.magic,
        version=image.version.full_text if image.version else None,
        sectors=assessment.sectors,
        gap_sectors=image.gap_sectors,
        sram2a_kib=image.footer.sram2a_kib,
        sram2b_kib=image.footer.sram2b_kib,
        st_key=key.name if key else None,
        known_as=known_as(assessment),
    )


def known_as(assessment: Assessment) -> str | None:
    """Return what the catalogue knows the content as, `BLE_Stack_full of v1.23.0`; None when it does not know it."""
    known = assessment.known.published[0] if assessment.known else None
    return f"{known.variant} of {known.release}" if known else None


def dumps(manifest: Manifest) -> bytes:
    """Write a manifest as the statement that is signed; the same manifest gives the same bytes."""
    predicate = {
        "schema": SCHEMA,
        "name": manifest.name,
        "sequence": manifest.sequence,
        "created": manifest.created,
        "tool": manifest.tool,
        "targets": [
            {
                "target": target.name,
                "addresses": {
                    sha256: f"0x{address:08X}" for sha256, address in manifest.addresses[target.name].items()
                },
            }
            for target in manifest.targets
        ],
        "images": {image.sha256: _image_document(image) for image in manifest.images},
        "steps": [_step_document(step, manifest) for step in manifest.steps],
        "waivers": [{"rule": one.rule, "image": one.image, "reason": one.reason} for one in manifest.waivers],
    }
    # Absent members keep the bytes of older bundles, and give each meaning one spelling.
    if manifest.fus_policy is not FusPolicy.ALWAYS:
        predicate["fus_policy"] = manifest.fus_policy.value
    if manifest.expires is not None:
        predicate["expires"] = manifest.expires
    return strict_json.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": f"images/{image.sha256}", "digest": {"sha256": image.sha256}} for image in manifest.images
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def _image_document(image: ImageEntry) -> dict[str, object]:
    return {
        "role": image.role,
        "size": image.size,
        "magic": f"0x{image.magic:08X}",
        "version": image.version,
        "sectors": image.sectors,
        "gap_sectors": image.gap_sectors,
        "sram2a_kib": image.sram2a_kib,
        "sram2b_kib": image.sram2b_kib,
        "st_key": image.st_key,
        "known_as": image.known_as,
    }


def _gives_name(role: str) -> str:
    return f"gives_{role}"


def _step_document(step: ManifestStep, manifest: Manifest) -> dict[str, object]:
    role = next(image.role for image in manifest.images if image.sha256 == step.image)
    return {
        "image": step.image,
        "requires_fus": {"min": step.min_fus, "below": step.below_fus},
        _gives_name(role): step.gives,
        "irreversible": step.irreversible,
    }


def loads(payload: bytes) -> Manifest:
    """Read the statement that was signed. Raises BundleError `json` or `manifest`, which names the member."""
    statement = Members(strict_json.loads(payload, "manifest"), "manifest")
    statement.constant("_type", STATEMENT_TYPE)
    statement.constant("predicateType", PREDICATE_TYPE)
    subjects = [_subject(one, path) for path, one in statement.items("subject", MOST_IMAGES, 1)]
    predicate = Members(statement.take("predicate"), "manifest.predicate")
    statement.end()
    predicate.constant("schema", SCHEMA)
    images = _images(predicate)
    if subjects != [image.sha256 for image in images]:
        raise BundleError("manifest", "manifest.subject: not the images of the predicate, one to one and in order")
    roles = {image.sha256: image.role for image in images}
    targets, addresses = _targets(predicate, roles)
    manifest = Manifest(
        name=predicate.text("name", _LONGEST_NAME),
        sequence=predicate.number("sequence"),
        created=predicate.text("created", 20),
        tool=predicate.text("tool", 100),
        targets=targets,
        addresses=addresses,
        images=images,
        steps=tuple(_read_step(one, path, roles) for path, one in predicate.items("steps", MOST_IMAGES, 1)),
        waivers=_waivers(predicate, roles),
        fus_policy=_fus_policy(predicate),
        expires=_expires(predicate),
    )
    if not is_name(manifest.name):
        predicate.refuse("name", f"not {NAME_IN_WORDS}")
    if not is_time(manifest.created):
        predicate.refuse("created", "no time of the form 2026-01-31T23:59:59Z")
    predicate.end()
    if dumps(manifest) != payload:
        raise BundleError("manifest", "manifest: another spelling of the same statement than the one that bundles use")
    return manifest


def _subject(document: Any, path: str) -> str:
    subject = Members(document, path)
    digest = Members(subject.take("digest"), f"{path}.digest")
    sha256 = _sha256(digest, "sha256")
    digest.end()
    subject.constant("name", f"images/{sha256}")
    subject.end()
    return sha256


def _sha256(members: Members, name: str) -> str:
    text = members.text(name)
    if not _is_sha256(text):
        members.refuse(name, "no SHA-256: 64 lower-case hex digits")
    return text


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _images(predicate: Members) -> tuple[ImageEntry, ...]:
    documents = predicate.take("images")
    if not isinstance(documents, dict) or not 1 <= len(documents) <= MOST_IMAGES:
        predicate.refuse("images", f"not an object of 1 to {MOST_IMAGES} members")
    for key in documents:
        if not _is_sha256(key):
            predicate.refuse("images", f"{short(key)} is no SHA-256: 64 lower-case hex digits")
    return tuple(_image(sha256, one) for sha256, one in sorted(documents.items()))


def _image(sha256: str, document: Any) -> ImageEntry:
    path = f"manifest.predicate.images[{sha256!a}]"
    image = Members(document, path)
    entry = ImageEntry(
        sha256=sha256,
        role=image.text("role"),
        size=image.number("size", 1 << 20),
        magic=_word(image, "magic"),
        version=_text_or_none(image, "version"),
        sectors=image.number("sectors", 512),
        gap_sectors=image.number("gap_sectors", 512),
        sram2a_kib=image.number("sram2a_kib", 255),
        sram2b_kib=image.number("sram2b_kib", 255),
        st_key=_text_or_none(image, "st_key"),
        known_as=_text_or_none(image, "known_as"),
    )
    if entry.role not in ORDER:
        image.refuse("role", "none of fus, stack, safeboot")
    if entry.version is not None:
        _check_version(image, "version", entry.version, full=True)
    image.end()
    return entry


def _targets(predicate: Members, roles: dict[str, str]) -> tuple[tuple[Target, ...], dict[str, dict[str, int]]]:
    targets, addresses = [], {}
    for path, one in predicate.items("targets", len(TARGETS), 1):
        members = Members(one, path)
        name = members.text("target")
        if name not in _BY_NAME or name in addresses:
            members.refuse("target", f"{short(name)} is no target, or stands twice")
        places = Members(members.take("addresses"), f"{path}.addresses")
        addresses[name] = {sha256: _word(places, sha256) for sha256 in sorted(roles)}
        places.end()
        members.end()
        targets.append(_BY_NAME[name])
    if targets != [target for target in TARGETS if target.name in addresses]:
        predicate.refuse("targets", "not in the order of ST's tables")
    return tuple(targets), addresses


def _read_step(document: Any, path: str, roles: dict[str, str]) -> ManifestStep:
    step = Members(document, path)
    image = _sha256(step, "image")
    if image not in roles:
        step.refuse("image", "not among the images")
    requires = Members(step.take("requires_fus"), f"{path}.requires_fus")
    entry = ManifestStep(
        image=image,
        min_fus=requires.text("min"),
        below_fus=_text_or_none(requires, "below"),
        gives=step.text(_gives_name(roles[image])),
        irreversible=step.truth("irreversible"),
    )
    _check_version(requires, "min", entry.min_fus)
    if entry.below_fus is not None:
        _check_version(requires, "below", entry.below_fus)
    _check_version(step, _gives_name(roles[image]), entry.gives)
    requires.end()
    step.end()
    return entry


def is_name(text: str) -> bool:
    """Say whether a product can have this name: one that looks the same as another is the same."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Say whether a text is a time in the one spelling of bundles (RFC 3339, UTC, no fractions)."""
    try:
        return bool(time_of(text))
    except ValueError:
        return False


def time_of(text: str) -> datetime:
    """Return a time in the one spelling of bundles. Raises ValueError."""
    match = _CREATED.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time of the form 2026-01-31T23:59:59Z: {text!a}")
    year, month, day, hour, minute, second = map(int, match.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _fus_policy(predicate: Members) -> FusPolicy:
    policy = predicate.optional("fus_policy")
    if policy is None:
        return FusPolicy.ALWAYS
    if policy != FusPolicy.NEEDED.value:
        predicate.refuse("fus_policy", 'not "needed"; a bundle that always upgrades FUS leaves the member out')
    return FusPolicy.NEEDED


def _expires(predicate: Members) -> str | None:
    expires = predicate.optional("expires")
    if expires is None:
        return None
    if not isinstance(expires, str) or not is_time(expires):
        predicate.refuse("expires", "not a time of the form 2026-01-31T23:59:59Z")
    return str(expires)


def _waivers(predicate: Members, roles: dict[str, str]) -> tuple[Waiver, ...]:
    waivers = tuple(_waiver(one, path, roles) for path, one in predicate.items("waivers", 50))
    if len({(one.rule, one.image) for one in waivers}) < len(waivers):
        predicate.refuse("waivers", "one rule is waived twice for one image")
    return waivers


def _waiver(document: Any, path: str, roles: dict[str, str]) -> Waiver:
    waiver = Members(document, path)
    entry = Waiver(waiver.text("rule", 10), _sha256(waiver, "image"), waiver.text("reason", LONGEST_REASON))
    if not re.fullmatch("WB[0-9]{3}", entry.rule):
        waiver.refuse("rule", "no rule's id")
    if entry.image not in roles:
        waiver.refuse("image", "not among the images")
    waiver.end()
    return entry


def _text_or_none(members: Members, name: str) -> str | None:
    value = members.take(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not is_plain(value):
        members.refuse(name, "neither null nor a text of printable ASCII")
    return str(value)


def _word(members: Members, name: str) -> int:
    text = members.text(name)
    if not _WORD.fullmatch(text):
        members.refuse(name, "no word: 0x and 8 upper-case hex digits")
    return int(text, 16)


def _check_version(members: Members, name: str, text: str, *, full: bool = False) -> None:
    """Refuse a version that is not in its one spelling."""
    try:
        version = Version.from_text(text)
    except VersionError:
        members.refuse(name, "no version")
    if text != (version.full_text if full else version.text):
        members.refuse(name, "not the one spelling of a version")
