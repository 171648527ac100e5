"""A bundle key on a PKCS #11 token, such as an HSM or a smart card: ECDSA P-256, named by a URI.

Sources: RFC 7512 (the URI), PKCS #11 v2.40, section 2.3.1 (CKM_ECDSA signs a hash, and returns r || s). Only this
module imports python-pkcs11, and only when a URI is given.
"""

import re
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from imagekit.bundle.keys import TokenKey
from imagekit.errors import KeyFileError

SCHEME = "pkcs11:"
_EXAMPLE = "pkcs11:token=NAME;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so"
_PATH, _QUERY = frozenset({"token", "object", "id"}), frozenset({"module-path"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUri:
    """Where a key is: the library of the token, the token, and the key by its label or id."""

    module: str
    token: str
    label: str | None
    id: bytes | None


def parse_uri(uri: str) -> TokenUri:
    """Read a URI (RFC 7512, section 2.3). Raises KeyFileError."""
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    members = {**_members(path, ";", _PATH), **_members(query, "&", _QUERY)}
    if not {"token", "module-path"} <= members.keys() or not {"object", "id"} & members.keys():
        raise KeyFileError(f"a key on a token needs token, object or id, and module-path: {_EXAMPLE}")
    try:
        texts = {name: value.decode("utf-8") for name, value in members.items() if name != "id"}
    except UnicodeDecodeError as error:
        raise KeyFileError("the URI of a key on a token is not UTF-8") from error
    return TokenUri(module=texts["module-path"], token=texts["token"], label=texts.get("object"), id=members.get("id"))


def _members(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, _, value = part.partition("=")
        if name in ("pin-value", "pin-source"):
            raise KeyFileError(f"{name} is not supported: give the PIN with --passphrase-file or on the terminal")
        if name not in known or name in members or not value:
            raise KeyFileError(f"{name!a} is not allowed in the URI of a key, or occurs twice: {_EXAMPLE}")
        members[name] = re.sub(rb"%([0-9A-Fa-f]{2})", _decoded, value.encode("utf-8", "surrogateescape"))
    return members


def _decoded(match: "re.Match[bytes]") -> bytes:
    return bytes.fromhex(match[1].decode())


def open_key(uri: TokenUri, pin: str) -> TokenKey:
    """Log in to a token and return its key. The session stays open until the program ends. Raises KeyFileError."""
    import pkcs11
    from pkcs11.util.ec import encode_ec_public_key

    chosen = {pkcs11.Attribute.LABEL: uri.label, pkcs11.Attribute.ID: uri.id}
    chosen = {attribute: value for attribute, value in chosen.items() if value is not None}
    try:
        session = pkcs11.lib(uri.module).get_token(token_label=uri.token).open(user_pin=pin)
        private, public = (
            _only(list(session.get_objects({pkcs11.Attribute.CLASS: kind, **chosen})), str(kind.name))
            for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY)
        )
        key = load_der_public_key(encode_ec_public_key(public))
    except (pkcs11.PKCS11Error, RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise KeyFileError(f"the token: {type(error).__name__} {error}".strip()) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise KeyFileError("the key on the token is not ECDSA P-256")

    def sign_digest(digest: bytes) -> bytes:
        try:
            return bytes(private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))
        except pkcs11.PKCS11Error as error:
            raise KeyFileError(f"the token did not sign: {type(error).__name__} {error}".strip()) from error

    return TokenKey(key, sign_digest)


def _only(objects: list[Any], kind: str) -> Any:
    if len(objects) != 1:
        raise KeyFileError(f"the token holds {len(objects)} objects of class {kind} with this name, not one")
    return objects[0]
