"""flasher/doctor.py: what it reports about probe, library and target, and that it changes nothing."""

from typing import Any

import pytest

from flasher.chip import ChipDriver
from flasher.doctor import Check, CheckGrade, examine
from flasher.jlink import JLink
from flasher.registers import DBGMCU_APB1FZR1, DBGMCU_CR
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_session import Settings
from flasher.sim.probes import SimulatedJLink
from tests.support.flashing import SERIAL, SimulatedClock, simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]


def examined(chip: SimulatedChip, **settings: Any) -> dict[str, Check]:
    """Every result by its name."""
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(**settings))
    clock = SimulatedClock(chip)
    driver = ChipDriver(JLink(dll, clock, kind="sim", after_failure=dll.raise_stored), clock)
    try:
        return {check.name: check for check in examine(driver)}
    finally:
        driver.disconnect()


def test_a_good_desk_has_good_results_only() -> None:
    checks = examined(simulated())
    assert {check.grade for check in checks.values()} == {CheckGrade.GOOD}
    assert checks["target-voltage"].value == "3.30 V"
    assert checks["chip"].value.startswith("STM32WB5xxG, 1024 KiB, UID ")
    assert checks["idcode"].value.endswith("495")
    assert checks["command SetEnableMemCache = 0"].value == "accepted"
    assert checks["option-bytes"].value == "OPTR 0x3FFFF1AA, SFSA 0xF4"


def test_both_ways_of_reading_sram2_are_shown() -> None:
    chip = simulated()
    chip.ram.put_words(0x2003_0028, 0xA94656B9)
    assert examined(chip)["sram2"].value == "library 0xA94656B9, access port 0xA94656B9"


def test_a_library_that_shows_old_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JLink, "read32_through_ap", lambda _self, _address: 1)
    chip = simulated()
    chip.ram.put_words(0x2003_0028, 2)
    check = examined(chip)["sram2"]
    assert (check.grade, check.value) == (CheckGrade.ERROR, "library 0x00000002, access port 0x00000001")
    assert "do not install with it" in check.todo


def test_a_cosmetic_string_that_is_refused_is_a_warning() -> None:
    unknown = frozenset({"suppressgui"})
    check = examined(simulated(), unknown_commands=unknown, unknown_answer="code")["command SuppressGUI = 1"]
    assert (check.grade, check.value) == (CheckGrade.WARNING, "refused: code 1")


def test_a_refused_required_string_is_named_with_the_version() -> None:
    checks = examined(simulated(), unknown_commands=frozenset({"setenablememcache"}), unknown_answer="code")
    assert checks["connect"].grade is CheckGrade.ERROR
    assert "does not accept 'SetEnableMemCache = 0' (code 1)" in checks["connect"].value
    assert checks["command SetEnableMemCache = 0"].value == "refused: code 1"


def test_a_board_without_power_is_a_result_and_not_a_crash() -> None:
    chip = simulated()
    chip.power_off()
    assert examined(chip)["connect"].grade is CheckGrade.ERROR


def test_a_low_voltage_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JLink, "target_volts", lambda _self: 1.2)
    check = examined(simulated())["target-voltage"]
    assert (check.grade, check.value) == (CheckGrade.ERROR, "1.20 V")


def test_the_doctor_writes_debug_registers_only() -> None:
    chip, addresses = simulated(stack="stack-4k"), list[int]()
    original, epoch = chip.write, chip.epoch

    def write(address: int, data: bytes, width: int) -> None:
        addresses.append(address)
        original(address, data, width)

    chip.write = write  # type: ignore[method-assign]
    examined(chip)
    assert set(addresses) <= {DBGMCU_CR, DBGMCU_APB1FZR1}
    assert chip.epoch == epoch
