"""Which sectors of user flash must be blank before the first image is staged, and what they hold. Pure.

FUS searches user flash for the image to install (AN5185), so nothing else may look like an image, and nothing of an
application may stand where an image goes. A sector is named by its address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flasher.device import Area, Staging
from flasher.journal import History
from flasher.registers import FLASH_BASE
from imagekit.flash_scan import find_images
from imagekit.targets import Target

BLANK = b"\xff"
PlacedImage = tuple[int, bytes]
"""An install address, and the image that goes there."""


@dataclass(frozen=True, slots=True)
class FlashContent:
    """What user flash held when it was read, from its first byte up to SFSA or to the end of the part."""

    content: bytes
    target: Target

    @property
    def used_sectors(self) -> set[int]:
        """The sectors that are not blank."""
        return {at for at in self.sectors(FLASH_BASE, FLASH_BASE + len(self.content)) if self.data_in(at)}

    @property
    def has_application(self) -> bool:
        """Whether CPU1 can boot anything: a stack pointer and an entry point at the start of flash."""
        return self.content[:8] != BLANK * 8

    def sectors(self, start: int, end: int) -> range:
        """Return the sectors from `start` up to `end`, as far as flash was read."""
        return range(start, min(end, FLASH_BASE + len(self.content)), self.target.sector_size)

    def data_in(self, sector: int) -> bytes:
        """Return what a sector holds, without the blank bytes at its end."""
        offset = sector - FLASH_BASE
        if offset < 0:
            return b""
        return self.content[offset : offset + self.target.sector_size].rstrip(BLANK)

    def holds(self, image: bytes, address: int) -> bool:
        """Whether an image stands at this address, and nothing but blank bytes behind it in its last sector."""
        return self.content.startswith(self._padded(image), address - FLASH_BASE)

    def _padded(self, image: bytes) -> bytes:
        return image + BLANK * (-len(image) % self.target.sector_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacles:
    """Sectors that stand in the way of an installation."""

    application: frozenset[int]
    """Sectors with unknown data where an image must go, or that CPU1 would boot."""
    leftover: frozenset[int]
    """Sectors of images that FUS could install instead."""
    erase: frozenset[int]
    """Every sector that must be erased first: both of the above, and what an earlier run staged."""


def find_obstacles(
    flash: FlashContent, stagings: Sequence[Staging], staged_before: set[int], *, cpu1_must_not_boot: bool
) -> Obstacles:
    """Find what stands in the way of staging these images, in this order.

    `staged_before` are sectors that an earlier run wrote (`staged_by_us`): they can be erased without asking.
    `cpu1_must_not_boot`: option bytes are not changed, so an application would run after each reset by FUS.
    """
    first, sector_size = stagings[0], flash.target.sector_size
    already_staged = _already_staged(flash, first)
    leftover = {
        sector
        for image in find_images(flash.content, flash.target)
        if image.end - sector_size not in already_staged
        for sector in range(image.start, image.end, sector_size)
    } - staged_before
    used = flash.used_sectors
    lowest = min(staging.area.start for staging in stagings)
    application = {sector for sector in used if sector >= lowest} - already_staged - staged_before - leftover
    if cpu1_must_not_boot and flash.has_application:
        application.add(FLASH_BASE)
    # An image where a later one will be staged goes now: FUS would see it beside the first one. The first image's own
    # sectors are erased when it is staged.
    erased_later = set(range(first.area.start, first.area.end, sector_size)) - leftover
    erase = (application | leftover | (staged_before & used)) - erased_later
    return Obstacles(application=frozenset(application), leftover=frozenset(leftover), erase=frozenset(erase))


def _already_staged(flash: FlashContent, staging: Staging) -> set[int]:
    """The sectors of an image that stands where and as it will be staged; empty when it does not."""
    start = staging.area.start
    if not flash.holds(staging.data, start):
        return set()
    return set(range(start, start + len(staging.data), flash.target.sector_size))


def staged_by_us(flash: FlashContent, images: Sequence[PlacedImage], history: History) -> set[int]:
    """Return the sectors that an earlier run has written, and that hold nothing else since.

    These hold an image of this bundle, whole or as far as it was written. Where that run was interrupted while it
    staged an image, one sector can hold anything: the one that was being erased or programmed. A whole image of this
    bundle counts without a journal too: the bundle has its bytes, so erasing it loses nothing.
    """
    found = set[int]()
    for start, end in history.staged:
        found |= {sector for sector in flash.sectors(start, end) if _is_partly_staged(flash, sector, start, images)}
    for address, image in images:
        if flash.holds(image, address):
            found |= set(range(address, address + len(image), flash.target.sector_size))
    return found | _torn_sector(flash, images, history)


def _is_partly_staged(flash: FlashContent, sector: int, start: int, images: Sequence[PlacedImage]) -> bool:
    """Whether a sector is blank, or begins as that sector of an image that is staged at `start`."""
    data, offset = flash.data_in(sector), sector - start
    if not data:
        return True
    return any(
        image[offset : offset + flash.target.sector_size].startswith(data)
        for address, image in images
        if address == start
    )


def _torn_sector(flash: FlashContent, images: Sequence[PlacedImage], history: History) -> set[int]:
    """The one sector at which the last staging was interrupted; empty when there are several candidates or none."""
    if not history.is_torn or not history.staged:
        return set()
    start, end = history.staged[-1]
    if not any(address == start for address, _ in images):
        return set()
    torn = {sector for sector in flash.sectors(start, end) if not _is_partly_staged(flash, sector, start, images)}
    if len(torn) > 1:
        return set()
    return torn


def areas(sectors: frozenset[int] | set[int], target: Target) -> list[Area]:
    """Join sectors that follow each other; by address."""
    size = target.sector_size
    runs = groupby(enumerate(sorted(sectors)), key=lambda numbered: numbered[1] - numbered[0] * size)
    joined = []
    for _, numbered in runs:
        run = [sector for _, sector in numbered]
        joined.append(Area(run[0], run[-1] + size, target))
    return joined
