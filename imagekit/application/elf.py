"""Linked programs as ELF files: what a programmer would write, which RAM they use. Only this file imports pyelftools.

Source: System V ABI, "Program header"; ELF for the Arm Architecture (machine and class).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section
from elftools.elf.segments import Segment

from imagekit.errors import ApplicationError

MAGIC = b"\x7fELF"
MAILBOX_NAMES = ("MAPPING_TABLE", "TL_RefTable", "MB_MEM1", "MB_MEM2")
"""Sections of ST's linker scripts for the mailbox, and its reference table (STM32CubeWB, tl_mbox.c)."""
_SECTION_HEADER, _PROGRAM_HEADER = 40, 32  # bytes: Elf32_Shdr, Elf32_Phdr


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfContent:
    """What the loadable segments of an ELF file say."""

    blocks: tuple[tuple[int, memoryview], ...]
    """Physical (load) address and bytes of each segment with bytes in the file, in the file's order. Views: the
    segments of a damaged file may share bytes, and thousands of copies would take all memory."""
    memory: tuple[tuple[int, int], ...]
    """Virtual address and size in bytes of every segment, section and variable with a size, .bss included."""
    unfilled: tuple[tuple[int, int], ...]
    """Address and size in bytes of what takes memory and has no bytes in the file: ends of segments, whole sections."""
    entry: int
    """Where the program starts."""
    mailbox: tuple[tuple[str, int], ...] = ()
    """Name and address of each section and variable of ST's mailbox (MAILBOX_NAMES) that the file names."""


def read_elf(data: bytes) -> ElfContent:
    """Read a linked program for Cortex-M. Raises ApplicationError: another machine, not linked, or damaged."""
    if data[:4] != MAGIC:
        raise ApplicationError("not an ELF file; Intel HEX must be named .hex, a binary FILE.bin@ADDRESS")
    try:
        return _content(ELFFile(BytesIO(data)), data)
    # pyelftools lets some of what damaged bytes cause through as it is.
    except (ELFError, ConstructError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as e:
        raise ApplicationError("damaged ELF file: link it again, or copy it again in binary mode") from e


def _content(elf: ELFFile, data: bytes) -> ElfContent:
    header = elf.header
    if elf.elfclass != 32 or not elf.little_endian or header["e_machine"] != "EM_ARM":
        raise ApplicationError("an ELF file for another processor: STM32WB takes 32-bit little-endian Arm")
    if header["e_type"] != "ET_EXEC":
        raise ApplicationError("an ELF file that is not linked to fixed addresses: give the program, no object file")
    _refuse_counts(elf, len(data))
    sections = list(elf.iter_sections())
    allocated = [section for section in sections if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]]
    lowest = min((section["sh_offset"] for section in allocated if section["sh_type"] != "SHT_NOBITS"), default=0)
    empty = _unfilled_sections(allocated)
    blocks, memory, view = [], [], memoryview(data)
    unfilled = list(empty)
    for segment in elf.iter_segments("PT_LOAD"):
        offset, size = segment["p_offset"], segment["p_filesz"]
        if offset + size > len(data):
            raise ApplicationError("truncated ELF file: it ends before the bytes of its last segment")
        beyond = (segment["p_vaddr"] + size, segment["p_memsz"] - size)
        is_counted = beyond[1] > 0 and not _is_elsewhere(segment, allocated)
        if segment["p_memsz"]:
            memory.append((segment["p_vaddr"], segment["p_memsz"] if is_counted else size))
        if is_counted:
            unfilled.append(beyond)
        # GNU ld maps the ELF file's own headers where alignment lets it; they are in no section, and objcopy leaves
        # them out.
        skipped = lowest if offset == 0 and lowest < size else 0
        if size:
            blocks.append((segment["p_paddr"] + skipped, view[offset + skipped : offset + size]))
    memory += [(section["sh_addr"], section["sh_size"]) for section in allocated if not _is_tls(section)]
    memory += _symbols_in_ram(sections, view)
    return ElfContent(
        blocks=tuple(blocks),
        memory=tuple(memory),
        unfilled=tuple(unfilled),
        entry=header["e_entry"],
        mailbox=tuple(_mailbox(sections, view)),
    )


def _unfilled_sections(allocated: list[Section]) -> list[tuple[int, int]]:
    """Return address and size of each section that has no bytes in the file."""
    return [
        (section["sh_addr"], section["sh_size"])
        for section in allocated
        if section["sh_type"] == "SHT_NOBITS" and not _is_tls(section)
    ]


def _is_tls(section: Section) -> bool:
    """Whether a section is a template for threads: it has an address and takes no memory there.

    Source: ELF Handling For Thread-Local Storage, section 2.
    """
    return bool(section["sh_flags"] & SH_FLAGS.SHF_TLS)


def _is_elsewhere(segment: Segment, allocated: list[Section]) -> bool:
    """Whether a segment's memory beyond its bytes lies at addresses that only the sections tell.

    armlink writes one segment from the start of flash whose memory size counts RAM elsewhere: a section lies in it by
    its place in the file, and outside of it by its address.
    """
    first, last = segment["p_offset"], segment["p_offset"] + segment["p_filesz"]
    start, end = segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"]
    return any(
        first <= section["sh_offset"] <= last and not start <= section["sh_addr"] < end
        for section in allocated
        if section["sh_type"] != "SHT_NOBITS"
    )


def _symbols_in_ram(sections: list[Section], view: memoryview) -> list[tuple[int, int]]:
    """Return address and size of every sized symbol in RAM.

    armlink stores initialised RAM compressed, so that a section's size in the file says little about the memory it
    takes: the variables in it do (Arm Compiler, "Optimization of RW data compression").
    """
    found = []
    for section in sections:
        if section["sh_type"] != "SHT_SYMTAB":
            continue
        start, size = section["sh_offset"], section["sh_size"]
        whole = min(size, max(len(view) - start, 0)) // _SYMBOL.size * _SYMBOL.size
        for _, value, length, info, _, index in _SYMBOL.iter_unpack(view[start : start + whole]):
            is_variable = info & 0xF in (_NOTYPE, _OBJECT) and index != _UNDEFINED
            if is_variable and length and _RAM_BASE <= value < _RAM_END:
                found.append((value, length))
    return found


def _mailbox(sections: list[Section], view: memoryview) -> Iterator[tuple[str, int]]:
    """Yield name and address of the sections and symbols that hold ST's mailbox."""
    for section in sections:
        # Linker scripts that STM32CubeIDE generates put a dot before the names.
        name = section.name.removeprefix(".").upper()
        if name in MAILBOX_NAMES and section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]:
            yield name, section["sh_addr"]
        if section["sh_type"] == "SHT_SYMTAB" and section["sh_link"] < len(sections):
            yield from _mailbox_symbols(section, sections[section["sh_link"]], view)


def _mailbox_symbols(section: Section, names: Section, view: memoryview) -> Iterator[tuple[str, int]]:
    """Yield name and address of the mailbox's symbols in a symbol table."""
    strings = bytes(view[names["sh_offset"] : names["sh_offset"] + names["sh_size"]])
    wanted = {name.encode() + b"\0": name for name in MAILBOX_NAMES}
    start, size = section["sh_offset"], section["sh_size"]
    whole = min(size, max(len(view) - start, 0)) // _SYMBOL.size * _SYMBOL.size
    for at, value, length, info, _, index in _SYMBOL.iter_unpack(view[start : start + whole]):
        if index == _UNDEFINED or not length or info & 0xF not in (_NOTYPE, _OBJECT):
            continue
        end = strings.find(b"\0", at) + 1
        if strings[at:end] in wanted:
            yield wanted[strings[at:end]], value


_SYMBOL = struct.Struct("<IIIBBH")  # Elf32_Sym
_NOTYPE, _OBJECT, _UNDEFINED = 0, 1, 0
_RAM_BASE, _RAM_END = 0x2000_0000, 0x2004_0000  # RM0434, memory organization


def _refuse_counts(elf: ELFFile, size: int) -> None:
    """Raise ELFError for more headers than there is room for: 180 bytes may announce 2**32 of them, in one place."""
    if elf.num_sections() * _SECTION_HEADER + elf.num_segments() * _PROGRAM_HEADER > size:
        raise ELFError("more headers than bytes")
