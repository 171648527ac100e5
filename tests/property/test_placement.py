"""Whatever the image, its place is sector-aligned, below the limit, lower for a larger image, and never moves."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import PlacementError
from imagekit.image.model import Image, Version
from imagekit.placement import place
from imagekit.targets import FLASH_BASE, LARGEST_FLASH, TARGETS, Target
from tests.support.images import image

targets = st.sampled_from(TARGETS)
sizes = st.integers(105, LARGEST_FLASH)
names = st.sampled_from(["stack-4k", "stack-fus2-4k", "fus-1.1.0", "fus-2.2.0", "safeboot-2.0.1"])
names_2k = st.sampled_from(["stack-2k", "stack-fus2-2k", "fus-2.2.0-2k", "safeboot-2.0.1-2k"])
chips = st.fixed_dictionaries(
    {},
    optional={
        "fus": st.sampled_from([Version(0, 5, 3), Version(1, 0, 2), Version(1, 2, 0), Version(2, 2, 0)]),
        "sfsa": st.integers(-1, 300),
    },
)


def sized(name: str, size: int, sectors_footer: int) -> Image:
    parsed = image(name)
    footer = dataclasses.replace(parsed.footer, flash_sectors=sectors_footer)
    return dataclasses.replace(parsed, footer=footer, size=size)


def placed(parsed: Image, target: Target, chip: dict[str, object]) -> int | None:
    try:
        return place(parsed, target, **chip).address  # type: ignore[arg-type]
    except PlacementError:
        return None


@given(names | names_2k, sizes, st.integers(0, 255), targets, chips)
def test_an_address_is_aligned_and_the_image_fits(
    name: str, size: int, sectors: int, target: Target, chip: dict[str, object]
) -> None:
    parsed = sized(name, size, sectors)
    address = placed(parsed, target, chip)
    if address is not None:
        assert address % target.sector_size == 0
        assert address > FLASH_BASE
        limit = (target.limit_fus_0_5_3 or target.limit) if chip.get("fus") == Version(0, 5, 3) else target.limit
        sfsa = chip.get("sfsa")
        if isinstance(sfsa, int):
            limit = min(limit, FLASH_BASE + sfsa * target.sector_size)
        room_above = limit - address - max(size, sectors * target.sector_size)
        assert room_above >= (16 * 1024 if "fus2" in name else 0)


@given(names, sizes, sizes, targets, chips)
def test_a_larger_image_never_lies_higher(
    name: str, size: int, other: int, target: Target, chip: dict[str, object]
) -> None:
    small, large = (placed(sized(name, one, 0), target, chip) for one in sorted((size, other)))
    assert large is None or (small is not None and large <= small)


@given(names, sizes, targets, st.integers(1, 255))
def test_a_chip_with_a_lower_sfsa_never_lifts_an_address(name: str, size: int, target: Target, sfsa: int) -> None:
    plain = placed(sized(name, size, 0), target, {})
    limited = placed(sized(name, size, 0), target, {"sfsa": sfsa})
    assert limited is None or (plain is not None and limited <= plain)
