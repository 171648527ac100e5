"""One published address beside the computed one: whether it is right, and what is wrong with it."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from imagekit.errors import PlacementError
from imagekit.image.model import Image
from imagekit.placement import Placement, place
from imagekit.releases.release_notes import Cell, published_address
from imagekit.rules.registry import Rule
from imagekit.rules.release_notes import FITS, LOWER, NO_ROOM, NO_SPARE, STRANGE_CELL, TOO_HIGH
from imagekit.targets import FLASH_BASE, LARGEST_FLASH, Target
from imagekit.text import counted


class Outcome(Enum):
    """How a published address compares with the computed one."""

    EQUAL = "equal"
    LOWER = "lower"
    TOO_HIGH = "too high"
    WITHIN_SPARE = "within the spare sectors"
    NO_ROOM = "does not fit"
    FITS = "NA, but fits"
    STRANGE = "not an address"


@dataclass(frozen=True)
class AddressCell:
    """One address cell of a row, and the image and target that it is for."""

    cell: Cell
    target: Target
    image: Image
    file: str

    @cached_property
    def _placed(self) -> Placement | PlacementError:
        try:
            return place(self.image, self.target)
        except PlacementError as error:
            return error

    @property
    def placement(self) -> Placement | None:
        """The computed placement; None when the image cannot be installed on the target."""
        if isinstance(self._placed, Placement):
            return self._placed
        return None

    @cached_property
    def _is_strange(self) -> bool:
        """Whether the cell holds neither NA nor the start of a sector other than the first."""
        try:
            address = published_address(self.cell)
        except ValueError:
            return True
        if address is None:
            return False
        offset = address - FLASH_BASE
        return not 0 < offset < LARGEST_FLASH or offset % self.target.sector_size != 0

    @cached_property
    def outcome(self) -> Outcome:
        """How the published address compares with the computed one."""
        if self._is_strange:
            return Outcome.STRANGE
        published, placement = published_address(self.cell), self.placement
        if published is None:
            return Outcome.FITS if placement else Outcome.EQUAL
        if placement is None:
            return Outcome.NO_ROOM
        if published < placement.address:
            return Outcome.LOWER
        if published == placement.address:
            return Outcome.EQUAL
        spare = placement.spare_sectors * self.target.sector_size
        if published <= placement.address + spare:
            return Outcome.WITHIN_SPARE
        return Outcome.TOO_HIGH

    @property
    def problem(self) -> tuple[Rule, str] | None:
        """The rule that the cell breaks, and the message; None when the address is right."""
        if self.outcome is Outcome.EQUAL:
            return None
        if self.outcome is Outcome.STRANGE:
            text = f"{self.cell.text!r} is neither NA nor the start of a flash sector after the first"
            return STRANGE_CELL, text
        if isinstance(self._placed, PlacementError):
            return NO_ROOM, f"an address is published, but there is none: {self._placed}"
        return self._problem_of_address(self._placed)

    def _problem_of_address(self, placement: Placement) -> tuple[Rule, str]:
        published = published_address(self.cell)
        if published is None:
            kib = (placement.address - FLASH_BASE) // 1024
            return FITS, f"NA is published, but the image fits and leaves {kib} KiB for the application"
        distance = counted(abs(published - placement.address) // self.target.sector_size, "sector")
        if self.outcome is Outcome.WITHIN_SPARE:
            return NO_SPARE, "it fits, without the spare sectors that other releases leave above a FUS 1.x image"
        if self.outcome is Outcome.LOWER:
            return LOWER, f"{distance} lower than needed: harmless, wastes flash"
        return TOO_HIGH, f"{distance} too high: {_collision(published, placement)}"


def _collision(published: int, placement: Placement) -> str:
    """What an image at an address that is too high overlaps."""
    end = published + placement.sectors * placement.target.sector_size
    if end <= placement.limit:
        return f"it would leave {(placement.limit - end) // 1024} KiB above the image, but its format needs 16 KiB"
    limit = "the start of FUS"
    if "end of" in placement.limit_source:
        limit = "the end of the flash"
    return f"the image would reach beyond {limit}, 0x{placement.limit:08X}"
