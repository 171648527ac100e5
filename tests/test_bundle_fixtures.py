"""Every bundle of fixtures/bundles: the good ones open, each bad one is refused for what its name says is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from imagekit.bundle.verified import open_bundle
from imagekit.errors import BundleError, NotABundleError
from tests.support.bundles import BUNDLES, trusted
from tests.support.images import FIXTURES, throw_away_keys

GOOD = {
    "good-ed25519": 1,
    "good-p256": 1,
    "good-two-signers": 2,
    "good-waived": 1,
    "good-with-a-stranger": 1,
}
"""Bundle -> how many trusted keys signed it."""

NOT_BUNDLES = {"not-a-bundle", "nothing"}

REFUSED = {
    "archive": {
        "name-empty": "'': no member of a bundle is called so",
        "name-absolute": "'/etc/passwd': no member of a bundle is called so",
        "extra-member": "'README.txt': no member of a bundle is called so",
        "name-directory": "'images/': no member of a bundle is called so",
        "name-traversal": "'images/../../etc/passwd': no member of a bundle is called so",
        "name-control-characters": "'images/\\x1b[2J\\r\\n': no member of a bundle is called so",
        "deflated": "'manifest.dsse.json': compressed",
        "no-members": "0 members, where 1 to 16 may be",
        "too-many-members": "17 members, where 1 to 16 may be",
        "claims-10-gib": "ZIP64",
        "zip64-counts": "ZIP64",
        "zip64-end-record": "ZIP64",
        "zip64-sizes": "ZIP64",
        "gap": "a gap or an overlap before it",
        "hidden-member": "a gap or an overlap before it",
        "overlap": "a gap or an overlap before it",
        "fewer-members-than-there-are": "bytes that belong to no member",
        "gap-before-the-directory": "bytes that belong to no member",
        "claims-4-gib": "claims 4294967294 bytes, more than there are",
        "encrypted": "encrypted",
        "internal-attributes": "its entry in the central directory is not as it must be for its content",
        "other-disk": "its entry in the central directory is not as it must be for its content",
        "extra-field-in-the-local-header": "its local header is not as it must be for its content",
        "other-crc-in-the-local-header": "its local header is not as it must be for its content",
        "other-method-in-the-local-header": "its local header is not as it must be for its content",
        "other-name-in-the-local-header": "its local header is not as it must be for its content",
        "other-packed-in-the-local-header": "its local header is not as it must be for its content",
        "other-size-in-the-local-header": "its local header is not as it must be for its content",
        "other-time": "its local header is not as it must be for its content",
        "other-time-in-the-local-header": "its local header is not as it must be for its content",
        "other-version-in-the-local-header": "its local header is not as it must be for its content",
        "utf8-flag": "its local header is not as it must be for its content",
        "wrong-crc": "its local header is not as it must be for its content",
        "manifest-not-first": "manifest.dsse.json is not the first member",
        "missing-manifest": "manifest.dsse.json is not the first member",
        "manifest-twice": "manifest.dsse.json: stands twice",
        "member-twice-in-another-case": "no member of a bundle is called so",
        "name-backslash": "no member of a bundle is called so",
        "name-nul": "no member of a bundle is called so",
        "not-a-bundle": "not a bundle: it does not begin as a ZIP archive does",
        "nothing": "not a bundle: it does not begin as a ZIP archive does",
        "members-in-another-order": "not in the order of names",
        "data-before": "something stands before the first member",
        "data-before-with-right-offsets": "something stands before the first member",
        "empty-archive": "something stands before the first member",
        "member-twice": "stands twice",
        "stored-with-two-lengths": "stored with two lengths",
        "more-members-than-there-are": "the central directory has fewer entries than the end record says",
        "two-archives": "the central directory is not where the end record says",
        "two-end-records": "the central directory is not where the end record says",
        "archive-comment": "the end record is not at the very end: truncated",
        "data-after": "the end record is not at the very end: truncated",
        "truncated": "the end record is not at the very end: truncated",
        "truncated-in-an-image": "the end record is not at the very end: truncated",
        "truncated-in-the-directory": "the end record is not at the very end: truncated",
        "several-disks": "the end record: it is not as it must be for its content",
        "name-not-ascii": "the name b'images/b\\xc3\\xb6sartig' is not ASCII",
        "member-comment": "with a comment",
        "data-descriptor": "with a data descriptor",
        "extra-field": "with an extra field",
        "symlink": "with file attributes",
    },
    "json": {
        "envelope-infinity": "envelope: -Infinity is no JSON",
        "envelope-nan": "envelope: NaN is no JSON",
        "envelope-member-twice": "envelope: member 'signatures' stands twice",
        "envelope-deep": "envelope: nested too deep",
        "envelope-very-deep": "envelope: nested too deep",
        "envelope-bom": "envelope: not JSON",
        "envelope-control-character": "envelope: not JSON",
        "envelope-no-json": "envelope: not JSON",
        "envelope-trailing": "envelope: not JSON",
        "envelope-not-utf8": "envelope: not UTF-8",
        "envelope-overlong-utf8": "envelope: not UTF-8",
        "envelope-utf16": "envelope: not UTF-8",
        "manifest-infinity": "manifest: -Infinity is no JSON",
        "manifest-float": "manifest: 7.0 is no whole number",
        "manifest-exponent": "manifest: 7e0 is no whole number",
        "manifest-nan": "manifest: NaN is no JSON",
        "manifest-member-twice": "manifest: member 'sequence' stands twice",
        "manifest-deep": "manifest: nested too deep",
        "manifest-very-deep": "manifest: nested too deep",
        "manifest-bom": "manifest: not JSON",
        "manifest-control-character": "manifest: not JSON",
        "manifest-huge-integer": "manifest: not JSON",
        "manifest-no-json": "manifest: not JSON",
        "manifest-trailing": "manifest: not JSON",
        "manifest-not-utf8": "manifest: not UTF-8",
        "manifest-overlong-utf8": "manifest: not UTF-8",
        "manifest-utf16": "manifest: not UTF-8",
        "manifest-image-twice": "stands twice",
    },
    "envelope": {
        "envelope-unknown-member": "envelope.'x': unknown member",
        "envelope-base64-number": "envelope.payload: empty, too long, or not canonical base64",
        "envelope-payload-empty": "envelope.payload: empty, too long, or not canonical base64",
        "envelope-missing-payload": "envelope.payload: missing",
        "envelope-base64-newline": "envelope.payload: not base64",
        "envelope-base64-not": "envelope.payload: not base64",
        "envelope-missing-payload-type": "envelope.payloadType: missing",
        "envelope-lone-surrogate": "envelope.payloadType: not a printable text",
        "envelope-payload-type-null": "envelope.payloadType: not a printable text",
        "envelope-missing-signatures": "envelope.signatures: missing",
        "envelope-signatures-object": "envelope.signatures: not a list of 0 to 16",
        "envelope-too-many-signatures": "envelope.signatures: not a list of 0 to 16",
        "envelope-unknown-member-of-a-signature": "envelope.signatures[0].'alg': unknown member",
        "envelope-missing-keyid": "envelope.signatures[0].keyid: missing",
        "envelope-keyid-upper-case": "envelope.signatures[0].keyid: no fingerprint: 64 lower-case hex digits",
        "envelope-keyid-null": "envelope.signatures[0].keyid: not a printable text",
        "envelope-base64-padding-bits": "envelope.signatures[0].sig: empty, too long, or not canonical base64",
        "envelope-signature-empty": "envelope.signatures[0].sig: empty, too long, or not canonical base64",
        "envelope-signature-too-long": "envelope.signatures[0].sig: empty, too long, or not canonical base64",
        "envelope-missing-sig": "envelope.signatures[0].sig: missing",
        "envelope-base64-url-safe": "envelope.signatures[0].sig: not base64",
        "envelope-base64-without-padding": "envelope.signatures[0].sig: not base64",
        "envelope-signature-text": "envelope.signatures[0]: not an object",
        "envelope-escaped-slash": "envelope: another spelling of the same JSON",
        "envelope-members-in-another-order": "envelope: another spelling of the same JSON",
        "envelope-newline-at-the-end": "envelope: another spelling of the same JSON",
        "envelope-white-space": "envelope: another spelling of the same JSON",
        "signed-in-another-order": "envelope: another spelling of the same JSON",
        "envelope-list": "envelope: not an object",
    },
    "payload-type": {
        "envelope-wrong-payload-type": "payloadType is 'application/json', not 'application/vnd.in-toto+json'",
    },
    "signature": {
        "signed-twice-by-one-key": "envelope: two signatures of one key",
        "manifest-replaced": "is not valid",
        "signed-ecdsa-high-s": "is not valid",
        "signed-ecdsa-long-length": "is not valid",
        "signed-ecdsa-r-s-raw": "is not valid",
        "signed-ecdsa-with-a-byte-behind": "is not valid",
        "signed-ecdsa-zeros": "is not valid",
        "signed-ed25519-s-plus-order": "is not valid",
        "signed-ed25519-truncated": "is not valid",
        "signed-ed25519-zeros": "is not valid",
        "signed-flipped-bit": "is not valid",
        "signed-one-right-one-wrong": "is not valid",
        "signed-over-another-payload": "is not valid",
        "signed-over-another-type": "is not valid",
        "signed-over-the-payload": "is not valid",
        "signed-over-the-payload-by-p256": "is not valid",
        "signed-p256-under-an-ed25519-id": "is not valid",
        "signed-stranger-under-a-trusted-id": "is not valid",
        "signed-nobody": "nobody signed it",
        "signed-ed25519-under-a-p256-id": "stands under another key's id",
        "signed-id-of-a-stranger": "stands under another key's id",
        "signed-id-of-another-trusted-key": "stands under another key's id",
        "signed-one-key-under-two-ids": "stands under another key's id",
        "signed-unknown-key-only": "trusted keys have signed it 0 times, 1 are needed",
    },
    "manifest": {
        "unknown-member-of-an-image": ".'x': unknown member",
        "role-unknown": ".role: none of fus, stack, safeboot",
        "missing-predicate-images-image-size": ".size: missing",
        "size-true": ".size: not a whole number",
        "missing-predicate-images-image-st-key": ".st_key: missing",
        "version-too-large": ".version: no version",
        "version-with-leading-zero": ".version: not the one spelling of a version",
        "unknown-member-of-the-statement": "manifest.'x': unknown member",
        "missing-type": "manifest._type: missing",
        "type-of-another-statement": "manifest._type: not 'https://in-toto.io/Statement/v1'",
        "unknown-member-of-the-predicate": "manifest.predicate.'x': unknown member",
        "created-not-a-date": "manifest.predicate.created: no time of the form 2026-01-31T23:59:59Z",
        "created-in-another-zone": "manifest.predicate.created: not a printable text",
        "missing-predicate-images": "manifest.predicate.images: missing",
        "no-images": "manifest.predicate.images: not an object of 1 to 15 members",
        "too-many-images": "manifest.predicate.images: not an object of 1 to 15 members",
        "missing-predicate-name": "manifest.predicate.name: missing",
        "manifest-lone-surrogate": "manifest.predicate.name: not a printable text",
        "product-name-too-long": "manifest.predicate.name: not a printable text",
        "product-name-with-control-characters": "manifest.predicate.name: not a printable text",
        "product-name-as-a-path": "manifest.predicate.name: not of the form",
        "missing-predicate-schema": "manifest.predicate.schema: missing",
        "schema-2": "manifest.predicate.schema: not 1",
        "schema-true": "manifest.predicate.schema: not 1",
        "missing-predicate-sequence": "manifest.predicate.sequence: missing",
        "sequence-beyond-2-to-53": "manifest.predicate.sequence: not a whole number",
        "sequence-negative": "manifest.predicate.sequence: not a whole number",
        "sequence-text": "manifest.predicate.sequence: not a whole number",
        "sequence-true": "manifest.predicate.sequence: not a whole number",
        "missing-predicate-steps": "manifest.predicate.steps: missing",
        "no-steps": "manifest.predicate.steps: not a list of 1 to 15",
        "unknown-member-of-a-step": "manifest.predicate.steps[0].'x': unknown member",
        "missing-predicate-steps-0-gives-stack": "manifest.predicate.steps[0].gives_stack: missing",
        "step-of-an-unlisted-image": "manifest.predicate.steps[0].image: not among the images",
        "missing-predicate-steps-0-irreversible": "manifest.predicate.steps[0].irreversible: missing",
        "irreversible-number": "manifest.predicate.steps[0].irreversible: neither true nor false",
        "unknown-member-of-requires-fus": "manifest.predicate.steps[0].requires_fus.'x': unknown member",
        "missing-predicate-steps-0-requires-fus-below": "manifest.predicate.steps[0].requires_fus.below: missing",
        "missing-predicate-targets": "manifest.predicate.targets: missing",
        "no-targets": "manifest.predicate.targets: not a list of 1 to 7",
        "targets-in-another-order": "manifest.predicate.targets: not in the order of ST's tables",
        "unknown-member-of-a-target": "manifest.predicate.targets[0].'x': unknown member",
        "target-unknown": "manifest.predicate.targets[0].target: 'STM32WB99xZ' is no target, or stands twice",
        "target-twice": "manifest.predicate.targets[1].target: 'STM32WB5xxG' is no target, or stands twice",
        "missing-predicate-waivers": "manifest.predicate.waivers: missing",
        "waiver-twice": "manifest.predicate.waivers: one rule is waived twice",
        "unknown-member-of-a-waiver": "manifest.predicate.waivers[0].'x': unknown member",
        "waiver-without-a-reason": "manifest.predicate.waivers[0].reason: not a printable text",
        "waiver-of-no-rule": "manifest.predicate.waivers[0].rule: no rule's id",
        "missing-predicate": "manifest.predicate: missing",
        "missing-predicateType": "manifest.predicateType: missing",
        "type-of-another-predicate": "manifest.predicateType: not 'urn:stm32wb-imagekit:bundle:v1'",
        "missing-subject": "manifest.subject: missing",
        "subject-without-a-hash": "manifest.subject[0].digest.sha256: no SHA-256",
        "images-key-no-hash": "manifest.subject: not the images of the predicate",
        "subject-missing-one": "manifest.subject: not a list of 1 to 15",
        "subjects-in-another-order": "manifest.subject: not the images of the predicate, one to one and in order",
        "unknown-member-of-a-subject": "manifest.subject[0].'x': unknown member",
        "unknown-member-of-a-digest": "manifest.subject[0].digest.'sha512': unknown member",
        "subject-of-another-name": "manifest.subject[0].name: not 'images/",
        "manifest-escaped-letter": "manifest: another spelling of the same statement",
        "manifest-members-in-another-order": "manifest: another spelling of the same statement",
        "manifest-minus-zero": "manifest: another spelling of the same statement",
        "manifest-newline-at-the-end": "manifest: another spelling of the same statement",
        "manifest-white-space": "manifest: another spelling of the same statement",
        "manifest-list": "manifest: not an object",
        "missing-predicate-targets-0-addresses-image": "missing",
        "address-lower-case": "no word: 0x and 8 upper-case hex digits",
        "address-number": "not a printable text",
        "unknown-member-of-the-addresses": "unknown member",
    },
    "content": {
        "image-altered": "holds other bytes than its name says",
        "image-empty": "holds other bytes than its name says",
        "images-swapped": "holds other bytes than its name says",
        "image-altered-and-renamed": "stated, and not there",
        "missing-image": "stated, and not there",
        "extra-image": "there, and not stated",
    },
    "image": {
        "waiver-of-a-rule-that-is-never-waived": "WB101 info2 of the image footer is 0xABCDABCC",
        "image-not-signed-by-st": "WB201 ST's signature is not verified",
        "image-of-no-known-kind": "no FUS, stack or Safeboot of a known format",
        "target-of-another-key": "WB301 signed with test-wb3x-early, a key for WB3x, not WB5x",
        "waiver-for-nothing": "WB201 is waived, and nothing was found that needs it",
        "lying-target-of-another-series": "WB301 this image is for WB3x or WB5x",
        "lying-gap-sectors": "gap_sectors is 4, and the manifest says 0",
        "lying-magic": "magic is 2970389401, and the manifest says 590817681",
        "images-swapped-in-the-manifest": "role is 'stack', and the manifest says 'fus'",
        "lying-role": "role is 'stack', and the manifest says 'safeboot'",
        "lying-sectors": "sectors is 1, and the manifest says 2",
        "lying-size": "size is 3100, and the manifest says 3096",
        "lying-sram2a": "sram2a_kib is 10, and the manifest says 11",
        "lying-sram2b": "sram2b_kib is 15, and the manifest says 14",
        "lying-st-key": "st_key is 'test-wb5x-wb3x', and the manifest says 'test-wb1x'",
        "lying-st-key-none": "st_key is 'test-wb5x-wb3x', and the manifest says None",
        "image-not-signed-by-st-lying": "st_key is None, and the manifest says 'test-wb5x-wb3x'",
        "image-not-an-image": "this is text,",
        "lying-version": "version is '1.24.0.1', and the manifest says '1.25.0.1'",
        "lying-version-hidden": "version is '1.24.0.1', and the manifest says None",
    },
    "address": {
        "lying-address": "0x080EE000 on STM32WB5xxG, where it must be 0x080EF000",
        "lying-address-of-another-target": "0x080EF000 on STM32WB5xxE, where it must be 0x0807B000",
        "lying-address-out-of-flash": "0x20000000 on STM32WB5xxG, where it must be 0x080EF000",
    },
    "steps": {
        "two-stacks": "2 stacks or Safeboots: a chip takes one",
        "lying-below-fus": "manifest.predicate.steps[0].below_fus: '2.2.0', where it must be None",
        "lying-gives": "manifest.predicate.steps[0].gives: '1.25.0', where it must be '1.24.0'",
        "steps-in-another-order": "manifest.predicate.steps[0].image",
        "step-of-fus-said-to-be-reversible": "manifest.predicate.steps[0].irreversible: False, where it must be True",
        "lying-irreversible": "manifest.predicate.steps[0].irreversible: True, where it must be False",
        "lying-min-fus": "manifest.predicate.steps[0].min_fus: '1.2.0', where it must be '2.0.0'",
        "step-missing": "the steps do not use every image once",
        "step-twice": "the steps do not use every image once",
        "step-with-the-image-of-another": "the steps do not use every image once",
        "fus-1.2.0-does-not-lead-there": "which needs FUS 2.0.0 or later",
    },
}
"""The check that refuses it -> bundle -> words of the message."""

BAD = {name: (reason, words) for reason, bundles in REFUSED.items() for name, words in bundles.items()}


def test_every_bundle_is_used() -> None:
    assert sum(len(bundles) for bundles in REFUSED.values()) == len(BAD)
    assert {path.stem for path in BUNDLES.glob("*.wbz")} == GOOD.keys() | BAD.keys()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_bundle_opens(name: str) -> None:
    opened = open_bundle((BUNDLES / f"{name}.wbz").read_bytes(), trusted(), GOOD[name], throw_away_keys())
    assert len(opened.signers) == GOOD[name]
    assert len(opened.strangers) == (name == "good-with-a-stranger")
    assert {image.sha256 for image in opened.manifest.images} == opened.images.keys() == opened.assessments.keys()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_refused_for_its_reason(name: str) -> None:
    reason, words = BAD[name]
    with pytest.raises(BundleError) as refused:
        open_bundle((BUNDLES / f"{name}.wbz").read_bytes(), trusted(), 1, throw_away_keys())
    assert (refused.value.reason, words in str(refused.value)) == (reason, True), str(refused.value)
    assert str(refused.value).isprintable()
    assert isinstance(refused.value, NotABundleError) == (name in NOT_BUNDLES)


def test_the_same_bytes_are_made_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FIXTURES / "make_bundles.py", tmp_path], check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in BUNDLES.iterdir()}


def test_they_are_not_made_by_the_code_that_they_test() -> None:
    assert "imagekit." not in (FIXTURES / "make_bundles.py").read_text().replace("stm32wb-imagekit", "")
