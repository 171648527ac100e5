"""ST's signature: what verifies, what does not, and that nothing else counts as verified."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imagekit.image.model import Image
from imagekit.image.signature import SignatureStatus, signature_to_der, signature_verdict
from imagekit.image.signing_keys import load_public_key, st_keys
from imagekit.targets import Series
from tests.support.images import content, image, throw_away_keys

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# docs/image-format.md, "ST's keys": the uncompressed points.
POINTS = {
    "st-wb5x-wb3x": "04e06dc3ba8ce948e4f1252a765fb4127dcc281d09cd5939506376778be747a613"
    "28f0a0df88f01957778a9e686bc43dd5d2eede7beeb0de4e274eaedabc9a1838",
    "st-wb1x": "0440a024dbfb9d50b0ce4db291dc21ef7cf250c101446b81507aa8146defc7c449"
    "9a708359329522afd3829c9caafabfae53ddc659fa8e5a11f2d87eb228d57a9f",
    "st-wb3x-early": "049e935d0d9cc266edf255e10119ecd0aae42c6fb5883ad3ec052f21e1fcd72135"
    "b8f9a0d54b81d479425bd27a2cf711b8562f976ea08301c79fd54c67737db069",
}


def test_the_shipped_keys_are_st_s_three() -> None:
    points = {
        key.name: key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex() for key in st_keys()
    }
    assert points == POINTS


def test_the_shipped_keys_readme_has_their_fingerprints() -> None:
    import hashlib

    import imagekit

    readme = (Path(imagekit.__file__).parent / "data" / "keys" / "README.md").read_text()
    for key in st_keys():
        der = key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert hashlib.sha256(der).hexdigest() in readme


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("stack-4k", "test-wb5x-wb3x"),
        ("stack-2k", "test-wb1x"),
        ("signed-by-wb3x-early", "test-wb3x-early"),
        ("signed-by-wb1x-cut-in-4k", "test-wb1x"),
        ("sector-count-too-small", "test-wb5x-wb3x"),
        ("customer-signed", "test-wb5x-wb3x"),
        ("unknown-signature-magic", "test-wb5x-wb3x"),
    ],
)
def test_a_signature_is_valid_under_its_key(name: str, key: str) -> None:
    verdict = signature_verdict(image(name), throw_away_keys())
    assert verdict.status is SignatureStatus.VALID
    assert verdict.key is not None
    assert verdict.key.name == key


def test_the_order_of_the_keys_does_not_matter() -> None:
    verdict = signature_verdict(image("signed-by-wb1x-cut-in-4k"), throw_away_keys()[::-1])
    assert verdict.key is not None
    assert verdict.key.name == "test-wb1x"


@pytest.mark.parametrize("keys", [(), st_keys()])
def test_without_its_key_a_signature_is_unverified(keys: tuple[object, ...]) -> None:
    verdict = signature_verdict(image("stack-4k"), keys)  # type: ignore[arg-type]
    assert (verdict.status, verdict.key, verdict.defect) == (SignatureStatus.UNVERIFIED, None, "")


def test_a_file_without_st_s_signature() -> None:
    assert signature_verdict(image("customer-signature-only"), throw_away_keys()).status is SignatureStatus.ABSENT


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("signature-r-zero", "r of the signature is zero"),
        ("signature-s-zero", "s of the signature is zero"),
        ("signature-r-too-large", "r of the signature is not below the order of P-256"),
        ("signature-s-too-large", "s of the signature is not below the order of P-256"),
        ("signature-too-long", "the signature has 72 bytes, not 64"),
    ],
)
def test_a_malformed_signature_is_unverified_with_its_reason(name: str, defect: str) -> None:
    verdict = signature_verdict(image(name), throw_away_keys())
    assert (verdict.status, verdict.key, verdict.defect) == (SignatureStatus.UNVERIFIED, None, defect)


def test_der_is_minimal_and_positive() -> None:
    raw = (0x80).to_bytes(32, "big") + (1).to_bytes(32, "big")
    assert signature_to_der(raw).hex() == "3007" + "02020080" + "020101"
    largest = (ORDER - 1).to_bytes(32, "big")
    assert signature_to_der(largest * 2).hex() == "3046" + ("022100" + largest.hex()) * 2


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_a_signature_of_a_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"the signature has {size} bytes, not 64"):
        signature_to_der(bytes(size))


def test_every_byte_of_a_small_image_counts() -> None:
    """Body, image footer and signature: change any one byte, and the signature is no longer verified."""
    data = content("stack-4k")
    for offset in range(len(data) - 20):
        altered = bytearray(data)
        altered[offset] ^= 0x01
        verdict = signature_verdict(Image.parse(bytes(altered)), throw_away_keys())
        assert verdict.status is SignatureStatus.UNVERIFIED, offset


def test_the_negated_s_is_valid_and_changes_the_sha256() -> None:
    """(r, n - s) verifies as (r, s) does: `valid` does not say that every byte is ST's."""
    data = content("stack-4k")
    other = (ORDER - int.from_bytes(data[-52:-20], "big")).to_bytes(32, "big")
    twin = Image.parse(data[:-52] + other + data[-20:])
    assert signature_verdict(twin, throw_away_keys()).status is SignatureStatus.VALID
    assert twin.sha256 != image("stack-4k").sha256


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
    ],
    ids=["ed25519", "p384", "secp256k1"],
)
def test_keys_on_other_curves_are_refused(key: "ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey") -> None:
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="not an ECDSA public key on NIST P-256"):
        load_public_key(pem)


def test_each_key_says_which_series_it_signs() -> None:
    assert {key.name: key.series for key in st_keys()} == {
        "st-wb5x-wb3x": (Series.WB3X, Series.WB5X),
        "st-wb1x": (Series.WB1X,),
        "st-wb3x-early": (Series.WB3X,),
    }
