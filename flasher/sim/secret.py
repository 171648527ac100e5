"""What CPU2 keeps where CPU1 and the debugger cannot look: versions, the stack, keys, the operation."""

from dataclasses import dataclass, field
from typing import Literal

ANTI_ROLLBACK_TRAP = 0xFFFF_FFFF  # the reference when it was activated without a stack: no stack is ever new enough


@dataclass(slots=True)
class Stack:
    """The installed wireless stack. `address` absolute, `size` in bytes, others in sectors and KiB."""

    version: int
    address: int
    size: int
    sectors: int
    gap_sectors: int
    sram2a_kib: int
    sram2b_kib: int
    sha256: str

    @property
    def is_new_format(self) -> bool:
        """Whether it is of the format for FUS 2, whose footer reserves 16 KiB above it (fus2-nvm 2)."""
        return self.gap_sectors > 0


@dataclass(slots=True)
class RunningNvmJob:
    """A program of CPU2 that saves or restores bonding data. `due`: when it ends; None before it runs."""

    kind: Literal["backup", "restore"]
    due: float | None = None


@dataclass(slots=True)
class UserKey:
    """A stored user key: its type as in shci.h (1 simple, 2 master, 3 encrypted); `locked` against use."""

    kind: int
    data: bytes
    locked: bool = False


@dataclass(slots=True)
class Operation:
    """Something that takes FUS a while. `due` is when its present stage ends; `busy_until` when FUS answers again.

    `idle_gap`: seconds for which FUS will say idle after its next reset; `idle_until`: when that ends.
    """

    kind: str
    stage: str
    due: float
    busy_until: float
    resets_left: int = 0
    staged_start: int = 0
    staged_end: int = 0
    target: int = 0
    version: int = 0
    sectors: int = 0
    gap_sectors: int = 0
    sram2a_kib: int = 0
    sram2b_kib: int = 0
    sha256: str = ""
    idle_gap: float = 0.0
    idle_until: float = 0.0

    @property
    def state(self) -> int:
        """The state byte: all values of a range mean the same (shci.h)."""
        base = {"stack": 0x10, "safeboot": 0x10, "fus": 0x20}
        base |= {"delete": 0x30, "purge": 0x30, "start": 0x30}
        return base[self.kind] + {"search": 0, "backup": 0, "write": 1, "finish": 2, "reset": 3}[self.stage]

    @property
    def is_writing(self) -> bool:
        """Whether an interruption now leaves flash half done."""
        return self.stage not in ("search", "backup")


@dataclass(slots=True)
class Secret:
    """Everything that CPU2 remembers without power.

    `nvm_sectors`: size of the section that keeps bonding data below FUS. `bonding`: what became of that data.
    """

    fus_version: int
    safeboot_version: int = 0x0101_0000  # both hardware dumps of FUS's table
    stack: Stack | None = None
    operation: Operation | None = None
    report: int = 0
    anti_rollback: bool = False
    reference_version: int = 0
    customer_key: bytes = b""
    customer_key_locked: bool = False
    user_keys: list[UserKey] = field(default_factory=list)
    contacted: bool = False
    dead: str = ""
    nvm_sectors: int = 0
    nvm_job: RunningNvmJob | None = None
    bonding: Literal["none", "present", "kept", "destroyed"] = "none"
