"""The mailbox as CPU2 sees it: the tables that CPU1 left in SRAM2A, their check, packets, device information.

Sources: mbox_def.h and shci.h (tables, packets), psdb and hardware dumps (what FUS makes of them).
"""

import struct
from dataclasses import dataclass

from flasher.sim.memory import Ram
from flasher.sim.parts import SRAM1_BASE, SRAM2A_BASE, SRAM2B_BASE

ATTACK_WORD = 0x3DE9_6F61  # CPU2 found a pointer outside non-secure SRAM and loops (release notes)
HARD_FAULT_WORD = 0x1170_FD0F  # CPU2 faulted; PC, LR, SP follow (Flipper, field reports)
FUS_TABLE_KEY = 0xA946_56B9  # shci.h: the device information table is FUS's
DEFAULT_TABLE_OFFSET = 0x24  # where FUS puts it when CPU1 gave no place (dump)

COMMAND_TYPE, RESPONSE_TYPE, EVENT_TYPE = 0x10, 0x11, 0x12  # tl.h
_COMMAND_COMPLETE, _VENDOR_EVENT, _READY = 0x0E, 0xFF, 0x9200
_COMMAND_SIZE, _EVENT_SIZE = 267, 266  # TL_CmdPacket_t, TL_EvtPacket_t: headers and 255 bytes
_PENDING_TABLES = ((0x08, 4), (0x14, 1), (0x18, 3), (0x1C, 3), (0x20, 2))  # others in the reference table, in pointers


@dataclass(frozen=True, slots=True)
class OpenRam:
    """What buffers may lie in: KiB of SRAM2A and SRAM2B that are open, SRAM1 if that is accepted.

    `needs_ble`: the BLE table and what it points to may not be NULL.
    """

    sram2a_kib: int
    sram2b_kib: int
    sram1: bool
    needs_ble: bool = False

    def holds(self, address: int, size: int) -> bool:
        """Whether a buffer lies in open RAM as a whole."""
        areas = [(SRAM2A_BASE, self.sram2a_kib * 1024), (SRAM2B_BASE, self.sram2b_kib * 1024)]
        areas += [(SRAM1_BASE, SRAM2A_BASE - SRAM1_BASE)] if self.sram1 else []
        return any(base <= address and address + size <= base + length for base, length in areas)


@dataclass(slots=True)
class Mailbox:
    """Addresses that CPU2 took from the tables when it booted; 0 where CPU1 gave none."""

    base: int = SRAM2A_BASE
    device_info: int = 0
    command: int = 0
    queue: int = 0
    spare_event: int = 0
    free_queue: int = 0


class _HangError(Exception):
    """A pointer that CPU2 does not survive."""

    def __init__(self, word: int) -> None:
        super().__init__(hex(word))
        self.word = word


def read_mailbox(ram: Ram, base: int, area: OpenRam) -> Mailbox | int:
    """Follow the reference table; the word that CPU2 leaves when a table or buffer makes it hang."""
    try:
        return _Reader(ram, area).mailbox(base)
    except _HangError as error:
        return error.word


@dataclass(frozen=True, slots=True)
class _Reader:
    ram: Ram
    area: OpenRam

    def checked(self, address: int, size: int) -> int:
        """A pointer, if it is 0 or points to so many bytes of open RAM that exist."""
        if address and not (self.area.holds(address, size) and self.ram.find(address, size) is not None):
            raise _HangError(ATTACK_WORD)
        return address

    def aligned(self, address: int, size: int) -> int:
        """A pointer to words, such as tables and list nodes: CPU2 is a Cortex-M0+, unaligned words fault (Arm v6-M)."""
        if self.checked(address, size) % 4:
            raise _HangError(HARD_FAULT_WORD)
        return address

    def table(self, pointer: int, words: int) -> tuple[int, ...]:
        """The words of a table; zeros when there is none."""
        address = self.aligned(pointer, words * 4)
        if address:
            return struct.unpack(f"<{words}I", self.ram.read(address, words * 4))
        return (0,) * words

    def mailbox(self, base: int) -> Mailbox:
        reference = self.table(base, 9)
        system = self.table(reference[3], 2)
        memory = self.table(reference[4], 7)
        ble = self.table(reference[1], 4)
        for pointer, size in zip(ble, (_COMMAND_SIZE, 15, 8, 4), strict=True):
            self.checked(pointer, size)
        if self.area.needs_ble and not all(ble):
            raise _HangError(ATTACK_WORD)
        for offset, words in _PENDING_TABLES:
            for pointer in self.table(reference[offset // 4], words):
                self.checked(pointer, 4)
        self.checked(memory[0], _EVENT_SIZE)
        self.checked(memory[2], memory[3])
        self.checked(memory[5], memory[6])
        return Mailbox(
            base=base,
            device_info=self.checked(reference[0], 0x34) or base + DEFAULT_TABLE_OFFSET,
            command=self.checked(system[0], _COMMAND_SIZE),
            queue=self.aligned(system[1], 8),
            spare_event=self.aligned(memory[1], _EVENT_SIZE),
            free_queue=self.aligned(memory[4], 8),
        )


def push_ready_event(ram: Ram, mailbox: Mailbox, *, payload: int, tail_maintained: bool) -> bool:
    """Put the ready event into the spare system buffer and behind the queue's last node; False without tables."""
    node, queue = mailbox.spare_event, mailbox.queue
    if not node or not queue:
        return False
    ram.put_words(node, queue, queue)
    ram.write(node + 8, struct.pack("<BBBHB", EVENT_TYPE, _VENDOR_EVENT, 3, _READY, payload))
    ram.put_words(queue, node)
    if tail_maintained:
        ram.put_words(queue + 4, node)
    return True


def read_command(ram: Ram, mailbox: Mailbox) -> tuple[int, int, bytes]:
    """The type, opcode and payload of the command in the buffer (list header first)."""
    kind, opcode, size = struct.unpack("<BHB", ram.read(mailbox.command + 8, 4))
    return kind, opcode, ram.read(mailbox.command + 12, size)


def write_response(ram: Ram, mailbox: Mailbox, num_hci: int, opcode: int, content: bytes) -> None:
    """Write a response where the command was, without a list header. `content`: the status, then what belongs to it."""
    head = struct.pack("<BBBBH", RESPONSE_TYPE, _COMMAND_COMPLETE, 3 + len(content), num_hci, opcode)
    ram.write(mailbox.command, head + content)
