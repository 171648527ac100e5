"""The install address: the formula, its exceptions, and every reason for having none."""

import dataclasses
from typing import Any

import pytest

from imagekit.errors import PlacementError
from imagekit.image.model import Image, Version
from imagekit.placement import Placement, differences_from_st, holds_stack, place, reserved_note
from imagekit.targets import Target, select_target
from tests.support.images import content, image

G, Y, E, C = (select_target(f"STM32WB5xx{letter}") for letter in "GYEC")
WB35E, WB1X = select_target("STM32WB3xxE"), select_target("STM32WB1xxC")


def sized(name: str, size: int, sector_size: int) -> Image:
    """The image of a fixture as if its file had `size` bytes, its footer agreeing."""
    parsed = image(name)
    footer = dataclasses.replace(parsed.footer, flash_sectors=-(-size // sector_size))
    return dataclasses.replace(parsed, footer=footer, size=size)


# The size of each stack of STM32CubeWB v1.1.0, and its address there.
SEED = [
    (161880, 0x080CC000),  # BLE_Stack
    (95516, 0x080DC000),  # BLE_HCILayer
    (345580, 0x0809F000),  # Thread_FTD
    (256440, 0x080B5000),  # Thread_MTD
    (501448, 0x08079000),  # BLE_Thread
    (56540, 0x080E6000),  # Mac_802_15_4
    (30096, 0x080EC000),  # rfmonitor_phy802_15_4
]


@pytest.mark.parametrize(("size", "address"), SEED)
def test_stacks_end_at_the_limit(size: int, address: int) -> None:
    assert place(sized("stack-4k", size, 4096), G).address == address


def test_a_stack_for_fus_2_leaves_16_kib_on_every_series() -> None:
    # STM32CubeWB v1.24.0: BLE_Stack_full, 129,460 bytes, 0x080D0000.
    assert place(sized("stack-fus2-4k", 129460, 4096), G).address == 0x080D0000
    placement = place(image("stack-fus2-2k"), WB1X)
    assert placement.limit - placement.address - placement.sectors * 2048 == 16 * 1024


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("fus-1.0.2", 0x080EC000),
        ("fus-1.1.0", 0x080EC000),
        ("fus-hidden-version", 0x080EC000),
        ("fus-2.2.0", 0x080EE000),
    ],
)
def test_fus_1_leaves_two_sectors_on_1_mib_parts(name: str, address: int) -> None:
    assert place(sized(name, 24492, 4096), G).address == address
    assert place(sized(name, 24492, 4096), E).address == 0x0807A000


def test_the_larger_of_footer_and_size_counts() -> None:
    placement = place(image("sector-count-too-small"), G)
    assert (placement.sectors_footer, placement.sectors_by_size, placement.sectors) == (1, 2, 2)
    assert placement.address == 0x080F2000


def test_fus_1_0_1_fits_1_mib_parts_and_1_0_2_all() -> None:
    assert place(sized("fus-1.0.1", 24492, 4096), G).address == 0x080EC000
    assert place(image("fus-1.0.2"), C).address == 0x0803F000
    assert place(image("fus-hidden-version"), C).address == 0x0803F000


@pytest.mark.parametrize("fus", ["0.5.3", "1.0.1"])
@pytest.mark.parametrize("target", [Y, E, C], ids=lambda target: target.name)
def test_before_fus_1_0_2_small_parts_take_only_fus(target: Target, fus: str) -> None:
    for name in ("stack-4k", "safeboot-2.0.0"):
        with pytest.raises(PlacementError, match="may lock for ever") as caught:
            place(image(name), target, fus=Version.from_text(fus))
        assert caught.value.reason == "locks-chip"
    assert place(image("fus-hidden-version"), target, fus=Version.from_text(fus)).address
    assert place(image("stack-4k"), G, fus=Version.from_text(fus)).address
    assert place(image("stack-4k"), target, fus=Version(1, 0, 2)).address


def test_the_catalogue_tells_two_hidden_fus_images_apart() -> None:
    for_0_5_3, other = ("FUS_for_fus_0_5_3",), ("FUS", "FUS_1_2_0")
    fus = image("fus-hidden-version")
    assert place(fus, G, fus=Version(0, 5, 3), variants=for_0_5_3).address
    assert place(fus, G, fus=Version(1, 1, 0), variants=other).address
    for version, variants in ((Version(1, 1, 0), for_0_5_3), (Version(0, 5, 3), other)):
        with pytest.raises(PlacementError) as caught:
            place(fus, G, fus=version, variants=variants)
        assert caught.value.reason == "fus-refuses"


@pytest.mark.parametrize("fus", [Version(1, 0, 1), Version(1, 0, 2), Version(2, 2, 0), None])
def test_only_fus_0_5_3_leaves_the_two_sectors(fus: Version | None) -> None:
    assert place(image("stack-4k"), G, fus=fus).limit == 0x080F4000


@pytest.mark.parametrize(
    ("name", "target", "fus"),
    [
        ("stack-2k", WB1X, "1.2.0"),
        ("stack-fus2-4k", G, "2.0.0"),
        ("fus-2.2.0", G, "1.2.0"),
        ("safeboot-2.0.0", G, "1.1.0"),
        ("safeboot-2.0.1", G, "2.0.0"),
        ("fus-hidden-version", G, "1.0.2"),
    ],
)
def test_the_lowest_fus_for_an_image_accepts_it(name: str, target: Target, fus: str) -> None:
    assert place(image(name), target, fus=Version.from_text(fus)).address


def test_under_fus_0_5_3_a_stack_may_lie_two_sectors_higher() -> None:
    stack, old = image("stack-4k"), Version(0, 5, 3)
    assert place(stack, G, fus=old).address == place(stack, G).address + 2 * 4096
    # FUS_fw_for_fus_0_5_3 goes to 0x080EC000 all the same.
    assert place(sized("fus-hidden-version", 24492, 4096), G, fus=old).address == 0x080EC000


def test_sfsa_of_an_installed_stack_is_the_limit() -> None:
    placement = place(image("stack-4k"), G, sfsa=0xCB)
    assert (placement.limit, placement.address) == (0x080CB000, 0x080CA000)
    assert placement.after_delete == 0x080F3000
    assert place(image("stack-4k"), G, sfsa=0xF4).after_delete is None


def test_a_stack_no_larger_than_the_installed_one_fits_below() -> None:
    # 41 sectors lie between SFSA 0xCB and 0xF4.
    assert place(sized("stack-4k", 41 * 4096, 4096), G, sfsa=0xCB).address == 0x080A2000
    with pytest.raises(PlacementError, match=r"a smaller stack is installed: .* 0x080CA000") as caught:
        place(sized("stack-4k", 42 * 4096, 4096), G, sfsa=0xCB)
    assert caught.value.reason == "stack-installed"
    # The gap counts as room that is needed.
    with pytest.raises(PlacementError, match="a smaller stack"):
        place(sized("stack-fus2-4k", 38 * 4096, 4096), G, sfsa=0xCB)


@pytest.mark.parametrize(
    ("target", "name", "options"),
    [
        (G, "stack-4k", {"sfsa": 0xF4}),
        (G, "stack-4k", {"sfsa": 0xF6, "fus": Version(0, 5, 3)}),
        (G, "fus-2.2.0", {"sfsa": 0xF4}),
        (WB1X, "stack-2k", {"sfsa": 0x8C}),
        (E, "stack-4k", {"sfsa": 0xF4}),
    ],
)
def test_sfsa_without_a_stack_changes_nothing(target: Target, name: str, options: dict[str, Any]) -> None:
    fus = {key: value for key, value in options.items() if key == "fus"}
    assert place(image(name), target, **options).address == place(image(name), target, **fus).address


def test_sfsa_above_the_nominal_end_does_not_lift_the_limit() -> None:
    # A 512 KiB part with no stack reads SFSA 0xF4 (community.st.com td-p/276287).
    assert place(image("stack-4k"), E, sfsa=0xF4).limit == 0x08080000


@pytest.mark.parametrize(
    ("name", "target", "options", "reason", "words"),
    [
        ("stack-larger-than-256k", C, {}, "does-not-fit", "takes 280 KiB of the 256 KiB below 0x08040000"),
        ("stack-4k", G, {"sfsa": 1}, "does-not-fit", "leaves none for an application"),
        ("fus-1.0.1", C, {}, "locks-chip", "may lock a part with less than 1 MiB for ever"),
        ("fus-1.0.1", E, {}, "locks-chip", "not for STM32WB5xxE"),
        (
            "stack-4k",
            WB1X,
            {},
            "other-series",
            "is for WB3x or WB5x, in sectors of 4 KiB; STM32WB1xxC has sectors of 2 KiB",
        ),
        ("stack-2k", G, {}, "other-series", "is for WB1x"),
        ("unknown-magic", G, {}, "unknown-format", "magic 0x12345678"),
        ("other-magic", G, {}, "unknown-format", "magic 0x42769811"),
        ("unknown-gap", G, {}, "unknown-format", "info1 0x060106CD"),
        ("unknown-info1", G, {}, "unknown-format", "info1 0x01020304"),
        (
            "stack-fus2-4k",
            G,
            {"fus": Version(1, 2, 0)},
            "fus-refuses",
            "needs FUS 2.0.0 or later, and the chip has 1.2.0",
        ),
        ("fus-2.2.0", G, {"fus": Version(1, 1, 0)}, "fus-refuses", "install FUS 1.2.0 before FUS 2.2.0"),
        ("safeboot-2.0.1", G, {"fus": Version(1, 2, 0)}, "fus-refuses", "needs FUS 2.0.0"),
        ("stack-2k", WB1X, {"fus": Version(1, 1, 0)}, "fus-refuses", "WB1x never had FUS 1.1.0"),
        ("stack-4k", G, {"sfsa": 0}, "bad-sfsa", "SFSA 0x0"),
        ("stack-4k", G, {"sfsa": 0xF7}, "bad-sfsa", "SFSA 0xF7 was never seen"),
        ("stack-4k", G, {"sfsa": 0xF6}, "bad-sfsa", "that of FUS 0.5.3: say so"),
        ("stack-4k", G, {"sfsa": 0xF6, "fus": Version(1, 0, 2)}, "bad-sfsa", "that of FUS 0.5.3"),
        ("stack-4k", G, {"sfsa": 0xF4, "fus": Version(0, 5, 3)}, "bad-sfsa", "not of FUS 0.5.3"),
        ("stack-4k", WB35E, {"sfsa": 256}, "bad-sfsa", "SFSA 0x100"),
        ("stack-4k", E, {"sfsa": 0x80}, "bad-sfsa", "SFSA 0x80 was never seen on STM32WB5xxE"),
        ("stack-4k", C, {"sfsa": 0x60}, "bad-sfsa", "SFSA 0x60 was never seen on STM32WB5xxC"),
        ("stack-4k", G, {"sfsa": 0xF5}, "bad-sfsa", "SFSA 0xF5 was never seen on STM32WB5xxG"),
        ("stack-2k", WB1X, {"sfsa": 0x8D}, "bad-sfsa", "SFSA 0x8D"),
        ("safeboot-2.0.1", G, {"sfsa": 0xCB}, "stack-installed", "delete it first, then the address is"),
        ("fus-2.2.0", G, {"sfsa": 0xCB}, "stack-installed", "delete it first, then the address is"),
    ],
)
def test_a_missing_address_has_a_reason(
    name: str,
    target: Target,
    options: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    with pytest.raises(PlacementError, match=words) as caught:
        place(image(name), target, **options)
    assert caught.value.reason == reason


def test_a_gap_of_the_other_series_is_an_unknown_format() -> None:
    data = bytearray(content("stack-fus2-2k"))
    data[-104:-100] = (0x040104CD).to_bytes(4, "little")
    with pytest.raises(PlacementError) as caught:
        place(Image.parse(bytes(data)), WB1X)
    assert caught.value.reason == "unknown-format"


def test_an_image_must_leave_a_sector_for_the_application() -> None:
    # Thread_MTD of v1.5.0 on 256 KiB: 64 sectors; ST's table says NA.
    with pytest.raises(PlacementError) as caught:
        place(sized("stack-4k", 64 * 4096, 4096), C)
    assert caught.value.reason == "does-not-fit"
    assert place(sized("stack-4k", 63 * 4096, 4096), C).address == 0x08001000


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("sector-count-too-small", G, "the footer says 1 sectors where the file needs 2"),
        ("stack-fus2-4k", Y, "needs 16 KiB above the image; STM32CubeProgrammer before 2.20"),
        ("fus-1.1.0", G, "leaves 2 sectors free above a FUS 1.x image"),
        ("safeboot-2.0.0", C, "one sector too high on all others"),
        ("safeboot-2.0.1-2k", WB1X, "0x08044000 for every Safeboot"),
    ],
)
def test_differences_from_st_s_tables_are_explained(name: str, target: Target, words: str) -> None:
    parsed = image(name)
    placement: Placement = place(parsed, target)
    assert any(words in note for note in differences_from_st(parsed, placement))


def with_version(name: str, major: int, minor: int, sub: int) -> Image:
    footer = dataclasses.replace(image(name).footer, major=major, minor=minor, sub=sub)
    return dataclasses.replace(image(name), footer=footer)


def test_fus_2_0_0_is_not_treated_as_fus_1() -> None:
    assert place(with_version("fus-2.2.0", 2, 0, 0), G).spare_sectors == 0
    assert with_version("fus-2.2.0", 2, 0, 0).requires_fus == Version(1, 2, 0)
    assert place(with_version("fus-2.2.0", 1, 255, 255), G).spare_sectors == 2


def test_old_wb3x_tables_are_explained_for_old_stacks_only() -> None:
    old, new = with_version("stack-4k", 1, 11, 0), with_version("stack-4k", 1, 11, 1)
    assert "12 sectors lower" in " ".join(differences_from_st(old, place(old, WB35E)))
    assert not differences_from_st(new, place(new, WB35E))
    assert not differences_from_st(old, place(old, E))


# --- room that FUS 2 reserves for bonding data


@pytest.mark.parametrize(
    ("name", "target", "address"),
    [
        ("stack-4k", G, 0x080EF000),
        ("fus-2.2.0", G, 0x080EF000),
        ("safeboot-2.0.1", G, 0x080EF000),
        ("stack-fus2-4k", G, 0x080EF000),
        ("stack-4k", E, 0x0807B000),
        ("stack-2k", WB1X, 0x08041000),
        ("stack-fus2-2k", WB1X, 0x08041000),
    ],
)
def test_reserved_room_lowers_every_image_without_a_gap(name: str, target: Target, address: int) -> None:
    assert place(image(name), target, had_fus2_stack=True).address == address


def test_st_sizes_with_reserved_room_give_the_lower_addresses() -> None:
    """FUS 2.2.0 at 0x080EA000 and Safeboot 2.0.1 at 0x080EE000 instead of 0x080EE000 and 0x080F2000."""
    assert place(sized("fus-2.2.0", 24468, 4096), G, had_fus2_stack=True).address == 0x080EA000
    assert place(sized("safeboot-2.0.1", 2 * 4096, 4096), G, had_fus2_stack=True).address == 0x080EE000
    assert place(sized("stack-fus2-4k", 129460, 4096), G, had_fus2_stack=True).address == 0x080D0000


def test_sfsa_16_kib_below_fus_tells_of_reserved_room() -> None:
    for name in ("stack-4k", "stack-fus2-4k", "fus-2.2.0"):
        placement = place(image(name), G, fus=Version(2, 1, 0), sfsa=0xF0)
        assert placement.address + placement.sectors * 4096 == 0x080F0000
        assert placement.after_delete is None
    assert not holds_stack(G, 0xF0, Version(2, 1, 0))


def test_sfsa_without_reserved_room_wins_over_the_option() -> None:
    assert place(image("stack-4k"), G, fus=Version(2, 2, 0), sfsa=0xF4, had_fus2_stack=True).address == 0x080F3000


def test_under_fus_1_sfsa_never_tells_of_reserved_room() -> None:
    assert holds_stack(G, 0xF0, Version(1, 2, 0))
    with pytest.raises(PlacementError, match="SFSA 0xF0 says that a stack is installed") as caught:
        place(image("fus-2.2.0"), G, fus=Version(1, 2, 0), sfsa=0xF0)
    assert caught.value.reason == "stack-installed"


def test_a_stack_for_fus_2_under_fus_1_is_a_contradiction() -> None:
    with pytest.raises(PlacementError, match=r"FUS 1\.2\.0 cannot have installed a stack for FUS 2") as caught:
        place(image("stack-4k"), G, fus=Version(1, 2, 0), had_fus2_stack=True)
    assert caught.value.reason == "contradiction"


def test_an_image_too_large_below_reserved_room_is_refused() -> None:
    stack = sized("stack-4k", 60 * 4096, 4096)
    assert place(stack, C).address == 0x08004000
    with pytest.raises(PlacementError) as caught:
        place(stack, C, had_fus2_stack=True)
    assert caught.value.reason == "does-not-fit"


@pytest.mark.parametrize(
    ("name", "fus", "sfsa", "had", "is_noted"),
    [
        ("stack-4k", None, None, False, True),
        ("stack-4k", "2.2.0", None, False, True),
        ("stack-4k", "2.2.0", 0xCB, False, True),
        ("fus-2.2.0", "2.1.0", None, False, True),
        ("safeboot-2.0.1", None, None, False, True),
        ("stack-4k", "2.2.0", 0xF4, False, False),
        ("stack-4k", "2.2.0", 0xF0, False, False),
        ("stack-4k", None, None, True, False),
        ("stack-4k", "1.2.0", None, False, False),
        ("stack-fus2-4k", None, None, False, False),
        ("fus-1.1.0", None, None, False, False),
        ("safeboot-2.0.0", None, None, False, False),
    ],
)
def test_unknown_reserved_room_is_noted(
    name: str, fus: str | None, sfsa: int | None, had: bool, is_noted: bool
) -> None:
    version = Version.from_text(fus) if fus else None
    placement = place(image(name), G, fus=version, sfsa=sfsa, had_fus2_stack=had)
    note = reserved_note(image(name), placement, fus=version, sfsa=sfsa, had_fus2_stack=had)
    assert bool(note) is is_noted
    if is_noted:
        assert "without a stack the address is 0x080EF000" in note
