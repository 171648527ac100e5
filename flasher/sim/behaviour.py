"""Every behaviour that the documents leave open, in one table: value, choices, meaning and source of each.

Where sources disagree the default is what hardware was seen to do. Where nothing is known it is what is harder on a
flasher, or, for the behaviours of FUS 2, what does no harm. `flasher sim set` and docs/simulator.md use this table.
"""

import dataclasses
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")
LONGEST_SECONDS = 60.0
LONGEST_WORD_SECONDS = 0.01
"""Of a transfer, so that a megabyte takes an hour at most."""
LARGEST_CODE = 0xFF
LARGEST_NVM_SECTORS = 16


class SettingError(ValueError):
    """No behaviour has that name, or the behaviour does not have that value."""


def _setting(default: T, meaning: str, source: str, *, most: float = 0, code: bool = False) -> T:
    """A field of `Behaviour`; `most` is the largest number that is accepted, `code` shows the number as a byte."""
    metadata = {"meaning": meaning, "source": source, "most": most, "code": code}
    value: T = dataclasses.field(default=default, metadata=metadata)
    return value


def _seconds(default: float, meaning: str, source: str, most: float = LONGEST_SECONDS) -> float:
    return _setting(default, meaning, source, most=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Every behaviour of a simulated chip and of the probe before it. Times in seconds."""

    # --- FUS 2 and bonding data
    nvm_job_seconds: float = _seconds(
        0.0,
        "How long NVM restore runs after an install of a stack in the new format, and NVM backup before a delete or "
        "an upgrade of one, with FUS 2; 0: neither runs.",
        "shci.h v1.24.0 (ready values 0x10, 0x11); durations are unknown",
    )
    nvm_section_sectors: int = _setting(
        0,
        "Sectors that stay secure below FUS once FUS 2 has installed a stack in the new format: FW_DELETE leaves "
        "them, FW_PURGE frees them.",
        "release notes 1.23.0: 0x4000 stay reserved (4 sectors of 4 KiB or 8 of 2 KiB); not measured",
        most=LARGEST_NVM_SECTORS,
    )
    nvm_answers: Literal["fffe", "1x", "none"] = _setting(
        "fffe", "Answer to GET_STATE while an NVM job runs.", "unknown"
    )
    nvm_reset_bricks: bool = _setting(
        False,
        "Whether a reset or a command during an NVM job kills CPU2 for good. It always destroys the bonding data.",
        "unknown: nothing says that a reset is safe",
    )
    purge: Literal["known", "unknown"] = _setting(
        "known",
        "Whether FUS 2 knows FW_PURGE, opcode 0xFC5B. FUS 1 never does.",
        "shci.h v1.24.0; whether FUS 2.0 and 2.1 know it is unknown",
    )
    fus_idle_gap_seconds: Literal[0, 14, 40] = _setting(
        0,
        "How long FUS says idle, once, between two resets of one installation.",
        "owl-and-goat/sensor-board saw 14 s in the middle of an install",
    )
    fus_silent: bool = _setting(
        False,
        "Whether FUS stays idle, without an error and without a reset, when the staged file is not an image or is "
        "the FUS version that runs already.",
        "owl-and-goat/sensor-board: on; logs and MicroPython: errors 01 and 0x11",
    )

    # --- probe
    dll_memory_cache: bool = _setting(
        False,
        "Whether the J-Link library caches RAM, 64 bytes at a time, while CPU1 is halted. SetEnableMemCache = 0 ends "
        "it until the next connect.",
        "logs of the library; a report from hardware (danielmangum.com)",
    )
    dll_unknown_command: Literal["text", "code"] = _setting(
        "text",
        "How the J-Link library answers a command string that it does not know: an error text, or code 1 alone.",
        "V6.18c, V7.84e and V7.86c gave the code",
    )

    # --- accesses and resets
    access_seconds: float = _seconds(
        0.0002, "Time of one access by the debugger.", "estimate: a USB round trip of a fast probe"
    )
    word_seconds: float = _seconds(
        0.000012,
        "Time of each 32-bit word of an access.",
        "46 clocks of SWD at 4 MHz",
        most=LONGEST_WORD_SECONDS,
    )
    during_reset: Literal["fails", "works"] = _setting(
        "fails", "Accesses in the moment of a reset.", "psdb sees exceptions; J-Link may keep working"
    )
    reset_seconds: float = _seconds(0.002, "How long that moment lasts.", "psdb retries after 0.1 s; not measured")
    secure_read: Literal["error", "zero"] = _setting(
        "error", "Reads of secure flash or SRAM2.", "tools showed 0 in one report, an error in another"
    )
    secure_write: Literal["wrperr", "error", "ignored"] = _setting(
        "wrperr", "Erase or program of secure flash.", "no source has the exact flag"
    )
    level_1_sram2: Literal["error", "open"] = _setting(
        "error", "SRAM2 for a debugger at read protection level 1.", "no source has tried it"
    )
    beyond_nominal: Literal["erased", "error"] = _setting(
        "erased",
        "Reads between the nominal end of a C, E or Y part and SFSA.",
        "J-Link searched there and was not refused",
    )
    ipcc_without_clock: Literal["error", "ignored"] = _setting(
        "error", "IPCC writes while AHB3ENR.IPCCEN is 0. Reads give 0 then.", "psdb always sets it first"
    )
    nswboot0_clear: Literal["main-flash", "system-memory"] = _setting(
        "main-flash",
        "What CPU1 boots with nSWBOOT0=0 and nBOOT0=nBOOT1=1.",
        "CubeProgrammer logs: main flash; psdb: system memory",
    )
    obl_ends_debug: bool = _setting(
        True,
        "Whether OBL_LAUNCH also forgets halt and vector catch.",
        "psdb has to connect under reset again after it",
    )
    vector_catch: Literal["survives", "cleared"] = _setting(
        "survives",
        "Whether VC_CORERESET survives the resets that FUS makes, and the library's reset type 0.",
        "psdb calls them uncatchable; J-Link clears the bit",
    )
    options_readable: Literal["always", "halted"] = _setting(
        "always",
        "Whether the option byte registers read 0 while an application runs, until CPU1 is halted.",
        "psdb read 0 from a sleeping application's chip",
    )

    # --- flash
    second_unlock: Literal["fault", "reset"] = _setting(
        "fault", "Keys written while flash is unlocked.", "a wrong sequence; MicroPython saw the chip reset"
    )
    write_while_busy: Literal["stall", "error"] = _setting(
        "stall", "A write or an erase while flash is busy.", "psdb streams faster than a line takes to program"
    )
    ff_pages: Literal["programmable", "not"] = _setting(
        "not",
        "Whether a line that was programmed with 0xFF can be programmed again before it is erased. If not, even "
        "zeros give PROGERR.",
        "owl-and-goat/sensor-board saw it on hardware",
    )
    data_cache: Literal["clean", "stale"] = _setting(
        "clean",
        "Whether reads of flash give what was read before an erase, until the data cache is reset (ACR: DCEN off, "
        "DCRST). A sector at a time here.",
        "ST's HAL flushes the caches after an erase",
    )
    mass_erase: Literal["ignored", "error"] = _setting(
        "error", "MER while security is on.", "RM0434 3.3.7: ignored; SEGGER: normally fails"
    )

    # --- mailbox
    ipccdba_shift: Literal[0, 2, 3, 4] = _setting(
        2, "Scale of IPCCDBA, in bits.", "shci.c 2, HAL 4, psdb 3, old MicroPython 0; only the value 0 was ever seen"
    )
    fus_limits: Literal["installed-image", "fus"] = _setting(
        "installed-image",
        "SRAM2 limits while FUS runs with a stack installed.",
        "a dump shows the stack's; the footer of FUS says 32/16",
    )
    sram1_buffers: Literal["attack", "accepted"] = _setting(
        "attack", "Mailbox buffers in SRAM1.", "ST says that FUS uses SRAM2 only"
    )
    null_tables: Literal["accepted", "refused"] = _setting(
        "accepted",
        "Whether a stack starts with a NULL BLE table, or with NULL pointers in it. If not, it leaves 0x3DE96F61.",
        "psdb, MicroPython, embassy and ST's tl_mbox.c all give a real one",
    )
    ready_event: Literal["early", "late", "none"] = _setting(
        "early",
        "When CPU2 reports that it is ready: with its table, 1 s later (commands sent before are lost), or never.",
        "psdb and embassy wait for the event; times are unknown",
    )
    tail_maintained: bool = _setting(False, "Whether FUS keeps the tail of the event queue.", "psdb: it does not")
    num_hci: Literal[0xFF, 0x01] = _setting(
        0xFF, "Fourth byte of a response.", "AN5185 and two dumps 0xFF, MicroPython 0x01", code=True
    )

    # --- FUS: answers
    fus_boot_seconds: float = _seconds(0.02, "Time until FUS is ready.", "not measured")
    stack_boot_seconds: float = _seconds(0.04, "Time until a stack is ready.", "not measured")
    answer_seconds: float = _seconds(0.002, "Time to a response.", "psdb polls every millisecond; not measured")
    first_contact: Literal["ff", "00", "fe", "none"] = _setting(
        "ff",
        "Error byte beside state FF in the first GET_STATE of a chip's life; none: FUS is idle from the start.",
        "ST's BLE_Ota resets on FF whatever the error byte",
    )
    stack_get_state: Literal["ff-fe", "ff", "fe"] = _setting(
        "ff-fe",
        "A stack's answer to the first GET_STATE.",
        "MicroPython: FF with FE or nothing after it; embassy: FE",
    )
    error_lifetime: Literal["once", "until-next-command"] = _setting(
        "once", "How long FUS reports an error.", "logs of a delete show it in one poll; an earlier note disagrees"
    )
    error_state: Literal["as-seen", "ongoing", "error"] = _setting(
        "as-seen",
        "State beside an error.",
        "logs: 3x/01, 1x/11, 00/04, else FF; or always the range, or always FF (shci.h)",
    )
    transient_errors: bool = _setting(
        True, "Whether FF without an error byte, then FF/FE, come near the end of a stack install.", "MicroPython"
    )
    first_answer_seconds: float = _seconds(
        3.6, "Until the first answer after FW_UPGRADE of 150 KB; scaled by size.", "MicroPython measured it"
    )
    busy_flash: Literal["erase-error", "waits"] = _setting(
        "erase-error",
        "FW_UPGRADE or FW_DELETE while BSY, CFGBSY or PES is set.",
        "unknown; ERSERROR was reported once, without a cause",
    )
    fus_flash_work: Literal["shown", "hidden"] = _setting(
        "shown",
        "Whether SR shows FUS's own flash work, which fails (06, 07) when CPU1 erases, programs or sets PES meanwhile.",
        "unknown; both cores share one controller",
    )

    # --- FUS: images
    search: Literal["first", "last"] = _setting(
        "first", "Which footer counts when there are several.", "ST: FUS searches from the beginning of flash"
    )
    second_image: Literal["not-authentic", "ignored"] = _setting(
        "not-authentic", "A second, stale image below SFSA.", "MicroPython and ST report IMG_NOT_AUTHENTIC"
    )
    short_sector_count: Literal["installs", "not-authentic"] = _setting(
        "installs",
        "An image whose footer counts one sector too few.",
        "Thread_FTD of v1.6.0 does, and ST released it",
    )
    same_version: Literal["rollback", "installs"] = _setting(
        "rollback", "The version that is installed already.", "MicroPython saw 0x11"
    )
    fus2_image_error: int = _setting(
        0x03,
        "Error of FUS 1 for an image in the format for FUS 2.",
        "two bench logs: IMG_NOT_AUTHENTIC on FUS 1.2.0",
        most=LARGEST_CODE,
        code=True,
    )
    fus_path_error: int = _setting(
        0x03,
        "Error for a FUS image that this FUS cannot install.",
        "unknown; 0.5.3 reported NOT_AUTHENTIC",
        most=LARGEST_CODE,
        code=True,
    )
    fus1_needs_spare: bool = _setting(
        True,
        "Whether FUS insists on two spare sectors above a FUS 1.x image on 1 MiB.",
        "ST's tables place them two sectors below the formula",
    )
    lower_address: Literal["in-place", "moved-up", "erased"] = _setting(
        "in-place",
        "A stack staged below its table address: it stays there, is moved up, or is erased with error 08.",
        "ST; one report each of the others",
    )
    update_placement: Literal["moved-up", "in-place"] = _setting(
        "moved-up", "A stack over a stack: it takes the old one's end, or stays.", "ST, a broken board; a report"
    )
    larger_update: Literal["one-sector", "difference"] = _setting(
        "one-sector",
        "Extra room for a larger stack over a smaller one.",
        "ST's tested rule; AN5185 wants 2 x new - old",
    )
    small_part_lock: bool = _setting(
        True,
        "Whether FUS before 1.0.2 on C, E and Y parts locks them permanently on anything but FUS 1.0.2 or newer.",
        "ST: may lock",
    )

    # --- FUS: operations
    delete_resets: bool = _setting(True, "Whether FW_DELETE ends with a reset.", "psdb: may involve a reboot")
    stack_resets: int = _setting(
        2, "Resets of a stack install.", "psdb: multiple; a field report: one", most=LARGEST_CODE
    )
    fus_resets: int = _setting(4, "Resets of a FUS update.", "psdb counts 3 to 4, 'at least 4'", most=LARGEST_CODE)
    fus_update_erases: bool = _setting(
        False, "Whether the staged image is gone after a FUS update.", "unknown; a copy left behind is a trap"
    )
    fus_over_stack: Literal["dead", "refused"] = _setting(
        "dead", "A FUS update over an installed stack.", "everybody deletes first; unknown"
    )
    interrupted_write: Literal["dead", "abort"] = _setting(
        "dead", "Reset or power loss while FUS writes.", "boards stayed dead; the code USRABORT exists"
    )
    user_key_lock: Literal["until-reset", "for-ever"] = _setting(
        "until-reset", "How long LOCK_USR_KEY lasts.", "ST's wiki: until the next system reset; shci.h: permanently"
    )
    safeboot_recovers: bool = _setting(
        True,
        "Whether damaged option bytes with FUS 1.1.0 or newer end in a factory reset.",
        "ST: they do; some boards did not react",
    )
    ese_clear: Literal["fus-lost", "ignored"] = _setting(
        "fus-lost", "Clearing ESE.", "FUS was lost on at least one part (a report to Black Magic Probe)"
    )
    stack_hard_faults: bool = _setting(
        False, "Whether the stack faults at its start, after a good install.", "one custom board with FUS 2.2.0"
    )


# --- the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One behaviour as users see it. `field` is the name in `Behaviour`; the others are text."""

    name: str
    field: str
    default: str
    choices: str
    meaning: str
    source: str


def settings() -> tuple[Setting, ...]:
    """Return every behaviour, in the order of the table."""
    hints = typing.get_type_hints(Behaviour)
    return tuple(
        Setting(
            name=field.name.replace("_", "-"),
            field=field.name,
            default=_shown(field, field.default),
            choices=_choices(field, hints[field.name]),
            meaning=field.metadata["meaning"],
            source=field.metadata["source"],
        )
        for field in dataclasses.fields(Behaviour)
    )


def value_text(behaviour: Behaviour, setting: Setting) -> str:
    """Return the present value of one behaviour as `sim set` takes it."""
    return _shown(_fields()[setting.field], getattr(behaviour, setting.field))


def with_settings(behaviour: Behaviour, texts: Iterable[str]) -> Behaviour:
    """Return the behaviour with each `NAME=VALUE` applied.

    Raises:
        SettingError: a name or a value is not in the table.
    """
    fields, hints = _fields(), typing.get_type_hints(Behaviour)
    values: dict[str, Any] = {}
    for text in texts:
        name, is_given, value = text.partition("=")
        field = fields.get(name.replace("-", "_"))
        if not is_given or field is None or "_" in name:
            raise SettingError(f"{text!r}: not a behaviour; `flasher sim set BOARD` lists them")
        values[field.name] = _parsed(field, hints[field.name], value)
    return dataclasses.replace(behaviour, **values)


def is_possible(behaviour: Behaviour) -> bool:
    """Whether every number is within its limit: choices are checked where a board is read."""
    numbers = ((field, getattr(behaviour, field.name)) for field in _fields().values() if field.metadata["most"])
    return all(0 <= value <= field.metadata["most"] for field, value in numbers)


def _fields() -> dict[str, "dataclasses.Field[Any]"]:
    return {field.name: field for field in dataclasses.fields(Behaviour)}


def _shown(field: "dataclasses.Field[Any]", value: Any) -> str:
    if isinstance(value, bool):
        if value:
            return "on"
        return "off"
    if field.metadata["code"]:
        return f"0x{value:02X}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _choices(field: "dataclasses.Field[Any]", hint: Any) -> str:
    if hint is bool:
        return "on|off"
    if typing.get_origin(hint) is Literal:
        return "|".join(_shown(field, value) for value in typing.get_args(hint))
    return f"{_shown(field, hint(0))} to {_shown(field, hint(field.metadata['most']))}"


def _parsed(field: "dataclasses.Field[Any]", hint: Any, text: str) -> Any:
    if hint is float or hint is int:
        value = _number(hint, text)
        if 0 <= value <= field.metadata["most"]:
            return value
    else:
        values = (True, False) if hint is bool else typing.get_args(hint)
        for value in values:
            if _shown(field, value) == text:
                return value
    name = field.name.replace("_", "-")
    raise SettingError(f"{name}={text}: the choices are {_choices(field, hint)}")


def _number(kind: type, text: str) -> float:
    """The number, or NaN, which is in no range."""
    try:
        if kind is int:
            return int(text, 0)
        return float(text)
    except ValueError:
        return math.nan
