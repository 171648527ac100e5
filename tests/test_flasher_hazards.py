"""What could kill a board, or take something from its owner: each is refused, or outlived."""

from pathlib import Path
from typing import Any

import pytest

import flasher.sim.fus
from flasher import registers as reg
from flasher.errors import ChipError, FlasherError, FusError, RefusedError
from flasher.install import delete, session, start_stack
from flasher.session import Event
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import HostKilledError
from flasher.sim.fus import SimulatedFus
from tests.support.flashing import FUS_2_2_0, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

UPGRADE = ("fus-2.2.0", "stack-fus2-4k")
VECTORS = (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little")


class Killed(list[Event]):
    """Kills the program at the n-th event whose text begins so."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__()
        self.text, self.left = text, at

    def append(self, event: Event) -> None:
        """Count."""
        self.left -= event.text.startswith(self.text)
        if not self.left:
            raise HostKilledError("killed")


def killed(chip: SimulatedChip, folder: Path, text: str, at: int = 1) -> None:
    with pytest.raises(HostKilledError):
        Bench(chip, folder, events=Killed(text, at)).install(opened(*UPGRADE))


def is_alive(chip: SimulatedChip) -> bool:
    return not chip.fus.secret.dead


def test_a_fus_slow_between_two_resets_is_not_reset(tmp_path: Path) -> None:
    chip = simulated()
    killed(chip, tmp_path, "the chip was reset", 3)
    object.__setattr__(chip.behaviour, "fus_boot_seconds", 20.0)
    for _ in range(20):
        try:
            Bench(chip, tmp_path).install(opened(*UPGRADE))
        except ChipError as error:
            assert "Do NOT power off" in str(error) or "CPU2 is up: not within" in str(error)  # noqa: PT017 - each time
        assert is_alive(chip)
    assert chip.fus.secret.fus_version == FUS_2_2_0


def test_under_reset_leaves_a_running_fus_alone(tmp_path: Path) -> None:
    chip = simulated()
    killed(chip, tmp_path, "0x2")
    Bench(chip, tmp_path).connect(under_reset=True)
    assert is_alive(chip)


def test_an_unknown_state_counts_as_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FUS 2.x may have states of its own."""
    chip, known = simulated(fus=FUS_2_2_0, fus_flash_work="hidden"), SimulatedFus._get_state
    monkeypatch.setattr(
        SimulatedFus, "_get_state", lambda it: b"\x45\0" if known(it)[0] in range(0x10, 0x40) else known(it)
    )
    monkeypatch.setattr(flasher.sim.fus, "_FINISH_SECONDS", 30.0)
    Bench(chip, tmp_path).install(opened("stack-fus2-4k"))
    assert is_alive(chip)
    assert chip.fus.secret.stack is not None


def test_read_protection_that_was_set_in_between_stays(tmp_path: Path) -> None:
    """Taking it back would erase the flash."""
    chip = simulated(level_1_sram2="open")
    killed(chip, tmp_path, "0x2")
    chip.advance(60)
    chip.options.set_by_cpu2(RDP=0xBB)
    chip.power_cycle()
    with pytest.raises(FlasherError):
        single(chip, tmp_path, start_stack)
    assert chip.options.get("RDP") == 0xBB


def test_starting_the_stack_is_not_a_factory_reset(tmp_path: Path) -> None:
    chip = simulated(fus=FUS_2_2_0, stack="stack-fus2-4k")
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.options.damage()
    chip.power_cycle()
    for do in (start_stack, delete):
        with pytest.raises(ChipError, match="SFSA 0x0"):
            single(chip, tmp_path, do)
    chip.advance(5)
    assert chip.flash.read_cells(0x08000000, 8) == VECTORS


def single(chip: SimulatedChip, folder: Path, do: Any) -> None:
    bench = Bench(chip, folder)
    connected = bench.connect()
    try:
        with session(connected, bench.journal(connected), lambda _: None, lambda: False) as it:
            do(it)
    finally:
        connected.disconnect()


def test_a_half_written_double_word_does_not_stop_a_run(tmp_path: Path) -> None:
    """It keeps the flash busy until a reset."""
    chip = simulated(fus=FUS_2_2_0)
    chip.halt()
    for address, word in (
        (reg.FLASH_KEYR, reg.KEYS[0]),
        (reg.FLASH_KEYR, reg.KEYS[1]),
        (reg.FLASH_CR, reg.CR_PG),
        (0x080E0000, 0x12345678),
    ):
        chip.write(address, word.to_bytes(4, "little"), 4)
    assert int.from_bytes(chip.read(reg.FLASH_SR, 4, 4), "little") & reg.SR_BUSY
    Bench(chip, tmp_path).install(opened("stack-fus2-4k"))
    assert chip.fus.secret.stack is not None


def test_an_application_is_not_reset_again_once_it_runs(tmp_path: Path) -> None:
    """It may have given FUS work by then (ST's BLE_Ota does)."""
    chip = simulated(fus=FUS_2_2_0)
    chip.flash.put_cells(0x08000000, VECTORS)
    chip.power_cycle()
    chip.advance(1)
    resets, original = [], chip._reset

    def watched(*arguments: Any, **more: Any) -> None:
        resets.append(chip.options.get("nBOOT0"))
        original(*arguments, **more)

    chip._reset = watched  # type: ignore[method-assign]
    Bench(chip, tmp_path).install(opened("stack-fus2-4k"))
    assert resets[-1] == 1
    assert resets[-2] == 0, "the last reset is the first that boots the application again"


def test_what_was_staged_and_changed_since_is_not_given_to_fus(tmp_path: Path) -> None:
    chip = simulated(fus=FUS_2_2_0)
    bench = Bench(chip, tmp_path)
    verified = opened("stack-fus2-4k")
    data = next(iter(verified.images.values()))
    chip.flash.put_cells(0x080EF000, data)
    connected = bench.connect()
    with session(connected, bench.journal(connected), lambda _: None, lambda: False) as it:
        from flasher.install import install
        from tests.support.flashing import EVERYTHING

        def agree(plan: Any) -> Any:
            chip.flash.put_cells(0x080EF100, b"\0" * 8)
            return plan

        install(it, verified, EVERYTHING, agree)
    assert chip.fus.secret.stack is not None


def test_a_board_left_booting_from_sram1_is_not_done(tmp_path: Path) -> None:
    chip = simulated()
    killed(chip, tmp_path / "one", "0x00", 6)
    chip.advance(60)
    with pytest.raises(RefusedError, match="--accept boot-from-flash"):
        Bench(chip, tmp_path / "other").install(opened(*UPGRADE))
    assert is_alive(chip)


def test_a_fus_that_waits_between_two_resets_is_started_again(tmp_path: Path) -> None:
    """Its option bytes may be half-way to what it makes of them, as boards in the field had them."""
    chip = simulated()
    killed(chip, tmp_path, "the chip was reset", 2)
    chip.options.set_by_cpu2(SBRV=0x33800)
    chip.options.load()
    from flasher.facts import option_refusals

    bench = Bench(chip, tmp_path)
    connected = bench.connect()
    assert option_refusals(connected.options())
    assert not option_refusals(connected.options(), is_fus_at_work=True)
    assert bench.journal(connected).history.is_unfinished
    connected.probe.close()


def test_user_settings_stay_after_fus_refused_an_image(tmp_path: Path) -> None:
    chip = simulated(fus=FUS_2_2_0)
    chip.fus.state.forced_error = 6
    with pytest.raises(FusError):
        Bench(chip, tmp_path).install(opened("stack-fus2-4k"))
    chip.flash.erase_cells(0x080EF000, 4096)
    chip.flash.put_cells(0x080EF000, b"settings")
    with pytest.raises(RefusedError, match="--erase-application 0x080EF000-0x080EFFFF"):
        Bench(chip, tmp_path).install(opened("stack-fus2-4k"))
    assert chip.flash.read_cells(0x080EF000, 8) == b"settings"


def test_a_new_fus_that_answers_unknown_at_first_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, known, told = simulated(), SimulatedFus._get_state, list[bool]()

    def at_first(it: SimulatedFus) -> bytes:
        if it.secret.fus_version == FUS_2_2_0 and not told:
            told.append(True)
            return b"\xff\xff"
        return known(it)

    monkeypatch.setattr(SimulatedFus, "_get_state", at_first)
    Bench(chip, tmp_path).install(opened(*UPGRADE))
    assert told
