"""Fuzz targets for files that hold code or images: DfuSe, S-records, UF2, flash dumps, files with images inside."""

import functools
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from zlib import crc32

from imagekit.application.read import addressed_blocks, has_addresses, read_application
from imagekit.assessment import assess
from imagekit.catalogue import Catalogue, Content, Publication
from imagekit.embedded import find_embedded
from imagekit.errors import ApplicationError, ParseError
from imagekit.flash_scan import find_images, image_ends
from imagekit.image.model import Image
from imagekit.targets import FLASH_BASE, LARGEST_FLASH, TARGETS
from tests.fuzz.mutate import CUT
from tests.support.applications import VECTORS
from tests.support.images import content, throw_away_keys
from tests.test_application_formats import dfuse, s_records, uf2

_START = 0x0800_0000
_CODE = VECTORS + bytes(range(240))


def _read(name: str, data: bytes) -> None:
    """Read a file as an application and as blocks with addresses."""
    has_addresses(data)
    with suppress(ApplicationError):
        for block in read_application(name, data).blocks:
            assert block.data
    with suppress(ApplicationError, ParseError):
        runs = addressed_blocks(data)
        assert sum(len(run) for _, run in runs) <= len(data)


def run_dfuse(data: bytes) -> None:
    """Read a file as it is, and with its size and CRC made right."""
    _read("app.dfu", data)
    if len(data) > _SUFFIX + _PREFIX:
        whole = bytearray(data[:-_SUFFIX])
        struct.pack_into("<I", whole, 6, len(whole))
        whole += struct.pack("<HHHH3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", _SUFFIX)
        _read("app.dfu", bytes(whole) + struct.pack("<I", crc32(whole) ^ 0xFFFF_FFFF))


_SUFFIX, _PREFIX = 16, 11


def dfuse_seeds() -> Iterator[bytes]:
    """Return one element, and two."""
    yield dfuse((_START, _CODE))
    yield dfuse((_START, _CODE), (_START + 0x8000, b"data"))


_S_LINE = re.compile(rb"S([0-9])[0-9A-Fa-f]{2}((?:[0-9A-Fa-f]{2})*)[0-9A-Fa-f]{2}")


def run_s_records(data: bytes) -> None:
    """Read a file as it is, and with the length and checksum of each line made right."""

    def line(match: re.Match[bytes]) -> bytes:
        body = bytes.fromhex(match[2].decode())
        whole = bytes([(len(body) + 1) & 0xFF]) + body
        return b"S%b%b%02X" % (match[1], whole.hex().upper().encode(), ~sum(whole) & 0xFF)

    _read("app.srec", data)
    _read("app.srec", _S_LINE.sub(line, data))


def s_record_seeds() -> Iterator[bytes]:
    """Return 32-bit addresses, and short data records."""
    yield s_records(_CODE)
    yield s_records(_CODE, end=False)
    yield b"S0030000FC\nS1130000285F245F2212226A000424290008237C2A\nS9030000FC\n"


def run_uf2(data: bytes) -> None:
    """Read a file as it is, and with the number of each block made right."""
    _read("app.uf2", data)
    whole = bytearray(data[: len(data) // 512 * 512])
    for at in range(0, len(whole), 512):
        struct.pack_into("<II", whole, at + 20, at // 512, len(whole) // 512)
    _read("app.uf2", bytes(whole))


def uf2_seeds() -> Iterator[bytes]:
    """Return two blocks, and one of another chip."""
    yield uf2(_CODE * 2)
    yield uf2(_CODE, family=0x5EE21072)


def run_dump(data: bytes) -> None:
    """Search a flash dump for every kind of chip."""
    flash = data[:LARGEST_FLASH]
    for target in TARGETS:
        found = find_images(flash, target)
        assert all(FLASH_BASE <= leftover.start < leftover.end for leftover in found)
    for end in image_ends(data):
        assert 0 < end <= len(data)


def dump_seeds() -> Iterator[bytes]:
    """Return images at and between sectors, and two that follow one another."""
    stack, fus = content("stack-4k"), content("fus-2.2.0")
    yield b"\xff" * 4096 + stack
    yield stack.ljust(4096, b"\xff") + fus
    yield bytes(1234) + content("customer-signed")


def run_embedded(data: bytes) -> None:
    """Search a file for whole images; each part of an input is searched too, beside the whole."""
    for part in (data, b"".join(data.split(CUT))):
        for image in find_embedded(part, _known()):
            assert Image.parse(image.data).sha256 == image.assessment.image.sha256
            image.title.encode()
    with suppress(ParseError):
        assess(Image.parse(data), throw_away_keys())


@functools.cache
def _known() -> Catalogue:
    """Return a catalogue with the image of the seeds, which ST did not sign."""
    image = Image.parse(content("stack-4k"))
    entry = Content(
        sha256=image.sha256,
        size=len(content("stack-4k")),
        kind="stack",
        magic=f"0x{image.footer.magic:08X}",
        series=("WB5x",),
        version="1.13.3.0",
        sectors=None,
        sram2a_kib=image.footer.sram2a_kib,
        sram2b_kib=image.footer.sram2b_kib,
        key=None,
        published=(Publication("v9.9.9", "STM32WB5x/stm32wb5x_BLE_Thread_static_fw.bin", {}),),
        known_bad=None,
    )
    return Catalogue(("v9.9.9",), {image.sha256: entry})


def embedded_seeds() -> Iterator[bytes]:
    """Return an image between other bytes, inverted, in a C array, and in S-records."""
    image = content("stack-4k")
    yield b"header" + CUT + image + CUT + b"\xff" * 40
    yield bytes(byte ^ 0xFF for byte in image)
    numbers = ", ".join(f"0x{byte:02X}" for byte in image)
    yield f"/* firmware */\nconst uint8_t image[] = {{ {numbers} }}; // end\n".encode()
    yield s_records(image, 0x080D_0000)
    yield uf2(image, 0x080D_0000)
