"""Linked programs as ELF files: what a programmer would write, which RAM they use. Only this file imports pyelftools.

Source: System V ABI, "Program header"; ELF for the Arm Architecture (machine and class).
"""

from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from imagekit.errors import ApplicationError

MAGIC = b"\x7fELF"
_SECTION_HEADER, _PROGRAM_HEADER = 40, 32  # bytes: Elf32_Shdr, Elf32_Phdr


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfContent:
    """What the loadable segments of an ELF file say."""

    blocks: tuple[tuple[int, memoryview], ...]
    """Physical (load) address and bytes of each segment with bytes in the file, in the file's order. Views: the
    segments of a damaged file may share bytes, and thousands of copies would take all memory."""
    memory: tuple[tuple[int, int], ...]
    """Virtual address and size in bytes, .bss and the like included, of every segment with a size."""
    unfilled: tuple[tuple[int, int], ...]
    """Address and size in bytes of what takes memory and has no bytes in the file: ends of segments, whole sections."""
    entry: int
    """Where the program starts."""


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
    allocated = [one for one in elf.iter_sections() if one["sh_flags"] & SH_FLAGS.SHF_ALLOC and one["sh_size"]]
    lowest = min((one["sh_offset"] for one in allocated if one["sh_type"] != "SHT_NOBITS"), default=0)
    blocks, memory, view = [], [], memoryview(data)
    # A thread's .tbss has an address and takes no memory there (ELF Handling For Thread-Local Storage, 2).
    unfilled = [
        (one["sh_addr"], one["sh_size"])
        for one in allocated
        if one["sh_type"] == "SHT_NOBITS" and not one["sh_flags"] & SH_FLAGS.SHF_TLS
    ]
    for segment in elf.iter_segments("PT_LOAD"):
        offset, size = segment["p_offset"], segment["p_filesz"]
        if offset + size > len(data):
            raise ApplicationError("truncated ELF file: it ends before the bytes of its last segment")
        if segment["p_memsz"]:
            memory.append((segment["p_vaddr"], segment["p_memsz"]))
        if segment["p_memsz"] > size:
            unfilled.append((segment["p_vaddr"] + size, segment["p_memsz"] - size))
        # GNU ld maps the ELF file's own headers where alignment lets it; they are in no section, and objcopy leaves
        # them out.
        skipped = lowest if offset == 0 and lowest < size else 0
        if size:
            blocks.append((segment["p_paddr"] + skipped, view[offset + skipped : offset + size]))
    return ElfContent(blocks=tuple(blocks), memory=tuple(memory), unfilled=tuple(unfilled), entry=header["e_entry"])


def _refuse_counts(elf: ELFFile, size: int) -> None:
    """Raise ELFError for more headers than there is room for: 180 bytes may announce 2**32 of them, in one place."""
    if elf.num_sections() * _SECTION_HEADER + elf.num_segments() * _PROGRAM_HEADER > size:
        raise ELFError("more headers than bytes")
