"""Bytes that cannot be cut into an image: what they are instead, and what to do.

The kinds are those that users met: docs/image-format.md, "Files that are not images". Every function looks at bytes
only, and is asked only when cutting failed. No function ever accepts an image.
"""

import re
import struct

from imagekit.errors import ParseError

_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # git-lfs, docs/spec.md: "The Pointer"
_UTF8_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_OTHER_FILES = (
    (b"\x7fELF", "an ELF file, such as an application: --app takes it; an image is a .bin"),
    (b"\x1f\x8b", "a gzip archive: unpack it and give the .bin inside"),
    (b"DfuSe", "a DfuSe file (ST UM0391): give the .bin that it was made from"),
    (b"UF2\n", "a UF2 file (github.com/microsoft/uf2): give the .bin that it was made from"),
    # Zigbee Cluster Library, 11.4.2.1: the upgrade file identifier 0x0BEEF11E.
    (b"\x1e\xf1\xee\x0b", "a Zigbee OTA file: give the image that it carries, from ST's release"),
    (b"Filetype: Flipper", "a file of a Flipper Zero, such as a key or a record: give the radio stack's .bin"),
)
_ZIP = b"PK\x03\x04"  # APPNOTE.TXT of PKWARE, 4.3.7
_S_RECORDS = re.compile(rb"S0[0-9A-Fa-f]{6,}\r?\n")
_INTEL_HEX = re.compile(rb":[0-9A-Fa-f]{10,}\r?\n")
_C_ARRAY = re.compile(rb"(?:0[xX][0-9A-Fa-f]{1,2}\s*,\s*){8}")

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
    """Return whether a text-mode transfer turned every LF into CR LF: then every LF follows a CR."""
    first = data.find(b"\n")
    if first < 1 or data[first - 1] != 0x0D:
        return False
    line_ends = data.count(b"\n")
    return line_ends >= _TELLING_LINE_ENDS and line_ends == data.count(b"\r\n")


def lacks_carriage_returns(data: bytes, end: int) -> bool:
    """Return whether no CR occurs before `end`, in so many bytes that an encrypted body must contain some."""
    return end >= _TELLING_LENGTH and data.find(b"\r", 0, end) < 0


def first_line(data: bytes) -> str:
    """Return the first line of a text (at most 60 printable characters); empty for bytes that are not text."""
    head = data[:200].strip()
    if not head or not head.isascii() or not head.translate(None, b"\r\n\t").decode("ascii").isprintable():
        return ""
    return head.decode("ascii").splitlines()[0].replace("\t", " ").strip()[:60]


def without_signature_footer(data: bytes, markers: bytes, footer_size: int) -> ParseError:
    """Return why bytes that do not end with a signature footer are not an image.

    `markers` are the bytes that such a footer starts with, `footer_size` its length.
    """
    if looks_unencrypted(data):
        return _unencrypted(data, markers, footer_size)
    if data.count(data[0]) == len(data):
        return ParseError("no-signature-footer", f"all {len(data)} bytes are 0x{data[0]:02X}: erased or blank")
    mangled = _mangled_encoding(data)
    if mangled:
        return ParseError("text-mangled", f"{mangled}; download it again in binary mode")
    return ParseError(
        "no-signature-footer",
        named_file(data)
        or _text(data)
        or _changed_bytes(data, markers, footer_size)
        or _trailing_bytes(data, markers, footer_size)
        or f"no signature footer in the last {footer_size} bytes: the file is truncated, or not an STM32WB coprocessor "
        "image; download it again",
    )


def _unencrypted(data: bytes, markers: bytes, footer_size: int) -> ParseError:
    """Return what bytes are that start with a vector table: a flash dump with images in it, or a program."""
    ends = [match.start() + footer_size for match in re.finditer(re.escape(markers), data)]
    if ends:
        where = ", ".join(f"byte {end}" for end in ends[:_FEW])
        images = "1 image" if len(ends) == 1 else f"{len(ends)} images"
        return ParseError(
            "unencrypted",
            f"this is a flash dump: it starts with a vector table and holds {images} (up to {where}); give the file "
            "that was installed, from ST's release",
        )
    return ParseError(
        "unencrypted",
        "it starts with a vector table: an unencrypted program, such as an application or the defective "
        "FUS_fw.bin of STM32CubeWB v1.5.0; FUS takes only ST's encrypted images",
    )


_FEW = 4


def looks_unencrypted(data: bytes) -> bool:
    """Return whether the bytes start with a Cortex-M vector table: SP in SRAM, then odd (Thumb) code addresses."""
    if len(data) < 16:
        return False
    stack_pointer, *vectors = struct.unpack_from("<4I", data)
    return (
        0x2000_0000 <= stack_pointer <= 0x2004_0000
        and stack_pointer % 4 == 0
        and all(vector % 2 == 1 and (vector < 0x10_0000 or vector >> 20 == 0x080) for vector in vectors)
    )


def _mangled_encoding(data: bytes) -> str:
    """Return how a program that took the binary for text changed it; empty when the bytes do not show it."""
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


def _changed_bytes(data: bytes, markers: bytes, footer_size: int) -> str:
    """Return how every byte of an image was changed; empty when the bytes do not show it."""
    footer = data[-footer_size:]
    start = footer[: len(markers)]
    key = start[0] ^ markers[0]
    if key and bytes(byte ^ key for byte in start) == markers:
        how = "inverted" if key == 0xFF else f"XORed with 0x{key:02X}"
        return f"every byte of this image is {how}: give the file from ST's release"
    for size in (2, 4):
        if _swapped(start, size) == markers:
            return f"the bytes of this image are swapped in groups of {size}: give the file from ST's release"
    return ""


def _swapped(data: bytes, size: int) -> bytes:
    """Return bytes with the order inside each group of `size` reversed."""
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))


def _trailing_bytes(data: bytes, markers: bytes, footer_size: int) -> str:
    """Return what follows a signature footer that is not at the end; empty when there is none."""
    end = data.rfind(markers) + footer_size
    if end < footer_size or end >= len(data):
        return ""
    rest = data[end:]
    what = f"bytes 0x{rest[0]:02X} (padding)" if rest.count(rest[0]) == len(rest) else "other bytes"
    return f"{len(rest)} {what} follow the signature footer: an image must end with it, at byte {end}"


def named_file(data: bytes) -> str:
    """Return what a well-known kind of file is, and what to do, from how it starts; empty when it is not known."""
    if data.startswith(_ZIP):
        return _zip(data)
    for start, what in _OTHER_FILES:
        if data.startswith(start):
            return f"this is {what}"
    if data[-8:-5] == b"UFD":  # USB DFU 1.1, appendix B: the suffix
        return "this is a DFU file: give the .bin that it was made from"
    return _text_file(data)


def _text_file(data: bytes) -> str:
    """Return which known kind of text a file is; empty for anything else."""
    if _INTEL_HEX.match(data):
        return "this is Intel HEX text: give the file a name that ends with .hex"
    if _S_RECORDS.match(data):
        return "this is Motorola S-records text: convert it to binary (objcopy -I srec -O binary)"
    head = data[:_TELLING_LENGTH]
    if head.isascii() and _C_ARRAY.search(head):
        return "this is C source with bytes in an array: convert it to binary (xxd -r -p)"
    return ""


def _text(data: bytes) -> str:
    """Return how a text starts that is of no known kind; empty for anything else."""
    line = first_line(data)
    return f'this is text, not an image: it starts with "{line}"' if line else ""


def _zip(data: bytes) -> str:
    """Return what a ZIP archive is: a release of ST's, or another one."""
    if data[30:48] == b"manifest.dsse.json":  # docs/bundle.md: its first member
        return "this is a bundle: use `imagekit bundle show` or `bundle extract`"
    if b"Release_Notes.html" in data or re.search(rb"stm32wb[135]x_\w+_fw", data):
        return "this is a ZIP archive of a release: unpack it, then name the folder or a .bin inside"
    return "this is a ZIP archive: unpack it, and give the .bin inside"
