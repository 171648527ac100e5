"""Bytes that cannot be cut into an image: tell from the content what they are instead.

The kinds are the ones users really met: docs/image-format.md, "Files that are not images". Every function
looks at bytes only; none of them ever calls an image good.
"""

import re
import struct

from imagekit.errors import ParseError

_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # git-lfs, docs/spec.md: "The Pointer"
_UTF8_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_OTHER_FILES = (
    (b"\x7fELF", "an ELF file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"DfuSe", "a DfuSe file"),
)
_S_RECORDS = re.compile(rb"S0[0-9A-Fa-f]{6,}\r?\n")
_INTEL_HEX = re.compile(rb":[0-9A-Fa-f]{10,}\r?\n")

# Fewer line ends than this prove nothing: a random body has one byte 0x0A in 256.
_TELLING_LINE_ENDS = 8
# A random body this long without one given byte value has a chance of 1 in 9 million.
_TELLING_LENGTH = 4096


def text_in_place_of_image(data: bytes) -> ParseError | None:
    """Return the error for a saved web page or a Git LFS pointer, None for anything else."""
    if _WEB_PAGE.match(data):
        return ParseError("web-page", "this is a web page, not a binary: download the raw file again")
    if data.startswith(_LFS_POINTER):
        return ParseError("lfs-pointer", "this is a Git LFS pointer, not the binary: run `git lfs pull`")
    return None


def has_inserted_carriage_returns(data: bytes) -> bool:
    """Whether a text-mode transfer turned every LF into CR LF: then no LF stands alone."""
    first = data.find(b"\n")
    if first < 1 or data[first - 1] != 0x0D:
        return False
    line_ends = data.count(b"\n")
    return line_ends >= _TELLING_LINE_ENDS and line_ends == data.count(b"\r\n")


def lacks_carriage_returns(data: bytes, end: int) -> bool:
    """Whether no CR is left before `end`, in bytes so many that an encrypted body must have had some."""
    return end >= _TELLING_LENGTH and data.find(b"\r", 0, end) < 0


def first_line(data: bytes) -> str:
    """Return the first line of a text (at most 60 printable characters), empty for anything that is no text."""
    head = data[:200].strip()
    if not head or not head.isascii() or not head.translate(None, b"\r\n\t").decode("ascii").isprintable():
        return ""
    return head.decode("ascii").splitlines()[0].replace("\t", " ").strip()[:60]


def without_signature_footer(data: bytes, markers: bytes, footer_size: int) -> ParseError:
    """Say why bytes that do not end with a signature footer are no image.

    `markers` are the bytes that such a footer starts with, `footer_size` its length.
    """
    if looks_unencrypted(data):
        return ParseError(
            "unencrypted",
            "it starts with a vector table: an unencrypted program, such as an application or the defective "
            "FUS_fw.bin of STM32CubeWB v1.5.0; FUS takes only ST's encrypted images",
        )
    if data.count(data[0]) == len(data):
        return ParseError("no-signature-footer", f"all {len(data)} bytes are 0x{data[0]:02X}: erased or blank")
    if mangled := _mangled_encoding(data):
        return ParseError("text-mangled", f"{mangled}; download it again in binary mode")
    return ParseError(
        "no-signature-footer",
        _other_file(data)
        or _trailing_bytes(data, markers, footer_size)
        or f"no signature footer in the last {footer_size} bytes: truncated, "
        "or not an STM32WB coprocessor image; download it again",
    )


def looks_unencrypted(data: bytes) -> bool:
    """Whether the bytes start with a Cortex-M vector table: SP in SRAM, then odd (Thumb) code addresses."""
    if len(data) < 16:
        return False
    stack_pointer, *vectors = struct.unpack_from("<4I", data)
    return (
        0x2000_0000 <= stack_pointer <= 0x2004_0000
        and stack_pointer % 4 == 0
        and all(vector % 2 == 1 and (vector < 0x10_0000 or vector >> 20 == 0x080) for vector in vectors)
    )


def _mangled_encoding(data: bytes) -> str:
    """How a program that took the binary for text changed it; empty when nothing tells so."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and data.count(0) > len(data) // 3:
        return "every byte was turned into UTF-16 (a shell's output redirection does that)"
    if data.count(_UTF8_REPLACEMENT) >= _TELLING_LINE_ENDS:
        return "bytes were replaced by the UTF-8 replacement character"
    if first_line(data):
        return ""  # a real text, not a damaged binary
    if len(data) >= _TELLING_LENGTH and data.isascii() and len(set(data)) > 64:
        return "the top bit of every byte is gone"
    if lacks_carriage_returns(data, len(data)) and len(set(data)) > 128:
        return f"no carriage return (0x0D) in {len(data)} bytes: line ends were converted"
    return ""


def _trailing_bytes(data: bytes, markers: bytes, footer_size: int) -> str:
    """Say what follows a signature footer that is not at the end; empty when there is none."""
    end = data.rfind(markers) + footer_size
    if end < footer_size or end >= len(data):
        return ""
    rest = data[end:]
    what = f"bytes 0x{rest[0]:02X} (padding)" if rest.count(rest[0]) == len(rest) else "other bytes"
    return f"{len(rest)} {what} follow the signature footer: an image must end with it, at byte {end}"


def _other_file(data: bytes) -> str:
    """Name a well-known kind of file by how it starts; empty when there is none."""
    if _INTEL_HEX.match(data):
        return "this is Intel HEX text: name it .hex"
    if _S_RECORDS.match(data):
        return "this is Motorola S-records text: give the binary"
    for start, what in _OTHER_FILES:
        if data.startswith(start):
            return f"this is {what}, not an STM32WB coprocessor image"
    if line := first_line(data):
        return f'this is text, not an image: it starts with "{line}"'
    return ""
