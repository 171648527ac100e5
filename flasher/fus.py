"""CPU2 over the mailbox: start it, ask it, have FUS work, and live through the resets that FUS makes.

A reset is an event: it is seen by C2BOOT, which every reset clears, and what was volatile is built again. A command
whose outcome is unknown is not sent again before the state was read. Sources: psdb (ipc.py, fus_client.py,
ws_client.py), MicroPython (rfcore_firmware.py), shci.h.
"""

import struct
from collections.abc import Callable
from contextlib import suppress

from flasher import mailbox
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.errors import ChipError, FusError, ProbeError, SilentError, StillAtWorkError
from flasher.mailbox import OURS, Answer, DeviceInfo, Places
from imagekit import explanations
from imagekit.errors import ExplanationError

POLL_SECONDS = 0.1
READY_SECONDS = 15.0
ANSWER_SECONDS = 33.0  # ST's own limit for a system command; the first answer after FW_UPGRADE took 3.6 s
GIVE_WAY_ATTEMPTS = 10
IDLE_SECONDS = 10.0
"""How long FUS must be idle, and nothing done, before that counts as an answer."""
BLIND_SECONDS = 120.0
DELETE_SECONDS, UPGRADE_SECONDS, START_SECONDS = 120.0, 600.0, 60.0
"""No source has a limit; logs show 7 s, 12 s and one reset."""
_ERROR, _NOT_RUNNING, _UNKNOWN = 0xFF, 0xFE, 0xFF

Say = Callable[[str, str], None]


class Cpu2:
    """The radio core. `say` is told of resets and of FUS's states.

    `is_taken`: it runs, or ran, with our mailbox. `is_unsettled`: FUS may be at work, as long as nobody has asked;
    nobody may reset the chip then or take its power.
    """

    def __init__(self, chip: ChipDriver, say: Say, *, is_pending: bool = False) -> None:
        self.chip, self._say = chip, say
        self.is_taken, self.is_unsettled = False, True
        self._is_known = not is_pending
        """Whether FUS was seen idle since a run that broke off: a single idle answer may not be the end of that."""
        self._places = OURS
        self._info: DeviceInfo | None = None

    @property
    def info(self) -> DeviceInfo:
        """What CPU2 said of itself when it was last started or asked."""
        assert self._info is not None  # noqa: S101 - begin() comes first
        return self._info

    # --- taking over

    def peek(self) -> DeviceInfo | None:
        """Look at a CPU2 that somebody else has started, without touching anything; None when nothing can be told."""
        rdp = self.chip.word(reg.OPTION_REGISTERS["OPTR"]) & reg.RDP_MASK
        return self._adopted()[1] if rdp == reg.RDP_LEVEL_0 and self._is_started() else None  # else SRAM2 is shut

    def begin(self) -> DeviceInfo:
        """Take CPU2 over: wait for what FUS is doing, then run with our own mailbox, CPU1 halted."""
        self.is_taken = True
        for attempt in range(3):
            self.is_unsettled = True
            try:
                self._take_over()
                if self.info.is_fus:
                    self._greet()
                self.is_unsettled = False
            except ProbeError:
                if attempt == 2:
                    raise
                self._relink()
            else:
                return self.info
        raise AssertionError  # the loop returns or raises

    def _take_over(self) -> None:
        self.chip.quieten()
        if not self._is_started():
            self._start()
            return
        if self.is_ours():
            self._await()  # a run that broke off has started it
        places, info = self._adopted()
        if places != OURS:
            self._info = None
        if _dead(self.chip.word(reg.SRAM2A)) is not None:
            places = info = None  # CPU2 hangs: nothing is at work that a reset could hurt
        elif info is not None and places is not None and info.is_fus:
            self._places, self._info = places, info
            self._settle()
        elif not self._boots_stack():
            self._watch_blindly()
        self.is_unsettled = False
        if self._places != OURS or self._info is None:
            self.restart()

    def _boots_stack(self) -> bool:
        """Whether what CPU2 has booted is a stack: SBRV points where SFSA does (dumps of boards)."""
        options, target = self.chip.options(), self.chip.identity.target
        return reg.FLASH_BASE + options.sbrv * 4 == target.sector_address(options.sfsa) < target.limit

    def _watch_blindly(self) -> None:
        """Wait until FUS must be idle that was started without a mailbox, so that it cannot be asked.

        Nobody can have given it work, but it may go on with what it began before a reset. In every log it resets the
        chip or has the flash busy long before this is over. Raises StillAtWorkError when it does so.
        """
        self._say("state", f"FUS was started without a mailbox, and is watched for {BLIND_SECONDS:g} s")
        end = self.chip.clock.now() + BLIND_SECONDS
        while self.chip.clock.now() < end:
            if not self._is_started() or self.chip.word(reg.FLASH_SR) & reg.SR_BUSY:
                raise StillAtWorkError(
                    "FUS is at work, and cannot be asked: leave the board powered, and run this again"
                )
            self.chip.clock.sleep(POLL_SECONDS * 5)

    def _greet(self) -> None:
        """Ask FUS for its state. The first answer of a chip's life may be FF/FF; ST resets once then (BLE_Ota)."""
        if self._settle() == _UNKNOWN:
            self.restart()
            if self._settle() == _UNKNOWN:
                raise ChipError("FUS answers UNKNOWN to every question (FF/FF), also after a reset")

    def _settle(self) -> int:
        """Wait until FUS is idle; its error byte. FF/FF tells of nothing, and counts only when it comes twice."""
        self.is_unsettled = True
        for _ in range(2):
            answer = self._watch("what it is doing", UPGRADE_SECONDS, lambda: self._is_known)
            if answer is None or answer.error != _UNKNOWN:
                break
        self.is_unsettled, self._is_known = False, True
        return answer.error if answer else 0

    def _adopted(self) -> tuple[Places | None, DeviceInfo | None]:
        """The mailbox that CPU2 was started with, as far as it makes sense, and what the table in it says."""
        info_at, _, _, system_at = struct.unpack("<4I", self.chip.probe.read(reg.SRAM2A, 16))
        info = self._read_info(info_at) if _is_in_sram2(info_at, mailbox.TABLE_SIZE) else None
        if info is None or not _is_in_sram2(system_at, 8):
            return None, info
        command = self.chip.word(system_at)
        return (Places(command, info_at) if _is_in_sram2(command, mailbox.ANSWER_SIZE) else None), info

    def _read_info(self, address: int) -> DeviceInfo | None:
        """The device information table; None when it holds nothing that a chip could say."""
        info = mailbox.parse_device_info(self.chip.probe.read(address, mailbox.TABLE_SIZE))
        return info if info.fus.major + info.fus.minor > 0 and info.fus.major < 16 else None

    # --- starting

    def is_ours(self) -> bool:
        """Whether CPU2 runs with the mailbox that it was started with here, and so was not reset since."""
        head = struct.unpack("<4I", self.chip.probe.read(reg.SRAM2A, 16))
        return self._is_started() and head[:4:3] == _HEAD

    def _is_started(self) -> bool:
        return bool(self.chip.word(reg.PWR_CR4) & reg.C2BOOT)

    def restart(self) -> None:
        """Reset the chip and start CPU2 again. Never while FUS may be busy."""
        assert not self.is_unsettled  # noqa: S101 - boards died of that
        self.chip.reset()
        self._start()

    def _start(self) -> None:
        """Give CPU2 a mailbox and let it go (psdb, ipc.py: tables, clock, C2BOOT)."""
        chip = self.chip
        if chip.has_damaged_options():
            self.is_unsettled = False  # whatever was at work, is no more
            raise ChipError("the option bytes are damaged (SFSA 0): CPU2 started now would erase all of the user flash")
        self._info, self._places = None, OURS
        chip.quieten()
        chip.probe.write(reg.SRAM2A, mailbox.tables())
        self._clock_ipcc()
        chip.put(reg.PWR_CR4, chip.word(reg.PWR_CR4) | reg.C2BOOT)
        self._await()

    def _await(self) -> None:
        """Wait until CPU2 is up and has told who it is. Raises ChipError for one that hangs, SilentError."""
        end = self.chip.clock.now() + READY_SECONDS
        while True:
            self.chip.clock.sleep(POLL_SECONDS)
            self._refuse_magic(self.chip.word(reg.SRAM2A))
            is_told = bool(self.chip.word(reg.C2TOC1SR) & reg.SYSTEM_CHANNEL)
            if (info := self._read_info(OURS.info)) is not None:
                break
            if self.chip.clock.now() >= end:
                raise SilentError(f"CPU2 was started and is not up after {READY_SECONDS:g} s")
        if is_told:
            self._take_event()
        self._info = info

    def _take_event(self) -> None:
        """Take the ready event off the queue's head; FUS does not keep the tail (psdb)."""
        node = self.chip.word(mailbox.QUEUE)
        if _is_in_sram2(node, 16) and node != mailbox.QUEUE:
            self.chip.put(mailbox.QUEUE, self.chip.word(node))
        self.chip.put(reg.C1SCR, reg.SYSTEM_CHANNEL)

    def _refuse_magic(self, word: int) -> None:
        """Raise ChipError for what a CPU2 that died leaves behind (notes of v1.21.0; Flipper): at work no more."""
        if (told := _dead(word)) is not None:
            self.is_unsettled = False
            raise ChipError(f"CPU2 hangs, and left 0x{word:08X}: {told.title}; {told.todo[0]}")

    def _follow(self) -> None:
        """Notice a reset, and build again what it took; notice a mailbox that an application has put in place."""
        if not self._is_started():
            self._say("reset", "the chip was reset")
            self._start()
            return
        head = struct.unpack("<4I", self.chip.probe.read(reg.SRAM2A, 16))
        self._refuse_magic(head[0])
        if self._places == OURS and head[:4:3] != _HEAD:
            places, info = self._adopted()
            if not self._is_started():  # a reset came between the two looks
                self._follow()
                return
            if places is None or info is None:
                raise ChipError("the application has started CPU2 in between, without a mailbox that could be used")
            self._places, self._info = places, info
        elif self._info is None:
            self._await()

    # --- asking

    def _ask(self, opcode: int) -> Answer | None:
        """Send a command and wait for the answer; None when the chip was reset instead."""
        chip = self.chip
        self._await_free()
        chip.probe.write(self._places.command, mailbox.command(opcode))
        chip.put(reg.C1SCR, reg.SEND_ON_SYSTEM_CHANNEL)
        self._await_free()
        if not self._is_started():
            return None
        data = chip.probe.read(self._places.command, mailbox.ANSWER_SIZE)
        try:
            return mailbox.parse_answer(data, opcode)
        except ChipError:
            if self._is_started():
                raise
            return None

    def _await_free(self) -> None:
        """Wait until the system channel is free: CPU2 has answered, or a reset has cleared the flag."""
        what = "CPU2 answers on the system channel"
        self.chip.wait_for(reg.C1TOC2SR, reg.SYSTEM_CHANNEL, 0, ANSWER_SECONDS, POLL_SECONDS, what)

    def _relink(self) -> None:
        """Reach the chip again, and IPCC's clock, which a reset has stopped if it came just before CPU2 was started."""
        self.chip.reconnect()
        with suppress(ProbeError):
            self._clock_ipcc()

    def _clock_ipcc(self) -> None:
        enabled = self.chip.word(reg.RCC_AHB3ENR)
        if not enabled & reg.IPCCEN:
            self.chip.put(reg.RCC_AHB3ENR, enabled | reg.IPCCEN)

    def _watch(self, what: str, seconds: float, is_done: Callable[[], bool]) -> Answer | None:
        """Follow FUS until it is done, through resets and lost links; else what it said when it stopped.

        None: done. The first answer with an error, once FUS is idle or stays so; or an idle one after IDLE_SECONDS in
        which nothing was done. Raises StillAtWorkError when FUS is at work for longer than `seconds`.
        """
        clock = self.chip.clock
        end, still_until, error = clock.now() + seconds, None, None
        while clock.now() < end:
            answer = self._tried()
            error = error or (answer if answer is not None and answer.error and self.info.is_fus else None)
            if answer is None:
                still_until = None
            elif error is not None and not answer.status:
                return error
            elif error is None and is_done():
                return None
            elif clock.now() >= (still_until := still_until or clock.now() + IDLE_SECONDS):
                return error or answer
            clock.sleep(POLL_SECONDS)
        raise StillAtWorkError(
            f"FUS has not finished {what} after {seconds:g} s: leave the board powered and alone, and run this again"
        )

    def _tried(self) -> Answer | None:
        """As _stopped; None also when the link was lost and is there again, or FUS takes its time."""
        try:
            return self._stopped()
        except ProbeError:
            self._relink()
        except SilentError:  # no source has a limit for FUS between two of its resets
            pass
        return None

    def _stopped(self) -> Answer | None:
        """What FUS says when it is idle or tells of an error, or FF/FE when a stack runs; None while it is at work.

        Any other state than idle is work, documented or not. An error may be told before FUS is idle (logs).
        """
        self._follow()
        if not self.info.is_fus:
            return Answer(_ERROR, _NOT_RUNNING)
        answer = self._ask(mailbox.GET_STATE)
        if answer is None:
            return None
        self._say("state", _state_text(answer))
        # Towards the end of an installation FF comes without an error, and with FE, and passes (MicroPython).
        is_passing = answer.status == _ERROR and answer.error in (0, _NOT_RUNNING)
        if is_passing or (answer.status and not answer.error):
            return None
        self._info = self._read_info(self._places.info) or self._info
        return answer

    # --- what FUS is told to do

    def enter_fus(self) -> None:
        """Have a running stack give way to FUS: the second GET_STATE resets the chip (shci.h)."""
        for _ in range(GIVE_WAY_ATTEMPTS):
            try:
                self._follow()
                if self.info.is_fus:
                    self._greet()
                    return
                self._ask(mailbox.GET_STATE)
            except ProbeError:
                self._relink()
            self.chip.clock.sleep(POLL_SECONDS)
        raise ChipError(f"the stack does not give way to FUS after {GIVE_WAY_ATTEMPTS} requests")

    def delete_stack(self) -> None:
        """Have FUS delete the stack. What its table and SFSA say after a reset counts, whatever FUS said before.

        Without one they may be those of FUS's start, and a stack that an earlier run had deleted is still in them.
        Raises FusError, ChipError.
        """
        target, problem = self.chip.identity.target, None

        def signs() -> tuple[bool, bool]:
            return self.info.stack is None, target.sector_address(self.chip.options_sfsa()) >= target.limit

        if all(signs()):
            return
        try:
            self._operate(mailbox.FW_DELETE, "deleting the stack", DELETE_SECONDS, lambda: any(signs()))
        except ChipError as error:
            if self.is_unsettled:
                raise
            problem = error
        if problem or not all(signs()):
            self.restart()
        if not all(signs()):
            raise problem or ChipError("FUS has deleted the stack, and still tells of one; run this again")

    def upgrade(self, what: str, is_done: Callable[[DeviceInfo], bool]) -> None:
        """Have FUS install what is staged. Raises FusError, ChipError."""
        self._operate(mailbox.FW_UPGRADE, what, UPGRADE_SECONDS, lambda: is_done(self.info))

    def start_stack(self) -> None:
        """Have FUS start the installed stack. Raises FusError, ChipError."""
        self._operate(mailbox.START_WS, "starting the stack", START_SECONDS, lambda: not self.info.is_fus)

    def _operate(self, opcode: int, what: str, seconds: float, is_done: Callable[[], bool]) -> None:
        """Send a command once, and follow it to its end. Whether to send it again, the next run decides."""
        self.is_unsettled = True
        answer, lost = self._send(opcode)
        ended = self._watch(what, seconds, is_done)
        self.is_unsettled = False
        if ended is not None and ended.error and is_done():
            return  # what the chip proves outranks what FUS said on the way
        if ended is not None and lost is not None and not ended.error:
            raise lost  # FUS is idle: the command never reached it
        if ended is not None:
            raise _refusal(what, answer if answer is not None and answer.status and not ended.error else ended)

    def _send(self, opcode: int) -> tuple[Answer | None, ProbeError | None]:
        """Send a FUS command once: the answer, if there is one; what went wrong with the link."""
        try:
            return self._ask(opcode), None
        except ProbeError as error:
            self._relink()
            return None, error
        except SilentError:  # rung, and not answered yet
            return None, None


_HEAD = (OURS.info, struct.unpack_from("<I", mailbox.tables(), 0x0C)[0])


def _dead(word: int) -> explanations.Explanation | None:
    """What the word at the start of SRAM2A tells of a CPU2 that died; None when it tells of nothing."""
    return explanations.magic_word(word) if word != mailbox.FUS_TABLE else None


def _is_in_sram2(address: int, size: int) -> bool:
    """Whether a place for whole words lies in SRAM2 (CMSIS: 64 KiB from SRAM2A on)."""
    return address >= reg.SRAM2A and address + size <= reg.SRAM2A + 64 * 1024 and not address % 4


def _state_text(answer: Answer) -> str:
    """A state in words; FF passes more often than not, so it stands there with its error alone."""
    try:
        told = explanations.fus_state(answer.status).title if answer.status != _ERROR else f"error 0x{answer.error:02X}"
    except ExplanationError:
        told = "not documented"
    return f"0x{answer.status:02X} {told}"


def _refusal(what: str, answer: Answer) -> ChipError:
    """The error for what FUS said, with its meaning and what to do."""
    if not answer.error:
        state = f"0x{answer.status:02X}"
        return ChipError(f"FUS stopped, and nothing came of {what}: state {state}, no error; run this again")
    code = f"state 0x{answer.status:02X}, error 0x{answer.error:02X}"
    try:
        told = explanations.fus_error(answer.error)
    except ExplanationError:
        return FusError(f"FUS ended {what} with an error that is not documented ({code})", answer.status, answer.error)
    return FusError(
        f"FUS ended {what} with {told.name} ({code}): {told.title}; {told.todo[0]}", answer.status, answer.error
    )
