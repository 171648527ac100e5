"""The simulated chip behind the simulated J-Link library behind the real pylink: whole installations over the wire.

The sequences are psdb's by tests/support/sim_driver.py, which has never heard of J-Link; every
policy for what an access does around a reset is tried, since it is not known what SEGGER's library does (12, item 12).
"""

import contextlib
from pathlib import Path

import pylink
import pytest

from flasher.sim.board import load_board, save_board
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import AfterReset, Fails, Survives, Unsettled
from flasher.sim.dll_session import Settings
from flasher.sim.errors import AccessError
from flasher.sim.parts import find_part
from flasher.sim.probes import SimulatedJLink
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.jlinks import SERIAL, attach, own_locks_and_no_sleep  # noqa: F401 - a fixture
from tests.support.sim_driver import FW_DELETE, FW_UPGRADE, START_WS, Driver, LostError, SilentError
from tests.support.sim_images import chip as fresh
from tests.support.sim_images import place, stack

POLICIES: dict[str, AfterReset] = {
    "survives": Survives(),
    "fails": Fails(),
    **{f"unsettled {seed}": Unsettled(seed) for seed in range(6)},
}


class PylinkBus:
    """The driver's bus over the real pylink. After a failed access the probe is closed and opened again, once."""

    def __init__(self, dll: SimulatedDll, chip: SimulatedChip) -> None:
        self.dll, self.chip = dll, chip
        self.jlink = attach(dll)
        self.reconnects = 0

    def read(self, address: int, size: int, width: int) -> bytes:
        try:
            if size == width == 4:
                (word,) = self.jlink.memory_read32(address, 1)
                return int(word).to_bytes(4, "little")
            data = bytes(self.jlink.memory_read(address, size))
        except (pylink.errors.JLinkException, ValueError) as error:
            raise self._lost(address) from error
        if len(data) != size:
            raise self._lost(address)
        return data

    def write(self, address: int, data: bytes, width: int) -> None:
        try:
            if width == 4:
                words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
                self.jlink.memory_write32(address, words)
            else:
                self.jlink.memory_write8(address, list(data))
        except (pylink.errors.JLinkException, ValueError) as error:
            raise self._lost(address) from error

    def advance(self, seconds: float) -> None:
        self.chip.advance(seconds)

    def reset(self, halt: bool) -> None:
        self.jlink.reset(ms=0, halt=halt)

    def _lost(self, address: int) -> AccessError:
        """As psdb: after an access that failed, probe anew."""
        self.jlink.close()
        self.chip.advance(0.2)
        self.jlink = attach(self.dll)
        self.reconnects += 1
        return AccessError(address)


class Patient(Driver):
    """psdb's way when an access fails while CPU2 is started: probe again, fresh tables, C2BOOT again (7.1, step 3)."""

    def start(self) -> str:
        for _ in range(5):
            try:
                return super().start()
            except LostError:
                self.bus.advance(0.1)
        raise SilentError("the chip never answered")

    def boot_from_ram(self) -> None:
        # OBL_LAUNCH resets the chip, and the write that does it may be reported as failed.
        with contextlib.suppress(LostError):
            super().boot_from_ram()


def wired(chip: SimulatedChip, policy: AfterReset | None = None) -> Driver:
    settings = Settings(after_reset=policy) if policy else None
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], settings)
    return Patient(PylinkBus(dll, chip), page=chip.part.page)


def ready(chip: SimulatedChip, policy: AfterReset | None = None) -> Driver:
    """CPU1 in a loop in SRAM1, FUS running, a stack staged where it belongs."""
    driver = wired(chip, policy)
    driver.boot_from_ram()
    assert driver.start() == "fus"
    data = stack.build()
    driver.burn(place(data), data)
    return driver


@pytest.mark.parametrize("policy", POLICIES)
def test_a_stack_is_installed_left_and_deleted_over_the_wire(policy: str) -> None:
    driver = ready(fresh(), POLICIES[policy])
    assert driver.run(FW_UPGRADE).startswith("stack after")
    driver.enter_fus()
    assert driver.info(0x14)  # the stack's version in FUS's table
    assert driver.run(FW_DELETE).startswith("fus after")
    assert driver.info(0x14) == 0


def test_a_link_that_fails_around_resets_reconnects_more_often() -> None:
    costs = []
    for policy in ("survives", "fails"):
        driver = ready(fresh(), POLICIES[policy])
        driver.run(FW_UPGRADE)
        assert isinstance(driver.bus, PylinkBus)
        costs.append(driver.bus.reconnects)
        driver.bus.jlink.close()
    assert costs[0] < costs[1]


def test_a_board_saved_in_the_middle_continues_there(tmp_path: Path) -> None:
    chip = fresh()
    bus = ready(chip).bus
    assert isinstance(bus, PylinkBus)
    bus.jlink.close()
    save_board(chip, tmp_path / "board.json")
    later = wired(load_board(tmp_path / "board.json"))
    assert later.run(FW_UPGRADE).startswith("stack after")
    later.enter_fus()
    assert later.run(START_WS).startswith("stack after")


def test_cpu1_runs_from_where_the_debugger_points_it() -> None:
    """A loop in SRAM1 without a word of option bytes: the vectors stay the application's."""
    chip = fresh()
    chip.flash.put_cells(0x08000000, (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little"))
    chip.power_cycle()
    chip.reset(halt=True)
    jlink = attach(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)]))
    assert jlink.register_read(15) == 0x08000100
    jlink.memory_write16(0x20000008, [0xE7FE])
    jlink.register_write(15, 0x20000008)
    jlink.restart()
    chip.advance(0.5)
    assert chip.cpu1.state.runs == "loop"
    assert jlink.memory_read32(0x5800040C, 1) == [0], "no application started CPU2"
    jlink.halt()
    assert jlink.register_read(15) == 0x20000008
    jlink.register_write(16, 0)  # XPSR without its Thumb bit
    jlink.restart()
    assert chip.cpu1.state.runs == "lockup"
    jlink.close()


def test_nothing_moves_in_a_chip_that_is_held_in_reset() -> None:
    chip = fresh()
    driver = wired(chip, Survives())
    driver.boot_from_ram()
    assert isinstance(driver.bus, PylinkBus)
    driver.bus.jlink.set_reset_pin_low()
    with pytest.raises(SilentError):
        driver.start()
    chip.advance(10)
    for address in (0x20000000, 0x5800040C, 0x08000000):
        with pytest.raises(AccessError):
            driver.bus.read(address, 4, 4)
    driver.bus.jlink.set_reset_pin_high()
    chip.advance(0.1)
    assert driver.word(0x5800040C) == 0, "C2BOOT"
    assert driver.start() == "fus"


def test_cpu1_is_caught_while_the_chip_is_held_in_reset() -> None:
    """Connecting under reset: halt and vector catch are set while the pin is low, CPU1 then stops at its vector."""
    chip = fresh()
    jlink = attach(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(after_reset=Survives())))
    jlink.set_reset_pin_low()
    chip.advance(0.01)
    jlink.memory_write32(0xE000EDF0, [0xA05F0001])
    jlink.memory_write32(0xE000EDFC, [1])
    jlink.set_reset_pin_high()
    assert jlink.halted()
    jlink.close()


def test_a_pin_that_goes_low_while_fus_writes_is_an_interruption() -> None:
    chip = fresh()
    driver = ready(chip, Survives())
    assert isinstance(driver.bus, PylinkBus)
    driver.command(FW_UPGRADE)
    chip.advance(1)
    assert chip.cpu2.state.running == "fus"
    driver.bus.jlink.set_reset_pin_low()
    assert chip.cpu2.state.running == ""
    chip.advance(10)
    assert chip.fus.secret.stack is None


def test_two_probes_reach_two_chips() -> None:
    chips = {260_000_001: fresh(), 260_000_002: fresh()}
    dll = SimulatedDll([SimulatedJLink(serial=serial, chip=chip) for serial, chip in chips.items()])
    for serial, chip in chips.items():
        chip.write(0x20000100, serial.to_bytes(4, "little"), 4)
        jlink = attach(dll, serial=serial)
        assert jlink.memory_read32(0x20000100, 1) == [serial]
        jlink.close()


@needs_corpus
def test_a_real_stack_is_installed_over_the_wire() -> None:
    path = CORPUS / "v1.13.3" / "STM32WB5x" / "stm32wb5x_BLE_Stack_full_fw.bin"
    if not path.exists():
        pytest.skip("this corpus lacks v1.13.3")
    data = path.read_bytes()
    driver = wired(SimulatedChip(find_part("STM32WB55RG")), Fails())
    driver.boot_from_ram()
    driver.start()
    assert driver.state() == (0xFF, 0xFF), "the first contact of a part's life"
    driver.burn(0x080D0000, data)
    assert driver.run(FW_UPGRADE).startswith("stack after")
    assert driver.info(0x10) >> 8 == 0x010D03  # 1.13.3
