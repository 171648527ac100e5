"""What may be accepted in writing, of which image, and what never is; what is found on any target counts."""

from dataclasses import replace

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imagekit.assessment import assess
from imagekit.bundle import archive, manifest, manifest_json, write
from imagekit.bundle.manifest import Waiver
from imagekit.bundle.order import steps_for
from imagekit.bundle.verified import _compare_addresses, errors_of, is_waivable, open_bundle, unaccepted
from imagekit.bundle.write import BundleContent
from imagekit.catalogue import shipped
from imagekit.cli.bundle_inputs import Inputs, judged_inputs, waivers_of
from imagekit.errors import BundleError
from imagekit.files import LARGEST_BUNDLE
from imagekit.image.model import Image
from imagekit.rules.registry import Finding, Severity
from imagekit.targets import select_target
from tests.support.bundles import bundle, fixture, private, public, trusted
from tests.support.images import assessed, content, throw_away_keys

WB5X, WB3X = select_target("STM32WB55RG"), select_target("STM32WB35CE")


@pytest.mark.parametrize("rule", ["WB101", "WB102", "WB103", "WB206", "WB301"])
def test_what_is_never_waived(rule: str) -> None:
    one = assessed("stack-4k")
    sha256 = one.image.sha256
    found = {sha256: [Finding(rule, Severity.ERROR, "bad")]}
    assert list(unaccepted([Waiver(rule, sha256, "because")], found, {sha256: one})) == [(sha256, found[sha256][0])]
    assert is_waivable("WB105", one)


def test_a_waiver_is_for_its_image_alone() -> None:
    one, other = assessed("stack-4k"), assessed("fus-2.2.0")
    finding = Finding("WB105", Severity.ERROR, "bad")
    found = {item.image.sha256: [finding] for item in (one, other)}
    both = {item.image.sha256: item for item in (one, other)}
    left = unaccepted([Waiver("WB105", one.image.sha256, "because")], found, both)
    assert list(left) == [(other.image.sha256, finding)]


@pytest.mark.parametrize("name", ["fus-2.2.0", "safeboot-2.0.0"])
def test_what_cannot_be_undone_is_st_s_or_known(name: str) -> None:
    data = content(name)
    altered = data[:50] + bytes([data[50] ^ 1]) + data[51:]
    found = assess(Image.parse(altered), throw_away_keys())
    assert not is_waivable("WB201", found)
    waivers = [Waiver("WB201", found.image.sha256, "because")]

    def made(inside: BundleContent) -> manifest.Manifest:
        return write.make_manifest([inside], [WB5X], name="x", sequence=0, created=0, waivers=waivers)

    with pytest.raises(BundleError, match="WB201 the signature matches no known ST key") as refused:
        made(BundleContent(assessment=found, data=altered))
    assert (refused.value.reason, "--waive" in str(refused.value)) == ("image", False)
    known = replace(found, known=next(iter(shipped().contents.values())))
    assert is_waivable("WB201", known)
    inside = BundleContent(assessment=known, data=altered)
    payload = manifest_json.dumps(made(inside))
    data = write.write_bundle(payload, [write.signature(private("p256"), payload)], [inside])
    with pytest.raises(BundleError, match="WB201") as refused:
        open_bundle(data, [public("p256")], 1, throw_away_keys())
    assert refused.value.reason == "image"


def altered(name: str, at: int) -> BundleContent:
    """An image of which one byte, counted from the end, has another value. Its signature stays valid."""
    changed = bytearray(content(name))
    changed[-at] ^= 0x40
    data = bytes(changed)
    return BundleContent(assessment=assess(Image.parse(data), throw_away_keys()), data=data)


def with_customer_block(name: str) -> BundleContent:
    block = content("customer-signed")[-84:]
    data = content(name) + block
    return BundleContent(assessment=assess(Image.parse(data), throw_away_keys()), data=data)


RELEASES = ("fus-2.2.0", "safeboot-2.0.0")
DOUBTS = [
    *((altered(name, 9), "WB104") for name in RELEASES),
    *((altered(name, 8), "WB110") for name in RELEASES),
    *((with_customer_block(name), "WB204") for name in RELEASES),
]


@pytest.mark.parametrize(("inside", "rule"), DOUBTS)
def test_bytes_of_fus_and_safeboot_are_never_waived(inside: BundleContent, rule: str) -> None:
    sha256 = inside.assessment.image.sha256
    waivers = [Waiver(rule, sha256, "because")]
    for accepted in ([], waivers):
        with pytest.raises(BundleError, match=f"{rule} cannot be waived for FUS and Safeboot") as refused:
            write.make_manifest([inside], [WB5X], name="x", sequence=0, created=0, waivers=accepted)
        assert refused.value.reason == "image"
    # A maker of bundles that lets it pass is refused by the reader.
    stated = manifest.Manifest(
        name="x",
        sequence=0,
        created="2026-01-01T00:00:00Z",
        tool="other",
        targets=(WB5X,),
        addresses={WB5X.name: {sha256: inside.assessment.address_on(WB5X)}},
        images=(manifest.describe(inside.assessment),),
        steps=steps_for([inside.assessment], [WB5X]),
        waivers=tuple(waivers),
    )
    payload = manifest_json.dumps(stated)
    data = write.write_bundle(payload, [write.signature(private("p256"), payload)], [inside])
    with pytest.raises(BundleError, match=f"{rule} cannot be waived for FUS and Safeboot") as refused:
        open_bundle(data, [public("p256")], 1, throw_away_keys())
    assert refused.value.reason == "image"


def test_an_unknown_version_word_of_a_stack_stays_a_warning() -> None:
    inside = altered("stack-4k", 8)
    found = errors_of([WB5X], {inside.assessment.image.sha256: inside.assessment})
    assert found == {inside.assessment.image.sha256: []}
    assert write.make_manifest([inside], [WB5X], name="x", sequence=0, created=0).waivers == ()


def test_an_error_on_any_target_counts() -> None:
    one = assessed("signed-by-wb3x-early")
    alone, both, turned = (
        errors_of(targets, {one.image.sha256: one})[one.image.sha256]
        for targets in ([WB3X], [WB3X, WB5X], [WB5X, WB3X])
    )
    assert [error.rule for error in alone] == []
    assert {error.rule for error in both} == {error.rule for error in turned} == {"WB301"}


@pytest.mark.parametrize("number", [0, 1])
def test_the_addresses_of_every_target_are_compared(number: int) -> None:
    data = bundle("stack-fus2-4k", keys=[private("p256")], parts=["STM32WB55RG", "STM32WB35CE"])
    made = open_bundle(data, [public("p256")], 1, throw_away_keys())
    name = made.manifest.targets[number].name
    wrong = {sha256: address - 0x1000 for sha256, address in made.manifest.addresses[name].items()}
    stated = replace(made.manifest, addresses={**made.manifest.addresses, name: wrong})
    with pytest.raises(BundleError, match=f"on {name}, but it must be"):
        _compare_addresses(stated, made.assessments)


def test_what_was_verified_stays_as_it_was() -> None:
    made = open_bundle(fixture("good-ed25519"), trusted(), 1, throw_away_keys())
    sha256 = next(iter(made.images))
    for mapping, value in (
        (made.images, b""),
        (made.assessments, None),
        (made.manifest.addresses, {}),
        (next(iter(made.manifest.addresses.values())), 0),
    ):
        with pytest.raises(TypeError):
            mapping[sha256] = value  # type: ignore[index]
    assert made == open_bundle(fixture("good-ed25519"), trusted(), 1, throw_away_keys())


@pytest.mark.parametrize("threshold", [True, 1.0, "1", None])
def test_a_threshold_is_a_number(threshold: object) -> None:
    with pytest.raises(TypeError, match="a threshold is an int"):
        open_bundle(fixture("good-ed25519"), trusted(), threshold, throw_away_keys())  # type: ignore[arg-type]


def test_the_largest_bundle_has_16_mib() -> None:
    assert LARGEST_BUNDLE == 16 * 1024 * 1024
    with pytest.raises(BundleError, match="more than 16777216 bytes"):
        archive.read_archive(b"PK\x03\x04" + bytes(16 * 1024 * 1024 - 3))
    with pytest.raises(BundleError, match="the end record is not at the end"):
        archive.read_archive(b"PK\x03\x04" + bytes(16 * 1024 * 1024 - 4))


def test_a_bundle_takes_16_signatures() -> None:
    from imagekit.bundle import unverified
    from imagekit.errors import KeyFileError

    full = unverified.read(
        bundle("stack-4k", keys=[Ed25519PrivateKey.generate() for _ in range(16)]), throw_away_keys()
    )
    with pytest.raises(KeyFileError, match="has 16 signatures, which is the most"):
        unverified.attach(full, public("p256"), b"", throw_away_keys())


# --- How the command line says it


def inputs(*paths: str) -> Inputs:
    """Stacks that no key verifies, each another, under these paths."""
    data = content("stack-4k")
    found = {}
    for number, path in enumerate(paths):
        altered = data[:50] + bytes([data[50] ^ (number + 1)]) + data[51:]
        found[path] = BundleContent(assessment=assess(Image.parse(altered), throw_away_keys()), data=altered)
    return judged_inputs(found, [WB5X])


@pytest.mark.parametrize("path", ["a.bin", "C:\\x\\a.bin", "a=b.bin", "./a:b=c.bin", "a"])
def test_a_waiver_names_its_file(path: str) -> None:
    given = inputs("other.bin", path, f"{path}2")
    sha256 = given.contents[path].assessment.image.sha256
    assert waivers_of([f"wb201:{path}=on the bench = fine"], given) == [Waiver("WB201", sha256, "on the bench = fine")]


def test_without_a_file_it_is_for_the_one_that_has_the_error() -> None:
    one = inputs("a.bin")
    assert waivers_of(["WB201=why"], one) == [Waiver("WB201", next(iter(one.paths)), "why")]
    with pytest.raises(typer.BadParameter, match=r"a\.bin and b\.bin have WB201.*write WB201:FILE=REASON"):
        waivers_of(["WB201=why"], inputs("a.bin", "b.bin"))
    with pytest.raises(typer.BadParameter, match="waived twice for the same image"):
        waivers_of(["WB201=why", "WB201:a.bin=why"], one)
    with pytest.raises(BundleError, match="WB105 is waived, but no image has this error"):
        waivers_of(["WB105=why"], one)
