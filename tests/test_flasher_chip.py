"""flasher/chip.py on the simulated chip: which chip it is, and flash that cannot be changed where it may not be."""

from pathlib import Path
from typing import Any

import pytest

from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.device import Area, Staging
from flasher.errors import ChipError, FlashError, SilentError, TargetUnavailableError, TransferError
from flasher.flash import FlashDriver
from flasher.jlink import JLink
from flasher.retry import Wait
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import Survives
from flasher.sim.faults import Fault
from flasher.sim.identity import IDCODE
from flasher.sim.parts import PARTS
from flasher.sim.probes import SimulatedJLink
from imagekit.targets import select_target
from tests.support.flashing import Bench, SimulatedClock, simulated
from tests.support.jlinks import SERIAL, own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]

G = select_target("STM32WB55RG")
PAGE = Area(0x080E0000, 0x080E1000, G)


def connected(folder: Path, part: str = "STM32WB55RG", *faults: Fault, **choices: Any) -> ChipDriver:
    return Bench(simulated(part, **choices), folder, faults, after_reset=Survives()).connect()


def ready(folder: Path, *faults: Fault, **choices: Any) -> ChipDriver:
    """CPU1 out of the way."""
    chip = connected(folder, "STM32WB55RG", *faults, **choices)
    chip.halt_cpu1()
    return chip


def no_progress(_size: int) -> None:
    pass


# --- which chip it is


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_known_for_what_it_is(tmp_path: Path, part: str) -> None:
    chip = connected(tmp_path, part)
    assert chip.identity.target is select_target(part)
    assert chip.identity.dev_id == (0x494 if "WB1" in part else 0x495)
    assert len(chip.identity.uid) == 24


def test_two_chips_have_two_numbers(tmp_path: Path) -> None:
    uids = set()
    for serial in (1, 2):
        chip = connected(tmp_path, serial=serial)
        uids.add(chip.identity.uid)
        chip.disconnect()
    assert len(uids) == 2


@pytest.mark.parametrize("part", ["STM32WB55CE", "STM32WB35CE"])
def test_one_access_that_fails_makes_no_wb5x_a_wb3x(tmp_path: Path, part: str) -> None:
    """SRAM1 alone tells them apart, by the access that fails behind its end."""
    fault = Fault(kind="access-fails", at=1, on="read", address=reg.SRAM1 + reg.SMALLEST_SRAM1)
    assert connected(tmp_path, part, fault).identity.target is select_target(part)


def test_a_silent_chip_is_not_taken_for_a_wb3x(tmp_path: Path) -> None:
    faults = [
        Fault(kind="access-fails", at=1, on="read", address=reg.SRAM1 + reg.SMALLEST_SRAM1),
        Fault(kind="access-fails", at=1, on="read", address=reg.SRAM1),
    ]
    with pytest.raises(TransferError):
        connected(tmp_path, "STM32WB55CE", *faults)


@pytest.mark.parametrize(
    ("address", "bit", "told"),
    [
        (IDCODE, 1, "DEV_ID 0x497 is not an STM32WB with FUS: expected 0x495 or 0x494"),
        (reg.FLASH_SIZE, 7, "DEV_ID 0x495 with 1152 KiB of flash is not a known part"),
    ],
)
def test_a_chip_that_is_not_known(tmp_path: Path, address: int, bit: int, told: str) -> None:
    with pytest.raises(ChipError, match=told):
        connected(tmp_path, "STM32WB55RG", Fault(kind="bit-error", at=1, on="read", address=address, value=bit))


# --- CPU1


def test_cpu1_that_does_not_halt(tmp_path: Path) -> None:
    late = [Fault(kind="bit-error", at=at, on="read", address=reg.DHCSR, value=17) for at in range(1, 60)]
    with pytest.raises(SilentError, match=r"CPU1 halts: not within 0\.2 s"):
        ready(tmp_path, *late)


def test_cpu1_may_take_a_moment_to_halt(tmp_path: Path) -> None:
    ready(tmp_path, Fault(kind="bit-error", at=1, on="read", address=reg.DHCSR, value=17))


def test_a_reset_that_does_not_reach_cpu2(tmp_path: Path) -> None:
    chip = ready(tmp_path, Fault(kind="bit-error", at=1, on="read", address=reg.PWR_CR4, value=15))
    with pytest.raises(ChipError, match="a reset of the chip did not reach CPU2"):
        chip.reset()


def test_a_timeout_names_its_limit(tmp_path: Path) -> None:
    chip = connected(tmp_path)
    before = chip.clock.now()
    with pytest.raises(SilentError, match=r"CPU2 runs: not within 2 s: 0x5800040C reads 0x00000000"):
        chip.wait_for(reg.PWR_CR4, reg.C2BOOT, reg.C2BOOT, Wait("CPU2 runs", 2, 0.1))
    assert 2 <= chip.clock.now() - before < 2.5


def test_a_chip_that_answers_is_not_reset_by_its_pin() -> None:
    """FUS may be at work on it."""
    chip = simulated()
    clock, epoch = SimulatedClock(chip), chip.epoch
    asked = ChipDriver(JLink(SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)]), clock), clock)
    assert asked.connect(under_reset=True).target is G
    assert chip.epoch == epoch


def test_under_reset_no_application_gets_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a chip that does not answer otherwise: an application has switched the debug pins off."""
    connect = JLink.connect

    def only_under_reset(self: JLink, *, under_reset: bool = False) -> None:
        if not under_reset:
            raise TargetUnavailableError("the chip does not answer over SWD")
        connect(self, under_reset=True)

    monkeypatch.setattr(JLink, "connect", only_under_reset)
    chip = simulated()
    chip.flash.put_cells(0x08000000, (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little"))
    chip.power_cycle()
    chip.advance(1)
    clock = SimulatedClock(chip)
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)])
    caught = ChipDriver(JLink(dll, clock), clock)
    assert caught.connect(under_reset=True).target is G
    clock.sleep(1)
    assert not caught.word(reg.PWR_CR4) & reg.C2BOOT
    caught.halt_cpu1()
    caught.disconnect()


# --- flash


def test_a_page_is_erased_and_programmed_and_no_other(tmp_path: Path) -> None:
    chip = ready(tmp_path)
    sizes: list[int] = []
    data = bytes(range(256)) * 12
    for _ in range(2):
        FlashDriver(chip).erase(PAGE)
        FlashDriver(chip).program(Staging(PAGE, data), sizes.append)
    assert FlashDriver(chip).read(PAGE.start - 4096, PAGE.end + 4096) == (
        b"\xff" * 4096 + data.ljust(4096, b"\xff") + b"\xff" * 4096
    )
    assert sizes == [len(data)] * 2
    assert chip.word(reg.FLASH_CR) & reg.CR_LOCK, "locked again"


def test_secure_sectors_are_neither_erased_nor_programmed(tmp_path: Path) -> None:
    """SFSA is read anew each time: whatever the plan was made from may have changed."""
    chip = ready(tmp_path, stack="stack-4k")
    last = Area(0x080F3000, 0x080F4000, G)
    with pytest.raises(ChipError, match=r"0x080F3000-0x080F3FFF belongs to CPU2 now: SFSA is 0x080F3000"):
        FlashDriver(chip).erase(last)
    with pytest.raises(ChipError, match="belongs to CPU2 now"):
        FlashDriver(chip).program(Staging(last, bytes(8)), no_progress)
    other = Area(0x08070000, 0x08071000, select_target("STM32WB55CE"))
    with pytest.raises(ChipError, match="belongs to CPU2 now"):
        FlashDriver(chip).erase(other)
    assert chip.word(reg.FLASH_CR) & reg.CR_LOCK, "the controller was not even unlocked"


def test_a_flash_error_names_its_flags(tmp_path: Path) -> None:
    chip = ready(tmp_path)
    FlashDriver(chip).erase(PAGE)
    FlashDriver(chip).program(Staging(PAGE, bytes(8)), no_progress)
    with pytest.raises(FlashError, match=r"programming 0x080E0000 failed: FLASH_SR 0x[0-9A-F]{8}, errors 0x8"):
        FlashDriver(chip).program(Staging(PAGE, b"\x01" * 8), no_progress)


def test_flash_that_reads_back_otherwise(tmp_path: Path) -> None:
    fault = Fault(kind="bit-error", at=1, on="read", address=PAGE.start, value=5)
    chip = ready(tmp_path, fault)
    FlashDriver(chip).erase(PAGE)
    with pytest.raises(FlashError, match="0x080E0000-0x080E0FFF reads back differently from what was programmed"):
        FlashDriver(chip).program(Staging(PAGE, bytes(4096)), no_progress)


def test_a_controller_that_stays_locked(tmp_path: Path) -> None:
    chip = ready(tmp_path)
    chip.put(reg.FLASH_KEYR, 0)  # a wrong key shuts it until a reset
    with pytest.raises(FlashError, match="stays locked until the chip is reset"):
        FlashDriver(chip).erase(PAGE)
    chip.reset()
    FlashDriver(chip).erase(PAGE)


def test_low_power_bits_are_given_back(tmp_path: Path) -> None:
    bench = Bench(simulated(), tmp_path, after_reset=Survives())
    bench.chip.write(reg.DBGMCU_CR, (0b010).to_bytes(4, "little"), 4)
    chip = bench.connect()
    assert bench.chip.read(reg.DBGMCU_CR, 4, 4) == (0b111).to_bytes(4, "little")
    chip.disconnect()
    assert bench.chip.read(reg.DBGMCU_CR, 4, 4) == (0b010).to_bytes(4, "little")
