"""Compute where in flash an image must be programmed before FUS installs it.

    address = limit - (max(sectors in the footer, sectors by size) + gap + spare) x sector size

This reproduces ST's address tables over 37 releases; where it does not, the tables are wrong or waste room, and
`differences_from_st` says how (docs/image-format.md, "Install address").

FUS 2 reserves 16 KiB directly below itself for bonding data once a stack in the format for FUS 2 was installed, also
after that stack was deleted. Images without a gap of their own then go 16 KiB lower. Source: release notes of
STM32CubeWB v1.23.0 (STM32WB5x), warning on the SWD section. The format is decided by the footer, never by a name.
"""

from dataclasses import dataclass, replace

from imagekit.errors import PlacementError
from imagekit.fus_versions import FUS_0_5_3, lock_up, refusal
from imagekit.image.model import FUS_2, Image, ImageKind, Version
from imagekit.targets import FLASH_BASE, SECTOR_SIZES, Series, Target, series_names

FUS_2_GAP = 16 * 1024
"""Bytes that a stack for FUS 2 leaves free above itself, on every series: FUS keeps bonding data there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An install address and the numbers it was computed from. Sectors are the target's own."""

    target: Target
    size: int
    """Bytes in the file."""
    sectors_by_size: int
    sectors_footer: int
    gap_sectors: int
    spare_sectors: int
    """Sectors that ST leaves free above a FUS 1.x image on 1 MiB parts."""
    limit: int
    limit_source: str
    after_delete: int | None = None
    """With a stack on the chip: the address once that stack is deleted, as ST advises."""

    @property
    def sectors(self) -> int:
        """Sectors that the image takes: what the footer says or what the size needs, whichever is more."""
        return max(self.sectors_by_size, self.sectors_footer)

    @property
    def address(self) -> int:
        """Where the first byte of the file goes."""
        sectors = self.sectors + self.gap_sectors + self.spare_sectors
        return self.limit - sectors * self.target.sector_size


def place(
    image: Image,
    target: Target,
    *,
    fus: Version | None = None,
    sfsa: int | None = None,
    variants: tuple[str, ...] = (),
    had_fus2_stack: bool = False,
) -> Placement:
    """Compute the install address of an image on a target.

    `fus` is the version of the FUS on the chip, `sfsa` the SFSA field of its option bytes (in sectors). Without
    them: no stack is installed, and FUS is 1.0.2 or later. `variants` are ST's names for the content, where it is
    known. `had_fus2_stack`: a stack in the format for FUS 2 was installed on this chip at some time; an SFSA without a
    stack decides instead of it. Raises PlacementError for an image without a safe address.
    """
    _refuse_other_series(image, target)
    _refuse_by_fus(image, target, fus, variants)
    if image.gap_sectors is None or image.gap_sectors * target.sector_size not in (0, FUS_2_GAP):
        raise PlacementError(
            "unknown-format",
            f"magic 0x{image.footer.magic:08X} with info1 0x{image.footer.info1:08X} is a format whose room above "
            "the image is not known: no address is safe; use a newer imagekit",
        )
    is_reserved = bonding_is_reserved(target, fus, sfsa, had_fus2_stack=had_fus2_stack)
    limit, source = _limit(image, target, fus)
    if is_reserved and not image.gap_sectors:
        limit, source = limit - FUS_2_GAP, f"{source}; the 16 KiB below it are reserved for bonding data"
    placement = Placement(
        target=target,
        size=image.size,
        sectors_by_size=image.sectors_by_size(target.sector_size),
        sectors_footer=image.footer.flash_sectors,
        gap_sectors=image.gap_sectors,
        spare_sectors=target.fus_1_spare_sectors if image.is_fus_1 else 0,
        limit=limit,
        limit_source=source,
    )
    # At FLASH_BASE itself the image would leave no sector for CPU1's vector table; ST's tables say NA there.
    if placement.address <= FLASH_BASE:
        raise _does_not_fit(placement)
    if sfsa is None or (is_reserved and not holds_stack(target, sfsa, fus)):
        return placement
    return _place_below_sfsa(image, placement, sfsa, fus)


def _refuse_by_fus(image: Image, target: Target, fus: Version | None, variants: tuple[str, ...]) -> None:
    """Raise PlacementError for an image that may lock the chip, or that its FUS refuses."""
    danger = lock_up(image, target, fus)
    if danger:
        raise PlacementError("locks-chip", danger)
    if fus is None:
        return
    reason = refusal(image, fus, variants)
    if reason:
        raise PlacementError("fus-refuses", reason)


def bonding_is_reserved(
    target: Target, fus: Version | None, sfsa: int | None = None, *, had_fus2_stack: bool = False
) -> bool:
    """Whether FUS reserves 16 KiB below itself for bonding data, as far as the arguments tell.

    Without a stack SFSA decides: it is 16 KiB lower than usual then. With a stack, or without SFSA, the caller must
    know. Raises PlacementError `contradiction` for a FUS before 2.0.0, which cannot have installed such a stack.

    Source: release notes of STM32CubeWB v1.23.0 (STM32WB5x, SWD section); v1.24.0, shci.h (FW_PURGE deletes the
    section, FW_DELETE does not). That SFSA reads so after a delete is derived, it was not seen on a chip.
    """
    is_fus_1 = fus is not None and fus < FUS_2
    if is_fus_1 and had_fus2_stack:
        assert fus is not None  # noqa: S101 - is_fus_1 says so
        raise PlacementError(
            "contradiction",
            f"FUS {fus.text} cannot have installed a stack for FUS 2, and FUS cannot be downgraded: read its version "
            "again, or leave --had-fus2-stack out",
        )
    if is_fus_1:
        return False
    if sfsa is None:
        return had_fus2_stack
    address = target.sector_address(sfsa)
    if address >= target.limit:
        return False
    return had_fus2_stack or address == target.limit - FUS_2_GAP


def reserved_note(
    image: Image,
    placement: Placement,
    *,
    fus: Version | None,
    sfsa: int | None,
    had_fus2_stack: bool,
    variants: tuple[str, ...] = (),
) -> str:
    """Say where the image goes if FUS reserves room for bonding data; empty where that is known or does not matter."""
    is_settled = had_fus2_stack or (sfsa is not None and not holds_stack(placement.target, sfsa, fus))
    if is_settled or image.gap_sectors or (fus is not None and fus < FUS_2):
        return ""
    if refusal(image, fus or FUS_2, variants):
        return ""
    lower = (placement.after_delete or placement.address) - FUS_2_GAP
    return (
        "if a stack in the format for FUS 2 was ever installed on this chip, FUS reserves 16 KiB for bonding data, and "
        f"without a stack the address is 0x{lower:08X}: give --sfsa as read without a stack, or --had-fus2-stack "
        "(notes of v1.23.0)"
    )


def _does_not_fit(placement: Placement) -> PlacementError:
    limit = placement.limit
    return PlacementError(
        "does-not-fit",
        f"does not fit on {placement.target.name}: it takes {(limit - placement.address) // 1024} KiB of the "
        f"{(limit - FLASH_BASE) // 1024} KiB below 0x{limit:08X} and leaves none for an application",
    )


def differences_from_st(image: Image, placement: Placement) -> tuple[str, ...]:
    """Say where ST's tables or tools print another address for such an image, as far as the reason is known.

    Source: docs/image-format.md, "Install address", measured on the release notes themselves.
    """
    target, notes = placement.target, []
    if placement.sectors_footer < placement.sectors_by_size:
        notes.append(
            f"the footer says {placement.sectors_footer} sectors where the file needs "
            f"{placement.sectors_by_size}; ST's tables follow the footer and are too high"
        )
    if placement.gap_sectors:
        notes.append(
            f"the format for FUS 2 needs {placement.gap_sectors * target.sector_size // 1024} KiB above the image; "
            "STM32CubeProgrammer before 2.20 leaves that out and is too high"
        )
    if placement.spare_sectors:
        notes.append(
            f"ST leaves {placement.spare_sectors} sectors free above a FUS 1.x image on this target "
            "(the notes of v1.22.1 alone do not)"
        )
    if image.kind is ImageKind.SAFEBOOT and target.series is Series.WB5X:
        notes.append(
            "ST's tables of v1.13.0 - v1.22.0 print Safeboot two sectors lower on 1 MiB parts (harmless) and one "
            "sector too high on all others, where it would reach beyond the flash"
        )
    if image.kind is ImageKind.SAFEBOOT and target.series is Series.WB1X:
        notes.append("ST's tables print 0x08044000 for every Safeboot; a smaller one fits one sector higher")
    if _is_old_stack(image) and target.name == "STM32WB3xxE":
        notes.append("ST's tables up to v1.11.0 print it 12 sectors lower here: harmless, it wastes 48 KiB")
    return tuple(notes)


def _is_old_stack(image: Image) -> bool:
    """Whether this is a stack of STM32CubeWB v1.11.0 or older."""
    return image.kind is ImageKind.STACK and image.version is not None and image.version < Version(1, 11, 1)


def holds_stack(target: Target, sfsa: int, fus: Version | None) -> bool:
    """Say whether SFSA tells that a stack is installed: SFSA then lies below the end of user flash.

    An SFSA that only leaves room for bonding data (`bonding_is_reserved`) tells of no stack. Raises PlacementError
    `bad-sfsa` for an SFSA that such a chip cannot have, or that was never seen on one.
    """
    _refuse_impossible_sfsa(target, sfsa, fus)
    limit = target.limit
    if fus == FUS_0_5_3 and target.limit_fus_0_5_3:
        limit = target.limit_fus_0_5_3
    address = target.sector_address(sfsa)
    may_reserve = fus is None or fus >= FUS_2
    return address < limit and not (may_reserve and address == target.limit - FUS_2_GAP)


def _refuse_other_series(image: Image, target: Target) -> None:
    """Raise PlacementError when the image is cut in sectors of another size than the target's."""
    if image.series and target.series not in image.series:
        raise PlacementError(
            "other-series",
            f"this image is for {series_names(image.series)}, in sectors of "
            f"{SECTOR_SIZES[image.series[0]] // 1024} KiB; "
            f"{target.name} has sectors of {target.sector_size // 1024} KiB",
        )


def _limit(image: Image, target: Target, fus: Version | None) -> tuple[int, str]:
    """The address just above the image's room with no stack on the chip, and why it is there."""
    if fus != FUS_0_5_3 or not target.limit_fus_0_5_3:
        return target.limit, target.limit_source
    if image.kind is ImageKind.STACK:
        return target.limit_fus_0_5_3, "under FUS 0.5.3, the last 10 of 256 sectors are FUS"
    return target.limit, "as under FUS 1.x: ST gives a FUS image for FUS 0.5.3 the same address"


def _place_below_sfsa(image: Image, placement: Placement, sfsa: int, fus: Version | None) -> Placement:
    """Place an image on a chip whose SFSA is known; below the limit, it says that a stack is installed there."""
    target = placement.target
    by_sfsa = target.sector_address(sfsa)
    _refuse_impossible_sfsa(target, sfsa, fus)
    if by_sfsa >= placement.limit:
        return replace(placement, limit_source=f"{placement.limit_source} (SFSA 0x{sfsa:X} is not below it)")
    if image.kind is not ImageKind.STACK:
        raise _stack_installed("a stack", sfsa, placement)
    if placement.address < by_sfsa:
        # FUS then needs more room than SFSA tells (AN5185: twice the size less the old one), and that path has killed
        # a chip: community.st.com, thread 122966.
        raise _stack_installed("a smaller stack", sfsa, placement)
    source = f"SFSA 0x{sfsa:X}: a stack that is no smaller is installed from here up"
    below = replace(placement, limit=by_sfsa, limit_source=source, after_delete=placement.address)
    if below.address <= FLASH_BASE:
        raise _does_not_fit(below)
    return below


def _stack_installed(what: str, sfsa: int, placement: Placement) -> PlacementError:
    return PlacementError(
        "stack-installed",
        f"SFSA 0x{sfsa:X} says that {what} is installed: delete it first, then the address is "
        f"0x{placement.address:08X}",
    )


def _refuse_impossible_sfsa(target: Target, sfsa: int, fus: Version | None) -> None:
    """Raise PlacementError for an SFSA that such a chip cannot have, or that contradicts the FUS it is said to have."""
    by_sfsa = target.sector_address(sfsa)
    if FLASH_BASE < by_sfsa < target.limit:
        return
    is_wb5x = target.series is Series.WB5X
    # FUS 0.5.3 begins two sectors higher on 1 MiB; on other WB5x this is unknown.
    with_old_fus = target.fus_begins + 2 * target.sector_size if is_wb5x and target.fus_begins else None
    if is_wb5x and by_sfsa == with_old_fus and fus != FUS_0_5_3:
        raise PlacementError(
            "bad-sfsa", f"SFSA 0x{sfsa:X} is that of FUS 0.5.3: say so with --fus 0.5.3, or read it again"
        )
    if target.limit_fus_0_5_3 and fus == FUS_0_5_3 and by_sfsa == target.fus_begins:
        raise PlacementError("bad-sfsa", f"SFSA 0x{sfsa:X} is that of FUS 1.0.2 or later, not of FUS {fus.text}")
    known = (target.fus_begins, with_old_fus)
    # WB3x: where FUS begins is not known; above the end of the flash and within the field all may be (FLASH_SFR, 7:0).
    is_possible = by_sfsa in known if target.fus_begins else target.limit <= by_sfsa <= target.sector_address(0xFF)
    if not is_possible:
        raise PlacementError(
            "bad-sfsa",
            f"SFSA 0x{sfsa:X} was never seen on {target.name}: it is another part's, was misread, or the option bytes "
            "are damaged; do not program this chip before you know",
        )
