"""Other people's programs agree about who signed a bundle: openssl, securesystemslib, in-toto, unzip."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from imagekit.bundle import archive, envelope, write
from imagekit.bundle.keys import fingerprint, load_private_key, load_public_keys
from imagekit.errors import KeyFileError
from tests.support.bundles import fixture, private, public, public_file
from tests.support.images import FIXTURES

SCRIPT = FIXTURES.parent / "docs" / "verify-bundle-with-openssl.sh"
needs_openssl = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("unzip")), reason="no openssl or no unzip on this machine"
)
KEYS = ("ed25519", "p256")


def run_script(path: Path, key: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", SCRIPT, path, public_file(key)], check=False, capture_output=True)


@needs_openssl
@pytest.mark.parametrize("key", KEYS)
def test_openssl_verifies_a_bundle(key: str) -> None:
    for name in (f"good-{key}", "good-two-signers"):
        result = run_script(public_file(key).parent / f"{name}.wbz", key)
        assert (result.returncode, fingerprint(public(key)).encode() in result.stdout) == (0, True), result.stderr


@needs_openssl
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("signed-nobody", "has not signed it"),
        ("signed-unknown-key-only", "has not signed it"),
        ("good-p256", "has not signed it"),
        ("signed-flipped-bit", "not valid"),
        ("signed-over-the-payload", "not valid"),
        ("signed-over-another-type", "not valid"),
        ("signed-over-another-payload", "not valid"),
        ("signed-stranger-under-a-trusted-id", "not valid"),
        ("manifest-replaced", "not valid"),
        ("envelope-wrong-payload-type", "not one of a bundle"),
        ("image-altered", "holds other bytes"),
        ("images-swapped", "holds other bytes"),
        ("image-altered-and-renamed", "not the images that were signed"),
        ("extra-image", "not the images that were signed"),
        ("missing-image", "not the images that were signed"),
        ("not-a-bundle", "manifest.dsse.json"),
    ],
)
def test_openssl_refuses_a_bad_one(name: str, words: str) -> None:
    result = run_script(public_file("ed25519").parent / f"{name}.wbz", "ed25519")
    assert (result.returncode != 0, result.stdout, words in result.stderr.decode()) == (True, b"", True), result.stderr


@needs_openssl
def test_the_script_says_how_it_is_used(tmp_path: Path) -> None:
    alone = subprocess.run(["sh", SCRIPT], check=False, capture_output=True)
    assert (alone.returncode, alone.stdout) == (2, b"")
    assert alone.stderr == b"usage: verify-bundle-with-openssl.sh BUNDLE PUBLIC_KEY.pem\n"
    missing = run_script(tmp_path / "missing.wbz", "p256")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert missing.stderr.endswith(b"missing.wbz: no such file, or not readable\n")


@needs_openssl
@pytest.mark.parametrize("key", KEYS)
def test_openssl_refuses_a_changed_payload(key: str, tmp_path: Path) -> None:
    members = archive.read_archive(fixture(f"good-{key}"))
    text = members["manifest.dsse.json"]
    signed = envelope.loads(text)
    other = signed.payload.replace(b'"sequence":7', b'"sequence":8')
    members["manifest.dsse.json"] = envelope.dumps(envelope.Envelope(other, signed.signatures))
    (tmp_path / "changed.wbz").write_bytes(archive.write_archive(members.items()))
    result = run_script(tmp_path / "changed.wbz", key)
    assert result.returncode != 0
    assert b"not valid" in result.stderr


@needs_openssl
@pytest.mark.parametrize("name", ["product[1].wbz", "prod*.wbz", "-p.wbz", "a b$(id).wbz", "%s\\n.wbz", "file:x.wbz"])
def test_the_script_checks_the_named_file_only(name: str, tmp_path: Path) -> None:
    for good in ("product1.wbz", "product.wbz", "p.wbz", "x.wbz"):
        (tmp_path / good).write_bytes(fixture("good-ed25519"))
    (tmp_path / name).write_bytes(fixture("signed-flipped-bit"))
    result = subprocess.run(
        ["sh", SCRIPT, name, public_file("ed25519")], check=False, capture_output=True, cwd=tmp_path
    )
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == f"{name}: the signature is not valid\n"


@needs_openssl
@pytest.mark.parametrize(("before", "after"), [(b"#!/bin/sh\n", b""), (b"", b"appended"), (b"", b"PK\x05\x06")])
def test_the_script_refuses_bytes_of_no_member(before: bytes, after: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.wbz").write_bytes(before + fixture("good-ed25519") + after)
    result = run_script(tmp_path / "b.wbz", "ed25519")
    assert (result.returncode, result.stdout) == (1, b"")


@needs_openssl
def test_the_script_refuses_a_compressed_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.wbz", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in archive.read_archive(fixture("good-ed25519")).items():
            packed.writestr(name, data)
    result = run_script(tmp_path / "b.wbz", "ed25519")
    assert (result.returncode, b"belong to no member, or is compressed" in result.stderr) == (1, True)


@needs_openssl
def test_the_script_ignores_options_of_unzip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNZIP", "-aa")
    monkeypatch.setenv("ZIPINFO", "-l")
    path = tmp_path / "[good].wbz"
    path.write_bytes(fixture("good-ed25519"))
    result = run_script(path, "ed25519")
    assert (result.returncode, result.stderr) == (0, b"")


def signed_statement(payload: bytes, path: Path) -> None:
    """Write a bundle around a payload that the trusted key signed."""
    members = archive.read_archive(fixture("good-ed25519"))
    signature = write.signature(private("ed25519"), payload)
    members["manifest.dsse.json"] = envelope.dumps(envelope.Envelope(payload, (signature,)))
    path.write_bytes(archive.write_archive(members.items()))


GOOD_PAYLOAD = envelope.loads(archive.read_archive(fixture("good-ed25519"))["manifest.dsse.json"]).payload


@needs_openssl
@pytest.mark.parametrize(
    "payload",
    [
        GOOD_PAYLOAD.replace(b"urn:stm32wb-imagekit:bundle:v1", b"https://slsa.dev/provenance/v1"),
        GOOD_PAYLOAD.replace(b"in-toto.io/Statement/v1", b"in-toto.io/Statement/v0"),
        GOOD_PAYLOAD[: GOOD_PAYLOAD.index(b'"subject":[')] + b'"subject":[]}',
        GOOD_PAYLOAD.replace(b'"subject":', b'"subject":[],"x":'),
        GOOD_PAYLOAD.replace(b'"predicateType"', b'"other":1,"predicateType"'),
        b"{}\n" + GOOD_PAYLOAD,
        GOOD_PAYLOAD + b"\n{}",
    ],
)
def test_the_script_refuses_other_statements(payload: bytes, tmp_path: Path) -> None:
    signed_statement(payload, tmp_path / "other.wbz")
    result = run_script(tmp_path / "other.wbz", "ed25519")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"not a statement about a bundle" in result.stderr


@needs_openssl
def test_the_script_refuses_an_explicit_curve(tmp_path: Path) -> None:
    path = tmp_path / "explicit.pub"
    path.write_bytes(explicit_curve_key(tmp_path)[1])
    result = subprocess.run(
        ["sh", SCRIPT, public_file("p256").parent / "good-p256.wbz", path], check=False, capture_output=True
    )
    assert result.returncode == 1
    assert b"named curve" in result.stderr


@needs_openssl
def test_the_script_takes_a_compressed_point(tmp_path: Path) -> None:
    path = tmp_path / "compressed.pub"
    convert = [
        "openssl",
        "ec",
        "-pubin",
        "-in",
        str(public_file("p256")),
        "-conv_form",
        "compressed",
        "-out",
        str(path),
    ]
    subprocess.run(convert, check=True, capture_output=True)
    result = subprocess.run(
        ["sh", SCRIPT, public_file("p256").parent / "good-p256.wbz", path], check=False, capture_output=True
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert fingerprint(public("p256")).encode() in result.stdout


@needs_openssl
def test_imagekit_refuses_an_explicit_curve(tmp_path: Path) -> None:
    private_pem, public_pem = explicit_curve_key(tmp_path)
    with pytest.raises(KeyFileError, match="curve of this key is not named"):
        load_public_keys(public_pem)
    with pytest.raises(KeyFileError, match="curve of this private key is not named"):
        load_private_key(private_pem)


def explicit_curve_key(folder: Path) -> tuple[bytes, bytes]:
    """A private and a public key that spell out P-256 in place of its name."""
    path = folder / "explicit.pem"
    make = "openssl ecparam -name prime256v1 -genkey -noout -param_enc explicit -out"
    subprocess.run([*make.split(), path], check=True, capture_output=True)
    public_pem = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True, capture_output=True).stdout
    return path.read_bytes(), public_pem


def sslib_envelope(name: str) -> Envelope:
    text = archive.read_archive(fixture(name))["manifest.dsse.json"]
    return Envelope.from_dict(json.loads(text))


def sslib_key(name: str) -> SSlibKey:
    return SSlibKey.from_crypto(public(name), fingerprint(public(name)))


@pytest.mark.parametrize("key", KEYS)
def test_securesystemslib_verifies_our_envelope(key: str) -> None:
    found = sslib_envelope(f"good-{key}")
    assert found.pae() == envelope.loads(archive.read_archive(fixture(f"good-{key}"))["manifest.dsse.json"]).signed
    assert found.verify([sslib_key(key)], 1).keys() == {fingerprint(public(key))}
    with pytest.raises(VerificationError):
        found.verify([sslib_key("stranger")], 1)


def test_securesystemslib_counts_two_signers() -> None:
    found = sslib_envelope("good-two-signers")
    assert len(found.verify([sslib_key(key) for key in KEYS], 2)) == 2


@pytest.mark.parametrize(
    "name", ["signed-flipped-bit", "manifest-replaced", "signed-over-the-payload", "signed-over-another-type"]
)
def test_securesystemslib_refuses_what_we_refuse(name: str) -> None:
    with pytest.raises(VerificationError):
        sslib_envelope(name).verify([sslib_key(key) for key in KEYS], 1)


def test_in_toto_reads_our_statement() -> None:
    payload = envelope.loads(archive.read_archive(fixture("good-ed25519"))["manifest.dsse.json"]).payload
    document: dict[str, Any] = json.loads(payload)
    statement = Statement.copy_from_pb(json_format.Parse(payload, statement_pb2.Statement()))
    statement.validate()
    assert statement.pb.predicate_type == document["predicateType"]
    assert {one.name: dict(one.digest) for one in statement.pb.subject} == {
        one["name"]: one["digest"] for one in document["subject"]
    }
    assert json_format.MessageToDict(statement.pb.predicate) == document["predicate"]
