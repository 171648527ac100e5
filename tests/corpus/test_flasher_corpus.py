"""ST's real images through the whole flasher, on simulated chips that believe ST's own keys; what runs is read back."""

import hashlib
import os
from functools import cache
from pathlib import Path

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.parts import find_part
from imagekit.assessment import assess
from imagekit.bundle import manifest_json, write
from imagekit.bundle.manifest import FusPolicy, Waiver
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.bundle.write import BundleContent
from imagekit.errors import PlacementError
from imagekit.image.model import Image, ImageKind
from imagekit.targets import TARGETS, Target, select_target
from tests.support.bundles import private, public
from tests.support.corpus import CORPUS, IMAGES, name, needs_corpus
from tests.support.flashing import EVERYTHING, FUS_0_5_3, FUS_1_2_0, Bench
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

pytestmark = needs_corpus
PARTS = {
    "STM32WB1xxC": "STM32WB15CC",
    "STM32WB3xxC": "STM32WB35CC",
    "STM32WB5xxC": "STM32WB55CC",
    "STM32WB3xxE": "STM32WB35CE",
    "STM32WB5xxE": "STM32WB55CE",
    "STM32WB5xxY": "STM32WB55VY",
    "STM32WB5xxG": "STM32WB55RG",
}
"""A part of each target, the smallest first: there is less flash to read."""
NOT_SIGNED_BY_ST = {
    "v1.11.0/STM32WB1x/stm32wb1x_BLE_LLD_fw.bin": "a WB3x image in the folder of the WB1x, which ST replaced",
    "v1.17.3/STM32WB3x/stm32wb3x_BLE_HCI_AdvScan_fw.bin": "signed under a key that nobody knows",
}
"""Stacks that no chip takes, and why."""
FUS_2_1 = 0x0201_0000


@cache
def read(path: Path) -> BundleContent:
    data = path.read_bytes()
    return BundleContent(assessment=assess(Image.parse(data)), data=data)


@cache
def stacks() -> dict[str, list[tuple[str, BundleContent]]]:
    """Every stack of the corpus once, by the smallest target of its series that it fits."""
    found: dict[str, list[tuple[str, BundleContent]]] = {target: [] for target in PARTS}
    seen = set()
    for path in IMAGES:
        one = read(path)
        image = one.assessment.image
        series = path.name[5:8].upper()
        if image.kind is not ImageKind.STACK or name(path) in NOT_SIGNED_BY_ST or (image.sha256, series) in seen:
            continue
        seen |= {(image.sha256, series)}
        fits = [target for target in PARTS if target.startswith(f"STM32{series}") and address(one, target)]
        found[fits[0]].append((name(path), one))
    return found


def address(one: BundleContent, target: str) -> int | None:
    try:
        return one.assessment.address_on(select_target(target))
    except PlacementError:
        return None


def made(*inside: BundleContent, target: Target) -> VerifiedBundle:
    """A bundle with what ST's own images need: two have too few sectors in their footers or no key that is known."""
    waivers = []
    for one in inside:
        image = one.assessment.image
        waivers += [Waiver("WB105", image.sha256, "a test")] if not image.series else []
        waivers += [Waiver("WB201", image.sha256, "a test")] if not one.assessment.signature.key else []
    stated = write.make_manifest(
        inside, [target], name="product", sequence=1, created=0, waivers=waivers, fus_policy=FusPolicy.ALWAYS
    )
    payload = manifest_json.dumps(stated)
    return open_bundle(
        write.write_bundle(payload, [write.signature(private("p256"), payload)], inside), [public("p256")]
    )


def board(target: str, fus: int, *accepted: BundleContent) -> SimulatedChip:
    hashes = tuple(hashlib.sha256(one.data).hexdigest() for one in accepted)
    chip = SimulatedChip(find_part(PARTS[target]), fus_version=fus, accepted=hashes)
    chip.power_cycle()
    return chip


def version_word(one: BundleContent) -> int:
    return int.from_bytes(one.data[-92:-88], "little")


def assert_has(chip: SimulatedChip, stack: BundleContent, target: str) -> None:
    installed = chip.fus.secret.stack
    assert installed is not None
    assert installed.sha256 == stack.assessment.image.sha256
    assert (installed.version, installed.address) == (version_word(stack), address(stack, target))
    assert chip.options.open_sram2_kib()[0] == stack.data[-94]
    chip.advance(1)
    assert (chip.is_halted, chip.fus.secret.dead) == (False, "")


FEW_STACKS = ("STM32WB5xxG", "STM32WB5xxY", "STM32WB3xxE")
"""Targets with few stacks that fit no smaller part."""


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=() if name in FEW_STACKS else pytest.mark.slow) for name in PARTS]
)
def test_every_stack_is_installed_and_runs(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the FUS that it needs, each replacing the one before it, on the smallest part that it fits."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    boards = {FUS_1_2_0: board(target, FUS_1_2_0), FUS_2_1: board(target, FUS_2_1)}
    for file, stack in stacks()[target]:
        fus = FUS_2_1 if stack.assessment.image.requires_fus else FUS_1_2_0
        plan = Bench(boards[fus], tmp_path / str(fus)).install(made(stack, target=select_target(target)))
        assert plan.steps, file
        assert_has(boards[fus], stack, target)


def test_every_stack_is_tried_or_has_a_reason() -> None:
    tried = {one.assessment.image.sha256 for found in stacks().values() for _, one in found}
    left = {
        name(path)
        for path in IMAGES
        if read(path).assessment.image.kind is ImageKind.STACK and read(path).assessment.image.sha256 not in tried
    }
    assert left == {file for file in NOT_SIGNED_BY_ST if (CORPUS / file).exists()}


NEW, OLD = "v1.23.0", "v1.13.3"
WAYS = [
    ("STM32WB1xxC", FUS_1_2_0, (f"{NEW}/STM32WB1x/stm32wb1x_FUS_fw.bin",), "stm32wb1x_BLE_Stack_full_fw.bin"),
    ("STM32WB3xxC", FUS_1_2_0, (f"{NEW}/STM32WB3x/stm32wb3x_FUS_fw.bin",), "stm32wb3x_BLE_Stack_light_fw.bin"),
    (
        "STM32WB5xxC",
        0x0101_0000,
        (f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin", f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw.bin"),
        "stm32wb5x_BLE_Stack_light_fw.bin",
    ),
    ("STM32WB3xxE", FUS_1_2_0, (f"{NEW}/STM32WB3x/stm32wb3x_FUS_fw.bin",), "stm32wb3x_BLE_Stack_full_fw.bin"),
    (
        "STM32WB5xxE",
        0x0100_0200,
        (f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin", f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw.bin"),
        "stm32wb5x_BLE_Stack_full_fw.bin",
    ),
    ("STM32WB5xxY", FUS_1_2_0, (f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw.bin",), "stm32wb5x_BLE_Stack_full_fw.bin"),
    *(
        (
            "STM32WB5xxG",
            fus,
            (
                f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw_for_fus_0_5_3.bin",
                f"{OLD}/STM32WB5x/stm32wb5x_FUS_fw.bin",
                f"{NEW}/STM32WB5x/stm32wb5x_FUS_fw.bin",
            ),
            "stm32wb5x_BLE_Stack_full_fw.bin",
        )
        for fus in (FUS_0_5_3, 0x0100_0100, 0x0101_0200, FUS_1_2_0, 0x0200_0003, FUS_2_1)
    ),
    ("STM32WB5xxG", FUS_1_2_0, ("v1.22.1/STM32WB5x/stm32wb5x_FUS_fw.bin",), "stm32wb5x_BLE_HCILayer_fw.bin"),
]


@pytest.mark.parametrize(
    ("target", "start", "fus", "stack"), WAYS, ids=[f"{way[0]} from {way[1]:08X} over {len(way[2])}" for way in WAYS]
)
def test_every_upgrade_path_of_st_to_a_new_stack(
    target: str, start: int, fus: tuple[str, ...], stack: str, tmp_path: Path
) -> None:
    """How ST signs images for FUS 0.5.3 is not public: the chip is told to accept that one."""
    paths = [CORPUS / file for file in fus] + [CORPUS / fus[-1]]
    paths[-1] = paths[-1].with_name(stack)
    if not all(path.exists() for path in paths):
        pytest.skip("this corpus lacks a release of this way")
    inside = [read(path) for path in paths]
    chip = board(target, start, *(inside[:1] if "0_5_3" in fus[0] else ()))
    bundle = made(*inside, target=select_target(target))
    run = Bench(chip, tmp_path)
    plan = run.install(bundle, EVERYTHING_OF_ST)
    assert chip.fus.secret.fus_version >> 8 == max(version_word(inside[-2]), start) >> 8
    assert_has(chip, inside[-1], target)
    assert [step.action for step in plan.steps][-2:] == ["install-stack", "start-stack"]
    assert run.install(bundle, EVERYTHING_OF_ST).steps == ()


EVERYTHING_OF_ST = type(EVERYTHING)(accept=frozenset({"fus-1.2.0", "fus-2.0.0", "fus-2.1.0"}))


def test_a_part_of_each_target_is_tried() -> None:
    assert set(PARTS) == {target.name for target in TARGETS} == {way[0] for way in WAYS}
