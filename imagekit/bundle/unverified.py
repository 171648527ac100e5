"""A bundle that nobody vouches for yet: for showing it, and for whoever is to sign it.

Nothing is ever flashed from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagekit.bundle import archive, envelope, manifest
from imagekit.bundle.envelope import Envelope, Signature
from imagekit.bundle.keys import PublicKey, fingerprint, normal, verifies
from imagekit.bundle.manifest import Manifest
from imagekit.bundle.verified import examine
from imagekit.errors import KeyFileError
from imagekit.signing_keys import SigningKey


@dataclass(frozen=True, slots=True)
class UnverifiedBundle:
    """A bundle whose images agree with its manifest; who signed it was not looked at."""

    envelope: Envelope
    manifest: Manifest
    members: dict[str, bytes]
    """`images/SHA-256` -> bytes."""


def read(data: bytes, st_keys: Sequence[SigningKey] | None = None) -> UnverifiedBundle:
    """Check all of a bundle but its signatures, so that nobody signs what nobody will take. Raises BundleError."""
    members = archive.read_archive(data)
    signed = envelope.loads(members.pop(archive.MANIFEST_NAME))
    stated = manifest.loads(signed.payload)
    examine(stated, members, st_keys)
    return UnverifiedBundle(signed, stated, members)


def attach(bundle: UnverifiedBundle, key: PublicKey, signature: bytes) -> bytes:
    """Return the bundle with one more signature: Ed25519, ECDSA in DER, or ECDSA as r || s.

    Raises KeyFileError when it is not this key's signature of this bundle, or when the key has signed already.
    """
    keyid = fingerprint(key)
    if any(one.keyid == keyid for one in bundle.envelope.signatures):
        raise KeyFileError(f"{keyid} has signed this bundle already")
    sig = _in_one_spelling(key, signature)
    if not verifies(key, sig, bundle.envelope.signed):
        raise KeyFileError(f"not a signature of this bundle by {keyid}: sign the bytes that `bundle payload` writes")
    signatures = (*bundle.envelope.signatures, Signature(keyid, sig))
    content = envelope.dumps(replace(bundle.envelope, signatures=signatures))
    return archive.write_archive([(archive.MANIFEST_NAME, content), *bundle.members.items()])


def _in_one_spelling(key: PublicKey, signature: bytes) -> bytes:
    try:
        return normal(key, signature)
    except ValueError as error:
        raise KeyFileError("neither a DER nor an r || s signature") from error
