"""Verify ST's signature on an image, offline. ST publishes neither the scheme nor the keys.

ECDSA on NIST P-256 with SHA-256 over body and image footer; r and s are 32 bytes each, big-endian
(docs/image-format.md, "Signature"; confirmed on every image that verifies). There is one algorithm and no
fallback: a signature is valid under a trusted key, or it is not verified.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from imagekit.image.container import ST_SIGNATURE_SIZE
from imagekit.image.model import Image
from imagekit.image.signing_keys import SigningKey

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of NIST P-256 (SP 800-186, section 3.2.1.3)."""

_SIGNED_DIGEST = ec.ECDSA(Prehashed(SHA256()))


class SignatureStatus(Enum):
    """What can be said of ST's signature; the values are those of `inspect --json`."""

    VALID = "valid"
    UNVERIFIED = "unverified"
    """No trusted key matches: altered, or signed under a key not known. The file cannot tell which."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """The outcome of verifying ST's signature."""

    status: SignatureStatus
    key: SigningKey | None = None
    """The key that verifies it, when the status is VALID."""
    defect: str = ""
    """Why no key can verify it: its 64 bytes are not an ECDSA signature. Empty otherwise."""


def signature_verdict(image: Image, keys: Iterable[SigningKey]) -> SignatureVerdict:
    """Check ST's signature on an image against each key; never raises."""
    block = image.st_signature
    if block is None:
        return SignatureVerdict(SignatureStatus.ABSENT)
    try:
        der = signature_to_der(block.signature)
    except ValueError as error:
        return SignatureVerdict(SignatureStatus.UNVERIFIED, defect=str(error))
    # Keys of the image's own series first: for speed only, the verdict does not depend on the order.
    for key in sorted(keys, key=lambda key: set(image.series).isdisjoint(key.series)):
        try:
            key.public_key.verify(der, image.signed_digest, _SIGNED_DIGEST)
        except InvalidSignature:
            continue
        return SignatureVerdict(SignatureStatus.VALID, key)
    return SignatureVerdict(SignatureStatus.UNVERIFIED)


def split_signature(signature: bytes) -> tuple[int, int]:
    """Return r and s of a raw P-256 signature: r || s, 32 bytes big-endian each."""
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def signature_to_der(signature: bytes) -> bytes:
    """Turn r || s, 32 bytes big-endian each, into a DER Ecdsa-Sig-Value (RFC 3279, section 2.2.3).

    Raises ValueError when the length is wrong or when r or s lies outside 1 ... n - 1 (FIPS 186-5, section
    6.4.2, step 1).
    """
    if len(signature) != ST_SIGNATURE_SIZE:
        raise ValueError(f"the signature has {len(signature)} bytes, not {ST_SIGNATURE_SIZE}")
    r, s = split_signature(signature)
    for name, number in (("r", r), ("s", s)):
        if number == 0:
            raise ValueError(f"{name} of the signature is zero")
        if number >= P256_ORDER:
            raise ValueError(f"{name} of the signature is not below the order of P-256")
    return encode_dss_signature(r, s)
