"""The application: what CPU1 runs, and where in flash and RAM it lies. From ELF, Intel HEX, or a binary at an address.

An ELF file's flash content lies at its segments' physical addresses (what a programmer writes); its RAM at their
virtual ones, with .bss.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from imagekit.application.intel_hex import StartRecord, read_blocks
from imagekit.errors import ApplicationError, ParseError
from imagekit.files import LARGEST_ELF
from imagekit.image import container
from imagekit.targets import FLASH_BASE, LARGEST_FLASH

_FLASH_END = FLASH_BASE + LARGEST_FLASH
# SRAM1 begins at 0x20000000, and SRAM2b ends at 0x20040000 on the largest (RM0434, memory organization).
_RAM_BASE, _RAM_END = 0x2000_0000, 0x2004_0000


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An unbroken run of bytes in flash."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """The address just above it."""
        return self.start + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRange:
    """A run of memory that the application uses."""

    start: int
    end: int
    """The address just above it."""

    def meets(self, start: int, end: int) -> bool:
        """Whether they have a byte in common."""
        return max(self.start, start) < min(self.end, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A program for CPU1."""

    name: str
    """The file's name as it can be shown."""
    blocks: tuple[Block, ...]
    """What it has in flash: one at least, upwards, none overlaps or touches another."""
    reserved: tuple[MemoryRange, ...] = ()
    """Flash that it uses without bytes in the file, upwards: a NOLOAD section that the program writes itself."""
    ram: tuple[MemoryRange, ...] = ()
    """Upwards, whole, also where they reach out of RAM; empty when the file does not tell (HEX, binary)."""
    start: StartRecord | None = None
    mailbox: tuple[tuple[str, int], ...] = ()
    """Name and address of the parts of ST's mailbox that the file names; empty when it does not tell."""

    @property
    def flash(self) -> tuple[MemoryRange, ...]:
        """All that it uses of flash: upwards, none overlaps or touches another."""
        return _joined([*(MemoryRange(start=block.start, end=block.end) for block in self.blocks), *self.reserved])

    @property
    def end(self) -> int:
        """The address just above all that it uses of flash."""
        return self.flash[-1].end

    def above(self, address: int) -> tuple[MemoryRange, ...]:
        """What it uses of flash that lies above an address, or reaches above it."""
        return tuple(used for used in self.flash if used.end > address)


def from_elf(name: str, data: bytes) -> Application:
    """Read an application from an ELF file. Raises ApplicationError."""
    from imagekit.application.elf import read_elf

    _refuse_empty(data)
    if len(data) > LARGEST_ELF:
        raise ApplicationError(f"more than {LARGEST_ELF // 1024 // 1024} MiB: no ELF file of an application")
    content = read_elf(data)
    ram = _joined(MemoryRange(start=start, end=start + size) for start, size in content.memory + content.unfilled)
    reserved = _joined(
        MemoryRange(start=max(start, FLASH_BASE), end=min(start + size, _FLASH_END))
        for start, size in content.unfilled
        if start < _FLASH_END and start + size > FLASH_BASE
    )
    start = None
    if content.entry:  # as objcopy does: an entry point other than 0 becomes the start record of Intel HEX
        start = StartRecord(type=5, value=content.entry)
    return Application(
        name=name,
        blocks=_blocks(content.blocks, "ELF file"),
        reserved=reserved,
        ram=tuple(used for used in ram if used.meets(_RAM_BASE, _RAM_END)),
        start=start,
        mailbox=content.mailbox,
    )


def from_hex(name: str, data: bytes) -> Application:
    """Read an application from Intel HEX. Raises ApplicationError."""
    _refuse_empty(data)
    try:
        content = read_blocks(data)
    except ParseError as error:
        raise ApplicationError(str(error)) from error
    return Application(name=name, blocks=_blocks(content.blocks, "Intel HEX file"), start=content.start)


def from_binary(name: str, data: bytes, address: int) -> Application:
    """Take a binary as an application that starts at an address. Raises ApplicationError."""
    _refuse_empty(data)
    return Application(name=name, blocks=_blocks([(address, data)], "binary"))


def from_blocks(name: str, blocks: Iterable[tuple[int, bytes]], what: str) -> Application:
    """Take blocks at their addresses as an application; `what` names the file format. Raises ApplicationError."""
    return Application(name=name, blocks=_blocks(blocks, what))


def _joined(ranges: Iterable[MemoryRange]) -> tuple[MemoryRange, ...]:
    """The ranges upwards, those that overlap or touch joined."""
    runs: list[MemoryRange] = []
    for used in sorted(ranges, key=lambda used: used.start):
        if runs and used.start <= runs[-1].end:
            runs[-1] = MemoryRange(start=runs[-1].start, end=max(used.end, runs[-1].end))
        else:
            runs.append(used)
    return tuple(runs)


def _refuse_empty(data: bytes) -> None:
    if not data:
        raise ApplicationError("the file is empty")


def _blocks(pieces: Iterable[tuple[int, bytes | memoryview]], what: str) -> tuple[Block, ...]:
    """The pieces upwards, those that touch joined. Raises ApplicationError for what cannot be an application."""
    runs: list[tuple[int, list[bytes | memoryview]]] = []
    end = 0
    filled = (piece for piece in pieces if len(piece[1]))  # UF2 and DfuSe files can hold empty blocks
    for start, data in sorted(filled, key=lambda piece: piece[0]):
        if not FLASH_BASE <= start <= start + len(data) <= _FLASH_END:
            raise ApplicationError(
                f"the {what} has bytes at 0x{start:08X}-0x{start + len(data) - 1:08X}, outside of flash "
                f"(0x{FLASH_BASE:08X}-0x{_FLASH_END - 1:08X})"
            )
        if runs and start < end:
            raise ApplicationError(f"two parts of the {what} overlap at 0x{start:08X}: link it again")
        if runs and start == end:
            runs[-1][1].append(data)
        else:
            runs.append((start, [data]))
        end = start + len(data)
    if not runs:
        raise ApplicationError(f"the {what} has no bytes for flash")
    blocks = tuple(Block(start=start, data=b"".join(parts)) for start, parts in runs)
    _refuse_images(blocks)
    return blocks


def _refuse_images(blocks: Iterable[Block]) -> None:
    """Raise ApplicationError when a block is a coprocessor image: given by mistake, or both are in one file."""
    for block in blocks:
        try:
            container.split(block.data)
        except ParseError:
            continue
        raise ApplicationError(
            f"it holds an encrypted coprocessor image at 0x{block.start:08X}: give the application alone"
        )
