"""FUS on the simulated chip: each item of the dossier's checklist (fus-protocol 11), its failures, every switch."""

import struct
from dataclasses import replace
from typing import Any

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError
from tests.support.sim_driver import (
    ANTI_ROLLBACK,
    ATTACK,
    C1SCR,
    C1TOC2SR,
    C2TOC1SR,
    CR,
    CR4,
    FUS_KEY,
    FW_DELETE,
    FW_UPGRADE,
    GET_STATE,
    HARD_FAULT,
    LOAD_KEY,
    LOCK_KEY,
    LOCK_USER_KEY,
    OPTR,
    PSDB,
    PSDB_FAR,
    PSDB_SMALL_POOL,
    SFR,
    SMALL,
    SRAM1,
    SRAM2A,
    SRRVR,
    START_WS,
    STORE_KEY,
    UPDATE_KEY,
    Driver,
    Layout,
    LostError,
    RefusedError,
    SilentError,
)
from tests.support.sim_images import (
    FUS_0_5_3,
    FUS_1_0_1,
    FUS_1_1_0,
    FUS_1_2_0,
    FUS_2_0,
    FUS_2_1,
    SAFEBOOT,
    V1_13,
    V1_15,
    Recipe,
    chip,
    fus,
    key,
    new_stack,
    place,
    signed_by_customer,
    small_stack,
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
    """SFSA, SBRV, KiB of SRAM2A and SRAM2B open to CPU1 (fus-protocol 2.2)."""
    srrvr = driver.word(SRRVR)
    return driver.word(SFR) & 0xFF, srrvr & 0x3FFFF, srrvr >> 18 & 31, srrvr >> 25 & 31


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
    """fus-protocol 3.6; 11, item 11."""
    it, driver = installed()
    words = struct.unpack("<8I", it.read(driver.word(SRAM2A), 32, 4))
    assert words == (0x01010000, 0x01020000, 6, 0, 0x010F0003, 0x0A0F0026, 1, 0)
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


def test_without_a_memory_manager_table_there_is_no_event() -> None:
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


@pytest.mark.parametrize("kind", ["idle", "unknown-error"])
def test_the_first_contact_of_a_life(kind: str) -> None:
    """fus-protocol 6.4: FF/UNKNOWN once, then as usual."""
    it, driver = idle(first_contact=kind)
    assert driver.state() == ((0, 0) if kind == "idle" else (0xFF, 0xFF))
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


# --- fus-protocol 11, item 17: upgrade


@pytest.mark.parametrize("address", [(), (0x080CE000,), (0x080CE000, 0)])
def test_a_stack_is_installed_as_psdb_does_it(address: tuple[int, ...]) -> None:
    """fus-protocol 11, item 17; 7.1: with or without addresses in the command, which FUS ignores."""
    it, driver = idle()
    driver.boot_from_ram()
    driver.start()
    epoch = it.epoch
    image = stack.build()
    driver.burn(place(image), image)
    assert driver.run(FW_UPGRADE, struct.pack(f"<{len(address)}I", *address)) == "stack after 1"
    assert it.epoch == epoch + 1
    assert security(driver) == (0xCE, (place(image) - FLASH) // 4, 10, 15)
    assert driver.info(0x10) == V1_15
    assert it.cpu1.state.runs == "loop"


def test_the_way_of_micropython() -> None:
    """fus-protocol 7.2: padding, erase from 0x080C0000, poll with 6 s, START_WS until the key is gone."""
    it, driver = in_fus(recipe=small_stack)
    assert driver.run(FW_DELETE) == "fus after 1"
    image = stack.build()
    driver.unlock()
    for page in range(0x080C0000, FLASH + security(driver)[0] * 4096, 4096):
        driver.erase(page)
    driver.program(place(image), image + bytes(-len(image) % 8))
    assert driver.command(FW_UPGRADE, struct.pack("<I", place(image)))[0] == 0
    before = it.clock
    it.advance(0.4)
    assert driver.state() == (0x11, 0)
    assert 3 < it.clock - before < 6, "a full stack took 3.6 s to its first answer"
    while it.cpu2.state.running:
        it.advance(0.1)
    assert driver.restart() == "stack"


def test_the_way_of_an_over_the_air_update() -> None:
    """fus-protocol 7.4, 8.6: padded with 0xFF, somewhere below SFSA."""
    _, driver = idle()
    image = stack.build()
    driver.burn(0x08007000, image, pad=b"\xff")
    assert driver.run(FW_UPGRADE) == "stack after 1"
    assert security(driver)[0] == 7


def test_states_on_the_way() -> None:
    """fus-protocol 11, item 15: 0x1x; FF without a byte, FF/FE, then ongoing again."""
    it, driver = idle()
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    assert driver.command(FW_UPGRADE)[0] == 1, "one at a time"
    seen = []
    while it.cpu2.state.running:
        try:
            seen.append(driver.command(GET_STATE, seconds=10).hex())
        except (LostError, SilentError):
            break
        it.advance(0.1)
    assert seen[0] == "1100"
    finish = seen[seen.index("ff") :]
    assert finish[:3] == ["ff", "fffe", "1200"]


def test_no_transient_errors_where_the_switch_is_off() -> None:
    it, driver = idle(transient_errors=False)
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    while it.cpu2.state.running:
        try:
            assert driver.command(GET_STATE)[0] < 0x20
        except (LostError, SilentError):
            break
        it.advance(0.05)


def test_a_stack_install_may_take_several_resets() -> None:
    """fus-protocol 7.9: 'multiple' says psdb."""
    _, driver = idle(stack_resets=3)
    assert upgrade(driver, stack.build()) == "stack after 3"


@pytest.mark.parametrize(
    ("what", "error"),
    [("none", 0x01), ("flipped", 0x03), ("key", 0x03), ("tag", 0x08), ("footer", 0x02), ("unaligned", 0x03)],
)
def test_what_fus_says_of_a_bad_image(what: str, error: int) -> None:
    """fus-protocol 11, item 17; 6.3."""
    it, driver = idle()
    image = bytearray(stack.build())
    address = place(bytes(image))
    if what == "flipped":
        image[1000] ^= 1
    elif what == "key":
        image = bytearray(replace(stack, number=5).build())
    elif what == "tag":
        image[-20:] = b"\xff" * 20
    elif what == "footer":
        image[-88:-84] = b"\0" * 4
    elif what == "unaligned":
        address -= 8
    if what != "none":
        driver.burn(address // 4096 * 4096, b"\xff" * (address % 4096) + bytes(image))
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_UPGRADE)
    assert (caught.value.state, caught.value.error) == (0xFF, error)
    assert it.fus.secret.stack is None
    assert driver.state() == (0, 0)


@pytest.mark.parametrize("kind", ["not-authentic", "ignored"])
@pytest.mark.parametrize("search", ["first", "last"])
def test_a_stale_copy_is_found(kind: str, search: str) -> None:
    """fus-protocol 11, item 17; 9.5; 10, hazard 19: an old image that was not erased."""
    _, driver = idle(second_image=kind, search=search)
    driver.burn(0x08040000, small_stack.build())
    if kind == "not-authentic":
        assert refusal(driver, stack.build()) == (0xFF, 3)
        return
    assert upgrade(driver, stack.build()) == "stack after 1"
    assert driver.info(0x10) == (V1_13 if search == "first" else V1_15)
    assert security(driver)[0] == (0x40 if search == "first" else 0xCE)


def test_no_room() -> None:
    """fus-protocol 11, item 17; 9.1; 10, hazard 11: an image for FUS 2 at its address for FUS 1."""
    image = new_stack.build()
    for address, error in ((place(image), 4), (place(image, gap=4) + 4096, 4)):
        it, driver = idle(fus_version=FUS_2_1)
        assert refusal(driver, image, address) == (0, error)
        assert it.read(address, 64, 4) == image[:64], "the image stays in place"
    _, driver = idle(fus_version=FUS_2_1)
    assert upgrade(driver, image) == "stack after 1"
    assert security(driver)[0] == 0xCA


def test_one_sector_too_high_cannot_even_be_written() -> None:
    """fus-protocol 9.4: one page higher does not fit."""
    _, driver = idle()
    image = stack.build()
    with pytest.raises(Exception, match="0x10"):  # WRPERR
        driver.burn(place(image) + 4096, image)


def test_on_a_small_part_the_nominal_end_is_the_limit() -> None:
    """fus-protocol 11, item 20; 9.2: SFSA 0xF4 says nothing there; 0x08057000 worked for 41 sectors."""
    it = chip("STM32WB55CE")
    it.advance(0.01)
    driver = Driver(it)
    driver.start()
    image = replace(stack, size=41 * 4096).build()
    driver.burn(0x08057000, image)
    assert driver.run(FW_UPGRADE) == "stack after 1"
    assert security(driver)[:2] == (0x57, 0x15C00)
    driver.enter_fus()
    assert driver.run(FW_DELETE) == "fus after 1"
    assert driver.word(SFR) & 0xFF == 0xF4


@pytest.mark.parametrize("kind", ["in-place", "moved-up"])
def test_a_stack_below_its_address(kind: str) -> None:
    """fus-protocol 9.4 [DISAGREE]."""
    _, driver = idle(lower_address=kind)
    image = stack.build()
    assert upgrade(driver, image, 0x080A0000) == "stack after 1"
    assert security(driver)[0] == (0xA0 if kind == "in-place" else 0xCE)


@pytest.mark.parametrize("kind", ["moved-up", "in-place"])
def test_a_stack_over_a_stack(kind: str) -> None:
    """fus-protocol 9.3, 9.4: below the old one; the secure area fits afterwards, or it stays where it was put."""
    it, driver = in_fus(update_placement=kind)
    image = small_stack.build()
    assert upgrade(driver, image, place(stack.build()) - 7 * 4096) == "stack after 1"
    assert driver.info(0x10) == V1_13
    assert security(driver)[0] == (0xED if kind == "moved-up" else 0xC7)
    assert it.fus.secret.stack is not None


@pytest.mark.parametrize("kind", ["one-sector", "difference"])
def test_a_larger_stack_over_a_smaller_needs_more_room(kind: str) -> None:
    """fus-protocol 9.3: 2 x new - old in AN5185, one sector as ST tested; else NOT_ENOUGH_SPACE."""
    spare = 1 if kind == "one-sector" else 38 - 7
    image, old = stack.build(), place(small_stack.build())
    _, driver = in_fus(recipe=small_stack, larger_update=kind)
    address = old - (38 + spare) * 4096
    assert refusal(driver, image, address + 4096) == (0, 4)
    driver.unlock()
    for page in range(address, old, 4096):
        driver.erase(page)
    assert upgrade(driver, image, address) == "stack after 1"


@pytest.mark.parametrize("kind", ["rollback", "installs"])
def test_the_same_version_again(kind: str) -> None:
    """fus-protocol 11, item 17; 6.3: (1x, 11) as MicroPython saw it."""
    _, driver = in_fus(same_version=kind)
    address = place(stack.build()) - 38 * 4096
    if kind == "rollback":
        assert refusal(driver, stack.build(), address) == (0x10, 0x11)
    else:
        assert upgrade(driver, stack.build(), address) == "stack after 1"


def test_an_older_stack_is_welcome_without_anti_rollback() -> None:
    """fus-protocol 8.3: 1.13 and 1.10 in both directions."""
    _, driver = in_fus(recipe=replace(small_stack, version=V1_15))
    driver.run(FW_DELETE)
    assert upgrade(driver, replace(small_stack, version=V1_10).build()) == "stack after 1"


@pytest.mark.parametrize("code", [0x02, 0x03])
def test_an_image_for_fus_2_on_fus_1(code: int) -> None:
    """fus-protocol 11, item 17; 8.2: refused, the code is unknown."""
    _, driver = idle(fus2_image_error=code)
    assert refusal(driver, new_stack.build()) == (0xFF, code)


@pytest.mark.parametrize("kind", ["erase-error", "waits"])
def test_flash_that_is_not_at_rest(kind: str) -> None:
    """fus-protocol 2.7, 10 hazard 12: unknown; a half-written line leaves CFGBSY."""
    it, driver = idle(busy_flash=kind)
    image = stack.build()
    driver.burn(place(image), image)
    driver.put(CR, 1)
    it.write(FLASH, bytes(4), 4)
    if kind == "erase-error":
        with pytest.raises(RefusedError) as caught:
            driver.run(FW_UPGRADE)
        assert caught.value.error == 6
    else:
        assert driver.run(FW_UPGRADE) == "stack after 1"


@pytest.mark.parametrize("kind", ["installs", "not-authentic"])
def test_a_footer_that_counts_one_sector_too_few(kind: str) -> None:
    """image-format 1: Thread_FTD of v1.6.0 says 85 and has 86."""
    _, driver = idle(short_sector_count=kind)
    image = replace(stack, size=38 * 4096, sectors=37).build()
    if kind == "installs":
        assert upgrade(driver, image) == "stack after 1"
        assert security(driver)[0] == 0xCE
    else:
        assert refusal(driver, image) == (0xFF, 3)


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


# --- fus-protocol 11, items 17 and 23: FUS itself


@pytest.mark.parametrize("resets", [3, 4])
def test_a_fus_update(resets: int) -> None:
    """fus-protocol 11, item 17; 7.9: at least four resets, and FUS is idle at the end; keys are gone."""
    it, driver = idle(fus_version=FUS_1_1_0, fus_resets=resets)
    assert driver.command(STORE_KEY, bytes([1, 16]) + bytes(16)) == b"\0\0"
    epoch, image = it.epoch, fus.build()
    assert upgrade(driver, image, 0x080EC000) == f"fus after {resets}"
    assert it.epoch - epoch == resets
    assert driver.info(0x0C) == FUS_1_2_0
    assert security(driver)[:2] == (0xF4, 0x3D000)
    assert driver.command(LOAD_KEY, b"\0") == b"\x92"
    assert it.read(0x080EC000, 64, 4) == image[:64]


def test_a_fus_update_may_clean_up() -> None:
    it, driver = idle(fus_version=FUS_1_1_0, fus_update_erases=True)
    upgrade(driver, fus.build(), 0x080EC000)
    assert it.read(0x080EC000, 6 * 4096, 4) == b"\xff" * 6 * 4096


def test_states_of_a_fus_update() -> None:
    """fus-protocol 6.2, 6.3: 0x2x."""
    it, driver = idle(fus_version=FUS_1_1_0)
    driver.burn(0x080EC000, fus.build())
    driver.command(FW_UPGRADE)
    it.advance(0.5)
    assert driver.state() == (0x21, 0)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (FUS_1_1_0, FUS_1_2_0, 0),
        (FUS_1_2_0, FUS_2_0, 0),
        (FUS_2_0, FUS_2_1, 0),
        (FUS_1_1_0, FUS_2_0, 3),
        (FUS_0_5_3, FUS_1_2_0, 3),
        (FUS_1_0_1, 0x01000200, 3),
        (FUS_1_0_1, FUS_1_1_0, 0),
        (FUS_1_2_0, FUS_1_1_0, 0x11),
        (FUS_2_1, FUS_1_2_0, 0x11),
        (FUS_1_2_0, FUS_1_2_0, 0x11),
    ],
)
def test_the_path_of_fus(old: int, new: int, error: int) -> None:
    """fus-protocol 11, item 23; 8.1: stage by stage, never back, never the same."""
    _, driver = idle(fus_version=old)
    image = replace(fus, version=0xFFFFFFFF if new == FUS_1_2_0 else new).build()
    address = 0x080EC000 if new < FUS_2_0 else 0x080EE000
    if error:
        assert refusal(driver, image, address)[1] == error
    else:
        assert upgrade(driver, image, address) == "fus after 4"
        assert driver.info(0x0C) == new


def test_the_code_for_a_wrong_path_is_a_switch_and_the_same_version_too() -> None:
    _, driver = idle(fus_version=FUS_1_1_0, fus_path_error=0x02)
    assert refusal(driver, replace(fus, version=FUS_2_0).build(), 0x080EE000)[1] == 2
    _, driver = idle(same_version="installs")
    assert upgrade(driver, fus.build(), 0x080EC000) == "fus after 4"


@pytest.mark.parametrize("needed", [True, False])
def test_fus_1_leaves_two_sectors_on_the_largest_part(needed: bool) -> None:
    """fus-protocol 9.1, 9.5: 0x080EC000, not 0x080EE000."""
    _, driver = idle(fus_version=FUS_1_1_0, fus1_needs_spare=needed)
    if needed:
        assert refusal(driver, fus.build(), 0x080EE000) == (0, 4)
    else:
        assert upgrade(driver, fus.build(), 0x080EE000) == "fus after 4"


def test_images_of_an_unknown_key_are_believed_when_they_are_named() -> None:
    """image-format 2: the FUS images for FUS 0.5.3 and 1.0.x; later FUS does not know their scheme."""
    import hashlib

    image = replace(fus, number=77).build()
    accepted = (hashlib.sha256(image).hexdigest(),)
    for version, good in ((FUS_0_5_3, True), (FUS_1_0_1, True), (FUS_1_1_0, False)):
        made = chip(fus_version=version)
        made.fus.accepted = accepted
        made.advance(0.01)
        driver = Driver(made)
        driver.start()
        if good:
            assert upgrade(driver, image, 0x080EC000) == "fus after 4"
            assert security(driver)[:2] == (0xF4, 0x3D000)
        else:
            assert refusal(driver, image, 0x080EC000) == (0xFF, 3)


@pytest.mark.parametrize("kind", ["dead", "refused"])
def test_fus_over_a_stack(kind: str) -> None:
    """fus-protocol 8.1: the stack must be deleted first."""
    it, driver = in_fus(fus_version=FUS_1_1_0, fus_over_stack=kind)
    address = place(stack.build()) - 8 * 4096
    if kind == "refused":
        assert refusal(driver, fus.build(), address)[1] == 4
        return
    with pytest.raises(SilentError):
        upgrade(driver, fus.build(), address)
    assert "over an installed stack" in it.fus.secret.dead
    assert driver.word(SRRVR) & 0x3FFFF == 0x3FFFF
    it.power_cycle()
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()


# --- Safeboot images


@pytest.mark.parametrize(
    ("recipe", "version", "good"),
    [
        (Recipe(magic=SAFEBOOT, version=0x02000100, size=4244), FUS_2_1, True),
        (Recipe(magic=SAFEBOOT, version=0x02000100, size=4244), FUS_1_2_0, False),
        (Recipe(info1=0x5AFEB007, version=0x02000000, size=7316), FUS_1_1_0, True),
        (Recipe(info1=0x5AFEB007, version=0x02000000, size=7316), FUS_1_2_0, False),
    ],
)
def test_safeboot_is_a_factory_reset(recipe: Recipe, version: int, good: bool) -> None:
    """fus-protocol 8.4: for certain FUS only; user code and stack are gone; an error once, then none."""
    it, driver = idle(fus_version=version)
    driver.burn(FLASH, b"application code".ljust(64))
    if not good:
        assert refusal(driver, recipe.build()) == (0xFF, 3)
        return
    with pytest.raises(RefusedError) as caught:
        upgrade(driver, recipe.build())
    assert (caught.value.state, caught.value.error) == (0xFF, 0xFF)
    assert driver.state() == (0, 0)
    assert it.read(FLASH, 64, 4) == b"\xff" * 64
    assert driver.info(0x08) == recipe.version


# --- fus-protocol 11, item 22: anti-rollback


@pytest.mark.parametrize(("version", "error"), [(V1_13, 0x11), (V1_15, 0), (0x01100000, 0)])
def test_anti_rollback(version: int, error: int) -> None:
    """fus-protocol 11, item 22; 8.3: irreversible; afterwards older stacks are refused."""
    _, driver = in_fus()
    assert driver.command(ANTI_ROLLBACK) == b"\0"
    driver.run(FW_DELETE)
    image = replace(stack, version=version).build()
    if error:
        assert refusal(driver, image) == (0x10, error)
    else:
        assert upgrade(driver, image) == "stack after 1"


def test_the_trap_of_anti_rollback() -> None:
    """fus-protocol 11, item 22; 8.3: without a stack, or with FUS before 1.2.0, nothing can be installed ever again."""
    _, driver = idle()
    driver.command(ANTI_ROLLBACK)
    assert refusal(driver, stack.build()) == (0x10, 0x11)
    _, driver = in_fus(fus_version=FUS_1_1_0)
    driver.command(ANTI_ROLLBACK)
    driver.command(ANTI_ROLLBACK)
    driver.run(FW_DELETE)
    assert refusal(driver, stack.build()) == (0x10, 0x11)


# --- keys


def customer_point() -> bytes:
    numbers = key(99).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (signed_by_customer(small_stack.build()), 0),
        (signed_by_customer(small_stack.build(), 98), 3),
        (small_stack.build(), 9),
    ],
)
def test_a_customer_key(image: bytes, error: int) -> None:
    """fus-protocol 6.3: AUTH_TAG_CUST_NOTFOUND when a customer key is installed."""
    _, driver = idle()
    assert driver.command(UPDATE_KEY, bytes([64]) + customer_point()) == b"\0"
    address = place(small_stack.build()) - 4096
    if error:
        assert refusal(driver, image, address) == (0xFF, error)
    else:
        assert upgrade(driver, image, address) == "stack after 1"


def test_a_customer_key_that_is_locked_stays() -> None:
    """fus-protocol 6.1, 6.3: LOCK_AUTH_KEY is irreversible; AUTH_KEY_LOCKED."""
    _, driver = idle()
    assert driver.command(UPDATE_KEY, bytes([65]) + bytes(65)) == b"\x92"
    assert driver.command(UPDATE_KEY, bytes([64]) + bytes(64)) == b"\0"
    assert refusal(driver, signed_by_customer(small_stack.build())) == (0xFF, 3), "a key that is no point"
    assert driver.command(LOCK_KEY) == b"\0"
    assert driver.command(UPDATE_KEY, bytes([64]) + customer_point()) == b"\1"
    assert driver.state()[1] == 0x0A


@pytest.mark.parametrize("kind", ["until-reset", "for-ever"])
def test_user_keys(kind: str) -> None:
    """fus-protocol 6.1, 8.5 [DISAGREE] on what locking means."""
    it, driver = idle(user_key_lock=kind)
    assert driver.command(STORE_KEY, bytes([1, 17]) + bytes(17)) == b"\x92"
    assert driver.command(STORE_KEY, b"") == b"\x92"
    assert driver.command(STORE_KEY, bytes([1, 16]) + bytes(16)) == b"\0\0"
    assert driver.command(STORE_KEY, bytes([3, 32]) + bytes(44)) == b"\0\1"
    assert driver.command(LOAD_KEY, b"\1") == b"\0"
    assert driver.command(0xFC5E, b"\1") == b"\0"
    assert driver.command(LOAD_KEY, b"\2") == b"\x92"
    assert driver.command(LOCK_USER_KEY, b"\1") == b"\0"
    assert driver.command(LOAD_KEY, b"\1") == b"\1"
    it.reset(halt=True)
    it.advance(0.01)
    driver.start()
    assert driver.command(LOAD_KEY, b"\1") == (b"\0" if kind == "until-reset" else b"\1")


# --- fus-protocol 11, item 19, and section 10: what must never happen


def interrupt(it: SimulatedChip, how: str) -> None:
    if how == "pin":
        it.reset(halt=True)
    elif how == "power":
        it.power_cycle()
    else:
        it.write(0xE000ED0C, struct.pack("<I", 0x05FA0004), 4)
    it.advance(0.1)


@pytest.mark.parametrize("how", ["pin", "power", "software"])
@pytest.mark.parametrize("kind", ["dead", "abort"])
def test_an_upgrade_that_is_interrupted(how: str, kind: str) -> None:
    """fus-protocol 11, item 19; 10, hazard 1: SFSA 0xF4, SBRV 0x17000, nothing ever answers again."""
    it, driver = idle(interrupted_write=kind)
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    it.advance(1)
    interrupt(it, how)
    if kind == "abort":
        assert driver.start() == "fus"
        assert driver.state() == (0xFF, 5)
        assert driver.state() == (0, 0)
        return
    assert security(driver)[:2] == (0xF4, 0x17000)
    with pytest.raises(SilentError):
        driver.start()
    it.power_cycle()
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()
    assert "interrupted" in it.fus.secret.dead


def test_an_upgrade_over_a_stack_that_is_interrupted() -> None:
    """fus-protocol 10, hazard 5: SFSA at the staged image, the vector at the new place."""
    it, driver = in_fus()
    driver.burn(0x080C7000, small_stack.build())
    driver.command(FW_UPGRADE)
    it.advance(0.5)
    it.power_cycle()
    it.advance(0.01)
    assert security(driver)[:2] == (0xC7, 0xED000 // 4)
    with pytest.raises(SilentError):
        driver.start()


def test_a_delete_that_is_interrupted() -> None:
    it, driver = in_fus()
    driver.command(FW_DELETE)
    it.advance(0.5)
    it.reset(halt=True)
    it.advance(0.01)
    with pytest.raises(SilentError):
        driver.start()


def test_before_anything_is_written_an_interruption_is_an_abort() -> None:
    """fus-protocol 6.3, USRABORT; 7.4: a reset before FW_UPGRADE is harmless."""
    it, driver = idle()
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    it.advance(0.1)
    it.reset(halt=True)
    it.advance(0.01)
    assert driver.start() == "fus"
    assert driver.state() == (0xFF, 5)
    assert driver.run(FW_UPGRADE) == "stack after 1"


def test_between_its_own_resets_the_chip_may_be_reset() -> None:
    """CPU2 is held then: nothing runs that could be interrupted."""
    it, driver = idle(fus_version=FUS_1_1_0)
    driver.burn(0x080EC000, fus.build())
    driver.command(FW_UPGRADE)
    epoch = it.epoch
    while it.epoch == epoch:
        it.advance(0.1)
    it.reset(halt=True)
    it.power_cycle()
    it.advance(0.01)
    for _ in range(3):
        assert driver.start() == "fus"
        it.advance(1)
    assert driver.start() == "fus"
    assert driver.info(0x0C) == FUS_1_2_0


def test_start_ws_that_is_interrupted_can_be_given_again() -> None:
    it, driver = in_fus()
    driver.command(START_WS)
    it.reset(halt=True)
    it.advance(0.01)
    assert driver.start() == "fus"
    assert driver.run(START_WS) == "stack after 1"


@pytest.mark.parametrize(
    ("version", "works", "recovered"), [(FUS_1_2_0, True, True), (FUS_1_2_0, False, False), (FUS_1_0_1, True, False)]
)
def test_option_bytes_that_are_damaged(version: int, works: bool, recovered: bool) -> None:
    """fus-protocol 8.4; 10, hazards 3 and 4: Safeboot's factory reset with FUS 1.1.0 or newer, else nothing."""
    it = chip(fus_version=version, safeboot_recovers=works)
    assert it.fus.install_at_factory(stack.build()) == 0
    it.power_cycle()
    it.advance(0.01)
    driver = Driver(it)
    driver.burn(FLASH, bytes(64))
    driver.unlock()
    driver.put(0x5800400C, 0x08192A3B)
    driver.put(0x5800400C, 0x4C5D6E7F)
    driver.put(OPTR, driver.word(OPTR))
    driver.put(CR, 1 << 17)
    it.power_cycle()
    it.advance(0.01)
    assert driver.word(0x58004010) & (1 << 15 | 1 << 13) == 1 << 15 | 1 << 13
    assert (driver.word(SFR) & 0xFF, driver.word(SRRVR) & 0x3FFFF) == (0, 0x3FFFF)
    with pytest.raises(AccessError):
        it.read(FLASH, 4, 4)
    driver.put(CR4, 0x8000)
    it.advance(2)
    if not recovered:
        assert driver.word(SFR) & 0xFF == 0
        return
    assert security(driver)[:2] == (0xF4, 0x3D000)
    assert it.read(FLASH, 64, 4) == b"\xff" * 64
    assert driver.start() == "fus"
    assert driver.info(0x14) == 0


@pytest.mark.parametrize("kind", ["fus-lost", "ignored"])
def test_ese_that_is_cleared(kind: str) -> None:
    """fus-protocol 8.5; 10, hazard 23."""
    it, driver = idle(ese_clear=kind)
    driver.write_options(driver.word(OPTR) & ~(1 << 8))
    if kind == "ignored":
        assert driver.start() == "fus"
        return
    with pytest.raises(SilentError):
        driver.start()
    driver.write_options(driver.word(OPTR) | 1 << 8)
    with pytest.raises(SilentError):
        driver.start()
    assert "ESE" in it.fus.secret.dead


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("what", ["stack", "delete", "fus-1.0.1", "fus-1.2.0"])
def test_small_parts_with_an_early_fus(locks: bool, what: str) -> None:
    """fus-protocol 8.1; 10, hazard 21: FUS 1.0.2 or newer before anything else, or it may lock for ever."""
    it = chip("STM32WB55CE", fus_version=FUS_1_0_1 - 0x100, small_part_lock=locks)
    it.advance(0.01)
    driver = Driver(it)
    driver.start()
    versions = {"fus-1.0.1": FUS_1_0_1, "fus-1.2.0": 0xFFFFFFFF}
    image = stack.build() if what == "stack" else replace(fus, version=versions.get(what, 0)).build()
    if what != "delete":
        driver.burn(place(image, 0x08080000), image)
    command = FW_DELETE if what == "delete" else FW_UPGRADE
    if locks and what != "fus-1.2.0":
        with pytest.raises(SilentError):
            driver.run(command)
        assert "before 1.0.2" in it.fus.secret.dead
        return
    if what == "delete":
        with pytest.raises(RefusedError):
            driver.run(command)
    else:
        assert driver.run(command) == ("stack after 1" if what == "stack" else "fus after 4")


# --- an application in the way


def test_an_application_that_runs_spoils_a_flasher_that_lets_it() -> None:
    """fus-protocol 11, item 7; 3.3: after FUS's own reset CPU1 runs, starts CPU2, and its tables are in force."""
    _, driver = in_fus()
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    with pytest.raises(SilentError):  # C2BOOT is set again, but the command lies where nobody looks
        driver.run(START_WS)


def test_the_vector_catch_survives_resets_of_fus() -> None:
    it, driver = in_fus()
    driver.burn(FLASH, struct.pack("<II", 0x20001000, FLASH + 9))
    driver.put(0xE000EDFC, 1)
    it.halt()
    assert driver.run(START_WS) == "stack after 1"
    assert it.is_halted


def test_nothing_to_install_at_the_factory() -> None:
    it = chip()
    assert it.fus.install_at_factory(b"no image") == 1
    assert chip().fus.install_at_factory(fus.build()) == 0x11
    assert chip(fus_version=FUS_1_2_0).fus.install_at_factory(replace(fus, version=FUS_2_0).build()) == 2
    assert chip("STM32WB55CC").fus.install_at_factory(replace(stack, size=65 * 4096).build()) == 4
    assert it.fus.secret.stack is None
