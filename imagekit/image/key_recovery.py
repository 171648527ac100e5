"""Recover the public keys that signed images, from the images alone.

An ECDSA signature over a known message leaves two public keys possible, once in 2^130 four (SEC 1 v2, section 4.1.6;
the other two are not looked for); two signatures by one key have one of them in common: docs/image-format.md,
"Recovering a key". The point arithmetic is that of the package ecdsa; only this file imports it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from ecdsa import NIST256p, VerifyingKey
from ecdsa.errors import MalformedPointError
from ecdsa.numbertheory import SquareRootError
from ecdsa.util import sigdecode_string

from imagekit.image.model import Image
from imagekit.image.signature import P256_ORDER, signature_to_der, split_signature


@dataclass(frozen=True, slots=True)
class RecoveredKey:
    """A key that must have signed these images."""

    point: bytes
    """The uncompressed point: 04, x, y (SEC 1 v2, section 2.3.3)."""
    images: tuple[Image, ...]

    @property
    def public_key(self) -> EllipticCurvePublicKey:
        """The key, to verify with."""
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), self.point)


def recover(images: Iterable[Image]) -> tuple[tuple[RecoveredKey, ...], tuple[Image, ...]]:
    """Return the keys that at least two different signatures share, and the images that none of them signed.

    The keys come by how many images they signed. One signature over one digest is one vote, whatever stands behind it
    in the file and whichever of its two spellings it has: a second vote needs another digest, or another signature.
    """
    by_content = {image.sha256: image for image in images}
    signed: dict[bytes, list[Image]] = defaultdict(list)
    votes: dict[bytes, set[_Vote]] = defaultdict(set)
    for image in by_content.values():
        for point in candidates(image):
            signed[point].append(image)
            votes[point].add(_vote(image))
    keys = [RecoveredKey(point, tuple(by_point)) for point, by_point in signed.items() if len(votes[point]) > 1]
    placed = {image.sha256 for key in keys for image in key.images}
    return (
        tuple(sorted(keys, key=lambda key: (-len(key.images), key.point))),
        tuple(image for image in by_content.values() if image.sha256 not in placed),
    )


_Vote = tuple[bytes, int, int]


def _vote(image: Image) -> _Vote:
    """What one signature proves: the digest, r, and the smaller of s and n - s, which are valid together."""
    signature = image.st_signature.signature if image.st_signature else b""
    r, s = split_signature(signature)
    return image.signed_digest, r, min(s, P256_ORDER - s)


def candidates(image: Image) -> set[bytes]:
    """Return the points under which ST's signature on an image would be valid; empty for an image without one.

    Also empty for a crafted signature for which one of the two is the point at infinity.
    """
    block = image.st_signature
    if block is None:
        return set()
    try:
        signature_to_der(block.signature)
        keys = VerifyingKey.from_public_key_recovery_with_digest(
            block.signature, image.signed_digest, NIST256p, sigdecode=sigdecode_string
        )
    # TypeError: ecdsa computes with the coordinates of infinity, which are None.
    except (ValueError, TypeError, MalformedPointError, SquareRootError):
        return set()
    return {key.to_string("uncompressed") for key in keys}
