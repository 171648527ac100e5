"""CPU2: what it boots when C2BOOT rises, its side of the mailbox, and the little of a stack that a flasher meets.

Sources: psdb, MicroPython and ST's headers for the mailbox; hardware dumps for the device information table; field
reports for what a damaged part does.
"""

import struct
from dataclasses import dataclass, field

from flasher.sim import keys, nvm
from flasher.sim import mailbox as mail
from flasher.sim.commands import (
    FIRST_STACK_COMMAND,
    GET_STATE,
    LAST_STACK_COMMAND,
    NOT_SUPPORTED,
    OK,
    USER_KEY_COMMANDS,
)
from flasher.sim.fus import SimulatedFus, is_earliest
from flasher.sim.ipcc import MM_RELEASE, SYSTEM, Ipcc
from flasher.sim.mailbox import Mailbox
from flasher.sim.memory import Ram
from flasher.sim.option_bytes import SBRV_SAFEBOOT
from flasher.sim.parts import FLASH_BASE, SRAM2A_BASE, SRAM2A_KIB
from flasher.sim.secret import Stack

_FUS_1_1_0 = 0x0101_0000
_SAFEBOOT_SECONDS = 0.5
_LATE_READY_SECONDS = 1.0  # of the 2 s that hardware-review 8 would wait; the time itself is unknown
_NVM_TYPES = {"nvm-backup": 0xF0, "nvm-restore": 0xF1}  # stack types, shci.h v1.24.0
_NVM_STATES = {"fffe": b"\xff\xfe", "1x": b"\x10\x00"}  # fus2-nvm 10
_READY_PAYLOADS = {"stack": 0x00, "fus": 0x01, "nvm-backup": 0x10, "nvm-restore": 0x11}  # shci.h v1.24.0
_FAULT_REGISTERS = (0x0000_01A4, 0x0000_0191, 0x2003_FF80)  # PC, LR, SP behind the word; the values mean nothing here
_MALFORMED = (0x00FE, b"\xfe")  # FUS 0.5.3's opcode field and status for what it does not know (dump)
# Stack type by what the footer leaves open of SRAM2 (KiB): the type itself is in the encrypted body. shci.h, footers.
_STACK_TYPES = {
    (10, 15): 1,
    (2, 10): 6,
    (18, 11): 3,
    (18, 13): 3,
    (19, 25): 2,
    (9, 25): 7,
    (32, 20): 0x10,
    (16, 0): 0x40,
}
_STACK_TYPES |= {(4, 0): 0x30, (6, 1): 0x50, (8, 0): 0x70, (9, 9): 0x90, (31, 16): 0x63, (32, 0): 0x61}
_STACK_TYPES_WB1X = {(10, 0): 1, (4, 0): 6, (12, 0): 3, (18, 0): 2, (17, 0): 2, (13, 0): 7}


@dataclass(slots=True)
class Cpu2State:
    """What CPU2 forgets at a reset. `running`: nothing (held), fus, stack, safeboot, or lost (runs into nowhere)."""

    running: str = ""
    is_up: bool = False
    is_hung: bool = False
    boot_due: float | None = None
    ready_due: float | None = None
    command_due: float | None = None
    get_states: int = 0
    mailbox: Mailbox = field(default_factory=Mailbox)


class SimulatedCpu2:
    """The radio core as CPU1 and a debugger meet it. The chip looks at `wants_reset` after every step."""

    def __init__(self, fus: SimulatedFus, ram: Ram, ipcc: Ipcc, uid64: bytes) -> None:
        self.fus, self._ram, self._ipcc, self._uid64 = fus, ram, ipcc, uid64
        self.state = Cpu2State()
        self._behaviour = fus.behaviour

    # --- life

    @property
    def due(self) -> float | None:
        """When something happens next on this side."""
        state = self.state
        if state.is_hung:
            return None
        times = [state.boot_due, state.ready_due, state.command_due]
        if state.running == "fus" and state.is_up and self.fus.secret.operation is not None:
            times.append(self.fus.secret.operation.due)
        if state.running in _NVM_TYPES and self.fus.secret.nvm_job is not None:
            times.append(self.fus.secret.nvm_job.due)
        return min((time for time in times if time is not None), default=None)

    def hold(self, *, by_itself: bool) -> None:
        """A reset: CPU2 is held until C2BOOT rises again. One that it did not make itself may do harm."""
        if self.state.running == "fus" and not by_itself:
            self.fus.interrupted()
        if self.state.running in _NVM_TYPES and not by_itself:
            nvm.disturbed(self._behaviour, self.fus.secret, "reset")
            self.fus.secret.nvm_job = None
        self.state = Cpu2State()

    def start(self) -> None:
        """C2BOOT rose."""
        seconds = {"fus": self._behaviour.fus_boot_seconds, "safeboot": _SAFEBOOT_SECONDS}
        self.state.running = self._selected()
        self.state.boot_due = self._now + seconds.get(self.state.running, self._behaviour.stack_boot_seconds)
        if self.state.running == "lost":
            self.state.boot_due = None

    def _selected(self) -> str:
        options, secret = self.fus.options, self.fus.secret
        if not options.get("ESE"):
            secret.dead = secret.dead or "ESE was cleared"
        if secret.dead:
            return "lost"
        if options.state.damaged or not options.get("C2OPT") or options.get("SBRV") == SBRV_SAFEBOOT:
            return "safeboot"
        if secret.nvm_job is not None:
            return f"nvm-{secret.nvm_job.kind}"
        vector = FLASH_BASE + options.get("SBRV") * 4
        if vector == self.fus.part.fus_base(secret.fus_version):
            return "fus"
        is_stack = secret.stack is not None and vector == secret.stack.address
        if is_stack and self.fus.installer.is_stack_whole():
            return "stack"
        return "lost"

    def step(self) -> None:
        """Do what is due now."""
        state = self.state
        if state.boot_due is not None and state.boot_due <= self._now:
            state.boot_due = None
            self._booted()
        elif state.ready_due is not None and state.ready_due <= self._now:
            state.ready_due = None
            self._ready()
        elif state.command_due is not None and state.command_due <= self._now:
            state.command_due = None
            self._answer()
        elif state.running == "fus":
            self.fus.step()
        elif state.running in _NVM_TYPES:
            self._end_nvm_job()

    def _end_nvm_job(self) -> None:
        """The job is done: the chip resets itself. Whether silicon resets too is unknown (fus2-nvm 5)."""
        job = self.fus.secret.nvm_job
        if job is None or job.due is None or job.due > self._now:
            return
        if self.fus.flash.take_conflict():
            nvm.disturbed(self._behaviour, self.fus.secret, "flash work of CPU1")
        nvm.finished(self.fus.secret)
        self.fus.wants_reset = True

    @property
    def _now(self) -> float:
        return self.fus.clock.now

    # --- boot

    def _booted(self) -> None:
        if self.state.running == "safeboot":
            self._safeboot()
            return
        if self._behaviour.user_key_lock == "until-reset":
            for key in self.fus.secret.user_keys:
                key.locked = False
        if self.state.running == "fus":
            self.fus.boot()
        base = SRAM2A_BASE + (self.fus.options.get("IPCCDBA") << self._behaviour.ipccdba_shift)
        if self.state.running == "stack" and self._behaviour.stack_hard_faults:
            self._hang(base, mail.HARD_FAULT_WORD)
            return
        found = mail.read_mailbox(self._ram, base, self._open_ram())
        if isinstance(found, int):
            self._hang(base, found)
            return
        self._took_mailbox(found)
        if self._behaviour.ready_event == "late":
            self.state.ready_due = self._now + _LATE_READY_SECONDS
            return
        self._ready()
        self.rung()

    def _took_mailbox(self, mailbox: Mailbox) -> None:
        """The device information table is written, and work begins, before anything is reported."""
        self.state.mailbox = mailbox
        job = self.fus.secret.nvm_job
        if job is not None and self.state.running in _NVM_TYPES:
            job.due = self._now + self._behaviour.nvm_job_seconds
        self._ram.put_words(mailbox.base, mailbox.device_info)
        self._ram.write(mailbox.device_info, self._device_info())

    def _ready(self) -> None:
        """Take commands from here on, and say so unless no event is ever sent."""
        self.state.is_up = True
        if self._behaviour.ready_event == "none":
            return
        is_fus = self.state.running == "fus"
        tail = self._behaviour.tail_maintained or not is_fus
        payload = _READY_PAYLOADS.get(self.state.running, 0)
        if mail.push_ready_event(self._ram, self.state.mailbox, payload=payload, tail_maintained=tail):
            self._ipcc.state.c2_to_c1 |= SYSTEM

    def _open_ram(self) -> mail.OpenRam:
        sram2a, sram2b = self.fus.options.open_sram2_kib()
        is_strict = self.state.running != "fus" and self._behaviour.null_tables == "refused"
        return mail.OpenRam(sram2a, sram2b, self._behaviour.sram1_buffers == "accepted", needs_ble=is_strict)

    def _hang(self, base: int, word: int) -> None:
        words = (word, *_FAULT_REGISTERS) if word == mail.HARD_FAULT_WORD else (word,)
        if self._ram.find(base, 4 * len(words)) is not None:
            self._ram.put_words(base, *words)
        self.state.is_hung = True

    def _safeboot(self) -> None:
        """Factory reset with FUS 1.1.0 or newer; nothing at all with an older one (release notes)."""
        if self._behaviour.safeboot_recovers and self.fus.secret.fus_version >= _FUS_1_1_0:
            self.fus.installer.factory_reset()
            self.fus.wants_reset = True
        else:
            self.state.is_hung = True

    # --- device information

    def _device_info(self) -> bytes:
        """The table in FUS's layout or in the stack's (mbox_def.h, hardware dumps)."""
        secret, stack = self.fus.secret, self.fus.secret.stack
        fus_sectors = 12 if self.fus.part.series == "WB1x" else 6  # sectors of the FUS images; 6 in the dumps
        version, sectors = (stack.version, stack.sectors) if stack else (0, 0)
        if self.state.running != "fus" and stack is not None:
            # What the stack uses; the footer has what it leaves (hardware-review, SRAM2). Order: mbox_def.h.
            sram2a = max(SRAM2A_KIB - stack.sram2a_kib, 0)
            sram2b = max(self.fus.part.sram2b_kib - stack.sram2b_kib, 0)
            memory = sram2a << 24 | sram2b << 16 | sectors
            kind = _NVM_TYPES.get(self.state.running, _stack_type(stack, self.fus.part.series))
            versions = (secret.safeboot_version, secret.fus_version, fus_sectors, 0, version, memory)
            return struct.pack("<8I", *versions, kind, 0)
        head = (mail.FUS_TABLE_KEY, 1, secret.safeboot_version, secret.fus_version, fus_sectors, version, sectors)
        return struct.pack("<10I8sI", *head, 0, 0, 0, self._uid64, self.fus.part.table_device_id)

    # --- commands

    def rung(self) -> None:
        """CPU1 rang: note what is to be done. Without a system table nothing ever answers."""
        state = self.state
        if not state.is_up or state.is_hung:
            return
        flags = self._ipcc.state
        if flags.c1_to_c2 & SYSTEM and state.mailbox.command and state.command_due is None:
            operation = self.fus.secret.operation if state.running == "fus" else None
            ready = max(self._now, operation.busy_until if operation else 0.0)
            state.command_due = ready + self._behaviour.answer_seconds
        if flags.c1_to_c2 & MM_RELEASE and state.running == "stack":  # FUS never looks at channel 4 (psdb)
            if queue := state.mailbox.free_queue:
                self._ram.put_words(queue, queue, queue)
            flags.c1_to_c2 &= ~MM_RELEASE

    def _answer(self) -> None:
        operation = self.fus.secret.operation
        if self.state.running == "fus" and operation is not None and operation.busy_until > self._now:
            self.state.command_due = operation.busy_until + self._behaviour.answer_seconds
            return
        kind, opcode, payload = mail.read_command(self._ram, self.state.mailbox)
        echoed, content = opcode, NOT_SUPPORTED
        if self.state.running == "stack":
            answer = self._stack_answer(opcode, payload)
            if answer is None:
                return
            content = answer
        elif self.state.running in _NVM_TYPES:
            nvm.disturbed(self._behaviour, self.fus.secret, "a command")
            if self._behaviour.nvm_answers == "none":
                return
            content = NOT_SUPPORTED
            if opcode == GET_STATE:
                content = _NVM_STATES[self._behaviour.nvm_answers]
        elif kind != mail.COMMAND_TYPE or (is_earliest(self.fus.secret.fus_version) and opcode >> 8 != 0xFC):
            echoed, content = _MALFORMED
        else:
            content = self.fus.answer(opcode, payload)
        mail.write_response(self._ram, self.state.mailbox, self._behaviour.num_hci, echoed, content)
        self._ipcc.state.c1_to_c2 &= ~SYSTEM

    def _stack_answer(self, opcode: int, payload: bytes) -> bytes | None:
        """A stack's answer; None when it makes the chip reset instead."""
        if opcode == GET_STATE:
            self.state.get_states += 1
            if self.state.get_states < 2:
                return {"ff-fe": b"\xff\xfe", "ff": b"\xff", "fe": b"\xfe"}[self._behaviour.stack_get_state]
            self.fus.installer.select_fus()
            self.fus.wants_reset = True
            return None
        if opcode in USER_KEY_COMMANDS:
            return keys.user_key(self.fus.secret, opcode, payload)
        if FIRST_STACK_COMMAND <= opcode <= LAST_STACK_COMMAND:
            return OK
        return NOT_SUPPORTED


def _stack_type(stack: Stack, series: str) -> int:
    types = _STACK_TYPES
    if series == "WB1x":
        types = _STACK_TYPES_WB1X
    return types.get((stack.sram2a_kib, stack.sram2b_kib), 0)
