"""Encrypt a private key with a passphrase: PKCS #8 with PBES2, PBKDF2-HMAC-SHA256 and AES-256-CBC.

cryptography's own PKCS #8 encryption has 2,048 rounds and no option for more. Sources: RFC 5208, section 6
(EncryptedPrivateKeyInfo); RFC 8018, appendix A (PBES2, PBKDF2); OWASP Password Storage Cheat Sheet (600,000 rounds).
"""

import base64
import os

from imagekit.errors import KeyFileError

ROUNDS = 600_000
LONGEST_PASSPHRASE = 1023
"""Bytes: OpenSSL, which reads these files too, accepts at most as many (PEM_BUFSIZE)."""
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("300c06082a864886f70d02090500")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


def passphrase_bytes(passphrase: str) -> bytes:
    """Return a passphrase as the bytes that open a key. Raises KeyFileError."""
    try:
        raw = passphrase.encode()
    except UnicodeEncodeError as error:
        raise KeyFileError("the passphrase is not valid text") from error
    if len(raw) > LONGEST_PASSPHRASE:
        raise KeyFileError(f"the passphrase has {len(raw)} bytes: at most {LONGEST_PASSPHRASE} are possible")
    if b"\0" in raw:
        raise KeyFileError("the passphrase contains a zero byte")
    return raw


def encrypted_pem(pkcs8: bytes, passphrase: str) -> bytes:
    """Return an unencrypted PKCS #8 key (DER) as encrypted PEM. Raises KeyFileError."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256
    from cryptography.hazmat.primitives.ciphers.modes import CBC
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
    from cryptography.hazmat.primitives.padding import PKCS7

    salt, start = os.urandom(16), os.urandom(16)
    key = PBKDF2HMAC(SHA256(), 32, salt, ROUNDS).derive(passphrase_bytes(passphrase))
    padder, encryptor = PKCS7(128).padder(), Cipher(AES256(key), CBC(start)).encryptor()
    padded = padder.update(pkcs8) + padder.finalize()
    encrypted = encryptor.update(padded) + encryptor.finalize()
    rounds = ROUNDS.to_bytes(ROUNDS.bit_length() // 8 + 1, "big")
    parameters = _der(_SEQUENCE, _der(_OCTETS, salt), _der(_INTEGER, rounds), _HMAC_SHA256)
    derivation = _der(_SEQUENCE, _PBKDF2, parameters)
    cipher = _der(_SEQUENCE, _AES_256_CBC, _der(_OCTETS, start))
    scheme = _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, derivation, cipher))
    text = base64.b64encode(_der(_SEQUENCE, scheme, _der(_OCTETS, encrypted)))
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    label = b"ENCRYPTED PRIVATE KEY"
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, b"\n".join(lines), label)


def _der(tag: int, *content: bytes) -> bytes:
    """Return one DER element (X.690, section 8.1)."""
    body = b"".join(content)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body
