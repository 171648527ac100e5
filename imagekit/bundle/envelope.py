"""The envelope: DSSE protocol 1.0.2 (https://github.com/secure-systems-lab/dsse), around an in-toto Statement.

The signature covers one byte string, the pre-authentication encoding (PAE) of payload type and payload. Any HSM, and
openssl, can sign and verify it.
"""

import base64
import binascii
from dataclasses import dataclass

from imagekit.bundle import strict_json
from imagekit.bundle.archive import LARGEST_MANIFEST
from imagekit.bundle.strict_json import Members, short
from imagekit.errors import BundleError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MOST_SIGNATURES = 16
_LARGEST_SIGNATURE = 80  # bytes: ECDSA P-256 in DER has 72 at most


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope. `keyid` is the fingerprint of its key, a hint until the key verifies it."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type, and the signatures of the two."""

    payload: bytes
    signatures: tuple[Signature, ...]
    payload_type: str = PAYLOAD_TYPE

    @property
    def signed(self) -> bytes:
        """The bytes that are signed."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding; lengths count bytes (DSSE protocol, "Signature Definition")."""
    encoded = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(encoded), encoded, len(payload), payload)


def dumps(envelope: Envelope) -> bytes:
    """Write an envelope in the one spelling that bundles use; signatures in the order of their key ids."""
    return strict_json.dumps(
        {
            "payload": base64.b64encode(envelope.payload).decode("ascii"),
            "payloadType": envelope.payload_type,
            "signatures": [
                {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode("ascii")}
                for signature in sorted(envelope.signatures, key=lambda signature: signature.keyid)
            ],
        }
    )


def loads(data: bytes) -> Envelope:
    """Read an envelope. Raises BundleError `size`, `json`, `envelope`, `payload-type` or `signature`."""
    if len(data) > LARGEST_MANIFEST:
        raise BundleError("size", f"the envelope has more than {LARGEST_MANIFEST} bytes")
    members = Members(strict_json.loads(data, "envelope"), "envelope", "envelope")
    payload_type = members.text("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise BundleError("payload-type", f"envelope: payloadType is {short(payload_type)}, not {PAYLOAD_TYPE!a}")
    payload = _base64(members, "payload", LARGEST_MANIFEST)
    signatures = tuple(_signature(entry, path) for path, entry in members.items("signatures", MOST_SIGNATURES))
    members.end()
    keyids = [signature.keyid for signature in signatures]
    if len(set(keyids)) < len(keyids):
        raise BundleError("signature", "envelope: two signatures with one key")
    envelope = Envelope(payload, signatures)
    if dumps(envelope) != data:
        raise BundleError("envelope", "envelope: not the one spelling of this JSON that bundles use")
    return envelope


def _signature(document: object, path: str) -> Signature:
    members = Members(document, path, "envelope")
    keyid = members.text("keyid")
    if len(keyid) != 64 or not set(keyid) <= set("0123456789abcdef"):
        members.refuse("keyid", "not a fingerprint (64 lower-case hex digits)")
    signature = Signature(keyid, _base64(members, "sig", _LARGEST_SIGNATURE))
    members.end()
    return signature


def _base64(members: Members, name: str, largest: int) -> bytes:
    """Decode canonical base64 (RFC 4648, sections 3.3 and 3.5)."""
    text = members.take(name)
    data = b""
    try:
        if isinstance(text, str):
            data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleError("envelope", f"{members.path}.{name}: not base64") from error
    if not 0 < len(data) <= largest or base64.b64encode(data).decode("ascii") != text:
        raise BundleError("envelope", f"{members.path}.{name}: empty, too long, or not canonical base64")
    return data
