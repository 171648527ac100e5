"""imagekit/flash_scan.py: every image in user flash is found, and nothing else."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.flash_scan import find_images
from imagekit.targets import FLASH_BASE, select_target
from tests.support.images import content

G = select_target("STM32WB55RG")

IMAGES = (
    "stack-4k",
    "stack-fus2-4k",
    "fus-2.2.0",
    "safeboot-2.0.0",
    "safeboot-2.0.1",
    "fus-hidden-version",
    "other-magic",
)
SIZE = 16 * 4096


@settings(max_examples=150)
@given(st.sampled_from(IMAGES), st.integers(0, (SIZE - 3200) // 4), st.integers(0, 5), st.integers(0, 1 << 32))
def test_an_image_is_found_at_any_word_of_any_flash(name: str, word: int, sectors: int, seed: int) -> None:
    flash, image, at = bytearray(Random(seed).randbytes(SIZE)), bytearray(content(name)), word * 4  # noqa: S311 - filler
    image[-96] = sectors
    flash[at : at + len(image)] = image
    found = find_images(bytes(flash), G)[0]  # the page before it too, where its footer begins there
    last = FLASH_BASE + at + len(image) - 1
    assert found.end == (last | 0xFFF) + 1
    assert found.start == max(found.end - 4096 * max(sectors, 1), FLASH_BASE)


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_an_image_not_at_a_word_is_ignored(shift: int) -> None:
    """ST's images end on a word."""
    assert find_images(bytes(shift) + content("stack-4k"), G) == ()


def test_two_adjacent_images_are_both_found() -> None:
    one = content("stack-4k").ljust(4096, b"\xff")
    assert [(leftover.start, leftover.end) for leftover in find_images(one * 2, G)] == [
        (0x08000000, 0x08001000),
        (0x08001000, 0x08002000),
    ]


def test_a_customer_signature_does_not_count_twice() -> None:
    assert len(find_images(content("customer-signed"), G)) == 1


def test_an_unknown_magic_is_found_by_its_signature() -> None:
    """FUS finds it as well and calls it corrupt. Its number of sectors is not used."""
    image = content("unknown-magic")
    (leftover,) = find_images(b"\xff" * 8192 + image, G)
    assert (leftover.start, leftover.end) == (0x08002000, 0x08003000)


def test_an_image_footer_is_found_without_its_signature() -> None:
    """FUS searches for these words; how closely is unknown."""
    image = content("stack-4k")
    for gone in (slice(-20, -16), slice(-16, -12), slice(-4, None)):
        damaged = bytearray(image)
        damaged[gone] = bytes(4)
        (leftover,) = find_images(bytes(damaged), G)
        assert (leftover.start, leftover.end) == (0x08000000, 0x08001000), gone
    assert find_images(image[:-84], G), "nothing follows it"


def test_words_that_form_no_footer_are_ignored() -> None:
    image = content("stack-4k")
    for gone in (slice(-100, -96), slice(-88, -84)):
        damaged = bytearray(image[:-84])
        damaged[gone.start + 84 : gone.stop + 84 or None] = bytes(4)
        assert find_images(bytes(damaged), G) == (), gone
    assert find_images(b"\xff" + image[:-84], G) == (), "not at a word"
    assert find_images(image[-64:], G) == (), "there is no room for an image before it"


def test_a_too_large_sector_count_is_cut_at_flash_start() -> None:
    image = bytearray(content("stack-4k"))
    image[-96] = 0xFF
    (leftover,) = find_images(bytes(image), G)
    assert (leftover.start, leftover.end) == (FLASH_BASE, FLASH_BASE + 4096)


def test_a_magic_in_the_first_words_is_not_read_past_the_start() -> None:
    """The marker before it would be at a negative offset: the end of flash."""
    flash = bytearray(b"\xff" * 8192)
    flash[4:8] = (0x23372991).to_bytes(4, "little")
    flash[-8:-4] = (0xABCDABCD).to_bytes(4, "little")
    assert find_images(bytes(flash), G) == ()
