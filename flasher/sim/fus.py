"""FUS: its commands, and the operations that take it a while.

Sources: shci.h (commands, states, errors), AN5185 as quoted, release notes, logs of CubeProgrammer, MicroPython and
psdb. Durations are those of the logs, scaled by size.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flasher.sim import image as images
from flasher.sim import keys, nvm
from flasher.sim import verdict as codes
from flasher.sim.behaviour import Behaviour
from flasher.sim.commands import (
    ACTIVATE_ANTI_ROLLBACK,
    FIRST_STACK_COMMAND,
    FW_DELETE,
    FW_PURGE,
    FW_UPGRADE,
    GET_STATE,
    LOCK_AUTH_KEY,
    NOT_STARTED,
    NOT_SUPPORTED,
    OK,
    START_WS,
    UNKNOWN_COMMAND,
    UPDATE_AUTH_KEY,
    USER_KEY_COMMANDS,
)
from flasher.sim.flash import SimulatedFlash
from flasher.sim.image import StagedImage
from flasher.sim.install import Installer
from flasher.sim.memory import ChipClock
from flasher.sim.option_bytes import OptionByteRegisters
from flasher.sim.parts import FLASH_BASE, FUS_0_5_3, Part
from flasher.sim.secret import Operation, Secret
from flasher.sim.verdict import Examiner, locks_small_part

if TYPE_CHECKING:
    from collections.abc import Callable

_SEARCH_SECONDS = 0.3
_FINISH_SECONDS = 1.0
_BETWEEN_RESETS_SECONDS = 0.5
_DELETE_SECONDS, _DELETE_SECONDS_PER_SECTOR = 1.0, 0.022
_START_SECONDS = 0.05
_BACKUP_STARTS_SECONDS = 0.3
_FIRST_CONTACT = {"ff": codes.UNKNOWN, "00": 0x00, "fe": codes.NOT_RUNNING}  # hardware-review 7
_MEASURED_SIZE = 150 * 1024  # the stack for which MicroPython measured the first answer


@dataclass(slots=True)
class FusState:
    """What FUS forgets at a reset. `error` 0 when there is none to tell; `forced_error` ends the next operation."""

    error: int = 0
    error_state: int = 0
    transient_answers: int = 0
    forced_error: int = 0


@dataclass(slots=True)
class SimulatedFus:
    """The updater. The chip looks at `wants_reset` after every step."""

    part: Part
    behaviour: Behaviour
    clock: ChipClock
    flash: SimulatedFlash
    options: OptionByteRegisters
    secret: Secret
    root_keys: tuple[str, ...]
    accepted: tuple[str, ...]
    state: FusState = field(default_factory=FusState)
    wants_reset: bool = False
    installer: Installer = field(init=False)

    def __post_init__(self) -> None:
        self.installer = Installer(self.part, self.behaviour, self.flash, self.options, self.secret)

    # --- boot, time, interruption

    def boot(self) -> None:
        """Start: tell what the last life left to tell, go on with an operation that takes several resets."""
        self.state = FusState(error=self.secret.report, error_state=0xFF, forced_error=self.state.forced_error)
        self.secret.report = 0
        if (operation := self.secret.operation) is not None:
            operation.idle_until = self.clock.now
            if operation.stage == "reset":
                operation.idle_until += operation.idle_gap
                operation.idle_gap = 0.0
            operation.due = operation.idle_until + _BETWEEN_RESETS_SECONDS
            operation.busy_until = self.clock.now

    def step(self) -> None:
        """End the present stage of the operation under way."""
        operation = self.secret.operation
        if operation is None or operation.due > self.clock.now:
            return
        if conflict := self.flash.take_conflict():
            self._fail(operation.kind, codes.ERASE_ERROR if conflict == "erase" else codes.WRITE_ERROR)
        elif operation.stage == "search":
            self._search(operation)
        elif operation.stage == "backup":
            operation.stage = "write"
            nvm.begin(self.secret, "backup")
            self.wants_reset = True
        elif operation.kind == "stack" and operation.stage == "write":
            operation.stage, operation.due = "finish", self.clock.now + _FINISH_SECONDS
        elif operation.resets_left > 1:
            operation.resets_left -= 1
            operation.stage = "reset"
            self.wants_reset = True
        else:
            self._complete(operation)

    @property
    def works_on_flash(self) -> bool:
        """Whether FUS erases or programs."""
        operation = self.secret.operation
        return operation is not None and operation.is_writing and operation.kind != "start"

    def interrupted(self) -> None:
        """A reset or a loss of power that FUS did not make itself. Boards that this happened to stayed dead."""
        operation = self.secret.operation
        if operation is None:
            return
        self.secret.operation = None
        if operation.kind == "start":
            return
        if not operation.is_writing or self.behaviour.interrupted_write == "abort":
            self.secret.report = codes.USR_ABORT
            return
        self.installer.break_off(operation, "interrupted")

    # --- commands

    def answer(self, opcode: int, payload: bytes) -> bytes:
        """Carry out a command; the status byte and what follows it."""
        handlers: dict[int, Callable[[bytes], bytes]] = {
            GET_STATE: lambda _: self._get_state(),
            FW_UPGRADE: lambda _: self._begin("stack", "search", _SEARCH_SECONDS),
            FW_DELETE: lambda _: self._delete(),
            START_WS: lambda _: self._start_stack(),
            UPDATE_AUTH_KEY: self._update_customer_key,
            LOCK_AUTH_KEY: lambda _: keys.lock_customer_key(self.secret),
            ACTIVATE_ANTI_ROLLBACK: lambda _: keys.activate_anti_rollback(self.secret),
        }
        if self.secret.operation is not None and opcode != GET_STATE and opcode < FIRST_STACK_COMMAND:
            return NOT_STARTED  # one thing at a time
        if nvm.is_fus_2(self.secret) and self.behaviour.purge == "known":
            handlers[FW_PURGE] = lambda _: self._purge()
        if opcode in handlers:
            return handlers[opcode](payload)
        if opcode in USER_KEY_COMMANDS:
            return keys.user_key(self.secret, opcode, payload)
        if opcode >= FIRST_STACK_COMMAND:
            return NOT_SUPPORTED
        return UNKNOWN_COMMAND

    def _get_state(self) -> bytes:
        if not self.secret.contacted:
            self.secret.contacted = True
            if (error := _FIRST_CONTACT.get(self.behaviour.first_contact)) is not None:
                return bytes([0xFF, error])
        operation = self.secret.operation
        if operation is not None and operation.idle_until > self.clock.now:
            return OK + bytes(1)  # idle is not done (fus2-nvm 6)
        if operation is None:
            answer = bytes([self.state.error_state if self.state.error else 0, self.state.error])
            if self.behaviour.error_lifetime == "once":
                self.state.error = 0
            return answer
        if operation.stage == "finish" and operation.kind == "stack" and self.behaviour.transient_errors:
            self.state.transient_answers += 1
            if self.state.transient_answers <= 2:
                return (b"\xff", b"\xff\xfe")[self.state.transient_answers - 1]
        return bytes([operation.state, 0])

    def _begin(self, kind: str, stage: str, seconds: float) -> bytes:
        now = self.clock.now
        self.state.error = 0
        busy_until = now
        if stage == "search":
            busy_until = now + seconds
        self.secret.operation = Operation(kind=kind, stage=stage, due=now + seconds, busy_until=busy_until)
        return OK

    def _fail(self, kind: str, error: int) -> None:
        self.secret.operation = None
        self.state.error, self.state.error_state = error, self._state_beside(kind, error)

    def _state_beside(self, kind: str, error: int) -> int:
        ongoing = {"stack": 0x10, "fus": 0x20}.get(kind, 0x30)
        if self.behaviour.error_state != "as-seen":
            if self.behaviour.error_state == "ongoing":
                return ongoing
            return 0xFF
        if error == codes.IMG_NOT_ENOUGH_SPACE:
            return 0x00
        if error == codes.ROLLBACK_ERROR or ongoing == 0x30:
            return ongoing
        return 0xFF

    def install_at_factory(self, content: bytes) -> int:
        """Have a stack installed and selected from the start; the error code with which FUS would refuse it."""
        traces = images.find_traces(content, 0)
        sectors = -(-len(content) // self.part.page)
        if len(traces) != 1:
            return codes.IMG_NOT_FOUND
        gap = traces[0].gap_sectors
        start = self.part.image_limit(self.secret.fus_version) - (sectors + gap) * self.part.page
        if start < FLASH_BASE:
            return codes.IMG_NOT_ENOUGH_SPACE
        self.flash.put_cells(start, content)
        found = self._examiner().examine()
        if isinstance(found, int) or found.magic == images.FUS or found.is_safeboot:
            if isinstance(found, int):
                return found
            return codes.IMG_CORRUPT
        operation = Operation(kind="stack", stage="write", due=0.0, busy_until=0.0)
        self._accept(operation, found)
        self.installer.install_stack(operation)
        self.options.load()
        return 0

    def _update_customer_key(self, payload: bytes) -> bytes:
        if self.secret.customer_key_locked:
            self._fail("key", codes.AUTH_KEY_LOCKED)
            return NOT_STARTED
        return keys.update_customer_key(self.secret, payload)

    # --- delete, start

    def _delete(self) -> bytes:
        if locks_small_part(self.part, self.secret.fus_version, None) and self.behaviour.small_part_lock:
            return self._lock_for_ever()
        stack, error = self.secret.stack, self._flash_error()
        if stack is None or error:
            self._fail("delete", error or codes.IMG_NOT_FOUND)
            return OK
        if nvm.runs_jobs(self.behaviour, self.secret):
            return self._begin("delete", "backup", _BACKUP_STARTS_SECONDS)
        return self._begin("delete", "write", _DELETE_SECONDS + stack.sectors * _DELETE_SECONDS_PER_SECTOR)

    def _purge(self) -> bytes:
        """FW_PURGE: as FW_DELETE, and the section for bonding data goes too. No backup: the data is to go."""
        stack, error = self.secret.stack, self._flash_error()
        has_something = stack is not None or self.secret.nvm_sectors > 0
        if error or not has_something:
            self._fail("delete", error or codes.IMG_NOT_FOUND)
            return OK
        sectors = self.secret.nvm_sectors + (stack.sectors if stack else 0)
        return self._begin("purge", "write", _DELETE_SECONDS + sectors * _DELETE_SECONDS_PER_SECTOR)

    def _start_stack(self) -> bytes:
        if self.secret.stack is None:
            self._fail("start", codes.IMG_NOT_FOUND)
            return NOT_STARTED
        return self._begin("start", "reset", _START_SECONDS)

    # --- upgrade

    def _search(self, operation: Operation) -> None:
        found = self._flash_error() or self._examiner().examine()
        if found == codes.NOTHING_TO_DO:
            self.secret.operation = None
            return
        if isinstance(found, int):
            self._fail("stack", found)
            return
        if locks_small_part(self.part, self.secret.fus_version, found) and self.behaviour.small_part_lock:
            self._lock_for_ever()
            return
        if found.magic == images.FUS and self.secret.stack is not None and self.behaviour.fus_over_stack == "refused":
            self._fail("fus", codes.IMG_NOT_ENOUGH_SPACE)
            return
        if self.behaviour.lower_address == "erased" and self.installer.is_below_its_address(found):
            self.installer.erase_staged(found.start, found.end)
            self._fail("stack", codes.AUTH_TAG_ST_NOT_FOUND)
            return
        self._accept(operation, found)

    def _examiner(self) -> Examiner:
        return Examiner(self.part, self.behaviour, self.root_keys, self.accepted, self.flash, self.secret)

    def _accept(self, operation: Operation, image: StagedImage) -> None:
        operation.kind = "stack"
        if image.is_safeboot:
            operation.kind = "safeboot"
        elif image.magic == images.FUS:
            operation.kind = "fus"
        operation.staged_start, operation.staged_end = image.start, image.end
        operation.version, operation.sha256 = image.told_version, image.sha256
        operation.sectors, operation.gap_sectors = image.sectors, image.gap_sectors
        operation.sram2a_kib, operation.sram2b_kib = image.sram2a_kib, image.sram2b_kib
        operation.target = self.installer.target(image)
        operation.resets_left = {"stack": self.behaviour.stack_resets, "fus": self.behaviour.fus_resets}.get(
            operation.kind, 1
        )
        wait = self.behaviour.first_answer_seconds * (image.end - image.start) / _MEASURED_SIZE
        operation.stage = "write"
        if operation.kind in ("stack", "fus"):
            operation.idle_gap = float(self.behaviour.fus_idle_gap_seconds)
        operation.busy_until = self.clock.now + wait
        operation.due = operation.busy_until + 0.5
        if operation.kind == "stack" and nvm.runs_jobs(self.behaviour, self.secret):
            operation.stage = "backup"
            operation.busy_until, operation.due = self.clock.now, self.clock.now + _BACKUP_STARTS_SECONDS
        self.state.transient_answers = 0

    def _complete(self, operation: Operation) -> None:
        finish: dict[str, Callable[[Operation], None]] = {
            "stack": self.installer.install_stack,
            "fus": self.installer.install_fus,
            "safeboot": self.installer.install_safeboot,
            "delete": lambda _: self.installer.remove_stack(),
            "purge": lambda _: self.installer.purge(),
            "start": lambda _: self.installer.select_stack(),
        }
        self.secret.operation = None
        if operation.sha256 and not self.installer.is_staged(operation):
            self.installer.break_off(operation, "the staged image was changed")
            self.wants_reset = True
            return
        finish[operation.kind](operation)
        if operation.kind == "stack" and nvm.runs_jobs(self.behaviour, self.secret):
            nvm.begin(self.secret, "restore")
        self.wants_reset = operation.kind not in ("delete", "purge") or self.behaviour.delete_resets
        if not self.wants_reset:
            self.options.load()

    def _flash_error(self) -> int:
        """The error with which an operation on flash ends before it begins; 0 when there is none."""
        error, self.state.forced_error = self.state.forced_error, 0
        if not error and self.flash.is_occupied and self.behaviour.busy_flash == "erase-error":
            return codes.ERASE_ERROR
        return error

    # --- small parts

    def _lock_for_ever(self) -> bytes:
        self.installer.lock_for_ever("a C, E or Y part with FUS before 1.0.2 was given something else first")
        self.wants_reset = True
        return OK


def is_earliest(fus_version: int) -> bool:
    """Whether this is FUS 0.5.3, which answers what it does not know in its own way (dump)."""
    return fus_version >> 8 == FUS_0_5_3 >> 8
