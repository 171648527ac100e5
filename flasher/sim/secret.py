"""What CPU2 keeps where nobody else can look: versions, the installed stack, keys, an operation under way."""

from dataclasses import dataclass, field

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


@dataclass(slots=True)
class UserKey:
    """A stored user key: its type as in shci.h (1 simple, 2 master, 3 encrypted); `locked` against use."""

    kind: int
    data: bytes
    locked: bool = False


@dataclass(slots=True)
class Operation:
    """Something that takes FUS a while. `due` is when its present stage ends; `busy_until` when FUS answers again."""

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

    @property
    def state(self) -> int:
        """The state byte: all values of a range mean the same (shci.h)."""
        base = {"stack": 0x10, "safeboot": 0x10, "fus": 0x20, "delete": 0x30, "start": 0x30}[self.kind]
        return base + {"search": 0, "write": 1, "finish": 2, "reset": 3}[self.stage]

    @property
    def is_writing(self) -> bool:
        """Whether an interruption now leaves flash half done."""
        return self.stage != "search"


@dataclass(slots=True)
class Secret:
    """Everything that CPU2 remembers without power."""

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
