"""The keys that sign bundles: Ed25519, or ECDSA on NIST P-256 with SHA-256. They are the user's own, never ST's.

A key is known by its fingerprint: SHA-256 of its DER SubjectPublicKeyInfo (RFC 5280, section 4.1), in hex.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from imagekit.bundle.key_encryption import encrypted_pem, passphrase_bytes
from imagekit.errors import KeyFileError
from imagekit.image.signature import P256_ORDER, split_signature

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
FileKey = Ed25519PrivateKey | EllipticCurvePrivateKey
"""A private key that a file holds."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A P-256 key that a token keeps, such as an HSM. `sign_digest`: SHA-256 of a message -> r || s."""

    public: EllipticCurvePublicKey
    sign_digest: Callable[[bytes], bytes]

    def public_key(self) -> EllipticCurvePublicKey:
        """Return the public key, as the keys of files do."""
        return self.public


PrivateKey = FileKey | TokenKey

_SCALAR = 32
"""Bytes of a number modulo n."""
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_P25519 = 2**255 - 19
"""The prime of Ed25519's field (RFC 8032, section 5.1)."""
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _P25519 - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
"""y of the eight points of Ed25519 whose order divides 8: under them, one signature is valid for many messages."""
MOST_KEYS = 32
_PRIME_FIELD = bytes.fromhex("2a8648ce3d0101")
"""The object identifier prime-field, which only a spelled-out curve holds (RFC 3279, section 2.3.5)."""
_TO_ONE_SPELLING = "convert it with `openssl ec -param_enc named_curve`"
_LARGEST_FILE = 64 * 1024
"""Bytes in a file of public keys: ten times what the most keys take."""


def generate(kind: str) -> FileKey:
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


def private_pem(key: FileKey, passphrase: str | None) -> bytes:
    """Return the private key as PKCS #8 PEM, encrypted when there is a passphrase. Raises KeyFileError."""
    if not passphrase:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return encrypted_pem(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), passphrase)


class _Block(NamedTuple):
    """One block of a PEM file (RFC 7468, section 2)."""

    label: bytes
    text: bytes

    @property
    def is_private(self) -> bool:
        """Whether it holds a private key, encrypted or not."""
        return self.label.endswith(b"PRIVATE KEY")

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase opens it: PKCS #8, or as RFC 1421 has it."""
        return self.label.startswith(b"ENCRYPTED ") or b"\nProc-Type: 4,ENCRYPTED" in self.text


def _blocks(pem: bytes) -> list[_Block]:
    """Return the blocks of a PEM file; what stands between them is comment. Raises KeyFileError for half a block."""
    blocks: list[_Block] = []
    label, lines = b"", list[bytes]()
    for line in map(bytes.strip, pem.removeprefix(b"\xef\xbb\xbf").splitlines()):
        if b"-----BEGIN" in line:
            begin = _BEGIN.fullmatch(line)
            if label or begin is None:
                raise KeyFileError(_HALF_A_BLOCK)
            label, lines = begin[1], []
        if label:
            lines.append(line)
        if label and line == b"-----END %b-----" % label:
            blocks.append(_Block(label, b"\n".join([*lines, b""])))
            label = b""
    if label:
        raise KeyFileError(_HALF_A_BLOCK)
    return blocks


_HALF_A_BLOCK = "something in it begins as PEM does and is no whole block: a damaged key, or one that was cut short"


def load_public_keys(pem: bytes | bytearray | memoryview) -> tuple[PublicKey, ...]:
    """Read every public key of a PEM file. Raises KeyFileError when there is none, or one that signs no bundle."""
    pem = bytes(pem)
    if len(pem) > _LARGEST_FILE:
        raise KeyFileError(f"more than {_LARGEST_FILE} bytes: not a key file")
    blocks = _blocks(pem)
    if any(block.is_private for block in blocks):
        raise KeyFileError(
            "holds a private key, where public ones belong: `imagekit keys show --pem` prints the public one"
        )
    if any(block.label.endswith(b"CERTIFICATE") for block in blocks):
        raise KeyFileError(
            "holds a certificate, and certificates are not used: `openssl x509 -pubkey -noout -in FILE` prints its key"
        )
    if not blocks:
        raise KeyFileError("holds no public key in PEM")
    if len(blocks) > MOST_KEYS:
        raise KeyFileError(f"holds {len(blocks)} keys, more than {MOST_KEYS}")
    return tuple(_public_key(block.text) for block in blocks)


def _public_key(block: bytes) -> PublicKey:
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("holds a damaged key, or one of a kind that is not known") from error
    if isinstance(key, Ed25519PublicKey):
        _refuse_weak(key)
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        if _PRIME_FIELD in _der(block):
            # openssl keeps a spelled-out curve, so it would know the key by another fingerprint.
            raise KeyFileError(f"the curve of this key is not named: {_TO_ONE_SPELLING}")
        return key
    raise KeyFileError("holds a key that is neither Ed25519 nor ECDSA P-256")


def _der(block: bytes) -> bytes:
    """Return the content of a PEM block without headers; empty when it is not base64."""
    try:
        return base64.b64decode(b"".join(block.splitlines()[1:-1]))
    except binascii.Error:
        return b""


def _refuse_weak(key: Ed25519PublicKey) -> None:
    """Raise KeyFileError for a point that nobody generates: of small order, or with y >= p (RFC 8032, 5.1.3)."""
    y = int.from_bytes(key.public_bytes_raw(), "little") & (1 << 255) - 1
    if y >= _P25519 or y in _SMALL_ORDER:
        raise KeyFileError("holds an Ed25519 key that is none: a point of small order, or not in its one spelling")


def is_private(pem: bytes) -> bool:
    """Say whether a PEM file holds a private key. Raises KeyFileError for half a block."""
    return any(block.is_private for block in _blocks(pem))


def is_encrypted(pem: bytes) -> bool:
    """Say whether a passphrase opens the private key of a file. Raises KeyFileError for half a block."""
    return any(block.is_private and block.is_encrypted for block in _blocks(pem))


def load_private_key(pem: bytes, passphrase: str | None = None) -> FileKey:
    """Read the private key of a PEM file. Raises KeyFileError, also when there are several."""
    blocks = [block for block in _blocks(pem) if block.is_private]
    if len(blocks) != 1:
        raise KeyFileError(f"holds {len(blocks)} private keys" if blocks else "holds no private key in PEM")
    secret = None
    if passphrase:
        secret = passphrase_bytes(passphrase)
    try:
        key = load_pem_private_key(blocks[0].text, secret)
    except TypeError as error:
        raise KeyFileError("the private key is encrypted: a passphrase opens it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        why = (
            "wrong passphrase, or a damaged key"
            if passphrase
            else "no private key in PEM that is known, or a damaged one"
        )
        raise KeyFileError(why) from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        if _PRIME_FIELD in _der(blocks[0].text):
            raise KeyFileError(f"the curve of this private key is not named: {_TO_ONE_SPELLING}")
        return key
    raise KeyFileError("the private key is neither Ed25519 nor ECDSA P-256")


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign; the same key in a file and the same message give the same bytes (RFC 8032; RFC 6979).

    Raises KeyFileError for a token that does not sign.
    """
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, TokenKey):
        return _signed_by_token(key, message)
    return normal(key.public_key(), key.sign(message, ECDSA(SHA256(), deterministic_signing=True)))


def _signed_by_token(key: TokenKey, message: bytes) -> bytes:
    try:
        signature = normal(key.public, key.sign_digest(hashlib.sha256(message).digest()))
    except ValueError as error:
        raise KeyFileError("the token returned something other than a signature") from error
    if not verifies(key.public, signature, message):
        raise KeyFileError("the token returned a signature that its own public key does not verify")
    return signature


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
        r, s = split_signature(signature)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


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
        raise KeyFileError("one key is given twice: it counts once")
    return by_fingerprint
