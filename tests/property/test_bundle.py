"""Bundles under any input: what is written is read again, and what was changed is the same, or one BundleError."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.bundle import archive, envelope, manifest_json, strict_json
from imagekit.bundle.envelope import Envelope, Signature, pae
from imagekit.bundle.manifest import ImageEntry, Manifest, ManifestStep, Waiver
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.errors import BundleError
from imagekit.targets import TARGETS
from tests.support.bundles import fixture, trusted
from tests.support.images import throw_away_keys

T = TypeVar("T")
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60)
names = st.from_regex(r"[A-Za-z0-9]( ?[A-Za-z0-9._+-]){0,49}", fullmatch=True)
small = st.integers(0, 255)
versions = st.builds("{}.{}.{}".format, small, small, small)
full_versions = st.builds("{}.{}.{}.{}".format, small, small, small, small)
words = st.integers(0, 0xFFFFFFFF)
numbers = st.integers(0, 2**53 - 1)
times = st.datetimes().map(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Manifests that are well formed, whether or not anything in them is true."""
    images = tuple(
        ImageEntry(
            sha256=sha256,
            role=draw(st.sampled_from(["fus", "stack", "safeboot"])),
            size=draw(st.integers(0, 1 << 20)),
            magic=draw(words),
            version=draw(st.none() | full_versions),
            sectors=draw(small),
            gap_sectors=draw(small),
            sram2a_kib=draw(small),
            sram2b_kib=draw(small),
            st_key=draw(st.none() | texts),
            known_as=draw(st.none() | texts),
        )
        for sha256 in sorted(draw(st.sets(hashes, min_size=1, max_size=3)))
    )
    wanted = draw(st.sets(st.sampled_from(TARGETS), min_size=1))
    targets = tuple(target for target in TARGETS if target in wanted)
    rules = draw(st.sets(st.from_regex("WB[0-9]{3}", fullmatch=True), max_size=2))
    return Manifest(
        name=draw(names),
        sequence=draw(numbers),
        created=draw(times),
        tool=draw(texts),
        targets=targets,
        addresses={target.name: {one.sha256: draw(words) for one in images} for target in targets},
        images=images,
        steps=tuple(
            ManifestStep(
                image=one.sha256,
                min_fus=draw(versions),
                below_fus=draw(st.none() | versions),
                gives=draw(versions),
                irreversible=draw(st.booleans()),
            )
            for one in draw(st.permutations(images))
        ),
        waivers=tuple(Waiver(rule, images[0].sha256, draw(texts)) for rule in rules),
    )


@given(manifests())
def test_a_manifest_is_read_as_it_was_written(stated: Manifest) -> None:
    payload = manifest_json.dumps(stated)
    assert manifest_json.loads(payload) == stated
    assert json.loads(payload)["predicate"]["name"] == stated.name


@given(*(st.tuples(st.text(st.characters(codec="utf-8"), max_size=12), st.binary(max_size=12)) for _ in range(2)))
def test_no_two_contents_have_the_same_bytes_to_sign(one: tuple[str, bytes], other: tuple[str, bytes]) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)


@given(st.text("0123456789 a", max_size=6), st.text("0123456789 a", max_size=6), st.integers(0, 6))
def test_moving_bytes_between_fields_changes_the_signed_bytes(type_: str, payload: str, count: int) -> None:
    """The lengths say where a field ends, whatever digits and spaces stand in it."""
    moved = f"{type_} {len(payload)} {payload}"
    other = (moved[:count], moved[count:].encode())
    assert (pae(type_, payload.encode()) == pae(*other)) == ((type_, payload.encode()) == other)


@given(st.binary(min_size=1, max_size=200), st.dictionaries(hashes, st.binary(min_size=1, max_size=80), max_size=4))
def test_an_envelope_is_read_as_it_was_written(payload: bytes, signatures: dict[str, bytes]) -> None:
    written = Envelope(payload, tuple(Signature(*one) for one in sorted(signatures.items())))
    assert envelope.loads(envelope.dumps(written)) == written
    assert envelope.dumps(replace(written, signatures=written.signatures[::-1])) == envelope.dumps(written)


@given(st.binary(max_size=300), st.dictionaries(hashes, st.binary(max_size=300), max_size=4))
def test_an_archive_is_read_as_it_was_written(first: bytes, images: dict[str, bytes]) -> None:
    members = {"manifest.dsse.json": first, **{f"images/{sha256}": images[sha256] for sha256 in sorted(images)}}
    assert archive.read_archive(archive.write_archive(members.items())) == members


@given(st.binary(max_size=400) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    document = outcome(lambda: strict_json.loads(data, "it"))
    if isinstance(document, BundleError):
        assert document.reason == "json"
        assert str(document).isprintable()
        return
    assert strict_json.loads(strict_json.dumps(document), "it") == document


def outcome(work: Callable[[], T]) -> T | BundleError:
    """What a function returns, or its refusal; any other exception is a defect."""
    try:
        return work()
    except BundleError as error:
        return error


def opens(data: bytes) -> bool:
    """Whether a bundle opens; what refuses it must be fit to be shown."""
    result = outcome(lambda: open_bundle(data, trusted(), 1, throw_away_keys()))
    assert isinstance(result, VerifiedBundle) or str(result).isprintable()
    return isinstance(result, VerifiedBundle)


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_refused(data: bytes, like_a_zip: bool) -> None:
    good = fixture("good-ed25519")
    assert not opens(good[:30] + data + good[-22:] if like_a_zip else data)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["good-ed25519", "good-p256", "good-two-signers", "good-waived"]),
    st.lists(st.tuples(st.integers(0, 14000), st.integers(0, 60), st.binary(max_size=60)), min_size=1, max_size=4),
)
def test_any_change_is_refused(name: str, changes: list[tuple[int, int, bytes]]) -> None:
    good = fixture(name)
    data = good
    for start, cut, insert in changes:
        place = start % (len(data) + 1)
        data = data[:place] + insert + data[place + cut :]
    assert opens(data) == (data == good)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | hashes | versions,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_statement_is_read_or_refused(data: st.DataObject) -> None:
    """Rightly spelled statements in which one member, anywhere, is another."""
    document = json.loads(envelope.loads(archive.read_archive(fixture("good-ed25519"))["manifest.dsse.json"]).payload)
    places = list(_places(document))
    container, key = data.draw(st.sampled_from(range(len(places))).map(places.__getitem__))
    container[key] = data.draw(values)
    stated = outcome(lambda: manifest_json.loads(strict_json.dumps(document)))
    if isinstance(stated, BundleError):
        assert stated.reason in ("manifest", "json")
        assert str(stated).isprintable()
        return
    assert manifest_json.dumps(stated) == strict_json.dumps(document)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every member of a document: what holds it, and its name or index."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = [(document, key) for key, _ in items]
    below = [document[key] for _, key in found if isinstance(document[key], dict | list)]
    return found + [place for one in below for place in _places(one)]
