"""ST's real images in bundles: what goes in comes out, every stack has its bundle, and ST's keys can be recovered."""

from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagekit.assessment import assess
from imagekit.bundle import manifest, write
from imagekit.bundle.manifest import Waiver
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.bundle.write import Content
from imagekit.cli import app
from imagekit.errors import PlacementError
from imagekit.image import FUS_1_2, Image, ImageKind
from imagekit.key_recovery import recover
from imagekit.signature import SignatureStatus
from imagekit.signing_keys import st_keys
from imagekit.targets import TARGETS, Series, Target
from imagekit.upgrade import fus_range
from tests.support.bundles import private, public, public_file
from tests.support.corpus import CORPUS, IMAGES, counts_hold, name, needs_corpus

pytestmark = needs_corpus


@cache
def contents() -> dict[str, Content]:
    """Every content of the corpus once, by the first of its files."""
    found: dict[str, Content] = {}
    for path in IMAGES:
        data = path.read_bytes()
        one = Content(assessment=assess(Image.parse(data)), data=data)
        if all(one.assessment.image.sha256 != other.assessment.image.sha256 for other in found.values()):
            found[name(path)] = one
    return found


def made(inside: list[Content], targets: list[Target], waivers: tuple[Waiver, ...] = ()) -> VerifiedBundle:
    """Make a bundle and open it."""
    stated = write.make_manifest(inside, targets, name="product", sequence=1, created=0, waivers=waivers)
    payload = manifest.dumps(stated)
    data = write.write_bundle(payload, [write.signature(private("p256"), payload)], inside)
    return open_bundle(data, [public("p256")])


def _is(file: str, *kinds: ImageKind) -> bool:
    return contents()[file].assessment.image.kind in kinds


def targets_of(one: Content) -> list[Target]:
    """Every target on which this image has an address."""
    found = []
    for target in TARGETS:
        try:
            one.assessment.address_on(target)
        except PlacementError:
            continue
        found.append(target)
    return found


def fus_chain(series: Series) -> list[Content]:
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
        waivers = () if stack.assessment.signature.key else (Waiver("WB201", "the key is not known"),)
        for target in targets_of(stack):
            chain = [one for one in fus_chain(target.series) if target in targets_of(one)]
            opened = made([stack, *chain], [target], _sector_waivers(stack, waivers))
            assert opened.manifest.steps[-1].image == stack.assessment.image.sha256
            assert opened.images[stack.assessment.image.sha256] == stack.data
            assert [step.irreversible for step in opened.manifest.steps] == [True] * len(chain) + [False]
            count += 1
    assert count > len(_files(ImageKind.STACK))


def _sector_waivers(stack: Content, waivers: tuple[Waiver, ...]) -> tuple[Waiver, ...]:
    """One real stack says too few sectors in its footer."""
    return waivers if stack.assessment.image.series else (*waivers, Waiver("WB105", "the larger count is used"))


def test_every_stack_alone_makes_a_bundle_that_opens() -> None:
    for file in _files(ImageKind.STACK):
        stack = contents()[file]
        waivers = () if stack.assessment.signature.key else (Waiver("WB201", "the key is not known"),)
        opened = made([stack], targets_of(stack), _sector_waivers(stack, waivers))
        assert fus_range(stack.assessment.image)[0].text == opened.manifest.steps[0].min_fus


def test_through_the_command_line_and_back(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    folder = CORPUS / "v1.23.0" / "STM32WB5x"
    fus, stack = folder / "stm32wb5x_FUS_fw.bin", folder / "stm32wb5x_BLE_Stack_full_fw.bin"
    if not (fus.exists() and stack.exists()):
        pytest.skip("this corpus lacks v1.23.0")
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
