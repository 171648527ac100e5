"""Faults at named places of the chip's work: recognised from accesses alone, each struck once, each accounted for."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from flasher.sim.errors import AccessError, HostKilledError
from flasher.sim.faults import KINDS, FaultyChip, parse_fault
from flasher.sim.places import PLACES, WITH_PERCENTAGE
from flasher.sim.show import describe
from tests.support.sim_driver import (
    AIRCR,
    FW_DELETE,
    FW_UPGRADE,
    OPTR,
    SRAM1,
    START_WS,
    Driver,
    LostError,
    RefusedError,
    SilentError,
)
from tests.support.sim_images import FUS_1_2_0, FUS_2_0, Recipe, chip, fus, new_stack, place, stack

PAGE = 4096


def behind(
    *specs: str, stack_recipe: Recipe | None = None, fus_version: int = FUS_1_2_0, **switches: Any
) -> tuple[FaultyChip, Driver]:
    """A chip behind faults, CPU1 halted and CPU2 not started."""
    it = chip(fus_version=fus_version, **switches)
    if stack_recipe is not None:
        assert it.fus.install_at_factory(stack_recipe.build()) == 0
        it.power_cycle()
    it.halt()
    it.advance(0.01)
    faulty = FaultyChip(it, tuple(parse_fault(spec) for spec in specs))
    return faulty, Driver(faulty)


def outcome(faulty: FaultyChip) -> tuple[int | None, str]:
    """Where the only fault struck."""
    (found,) = faulty.outcomes()
    return found.access, found.place


# --- the text


@pytest.mark.parametrize("text", ["link-lost@install-fus", "power-cut@program:50%", "reset@read:7=3", "stuck@12"])
def test_a_fault_keeps_its_text(text: str) -> None:
    assert parse_fault(text).text == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_at_a_place(kind: str) -> None:
    assert parse_fault(f"{kind}@program:10%").place == "program"


def test_places_with_a_percentage_exist() -> None:
    assert set(WITH_PERCENTAGE) < set(PLACES)


# --- flash


def test_a_fault_at_the_first_erase_strikes_after_it_began() -> None:
    faulty, driver = behind("reset@erase")
    driver.unlock()
    epoch = faulty.epoch
    with suppress(LostError, SilentError):  # a reset need not be noticed
        driver.erase(0x08000000)
    assert faulty.epoch == epoch + 1
    assert outcome(faulty)[1] == "erase"


@pytest.mark.parametrize(("percent", "pages_done"), [(10, 0), (50, 1), (51, 2), (100, 3)])
def test_programming_has_a_percentage_of_the_erased_run(percent: int, pages_done: int) -> None:
    """The chip cannot know how much will be programmed; it knows how much was erased for it."""
    faulty, driver = behind(f"access-fails@program:{percent}%")
    with pytest.raises(LostError):
        driver.burn(0x08000000, b"\x11" * 4 * PAGE)
    done = [faulty.chip.flash.read_cells(0x08000000 + at * PAGE, 4) != b"\xff" * 4 for at in range(4)]
    assert done.count(True) == pages_done
    assert outcome(faulty)[1] == "program"


def test_a_second_area_is_counted_for_itself() -> None:
    faulty, driver = behind("access-fails@program:60%")
    driver.unlock()
    driver.erase(0x08000000)
    driver.erase(0x08001000)
    driver.program(0x08000000, b"\x11" * PAGE)
    driver.erase(0x08010000)
    driver.erase(0x08011000)
    driver.program(0x08010000, b"\x11" * PAGE)
    assert outcome(faulty)[0] is None
    with pytest.raises(LostError):
        driver.program(0x08011000, b"\x11" * PAGE)


def test_option_bytes_and_cpu2_and_resets_are_places() -> None:
    faulty, driver = behind("flash-error@option-bytes", "host-killed@start-cpu2")
    driver.write_options(driver.word(OPTR))
    assert faulty.outcomes()[0].place == "option-bytes"
    with pytest.raises(HostKilledError):
        driver.start()
    assert faulty.chip.cpu2.state.running == "fus", "the access took effect"


@pytest.mark.parametrize("how", ["debugger", "pin", "software"])
def test_a_reset_by_the_debugger_is_a_place(how: str) -> None:
    faulty, _ = behind("link-lost@reset")
    if how == "debugger":
        faulty.reset(halt=True)
    elif how == "pin":
        faulty.hold_reset()
    else:
        with pytest.raises(AccessError):
            faulty.write(AIRCR, (0x05FA0004).to_bytes(4, "little"), 4)
    assert not faulty.target_present
    assert outcome(faulty)[1] == "reset"


def test_what_strikes_an_access_waits_for_one_after_a_reset() -> None:
    faulty, _ = behind("access-fails@reset")
    faulty.reset(halt=True)
    faulty.advance(0.1)
    with pytest.raises(AccessError):
        faulty.read(SRAM1, 4, 4)
    assert outcome(faulty)[0] == 1
    faulty.read(SRAM1, 4, 4)


def test_an_access_over_a_lost_link_begins_no_place() -> None:
    faulty, driver = behind("link-lost@1", "reset@erase")
    with pytest.raises(LostError):
        driver.word(SRAM1)
    with pytest.raises(LostError):
        driver.put(0x58004014, 2 | 1 << 16)
    assert [found.access for found in faulty.outcomes()] == [1, None]


# --- FUS


def test_a_stack_that_is_asked_for_its_state() -> None:
    faulty, driver = behind("answer-lost@enter-fus", stack_recipe=stack)
    driver.start()
    with pytest.raises(LostError):
        driver.command(0xFC52)
    faulty.advance(0.1)
    assert faulty.chip.cpu2.state.get_states == 1, "the command was sent"
    assert outcome(faulty)[1] == "enter-fus"


def test_the_answer_to_a_delete_is_lost_and_the_delete_is_done() -> None:
    faulty, driver = behind("answer-lost@delete-stack", stack_recipe=stack)
    driver.start()
    driver.enter_fus()
    with pytest.raises(LostError):
        driver.command(FW_DELETE)
    faulty.advance(30)
    assert faulty.chip.fus.secret.stack is None
    assert outcome(faulty)[1] == "delete-stack"


@pytest.mark.parametrize(
    ("spec_place", "image", "address"),
    [
        ("install-stack", stack, None),
        ("install-fus", replace(fus, version=0x02010000), 0x080EC000),
        ("install-safeboot", replace(stack, magic=0x927A6741, size=2 * PAGE - 4), 0x080F2000),
    ],
)
def test_what_is_staged_tells_which_install_it_is(spec_place: str, image: Recipe, address: int | None) -> None:
    faulty, driver = behind(f"host-killed@{spec_place}", fus_version=FUS_2_0)
    driver.start()
    content = image.build()
    driver.burn(place(content) if address is None else address, content)
    with pytest.raises(HostKilledError):
        driver.command(FW_UPGRADE)
    assert faulty.chip.cpu2.state.command_due is not None, "the command was rung"
    assert outcome(faulty)[1] == spec_place


def test_starting_a_stack_is_a_place() -> None:
    faulty, driver = behind("link-lost@start-stack", stack_recipe=stack)
    driver.start()
    driver.enter_fus()
    with pytest.raises(LostError):
        driver.run(START_WS)
    assert outcome(faulty)[1] == "start-stack"
    faulty.relink()
    faulty.advance(1)
    assert Driver(faulty).start() == "stack"


@pytest.mark.parametrize("percent", [20, 50, 90])
def test_an_install_has_a_percentage(percent: int) -> None:
    faulty, driver = behind(f"link-lost@install-stack:{percent}%", stack_resets=2)
    driver.start()
    image = stack.build()
    driver.burn(place(image), image)
    began = faulty.clock
    with pytest.raises(LostError):
        driver.run(FW_UPGRADE)
    assert outcome(faulty)[1] == "install-stack"
    seconds = {20: (0.3, 4), 50: (3, 6), 90: (5, 9)}[percent]
    assert seconds[0] < faulty.clock - began < seconds[1]


def test_a_percentage_between_two_accesses_is_not_missed() -> None:
    faulty, driver = behind("link-lost@delete-stack:50%", stack_recipe=stack)
    driver.start()
    driver.enter_fus()
    driver.command(FW_DELETE)
    faulty.advance(30)
    with pytest.raises(AccessError):
        faulty.read(SRAM1, 4, 4)
    assert outcome(faulty)[1] == "delete-stack"


def test_the_error_of_fus_is_forced_for_that_command() -> None:
    faulty, driver = behind("fus-error@install-stack=7")
    driver.start()
    image = stack.build()
    driver.burn(place(image), image)
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_UPGRADE)
    assert caught.value.error == 7
    assert outcome(faulty)[0]


@pytest.mark.parametrize("percent", [0, 50])
def test_a_reset_in_nvm_restore(percent: int) -> None:
    """fus2-nvm 5: it destroys the bonding data."""
    where = f"nvm-restore:{percent}%" if percent else "nvm-restore"
    faulty, driver = behind(f"reset@{where}", fus_version=FUS_2_0, nvm_job_seconds=10.0)
    driver.start()
    secret = faulty.chip.fus.secret
    secret.bonding, secret.nvm_sectors = "present", 4
    image = new_stack.build()
    driver.burn(place(image, gap=4), image)
    driver.command(FW_UPGRADE)
    for _ in range(200):
        faulty.advance(0.1)
        if faulty.chip.fus.secret.nvm_job is not None:
            break
    driver.write_tables()
    driver.put(0x58000050, 1 << 20)
    driver.put(0x5800040C, 1 << 15)
    began = faulty.clock
    for _ in range(100):
        faulty.advance(0.2)
        if outcome(faulty)[0] is not None:
            break
        with suppress(LostError):
            driver.word(SRAM1)
    assert dict(describe(faulty.chip))["bonding data"] == "destroyed"
    assert outcome(faulty)[1] == "nvm-restore"
    assert (faulty.clock - began > 4) == (percent == 50)


# --- what became of it


def test_the_outcome_of_a_fault_is_reported() -> None:
    faulty, driver = behind("access-fails@3", "link-lost@install-fus", "bit-error@erase=0")
    driver.word(SRAM1)
    driver.word(SRAM1)
    with pytest.raises(LostError):
        driver.word(SRAM1)
    texts = [found.text for found in faulty.outcomes()]
    assert texts == [
        "access-fails@3: the fault struck at access 3, outside of every named place",
        "link-lost@install-fus: the fault was never reached: 3 accesses",
        "bit-error@erase: the fault was never reached: 3 accesses",
    ]


def test_a_fault_of_reads_waits_for_one() -> None:
    faulty, driver = behind("bit-error@erase=0")
    driver.unlock()
    faulty.write(0x58004014, (2 | 1 << 16).to_bytes(4, "little"), 4)
    assert outcome(faulty)[0] is None
    assert faulty.read(SRAM1, 4, 4) != faulty.read(SRAM1, 4, 4)
    access, where = outcome(faulty)
    assert access == faulty.accesses - 1
    assert where == "erase"
