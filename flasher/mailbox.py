"""The mailbox as bytes: tables in the first 2 KiB of SRAM2A, command packets, answers, device information.

Layouts: mbox_def.h, tl.h, shci.h. 2 KiB, because every released image leaves at least that much of SRAM2A to the
application (BLE_Stack_full_extended: exactly that). IPCCDBA is 0 on every chip that was ever seen, and nothing else is
supported.
"""

import struct
from dataclasses import dataclass
from enum import Enum

from flasher.errors import ChipError
from flasher.registers import SRAM2A
from imagekit.image.model import Version

SIZE = 2048
FUS_TABLE = 0xA946_56B9
"""First word of the device information table of FUS (shci.h)."""
TABLE_SIZE = 0x34
_INFO, _SYSTEM, _QUEUE, _MEMORY, _FREE, _COMMAND = 0x28, 0x60, 0x68, 0x70, 0x90, 0x98
_SPARE_BLE, _SPARE_SYSTEM, _POOL, _POOL_SIZE = 0x1A8, 0x2B8, 0x3C8, 550
_BLE, _BLE_COMMAND, _BLE_CHANNEL, _BLE_QUEUE, _NOTHING = 0x5F0, 0x600, 0x710, 0x720, 0x728
_BLE_AT, _SYSTEM_AT, _MEMORY_AT, _LAST_AT = 0x04, 0x0C, 0x10, 0x24
"""Places of pointers in the reference table, which has ten (mbox_def.h, MB_RefTable_t)."""

GET_STATE, FW_UPGRADE, FW_DELETE, START_WS = 0xFC52, 0xFC54, 0xFC55, 0xFC5A  # shci.h
FW_PURGE = 0xFC5B
"""Delete the stack and the section with bonding data (shci.h of v1.24.0, SHCI_C2_FUS_FwPurge)."""
ANSWER_SIZE = 12


@dataclass(frozen=True, slots=True)
class Places:
    """Where a mailbox is: command buffer and device information table."""

    command: int
    info: int


OURS = Places(SRAM2A + _COMMAND, SRAM2A + _INFO)
QUEUE = SRAM2A + _QUEUE


def tables() -> bytes:
    """Return the whole mailbox, empty.

    Without the memory manager's table FUS 0.5.3 sends no event. psdb, MicroPython, embassy and tl_mbox.c give CPU2 a
    BLE table, so ours is real too. The other tables are zeros.
    """
    area = bytearray(SIZE)

    def put(at: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}I", area, at, *words)

    for at in range(0, _LAST_AT + 4, 4):
        put(at, SRAM2A + _NOTHING)
    put(0, OURS.info)
    put(_BLE_AT, SRAM2A + _BLE)
    put(_SYSTEM_AT, SRAM2A + _SYSTEM)
    put(_MEMORY_AT, SRAM2A + _MEMORY)
    put(_SYSTEM, OURS.command, QUEUE)
    put(_QUEUE, QUEUE, QUEUE)
    put(_MEMORY, *(SRAM2A + at for at in (_SPARE_BLE, _SPARE_SYSTEM, _POOL)), _POOL_SIZE, SRAM2A + _FREE, 0, 0)
    put(_FREE, SRAM2A + _FREE, SRAM2A + _FREE)
    # Command buffer, command status buffer, event queue, ACL data buffer (MB_BleTable_t). No ACL data is ever sent, so
    # that buffer shares the place of the commands.
    put(_BLE, *(SRAM2A + at for at in (_BLE_COMMAND, _BLE_CHANNEL, _BLE_QUEUE, _BLE_COMMAND)))
    put(_BLE_QUEUE, SRAM2A + _BLE_QUEUE, SRAM2A + _BLE_QUEUE)
    return bytes(area)


def command(opcode: int) -> bytes:
    """Return a system command without payload: list header, type 0x10, opcode, length. FUS ignores addresses."""
    return struct.pack("<IIBHB", 0, 0, 0x10, opcode, 0)


@dataclass(frozen=True, slots=True)
class FusAnswer:
    """What CPU2 answered: status, which for GET_STATE is the state, and the error byte; 0 where none came."""

    status: int
    error: int


def parse_answer(data: bytes, opcode: int) -> FusAnswer:
    """Read the answer to a command. It replaces the command, without a list header. Raises ChipError."""
    kind, event, size, _, echoed, status, error = struct.unpack_from("<BBBBHBB", data)
    if (kind, event, echoed) != (0x11, 0x0E, opcode) or size < 4:
        raise ChipError(f"CPU2 answered {data[:8].hex(' ')} to 0x{opcode:04X}: not an answer to it")
    if size == 4:
        error = 0
    return FusAnswer(status, error)


class NvmJob(Enum):
    """A program of FUS 2 that moves bonding data and runs on CPU2 instead of FUS and the stack."""

    BACKUP = "NVM backup"
    RESTORE = "NVM restore"


_NVM_READY = {0x10: NvmJob.BACKUP, 0x11: NvmJob.RESTORE}  # shci.h v1.24.0, SHCI_SysEvt_Ready_Rsp_t
_NVM_TYPES = {0xF0: NvmJob.BACKUP, 0xF1: NvmJob.RESTORE}  # shci.h v1.24.0, low byte of InfoStack
READY_EVENT_SIZE = 16


def parse_ready_event(data: bytes) -> NvmJob | None:
    """Return the NVM job that a ready event reports; None for FUS, a stack, or another event."""
    kind, code, size, event, payload = struct.unpack_from("<BBBHB", data, 8)
    if (kind, code, event) != (0x12, 0xFF, 0x9200) or size < 3:
        return None
    return _NVM_READY.get(payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """What CPU2 reports about itself."""

    is_fus: bool
    """Whether FUS runs; otherwise a stack, or an NVM job."""
    fus: Version
    stack: Version | None
    """None: no stack is installed."""
    stack_sectors: int
    safeboot: Version
    nvm_job: NvmJob | None = None
    """The NVM job that runs: no command and no reset until it has ended."""


def parse_device_info(data: bytes) -> DeviceInfo:
    """Read the device information table, in the layout of FUS or of a stack.

    Source: mbox_def.h, MB_FUS_DeviceInfoTable_t and MB_DeviceInfoTable_t.
    """
    words = struct.unpack_from("<13I", data)
    is_fus = words[0] == FUS_TABLE
    if is_fus:
        safeboot, fus, stack, memory, stack_type = words[2], words[3], words[5], words[6], 0
    else:
        safeboot, fus, stack, memory, stack_type = words[0], words[1], words[4], words[5], words[6]
    return DeviceInfo(
        is_fus=is_fus,
        fus=_version(fus).without_build,
        stack=_version(stack) if stack else None,
        stack_sectors=memory & 0xFF if stack else 0,
        safeboot=_version(safeboot),
        nvm_job=_NVM_TYPES.get(stack_type & 0xFF),
    )


def _version(word: int) -> Version:
    return Version(word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word >> 4 & 0xF, word & 0xF)
