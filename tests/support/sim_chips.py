"""Simulated chips for tests of FUS: with FUS idle, with a stack running, with a stack installed and FUS selected."""

import struct
from typing import Any

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError
from tests.support.sim_driver import (
    FW_UPGRADE,
    SFR,
    SMALL,
    SRRVR,
    Driver,
    Layout,
    RefusedError,
)
from tests.support.sim_images import (
    FUS_1_2_0,
    Recipe,
    chip,
    place,
    stack,
)

FLASH = 0x08000000
V1_10 = 0x010A0000


def idle(fus_version: int = FUS_1_2_0, layout: Layout = SMALL, **switches: Any) -> tuple[SimulatedChip, Driver]:
    """A chip with FUS running and idle, CPU1 out of the way."""
    it = chip(fus_version=fus_version, **switches)
    it.reset(halt=True)
    it.advance(0.01)
    driver = Driver(it, layout, page=it.part.page)
    assert driver.start() == "fus"
    return it, driver


def until_reset(it: SimulatedChip, pause: float) -> None:
    """Let time pass, `pause` seconds at a time, until FUS has reset the chip."""
    epoch = it.epoch
    while it.epoch == epoch:
        it.advance(pause)


def installed(
    recipe: Recipe = stack, fus_version: int = FUS_1_2_0, layout: Layout = SMALL, **switches: Any
) -> tuple[SimulatedChip, Driver]:
    """A chip that came with a stack, which runs."""
    it = chip(fus_version=fus_version, **switches)
    assert it.fus.install_at_factory(recipe.build()) == 0
    it.power_cycle()
    it.advance(0.1)
    driver = Driver(it, layout)
    assert driver.start() == "stack"
    return it, driver


def in_fus(**arguments: Any) -> tuple[SimulatedChip, Driver]:
    """A chip that came with a stack, FUS selected and running."""
    it, driver = installed(**arguments)
    driver.enter_fus()
    return it, driver


def upgrade(driver: Driver, image: bytes, address: int | None = None) -> str:
    gap = 4 if image[-88:-84] == struct.pack("<I", 0xB10C8B99) else 0
    driver.burn(place(image, gap=gap) if address is None else address, image)
    return driver.run(FW_UPGRADE)


def refusal(driver: Driver, image: bytes, address: int | None = None) -> tuple[int, int]:
    with pytest.raises(RefusedError) as caught:
        upgrade(driver, image, address)
    return caught.value.state, caught.value.error


def security(driver: Driver) -> tuple[int, int, int, int]:
    """SFSA, SBRV, KiB of SRAM2A and SRAM2B open to CPU1."""
    srrvr = driver.word(SRRVR)
    return driver.word(SFR) & 0xFF, srrvr & 0x3FFFF, srrvr >> 18 & 31, srrvr >> 25 & 31


def unlocked(part: str = "STM32WB55RG", **switches: Any) -> tuple[SimulatedChip, Driver]:
    it = chip(part, **switches)
    it.halt()
    it.advance(0.01)
    driver = Driver(it, page=it.part.page)
    driver.unlock()
    return it, driver


def fails(it: SimulatedChip, address: int, size: int = 4, width: int = 4) -> bool:
    try:
        it.read(address, size, width)
    except AccessError:
        return True
    return False
