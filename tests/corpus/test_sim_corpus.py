"""ST's real images on simulated chips: what fits a part installs and runs there; what is wrong is refused.

Addresses are computed here, by the dossier's formula, from the bytes of the files alone.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.parts import find_part
from tests.support.corpus import CORPUS, FILES, IMAGES, name, needs_corpus
from tests.support.sim_driver import FW_UPGRADE, Driver, FlashError, RefusedError
from tests.support.sim_images import FUS, FUS2_STACK, FUS_0_5_3, FUS_1_1_0, FUS_1_2_0, FUS_2_0, FUS_2_1, SAFEBOOT

pytestmark = needs_corpus

# One part of each flash size: part, series of the images, sector, limit.
TARGETS = [
    ("STM32WB55RG", "5x", 4096, 0x080F4000),
    ("STM32WB55VY", "5x", 4096, 0x080A0000),
    ("STM32WB55CE", "5x", 4096, 0x08080000),
    ("STM32WB55CC", "5x", 4096, 0x08040000),
    ("STM32WB35CE", "3x", 4096, 0x08080000),
    ("STM32WB35CC", "3x", 4096, 0x08040000),
    ("STM32WB15CC", "1x", 2048, 0x08046000),
]
NOT_VERIFIABLE = {
    # cut in 4 KiB sectors and signed with the key of the WB3x: a WB3x file in the WB1x folder (ST replaced it)
    "v1.11.0/STM32WB1x/stm32wb1x_BLE_LLD_fw.bin",
    # its twin for the WB5x verifies, this one under no known key
    "v1.17.3/STM32WB3x/stm32wb3x_BLE_HCI_AdvScan_fw.bin",
}


@dataclass(frozen=True)
class File:
    path: Path
    content: bytes

    @property
    def magic(self) -> int:
        return int.from_bytes(self.content[-88:-84], "little")

    @property
    def is_stack(self) -> bool:
        safeboot = self.content[-104:-100] == bytes.fromhex("07b0fe5a")
        return self.magic not in (FUS, SAFEBOOT) and not safeboot

    @property
    def series(self) -> str:
        return self.path.name[7:9]

    def address(self, page: int, limit: int) -> int:
        gap = self.content[-103] if self.magic == FUS2_STACK else 0
        return limit - (max(-(-len(self.content) // page), self.content[-96]) + gap) * page


def unique(paths: list[Path]) -> list[File]:
    """Each content once for each series it was released for."""
    files: dict[tuple[str, str], File] = {}
    for path in paths:
        file = File(path, path.read_bytes())
        files.setdefault((hashlib.sha256(file.content).hexdigest(), file.series), file)
    return list(files.values())


STACKS = [file for file in unique(IMAGES) if file.is_stack]
each_target = pytest.mark.parametrize(("part", "series", "page", "limit"), TARGETS)


def ready(part: str, page: int, fus_version: int) -> tuple[SimulatedChip, Driver]:
    it = SimulatedChip(find_part(part), fus_version=fus_version)
    it.reset(halt=True)
    it.advance(0.01)
    driver = Driver(it, page=page)
    assert driver.start() == "fus"
    assert driver.state() == (0xFF, 0xFF), "the first contact of a part's life"
    return it, driver


def needed_fus(file: File) -> int:
    return FUS_2_0 if file.magic == FUS2_STACK else FUS_1_2_0


def outcome(part: str, page: int, file: File, address: int, content: bytes | None = None) -> str | int:
    """What runs after an install, or FUS's error byte, or -1 when flash refused to take the image."""
    _, driver = ready(part, page, needed_fus(file))
    try:
        driver.burn(address, file.content if content is None else content)
        return driver.run(FW_UPGRADE)
    except FlashError:
        return -1
    except RefusedError as error:
        return error.error


def fitting(series: str, page: int, limit: int) -> list[File]:
    """The stacks that a target takes, by size."""
    fits = [
        file
        for file in STACKS
        if file.series == series and file.address(page, limit) >= 0x08000000 and name(file.path) not in NOT_VERIFIABLE
    ]
    return sorted(fits, key=lambda file: (len(file.content), file.path))


@each_target
def test_stacks_of_all_sizes_install_and_run(part: str, series: str, page: int, limit: int) -> None:
    """The smallest, the largest and some between; each stack on one part: test_flasher_corpus.py."""
    stacks = fitting(series, page, limit)
    install_each(part, page, limit, [*stacks[::7], stacks[-1]])


@pytest.mark.slow
@each_target
def test_every_stack_that_fits_installs_and_runs(part: str, series: str, page: int, limit: int) -> None:
    install_each(part, page, limit, fitting(series, page, limit))


def install_each(part: str, page: int, limit: int, stacks: list[File]) -> None:
    """fus-protocol 11, item 17: at its computed address, from the FUS that it needs; SFSA, SBRV, versions after it."""
    for file in stacks:
        address, series = file.address(page, limit), file.series
        it, driver = ready(part, page, needed_fus(file))
        driver.burn(address, file.content)
        assert driver.run(FW_UPGRADE) == "stack after 2", name(file.path)
        assert driver.word(0x58004080) & 0xFF == (address - 0x08000000) // page, name(file.path)
        sbrv = driver.word(0x58004084) & (0x1FFFF if series == "1x" else 0x3FFFF)
        assert 0x08000000 + sbrv * 4 == address, name(file.path)
        assert driver.info(0x10) == int.from_bytes(file.content[-92:-88], "little"), name(file.path)
        assert it.options.open_sram2_kib() == (file.content[-94], file.content[-93]), name(file.path)


@each_target
def test_one_sector_higher_is_refused(part: str, series: str, page: int, limit: int) -> None:
    """fus-protocol 9.4: by flash where FUS begins, by FUS (no room, or not found) where it does not."""
    for file in [file for file in STACKS if file.series == series][::7]:
        address = file.address(page, limit) + page
        if address >= 0x08000000 + page and name(file.path) not in NOT_VERIFIABLE:
            assert outcome(part, page, file, address) in (-1, 0x01, 0x04), name(file.path)


@each_target
def test_a_flipped_byte_is_not_authentic(part: str, series: str, page: int, limit: int) -> None:
    for at, file in enumerate([file for file in STACKS if file.series == series][::7]):
        address = file.address(page, limit)
        if address < 0x08000000:
            continue
        altered = bytearray(file.content)
        altered[at * 997 % (len(altered) - 104)] ^= 1 << at % 8
        assert outcome(part, page, file, address, bytes(altered)) == 0x03, name(file.path)


@pytest.mark.parametrize("path", sorted(NOT_VERIFIABLE))
def test_images_without_a_known_key_are_not_authentic(path: str) -> None:
    if not (CORPUS / path).exists():
        pytest.skip("not in this corpus")
    file = File(CORPUS / path, (CORPUS / path).read_bytes())
    part, _, page, limit = next(target for target in TARGETS if target[1] == file.series)
    assert outcome(part, page, file, file.address(page, limit)) == 0x03


def test_images_for_fus_2_are_refused_by_fus_1() -> None:
    """fus-protocol 8.2."""
    for file in [file for file in STACKS if file.magic == FUS2_STACK and file.series == "5x"][::4]:
        _, driver = ready("STM32WB55RG", 4096, FUS_1_2_0)
        driver.burn(file.address(4096, 0x080F4000), file.content)
        with pytest.raises(RefusedError):
            driver.run(FW_UPGRADE)


WAYS: list[tuple[str, int, list[tuple[str, int]]]] = [
    (
        "STM32WB55RG",
        FUS_0_5_3,
        [
            ("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw_for_fus_0_5_3.bin", FUS_1_2_0),
            ("v1.22.1/STM32WB5x/stm32wb5x_FUS_fw.bin", FUS_2_0 + 3),
            ("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin", FUS_2_1),
        ],
    ),
    (
        "STM32WB55CE",
        FUS_1_1_0,
        [
            ("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin", FUS_1_2_0),
            ("v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin", FUS_2_1),
        ],
    ),
    ("STM32WB35CE", FUS_1_2_0, [("v1.23.0/STM32WB3x/stm32wb3x_FUS_fw.bin", FUS_2_1)]),
    ("STM32WB15CC", FUS_1_2_0, [("v1.23.0/STM32WB1x/stm32wb1x_FUS_fw.bin", FUS_2_1)]),
]


@pytest.mark.parametrize(("part", "start", "way"), WAYS)
def test_fus_is_upgraded_through_every_version(part: str, start: int, way: list[tuple[str, int]]) -> None:
    """fus-protocol 8.1: each stage in turn, four resets each; and never back."""
    if not all((CORPUS / path).exists() for path, _ in way):
        pytest.skip("not in this corpus")
    _, _, page, limit = next(target for target in TARGETS if target[0] == part)
    images = [(CORPUS / path).read_bytes() for path, _ in way]
    accepted = tuple(hashlib.sha256(image).hexdigest() for image in images[:1] if start == FUS_0_5_3)
    it = SimulatedChip(find_part(part), fus_version=start, accepted=accepted)
    it.advance(0.01)
    driver = Driver(it, page=page)
    driver.start()
    driver.state()  # the first contact of a part's life
    for image, (_, version) in zip(images, way, strict=True):
        # FUS 1.x stands two sectors lower on the largest part
        spare = 2 if limit == 0x080F4000 and version < FUS_2_0 else 0
        address = limit - (image[-96] + spare) * page
        driver.burn(address, image)
        assert driver.run(FW_UPGRADE) == "fus after 4"
        assert driver.info(0x0C) == version
        for at in range(address, limit, page):
            driver.erase(at)
    for image in images:
        driver.burn(limit - (image[-96] + 2) * page, image)
        with pytest.raises(RefusedError):
            driver.run(FW_UPGRADE)
        for at in range(limit - (image[-96] + 2) * page, limit, page):
            driver.unlock()
            driver.erase(at)


def test_fus_does_not_find_files_that_are_not_images() -> None:
    """fus-protocol 10, hazard 20: a saved page, an empty or an unencrypted file in flash."""
    others = [path for path in FILES if path not in IMAGES and path.stat().st_size]
    for content in (*(path.read_bytes() for path in others), b"<!DOCTYPE html>" * 8142):
        _, driver = ready("STM32WB55RG", 4096, FUS_1_2_0)
        driver.burn(0x080C0000, content)
        with pytest.raises(RefusedError) as caught:
            driver.run(FW_UPGRADE)
        assert caught.value.error == 0x01


def test_the_largest_stack_installs_in_two_cpu_seconds() -> None:
    """A full install in less than two seconds of the processor, so that a suite can afford many."""
    file = max((file for file in STACKS if file.series == "5x"), key=lambda file: len(file.content))
    before = time.process_time()
    assert outcome("STM32WB55RG", 4096, file, file.address(4096, 0x080F4000)) == "stack after 2"
    assert time.process_time() - before < 2
