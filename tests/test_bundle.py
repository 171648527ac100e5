"""Bundles in their parts: the door, trust and thresholds, the archive, the envelope, the manifest, making one."""

import base64
import os
import re
import time
from dataclasses import replace
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from imagekit.assessment import assess
from imagekit.bundle import archive, envelope, keys, manifest, strict_json, unverified, write
from imagekit.bundle.envelope import pae
from imagekit.bundle.manifest import Waiver
from imagekit.bundle.verified import NEVER_WAIVED, VerifiedBundle, _compare_addresses, open_bundle
from imagekit.bundle.write import BundleContent
from imagekit.errors import BundleError, BundleReason, KeyFileError, NotABundleError, PlacementError
from imagekit.files import LARGEST_BUNDLE
from imagekit.image.model import Image
from imagekit.targets import select_target
from tests.support.bundles import bundle, fixture, maker, private, public, trusted, waiver
from tests.support.images import FIXTURES, assessed, content, throw_away_keys

BOTH = ("fus-2.2.0", "stack-fus2-4k")


def opened(data: bytes, names: tuple[str, ...] = ("ed25519", "p256"), threshold: int = 1) -> VerifiedBundle:
    return open_bundle(data, [public(name) for name in names], threshold, throw_away_keys())


# --- The door


def test_what_imagekit_makes_is_what_the_independent_writer_makes() -> None:
    made = bundle(*BOTH, keys=[private("p256")])
    document = maker().statement(*BOTH)
    document["predicate"]["created"] = "1970-01-01T00:00:00Z"
    document["predicate"]["tool"] = manifest.loads(_payload(made)).tool
    assert made == maker().bundle(document, *BOTH, signers=["p256"])


def test_a_verified_bundle_holds_the_bytes_and_what_was_computed_from_them() -> None:
    made = opened(fixture("good-ed25519"))
    assert set(made.images.values()) == {content(name) for name in BOTH}
    assert all(made.assessments[sha256].image.sha256 == sha256 for sha256 in made.images)
    assert [step.gives for step in made.manifest.steps] == ["2.2.0", "1.24.0"]
    assert made.signers == (keys.fingerprint(public("ed25519")),)
    assert made.strangers == ()


def test_nobody_else_makes_a_verified_bundle() -> None:
    made = opened(fixture("good-ed25519"))
    with pytest.raises(TypeError, match="only open_bundle"):
        VerifiedBundle(made.manifest, made.images, made.assessments, made.signers, made.strangers, object())
    with pytest.raises((TypeError, ValueError)):
        replace(made, images={})  # type: ignore[call-arg]


def test_without_a_trusted_key_nothing_is_believed() -> None:
    with pytest.raises(BundleError, match="no trusted key") as refused:
        opened(fixture("good-ed25519"), ())
    assert refused.value.reason == "signature"


@pytest.mark.parametrize("threshold", [-1, 0, 3])
def test_a_threshold_must_be_one_that_can_be_met(threshold: int) -> None:
    with pytest.raises(BundleError, match=f"a threshold of {threshold} with 2 trusted keys") as refused:
        opened(fixture("good-two-signers"), threshold=threshold)
    assert refused.value.reason == "signature"


def test_a_key_that_is_trusted_twice_is_a_mistake() -> None:
    with pytest.raises(KeyFileError, match="given twice"):
        opened(fixture("good-ed25519"), ("ed25519", "ed25519"), threshold=2)


def test_a_threshold_counts_trusted_keys_alone() -> None:
    two, strange = fixture("good-two-signers"), fixture("good-with-a-stranger")
    assert len(opened(two, threshold=2).signers) == 2
    assert len(opened(two, ("p256",)).signers) == 1
    with pytest.raises(BundleError, match="signed by 1 of the trusted keys, 2 required"):
        opened(strange, threshold=2)
    with pytest.raises(BundleError, match="signed by 0 of the trusted keys, 1 required"):
        opened(strange, ("p256",))


def test_a_stranger_is_told_and_not_counted() -> None:
    made = opened(fixture("good-with-a-stranger"))
    assert made.strangers == (keys.fingerprint(public("stranger")),)
    assert opened(fixture("good-with-a-stranger"), ("ed25519", "stranger"), threshold=2).strangers == ()


def test_st_s_own_keys_are_those_that_count_unless_others_are_given() -> None:
    with pytest.raises(BundleError, match="the manifest says 'test-wb5x-wb3x'") as refused:
        open_bundle(fixture("good-ed25519"), trusted())
    assert refused.value.reason == "image"


def test_the_first_check_that_fails_is_told() -> None:
    """A wrong image in a bundle that no trusted key signed: the signature comes first."""
    with pytest.raises(BundleError) as refused:
        opened(fixture("image-altered"), ("p256",))
    assert refused.value.reason == "signature"


# --- The archive


def test_more_bytes_than_any_bundle_has() -> None:
    with pytest.raises(BundleError, match=f"more than {LARGEST_BUNDLE} bytes"):
        archive.read_archive(bytes(LARGEST_BUNDLE + 1))


@pytest.mark.parametrize("data", [b"", b"P", b"PK\x03", b"MZ", b"\x7fELF" * 10, b"PK\x07\x08" * 10])
def test_what_is_no_archive_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotABundleError):
        archive.read_archive(data)


def test_an_archive_is_one_that_python_reads_too() -> None:
    import io
    import zipfile

    made = fixture("good-two-signers")
    with zipfile.ZipFile(io.BytesIO(made)) as file:
        assert file.testzip() is None
        assert {one.filename: file.read(one) for one in file.infolist()} == archive.read_archive(made)


# --- The envelope


def test_the_published_vector_of_dsse() -> None:
    """https://github.com/secure-systems-lab/dsse, protocol.md, "Test Vectors"."""
    type_, body = "http://example.com/HelloWorld", b"hello world"
    assert pae(type_, body) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    key = EllipticCurvePublicNumbers(
        x=46950820868899156662930047687818585632848591499744589407958293238635476079160,
        y=5640078356564379163099075877009565129882514886557779369047442380624545832820,
        curve=SECP256R1(),
    ).public_key()
    raw = base64.b64decode("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
    assert keys.verifies(key, keys.normal(key, raw), pae(type_, body))
    assert not keys.verifies(key, keys.normal(key, raw), pae(type_, body + b"!"))
    assert not keys.verifies(key, raw, pae(type_, body))


def test_lengths_count_bytes() -> None:
    assert pae("é", "ü€".encode()) == "DSSEv1 2 é 5 ü€".encode()


def test_an_envelope_has_a_largest_size() -> None:
    with pytest.raises(BundleError) as refused:
        envelope.loads(b" " * (archive.LARGEST_MANIFEST + 1))
    assert refused.value.reason == "size"


# --- JSON


@pytest.mark.parametrize("depth", [12, 13, 500, 100_000])
def test_nesting_has_an_end(depth: int) -> None:
    text = b"[" * depth + b"]" * depth
    if depth == 12:
        assert strict_json.dumps(strict_json.loads(text, "it")) == text
        return
    with pytest.raises(BundleError, match="nested too deep"):
        strict_json.loads(text, "it")


def test_many_members_are_read_in_one_pass() -> None:
    """Counting each name again would take seconds for what fits into an envelope."""
    names = [f'"{number:x}":0' for number in range(25_000)]
    before = time.process_time()
    with pytest.raises(BundleError, match="member '61a7' stands twice"):
        strict_json.loads(f"{{{','.join([*names, names[-1]])}}}".encode(), "it")
    assert time.process_time() - before < 1.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"' + b"x" * 5000 + b'":1,"' + b"x" * 5000 + b'":1}', f"it: member '{'x' * 40}...' stands twice"),
        (b"1." + b"0" * 5000, f"it: 1.{'0' * 38}... is no whole number"),
    ],
)
def test_what_somebody_else_wrote_is_repeated_in_short(text: bytes, said: str) -> None:
    with pytest.raises(BundleError) as refused:
        strict_json.loads(text, "it")
    assert str(refused.value) == said


def test_an_unknown_member_is_repeated_in_short() -> None:
    for text in ("x" * 5000, "\u202e" * 5000):
        with pytest.raises(BundleError) as refused:
            strict_json.Members({text: 1}, "it").end()
        assert len(str(refused.value)) < 300
        assert str(refused.value).isascii()


# --- Making one


def test_the_same_inputs_give_the_same_bytes_in_any_order() -> None:
    for name in ("ed25519", "p256"):
        made = bundle(*BOTH, keys=[private(name)])
        assert made == bundle(*BOTH[::-1], keys=[private(name)])
    both = [private("ed25519"), private("p256")]
    assert bundle(*BOTH, keys=both) == bundle(*BOTH, keys=both[::-1])


def test_parts_of_two_series_have_no_image_in_common() -> None:
    with pytest.raises(PlacementError):
        bundle(*BOTH, keys=[private("p256")], parts=["STM32WB55RG", "STM32WB15CC"])


def test_parts_stand_in_the_order_of_the_tables() -> None:
    made = opened(bundle(*BOTH, keys=[private("p256")], parts=["STM32WB55CC", "STM32WB35CE", "STM32WB55RG"]))
    assert [target.name for target in made.manifest.targets] == ["STM32WB5xxG", "STM32WB5xxC", "STM32WB3xxE"]
    for target in made.manifest.targets:
        for name in BOTH:
            image = assessed(name)
            assert made.manifest.addresses[target.name][image.image.sha256] == image.address_on(target)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("stack-4k", "stack-fus2-4k"), "2 stacks or Safeboots"),
        (("stack-4k", "safeboot-2.0.0"), "2 stacks or Safeboots"),
        (("fus-hidden-version", "stack-fus2-4k"), "no way from FUS 1.2.0"),
        (("fus-1.1.0", "fus-2.2.0"), "no way from FUS 1.1.0"),
        (("fus-2.2.0", "safeboot-2.0.0"), "no way from FUS 2.2.0"),
    ],
)
def test_images_that_make_no_way(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(BundleError, match=words) as refused:
        bundle(*names, keys=[private("p256")])
    assert refused.value.reason == "steps"


def test_a_long_way() -> None:
    made = opened(bundle("stack-fus2-4k", "fus-2.2.0", "fus-hidden-version", keys=[private("p256")]))
    assert [(one.min_fus, one.below_fus, one.gives) for one in made.manifest.steps] == [
        ("1.0.1", "1.2.0", "1.2.0"),
        ("1.2.0", "2.2.0", "2.2.0"),
        ("2.0.0", None, "1.24.0"),
    ]


@pytest.mark.parametrize("name", ["other-magic", "unknown-magic", "unknown-info1", "unknown-gap"])
def test_what_has_no_known_format_comes_into_no_bundle(name: str) -> None:
    with pytest.raises((BundleError, PlacementError)):
        bundle(name, keys=[private("p256")], waivers=[waiver(name, rule="WB102"), waiver(name, rule="WB103")])


def test_an_error_needs_a_waiver_and_a_waiver_an_error() -> None:
    unsigned = "no-carriage-returns-unsigned"
    with pytest.raises(BundleError, match="--waive WB201=REASON"):
        bundle(unsigned)
    made = bundle(unsigned, keys=[private("p256")], waivers=[waiver(unsigned, "tried on the bench")])
    assert opened(made).manifest.waivers == (waiver(unsigned, "tried on the bench"),)
    with pytest.raises(BundleError, match=r"WB101 [^;]*$"):
        bundle("damaged-info2", waivers=[waiver("damaged-info2", rule="WB101")])
    with pytest.raises(BundleError, match="WB201 is waived, and nothing was found that needs it"):
        bundle("stack-fus2-4k", waivers=[waiver("stack-fus2-4k")])


def test_which_fus_1_2_0_this_is_must_be_known() -> None:
    """One for FUS 0.5.3 and one for 1.x hide their version; where no key verifies, nothing tells which this is."""
    data = content("fus-hidden-version")
    altered = data[:50] + bytes([data[50] ^ 1]) + data[51:]
    inside = [BundleContent(assessment=assess(Image.parse(altered), throw_away_keys()), data=altered)]
    with pytest.raises(BundleError, match=r"which FUS 1\.2\.0 this is") as refused:
        write.make_manifest(
            inside,
            [select_target("STM32WB55RG")],
            name="x",
            sequence=0,
            created=0,
            waivers=[Waiver("WB201", inside[0].assessment.image.sha256, "the key is not known")],
        )
    assert refused.value.reason == "steps"


def test_an_address_that_there_is_not_is_refused() -> None:
    """Rule WB301 says so first; the check of the addresses does not lean on it."""
    made = opened(fixture("good-ed25519"))
    target = select_target("STM32WB15CC")
    stated = replace(made.manifest, targets=(target,), addresses={target.name: made.manifest.addresses["STM32WB5xxG"]})
    with pytest.raises(BundleError) as refused:
        _compare_addresses(stated, made.assessments)
    assert refused.value.reason == "address"


def test_everything_but_the_signatures_is_checked_before_anybody_signs() -> None:
    assert unverified.read(fixture("good-waived"), throw_away_keys()).envelope.signatures
    for name in ("lying-address", "image-altered", "steps-in-another-order", "image-not-signed-by-st"):
        with pytest.raises(BundleError):
            unverified.read(fixture(name), throw_away_keys())


# --- Keys


def test_a_signature_has_one_spelling() -> None:
    message, key = os.urandom(20), private("p256")
    sig = keys.sign(key, message)
    r, s = decode_dss_signature(sig)
    high = encode_dss_signature(r, maker().P256_ORDER - s)
    assert s <= maker().P256_ORDER // 2
    for spelling in (high, r.to_bytes(32, "big") + s.to_bytes(32, "big"), sig):
        assert keys.normal(key.public_key(), spelling) == sig
    assert isinstance(key, EllipticCurvePrivateKey)
    key.public_key().verify(high, message, ECDSA(SHA256()))
    assert not keys.verifies(key.public_key(), high, message)


def test_a_number_beyond_the_order_is_no_signature() -> None:
    order = maker().P256_ORDER
    for r, s in ((1, order + 1), (order, 1), (1, 2 * order), (0, 0)):
        assert not keys.verifies(public("p256"), encode_dss_signature(r, s), b"message")


def _payload(data: bytes) -> bytes:
    return envelope.loads(archive.read_archive(data)["manifest.dsse.json"]).payload


# --- The page about them


def test_the_page_names_every_reason() -> None:
    """docs/bundle.md explains each check, and names no reason that does not exist."""
    text = (FIXTURES.parent / "docs" / "bundle.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [0-9]+\. [^|]+ \| ([^|]+) \|", text, re.MULTILINE)
    assert len(rows) == 10
    documented = {reason for row in rows for reason in re.findall("`([a-z-]+)`", row)}
    assert documented == set(get_args(BundleReason))
    for rule in NEVER_WAIVED:
        assert rule in text
