"""Other people's programs agree about who signed a bundle: openssl, securesystemslib, in-toto, unzip."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from imagekit.bundle import archive, envelope
from imagekit.bundle.keys import fingerprint
from tests.support.bundles import fixture, public, public_file
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
