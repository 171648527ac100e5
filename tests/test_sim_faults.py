"""Faults on script: each kind does what a bench does, once, at its access, and the chip goes on from there."""

import struct
from contextlib import suppress

import pytest

from flasher.sim.errors import AccessError, HostKilledError
from flasher.sim.faults import Fault, FaultyChip, Kind, parse_fault
from tests.support.sim_driver import FW_UPGRADE, SR, SRAM1, Driver, FlashError, LostError, RefusedError, SilentError
from tests.support.sim_images import chip, place, small_stack, stack


def behind(*faults: Fault) -> FaultyChip:
    it = chip()
    it.halt()
    it.advance(0.01)
    it.write(SRAM1, bytes(range(16)), 4)
    return FaultyChip(it, faults)


def test_without_faults_it_is_the_chip() -> None:
    it = behind()
    assert it.read(SRAM1, 4, 4) == bytes(range(4))
    it.write(SRAM1, b"abcd", 4)
    assert it.chip.read(SRAM1, 4, 4) == b"abcd"
    assert (it.epoch, it.clock, it.is_halted) == (it.chip.epoch, it.chip.clock, True)
    it.resume()
    assert not it.is_halted
    it.halt()
    epoch = it.epoch
    it.reset(halt=True)
    it.power_cycle()
    assert it.epoch == epoch + 2
    assert it.target_present


def test_an_access_fails_once() -> None:
    it = behind(Fault(kind="access-fails", at=2))
    it.read(SRAM1, 4, 4)
    with pytest.raises(AccessError) as caught:
        it.write(SRAM1, b"abcd", 4)
    assert caught.value.address == SRAM1
    assert it.read(SRAM1, 4, 4) == bytes(range(4))


def test_accesses_are_counted_by_kind_and_address() -> None:
    it = behind(Fault(kind="access-fails", at=2, on="write", address=SRAM1 + 4))
    it.read(SRAM1, 16, 4)
    it.write(SRAM1, bytes(4), 4)
    it.write(SRAM1, bytes(8), 4)
    it.write(SRAM1 + 8, bytes(4), 4)
    with pytest.raises(AccessError):
        it.write(SRAM1 + 4, bytes(4), 4)


def test_a_short_read_and_a_bit_error() -> None:
    it = behind(Fault(kind="short-read", at=1, value=5), Fault(kind="bit-error", at=2, on="read", value=9))
    assert it.read(SRAM1, 16, 4) == bytes(range(5))
    assert it.read(SRAM1, 4, 4) == bytes([0, 1 ^ 2, 2, 3])
    assert it.read(SRAM1, 4, 4) == bytes(range(4))


def test_a_reset_now() -> None:
    it = behind(Fault(kind="reset", at=1))
    epoch = it.epoch
    with pytest.raises(AccessError):
        it.read(SRAM1, 4, 4)
    assert it.epoch == epoch + 1
    it.advance(0.1)
    assert it.read(SRAM1, 4, 4) == bytes(range(4))


def test_a_power_cut_lasts_as_long_as_it_says() -> None:
    it = behind(Fault(kind="power-cut", at=1, value=500))
    with pytest.raises(AccessError):
        it.read(SRAM1, 4, 4)
    it.advance(0.3)
    assert not it.target_present
    it.advance(0.3)
    assert it.target_present
    assert it.read(SRAM1, 4, 4) != bytes(range(4))


def test_a_link_that_is_lost_stays_lost() -> None:
    it = behind(Fault(kind="link-lost", at=1))
    for _ in range(3):
        with pytest.raises(AccessError):
            it.read(SRAM1, 4, 4)
    assert not it.target_present
    it.relink()
    assert it.read(SRAM1, 4, 4) == bytes(range(4))


def test_a_killed_host_leaves_the_chip_to_itself() -> None:
    """jlink-pylink 5.4: host death after the command is harmless to the chip."""
    it = behind(Fault(kind="host-killed", at=60, on="read", address=0x58000C0C))
    driver, image = Driver(it), stack.build()
    driver.start()
    driver.burn(place(image), image)
    with pytest.raises(HostKilledError):
        driver.run(FW_UPGRADE)
    it.advance(30)
    assert Driver(it).start() == "stack"


def test_a_power_cut_in_an_upgrade_kills_the_part() -> None:
    """fus-protocol 11, item 19."""
    it = behind(Fault(kind="power-cut", at=60, on="read", address=0x58000C0C, value=10))
    driver, image = Driver(it), stack.build()
    driver.start()
    driver.burn(place(image), image)
    with pytest.raises((LostError, SilentError)):
        driver.run(FW_UPGRADE)
    it.reset(halt=True)
    it.advance(0.1)
    with pytest.raises(SilentError):
        driver.start()
    assert it.chip.fus.secret.dead


def test_cpu2_that_is_stuck() -> None:
    it = behind(Fault(kind="stuck", at=1, on="write", address=0x58000C08))
    driver = Driver(it)
    driver.start()
    with pytest.raises(SilentError):
        driver.state()


@pytest.mark.parametrize("error", [0x06, 0x07, 0x0A])
def test_an_error_of_fus(error: int) -> None:
    it = behind(Fault(kind="fus-error", at=1, on="read", address=0x58000C0C, value=error))
    driver, image = Driver(it), stack.build()
    driver.start()
    driver.burn(place(image), image)
    driver.state()
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_UPGRADE)
    assert caught.value.error == error


def test_an_error_of_the_flash() -> None:
    it = behind(Fault(kind="flash-error", at=1, on="write"))
    driver = Driver(it)
    driver.unlock()
    driver.put(0x58004014, 2 | 1 << 16)
    driver.wait(SR, 1 << 16, 0)
    assert driver.word(SR) & 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset@12", Fault(kind="reset", at=12)),
        ("access-fails@write:3", Fault(kind="access-fails", at=3, on="write")),
        ("fus-error@read:1=0x06", Fault(kind="fus-error", at=1, on="read", value=6)),
        ("power-cut@any:7=250", Fault(kind="power-cut", at=7, value=250)),
    ],
)
def test_a_fault_can_be_written_as_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "KIND@"),
        ("reset", "KIND@"),
        ("reset@0", "counted from 1"),
        ("boom@1", "KIND one of"),
        ("reset@x:1", "places are"),
        ("reset@1=z", "KIND@"),
        ("reset@teatime", "places are"),
        ("reset@erase:50%", "have a percentage"),
        ("reset@program:101%", "at most 100"),
    ],
)
def test_a_text_that_is_not_a_fault(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_fault(text)


def test_a_dead_link_needs_no_answer() -> None:
    it = behind(Fault(kind="link-lost", at=1, on="write"))
    with pytest.raises(AccessError, match="link"):
        it.write(SRAM1, struct.pack("<I", 1), 4)


def whole_way(it: FaultyChip) -> None:
    """Start FUS, write a stack, install it: some thousand accesses."""
    driver, image = Driver(it), small_stack.build()
    driver.start()
    driver.burn(place(image), image)
    driver.run(FW_UPGRADE)


@pytest.mark.parametrize("kind", ["reset", "power-cut"])
def test_whenever_it_strikes_the_part_is_old_or_new_or_dead(kind: Kind) -> None:
    """fus-protocol 11, item 19: and it dies only while FUS writes."""
    counter = behind(Fault(kind="access-fails", at=1_000_000))
    whole_way(counter)
    total = counter.accesses
    ends = []
    for at in range(5, total, total // 25):
        it = behind(Fault(kind=kind, at=at, value=20))
        with suppress(LostError, SilentError, RefusedError, FlashError, AssertionError):
            whole_way(it)
        it.advance(30)
        it.reset(halt=True)
        it.advance(0.1)
        try:
            ends.append(Driver(it).start())
        except SilentError:
            assert it.chip.fus.secret.dead
            ends.append("dead")
    assert ends[0] == "fus"
    assert ends[-1] == "stack"
    assert {"fus", "dead", "stack"} == set(ends)
    assert ends == sorted(ends, key=["fus", "dead", "stack"].index)


def test_an_answer_is_lost_and_the_access_took_effect() -> None:
    it = behind(Fault(kind="answer-lost", at=1), Fault(kind="answer-lost", at=2))
    for access in (lambda: it.write(SRAM1, b"abcd", 4), lambda: it.read(SRAM1, 4, 4)):
        with pytest.raises(AccessError) as caught:
            access()
        assert caught.value.address == SRAM1
    assert it.read(SRAM1, 4, 4) == b"abcd"


def test_a_link_comes_back_by_itself_after_as_long_as_it_says() -> None:
    it = behind(Fault(kind="link-lost", at=1, value=500))
    for _ in range(2):
        with pytest.raises(AccessError):
            it.read(SRAM1, 4, 4)
    it.advance(0.4)
    assert not it.target_present
    it.advance(0.2)
    assert it.read(SRAM1, 4, 4) == bytes(range(4))
