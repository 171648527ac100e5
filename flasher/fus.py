"""FUS: wait until it is idle, give it one command at a time, and follow it through its resets.

A command whose outcome is unknown is never sent again before the state was read. Sources: psdb (fus_client.py),
MicroPython (rfcore_firmware.py), shci.h.
"""

from collections.abc import Callable

from flasher import mailbox
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.cpu2 import POLL_SECONDS, Contact, Cpu2, Say
from flasher.errors import ChipError, ProbeError, SilentError, StillAtWorkError
from flasher.fus_answers import (
    ERROR,
    FIRST_CONTACT_LIMITS,
    IDLE_SECONDS,
    NOT_RUNNING,
    PASSING,
    UNKNOWN,
    AnswerWatch,
    Doubt,
    End,
    refusal,
    state_text,
)
from flasher.mailbox import OURS, DeviceInfo, FusAnswer
from flasher.retry import Wait, retry, wait_until
from imagekit.image.model import Version

WITHOUT_MAILBOX = Wait("FUS that cannot be asked stays quiet", 120.0, POLL_SECONDS * 5)
"""In every log FUS resets the chip or keeps the flash busy long before this is over."""
SETTLE = Wait("what it was doing", 600.0, POLL_SECONDS)
DELETE = Wait("deleting the stack", 300.0, POLL_SECONDS)
PURGE = Wait("deleting the stack and the bonding data", 300.0, POLL_SECONDS)
UPGRADE = Wait("the installation", 600.0, POLL_SECONDS)
START = Wait("starting the stack", 300.0, POLL_SECONDS)
"""No source has a limit for these. Logs show 7 s, 12 s and one reset; an NVM job of unknown length can come on top."""
_QUIET_SECONDS = 0.4
"""What each look at a quiet FUS waits in addition."""
_ENTER_ATTEMPTS, _TAKE_OVER_ATTEMPTS = 10, 3
_STACK_RUNS = FusAnswer(ERROR, NOT_RUNNING)
"""What counts as the answer while a stack runs."""
_NVM_SECTION_BYTES = 16 * 1024
"""What FUS 2 keeps secure for bonding data (footers of the images of v1.22.1 to v1.24.0; derived, not measured)."""
_FUS_2 = Version(2, 0, 0)


def _no_open_step() -> bool:
    return False


class FusClient(Cpu2):
    """FUS on CPU2. `has_open_step`: whether a step was begun that has not ended, in this run or an earlier one."""

    def __init__(self, chip: ChipDriver, say: Say, *, has_open_step: Callable[[], bool] = _no_open_step) -> None:
        super().__init__(chip, say)
        self._has_open_step = has_open_step
        self._doubt = Doubt.NONE
        if has_open_step():
            self._doubt = Doubt.OPEN_STEP

    # --- taking over

    def begin(self) -> DeviceInfo:
        """Take CPU2 over: wait for what FUS is doing, then run with our own mailbox, CPU1 halted."""
        before, self.contact = self.contact, Contact.MAY_BE_BUSY
        doubt = Doubt.NONE
        if before is Contact.MAY_BE_BUSY:
            self._doubt = Doubt.OPEN_STEP
        if before is Contact.UNTOUCHED:
            doubt = Doubt.FOUND_RUNNING
        retry(lambda: self._begin(doubt), _TAKE_OVER_ATTEMPTS, ProbeError, self.reconnect)
        return self.info

    def _begin(self, doubt_if_running: Doubt) -> None:
        self.contact = Contact.MAY_BE_BUSY
        self.chip.halt_cpu1()
        if self.is_started():
            if self._doubt is Doubt.NONE:
                self._doubt = doubt_if_running
            self._adopt()
        else:
            self.start()
        self.wait_for_nvm_job()
        if self.info.is_fus:
            self._first_contact()
        self.contact, self._doubt = Contact.IDLE, Doubt.NONE

    def _adopt(self) -> None:
        """Wait for what a running CPU2 does, and restart it with our mailbox if it has another."""
        if self.is_ours():
            self.wait_ready()  # an interrupted run has started it
        places, info = self.find_mailbox()
        if places != OURS:
            self._info = None
        if self.is_hung():  # nothing runs that a reset could damage
            self._info = None
        elif info is not None and info.nvm_job is not None:
            self._info = info
            self.wait_for_nvm_job()
        elif places is not None and info is not None and info.is_fus:
            self.use_mailbox(places, info)
            self._settle()
        elif info is None or not self._boots_stack():
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
        if self._settle() != UNKNOWN:
            return
        self.restart()
        if self._settle() == UNKNOWN:
            raise ChipError("FUS answers UNKNOWN (FF/FF) to every question, also after a reset")

    def _settle(self) -> int:
        """Wait until FUS is idle, and return its error byte. FF/FF is inconclusive and must come twice."""
        self.contact = Contact.MAY_BE_BUSY
        if self._doubt is not Doubt.NONE:
            self.say("state", f"FUS may be between two resets; watching it for {IDLE_SECONDS:g} s")
        first_contact_s = FIRST_CONTACT_LIMITS[self._doubt]
        if self._has_open_step():
            first_contact_s = None  # FF passes near the end of an installation
        answer = self._watch(SETTLE.name, SETTLE, self._has_no_doubt, first_contact_s)
        if answer is not None and answer.error == UNKNOWN:
            answer = self._watch(SETTLE.name, SETTLE, self._has_no_doubt, first_contact_s)
        self.contact, self._doubt = Contact.IDLE, Doubt.NONE
        if answer:
            return answer.error
        return 0

    def _has_no_doubt(self) -> bool:
        return self._doubt is Doubt.NONE

    # --- watching

    def _watch(
        self, what: str, wait: Wait, is_done: Callable[[], bool], first_contact_s: float | None = None
    ) -> FusAnswer | None:
        """Follow FUS until `is_done` while it does not work, and return None; otherwise its last answer.

        An answer is returned when FUS ended with an error, or is quiet for IDLE_SECONDS and nothing is done.
        Raises StillAtWorkError when FUS still works at the limit.
        """
        watch = AnswerWatch(is_done, first_contact_s=first_contact_s)

        def look() -> End | None:
            answer = self._poll()
            if answer is not None and answer in PASSING and self.info.is_fus:
                return watch.judge_ff(answer, self.chip.clock.now())
            if watch.error is None and answer is not None and answer.error and self.info.is_fus:
                watch.error = answer
            if watch.quiet_since is not None:
                self.chip.clock.sleep(_QUIET_SECONDS)
            return watch.judge(answer, self.chip.clock.now())

        try:
            return wait_until(self.chip.clock, wait, look).answer
        except SilentError as error:
            raise StillAtWorkError(f"FUS has not finished {what} after {wait.limit_s:g} s") from error

    def _poll(self) -> FusAnswer | None:
        """As `_state`. None also when the link was lost and is back, or FUS takes its time."""
        try:
            return self._state()
        except ProbeError:
            self.reconnect()
        except SilentError:  # no source has a limit for FUS between two of its resets
            pass
        return None

    def _state(self) -> FusAnswer | None:
        """Return the answer of FUS when it is idle or reports an error, FF/FE when a stack runs; None while it works.

        Every state other than idle is work, documented or not. An error can come before FUS is idle (logs). An NVM job
        is work too, and is not asked.
        """
        self.follow()
        if self.info.nvm_job is not None:
            self._look_at_nvm_job()
            return None
        if not self.info.is_fus:
            return _STACK_RUNS
        answer = self.ask(mailbox.GET_STATE)
        if answer is None:
            return None
        self.say("state", state_text(answer))
        is_working = answer.status != 0 and answer.error == 0
        if answer in PASSING:
            return answer
        if is_working:
            return None
        self.update_info()
        return answer

    def _look_at_nvm_job(self) -> None:
        """Tell about the NVM job, or note that it has ended."""
        job = self.running_nvm_job()
        if job is None:
            self._info = self.find_mailbox()[1] or self._info
        else:
            self.say("state", f"{job.value} is running: do NOT power off or reset the board")

    # --- operations

    def enter_fus(self) -> None:
        """Run FUS instead of the stack: the second GET_STATE resets the chip (shci.h)."""
        for _ in range(_ENTER_ATTEMPTS):
            try:
                self.follow()
                if self.info.nvm_job is not None:  # it gets no command
                    self.wait_for_nvm_job()
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
        before = self.chip.sfsa()

        def is_done() -> bool:  # one of the two signs; the other may need a reset
            return self.info.stack is None or self.chip.sfsa() > before

        try:
            self._operate(mailbox.FW_DELETE, DELETE.name, DELETE, is_done)
        except ChipError as error:
            if self.contact is Contact.MAY_BE_BUSY:
                raise
            problem = error
        if problem is not None or not self._is_stack_gone():
            self.restart()
        if not self._is_stack_gone():
            raise problem or ChipError("FUS has deleted the stack but still reports one; run this again")

    def _is_stack_gone(self) -> bool:
        """Whether no stack is installed. FUS 2 may keep a small secure section with bonding data ."""
        if self.info.stack is not None:
            return False
        secure = self._secure_bytes()
        return secure == 0 or (self.info.fus >= _FUS_2 and secure <= _NVM_SECTION_BYTES)

    def _secure_bytes(self) -> int:
        """Return the bytes of flash below FUS that are secure."""
        target = self.chip.identity.target
        return max(target.limit - target.sector_address(self.chip.sfsa()), 0)

    def purge_nvm(self) -> None:
        """Delete the stack and all bonding data of the radio core. SFSA decides. Raises FusError, ChipError."""
        if self.info.stack is None and not self._secure_bytes():
            return
        problem: ChipError | None = None
        try:
            self._operate(mailbox.FW_PURGE, PURGE.name, PURGE, lambda: not self._secure_bytes())
        except ChipError as error:
            if self.contact is Contact.MAY_BE_BUSY:
                raise
            problem = error
        if self.info.stack is not None or self._secure_bytes():
            self.restart()
        if self.info.stack is not None or self._secure_bytes():
            reason = problem or "FUS is idle, but secure sectors are left below it"
            raise ChipError(f"FUS {self.info.fus.text} has not purged the bonding data: {reason}") from problem

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
            raise refusal(what, first)
        raise refusal(what, last)

    def _send(self, opcode: int) -> tuple[FusAnswer | None, ProbeError | None]:
        """Send a FUS command once. Return the answer, if there is one, and what went wrong with the link."""
        try:
            return self.ask(opcode), None
        except ProbeError as error:
            self.reconnect()
            return None, error
        except SilentError:  # sent, and not answered yet
            return None, None
