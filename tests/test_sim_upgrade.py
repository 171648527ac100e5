"""FUS_FW_UPGRADE on the simulated chip: stacks, FUS itself, Safeboot, keys, and every refusal."""

import struct
from dataclasses import replace

import pytest

from tests.support.sim_chips import idle, in_fus, refusal, security, upgrade
from tests.support.sim_driver import (
    ANTI_ROLLBACK,
    CR,
    FW_DELETE,
    FW_UPGRADE,
    GET_STATE,
    LOAD_KEY,
    LOCK_KEY,
    LOCK_USER_KEY,
    SFR,
    SR,
    SRRVR,
    STORE_KEY,
    UPDATE_KEY,
    Driver,
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


def test_an_update_as_micropython_does_it() -> None:
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


def test_an_over_the_air_update() -> None:
    """fus-protocol 7.4, 8.6: padded with 0xFF, somewhere below SFSA."""
    _, driver = idle()
    image = stack.build()
    driver.burn(0x08007000, image, pad=b"\xff")
    assert driver.run(FW_UPGRADE) == "stack after 1"
    assert security(driver)[0] == 7


def test_states_during_an_update() -> None:
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


@pytest.mark.parametrize("there", [True, False])
def test_a_stack_below_its_address_is_erased(there: bool) -> None:
    """fus-protocol 10, hazard 18; 6.3: AUTH_TAG_ST_NOTFOUND, with the staged flash erased to FF."""
    image = small_stack.build()
    it, driver = (in_fus if there else idle)(lower_address="erased")
    right = place(image, place(stack.build()) if there else 0x080F4000)
    with pytest.raises(RefusedError, match=r"^FF/08$"):
        upgrade(driver, image, right - 4096)
    assert it.flash.read_cells(right - 4096, len(image)) == b"\xff" * len(image)
    assert upgrade(driver, image, right) == "stack after 1"


def test_a_moved_up_stack_leaves_nothing_at_its_old_place() -> None:
    it, driver = idle(lower_address="moved-up")
    image = stack.build()
    assert upgrade(driver, image, 0x080A0000) == "stack after 1"
    assert it.flash.read_cells(0x080A0000, 38 * 4096) == b"\xff" * 38 * 4096
    assert it.flash.read_cells(place(image), len(image)) == image


def test_an_update_leaves_nothing_of_the_old_stack() -> None:
    it, driver = in_fus()
    image, old = small_stack.build(), place(stack.build())
    assert upgrade(driver, image, old - 7 * 4096) == "stack after 1"
    new = place(image)
    assert it.flash.read_cells(old, new - old) == b"\xff" * (new - old)
    assert it.flash.read_cells(old - 7 * 4096, 7 * 4096) == b"\xff" * 7 * 4096


@pytest.mark.parametrize("over", [True, False])
def test_a_stack_that_is_moved_up_keeps_its_gap(over: bool) -> None:
    """fus-protocol 8.6, 9.1: 16 KiB stay free above an image for FUS 2."""
    image = new_stack.build()
    if over:
        _, driver = in_fus(recipe=replace(new_stack, version=V1_13), fus_version=FUS_2_1)
        address = place(image, gap=4) - 42 * 4096
    else:
        _, driver = idle(fus_version=FUS_2_1, lower_address="moved-up")
        address = 0x080A0000
    assert upgrade(driver, image, address) == "stack after 1"
    assert security(driver)[0] == 0xCA


def test_the_gap_of_a_fus_2_image_counts_on_a_small_part() -> None:
    """fus-protocol 9.2: the nominal end is the limit there."""
    for gap, good in ((3, False), (4, True)):
        it = chip("STM32WB55CE", fus_version=FUS_2_1)
        it.halt()
        it.advance(0.01)
        driver = Driver(it)
        driver.start()
        image = new_stack.build()
        address = place(image, 0x08080000, gap=gap)
        if good:
            assert upgrade(driver, image, address) == "stack after 1"
            assert security(driver)[0] == (address - FLASH) // 4096
        else:
            assert refusal(driver, image, address) == (0, 4)


def test_a_gap_makes_an_update_larger() -> None:
    """fus-protocol 9.3: as many sectors, but four more with the gap: one sector of room is needed."""
    _, driver = in_fus(fus_version=FUS_2_1)
    image, old = replace(new_stack, version=V1_13).build(), place(stack.build())
    assert refusal(driver, image, old - 42 * 4096) == (0, 4)
    driver.unlock()
    for page in range(old - 43 * 4096, old, 4096):
        driver.erase(page)
    assert upgrade(driver, image, old - 43 * 4096) == "stack after 1"


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


@pytest.mark.parametrize("kind", ["erase-error", "waits"])
def test_a_delete_while_flash_is_not_at_rest(kind: str) -> None:
    it, driver = in_fus(busy_flash=kind)
    driver.unlock()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    it.write(FLASH, bytes(4), 4)
    if kind == "erase-error":
        with pytest.raises(RefusedError) as caught:
            driver.run(FW_DELETE)
        assert caught.value.error == 6
    else:
        assert driver.run(FW_DELETE) == "fus after 1"


@pytest.mark.parametrize(("what", "error"), [("nothing", 0), ("erase", 6), ("program", 7), ("suspend", 6)])
@pytest.mark.parametrize("kind", ["shown", "hidden"])
def test_flash_work_of_fus_and_of_cpu1_at_once(kind: str, what: str, error: int) -> None:
    """fus-protocol 12, unknown 6: both share one controller."""
    it, driver = idle(fus_flash_work=kind)
    driver.boot_from_ram()
    driver.start()
    image = stack.build()
    driver.burn(place(image), image)
    driver.command(FW_UPGRADE)
    assert driver.state()[0] == 0x11
    assert bool(driver.word(SR) & 1 << 16) is (kind == "shown")
    driver.put(SR, 0xC3FB)
    if what == "erase":
        driver.put(CR, 1 << 16 | 2)
    elif what == "program":
        driver.put(CR, 1)
        it.write(FLASH + 0x1000, bytes(8), 4)
    elif what == "suspend":
        driver.put(0x58004000, driver.word(0x58004000) | 1 << 15)
    if kind == "hidden" or not error:
        it.advance(10)
        assert driver.start() == "stack"
        return
    it.advance(2)
    assert driver.state() == (0xFF, error)
    assert it.fus.secret.stack is None
    assert it.read(place(image), 64, 4) == image[:64]


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


def test_wrong_path_and_same_version_codes_are_switches() -> None:
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


def test_named_images_of_an_unknown_key_are_believed() -> None:
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


def test_safeboot_needs_no_room_beside_a_stack() -> None:
    """It is larger than this stack, and erases it anyway."""
    _, driver = in_fus(recipe=replace(stack, size=4096 - 4), fus_version=FUS_1_1_0)
    image = Recipe(info1=0x5AFEB007, version=0x02000000, size=7316).build()
    address = place(replace(stack, size=4096 - 4).build()) - 2 * 4096
    with pytest.raises(RefusedError) as caught:
        upgrade(driver, image, address)
    assert (caught.value.state, caught.value.error) == (0xFF, 0xFF), "done; NOT_ENOUGH_SPACE otherwise"
    assert driver.info(0x08) == 0x02000000


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


def test_remains_of_a_fus_update_block_the_next_image() -> None:
    """fus-protocol 9.5: a stack for FUS 2 leaves 16 KiB free, and there the footer of the staged FUS still stands."""
    for erases, error in ((True, 0), (False, 3)):
        it, driver = idle()
        assert upgrade(driver, replace(fus, version=FUS_2_1).build(), 0x080EE000) == "fus after 4"
        image = new_stack.build()
        if not erases:
            assert refusal(driver, image, place(image, gap=4)) == (0xFF, error)
            continue
        driver.unlock()
        for page in range(0x080C0000, 0x080F4000, 4096):
            driver.erase(page)
        assert upgrade(driver, image) == "stack after 1"
        assert it.fus.secret.stack is not None


@pytest.mark.parametrize(("kind", "state"), [("ongoing", 0x10), ("error", 0xFF), ("as-seen", 0x00)])
def test_the_state_beside_no_room(kind: str, state: int) -> None:
    """fus-protocol 6.3: idle with an error, as one report has it; shci.h says FF."""
    _, driver = idle(fus_version=FUS_2_1, error_state=kind)
    assert refusal(driver, new_stack.build(), place(new_stack.build())) == (state, 4)


def test_one_thing_at_a_time() -> None:
    it, driver = in_fus()
    driver.command(FW_DELETE)
    for opcode in (FW_DELETE, FW_UPGRADE, ANTI_ROLLBACK, LOCK_KEY):
        assert driver.command(opcode) == b"\1"
    assert not it.fus.secret.anti_rollback
    assert not it.fus.secret.customer_key_locked


def test_an_image_that_would_begin_below_flash_is_not_believed() -> None:
    """A footer that announces more sectors than there are below it."""
    _, driver = idle()
    image = replace(small_stack, sectors=200).build()
    assert refusal(driver, image, FLASH + 0x1000) == (0xFF, 3)


def test_a_magic_word_alone_is_not_an_image() -> None:
    """fus-protocol 9.4: footers are looked for, so a word of data that looks like one must not count."""
    it, driver = idle()
    magic = struct.pack("<I", 0xD3A12C5E)
    driver.burn(FLASH, magic + bytes(200) + magic + bytes(1) + magic + bytes(3))
    with pytest.raises(RefusedError) as caught:
        driver.run(FW_UPGRADE)
    assert caught.value.error == 1
    assert it.fus.secret.stack is None
