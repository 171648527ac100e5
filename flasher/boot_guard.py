"""The option bytes that decide what CPU1 boots: changed for an installation, restored afterwards, repaired if damaged.

While FUS works it resets the chip several times. An application that boots then could use CPU2, so CPU1 boots a loop in
SRAM1 meanwhile (psdb, devices/stm32wb55/flash.py). The journal notes what the option bytes were before they change.
"""

from collections.abc import Collection
from contextlib import suppress

from flasher import registers as reg
from flasher.acceptance import FUS_1_1_0
from flasher.chip import ChipDriver
from flasher.cpu2 import Contact
from flasher.device import Options
from flasher.errors import ChipError, FlasherError, FlashError, ProbeError, RefusedError, SilentError
from flasher.facts import Facts
from flasher.flash import ERASE_SECONDS, finish, unlock
from flasher.retry import Wait, retry, wait_until
from flasher.session import ATTEMPTS, Session
from imagekit.image.model import Version

FACTORY_RESET = "factory-reset"
"""What must be accepted when option bytes were damaged while this tool wrote them."""
_WRITE_ATTEMPTS = 5
_SAFEBOOT = Wait("Safeboot repairs the option bytes", 180.0, 1.0)
_DAMAGED = "the power failed while the option bytes were being written; run this again"


# --- during an installation


def boot_from_sram1(session: Session, options: Options, fus: Version) -> None:
    """Make CPU1 boot a loop in SRAM1, so that it leaves CPU2 alone during the resets of FUS (psdb).

    Not with FUS before 1.1.0: losing power while option bytes are written would kill that chip. The plan makes sure
    that CPU1 has nothing to boot there.
    """
    optr = options.words["OPTR"]
    wanted = optr & ~reg.OPTR_BOOT
    if fus < FUS_1_1_0 or optr == wanted:
        return
    session.journal.note("option-bytes", optr=f"0x{optr:08X}", fus=fus.text)
    write_boot_bits(session.chip, wanted)
    session.cpu2.begin()


def note_boot_from_flash(session: Session, facts: Facts) -> None:
    """Note that CPU1 is to boot from flash when the option bytes are restored (release notes of v1.24.0, step 9)."""
    optr = facts.options.words["OPTR"] | reg.OPTR_BOOT
    session.journal.note("option-bytes", optr=f"0x{optr:08X}", fus=facts.info.fus.text)


# --- at the end


def give_back(session: Session) -> None:
    """Reset the chip once, by loading its option bytes where they are restored, and let CPU1 run.

    Once: after that reset the application runs, and may start an update of its own that a second reset would hit.
    """
    problem: FlasherError | None = None
    session.retried(session.cpu2.wait_for_nvm_job)
    try:
        if session.restores and session.journal.history.optr is not None:
            _restore(session, session.journal.history.optr)
        else:
            _reset_once(session)
    except FlasherError as error:
        problem = error
    session.retried(session.chip.resume_cpu1)
    if problem is not None:
        raise problem


def _restore(session: Session, noted: int) -> None:
    """Restore what CPU1 boots. Always programmed: bits that were programmed and not loaded do not show."""
    found = session.retried(session.chip.optr)
    if found & reg.OPTR_BOOT:
        noted = found  # changed on purpose since
    write_boot_bits(session.chip, noted)
    session.journal.note("restored")


def _reset_once(session: Session) -> None:
    """Reset the chip, CPU1 running. Again only when the first reset did not happen."""
    try:
        session.chip.reset_running()
    except ProbeError:
        retry(lambda: _reset_unless_done(session), ATTEMPTS - 1, ProbeError)


def _reset_unless_done(session: Session) -> None:
    session.chip.reconnect()
    if session.cpu2.is_ours():
        session.chip.reset_running()


# --- writing


def write_boot_bits(chip: ChipDriver, optr: int) -> None:
    """Program and load the boot bits of this OPTR, which resets the chip. Never while FUS may be running.

    All other bits stay as they are found: read protection that was set meanwhile must not be removed, since that
    erases the flash. Raises ChipError.
    """
    try:
        retry(lambda: _program_and_load(chip, optr), _WRITE_ATTEMPTS, FlashError)
    except FlashError as error:
        raise ChipError(f"the boot bits cannot be written after {_WRITE_ATTEMPTS} attempts: {error}") from error


def _program_and_load(chip: ChipDriver, optr: int) -> None:
    """Program the boot bits and load them. Raises FlashError when that must be repeated."""
    try:
        _program(chip, optr)
    except FlashError:
        with suppress(ProbeError):
            chip.reset()  # an interrupted key sequence locks the controller until a reset
        chip.reconnect()
        raise
    except ProbeError as error:
        chip.reconnect()
        raise FlashError(f"the link was lost while they were programmed: {error}") from error
    with suppress(ProbeError):  # loading ends the connection
        chip.put(reg.FLASH_CR, reg.CR_OBL_LAUNCH)
    chip.reconnect()
    # The register shows what was loaded last, not what is programmed: it is a proof only now.
    if (_loaded(chip) ^ optr) & reg.OPTR_BOOT:
        raise FlashError(f"OPTR does not boot CPU1 as 0x{optr:08X}; run this again")


def _loaded(chip: ChipDriver) -> int:
    """Return OPTR as it was loaded. Raises FlashError when the chip did not answer, ChipError when damaged."""
    try:
        _refuse_damaged(chip)
        return chip.optr()
    except ProbeError as error:
        chip.reconnect()
        raise FlashError(f"OPTR was not read back: {error}; run this again") from error


def _program(chip: ChipDriver, optr: int) -> None:
    """Program the boot bits; they count once they are loaded. Raises FlashError, ChipError."""
    _refuse_damaged(chip)
    unlock(chip)
    chip.put(reg.FLASH_SR, reg.SR_ERRORS)
    if chip.word(reg.FLASH_CR) & reg.CR_OPTLOCK:
        for key in reg.OPTION_KEYS:
            chip.put(reg.FLASH_OPTKEYR, key)
    if chip.word(reg.FLASH_CR) & reg.CR_OPTLOCK:
        raise FlashError("the option bytes stay locked")
    found = chip.optr()
    if found & reg.RDP_MASK != reg.RDP_LEVEL_0:
        raise ChipError("the chip is read-protected: its option bytes are not changed")
    chip.put(reg.OPTION_REGISTERS["OPTR"], found & ~reg.OPTR_BOOT | optr & reg.OPTR_BOOT)
    chip.put(reg.FLASH_CR, reg.CR_OPTSTRT)
    finish(chip, "programming the option bytes", ERASE_SECONDS)


# --- damaged option bytes


def _refuse_damaged(chip: ChipDriver) -> None:
    if chip.has_damaged_options():
        raise ChipError(_DAMAGED)


def repair_options(session: Session, accepted: Collection[str]) -> None:
    """Let Safeboot repair option bytes that lost their power while this tool wrote them. That is a factory reset.

    Release notes of STM32CubeWB v1.24.0, "Safeboot": set C2BOOT. FUS is 1.1.0 or newer, since otherwise the option
    bytes are not written at all.
    """
    chip = session.chip
    if session.journal.history.optr is None or not chip.has_damaged_options():
        return
    if FACTORY_RESET not in accepted:
        raise RefusedError(
            "the power failed while the option bytes were being written, and they are damaged. Safeboot repairs them "
            "with a factory reset, which erases the stack and the application; the installation then goes on. Accept "
            f"it by name: --accept {FACTORY_RESET}"
        )
    session.step = FACTORY_RESET
    session.journal.note("step", step=FACTORY_RESET)
    session.tell("begin")
    chip.halt_cpu1()
    session.cpu2.contact = Contact.MAY_BE_BUSY  # until the next begin(): Safeboot must not lose its power
    chip.put(reg.PWR_CR4, chip.word(reg.PWR_CR4) | reg.C2BOOT)
    try:
        wait_until(chip.clock, _SAFEBOOT, lambda: _is_repaired(chip) or None)
    except SilentError as error:
        raise ChipError("Safeboot has not repaired the option bytes; no other repair is known") from error
    session.journal.note("done", step=FACTORY_RESET)
    session.tell("end")


def _is_repaired(chip: ChipDriver) -> bool:
    chip.clock.sleep(_SAFEBOOT.pause_s)
    try:
        return not chip.has_damaged_options()
    except ProbeError:
        chip.reconnect()
        return False
