"""The mailbox as bytes: tables in the first 2 KiB of SRAM2A, command packets, answers, device information.

Layouts: mbox_def.h, tl.h, shci.h. 2 KiB, because every released image leaves CPU1 at least so much of SRAM2A
(BLE_Stack_full_extended: exactly so much); IPCCDBA is 0 on every chip that was ever seen, and nothing else is served.
"""

import struct
from dataclasses import dataclass

from flasher.errors import ChipError
from flasher.registers import SRAM2A
from imagekit.image.model import Version

SIZE = 2048
FUS_TABLE = 0xA946_56B9  # shci.h: the device information table is FUS's
TABLE_SIZE = 0x34
_INFO, _SYSTEM, _QUEUE, _MEMORY, _FREE, _COMMAND = 0x28, 0x60, 0x68, 0x70, 0x90, 0x98
_SPARE_BLE, _SPARE_SYSTEM, _POOL, _POOL_SIZE = 0x1A8, 0x2B8, 0x3C8, 550
_SYSTEM_AT, _MEMORY_AT = 0x0C, 0x10  # in the reference table

GET_STATE, FW_UPGRADE, FW_DELETE, START_WS = 0xFC52, 0xFC54, 0xFC55, 0xFC5A  # shci.h
ANSWER_SIZE = 12


@dataclass(frozen=True, slots=True)
class Places:
    """Where a mailbox is: command buffer and device information table."""

    command: int
    info: int


OURS = Places(SRAM2A + _COMMAND, SRAM2A + _INFO)
QUEUE = SRAM2A + _QUEUE


def tables() -> bytes:
    """The whole mailbox, empty. The memory manager's table is filled too: without it FUS 0.5.3 stays silent."""
    area = bytearray(SIZE)

    def put(at: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}I", area, at, *words)

    put(0, OURS.info)
    put(_SYSTEM_AT, SRAM2A + _SYSTEM)
    put(_MEMORY_AT, SRAM2A + _MEMORY)
    put(_SYSTEM, OURS.command, QUEUE)
    put(_QUEUE, QUEUE, QUEUE)
    put(_MEMORY, *(SRAM2A + at for at in (_SPARE_BLE, _SPARE_SYSTEM, _POOL)), _POOL_SIZE, SRAM2A + _FREE, 0, 0)
    put(_FREE, SRAM2A + _FREE, SRAM2A + _FREE)
    return bytes(area)


def command(opcode: int) -> bytes:
    """A system command without payload: list header, type 0x10, opcode, length. FUS ignores addresses, so none go."""
    return struct.pack("<IIBHB", 0, 0, 0x10, opcode, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What CPU2 answered: status, which for GET_STATE is the state, and the error byte; 0 where none came."""

    status: int
    error: int


def parse_answer(data: bytes, opcode: int) -> Answer:
    """Read the answer to a command, which stands where the command was, without a list header. Raises ChipError."""
    kind, event, size, _, echoed, status, error = struct.unpack_from("<BBBBHBB", data)
    if (kind, event) != (0x11, 0x0E) or echoed != opcode or not 4 <= size:  # noqa: SIM300 - packet's own
        raise ChipError(f"CPU2 answered {data[:8].hex(' ')} to 0x{opcode:04X}: not an answer to it")
    return Answer(status, error if size > 4 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """What CPU2 tells of itself."""

    is_fus: bool
    """Whether FUS runs; otherwise a stack."""
    fus: Version
    stack: Version | None
    """None: none is installed."""
    stack_sectors: int
    safeboot: Version


def parse_device_info(data: bytes) -> DeviceInfo:
    """Read the device information table in FUS's layout or in a stack's (mbox_def.h, MB_FUS_DeviceInfoTable_t and
    MB_DeviceInfoTable_t)."""
    words = struct.unpack_from("<13I", data)
    is_fus = words[0] == FUS_TABLE
    safeboot, fus, stack, memory = (words[at] for at in ((2, 3, 5, 6) if is_fus else (0, 1, 4, 5)))
    return DeviceInfo(
        is_fus=is_fus,
        fus=_version(fus).without_build,
        stack=_version(stack) if stack else None,
        stack_sectors=memory & 0xFF if stack else 0,
        safeboot=_version(safeboot),
    )


def _version(word: int) -> Version:
    return Version(word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word >> 4 & 0xF, word & 0xF)
