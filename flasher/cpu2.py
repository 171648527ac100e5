"""CPU2 through the mailbox: start it, follow it through resets, send it commands.

A reset is an event: it is detected by C2BOOT, which every reset clears, and what was volatile is built again. Sources:
psdb (ipc.py, fus_client.py, ws_client.py), shci.h.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto

from flasher import mailbox
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.errors import ChipError, ProbeError, SilentError, StillAtWorkError
from flasher.mailbox import OURS, DeviceInfo, FusAnswer, NvmJob, Places
from flasher.retry import Wait, wait_until
from imagekit import explanations

POLL_SECONDS = 0.1
READY = Wait("CPU2 is up", 15.0, POLL_SECONDS)
EVENT_SECONDS = 2.0
"""How long the ready event is waited for, once the device information is there. FUS takes milliseconds (psdb)."""
ANSWER = Wait("CPU2 answers on the system channel", 33.0, POLL_SECONDS)
"""ST's own limit for a system command (shci_tl.h, SHCI_TL_DEFAULT_TIMEOUT). After FW_UPGRADE 3.6 s were measured."""
NVM_JOB = Wait("the NVM job", 300.0, 0.5)
"""No source says how long NVM backup and NVM restore take."""

Say = Callable[[str, str], None]
"""Is told of events: `reset` and `state`, each with a text."""


class Contact(Enum):
    """What is known about CPU2 and FUS."""

    UNTOUCHED = auto()
    """Nothing on the chip was changed. It may be doing anything."""
    MAY_BE_BUSY = auto()
    """The chip was taken over, and FUS may be running: no reset, no loss of power."""
    IDLE = auto()
    """The chip was taken over, and nothing runs on it that a reset would damage."""


class Cpu2:
    """The radio core and the mailbox that it was started with. `say` is told of its resets and states."""

    def __init__(self, chip: ChipDriver, say: Say) -> None:
        self.chip, self.say = chip, say
        self.contact = Contact.UNTOUCHED
        self._places = OURS
        self._info: DeviceInfo | None = None

    @property
    def info(self) -> DeviceInfo:
        """The device information that CPU2 gave when it was last started or asked."""
        assert self._info is not None  # noqa: S101 - begin() comes first
        return self._info

    @property
    def is_fus_at_work(self) -> bool:
        """Whether FUS may be running: no reset, no loss of power."""
        return self.contact is Contact.MAY_BE_BUSY

    def peek(self) -> DeviceInfo | None:
        """Read the device information of a running CPU2 without touching anything; None when there is none."""
        rdp = self.chip.optr() & reg.RDP_MASK
        if rdp != reg.RDP_LEVEL_0 or not self.is_started():  # SRAM2 is closed at the other levels
            return None
        return self.find_mailbox()[1]

    # --- the mailbox

    def find_mailbox(self) -> tuple[Places | None, DeviceInfo | None]:
        """Return the mailbox that CPU2 was started with, and its device information, as far as they are plausible."""
        info_at, _, _, system_at = self._head()
        info = None
        if _is_in_sram2(info_at, mailbox.TABLE_SIZE):
            info = self.read_info(info_at)
        if info is None or not _is_in_sram2(system_at, 8):
            return None, info
        command = self.chip.word(system_at)
        if not _is_in_sram2(command, mailbox.ANSWER_SIZE):
            return None, info
        return Places(command, info_at), info

    def read_info(self, address: int) -> DeviceInfo | None:
        """Return the device information; None when the table holds nothing that a chip could report."""
        info = mailbox.parse_device_info(self.chip.probe.read(address, mailbox.TABLE_SIZE))
        has_version = info.fus.major + info.fus.minor > 0 and info.fus.major < 16
        is_plausible = has_version or info.nvm_job is not None
        if is_plausible:
            return info
        return None

    def update_info(self) -> None:
        """Read the device information again. An implausible table changes nothing."""
        self._info = self.read_info(self._places.info) or self._info

    def _head(self) -> tuple[int, int, int, int]:
        """The first words of the reference table."""
        first, second, third, fourth = struct.unpack("<4I", self.chip.probe.read(reg.SRAM2A, 16))
        return first, second, third, fourth

    def _has_our_head(self) -> bool:
        first, _, _, fourth = self._head()
        return (first, fourth) == _OUR_HEAD

    def is_ours(self) -> bool:
        """Whether CPU2 runs with the mailbox of this program, and so was not reset since."""
        return self._has_our_head() and self.is_started()

    def is_started(self) -> bool:
        """Whether CPU2 runs."""
        return bool(self.chip.word(reg.PWR_CR4) & reg.C2BOOT)

    def is_hung(self) -> bool:
        """Whether CPU2 stopped with a magic word."""
        return _hang(self.chip.word(reg.SRAM2A)) is not None

    # --- starting

    def restart(self) -> None:
        """Reset the chip and start CPU2 again. Never while FUS may be running."""
        self.wait_for_nvm_job()
        assert self.contact is Contact.IDLE  # noqa: S101 - boards died of that
        self.chip.reset()
        self.start()

    def start(self) -> None:
        """Give CPU2 a mailbox and start it (psdb, ipc.py: tables, clock, C2BOOT)."""
        chip = self.chip
        if chip.has_damaged_options():
            self.contact = Contact.IDLE  # FUS cannot be running any more
            raise ChipError("the option bytes are damaged (SFSA 0): CPU2 started now would erase all of the user flash")
        self._info, self._places = None, OURS
        chip.halt_cpu1()
        chip.probe.write(reg.SRAM2A, mailbox.tables())
        self._enable_ipcc()
        chip.put(reg.PWR_CR4, chip.word(reg.PWR_CR4) | reg.C2BOOT)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for the ready event and the device information. Raises ChipError when CPU2 hangs, SilentError.

        A command before the ready event can be lost (embassy). Without an event the device information is enough after
        EVENT_SECONDS: an interrupted run may have taken the event.
        """
        clock = self.chip.clock
        table_since: float | None = None

        def look() -> DeviceInfo | None:
            nonlocal table_since
            clock.sleep(POLL_SECONDS)
            self._refuse_hang(self.chip.word(reg.SRAM2A))
            if self.chip.word(reg.C2TOC1SR) & reg.SYSTEM_CHANNEL:
                job = self._take_event()
                if job is not None:
                    return self._info_of_job(job)
                table_since = float("-inf")
            info = self.read_info(OURS.info)
            if info is None:
                return None
            if table_since is None:
                table_since = clock.now()
            if clock.now() < table_since + EVENT_SECONDS:
                return None
            return info

        self._info = wait_until(clock, READY, look)

    def _take_event(self) -> NvmJob | None:
        """Remove the ready event from the head of the queue, and return the NVM job that it reports.

        FUS does not maintain the tail of the queue (psdb).
        """
        node, job = self.chip.word(mailbox.QUEUE), None
        if _is_in_sram2(node, mailbox.READY_EVENT_SIZE) and node != mailbox.QUEUE:
            event = self.chip.probe.read(node, mailbox.READY_EVENT_SIZE)
            job = mailbox.parse_ready_event(event)
            self.chip.put(mailbox.QUEUE, int.from_bytes(event[:4], "little"))
        self.chip.put(reg.C1SCR, reg.SYSTEM_CHANNEL)
        return job

    def _info_of_job(self, job: NvmJob) -> DeviceInfo:
        """Return the device information while an NVM job runs. What the table holds besides its type is unknown."""
        data = self.chip.probe.read(OURS.info, mailbox.TABLE_SIZE)
        return replace(mailbox.parse_device_info(data), nvm_job=job)

    # --- NVM jobs

    def running_nvm_job(self) -> NvmJob | None:
        """Return the NVM job that runs. A job ends with a reset, or with another device information table."""
        if not self.is_started():
            self.follow()
            return self.info.nvm_job
        known, info = self._info, self.find_mailbox()[1]
        if info is None:
            if known:
                return known.nvm_job
            return None
        if info.nvm_job is None and known is not None and info == replace(known, nvm_job=None):
            return known.nvm_job  # reported by the ready event alone
        return info.nvm_job

    def wait_for_nvm_job(self) -> None:
        """Wait until no NVM job runs. It gets no command and no reset: it rewrites flash.

        Raises StillAtWorkError when it runs longer than NVM_JOB.
        """
        if not self.is_started():
            return
        job = self.running_nvm_job()
        if job is None:
            return
        before, self.contact = self.contact, Contact.MAY_BE_BUSY
        try:
            wait_until(self.chip.clock, NVM_JOB, self._has_nvm_job_ended)
        except SilentError as error:
            raise StillAtWorkError(f"{job.value} has not ended after {NVM_JOB.limit_s:g} s") from error
        self.contact = before
        if self._info is not None and self._info.nvm_job is not None:
            self._info = self.find_mailbox()[1]

    def _has_nvm_job_ended(self) -> bool | None:
        try:
            job = self.running_nvm_job()
        except ProbeError:
            self.reconnect()
            return None
        if job is None:
            return True
        self.say("state", f"{job.value} is running: do NOT power off or reset the board")
        return None

    def _refuse_hang(self, word: int) -> None:
        """Raise ChipError for the magic word of a CPU2 that hangs (notes of v1.21.0; Flipper): nothing runs on it."""
        hang = _hang(word)
        if hang is not None:
            self.contact = Contact.IDLE
            raise ChipError(f"CPU2 hangs, and left 0x{word:08X}: {hang.title}; {hang.todo[0]}")

    def _enable_ipcc(self) -> None:
        enabled = self.chip.word(reg.RCC_AHB3ENR)
        if not enabled & reg.IPCCEN:
            self.chip.put(reg.RCC_AHB3ENR, enabled | reg.IPCCEN)

    # --- following

    def follow(self) -> None:
        """Handle a reset of the chip, and a mailbox that an application has put in place of ours."""
        if not self.is_started():
            self.say("reset", "the chip was reset")
            self.start()
            return
        first, _, _, fourth = self._head()
        self._refuse_hang(first)
        if self._places == OURS and (first, fourth) != _OUR_HEAD:
            self._follow_application()
        elif self._info is None:
            self.wait_ready()

    def _follow_application(self) -> None:
        places, info = self.find_mailbox()
        if not self.is_started():  # the chip was reset between the two reads
            self.follow()
            return
        if places is None or info is None:
            raise ChipError("the application has started CPU2 meanwhile, without a usable mailbox")
        self.use_mailbox(places, info)

    def use_mailbox(self, places: Places, info: DeviceInfo) -> None:
        """Use a mailbox with which CPU2 runs. Another program may have started it just now, and taken its event."""
        if places != OURS:
            self.chip.clock.sleep(EVENT_SECONDS)
        self._places, self._info = places, info

    def reconnect(self) -> None:
        """Reach the chip again, and enable the clock of IPCC, which a reset just before the start of CPU2 stops."""
        self.chip.reconnect()
        with suppress(ProbeError):
            self._enable_ipcc()

    # --- commands

    def ask(self, opcode: int) -> FusAnswer | None:
        """Send a command and return the answer; None when the chip was reset instead. Raises SilentError."""
        chip = self.chip
        self._wait_channel_free()
        chip.probe.write(self._places.command, mailbox.command(opcode))
        chip.put(reg.C1SCR, reg.SEND_ON_SYSTEM_CHANNEL)
        self._wait_channel_free()
        if not self.is_started():
            return None
        data = chip.probe.read(self._places.command, mailbox.ANSWER_SIZE)
        try:
            return mailbox.parse_answer(data, opcode)
        except ChipError:
            if self.is_started():
                raise
            return None

    def _wait_channel_free(self) -> None:
        """Wait until CPU2 has answered, or a reset has cleared the flag."""
        self.chip.wait_for(reg.C1TOC2SR, reg.SYSTEM_CHANNEL, 0, ANSWER)


_OUR_HEAD = (OURS.info, struct.unpack_from("<I", mailbox.tables(), 0x0C)[0])


def _hang(word: int) -> explanations.Explanation | None:
    """Return what the word at the start of SRAM2A tells about a CPU2 that hangs; None when it does not hang."""
    if word != mailbox.FUS_TABLE:
        return explanations.magic_word(word)
    return None


def _is_in_sram2(address: int, size: int) -> bool:
    """Whether a place for whole words lies in SRAM2 (CMSIS: 64 KiB from SRAM2A)."""
    return address >= reg.SRAM2A and address + size <= reg.SRAM2A + 64 * 1024 and not address % 4
