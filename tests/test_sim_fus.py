"""FUS on the simulated chip: tables, events, mailbox, commands, delete and start."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from flasher.sim.behaviour import Behaviour
from flasher.sim.chip import SimulatedChip
from flasher.sim.secret import UserKey
from tests.support.sim_chips import idle, in_fus, installed, security, upgrade
from tests.support.sim_driver import (
    ATTACK,
    C1SCR,
    C1TOC2SR,
    C2TOC1SR,
    CR4,
    FUS_KEY,
    FW_DELETE,
    FW_UPGRADE,
    GET_STATE,
    HARD_FAULT,
    OPTR,
    PSDB,
    PSDB_FAR,
    PSDB_SMALL_POOL,
    SMALL,
    SRAM1,
    SRAM2A,
    SRAM2B,
    SRRVR,
    START_WS,
    STORE_KEY,
    Driver,
    Layout,
    LostError,
    SilentError,
)
from tests.support.sim_images import (
    FUS_0_5_3,
    FUS_1_1_0,
    FUS_1_2_0,
    V1_13,
    V1_15,
    chip,
    fus,
    place,
    stack,
)

FLASH = 0x08000000
V1_10 = 0x010A0000

# --- fus-protocol 3.5: the device information table, dump for dump


def test_the_table_of_fus_without_a_stack_is_the_dump() -> None:
    """fus-protocol 3.5, dump 1; 11, items 1 and 11: DeviceId 0x0496 though DBGMCU says 0x495."""
    it, _ = idle(fus_version=0x01010100, layout=replace(SMALL, info=0x24, system=0x60))
    dump = "A94656B9 00000001 01010000 01010100 00000006 00000000 00000000 00000000 00000000 00000000 00658473 0080E126"
    words = [int(word, 16) for word in f"{dump} 00000496".split()]
    assert it.read(SRAM2A + 0x24, 52, 4) == struct.pack("<13I", *words)


def test_an_empty_reference_table_gets_a_table_and_no_answer() -> None:
    """fus-protocol 3.5, dump 2; 11, items 10 - 12; 10, hazard 16: the flag of channel 2 stays set."""
    it, driver = in_fus()
    it.reset(halt=True)
    it.advance(0.01)
    it.write(SRAM2A, bytes(0x60), 4)
    driver.put(0x58000050, 1 << 20)
    driver.put(CR4, 1 << 15)
    it.advance(1)
    assert it.read(SRAM2A, 0x24, 4) == struct.pack("<I", SRAM2A + 0x24) + bytes(0x20)
    head = struct.pack("<7I", FUS_KEY, 1, 0x01010000, 0x01020000, 6, 0x010F0003, 0x26)
    assert it.read(SRAM2A + 0x24, 52, 4) == head + bytes(12) + it.read(0x1FFF7580, 8, 4) + struct.pack("<I", 0x496)
    assert driver.word(SRRVR) == 0x9E2BD000
    assert driver.word(C2TOC1SR) == 0
    driver.put(C1SCR, 1 << 17)
    it.advance(60)
    assert driver.word(C1TOC2SR) == 2


def test_the_table_of_a_stack_has_the_other_layout() -> None:
    """fus-protocol 3.6; 11, item 11; hardware-review, SRAM2: 0x16 and 0x11 of a footer of 10 and 15."""
    it, driver = installed()
    words = struct.unpack("<8I", it.read(driver.word(SRAM2A), 32, 4))
    assert words == (0x01010000, 0x01020000, 6, 0, 0x010F0003, 0x16110026, 1, 0)
    it, driver = installed(replace(stack, sram=(7, 3)))
    assert driver.info(0x18) == 0


# --- fus-protocol 11, item 10: boot and ready event


def test_fus_says_that_it_is_ready_and_leaves_the_tail() -> None:
    """fus-protocol 11, item 10; 4.4: the sentinel's prev is not maintained; the event is the spare buffer."""
    it = chip()
    it.advance(0.01)
    driver = Driver(it)
    driver.write_tables()
    driver.put(CR4, 1 << 15)
    it.advance(0.1)
    queue, spare = SRAM2A + SMALL.queue, SRAM2A + SMALL.spare
    assert (driver.word(queue), driver.word(queue + 4)) == (spare, queue)
    assert it.read(spare, 14, 1) == struct.pack("<II", queue, queue) + bytes.fromhex("12 ff 03 00 92 01")
    tidy = chip(tail_maintained=True)
    tidy.advance(0.01)
    driver = Driver(tidy)
    driver.write_tables()
    driver.put(CR4, 1 << 15)
    tidy.advance(0.1)
    assert driver.word(queue + 4) == spare


def test_without_a_memory_manager_table_no_event_comes() -> None:
    """fus-protocol 11, item 10; 3.4: FUS 0.5.3 on a WB50."""
    it = chip("STM32WB50CG", fus_version=FUS_0_5_3)
    it.advance(0.01)
    driver = Driver(it)
    driver.write_tables()
    driver.put(SRAM2A + 0x10, 0)
    driver.put(0x58000050, 1 << 20)
    driver.put(CR4, 1 << 15)
    it.advance(1)
    assert driver.word(C2TOC1SR) == 0
    assert driver.state() == (0, 0), "commands are answered all the same"


def test_fus_0_5_3_starts_two_sectors_higher() -> None:
    """fus-protocol 2.3: SFSA 0xF6."""
    _, driver = idle(fus_version=FUS_0_5_3)
    assert security(driver)[:2] == (0xF6, 0x3D800)


def test_buffers_given_back_in_fus_are_never_taken() -> None:
    """fus-protocol 11, item 13; a stack takes them (4.4)."""
    it, driver = idle()
    driver.put(C1SCR, 1 << 19)
    it.advance(60)
    assert driver.word(C1TOC2SR) == 8
    it, driver = installed()
    free, node = SRAM2A + SMALL.free, SRAM2A + SMALL.spare
    driver.put(free, node, node)
    driver.put(C1SCR, 1 << 19)
    it.advance(0.01)
    assert driver.word(C1TOC2SR) == 0
    assert driver.word(free) == free


@pytest.mark.parametrize(("shift", "value"), [(0, 0x400), (2, 0x100), (3, 0x80), (4, 0x40)])
def test_the_reference_table_may_lie_elsewhere(shift: int, value: int) -> None:
    """fus-protocol 2.4 [DISAGREE]: four scales of IPCCDBA."""
    it = chip(ipccdba_shift=shift)
    it.advance(0.01)
    driver = Driver(it)
    driver.write_options(value, 0x5800403C)
    it.write(SRAM2A, bytes(0x1000), 4)
    driver.put(CR4, 1 << 15)
    it.advance(0.1)
    assert driver.word(SRAM2A + 0x400) == SRAM2A + 0x424
    driver.write_options(0x3FFF, 0x5800403C)
    driver.put(0x58000050, 1 << 20)
    driver.put(CR4, 1 << 15)
    it.advance(0.1)
    assert driver.word(C2TOC1SR) == 0


# --- fus-protocol 11, item 11: buffers outside what is open


def mailbox_result(it: SimulatedChip, layout: Layout) -> int:
    """The word at the base of SRAM2A after CPU2 was started with this mailbox; 0 when it cannot even be written."""
    it.reset(halt=True)
    it.advance(0.01)
    driver = Driver(it, layout)
    driver.write_tables()
    driver.put(CR4, 1 << 15)
    it.advance(1)
    return driver.word(SRAM2A)


@pytest.mark.parametrize(
    ("sram", "layout", "good"),
    [
        ((10, 15), PSDB, True),
        ((4, 0), PSDB, False),  # Zigbee_FFD, Zigbee_RFD
        ((4, 0), PSDB_SMALL_POOL, True),
        ((2, 10), PSDB, False),  # BLE_Stack_full_extended
        ((2, 10), PSDB_SMALL_POOL, False),
        ((2, 10), PSDB_FAR, True),
        ((2, 10), SMALL, True),
        ((8, 0), SMALL, True),
    ],
)
def test_the_mailboxes_that_broke(sram: tuple[int, int], layout: Layout, good: bool) -> None:
    """fus-protocol 7.8; 11, item 11; 10, hazard 17: magic word and silence, and the recoveries that worked."""
    it, _ = installed(replace(stack, sram=sram))
    word = mailbox_result(it, layout)
    assert word == (SRAM2A + layout.info if good else ATTACK)
    driver = Driver(it, layout)
    if not good:
        driver.put(0x58000050, 1 << 20)
        assert driver.word(C2TOC1SR) == 0
        driver.put(C1SCR, 1 << 17)
        it.advance(60)
        assert driver.word(C1TOC2SR) == 2


def test_limits_of_the_stack_hold_while_fus_runs() -> None:
    """fus-protocol 4.6 [DISAGREE]."""
    for switch, word in (("installed-image", ATTACK), ("fus", SRAM2A + 0x100)):
        it, _ = in_fus(recipe=replace(stack, sram=(2, 10)), fus_limits=switch)
        assert mailbox_result(it, PSDB) == word


@pytest.mark.parametrize("kind", ["attack", "accepted"])
def test_buffers_in_sram1(kind: str) -> None:
    it = chip(sram1_buffers=kind)
    word = mailbox_result(it, replace(SMALL, pool=SRAM1 - SRAM2A))
    assert word == (ATTACK if kind == "attack" else SRAM2A + SMALL.info)


@pytest.mark.parametrize("pointer", ["info", "system", "queue", "memory", "free", "spare", "command"])
def test_unaligned_pointers_are_a_fault(pointer: str) -> None:
    """fus-protocol 3.8: CPU2 cannot access words that are not aligned; packets are bytes."""
    it = chip()
    it.reset(halt=True)
    it.advance(0.01)
    places = {
        "info": SRAM2A,
        "system": SRAM2A + 12,
        "queue": SRAM2A + SMALL.system + 4,
        "memory": SRAM2A + 16,
        "free": SRAM2A + SMALL.memory + 16,
        "spare": SRAM2A + SMALL.memory + 4,
        "command": SRAM2A + SMALL.system,
    }
    driver = Driver(it)
    driver.write_tables()
    driver.put(places[pointer], driver.word(places[pointer]) + 2)
    driver.put(CR4, 1 << 15)
    it.advance(1)
    good = pointer in ("info", "command")
    assert (driver.word(SRAM2A) == HARD_FAULT) is not good


@pytest.mark.parametrize("word", range(4))
def test_every_buffer_of_the_ble_table_is_checked(word: int) -> None:
    """fus-protocol 7.8: the ACL buffer was one of those that broke."""
    it = chip()
    it.reset(halt=True)
    it.advance(0.01)
    driver = Driver(it, PSDB)
    driver.write_tables()
    driver.put(SRAM2A + PSDB.ble + 4 * word, SRAM2B + 16 * 1024)
    driver.put(CR4, 1 << 15)
    it.advance(1)
    assert driver.word(SRAM2A) == ATTACK


def test_noise_for_tables_is_an_attack() -> None:
    it = chip()
    it.advance(0.01)
    driver = Driver(it)
    driver.put(CR4, 1 << 15)
    it.advance(0.1)
    assert driver.word(SRAM2A) == ATTACK


def test_a_stack_may_fault_right_after_a_good_install() -> None:
    """fus-protocol 11, item 24; 3.8: no ready event, PC, LR and SP behind the word."""
    it, driver = idle(stack_hard_faults=True)
    with pytest.raises(SilentError):
        upgrade(driver, stack.build())
    assert driver.word(SRAM2A) == HARD_FAULT
    assert all(struct.unpack("<3I", it.read(SRAM2A + 4, 12, 4)))
    assert security(driver)[1] * 4 + FLASH == place(stack.build())


# --- fus-protocol 11, item 12: commands


@pytest.mark.parametrize("num_hci", [0xFF, 0x01])
def test_an_answer_lies_where_the_command_was(num_hci: int) -> None:
    """fus-protocol 11, item 12; 4.3: `11 0E 05 FF 52 FC 00 00`, no list header, num_hci 0xFF or 0x01."""
    it, driver = idle(num_hci=num_hci)
    assert driver.command(GET_STATE) == b"\0\0"
    expected = bytes([0x11, 0x0E, 0x05, num_hci, 0x52, 0xFC, 0x00, 0x00])
    assert it.read(SRAM2A + SMALL.command, 8, 1) == expected
    assert driver.word(C1TOC2SR) == 0


def test_what_fus_does_not_serve() -> None:
    """fus-protocol 6.1; 10, hazard 14: stack commands while FUS runs are answered 0xFF."""
    _, driver = idle()
    assert driver.command(0xFC66) == b"\xff"
    assert driver.command(0xFC53) == b"\x01"


def test_fus_0_5_3_answers_swapped_bytes_in_its_own_way() -> None:
    """fus-protocol 4.3: `11 0E 04 FF FE 00 FE 00`."""
    it, driver = idle(fus_version=FUS_0_5_3)
    it.write(SRAM2A + SMALL.command + 8, bytes.fromhex("10 fc 52 00"), 1)
    driver.put(C1SCR, 1 << 17)
    it.advance(0.1)
    assert it.read(SRAM2A + SMALL.command, 7, 1) == bytes.fromhex("11 0e 04 ff fe 00 fe")


@pytest.mark.parametrize(("kind", "error"), [("ff", 0xFF), ("00", 0x00), ("fe", 0xFE), ("none", None)])
def test_the_first_contact_of_a_life(kind: str, error: int | None) -> None:
    """fus-protocol 6.4, hardware-review 7: FF with one of three error bytes once, then as usual."""
    it, driver = idle(first_contact=kind)
    assert driver.state() == ((0, 0) if error is None else (0xFF, error))
    it.reset(halt=True)
    it.advance(0.01)
    driver.start()
    assert driver.state() == (0, 0)


# --- fus-protocol 11, item 14: a stack


@pytest.mark.parametrize(("kind", "answer"), [("ff-fe", b"\xff\xfe"), ("ff", b"\xff"), ("fe", b"\xfe")])
def test_the_second_get_state_brings_fus(kind: str, answer: bytes) -> None:
    """fus-protocol 11, items 14 and 21; 6.4: one reset, and FUS stays selected over a power cycle."""
    it, driver = installed(stack_get_state=kind)
    epoch = it.epoch
    assert driver.command(GET_STATE) == answer
    assert driver.command(FW_DELETE) == b"\xff", "10, hazard 15"
    assert driver.command(0xFC66) == b"\0"
    with pytest.raises((LostError, SilentError)):
        driver.command(GET_STATE, seconds=0.5)
    assert it.epoch == epoch + 1
    assert driver.restart() == "fus"
    assert driver.info(0) == FUS_KEY
    assert driver.info(0x14) == V1_15
    assert security(driver) == (0xCE, 0x3D000, 10, 15), "hardware: SFSA stays at the stack's page"
    it.power_cycle()
    assert driver.restart() == "fus"


def test_a_stack_serves_user_keys() -> None:
    _, driver = installed()
    assert driver.command(STORE_KEY, bytes([1, 16]) + bytes(16)) == b"\0\0"


def test_a_user_key_beyond_the_last_index_is_refused() -> None:
    it, driver = installed()
    it.fus.secret.user_keys = [UserKey(1, bytes(16)) for _ in range(255)]
    assert driver.command(STORE_KEY, bytes([1, 16]) + bytes(16)) == b"\0\xff"
    assert driver.command(STORE_KEY, bytes([1, 16]) + bytes(16)) == b"\1"


# --- fus-protocol 11, item 16: delete


@pytest.mark.parametrize("resets", [True, False])
def test_delete(resets: bool) -> None:
    """fus-protocol 11, item 16: version 0, SFSA back at FUS; a reset or none."""
    it, driver = in_fus(delete_resets=resets)
    epoch, before = it.epoch, it.clock
    assert driver.run(FW_DELETE) == f"fus after {int(resets)}"
    assert it.epoch - epoch == int(resets)
    assert 1 <= it.clock - before <= 7
    it.reset(halt=True)
    it.advance(0.01)
    driver.start()
    assert driver.info(0x14) == 0
    assert security(driver)[:2] == (0xF4, 0x3D000)
    assert it.read(place(stack.build()), 4096, 4) == b"\xff" * 4096


@pytest.mark.parametrize(
    ("lifetime", "kind", "first", "second"),
    [
        ("once", "as-seen", (0x30, 1), (0, 0)),
        ("until-next-command", "as-seen", (0x30, 1), (0x30, 1)),
        ("once", "error", (0xFF, 1), (0, 0)),
        ("once", "ongoing", (0x30, 1), (0, 0)),
    ],
)
def test_delete_with_nothing_there(lifetime: str, kind: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    """fus-protocol 11, item 16; 6.3: SERVICE_ONGOING/IMG_NOT_FOUND, then IDLE (CubeProgrammer)."""
    _, driver = idle(error_lifetime=lifetime, error_state=kind)
    assert driver.command(FW_DELETE) == b"\0"
    assert driver.state() == first
    assert driver.state() == second


def test_an_error_that_stays_ends_with_the_next_command() -> None:
    """fus-protocol 6.3: until a new operation starts."""
    it, driver = idle(error_lifetime="until-next-command")
    driver.command(FW_DELETE)
    assert driver.state() == driver.state() == (0x30, 1)
    image = stack.build()
    driver.burn(place(image), image)
    assert driver.state() == (0x30, 1)
    driver.command(FW_UPGRADE)
    assert it.fus.state.error == 0


# --- fus-protocol 11, item 18: start


def test_start_ws() -> None:
    """fus-protocol 11, item 18: a reset, and the stack runs from then on; without one IMG_NOT_FOUND."""
    it, driver = in_fus()
    epoch = it.epoch
    assert driver.run(START_WS) == "stack after 1"
    assert it.epoch == epoch + 1
    it.power_cycle()
    assert driver.restart() == "stack"
    it, driver = idle()
    assert driver.command(START_WS) == b"\1"
    assert driver.state() == (0x30, 1)


# --- the whole of psdb's way


def test_the_whole_way_of_psdb() -> None:
    """fus-protocol 7.1: loop in SRAM1, 0xCC in SRAM2A, enter FUS, delete, new FUS, new stack, boot bytes restored."""
    it = chip(fus_version=FUS_1_1_0)
    assert it.fus.install_at_factory(replace(stack, version=V1_13).build()) == 0
    it.power_cycle()
    it.reset(halt=True)
    it.advance(0.01)
    driver = Driver(it, PSDB)
    driver.put(0xE0042004, 7)
    before = driver.word(OPTR)
    driver.boot_from_ram()
    it.write(SRAM2A, bytes([0xCC]) * 10 * 1024, 4)
    assert driver.start() == "stack"
    driver.enter_fus()
    assert driver.run(FW_DELETE) == "fus after 1"
    assert driver.info(0x14) == 0
    assert upgrade(driver, fus.build(), 0x080EC000) == "fus after 4"
    assert driver.info(0x0C) & 0xFFFFFF00 == FUS_1_2_0
    driver.unlock()
    for page in range(0x080EC000, 0x080F4000, 4096):
        driver.erase(page)
    assert upgrade(driver, stack.build()) == "stack after 1"
    assert (driver.info(4), driver.info(16), driver.info(24) & 0xFF) == (FUS_1_2_0, V1_15, 1)
    driver.write_options(before)
    assert driver.word(OPTR) == before
    assert driver.start() == "stack"


def test_before_cpu2_starts_the_table_is_missing() -> None:
    """fus-protocol 10, hazard 26: 0x20030030 is no version then; the key tells."""
    it = chip()
    it.advance(1)
    words = struct.unpack("<2I", it.read(SRAM2A + 0x24, 4, 4) + it.read(SRAM2A + 0x30, 4, 4))
    assert words[0] != FUS_KEY
    assert words[1] != FUS_1_2_0


def test_every_switch_has_tests_for_all_its_settings() -> None:
    """Where sources disagree or are silent, both kinds of chip exist here, and both are tried."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_sim_*.py"))
    for name, kind in get_type_hints(Behaviour).items():
        if kind is float:
            continue  # a duration
        assert f"{name}=" in text, name
        for value in get_args(kind):
            form = f"({value}, "
            if isinstance(value, str):
                form = json.dumps(value)
            elif value == 1:
                form = "0x01"
            assert value == getattr(Behaviour(), name) or form in text, (name, value)
