"""The manifest as JSON: an in-toto Statement v1 with a predicate of imagekit's own.

Source of the frame: in-toto attestation framework, spec/v1/statement.md. Every member is checked. An unknown member is
refused, with its path.
"""

import re
from typing import Any

from imagekit.bundle import strict_json
from imagekit.bundle.archive import MOST_IMAGES
from imagekit.bundle.manifest import (
    LONGEST_NAME,
    LONGEST_REASON,
    NAME_IN_WORDS,
    ORDER,
    FusPolicy,
    ImageEntry,
    Manifest,
    ManifestStep,
    Waiver,
    is_name,
    is_time,
)
from imagekit.bundle.strict_json import Members, is_plain, short
from imagekit.errors import BundleError, VersionError
from imagekit.image.model import Version
from imagekit.targets import TARGETS, Target
from imagekit.text import hex_word

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:stm32wb-imagekit:bundle:v1"
SCHEMA = 1
_BY_NAME = {target.name: target for target in TARGETS}
_WORD = re.compile("0x[0-9A-F]{8}")


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
                "addresses": {sha256: hex_word(address) for sha256, address in manifest.addresses[target.name].items()},
            }
            for target in manifest.targets
        ],
        "images": {image.sha256: _image_document(image) for image in manifest.images},
        "steps": [_step_document(step, manifest) for step in manifest.steps],
        "waivers": [
            {"rule": waiver.rule, "image": waiver.image, "reason": waiver.reason} for waiver in manifest.waivers
        ],
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
        "magic": hex_word(image.magic),
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
    subjects = [_subject(document, path) for path, document in statement.items("subject", MOST_IMAGES, 1)]
    predicate = Members(statement.take("predicate"), "manifest.predicate")
    statement.end()
    predicate.constant("schema", SCHEMA)
    images = _images(predicate)
    if subjects != [image.sha256 for image in images]:
        raise BundleError("manifest", "manifest.subject: does not list the images of the predicate in their order")
    roles = {image.sha256: image.role for image in images}
    targets, addresses = _targets(predicate, roles)
    manifest = Manifest(
        name=predicate.text("name", LONGEST_NAME),
        sequence=predicate.number("sequence"),
        created=predicate.text("created", 20),
        tool=predicate.text("tool", 100),
        targets=targets,
        addresses=addresses,
        images=images,
        steps=tuple(_read_step(document, path, roles) for path, document in predicate.items("steps", MOST_IMAGES, 1)),
        waivers=_waivers(predicate, roles),
        fus_policy=_fus_policy(predicate),
        expires=_expires(predicate),
    )
    if not is_name(manifest.name):
        predicate.refuse("name", f"not {NAME_IN_WORDS}")
    if not is_time(manifest.created):
        predicate.refuse("created", "not a time of the form 2026-01-31T23:59:59Z")
    predicate.end()
    if dumps(manifest) != payload:
        raise BundleError("manifest", "manifest: not the one spelling of this statement that bundles use")
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
        members.refuse(name, "not a SHA-256 (64 lower-case hex digits)")
    return text


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _images(predicate: Members) -> tuple[ImageEntry, ...]:
    documents = predicate.take("images")
    if not isinstance(documents, dict) or not 1 <= len(documents) <= MOST_IMAGES:
        predicate.refuse("images", f"not an object of 1 to {MOST_IMAGES} members")
    for key in documents:
        if not _is_sha256(key):
            predicate.refuse("images", f"{short(key)} is not a SHA-256 (64 lower-case hex digits)")
    return tuple(_image(sha256, document) for sha256, document in sorted(documents.items()))


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
        image.refuse("role", "not one of fus, stack, safeboot")
    if entry.version is not None:
        _check_version(image, "version", entry.version, full=True)
    image.end()
    return entry


def _targets(predicate: Members, roles: dict[str, str]) -> tuple[tuple[Target, ...], dict[str, dict[str, int]]]:
    targets, addresses = [], {}
    for path, document in predicate.items("targets", len(TARGETS), 1):
        members = Members(document, path)
        name = members.text("target")
        if name not in _BY_NAME or name in addresses:
            members.refuse("target", f"{short(name)} is not a target, or occurs twice")
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
    waivers = tuple(_waiver(document, path, roles) for path, document in predicate.items("waivers", 50))
    if len({(waiver.rule, waiver.image) for waiver in waivers}) < len(waivers):
        predicate.refuse("waivers", "one rule is waived twice for one image")
    return waivers


def _waiver(document: Any, path: str, roles: dict[str, str]) -> Waiver:
    waiver = Members(document, path)
    entry = Waiver(waiver.text("rule", 10), _sha256(waiver, "image"), waiver.text("reason", LONGEST_REASON))
    if not re.fullmatch("WB[0-9]{3}", entry.rule):
        waiver.refuse("rule", "not the id of a rule")
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
        members.refuse(name, "not a word (0x and 8 upper-case hex digits)")
    return int(text, 16)


def _check_version(members: Members, name: str, text: str, *, full: bool = False) -> None:
    """Refuse a version that is not in its one spelling."""
    try:
        version = Version.from_text(text)
    except VersionError:
        members.refuse(name, "not a version")
    spelling = version.text
    if full:
        spelling = version.full_text
    if text != spelling:
        members.refuse(name, "not the one spelling of a version")
