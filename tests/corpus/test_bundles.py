"""ST's real images in bundles: what goes in comes out, every stack has its bundle, and ST's keys can be recovered."""

from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.assessment import Assessment, assess
from imagekit.bundle import manifest_json, write
from imagekit.bundle.manifest import ManifestStep, Waiver
from imagekit.bundle.order import served, steps_for
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.bundle.write import BundleContent
from imagekit.cli.program import app
from imagekit.errors import BundleError, PlacementError
from imagekit.fus_versions import FOR_FUS_0_5_3, fus_after, fus_range, given_fus, lock_up, oldest_on, refusal
from imagekit.image.key_recovery import recover
from imagekit.image.model import FUS_1_2, Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.image.signing_keys import st_keys
from imagekit.targets import TARGETS, Series, Target
from tests.support.bundles import private, public, public_file
from tests.support.corpus import CORPUS, IMAGES, counts_hold, name, needs_corpus

pytestmark = needs_corpus


@cache
def contents() -> dict[str, BundleContent]:
    """Every content of the corpus once, by the first of its files."""
    found: dict[str, BundleContent] = {}
    for path in IMAGES:
        data = path.read_bytes()
        one = BundleContent(assessment=assess(Image.parse(data)), data=data)
        if all(one.assessment.image.sha256 != other.assessment.image.sha256 for other in found.values()):
            found[name(path)] = one
    return found


def made(inside: list[BundleContent], targets: list[Target], waivers: tuple[Waiver, ...] = ()) -> VerifiedBundle:
    """Make a bundle and open it."""
    stated = write.make_manifest(inside, targets, name="product", sequence=1, created=0, waivers=waivers)
    payload = manifest_json.dumps(stated)
    data = write.write_bundle(payload, [write.signature(private("p256"), payload)], inside)
    return open_bundle(data, [public("p256")])


def _is(file: str, *kinds: ImageKind) -> bool:
    return contents()[file].assessment.image.kind in kinds


def targets_of(one: BundleContent) -> list[Target]:
    """Every target on which this image has an address, of a series that ST published it for."""
    found = []
    known = one.assessment.known
    for target in TARGETS:
        if known and target.series not in known.published_series:
            continue
        try:
            one.assessment.address_on(target)
        except PlacementError:
            continue
        found.append(target)
    return found


def fus_chain(series: Series) -> list[BundleContent]:
    """The newest FUS of a series, and the 1.2.0 that it is installed from."""
    fus = [
        one
        for file, one in contents().items()
        if _is(file, ImageKind.FUS)
        and one.assessment.signature.status is SignatureStatus.VALID
        and any(target.series is series for target in targets_of(one))
    ]
    newest = max(fus, key=lambda one: one.assessment.image.version or FUS_1_2)
    hidden = [one for one in fus if one.assessment.image.is_hidden_fus]
    return [newest, *hidden[:1]]


def _files(*kinds: ImageKind) -> list[str]:
    return [file for file in contents() if _is(file, *kinds)]


def test_every_stack_with_its_fus_makes_a_bundle_that_opens() -> None:
    count = 0
    for file in _files(ImageKind.STACK):
        stack = contents()[file]
        waivers = _key_waivers(stack)
        for target in targets_of(stack):
            chain = [one for one in fus_chain(target.series) if target in targets_of(one)]
            opened = made([stack, *chain], [target], _sector_waivers(stack, waivers))
            assert opened.manifest.steps[-1].image == stack.assessment.image.sha256
            assert opened.images[stack.assessment.image.sha256] == stack.data
            assert [step.irreversible for step in opened.manifest.steps] == [True] * len(chain) + [False]
            count += 1
    assert count > len(_files(ImageKind.STACK))


def _waiver(one: BundleContent, rule: str) -> Waiver:
    return Waiver(rule, one.assessment.image.sha256, "a test")


def _key_waivers(one: BundleContent) -> tuple[Waiver, ...]:
    """A few real images are signed under a key that is not known."""
    return () if one.assessment.signature.key else (_waiver(one, "WB201"),)


def _sector_waivers(stack: BundleContent, waivers: tuple[Waiver, ...]) -> tuple[Waiver, ...]:
    """One real stack says too few sectors in its footer."""
    return waivers if stack.assessment.image.series else (*waivers, _waiver(stack, "WB105"))


def test_every_stack_alone_makes_a_bundle_that_opens() -> None:
    for file in _files(ImageKind.STACK):
        stack = contents()[file]
        if not targets_of(stack):
            continue  # a WB3x image that ST published for WB1x only
        waivers = _key_waivers(stack)
        opened = made([stack], targets_of(stack), _sector_waivers(stack, waivers))
        image = stack.assessment.image
        oldest = max(fus_range(image)[0], *(oldest_on(target, image) for target in targets_of(stack)))
        assert opened.manifest.steps[0].min_fus == oldest.text


def test_a_stack_of_another_series_needs_a_waiver() -> None:
    path = CORPUS / "v1.13.3" / "STM32WB5x" / "stm32wb5x_BLE_LLD_fw.bin"
    if not path.exists():
        pytest.skip("this corpus lacks v1.13.3")
    data = path.read_bytes()
    stack = BundleContent(assessment=assess(Image.parse(data)), data=data)
    target = next(target for target in TARGETS if target.name == "STM32WB3xxE")
    with pytest.raises(BundleError, match="WB307 ST published it for WB5x only"):
        made([stack], [target])
    assert made([stack], [target], (_waiver(stack, "WB307"),)).manifest.waivers[0].rule == "WB307"


def test_through_the_command_line_and_back(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    folder = CORPUS / "v1.23.0" / "STM32WB5x"
    fus, stack = folder / "stm32wb5x_FUS_fw.bin", folder / "stm32wb5x_BLE_Stack_full_fw.bin"
    if not (fus.exists() and stack.exists()):
        pytest.skip("this corpus lacks v1.13.3")
    (tmp_path / "key.pem").write_bytes(private("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    bundle, key, trust = tmp_path / "x.wbz", tmp_path / "key.pem", public_file("p256")
    create = ["create", bundle, fus, stack, "--part", "STM32WB55RG", "--key", key]
    for command in (
        create,
        ["verify", bundle, "--trust", trust],
        ["extract", bundle, tmp_path / "x", "--trust", trust],
    ):
        result = CliRunner().invoke(app, ["bundle", *map(str, command)])
        assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "x").glob("*.bin"))
    assert [file.read_bytes() for file in files] == [fus.read_bytes(), stack.read_bytes()]


@counts_hold
def test_the_keys_of_st_are_recovered_from_its_images_alone() -> None:
    keys, left = recover(one.assessment.image for one in contents().values())
    by_name = {key.name: key.public_key for key in st_keys()}
    found = [next(name for name, known in by_name.items() if known == key.public_key) for key in keys]
    assert list(zip(found, [len(key.images) for key in keys], strict=True)) == [
        ("st-wb5x-wb3x", 145),
        ("st-wb1x", 40),
        ("st-wb3x-early", 13),
    ]
    assert len(left) == 4


# --- Every chain


STARTS = [
    *map(Version.from_text, ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.1", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0"))
]


def kinds_of_content(target: Target) -> list[Assessment]:
    """One content for each way in which FUS can tell images apart on a target."""
    found: dict[object, Assessment] = {}
    for one in contents().values():
        image, variants = one.assessment.image, one.assessment.fus_variants
        if target in targets_of(one) and not (image.is_hidden_fus and not variants):
            version = given_fus(image) if image.kind is ImageKind.FUS else image.version
            found.setdefault(
                (image.kind, version, image.requires_fus, FOR_FUS_0_5_3 in variants, fus_range(image, variants)),
                one.assessment,
            )
    return list(found.values())


def walk(steps: tuple[ManifestStep, ...], target: Target, start: Version) -> None:
    """Go a chain as docs/bundle.md says that a chip goes it, and ask `refusal` at each step."""
    by_hash = {one.assessment.image.sha256: one.assessment for one in contents().values()}
    fus, taken = start, 0
    for step in steps:
        below = Version.from_text(step.below_fus) if step.below_fus else None
        if below is not None and fus >= below:
            continue
        one = by_hash[step.image]
        assert refusal(one.image, fus, one.fus_variants) == "", (start, steps)
        assert lock_up(one.image, target, fus) == "", (start, steps)
        fus = fus_after(one.image, fus) or fus
        taken += 1
    assert taken, (start, steps)
    # A stack or Safeboot is never passed over: FUS that only rises is in its range at the end, or was refused.
    last = by_hash[steps[-1].image].image.kind
    assert last is ImageKind.FUS or step.below_fus is None or fus < Version.from_text(step.below_fus)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_chain_of_two_and_three_steps_works(target: Target) -> None:
    """From every FUS that a chain serves, each step is one that FUS takes; the number of chains is told by asking."""
    kinds = kinds_of_content(target)
    count = 0
    for size in (1, 2, 3):
        for some in combinations(kinds, size):
            try:
                steps = steps_for(some, [target])
            except BundleError:
                continue
            ranges = [(Version.from_text(a), Version.from_text(b) if b else None) for a, b in served(steps)]
            assert ranges
            for start in STARTS:
                if any(first <= start and (below is None or start < below) for first, below in ranges):
                    walk(steps, target, start)
                    count += 1
    assert count > len(kinds)


def test_boards_from_fus_0_5_3_on(tmp_path: Path) -> None:
    """The way that docs/bundle.md shows, with the one waiver that it needs."""
    new, old = CORPUS / "v1.23.0" / "STM32WB5x", CORPUS / "v1.13.3" / "STM32WB5x"
    files = [
        old / "stm32wb5x_FUS_fw_for_fus_0_5_3.bin",
        old / "stm32wb5x_FUS_fw.bin",
        new / "stm32wb5x_FUS_fw.bin",
        new / "stm32wb5x_BLE_Stack_full_fw.bin",
    ]
    if not all(file.exists() for file in files):
        pytest.skip("this corpus lacks v1.13.3 or v1.23.0")
    bundle = tmp_path / "x.wbz"
    command = ["create", bundle, *files, "--part", "STM32WB55RG"]
    result = CliRunner().invoke(app, ["bundle", *map(str, command)])
    assert result.exit_code == 3, result.output
    assert f"{files[0]}: WB201" in result.output
    assert "--waive WB201=REASON" in result.output
    result = CliRunner().invoke(app, ["bundle", *map(str, command), "--waive", "WB201=ST's, by the catalogue"])
    assert result.exit_code == 0, result.output
    shown = CliRunner().invoke(app, ["bundle", "show", str(bundle)], env={"COLUMNS": "300"}).stdout
    assert "boards with FUS 0.5.3 and later" in shown
    assert "FUS_for_fus_0_5_3 of " in shown
