"""Cutting images into parts, and the reason why other bytes cannot be cut."""

import pytest

from imagekit.errors import ParseError
from imagekit.image import container
from imagekit.image import diagnosis as not_an_image
from imagekit.image.model import Image
from imagekit.targets import LARGEST_FLASH
from tests.support.images import IMAGES, content

NOT_IMAGES = {
    "empty": ("empty", "0 bytes"),
    "too-short": ("too-short", "104 bytes are too few: an image has 105 at least"),
    "not-found-message": ("too-short", 'the file reads "404: Not Found"'),
    "web-page": ("web-page", "download the raw file"),
    "lfs-pointer": ("lfs-pointer", "git lfs pull"),
    "lf-became-crlf": ("text-mangled", "every line feed"),
    "crlf-became-lf": ("text-mangled", "the signature has 63 bytes, not 64"),
    "crs-removed": ("text-mangled", "no carriage return"),
    "utf8-replaced": ("text-mangled", "UTF-8 replacement character"),
    "utf16": ("text-mangled", "UTF-16"),
    "seven-bit": ("text-mangled", "top bit"),
    "unencrypted": ("unencrypted", "vector table"),
    "truncated": ("no-signature-footer", "truncated"),
    "truncated-in-signature": ("no-signature-footer", "truncated"),
    "padded-with-ff": ("no-signature-footer", r"996 bytes 0xFF \(padding\) follow .* at byte 3100"),
    "padded-with-00": ("no-signature-footer", r"4 bytes 0x00 \(padding\) follow"),
    "followed-by-something": ("no-signature-footer", "9 other bytes follow"),
    "no-image-footer": ("no-image-footer", "no image footer before the 64-byte signature"),
    "wrong-signature-size": ("no-image-footer", r"65-byte signature .* \(ST's have 64\)"),
    "intel-hex": ("no-signature-footer", "Intel HEX"),
    "elf": ("no-signature-footer", "ELF"),
    "text": ("no-signature-footer", "this is text"),
}
"""Fixture → the reason of contract, and words of the message."""


def _parses(name: str) -> bool:
    try:
        Image.parse(content(name))
    except ParseError:
        return False
    return True


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_each_way_of_not_being_an_image_has_its_reason(name: str) -> None:
    reason, words = NOT_IMAGES[name]
    with pytest.raises(ParseError, match=words) as caught:
        Image.parse(content(name))
    assert caught.value.reason == reason


def test_every_fixture_that_does_not_parse_is_in_the_table() -> None:
    assert {path.stem for path in IMAGES.glob("*.bin") if not _parses(path.stem)} == set(NOT_IMAGES)


def test_a_file_larger_than_any_flash_is_refused() -> None:
    with pytest.raises(ParseError, match="more than 1048576 bytes, the largest STM32WB flash") as caught:
        Image.parse(bytes(LARGEST_FLASH + 1))
    assert caught.value.reason == "too-large"


def test_a_large_web_page_is_still_a_web_page() -> None:
    with pytest.raises(ParseError) as caught:
        Image.parse(b"<html>" + bytes(LARGEST_FLASH))
    assert caught.value.reason == "web-page"


def test_an_image_as_large_as_the_flash_is_cut() -> None:
    image = content("stack-4k")
    assert Image.parse(bytes(LARGEST_FLASH - len(image)) + image).size == LARGEST_FLASH


@pytest.mark.parametrize("name", [path.stem for path in IMAGES.glob("*.bin") if path.stem not in NOT_IMAGES])
def test_join_is_the_inverse_of_split(name: str) -> None:
    assert container.join(container.split(content(name))) == content(name)


def test_the_parts_of_an_image() -> None:
    data = content("stack-fus2-4k")
    parts = container.split(data)
    assert parts.body == data[:-104]
    assert parts.image_footer == container.ImageFooter(
        *(0x040104CD, 0xABCDABCD, 1, 2, 10, 15), branch_build=1, sub=0, minor=24, major=1, magic=0xB10C8B99
    )
    (block,) = parts.signatures
    assert block.signature == data[-84:-20]
    assert block.footer == container.SignatureFooter(
        *(0x12341234, 0xABCDABCD, 64, 0x57, 0xFFFF), version_word=0x22110045, magic=0xD3A12C5E
    )


def test_a_customers_signature_follows_st_s() -> None:
    data = content("customer-signed")
    parts = container.split(data)
    assert [block.footer.magic for block in parts.signatures] == [0xD3A12C5E, 0xE2B51D4A]
    assert parts.body == data[: -104 - 84]
    assert parts.signatures[0].signature == data[-168:-104]


def test_the_smallest_image_has_a_body_of_one_byte() -> None:
    data = content("stack-4k")[-105:]
    assert len(data) == container.SMALLEST_IMAGE
    assert len(container.split(data).body) == 1


def test_a_signature_larger_than_the_file_is_refused() -> None:
    data = content("stack-4k")[-200:-12] + b"\xff" + content("stack-4k")[-11:]
    with pytest.raises(ParseError, match="255-byte signature") as caught:
        Image.parse(data)
    assert caught.value.reason == "no-image-footer"


def test_two_signatures_are_the_most_that_are_cut_off() -> None:
    footer = content("stack-4k")[-20:-12] + b"\x00" + content("stack-4k")[-11:]
    assert len(container.split(footer * 50_000).signatures) == 2


SP, CODE = 0x20001000, (0x50E1, 0x080050E3, 0x080FFFFF)


@pytest.mark.parametrize(
    ("words", "is_program"),
    [
        ((SP, *CODE), True),
        ((0x20040000, *CODE), True),
        ((0x20040004, *CODE), False),
        ((0x1FFFFFFC, *CODE), False),
        ((SP + 2, *CODE), False),
        ((SP, CODE[0] - 1, *CODE[1:]), False),
        ((SP, *CODE[:2], 0x08100001), False),
        ((SP, *CODE[:2], 0x00100001), False),
        ((SP, *CODE[:2]), False),
    ],
)
def test_a_vector_table_has_a_stack_pointer_and_thumb_addresses(words: tuple[int, ...], is_program: bool) -> None:
    assert not_an_image.looks_unencrypted(b"".join(word.to_bytes(4, "little") for word in words)) == is_program


@pytest.mark.parametrize(("line_ends", "is_mangled"), [(7, False), (8, True)])
def test_few_line_ends_are_not_text_mode_damage(line_ends: int, is_mangled: bool) -> None:
    assert not_an_image.has_inserted_carriage_returns(b"\x80\r\n" * line_ends) == is_mangled
    assert not not_an_image.has_inserted_carriage_returns(b"\x80\r\n" * line_ends + b"\n")


VECTOR_TABLE = b"".join(word.to_bytes(4, "little") for word in (SP, *CODE))


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"\xef\xbb\xbf<!doctype html>" + b"x" * 200, "web-page", "web page"),
        (b"<?xml version='1.0'?>" + b"x" * 200, "web-page", "web page"),
        (b"<HEAD>" + b"x" * 200, "web-page", "web page"),
        (b"PK\x03\x04" + content("stack-4k") + b"central", "no-signature-footer", "a ZIP archive"),
        (b"\x1f\x8b" + content("stack-4k") + b"crc", "no-signature-footer", "a gzip archive"),
        (b":10000000" + b"00" * 16 + b"F0\r\n" + b":00000001FF\r\n" * 12, "no-signature-footer", "Intel HEX"),
        (b"S00600004844521B\r\n" * 10, "no-signature-footer", "S-records text: convert it"),
        (b"DfuSe\x01" + bytes(300), "no-signature-footer", "a DfuSe file"),
        (bytes(300) + b"\x1a\x01UFD\x10" + bytes(4), "no-signature-footer", "a DFU file"),
        (b"UF2\nWQ]\x9e" + bytes(504), "no-signature-footer", "a UF2 file"),
        (b"\x7fELF\x01\x01\x01" + bytes(300), "no-signature-footer", "an ELF file, .*--app"),
        (b"\x1e\xf1\xee\x0b" + bytes(300), "no-signature-footer", "a Zigbee OTA file"),
        (b"Filetype: Flipper SubGhz Keystore File\n" + b"x" * 300, "no-signature-footer", "a file of a Flipper Zero"),
        (b"Filetype: Flipper SubGhz Keystore File\nVersion: 0\n", "too-short", "a file of a Flipper Zero"),
        (
            b"PK\x03\x04" + bytes(26) + b"manifest.dsse.json" + bytes(300),
            "no-signature-footer",
            "this is a bundle: use",
        ),
        (b"const unsigned char fw[] = {\n" + b"0x12, 0x34, " * 40, "no-signature-footer", "C source"),
        (b"PK\x03\x04 stm32wb5x_FUS_fw.bin" + bytes(300), "no-signature-footer", "a ZIP archive of a release"),
        (bytes(byte ^ 0xFF for byte in content("stack-4k")), "no-signature-footer", "every byte .* is inverted"),
        (bytes(byte ^ 0x5A for byte in content("stack-4k")), "no-signature-footer", "is XORed with 0x5A"),
        (VECTOR_TABLE + content("stack-4k") + bytes(64), "unencrypted", "a flash dump: .* holds 1 image"),
        (b"\xfe\xff" + content("stack-4k").decode("latin-1").encode("utf-16-be"), "text-mangled", "UTF-16"),
        (bytes(5000), "no-signature-footer", "all 5000 bytes are 0x00: erased or blank"),
        (b"\xff" * 4096, "no-signature-footer", "all 4096 bytes are 0xFF"),
        (b"x\rimagekit: good.bin: signed by ST\n" * 5, "no-signature-footer", 'it starts with "x"'),
        (b"one\ttwo\n" * 20, "no-signature-footer", 'it starts with "one two"'),
        (b"a" * 300, "no-signature-footer", "all 300 bytes are 0x61"),
        (b"ab" * 300, "no-signature-footer", f'it starts with "{"ab" * 30}"$'),
    ],
)
def test_other_contents_are_called_by_their_name(data: bytes, reason: str, words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        Image.parse(data)
    assert caught.value.reason == reason
    assert str(caught.value).isprintable()
