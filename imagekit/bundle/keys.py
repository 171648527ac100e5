"""The keys that sign bundles: Ed25519, or ECDSA on NIST P-256 with SHA-256. They are the user's own, never ST's.

A key is known by its fingerprint: SHA-256 of its DER SubjectPublicKeyInfo (RFC 5280, section 4.1), in hex.
"""

import hashlib
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from imagekit.errors import KeyFileError

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of NIST P-256 (SP 800-186, section 3.2.1.3)."""
_SCALAR = 32
"""Bytes of a number modulo n."""
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
MOST_KEYS = 32
_LARGEST_FILE = 64 * 1024
"""Bytes in a file of public keys: ten times what the most keys take."""


def generate(kind: str) -> PrivateKey:
    """Make a new key: `ed25519` or `p256`."""
    return Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(SECP256R1())


def kind_of(key: PublicKey) -> str:
    """Return `Ed25519` or `ECDSA P-256`."""
    return "Ed25519" if isinstance(key, Ed25519PublicKey) else "ECDSA P-256"


def fingerprint(key: PublicKey) -> str:
    """Return SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def public_pem(key: PublicKey) -> bytes:
    """Return the public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: PrivateKey, passphrase: str | None) -> bytes:
    """Return the private key as PKCS #8 PEM, encrypted when there is a passphrase."""
    how: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def load_public_keys(pem: bytes) -> tuple[PublicKey, ...]:
    """Read every public key of a PEM file. Raises KeyFileError when there is none, or one that signs no bundle."""
    if len(pem) > _LARGEST_FILE:
        raise KeyFileError(f"more than {_LARGEST_FILE} bytes: no file of keys")
    blocks = [match.group(0) for match in _PEM.finditer(pem)]
    if any(b"PRIVATE KEY" in block for block in blocks):
        raise KeyFileError("holds a private key, where public ones belong: `imagekit keys show` prints the public one")
    if not blocks:
        raise KeyFileError("holds no public key in PEM")
    if len(blocks) > MOST_KEYS:
        raise KeyFileError(f"holds {len(blocks)} keys, more than {MOST_KEYS}")
    return tuple(_public_key(block) for block in blocks)


def _public_key(block: bytes) -> PublicKey:
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("holds a damaged key, or one of a kind that is not known") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise KeyFileError("holds a key that is neither Ed25519 nor ECDSA P-256")


def is_encrypted(pem: bytes) -> bool:
    """Whether a passphrase opens this private key."""
    return b"ENCRYPTED" in pem


def load_private_key(pem: bytes, passphrase: str | None = None) -> PrivateKey:
    """Read a private key in PEM. Raises KeyFileError."""
    try:
        key = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except TypeError as error:
        raise KeyFileError("the private key is encrypted: a passphrase opens it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        why = "wrong passphrase, or a damaged key" if passphrase else "no private key in PEM"
        raise KeyFileError(why) from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise KeyFileError("the private key is neither Ed25519 nor ECDSA P-256")


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign; the same key and message give the same bytes (RFC 8032; RFC 6979)."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return normal(key.public_key(), key.sign(message, ECDSA(SHA256(), deterministic_signing=True)))


def normal(key: PublicKey, signature: bytes) -> bytes:
    """Return the one spelling of a signature that bundles use: of an ECDSA signature that with the smaller s.

    (r, s) and (r, n - s) are both valid (SEC 1 v2, section 4.1.4), and nobody may change a bundle. It may come in DER,
    or as r || s, 32 bytes each, as PKCS #11 has it. Raises ValueError.
    """
    if isinstance(key, Ed25519PublicKey):
        return signature
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        if len(signature) != 2 * _SCALAR:
            raise
        r, s = (int.from_bytes(half, "big") for half in (signature[:_SCALAR], signature[_SCALAR:]))
    return encode_dss_signature(r, min(s, _P256_ORDER - s))


def verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Say whether the signature is this key's, by the algorithm of the key, and in its one spelling."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
            return True
        key.verify(signature, message, ECDSA(SHA256()))
        return normal(key, signature) == signature
    except (InvalidSignature, ValueError):
        return False


def distinct(keys: Sequence[PublicKey]) -> dict[str, PublicKey]:
    """Return the keys by fingerprint. Raises KeyFileError when one stands twice: it would count once all the same."""
    by_fingerprint = {fingerprint(key): key for key in keys}
    if len(by_fingerprint) < len(keys):
        raise KeyFileError("one trusted key is given twice: it counts once")
    return by_fingerprint
