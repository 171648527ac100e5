"""Facts of one chip as they were read, and what follows from them. Pure."""

from dataclasses import dataclass

from flasher.device import Identity, Options
from flasher.mailbox import DeviceInfo
from imagekit.bonding import StackFormat
from imagekit.bundle.manifest import ImageEntry
from imagekit.image.model import FUS_2, Version
from imagekit.option_bytes import suitability
from imagekit.option_bytes.verdicts import FieldVerdict
from imagekit.placement import FUS_2_GAP

_LARGEST_APP_KIB = 31
"""The largest value of SBRSA and SNBRSA, which have five bits (CMSIS stm32wb55xx.h, FLASH_SRRVR)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The chip as it was read."""

    identity: Identity
    options: Options
    info: DeviceInfo
    flash: bytes
    """User flash, from its start up to SFSA or to the end of the part."""

    @property
    def has_stack(self) -> bool:
        """Whether a stack is installed: CPU2 says so, or SFSA does."""
        if self.info.stack is not None:
            return True
        return self.secure_bytes > 0 and not self.bonding_room

    @property
    def secure_bytes(self) -> int:
        """Bytes of flash below FUS that are secure, by SFSA."""
        target = self.identity.target
        return max(target.limit - target.sector_address(self.options.sfsa), 0)

    @property
    def bonding_room(self) -> bool:
        """Whether FUS keeps up to 16 KiB below itself for bonding data, also after the stack is deleted.

        With a stack: it ends 16 KiB below the limit, by SFSA and its number of sectors. Source: addresses of all stacks
        for FUS 2 in ST's tables of v1.22.1 to v1.24.0. Without one: 16 KiB are derived, not measured, so less counts
        as well; an image must not be staged there either way.
        """
        target, info, sfsa = self.identity.target, self.info, self.options.sfsa
        if info.fus < FUS_2:
            return False
        if info.stack is None:
            return 0 < self.secure_bytes <= FUS_2_GAP
        return target.sector_address(sfsa + info.stack_sectors) <= target.limit - FUS_2_GAP

    @property
    def stack_format(self) -> StackFormat | None:
        """The format of the installed stack; None without a stack, or where its size is not known."""
        if self.info.stack is None or not self.info.stack_sectors:
            return None
        if self.bonding_room:
            return StackFormat.FUS_2
        return StackFormat.PLAIN

    @property
    def is_fus_selected(self) -> bool:
        """Whether CPU2 boots FUS although a stack is installed: SBRV is not SFSA (option bytes of boards)."""
        options = self.options
        return self.info.is_fus or options.sbrv * 4 != options.sfsa * options.target.sector_size


def option_verdicts(options: Options) -> tuple[FieldVerdict, ...]:
    """Judge the option bytes of a chip, field by field and together."""
    return suitability.verdicts(options.words, options.target)


def option_refusals(options: Options, *, is_fus_at_work: bool = False) -> tuple[str, ...]:
    """Return why no work on a chip with these option bytes is allowed; empty when work is allowed."""
    return suitability.refusals(options.words, options.target, fus_may_be_busy=is_fus_at_work)


def difference(entry: ImageEntry, info: DeviceInfo, options: Options) -> str:
    """Say how an installed stack differs from the bundle's; empty when it does not.

    The version does not name the variant. Version, sectors and SRAM2 do, except for a few pairs of images.
    """
    wanted = Version.from_text(entry.version) if entry.version else None
    if info.stack is None:
        return f"no stack instead of {entry.version}"
    if info.stack != wanted:
        return f"stack {info.stack.full_text} instead of {entry.version}"
    if info.stack_sectors not in (entry.sectors, entry.sectors - 1):  # the footer of v1.6.0's Thread_FTD: one too few
        return f"a stack of {info.stack_sectors} sectors instead of {entry.sectors}"
    app_kib = (entry.sram2a_kib, entry.sram2b_kib)
    for area, found, wanted_kib in zip("ab", options.open_sram2_kib, app_kib, strict=True):
        if not _is_same_sram2(found, wanted_kib):
            left = "all" if found is None else f"{found} KiB"
            return f"SRAM2{area}: {left} left to the application instead of {wanted_kib} KiB"
    return ""


def _is_same_sram2(found: int | None, wanted_kib: int) -> bool:
    """Whether the option bytes leave as much SRAM2 to the application as the footer says; None: all of it."""
    if wanted_kib >= _LARGEST_APP_KIB:
        return found in (None, wanted_kib, _LARGEST_APP_KIB)
    return found == wanted_kib
