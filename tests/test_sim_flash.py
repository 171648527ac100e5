"""Flash and option bytes of the simulated chip: cells, keys, flags, the secure area; by the dossier."""

import struct

import pytest

from flasher.sim.errors import AccessError
from tests.support.sim_chips import fails, unlocked
from tests.support.sim_driver import (
    CR,
    CSR,
    DEMCR,
    KEYR,
    OPTKEYR,
    OPTR,
    SFR,
    SR,
    SRAM1,
    SRAM2A,
    SRAM2B,
    SRRVR,
    FlashError,
)
from tests.support.sim_images import chip, stack

FLASH = 0x0800_0000
PROGERR, WRPERR, PGAERR, SIZERR, PGSERR, MISERR, FASTERR = 8, 16, 32, 64, 128, 256, 512
EMPTY_FLASH = b"\xff" * 8


# --- fus-protocol 11, item 3: flash cells, keys, flags


def test_a_page_is_erased_programmed_and_read_back() -> None:
    """fus-protocol 11, item 3; 2.6: psdb's and MicroPython's sequence."""
    it, driver = unlocked()
    driver.burn(FLASH + 0x1000, bytes(range(256)) * 16)
    assert it.read(FLASH + 0x1000, 4096, 4) == bytes(range(256)) * 16
    driver.erase(FLASH + 0x1000)
    assert it.read(FLASH + 0x1000, 4096, 4) == b"\xff" * 4096


@pytest.mark.parametrize(("part", "page"), [("STM32WB55RG", 4096), ("STM32WB15CC", 2048)])
def test_pages_are_of_the_series(part: str, page: int) -> None:
    """fus-protocol 11, item 2; 2.1."""
    it, driver = unlocked(part)
    driver.program(FLASH, bytes(16 * 1024))
    driver.erase(FLASH + page)
    assert it.read(FLASH + page - 4, 8, 4) == bytes(4) + b"\xff" * 4
    assert it.read(FLASH + 2 * page, 4, 4) == bytes(4)


def test_a_line_that_is_not_erased_takes_nothing_but_zeros() -> None:
    """fus-protocol 2.6: PROGERR unless the new data is all zero."""
    it, driver = unlocked()
    driver.program(FLASH, bytes.fromhex("11" * 8))
    with pytest.raises(FlashError) as caught:
        driver.program(FLASH, bytes.fromhex("01" * 8))
    assert caught.value.flags == PROGERR
    assert it.read(FLASH, 8, 4) == b"\x11" * 8
    driver.program(FLASH, bytes(8))
    assert it.read(FLASH, 8, 4) == bytes(8)


def test_a_block_with_one_used_line_programs_the_others() -> None:
    it, driver = unlocked()
    driver.program(FLASH + 8, bytes.fromhex("11" * 8))
    with pytest.raises(FlashError):
        driver.program(FLASH, bytes.fromhex("22" * 16))
    assert it.read(FLASH, 16, 4) == b"\x22" * 8 + b"\x11" * 8


@pytest.mark.parametrize("kind", ["programmable", "not"])
@pytest.mark.parametrize("data", [b"\x01" * 8, bytes(8)])
def test_a_line_programmed_with_ones(kind: str, data: bytes) -> None:
    """fus2-nvm 6, last row: it reads erased, and every write gives PROGERR, all zeros too, until it is erased."""
    it, driver = unlocked(ff_pages=kind)
    driver.program(FLASH, b"\xff" * 8)
    if kind == "not":
        with pytest.raises(FlashError) as caught:
            driver.program(FLASH, data)
        assert caught.value.flags == PROGERR
        driver.erase(FLASH)
    driver.program(FLASH, data)
    assert it.read(FLASH, 8, 4) == data


@pytest.mark.parametrize("width", [1, 2])
def test_narrow_writes_are_a_size_error(width: int) -> None:
    """fus-protocol 2.6: 8- and 16-bit writes set SIZERR."""
    it, driver = unlocked()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    it.write(FLASH, bytes(width), width)
    assert driver.word(SR) & 0x3FF == SIZERR
    it.write(FLASH, bytes(8), 4)
    assert driver.word(SR) & PGSERR, "an error that is not cleared spoils what follows"
    assert it.read(FLASH, 8, 4) == EMPTY_FLASH


def test_half_a_line_leaves_cfgbsy_and_the_flags_a_board_showed() -> None:
    """fus-protocol 2.6: SR 0x000400A0 on a part whose line was left half written."""
    it, driver = unlocked()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    it.write(FLASH, bytes(4), 4)
    assert driver.word(SR) == 1 << 18
    it.write(FLASH + 16, bytes(4), 4)
    assert driver.word(SR) == 0x000400A0
    it.reset(halt=True)
    assert driver.word(SR) == 0
    assert it.read(FLASH, 8, 4) == EMPTY_FLASH


def test_a_line_starts_with_its_low_word() -> None:
    """fus-protocol 2.6: PGAERR."""
    it, driver = unlocked()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    it.write(FLASH + 4, bytes(4), 4)
    assert driver.word(SR) & PGAERR


def test_a_write_without_pg_is_a_sequence_error() -> None:
    """fus-protocol 2.6: PGSERR."""
    it, driver = unlocked()
    driver.put(SR, 0xC3FB)
    it.write(FLASH, bytes(8), 4)
    assert driver.word(SR) == PGSERR
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16)
    assert driver.word(SR) == PGSERR, "STRT without PER"
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 2 | 1)
    assert driver.word(SR) == PGSERR, "PG and PER at once"
    driver.put(CR, 1 << 16 | 2)
    assert not driver.word(SR) >> 16 & 1, "nothing begins while an error is not cleared"


def test_the_keys_open_once_and_a_wrong_one_shuts_until_reset() -> None:
    """fus-protocol 2.6: a wrong key locks KEYR until reset."""
    it, driver = unlocked()
    it.reset(halt=True)
    assert driver.word(CR) >> 30 == 3
    driver.put(CR, 2)
    assert driver.word(CR) == 3 << 30, "a locked CR takes nothing"
    driver.put(KEYR, 0x45670123)
    driver.put(KEYR, 0x12345678)
    driver.unlock()
    assert driver.word(CR) >> 31
    it.reset(halt=True)
    driver.unlock()
    assert not driver.word(CR) >> 31
    driver.put(CR, 1 << 31)
    assert driver.word(CR) >> 31
    driver.unlock()
    assert not driver.word(CR) >> 31, "locked by hand it opens again"


def test_option_keys_need_the_other_keys_first() -> None:
    it, driver = unlocked()
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    assert not driver.word(CR) >> 30 & 1
    it.reset(halt=True)
    driver.put(OPTKEYR, 0x08192A3B)
    driver.unlock()
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    assert driver.word(CR) >> 30 & 1


@pytest.mark.parametrize("kind", ["fault", "reset"])
def test_keys_while_unlocked_are_a_fault(kind: str) -> None:
    """fus-protocol 11, item 3; 2.6: MicroPython saw the chip reset."""
    it, driver = unlocked(second_unlock=kind)
    epoch = it.epoch
    if kind == "fault":
        with pytest.raises(AccessError):
            it.write(KEYR, struct.pack("<I", 0x45670123), 4)
        driver.unlock()
    else:
        driver.put(KEYR, 0x45670123)
        assert it.epoch == epoch + 1
        it.advance(0.1)
    assert driver.word(CR) >> 31


def test_optverr_is_there_after_power_up_and_goes_when_cleared() -> None:
    """fus-protocol 11, item 3; 2.6: clear SR before judging errors."""
    it, driver = unlocked()
    assert driver.word(SR) == 0x8000
    driver.put(SR, 0xC3FB)
    assert driver.word(SR) == 0
    it.reset(halt=True)
    assert driver.word(SR) == 0
    it.power_cycle()
    it.advance(0.1)
    assert driver.word(SR) == 0x8000


def test_bsy_shows_during_an_erase_and_eop_only_on_request() -> None:
    """fus-protocol 11, item 3; 2.6: BSY and CFGBSY, EOP only with EOPIE."""
    _, driver = unlocked()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 2)
    assert driver.word(SR) == 1 << 16 | 1 << 18
    driver.wait(SR, 1 << 16, 0)
    assert driver.word(SR) == 0
    driver.put(CR, 1 << 24 | 2)
    driver.put(CR, 1 << 24 | 1 << 16 | 2)
    driver.wait(SR, 1 << 16, 0)
    assert driver.word(SR) == 1


@pytest.mark.parametrize("kind", ["stall", "error"])
def test_programming_while_busy(kind: str) -> None:
    """fus-protocol 2.6: psdb streams faster than a line takes and reads back what it wrote."""
    it, driver = unlocked(write_while_busy=kind)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 2)
    driver.put(CR, 1)
    before = it.clock
    it.write(FLASH + 0x2000, bytes(8), 4)
    if kind == "stall":
        assert it.clock - before > 0.02
        assert it.read(FLASH + 0x2000, 8, 4) == bytes(8)
    else:
        assert driver.word(SR) & PGSERR


@pytest.mark.parametrize("kind", ["stall", "error"])
def test_a_block_is_programmed_faster_than_flash_takes_it(kind: str) -> None:
    """fus-protocol 2.6: psdb streams so; where the bus does not wait, it ends after its first line."""
    it, driver = unlocked(write_while_busy=kind)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    it.write(FLASH, bytes(64), 4)
    if kind == "stall":
        assert it.read(FLASH, 64, 4) == bytes(64)
    else:
        assert driver.word(SR) & PGSERR
        assert it.read(FLASH, 64, 4) == bytes(8) + b"\xff" * 56


@pytest.mark.parametrize("kind", ["stall", "error"])
@pytest.mark.parametrize("second", [1 << 16 | 2 | 1 << 3, 1 << 17])
def test_an_operation_that_is_started_during_another(kind: str, second: int) -> None:
    """The one under way is never lost."""
    it, driver = unlocked(write_while_busy=kind)
    for at in range(0, 8192, 8):
        it.flash.put_cells(FLASH + at, bytes(8))
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 2)
    driver.put(CR, second)
    assert bool(driver.word(SR) & PGSERR) is (kind == "error")
    driver.wait(SR, 1 << 16, 0)
    assert it.read(FLASH, 4096, 4) == b"\xff" * 4096
    both = kind == "stall" and second & 2
    assert it.read(FLASH + 4096, 4096, 4) == (b"\xff" if both else b"\0") * 4096


def test_an_operation_beside_a_suspended_one_is_an_error() -> None:
    """fus-protocol 2.7: nothing would ever end the waiting, so the bus does not wait."""
    it, driver = unlocked()
    driver.program(FLASH, bytes(8192))
    driver.put(SR, 0xC3FB)
    acr = driver.word(0x58004000)
    driver.put(0x58004000, acr | 1 << 15)
    driver.put(CR, 1 << 16 | 2)
    driver.put(CR, 1 << 16 | 2 | 1 << 3)
    assert driver.word(SR) & PGSERR
    driver.put(0x58004000, acr)
    driver.wait(SR, 1 << 16, 0)
    assert it.read(FLASH, 8192, 4) == b"\xff" * 4096 + bytes(4096)


def test_pes_suspends_what_comes() -> None:
    """fus-protocol 2.7: PESD while an operation waits."""
    _, driver = unlocked()
    driver.put(SR, 0xC3FB)
    acr = driver.word(0x58004000)
    driver.put(0x58004000, acr | 1 << 15)
    driver.put(CR, 1 << 16 | 2)
    assert driver.word(SR) & 1 << 19
    driver.put(0x58004000, acr)
    assert driver.word(SR) & (1 << 19 | 1 << 16) == 1 << 16
    driver.wait(SR, 1 << 16, 0)


def test_write_protection_and_code_protection_hold() -> None:
    """fus-protocol 2.2: WRP1A, PCROP1A; WRPERR and RDERR."""
    it, driver = unlocked()
    driver.program(FLASH + 0x5000, bytes(8))
    driver.write_options(0x0002_0002, 0x5800402C)
    driver.unlock()
    with pytest.raises(FlashError) as caught:
        driver.erase(FLASH + 2 * 4096)
    assert caught.value.flags == WRPERR
    with pytest.raises(FlashError) as caught:
        driver.program(FLASH + 2 * 4096, bytes(8))
    assert caught.value.flags == WRPERR | PGSERR, "the second word comes after an error"
    driver.erase(FLASH + 3 * 4096)
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    driver.put(0x58004024, 10)
    driver.put(0x58004028, 10)
    driver.write_options(driver.word(OPTR))
    assert it.read(FLASH + 0x5000, 4, 4) == bytes(4)
    assert driver.word(SR) & 1 << 14


def test_a_fast_row_is_all_or_nothing() -> None:
    """fus-protocol 2.1: 64 lines, within about 7 ms."""
    it, driver = unlocked()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 18)
    for at in range(0, 512, 32):
        it.write(FLASH + at, bytes(range(32)), 4)
    driver.finish()
    assert it.read(FLASH, 512, 4) == bytes(range(32)) * 16
    driver.put(CR, 1 << 18)
    it.write(FLASH + 512, bytes(256), 4)
    driver.put(CR, 0)
    assert driver.word(SR) & MISERR
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 18)
    it.write(FLASH + 520, bytes(8), 4)
    assert driver.word(SR) & FASTERR
    driver.put(CR, 0)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 18)
    it.write(FLASH + 1024, bytes(256), 4)
    it.advance(0.01)
    it.write(FLASH + 1280, bytes(256), 4)
    assert driver.word(SR) & FASTERR
    driver.put(CR, 0)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 18)
    it.write(FLASH, bytes(512), 4)
    assert driver.word(SR) & (PROGERR | FASTERR) == PROGERR | FASTERR


def test_a_failing_operation_says_so_and_spoils_the_page() -> None:
    it, driver = unlocked()
    driver.burn(FLASH, bytes(4096))
    it.flash.state.failing_operations = 1
    driver.erase(FLASH)  # psdb does not look at OPERR, and reads back instead
    assert driver.word(SR) & 2
    assert it.read(FLASH, 4096, 4) != b"\xff" * 4096
    driver.erase(FLASH)
    assert it.read(FLASH, 4096, 4) == b"\xff" * 4096


@pytest.mark.parametrize("how", ["reset", "power"])
def test_what_was_being_erased_when_it_stopped_is_garbage(how: str) -> None:
    it, driver = unlocked()
    driver.burn(FLASH, bytes(4096))
    driver.put(CR, 1 << 16 | 2)
    it.reset(halt=True) if how == "reset" else it.power_cycle()
    it.advance(0.1)
    assert it.read(FLASH, 4096, 4) not in (b"\xff" * 4096, bytes(4096))


# --- fus-protocol 11, item 4 and 5: the secure area, mass erase


@pytest.mark.parametrize("kind", ["error", "zero"])
def test_secure_flash_cannot_be_read(kind: str) -> None:
    """fus-protocol 11, item 4: zeros in one report, an error in another."""
    it, _ = unlocked(secure_read=kind)
    if kind == "zero":
        assert it.read(0x080F4000, 8, 4) == bytes(8)
        assert it.read(0x080F3FFC, 8, 4) == b"\xff" * 4 + bytes(4)
    else:
        assert fails(it, 0x080F4000)
        assert fails(it, 0x080F3FFC, 8)
    assert it.read(0x080F3FFC, 4, 4) == b"\xff" * 4


@pytest.mark.parametrize("kind", ["wrperr", "error", "ignored"])
def test_secure_flash_cannot_be_changed(kind: str) -> None:
    """fus-protocol 11, item 4."""
    it, driver = unlocked(secure_write=kind)
    before = it.flash.read_cells(0x080F4000, 4096)
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1)
    if kind == "error":
        with pytest.raises(AccessError):
            it.write(0x080F4000, bytes(8), 4)
    else:
        it.write(0x080F4000, bytes(4), 4)
        assert driver.word(SR) == (WRPERR if kind == "wrperr" else 0)
        driver.put(SR, 0xC3FB)
        driver.put(CR, 1 << 16 | 2 | 0xF4 << 3)
        assert driver.word(SR) == (WRPERR if kind == "wrperr" else 0)
    assert it.flash.read_cells(0x080F4000, 4096) == before


def test_only_cpu2_moves_the_secure_area() -> None:
    """fus-protocol 11, item 4; 2.3: SFR and SRRVR writes are ignored."""
    it, driver = unlocked()
    before = driver.word(SFR), driver.word(SRRVR)
    for register in (SFR, SRRVR):
        driver.unlock()
        driver.write_options(0x1234_5678, register)
        assert (driver.word(SFR), driver.word(SRRVR)) == before
    assert it.cpu2.state.running == ""


@pytest.mark.parametrize("kind", ["error", "zero"])
def test_secure_sram2_is_out_of_reach(kind: str) -> None:
    """fus-protocol 2.3: SBRSA and SNBRSA, in KiB, as the installed image has them."""
    it = chip(secure_read=kind)
    assert it.fus.install_at_factory(stack.build()) == 0
    it.power_cycle()
    it.advance(1)
    for base, kib in ((SRAM2A, 10), (SRAM2B, 15)):
        it.write(base + kib * 1024 - 4, b"abcd", 4)
        assert it.read(base + kib * 1024 - 4, 4, 4) == b"abcd"
        if kind == "error":
            assert fails(it, base + kib * 1024)
            with pytest.raises(AccessError):
                it.write(base + kib * 1024, b"abcd", 4)
        else:
            it.write(base + kib * 1024, b"abcd", 4)
            assert it.read(base + kib * 1024, 4, 4) == bytes(4)
    it.write(SRAM1 + 0x2FFFC, b"abcd", 4)
    assert fails(it, SRAM1 + 0x30000 + 64 * 1024)


@pytest.mark.parametrize("kind", ["error", "ignored"])
def test_mass_erase_erases_nothing(kind: str) -> None:
    """fus-protocol 11, item 5."""
    it, driver = unlocked(mass_erase=kind)
    driver.burn(FLASH, bytes(8))
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 4)
    driver.wait(SR, 1 << 16, 0)
    assert driver.word(SR) == (WRPERR if kind == "error" else 0)
    assert it.read(FLASH, 8, 4) == bytes(8)


def test_mass_erase_without_security_erases_everything() -> None:
    it, driver = unlocked()
    driver.burn(FLASH, bytes(8))
    driver.write_options(driver.word(OPTR) & ~(1 << 8))
    driver.unlock()
    driver.put(SR, 0xC3FB)
    driver.put(CR, 1 << 16 | 4)
    driver.wait(SR, 1 << 16, 0)
    assert it.read(FLASH, 8, 4) == EMPTY_FLASH


# --- fus-protocol 11, item 6: option bytes


def test_an_option_is_in_force_only_after_obl_launch() -> None:
    """fus-protocol 11, item 6; 2.8: the old value until then; the link drops."""
    it, driver = unlocked()
    old = driver.word(OPTR)
    new = old & ~(1 << 27)
    driver.put(OPTR, new)
    assert driver.word(OPTR) == old, "locked options take nothing"
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    driver.put(OPTR, new)
    driver.put(CR, 1 << 17)
    driver.wait(SR, 1 << 16, 0)
    assert driver.word(OPTR) == old
    assert int.from_bytes(it.read(0x1FFF8000, 4, 4), "little") == new, "the option area itself holds it"
    epoch = it.epoch
    driver.put(CR, 1 << 27)
    assert it.epoch == epoch + 1
    assert fails(it, 0xE000ED00)
    assert it.target_present
    it.advance(0.1)
    assert driver.word(OPTR) == new
    assert driver.word(CSR) & 1 << 25
    assert not it.is_halted


def test_options_are_loaded_only_when_they_are_unlocked() -> None:
    """fus-protocol 2.8: flash and options are unlocked first."""
    it, driver = unlocked()
    epoch = it.epoch
    driver.put(CR, 1 << 27)
    assert it.epoch == epoch
    assert not fails(it, 0xE000ED00)


def test_a_reset_while_options_are_programmed_damages_nothing() -> None:
    """fus-protocol 10, hazard 3: that takes a loss of power."""
    it, driver = unlocked()
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    driver.put(OPTR, driver.word(OPTR))
    driver.put(CR, 1 << 17)
    it.reset(halt=True)
    it.advance(0.1)
    assert not it.options.state.damaged
    assert driver.word(SR) & 1 << 13 == 0
    assert driver.start() == "fus"


def test_cells_that_end_inside_a_line_use_the_whole_line() -> None:
    """64 data bits share their ECC: the rest of a line that FUS or the factory wrote cannot be programmed."""
    it, driver = unlocked()
    it.flash.put_cells(FLASH + 4, b"\xff" * 8)
    for at, free in ((0, False), (8, False), (16, True)):
        if free:
            driver.program(FLASH + at, bytes.fromhex("01" * 8))
            continue
        with pytest.raises(FlashError) as caught:
            driver.program(FLASH + at, bytes.fromhex("01" * 8))
        assert caught.value.flags == PROGERR


def test_an_option_that_is_not_started_is_forgotten() -> None:
    it, driver = unlocked()
    driver.put(OPTKEYR, 0x08192A3B)
    driver.put(OPTKEYR, 0x4C5D6E7F)
    old = driver.word(OPTR)
    driver.put(OPTR, 0)
    driver.put(CR, 1 << 27)
    it.advance(0.1)
    assert driver.word(OPTR) == old


@pytest.mark.parametrize("lost", [True, False])
def test_whether_option_loading_forgets_the_debugger(lost: bool) -> None:
    it, driver = unlocked(obl_ends_debug=lost)
    driver.put(DEMCR, 1)
    driver.write_options(driver.word(OPTR))
    assert it.is_halted is not lost


@pytest.mark.parametrize("kind", ["error", "open"])
def test_read_protection_and_sram2(kind: str) -> None:
    """fus-protocol 12, unknown 6: without SRAM2 there is no mailbox."""
    it, driver = unlocked(level_1_sram2=kind)
    driver.write_options(driver.word(OPTR) & ~0xFF | 0xBB)
    assert not fails(it, SRAM1)
    for base in (SRAM2A, SRAM2B):
        assert fails(it, base) is (kind == "error")
    if kind == "open":
        assert driver.start() == "fus"
        return
    with pytest.raises(AccessError, match="read protection"):
        it.write(SRAM2A, bytes(4), 4)


def test_read_protection_closes_flash_and_leaving_it_erases() -> None:
    """fus-protocol 2.8: RDP 0xBB, then 0xAA; level 2 is for ever."""
    it, driver = unlocked()
    driver.burn(FLASH, bytes(8))
    optr = driver.word(OPTR)
    driver.write_options(optr & ~0xFF | 0xBB)
    assert fails(it, FLASH)
    with pytest.raises(AccessError):
        it.write(FLASH, bytes(8), 4)
    driver.write_options(optr)
    assert it.read(FLASH, 8, 4) == EMPTY_FLASH
    driver.write_options(optr & ~0xFF | 0xCC)
    assert not it.target_present
    it.power_cycle()
    assert not it.target_present
