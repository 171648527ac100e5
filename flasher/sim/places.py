"""Where in its work a simulated chip is, derived from the accesses alone.

A place begins with an access (a command that is rung, an erase that is started) or, for the NVM jobs, with what CPU2
runs. Where the chip can tell how far it is, a place has a percentage.
"""

from dataclasses import dataclass, field

from flasher.sim import commands
from flasher.sim import image as images
from flasher.sim import mailbox as mail
from flasher.sim.chip import SimulatedChip
from flasher.sim.cpu1 import AIRCR
from flasher.sim.flash_registers import CR, OBL_LAUNCH, OPTSTRT, PG, STRT
from flasher.sim.ipcc import C1SCR, SYSTEM
from flasher.sim.parts import FLASH_BASE
from flasher.sim.registers import C2BOOT, FLASH_REGISTERS, IPCC_BASE, PWR_CR4

PLACES = {
    "reset": "the debugger resets the chip",
    "option-bytes": "option bytes are programmed or loaded",
    "erase": "the erase of a sector is started",
    "program": "data is written to flash; the percentage is that of the sectors that were erased for it",
    "start-cpu2": "CPU2 is started (C2BOOT)",
    "enter-fus": "a running stack is asked for its state, which makes room for FUS",
    "delete-stack": "FW_DELETE is sent, and until it is done",
    "purge-nvm": "FW_PURGE is sent, and until it is done",
    "install-fus": "FW_UPGRADE is sent with a FUS image staged, and until it is done",
    "install-stack": "FW_UPGRADE is sent with anything else staged, and until it is done",
    "install-safeboot": "FW_UPGRADE is sent with Safeboot staged, and until it is done",
    "start-stack": "START_WS is sent, and until it is done",
    "nvm-backup": "CPU2 runs NVM backup",
    "nvm-restore": "CPU2 runs NVM restore",
}
_NVM = ("nvm-backup", "nvm-restore")
_BY_OPCODE = {
    commands.FW_DELETE: "delete-stack",
    commands.FW_PURGE: "purge-nvm",
    commands.START_WS: "start-stack",
}
_FUS_PLACES = (*_BY_OPCODE.values(), "install-fus", "install-stack", "install-safeboot")
WITH_PERCENTAGE = ("program", *_FUS_PLACES, *_NVM)
_SYSRESETREQ = 1 << 2  # Arm v7-M, AIRCR


@dataclass(slots=True)
class _FusWork:
    """How far an operation of FUS is: its phases so far, and when the present one began."""

    place: str
    phases: list[tuple[str, int]] = field(default_factory=list)
    since: float = 0.0


class PlaceWatch:
    """Follows one chip. `place` is where it is now or was last."""

    def __init__(self, chip: SimulatedChip) -> None:
        self._chip = chip
        self.place = ""
        self._work: _FusWork | None = None
        self._erased: set[int] = set()
        self._has_programmed = False
        self._erasing = 0
        self._ended: set[str] = set()

    def look(self) -> str:
        """Take in what happened since the last access; the NVM job that has begun, if one has."""
        self._follow_fus()
        running = self._chip.cpu2.state.running
        if running in _NVM and self.place != running:
            self.place = running
            return running
        if running not in _NVM and self.place in _NVM:
            self._ended.add(self.place)
            self.place = self._work.place if self._work is not None else ""
        return ""

    def begins(self, address: int, data: bytes) -> str:
        """The place that a write, which is about to happen, begins; empty when it begins none."""
        place = self._begun(address, int.from_bytes(data[:4], "little"))
        if place:
            self._enter(place)
        return place

    def reset(self) -> str:
        """The debugger has reset the chip."""
        self._enter("reset")
        return "reset"

    def percentage(self, place: str, end: int) -> float | None:
        """How far a place is, with an access up to `end`; None while the chip has not come there."""
        if place in self._ended:
            return 100.0
        if place != self.place and (self._work is None or place != self._work.place):
            return None
        if place == "program":
            return self._programmed(end)
        if place in _NVM:
            return self._nvm_percentage()
        return self._fus_percentage()

    # --- places

    def _enter(self, place: str) -> None:
        if place == "program":
            self._has_programmed = True
        if place in _FUS_PLACES:
            self._work = _FusWork(place)
            self._ended.discard(place)
        if place == "erase" and self._has_programmed:
            self._erased.clear()
            self._has_programmed = False
        if place == "erase":
            self._erased.add(self._erasing)
        self.place = place

    def _begun(self, address: int, value: int) -> str:
        chip = self._chip
        if FLASH_BASE <= address < chip.part.die_end and chip.flash.state.cr & PG:
            return "program"
        if address == FLASH_REGISTERS + CR:
            return self._flash_operation(value)
        if address == AIRCR and value & _SYSRESETREQ:
            return "reset"
        if address == PWR_CR4 and value & C2BOOT and not chip.cpu2.state.running:
            return "start-cpu2"
        if address == IPCC_BASE + C1SCR and value >> 16 & SYSTEM:
            return self._command()
        return ""

    def _flash_operation(self, control: int) -> str:
        """The place that a write to FLASH_CR begins."""
        if control & STRT:
            self._erasing = FLASH_BASE + (control >> 3 & 0xFF) * self._chip.part.page
            return "erase"
        if control & (OPTSTRT | OBL_LAUNCH):
            return "option-bytes"
        return ""

    def _command(self) -> str:
        state = self._chip.cpu2.state
        if not state.mailbox.command:
            return ""
        _, opcode, _ = mail.read_command(self._chip.ram, state.mailbox)
        if state.running == "stack":
            if opcode == commands.GET_STATE:
                return "enter-fus"
            return ""
        if state.running != "fus" or self._chip.fus.secret.operation is not None:
            return ""
        if opcode == commands.FW_UPGRADE:
            return self._staged()
        return _BY_OPCODE.get(opcode, "")

    def _staged(self) -> str:
        """What FUS will find first, by its footer alone."""
        content = self._chip.flash.read_cells(FLASH_BASE, self._chip.part.die_end - FLASH_BASE)
        secure = self._chip.options.secure_start
        end = len(content) if secure is None else secure - FLASH_BASE
        traces = images.find_traces(content[:end], FLASH_BASE)
        info1, magic = (traces[0].footer[0], traces[0].footer[-1]) if traces else (0, 0)
        if magic == images.FUS:
            return "install-fus"
        if magic == images.SAFEBOOT or (magic == images.STACK and info1 == images.SAFEBOOT_2_0_0_INFO):
            return "install-safeboot"
        return "install-stack"

    # --- percentages

    def _programmed(self, end: int) -> float:
        """Of the run of erased sectors that the access is in."""
        page = self._chip.part.page
        first = last = (end - 1) // page * page
        while first - page in self._erased:
            first -= page
        while last + page in self._erased:
            last += page
        return 100.0 * (end - first) / (last + page - first)

    def _nvm_percentage(self) -> float:
        job, seconds = self._chip.fus.secret.nvm_job, self._chip.behaviour.nvm_job_seconds
        if job is None or job.due is None or not seconds:
            return 0.0
        return 100.0 * min(max(1 - (job.due - self._chip.clock) / seconds, 0.0), 1.0)

    def _follow_fus(self) -> None:
        work, secret = self._work, self._chip.fus.secret
        if work is None:
            return
        operation = secret.operation
        if operation is None:
            if work.phases:
                self._ended.add(work.place)
                self._work = None
                self.place = "" if self.place == work.place else self.place
            return
        stage = operation.stage
        if secret.nvm_job is not None:
            stage = "nvm"
        phase = (stage, operation.resets_left)
        if phase not in work.phases:
            work.phases.append(phase)
            work.since = self._chip.clock

    def _fus_percentage(self) -> float:
        """Every phase counts the same; within one, the time that the simulated FUS will take is known."""
        work, operation = self._work, self._chip.fus.secret.operation
        if work is None or operation is None:
            return 0.0
        behaviour = self._chip.behaviour
        count = {
            "install-stack": 2 + max(behaviour.stack_resets, 1),
            "install-fus": 1 + max(behaviour.fus_resets, 1),
            "install-safeboot": 2,
        }.get(work.place, 1)
        count += 2 if any(stage in ("backup", "nvm") for stage, _ in work.phases) else 0
        length = operation.due - work.since
        part = 1.0
        if length > 0:
            part = min(max((self._chip.clock - work.since) / length, 0.0), 1.0)
        return min(100.0 * (len(work.phases) - 1 + part) / max(count, len(work.phases)), 99.0)
