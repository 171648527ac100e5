"""A bundle whose signatures were not verified: for showing it, and for adding a signature. It is never flashed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagekit.assessment import Assessment
from imagekit.bundle import archive, envelope, manifest_json
from imagekit.bundle.envelope import MOST_SIGNATURES, Envelope, Signature
from imagekit.bundle.keys import PublicKey, fingerprint, normal, verifies
from imagekit.bundle.manifest import Manifest
from imagekit.bundle.verified import examine
from imagekit.errors import KeyFileError
from imagekit.image.signing_keys import SigningKey

_TEXT = re.compile(rb"[A-Za-z0-9+/=_\-\s]{80,}")
"""A signature in base64 or hex: the shortest has 64 bytes. DER begins differently, and raw bytes are never 80."""


@dataclass(frozen=True, slots=True)
class UnverifiedBundle:
    """A bundle whose images agree with its manifest. Its signatures were not verified."""

    envelope: Envelope
    manifest: Manifest
    members: dict[str, bytes]
    """`images/SHA-256` -> bytes."""
    assessments: dict[str, Assessment]


def read(data: bytes, st_keys: Sequence[SigningKey] | None = None) -> UnverifiedBundle:
    """Check everything in a bundle except its signatures, so that only a bundle that can be installed gets signed.

    Raises BundleError.
    """
    members = archive.read_archive(data)
    signed = envelope.loads(members.pop(archive.MANIFEST_NAME))
    content = manifest_json.loads(signed.payload)
    _, assessments = examine(content, members, st_keys)
    return UnverifiedBundle(signed, content, members, assessments)


def attach(
    bundle: UnverifiedBundle, key: PublicKey, signature: bytes, st_keys: Sequence[SigningKey] | None = None
) -> bytes:
    """Return the bundle with one more signature: Ed25519, ECDSA in DER, or ECDSA as r || s.

    The result is read back. Raises KeyFileError when it is not this key's signature of this bundle, when the key has
    signed already, or when the bundle is full; BundleError when the result is not a valid bundle.
    """
    keyid = fingerprint(key)
    if any(earlier.keyid == keyid for earlier in bundle.envelope.signatures):
        raise KeyFileError(f"{keyid} has signed this bundle already")
    if len(bundle.envelope.signatures) == MOST_SIGNATURES:
        raise KeyFileError(f"the bundle has {MOST_SIGNATURES} signatures, which is the most")
    sig = _in_one_spelling(key, signature)
    if not verifies(key, sig, bundle.envelope.signed):
        raise KeyFileError(f"not a signature of this bundle by {keyid}: sign the bytes that `bundle payload` writes")
    signatures = (*bundle.envelope.signatures, Signature(keyid, sig))
    content = envelope.dumps(replace(bundle.envelope, signatures=signatures))
    data = archive.write_archive([(archive.MANIFEST_NAME, content), *bundle.members.items()])
    read(data, st_keys)
    return data


def _in_one_spelling(key: PublicKey, signature: bytes) -> bytes:
    if _TEXT.fullmatch(signature):
        raise KeyFileError("the signature is text, but raw bytes are needed: decode it with `openssl base64 -d`")
    try:
        return normal(key, signature)
    except ValueError as error:
        raise KeyFileError("not a signature in DER, nor r || s") from error
