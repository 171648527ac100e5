"""Synthetic applications: ELF files laid out with struct (System V ABI), never with the library that reads them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

VECTORS = struct.pack("<4I", 0x20000400, 0x08000101, 0x08000103, 0x08000105)


@dataclass(frozen=True)
class Segment:
    """One program header, and its bytes in the file."""

    physical: int
    data: bytes = b""
    virtual: int | None = None
    memory: int | None = None
    type: int = 1


def elf(
    *segments: Segment,
    machine: int = 40,
    type_: int = 2,
    sections: Sequence[tuple[int, int]] = (),
    unfilled: Sequence[tuple[int, int, int, int]] = (),
    mapped_headers: int | None = None,
    entry: int = 0x08000101,
    order: str = "<",
) -> bytes:
    """Return a 32-bit ELF file, little-endian unless `order` is `>`.

    `sections`: offset and size of each allocated one with bytes. `unfilled`: flags, address, offset and size of each
    one without. `mapped_headers`: make the first segment start with the file's own headers, at this physical address.
    """
    offset = 52 + 32 * len(segments)
    headers, bodies, at = b"", b"", offset
    for index, one in enumerate(segments):
        virtual = one.physical if one.virtual is None else one.virtual
        start, physical, size = at, one.physical, len(one.data)
        if index == 0 and mapped_headers is not None:
            start, physical, size = 0, mapped_headers, offset + len(one.data)
        memory = size if one.memory is None else one.memory
        headers += struct.pack(f"{order}8I", one.type, start, virtual, physical, size, memory, 5, 4)
        bodies += one.data
        at += len(one.data)
    table = b"".join(
        struct.pack(f"{order}10I", 0, kind, flags, address, where, size, 0, 0, 4, 0)
        for kind, flags, address, where, size in [
            (0, 0, 0, 0, 0),
            *((8, *one) for one in unfilled),
            *((1, 2, 0, where, size) for where, size in sections),
        ]
    )
    count = len(sections) + len(unfilled) + 1 if sections or unfilled else 0
    ident = b"\x7fELF" + bytes((1, 1 if order == "<" else 2, 1)) + bytes(9)
    header = struct.pack(
        f"{order}HHIIIIIHHHHHH",
        *(type_, machine, 1, entry, 52, at if count else 0, 0x05000000, 52),
        *(32, len(segments), 40, count, 0),
    )
    return ident + header + headers + bodies + (table if count else b"")


def program(size: int, ram: int = 0x1000) -> bytes:
    """Return an application of so many bytes in flash and RAM, as ST's linker scripts lay it out."""
    code = (VECTORS + bytes(range(256)) * (size // 256 + 1))[: size - 16]
    return elf(
        Segment(0x08000000, code),
        Segment(0x08000000 + size - 16, b"initialised data", virtual=0x20000008, memory=ram),
    )
