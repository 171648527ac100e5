"""Bundle keys on a PKCS #11 token: SoftHSM stands in for an HSM."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imagekit.bundle.keys import TokenKey, fingerprint, load_public_keys, sign, verifies
from imagekit.bundle.token import parse_uri
from imagekit.errors import KeyFileError
from tests.support.bundles import private, public
from tests.support.images import FIXTURES, IMAGES

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
MODULE = next((path for path in MODULES if Path(path).exists()), None)
PIN = "123456"
STACK = IMAGES / "stack-fus2-4k.bin"
needs_softhsm = pytest.mark.skipif(
    not (MODULE and shutil.which("softhsm2-util") and shutil.which("pkcs11-tool") and shutil.which("openssl")),
    reason="no softhsm2, opensc or openssl on this machine",
)


def tool(folder: Path, *arguments: str, code: int = 0) -> bytes:
    result = subprocess.run(
        arguments, check=False, capture_output=True, cwd=folder, env={**os.environ, **environment(folder)}, timeout=60
    )
    assert result.returncode == code, result.stderr
    return result.stdout + result.stderr


def environment(folder: Path) -> dict[str, str]:
    return {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "PYTHONPATH": str(FIXTURES.parent)}


def imagekit(folder: Path, *arguments: object, code: int = 0) -> bytes:
    return tool(folder, sys.executable, "-m", "imagekit", *map(str, arguments), code=code)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A folder with a token `bundles`, a P-256 key `release` on it, its PIN in a file, and its public key."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    (tmp_path / "pin").write_text(f"{PIN}\n")
    tool(tmp_path, "softhsm2-util", "--init-token", "--free", "--label", "bundles", "--so-pin", PIN, "--pin", PIN)
    make = ("--keypairgen", "--key-type", "EC:prime256v1", "--label", "release", "--id", "01")
    tool(tmp_path, *pkcs11_tool(), *make)
    tool(tmp_path, *pkcs11_tool(), "--read-object", "--type", "pubkey", "--label", "release", "-o", "release.der")
    tool(tmp_path, "openssl", "pkey", "-pubin", "-inform", "DER", "-in", "release.der", "-out", "release.pub")
    return tmp_path


def pkcs11_tool() -> tuple[str, ...]:
    return ("pkcs11-tool", "--module", str(MODULE), "--token-label", "bundles", "--login", "--pin", PIN)


def uri(key: str = "object=release") -> str:
    return f"pkcs11:token=bundles;{key}?module-path={MODULE}"


@needs_softhsm
@pytest.mark.parametrize("key", ["object=release", "id=%01", "object=release;id=%01"])
def test_a_token_signs_a_bundle(key: str, token: Path) -> None:
    shown = imagekit(token, "keys", "show", uri(key), "--passphrase-file", "pin").split()[0].decode()
    assert shown == fingerprint(load_public_keys((token / "release.pub").read_bytes())[0])
    waived = ("--waive", "WB201=a fixture, not by ST")
    create = ("bundle", "create", "product.wbz", STACK, "--part", "STM32WB55RG", *waived)
    imagekit(token, *create, "--key", uri(key), "--passphrase-file", "pin")
    assert b"valid: signed by 1 of 1" in imagekit(token, "bundle", "verify", "product.wbz", "--trust", "release.pub")


@needs_softhsm
def test_pkcs11_tool_signs_as_the_page_says(token: Path) -> None:
    waived = ("--waive", "WB201=a fixture, not by ST")
    imagekit(token, "bundle", "create", "product.wbz", STACK, "--part", "STM32WB55RG", *waived)
    imagekit(token, "bundle", "payload", "product.wbz", "-o", "product.pae")
    tool(token, "openssl", "dgst", "-sha256", "-binary", "-out", "product.hash", "product.pae")
    signing = ("--sign", "-m", "ECDSA", "--label", "release", "-i", "product.hash", "-o", "product.sig")
    tool(token, *pkcs11_tool(), *signing)
    imagekit(token, "bundle", "attach", "product.wbz", "--signature", "product.sig", "--key", "release.pub")
    assert b"valid: signed by 1 of 1" in imagekit(token, "bundle", "verify", "product.wbz", "--trust", "release.pub")


@needs_softhsm
@pytest.mark.parametrize(
    ("key", "pin", "words"),
    [
        ("object=other", PIN, b"holds 0 objects"),
        ("object=release", "000000", b"the token: PinIncorrect"),
        ("object=release", "", b"the token: Pin"),
    ],
)
def test_a_token_that_does_not_sign_is_reported(key: str, pin: str, words: bytes, token: Path) -> None:
    (token / "pin").write_text(pin)
    told = imagekit(token, "keys", "show", uri(key), "--passphrase-file", "pin", code=4)
    assert words in told
    assert told.count(b"\n") == 1
    other = uri().replace("token=bundles", "token=none")
    assert b"the token: NoSuchToken" in imagekit(token, "keys", "show", other, "--passphrase-file", "pin", code=4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pkcs11:", "needs token"),
        ("pkcs11:token=a;object=b", "needs token"),
        ("pkcs11:token=a?module-path=/m", "needs token"),
        ("pkcs11:token=a;object=b?module-path=/m&pin-value=1234", "pin-value is not supported"),
        ("pkcs11:token=a;token=c;object=b?module-path=/m", "occurs twice"),
        ("pkcs11:slot-id=1;object=b?module-path=/m", "'slot-id' is not allowed"),
        ("pkcs11:token=%ff;object=b?module-path=/m", "not UTF-8"),
    ],
)
def test_a_uri_that_names_no_key(text: str, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        parse_uri(text)


def test_a_uri_is_decoded() -> None:
    found = parse_uri("pkcs11:token=My%20token;id=%00%ff?module-path=/m.so")
    assert (found.module, found.token, found.label, found.id) == ("/m.so", "My token", None, b"\x00\xff")


def test_a_signature_of_a_token_is_verified() -> None:
    key = public("p256")
    message = b"message"
    good = TokenKey(key, lambda _: sign(private("p256"), message))  # type: ignore[arg-type]
    assert verifies(key, sign(good, message), message)
    for wrong in (lambda _: sign(private("p256"), b"other"), lambda _: b"", lambda _: bytes(64)):
        with pytest.raises(KeyFileError, match="the token returned"):
            sign(TokenKey(key, wrong), message)  # type: ignore[arg-type]
