"""What a whole log means: what happened, what state the chip is probably in, and the one next command."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from imagekit.doctor.chip_report import ChipReport, Running
from imagekit.doctor.log import LogEntry, LogReading
from imagekit.doctor.messages import Message, MessageSeverity
from imagekit.explanations import Group


class Event(Enum):
    """What a line shows; the value is how the story tells it."""

    DELETE_STARTED = "the stack was deleted"
    NOTHING_TO_DELETE = "FUS found no image or no stack"
    FUS_UPGRADE = "FUS was upgrading itself"
    STACK_INSTALL = "FUS was installing a stack"
    SUCCESS = "the tool reported success"
    NOT_AUTHENTIC = "FUS refused an image as not authentic"
    NO_ROOM = "FUS found too little room"
    OTHER_FUS_ERROR = "FUS reported an error"
    FUS_RUNS = "FUS ran in place of the stack"
    STACK_RUNS = "the wireless stack ran"
    NVM = "CPU2 was saving or restoring bonding data"
    CPU2_FAULT = "CPU2 crashed"
    CPU2_SECURITY = "CPU2 stopped because a mailbox pointer lies outside its RAM"
    OPTION_BYTES = "the option bytes are damaged or could not be changed"
    READ_PROTECTED = "the chip is read-protected"
    BOOT_BITS = "the boot option bytes could not be written"
    SECURE_SECTORS = "sectors that belong to CPU2 could not be erased or programmed"
    NOT_CONNECTED = "the tool could not connect"
    CLEARED = "SRAM2 read as zero"
    RADIO_SILENT = "the application got no answer from the radio"
    WRONG_STACK = "the application found another stack than it expects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A log in three lines."""

    happened: str
    state: str
    next: str
    decisive: Event | None = None
    """The event that decides; None when only a chip's report was read."""

    @property
    def ends_well(self) -> bool:
        """Whether the last thing that happened is a success, so that earlier errors were overcome."""
        return self.decisive in (Event.SUCCESS, Event.STACK_RUNS)


_BY_NAME = {
    "SERVICE_ONGOING": Event.DELETE_STARTED,
    "IMG_NOT_FOUND": Event.NOTHING_TO_DELETE,
    "FUS_UPGRD_ONGOING": Event.FUS_UPGRADE,
    "FW_UPGRD_ONGOING": Event.STACK_INSTALL,
    "IMG_NOT_AUTHENTIC": Event.NOT_AUTHENTIC,
    "IMG_NOT_ENOUGH_SPACE": Event.NO_ROOM,
    "IMG_CORRUPT": Event.OTHER_FUS_ERROR,
    "IMAGE_ERSERROR": Event.OTHER_FUS_ERROR,
    "IMAGE_WRTERROR": Event.OTHER_FUS_ERROR,
    "IMAGE_USRABORT": Event.OTHER_FUS_ERROR,
    "AUTH_TAG_ST_NOTFOUND": Event.NOT_AUTHENTIC,
    "AUTH_TAG_CUST_NOTFOUND": Event.NOT_AUTHENTIC,
    "FW_ROLLBACK_ERROR": Event.OTHER_FUS_ERROR,
    "NO_VALID_SIGNATURE": Event.NOTHING_TO_DELETE,
    "CPU2_HARD_FAULT": Event.CPU2_FAULT,
    "IPCC_MEM_INCORRECT": Event.CPU2_SECURITY,
    "OB_FUS_SELECTED": Event.FUS_RUNS,
    "SHCI_FUS_CMD_NOT_SUPPORTED": Event.FUS_RUNS,
    "NVM_BACKUP_RUNNING": Event.NVM,
    "NVM_RESTORE_RUNNING": Event.NVM,
    "INFO_STACK_TYPE_NVM_BACKUP": Event.NVM,
    "INFO_STACK_TYPE_NVM_RESTORE": Event.NVM,
    "OB_SFSA_ZERO": Event.OPTION_BYTES,
    "OB_DAMAGE": Event.OPTION_BYTES,
    "OB_COMPLEMENT": Event.OPTION_BYTES,
    "INVALID_OB": Event.OPTION_BYTES,
    "OB_RDP_1": Event.READ_PROTECTED,
    "OB_RDP_2": Event.READ_PROTECTED,
    "OB_BOOT": Event.BOOT_BITS,
    "EXCEEDS_MEMORY_LIMITS": Event.SECURE_SECTORS,
    "OB_WRP": Event.SECURE_SECTORS,
    "FUS_VERSION_ZERO": Event.CLEARED,
}
_BY_TEXT = {
    "Firmware Upgrade Success": Event.SUCCESS,
    "WIRELESS_FW_RUNNING": Event.STACK_RUNS,
    "Deleting firmware": Event.DELETE_STARTED,
    "No STM32 target found": Event.NOT_CONNECTED,
    "DEV_TARGET_HELD_UNDER_RESET": Event.NOT_CONNECTED,
    "failed to reconnect after starting FUS operator": Event.NOT_CONNECTED,
    "failed to reconnect after reset": Event.NOT_CONNECTED,
    "No STM32 device in DFU mode connected": Event.NOT_CONNECTED,
    "tl_ble_wait_resp: timeout": Event.RADIO_SILENT,
    "tl_sys_wait_ack: timeout": Event.RADIO_SILENT,
    "C2 timeout": Event.RADIO_SILENT,
    "Core2 startup failed": Event.RADIO_SILENT,
    "Failed to start C2": Event.RADIO_SILENT,
    "shci_cmd_resp_wait": Event.RADIO_SILENT,
    "unsupported radio stack": Event.WRONG_STACK,
    "Incorrect radio stack, replace with HciLayer for tests": Event.WRONG_STACK,
    "CPU2 wireless FW mismatch: found v{num}.{num}.{num},expected v{num}.{num}.{num}": Event.WRONG_STACK,
    "CPU2 wireless FW build mismatch: found stack={name},expected {name}": Event.WRONG_STACK,
    "ERROR : ERR_THREAD_CHECK_WIRELESS": Event.WRONG_STACK,
    "ERROR : ERR_ZIGBEE_CHECK_WIRELESS": Event.WRONG_STACK,
    "Sector erase operation failed": Event.SECURE_SECTORS,
}

_PROGRESS = (Event.DELETE_STARTED, Event.STACK_INSTALL, Event.FUS_UPGRADE)

_DUMP = "imagekit explain --option-bytes DUMP --part PART"
_VERDICTS: dict[Event, tuple[str, str]] = {
    Event.CPU2_FAULT: (
        "CPU2 stopped with a hard fault; FUS and stack are still installed",
        "remove the power once and try again; then `imagekit explain CPU2_HARD_FAULT`",
    ),
    Event.CPU2_SECURITY: (
        "CPU2 stopped; FUS and stack are still installed, and the application must be changed",
        "`imagekit check STACK.bin --part PART --app APP.elf` checks the application's mailbox and RAM",
    ),
    Event.READ_PROTECTED: (
        "read protection is on: neither flash nor SRAM2 can be read over the debug port",
        f"`{_DUMP}` says whether and how it can be lifted",
    ),
    Event.OPTION_BYTES: ("the option bytes must be looked at before anything else", f"`{_DUMP}`"),
    Event.BOOT_BITS: (
        "FUS was not started: the helper program needs the boot option bytes",
        f"read all option bytes, then `{_DUMP}`",
    ),
    Event.NVM: (
        "CPU2 may still be at work: do NOT power off or reset the board",
        "wait, then `flasher info`",
    ),
    Event.SECURE_SECTORS: (
        "nothing was damaged: FUS and stack are secure, the address was too high or protected",
        "`imagekit address FILE --part PART --fus VERSION` gives the right address",
    ),
    Event.NO_ROOM: (
        "FUS is idle, and the image is still in flash",
        "`imagekit plan --part PART --fus VERSION FOLDER --want STACK` deletes the old stack first",
    ),
    Event.NOT_AUTHENTIC: (
        "FUS is as it was; the image was not installed",
        "`imagekit inspect FILE` says whether ST signed it and which FUS it needs",
    ),
    Event.NOTHING_TO_DELETE: (
        "no stack is installed, or the image is not where FUS looks for it",
        "`imagekit address FILE --part PART --fus VERSION` gives the address; `flasher info` reads what is installed",
    ),
    Event.OTHER_FUS_ERROR: ("the operation failed, and FUS is still there", "`flasher info` reads what is installed"),
    Event.FUS_RUNS: (
        "FUS is selected, so the radio does not work",
        "`flasher start-stack` (or install a stack, if none is there)",
    ),
    Event.WRONG_STACK: (
        "a stack is installed and is not the one that the application expects",
        "`imagekit catalogue show --for HOST:VERSION` names the right one",
    ),
    Event.RADIO_SILENT: (
        "CPU2 did not answer: not started, FUS selected, or no stack",
        "`flasher info` says which of them",
    ),
    Event.CLEARED: (
        "nothing can be said about FUS: a reset clears SRAM2, so connect without one (mode=HOTPLUG)",
        f"start FUS and read again; when it stays zero: `{_DUMP}`",
    ),
    Event.NOT_CONNECTED: (
        "unknown: the chip was not reached",
        "connect under reset, or with BOOT0 high; then `flasher info`",
    ),
    Event.STACK_INSTALL: (
        "FUS may still be at work: do NOT power off or reset the board",
        "wait, then `flasher info` reads what is installed",
    ),
    Event.FUS_UPGRADE: (
        "FUS may still be at work: do NOT power off or reset the board",
        "wait, then `flasher info` reads which FUS is installed",
    ),
    Event.DELETE_STARTED: ("the stack is probably gone", "`flasher info` reads what is installed"),
    Event.STACK_RUNS: ("the stack is installed and runs", "`imagekit catalogue show --version VERSION` names it"),
    Event.SUCCESS: (
        "probably installed; success of the tool is not proof",
        "`flasher info` reads the versions; `flasher start-stack` when FUS is still selected",
    ),
}
"""Event -> what state the chip is probably in, and the next command."""

_ALWAYS_DECIDES = (Event.CPU2_SECURITY, Event.CPU2_FAULT, Event.READ_PROTECTED, Event.NVM)
"""Events that no later line takes back."""


def story(reading: LogReading) -> Story | None:
    """Tell what a log means; None when nothing in it tells."""
    told = list(_told_events(reading))
    events = [event for event in told if isinstance(event, Event)]
    report = reading.report
    if not events:
        return _of_report(report)
    decisive = _decisive(events)
    state, todo = _VERDICTS[decisive]
    return Story(happened=_told(told), state=_with_versions(state, report), next=todo, decisive=decisive)


def _told_events(reading: LogReading) -> Iterator[Event | str]:
    """Yield what the lines show, and in words that FUS or the stack became another one in between."""
    before = ChipReport()
    for entry in reading.entries:
        yield from _events_of(entry)
        after = entry.report
        if before.fus is not None and after.fus is not None and after.fus != before.fus:
            yield f"FUS {before.fus.text} had become {after.fus.text}"
        before = before.with_newer(after)


def _events_of(entry: LogEntry) -> Iterator[Event]:
    """Yield what one line shows, each event once."""
    seen = [_event_of_message(message) for message in entry.messages]
    for explanation in entry.explanations:
        if explanation.group is not Group.SHCI_STATUS or not any(seen):
            seen.append(_BY_NAME.get(explanation.name))
    if entry.report.is_cleared:
        seen.append(Event.CLEARED)
    if entry.report.running is Running.NVM:
        seen.append(Event.NVM)
    yield from dict.fromkeys(event for event in seen if event is not None)


def _event_of_message(message: Message) -> Event | None:
    """Return what a known line shows. A normal line only shows that something is going on."""
    event = _BY_TEXT.get(message.text)
    if event is not None or message.extends is None:
        return event
    event = _BY_NAME.get(message.extends)
    if message.severity is MessageSeverity.NORMAL and event not in _PROGRESS:
        return None
    return event


def _decisive(events: list[Event]) -> Event:
    """Return the event that decides: one that nothing takes back, else the last one."""
    for event in _ALWAYS_DECIDES:
        if event in events:
            return event
    return events[-1]


def _told(events: list[Event | str]) -> str:
    """Tell the events in their order, without repetitions."""
    told: list[str] = []
    for event in events:
        words = _words(event)
        if not told or told[-1] != words:
            told.append(words)
    if len(told) > _MOST_TOLD:
        told = [*told[:2], "...", *told[2 - _MOST_TOLD :]]
    return ", then ".join(told)


_MOST_TOLD = 8


def _words(event: Event | str) -> str:
    if isinstance(event, Event):
        return event.value
    return event


def _with_versions(state: str, report: ChipReport) -> str:
    known = []
    if report.fus is not None:
        known.append(f"FUS {report.fus.text}")
    if report.stack is not None:
        known.append(f"stack {report.stack.full_text}")
    elif report.has_stack is False:
        known.append("no stack")
    if not known:
        return state
    return f"{', '.join(known)} (last read); {state}"


def _of_report(report: ChipReport) -> Story | None:
    """Tell what a chip's report alone means."""
    if report.is_empty:
        return None
    if report.is_cleared:
        event = Event.CLEARED
    elif report.running is Running.NVM:
        event = Event.NVM
    elif report.running is Running.STACK:
        event = Event.STACK_RUNS
    elif report.running is Running.FUS and report.has_stack:
        event = Event.FUS_RUNS
    else:
        return Story(
            happened="the chip was read",
            state=_with_versions("no fault is visible in this", report),
            next=f"`imagekit plan --part PART --fus {_fus(report)} FOLDER --want STACK` plans the way to a stack",
        )
    state, todo = _VERDICTS[event]
    return Story(happened="the chip was read", state=_with_versions(state, report), next=todo)


def _fus(report: ChipReport) -> str:
    if report.fus is None:
        return "VERSION"
    return report.fus.text
