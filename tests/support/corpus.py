"""ST's real images, where they are on this machine. They are ST's: never part of this project."""

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("IMAGEKIT_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
FILES = sorted(CORPUS.rglob("*.bin"))

needs_corpus = pytest.mark.skipif(
    not FILES, reason=f"no STM32CubeWB releases in {CORPUS}: set IMAGEKIT_CORPUS to a folder of them"
)

NOT_IMAGES = {
    "v1.11.1/STM32WB3x/stm32wb3x_FUS_fw_1_0_2.bin": "empty",
    "v1.11.1/STM32WB5x/stm32wb5x_FUS_fw_1_0_2.bin": "empty",
    "v1.5.0/STM32WB5x/stm32wb5x_FUS_fw.bin": "unencrypted",
}
"""Files of the ten releases that are no images, and why."""


def name(path: Path) -> str:
    """The file as ST's release has it: `v1.23.0/STM32WB5x/stm32wb5x_FUS_fw.bin`."""
    return path.relative_to(CORPUS).as_posix()


IMAGES = [path for path in FILES if name(path) not in NOT_IMAGES]
each_file = pytest.mark.parametrize("path", FILES, ids=name)
each_image = pytest.mark.parametrize("path", IMAGES, ids=name)
TEN_RELEASES = {
    "v1.1.0",
    "v1.5.0",
    "v1.6.0",
    "v1.7.0",
    "v1.11.0",
    "v1.11.1",
    "v1.13.3",
    "v1.17.3",
    "v1.22.1",
    "v1.23.0",
}
counts_hold = pytest.mark.skipif(
    {path.name for path in CORPUS.glob("v*")} != TEN_RELEASES,
    reason="the counts are those of ten certain releases; this corpus holds others",
)
