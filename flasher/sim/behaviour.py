"""What the documents leave open, as named switches; each default with its reason.

Where sources disagree the default is what hardware was seen to do; where nobody knows, it is what is harder on a
flasher, so that one which passes here passes on either kind of chip.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Every switch of a simulated chip. Times in seconds."""

    # --- accesses and resets
    access_seconds: float = 0.0002
    """What one access by the debugger costs: a USB round trip of a fast probe."""
    word_seconds: float = 0.000012
    """What each 32-bit word of it costs: 46 clocks of SWD at 4 MHz."""
    during_reset: Literal["fails", "works"] = "fails"
    """Accesses in the moment of a reset: psdb sees exceptions; J-Link may keep working (not measured)."""
    reset_seconds: float = 0.002
    """How long that moment lasts. psdb is content with retrying after 0.1 s."""
    secure_read: Literal["error", "zero"] = "error"
    """Reads of secure flash or SRAM2: tools showed 0 in one report, an error in another; CPU1 hard-faults."""
    secure_write: Literal["wrperr", "error", "ignored"] = "wrperr"
    """Erase or program of secure flash: the flag is likely by its name only; no source has the exact one."""
    level_1_sram2: Literal["error", "open"] = "error"
    """SRAM2 for a debugger at read protection level 1: shut, so that FUS cannot be served; no source has tried it."""
    beyond_nominal: Literal["erased", "error"] = "erased"
    """Reads between the nominal end of a C, E or Y part and SFSA: J-Link searched there and was not refused."""
    ipcc_without_clock: Literal["error", "ignored"] = "error"
    """IPCC writes while AHB3ENR.IPCCEN is 0: unknown; psdb always sets it first. Reads give 0 then."""
    nswboot0_clear: Literal["main-flash", "system-memory"] = "main-flash"
    """nSWBOOT0=0, nBOOT0=nBOOT1=1: CubeProgrammer boots main flash so (logs); psdb calls it system memory."""
    obl_ends_debug: bool = True
    """Whether OBL_LAUNCH also forgets halt and vector catch: psdb has to connect under reset again after it."""

    # --- flash
    second_unlock: Literal["fault", "reset"] = "fault"
    """Keys written while unlocked: a wrong sequence; MicroPython saw the chip reset."""
    write_while_busy: Literal["stall", "error"] = "stall"
    """psdb streams faster than a line takes to program, and reads back what it wrote: the bus must wait. The same for
    an erase that is started during another."""
    all_ones_is_programmed: bool = True
    """Whether a line that was programmed with all ones must be erased before it is programmed again (ECC): unknown."""
    mass_erase: Literal["ignored", "error"] = "error"
    """MER while security is on: RM0434 3.3.7 as quoted says ignored; SEGGER says that it normally fails."""

    # --- mailbox
    ipccdba_shift: Literal[0, 2, 3, 4] = 2
    """Scale of IPCCDBA: shci.c 2, HAL 4, psdb 3, old MicroPython 0. Only the value 0 was ever seen."""
    fus_limits: Literal["installed-image", "fus"] = "installed-image"
    """SRAM2 limits while FUS runs with a stack installed: a dump shows the stack's; the footer of FUS says 32/16."""
    sram1_buffers: Literal["attack", "accepted"] = "attack"
    """Mailbox buffers in SRAM1: ST says that FUS uses SRAM2 only; whether it checks is unknown."""
    tail_maintained: bool = False
    """FUS does not keep the tail of the event queue (psdb)."""
    num_hci: Literal[0xFF, 0x01] = 0xFF
    """Fourth byte of a response: AN5185 and two dumps 0xFF, MicroPython 0x01."""

    # --- FUS: answers
    fus_boot_seconds: float = 0.02
    stack_boot_seconds: float = 0.04
    answer_seconds: float = 0.002
    """Time to a ready event and to a response: psdb polls every millisecond and never waits long; not measured."""
    first_contact: Literal["idle", "unknown-error"] = "unknown-error"
    """The first GET_STATE of a product's life may answer FF/UNKNOWN (ST's BLE_Ota resets once and tries again)."""
    stack_get_state: Literal["ff-fe", "ff", "fe"] = "ff-fe"
    """A stack's answer to the first GET_STATE: MicroPython FF with FE or nothing after it; embassy FE."""
    error_lifetime: Literal["once", "until-next-command"] = "once"
    """Logs of a delete with nothing there show the error in one poll; an earlier note says that it stays."""
    error_state: Literal["as-seen", "ongoing", "error"] = "as-seen"
    """State beside an error: as logs had it (3x/01, 1x/11, 00/04, else FF), always the range, always FF (shci.h)."""
    transient_errors: bool = True
    """Near the end of a stack install: FF without an error byte, then FF/FE, then ongoing again (MicroPython)."""
    first_answer_seconds: float = 3.6
    """Until the first answer after FW_UPGRADE of 150 KB (MicroPython measured); scaled by size."""
    busy_flash: Literal["erase-error", "waits"] = "erase-error"
    """FW_UPGRADE or FW_DELETE while BSY, CFGBSY or PES is set: unknown; ERSERROR was reported once, without a cause."""
    fus_flash_work: Literal["shown", "hidden"] = "shown"
    """FUS's own erasing and programming: whether SR shows it and it fails (06, 07) when CPU1 erases, programs or sets
    PES meanwhile. Unknown; both cores share one controller."""

    # --- FUS: images
    search: Literal["first", "last"] = "first"
    """Which footers count: ST says that FUS searches from the beginning of flash; which match wins is unknown."""
    second_image: Literal["not-authentic", "ignored"] = "not-authentic"
    """A second, stale image below SFSA: MicroPython and ST report IMG_NOT_AUTHENTIC."""
    short_sector_count: Literal["installs", "not-authentic"] = "installs"
    """Thread_FTD of v1.6.0 announces a sector less than it has; ST released it, so FUS likely copes."""
    same_version: Literal["rollback", "installs"] = "rollback"
    """The version that is installed already: MicroPython saw 0x11."""
    fus2_image_error: int = 0x03
    """An image for FUS 2 on FUS 1: refused, the code is unknown; 03 also means a wrong FUS generation."""
    fus_path_error: int = 0x03
    """A FUS image that this FUS cannot install: the code is unknown; 0.5.3 reported NOT_AUTHENTIC."""
    fus1_needs_spare: bool = True
    """FUS 1.x images on 1 MiB stand two sectors below the formula in ST's tables; whether FUS insists is unknown."""
    lower_address: Literal["in-place", "moved-up", "erased"] = "in-place"
    """A stack below its table address stays with a dead gap (ST), is moved up (a report), or erased, error 08."""
    update_placement: Literal["moved-up", "in-place"] = "moved-up"
    """A stack over a stack: the new one takes the old one's place (ST, a broken board); another report has it stay."""
    larger_update: Literal["one-sector", "difference"] = "one-sector"
    """Extra room for a larger stack over a smaller: ST's tested rule; AN5185 wants 2 x new - old."""
    small_part_lock: bool = True
    """FUS before 1.0.2 on C, E and Y parts: anything but FUS 1.0.2 or newer may lock them for ever (ST)."""

    # --- FUS: operations
    delete_resets: bool = True
    """FW_DELETE may involve a reboot (psdb)."""
    stack_resets: int = 2
    """Resets of a stack install: 'multiple' says psdb; one in a field report."""
    fus_resets: int = 4
    """Resets of a FUS update: psdb counts 3-4, 'at least 4'."""
    fus_update_erases: bool = False
    """Whether the staged image is gone after a FUS update: unknown; a copy left behind is a trap for what follows."""
    fus_over_stack: Literal["dead", "refused"] = "dead"
    """A FUS update over an installed stack: everybody deletes first; what happens otherwise nobody tells."""
    interrupted_write: Literal["dead", "abort"] = "dead"
    """Reset or power loss while FUS writes: boards stayed dead; the code USRABORT exists."""
    user_key_lock: Literal["until-reset", "for-ever"] = "until-reset"
    """LOCK_USR_KEY: ST's wiki says until the next system reset, shci.h that the key cannot be updated later."""
    safeboot_recovers: bool = True
    """Damaged option bytes with FUS 1.1.0 or newer: factory reset (ST); some boards did not react."""
    ese_clear: Literal["fus-lost", "ignored"] = "fus-lost"
    """Clearing ESE: FUS was lost on at least one part (a report to Black Magic Probe)."""
    stack_hard_faults: bool = False
    """The stack faults right at its start, after a good install (one custom board with FUS 2.2.0)."""
