"""FUS: wait until it is idle, give it one command at a time, and follow it through its resets.

A command whose outcome is unknown is never sent again before the state was read. Sources: psdb (fus_client.py),
MicroPython (rfcore_firmware.py), shci.h.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flasher import mailbox
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.cpu2 import POLL_SECONDS, Contact, Cpu2, Say
from flasher.errors import ChipError, FusError, ProbeError, SilentError, StillAtWorkError
from flasher.mailbox import OURS, Answer, DeviceInfo
from flasher.retry import Wait, retry, wait_until
from imagekit import explanations
from imagekit.errors import ExplanationError

IDLE_SECONDS = 10.0
"""How long FUS must be idle without a result before that counts as its answer."""
WITHOUT_MAILBOX = Wait("FUS that cannot be asked stays quiet", 120.0, POLL_SECONDS * 5)
"""In every log FUS resets the chip or keeps the flash busy long before this is over."""
SETTLE = Wait("what it was doing", 600.0, POLL_SECONDS)
DELETE = Wait("deleting the stack", 120.0, POLL_SECONDS)
UPGRADE = Wait("the installation", 600.0, POLL_SECONDS)
START = Wait("starting the stack", 60.0, POLL_SECONDS)
"""No source has a limit for these. Logs show 7 s, 12 s and one reset."""
_ENTER_ATTEMPTS, _TAKE_OVER_ATTEMPTS = 10, 3
_ERROR, _NOT_RUNNING, _UNKNOWN = 0xFF, 0xFE, 0xFF
_STACK_RUNS = Answer(_ERROR, _NOT_RUNNING)
"""What counts as the answer while a stack runs."""


@dataclass(slots=True)
class _Watch:
    """Judges the answers of FUS during one operation. `is_done`: whether the chip shows the result."""

    is_done: Callable[[], bool]
    error: Answer | None = None
    """The first answer with an error."""
    quiet_since: float | None = None

    def judge(self, answer: Answer | None, now: float) -> "_End | None":
        """Return the end of the operation, or None while FUS works. An answer of None means that it works."""
        if answer is None:
            self.quiet_since = None
            return None
        if self.error is not None and answer.status == 0:
            return _End(self.error)
        if self.error is None and self.is_done():
            return _End(None)
        if self.quiet_since is None:
            self.quiet_since = now
        if now < self.quiet_since + IDLE_SECONDS:
            return None
        return _End(self.error or answer)


@dataclass(frozen=True, slots=True)
class _End:
    """How an operation ended: None when the chip shows the result, otherwise the answer that FUS ended with."""

    answer: Answer | None


class FusClient(Cpu2):
    """FUS on CPU2. `has_open_step`: a run was interrupted in a step, so one idle answer does not prove its end."""

    def __init__(self, chip: ChipDriver, say: Say, *, has_open_step: bool = False) -> None:
        super().__init__(chip, say)
        self._needs_proof = has_open_step

    # --- taking over

    def begin(self) -> DeviceInfo:
        """Take CPU2 over: wait for what FUS is doing, then run with our own mailbox, CPU1 halted."""
        self.contact = Contact.MAY_BE_BUSY
        retry(self._begin, _TAKE_OVER_ATTEMPTS, ProbeError, self.reconnect)
        return self.info

    def _begin(self) -> None:
        self.contact = Contact.MAY_BE_BUSY
        self._take_over()
        if self.info.is_fus:
            self._first_contact()
        self.contact = Contact.IDLE

    def _take_over(self) -> None:
        self.chip.halt_cpu1()
        if not self.is_started():
            self.start()
            return
        if self.is_ours():
            self.wait_ready()  # an interrupted run has started it
        places, info = self.find_mailbox()
        if places != OURS:
            self._info = None
        if self.is_hung():  # nothing runs that a reset could damage
            self._info = None
        elif places is not None and info is not None and info.is_fus:
            self._places, self._info = places, info
            self._settle()
        elif not self._boots_stack():
            self._watch_without_mailbox()
        self.contact = Contact.IDLE
        if self._places != OURS or self._info is None:
            self.restart()

    def _boots_stack(self) -> bool:
        """Whether CPU2 booted a stack: SBRV points where SFSA does (option bytes of boards)."""
        options, target = self.chip.options(), self.chip.identity.target
        return reg.FLASH_BASE + options.sbrv * 4 == target.sector_address(options.sfsa) < target.limit

    def _watch_without_mailbox(self) -> None:
        """Wait until FUS must be idle that was started without a mailbox, so that it cannot be asked.

        It received no command, but it may continue what it began before a reset. Raises StillAtWorkError when it does.
        """
        clock = self.chip.clock
        self.say("state", f"FUS was started without a mailbox; watching it for {WITHOUT_MAILBOX.limit_s:g} s")
        end = clock.now() + WITHOUT_MAILBOX.limit_s

        def look() -> bool | None:
            if not self.is_started() or self.chip.word(reg.FLASH_SR) & reg.SR_BUSY:
                raise StillAtWorkError("FUS works and cannot be asked")
            return clock.now() >= end or None

        wait_until(clock, WITHOUT_MAILBOX, look)

    def _first_contact(self) -> None:
        """Ask FUS for its state. The first answer of a chip's life may be FF/FF; ST resets once then (BLE_Ota)."""
        if self._settle() != _UNKNOWN:
            return
        self.restart()
        if self._settle() == _UNKNOWN:
            raise ChipError("FUS answers UNKNOWN (FF/FF) to every question, also after a reset")

    def _settle(self) -> int:
        """Wait until FUS is idle, and return its error byte. FF/FF is inconclusive and must come twice."""
        self.contact = Contact.MAY_BE_BUSY
        answer = self._watch(SETTLE.name, SETTLE, self._is_idle_enough)
        if answer is not None and answer.error == _UNKNOWN:
            answer = self._watch(SETTLE.name, SETTLE, self._is_idle_enough)
        self.contact, self._needs_proof = Contact.IDLE, False
        return answer.error if answer else 0

    def _is_idle_enough(self) -> bool:
        return not self._needs_proof

    # --- watching

    def _watch(self, what: str, wait: Wait, is_done: Callable[[], bool]) -> Answer | None:
        """Follow FUS until `is_done` while it does not work, and return None; otherwise its last answer.

        An answer is returned when FUS ended with an error, or is quiet for IDLE_SECONDS and nothing is done.
        Raises StillAtWorkError when FUS still works at the limit.
        """
        watch = _Watch(is_done)

        def look() -> _End | None:
            answer = self._poll()
            if watch.error is None and answer is not None and answer.error and self.info.is_fus:
                watch.error = answer
            return watch.judge(answer, self.chip.clock.now())

        try:
            return wait_until(self.chip.clock, wait, look).answer
        except SilentError as error:
            raise StillAtWorkError(f"FUS has not finished {what} after {wait.limit_s:g} s") from error

    def _poll(self) -> Answer | None:
        """As `_state`. None also when the link was lost and is back, or FUS takes its time."""
        try:
            return self._state()
        except ProbeError:
            self.reconnect()
        except SilentError:  # no source has a limit for FUS between two of its resets
            pass
        return None

    def _state(self) -> Answer | None:
        """Return the answer of FUS when it is idle or reports an error, FF/FE when a stack runs; None while it works.

        Every state other than idle is work, documented or not. An error can come before FUS is idle (logs).
        """
        self.follow()
        if not self.info.is_fus:
            return _STACK_RUNS
        answer = self.ask(mailbox.GET_STATE)
        if answer is None:
            return None
        self.say("state", _state_text(answer))
        # Near the end of an installation FF comes without an error and with FE, and passes (MicroPython).
        is_passing = answer.status == _ERROR and answer.error in (0, _NOT_RUNNING)
        is_working = answer.status != 0 and answer.error == 0
        if is_passing or is_working:
            return None
        self.update_info()
        return answer

    # --- operations

    def enter_fus(self) -> None:
        """Run FUS instead of the stack: the second GET_STATE resets the chip (shci.h)."""
        for _ in range(_ENTER_ATTEMPTS):
            try:
                self.follow()
                if self.info.is_fus:
                    self._first_contact()
                    return
                self.ask(mailbox.GET_STATE)
            except ProbeError:
                self.reconnect()
            self.chip.clock.sleep(POLL_SECONDS)
        raise ChipError(f"FUS does not start after {_ENTER_ATTEMPTS} requests to the running stack")

    def delete_stack(self) -> None:
        """Delete the stack. The device information and SFSA after a reset decide, whatever FUS answered before.

        Before a reset they may date from the start of FUS, and still show a stack that an earlier run deleted.
        Raises FusError, ChipError.
        """
        if self._is_stack_gone():
            return
        problem: ChipError | None = None
        try:
            self._operate(mailbox.FW_DELETE, DELETE.name, DELETE, self._shows_deletion)
        except ChipError as error:
            if self.contact is Contact.MAY_BE_BUSY:
                raise
            problem = error
        if problem is not None or not self._is_stack_gone():
            self.restart()
        if not self._is_stack_gone():
            raise problem or ChipError("FUS has deleted the stack but still reports one; run this again")

    def _is_stack_gone(self) -> bool:
        return self.info.stack is None and self._has_no_secure_stack()

    def _shows_deletion(self) -> bool:
        """Whether one of the two signs of a deletion is there; the other may need a reset."""
        return self.info.stack is None or self._has_no_secure_stack()

    def _has_no_secure_stack(self) -> bool:
        target = self.chip.identity.target
        return target.sector_address(self.chip.sfsa()) >= target.limit

    def upgrade(self, what: str, is_done: Callable[[DeviceInfo], bool]) -> None:
        """Install the staged image. Raises FusError, ChipError."""
        self._operate(mailbox.FW_UPGRADE, what, UPGRADE, lambda: is_done(self.info))

    def start_stack(self) -> None:
        """Start the installed stack. Raises FusError, ChipError."""
        self._operate(mailbox.START_WS, START.name, START, lambda: not self.info.is_fus)

    def _operate(self, opcode: int, what: str, wait: Wait, is_done: Callable[[], bool]) -> None:
        """Send a command once, and follow it to its end. The next run decides whether to send it again."""
        self.contact = Contact.MAY_BE_BUSY
        first, lost = self._send(opcode)
        last = self._watch(what, wait, is_done)
        self.contact = Contact.IDLE
        if last is None or (last.error and is_done()):
            return  # what the chip shows outranks what FUS answered on the way
        if lost is not None and not last.error:
            raise lost  # FUS is idle: the command never reached it
        if first is not None and first.status and not last.error:
            raise _refusal(what, first)
        raise _refusal(what, last)

    def _send(self, opcode: int) -> tuple[Answer | None, ProbeError | None]:
        """Send a FUS command once. Return the answer, if there is one, and what went wrong with the link."""
        try:
            return self.ask(opcode), None
        except ProbeError as error:
            self.reconnect()
            return None, error
        except SilentError:  # sent, and not answered yet
            return None, None


def _state_text(answer: Answer) -> str:
    """Describe a state. FF usually passes, so only its error is named."""
    try:
        title = explanations.fus_state(answer.status).title
    except ExplanationError:
        title = "not documented"
    if answer.status == _ERROR:
        title = f"error 0x{answer.error:02X}"
    return f"0x{answer.status:02X} {title}"


def _refusal(what: str, answer: Answer) -> ChipError:
    """Return the error for an answer of FUS, with its meaning and what to do."""
    state = f"state 0x{answer.status:02X}"
    if not answer.error:
        return ChipError(f"FUS stopped without a result of {what}: {state}, no error; run this again")
    code = f"{state}, error 0x{answer.error:02X}"
    try:
        known = explanations.fus_error(answer.error)
    except ExplanationError:
        return FusError(f"FUS ended {what} with an undocumented error ({code})", answer.status, answer.error)
    text = f"FUS ended {what} with {known.name} ({code}): {known.title}; {known.todo[0]}"
    return FusError(text, answer.status, answer.error)
