"""What changes for a product between two images, two releases or two bundles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagekit import bonding
from imagekit.assessment import Assessment
from imagekit.bonding import BondingData, StackFormat
from imagekit.errors import PlacementError
from imagekit.image.model import FUS_1_2, FUS_2, Image, ImageKind, Version
from imagekit.placement import place
from imagekit.targets import FLASH_BASE, TARGETS, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two images that are compared."""

    path: str
    assessment: Assessment

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def title(self) -> str:
        """ST's name and version, or the kind and version."""
        if self.image.version is None:
            return self.assessment.name
        return f"{self.assessment.name} {self.image.version.full_text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """The install address on one target, with no stack on the chip; None: the image has none there."""

    target: Target
    old: int | None
    new: int | None

    @property
    def application_bytes(self) -> int | None:
        """Bytes of flash that the application gains; negative: that it loses. None where one has no address."""
        if self.old is None or self.new is None:
            return None
        return self.new - self.old


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Where an update over the air puts the new image on one target.

    The image is programmed below the installed stack, and FUS moves it into its place. Source: AN5247, "Wireless
    firmware update"; ST on community.st.com, thread 858622.
    """

    target: Target
    with_stack: int | None
    """While the old stack is installed; None: nowhere."""
    why_not: str
    """Why the new image has no address while the old stack is installed; empty when it has one."""
    after_delete: int | None
    """Once the old stack was deleted, which ends the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changes from one image to another."""

    name: str
    old: Side
    new: Side
    addresses: tuple[AddressChange, ...]
    staging: tuple[Staging, ...]
    """Empty unless both are stacks."""
    bonding_data: tuple[tuple[str, BondingData], ...]
    """With which FUS, and what happens to pairings that the radio core stores."""
    linker: tuple[str, ...]
    """What to change in the application's linker script."""
    product: tuple[str, ...]
    """What to change in the product and its production."""

    @property
    def is_same(self) -> bool:
        """Whether both are the same bytes."""
        return self.old.image.sha256 == self.new.image.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changes between two collections of images."""

    differences: tuple[Difference, ...]
    removed: tuple[str, ...]
    """Names that only the old one has."""
    added: tuple[str, ...]


def compare(old: Mapping[str, Side], new: Mapping[str, Side], targets: Sequence[Target] = TARGETS) -> Comparison:
    """Compare images of one name with each other; names are whatever identifies an image in both collections."""
    return Comparison(
        differences=tuple(difference(name, old[name], new[name], targets) for name in old if name in new),
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
    )


def difference(name: str, old: Side, new: Side, targets: Sequence[Target] = TARGETS) -> Difference:
    """Compare two images."""
    addresses = tuple(_address_changes(old, new, targets))
    staging: tuple[Staging, ...] = ()
    linker: tuple[str, ...] = ()
    if old.image.kind is ImageKind.STACK and new.image.kind is ImageKind.STACK:
        staging = tuple(_staging(old, new, targets))
        linker = tuple(_linker(old, new, addresses))
    return Difference(
        name=name,
        old=old,
        new=new,
        addresses=addresses,
        staging=staging,
        bonding_data=tuple(_bonding_data(old, new)),
        linker=linker,
        product=tuple(_product(old, new, addresses)),
    )


def _address_on(side: Side, target: Target) -> int | None:
    try:
        return side.assessment.address_on(target)
    except PlacementError:
        return None


def _address_changes(old: Side, new: Side, targets: Sequence[Target]) -> Iterator[AddressChange]:
    """Yield the addresses on each target for which one of the images has one."""
    for target in targets:
        change = AddressChange(target=target, old=_address_on(old, target), new=_address_on(new, target))
        if change.old is not None or change.new is not None:
            yield change


def _staging(old: Side, new: Side, targets: Sequence[Target]) -> Iterator[Staging]:
    """Yield where an update over the air puts the new image."""
    for target in targets:
        installed, after_delete = _address_on(old, target), _address_on(new, target)
        if installed is None or after_delete is None:
            continue
        with_stack, why_not = None, ""
        try:
            sector = (installed - FLASH_BASE) // target.sector_size
            with_stack = place(new.image, target, sfsa=sector, variants=new.assessment.fus_variants).address
        except PlacementError as error:
            why_not = str(error)
        yield Staging(target=target, with_stack=with_stack, why_not=why_not, after_delete=after_delete)


def _format(image: Image) -> StackFormat:
    if image.is_fus_2_format:
        return StackFormat.FUS_2
    return StackFormat.PLAIN


def _bonding_data(old: Side, new: Side) -> Iterator[tuple[str, BondingData]]:
    """Yield what happens to bonding data, for each FUS that can install the new image."""
    needed = new.image.requires_fus
    for label, fus in (("FUS 1.x", FUS_1_2), ("FUS 2.x", FUS_2)):
        if needed is not None and fus < needed:
            continue
        if new.image.kind is ImageKind.STACK and old.image.kind is ImageKind.STACK:
            replaces = _format(old.image)
            yield label, bonding.after_stack(fus, _format(new.image), replaces=replaces, is_deleted_first=False)
        elif new.image.kind is ImageKind.FUS:
            yield label, bonding.after_fus_upgrade(fus)
        elif new.image.kind is ImageKind.SAFEBOOT:
            yield label, bonding.after_safeboot()


def _linker(old: Side, new: Side, addresses: Sequence[AddressChange]) -> Iterator[str]:
    """Yield the changes to a linker script, in the names of ST's example projects."""
    for change in addresses:
        if change.old is None or change.new is None or change.old == change.new:
            continue
        lengths = [f"{(address - FLASH_BASE) // 1024}K" for address in (change.old, change.new)]
        yield f"{change.target.name}: FLASH LENGTH {lengths[0]} -> {lengths[1]}"
    before, after = old.image.footer, new.image.footer
    for region, left_before, left_after in (
        ("RAM_SHARED (SRAM2a)", before.sram2a_kib, after.sram2a_kib),
        ("RAMB_SHARED (SRAM2b)", before.sram2b_kib, after.sram2b_kib),
    ):
        if left_before != left_after:
            yield f"{region}: LENGTH {left_before}K -> {left_after}K"


def _product(old: Side, new: Side, addresses: Sequence[AddressChange]) -> Iterator[str]:
    """Yield the changes to a product and its production."""
    needed, needed_before = new.image.requires_fus, old.image.requires_fus
    if needed is not None and (needed_before is None or needed_before < needed):
        yield f"FUS {needed.text} or later must be on the chip: an upgrade of FUS is irreversible"
    for change in addresses:
        gained = change.application_bytes
        if change.new is None:
            yield f"{change.target.name}: the new image does not fit"
        elif gained is not None and gained < 0:
            yield (
                f"{change.target.name}: the application loses {-gained // 1024} KiB and must end below "
                f"0x{change.new:08X} before the update"
            )
    if _release(old.image.version) != _release(new.image.version) and new.image.kind is ImageKind.STACK:
        yield "rebuild the application with the STM32CubeWB release of the new stack, and test it"
    if new.image.is_fus_2_format and not old.image.is_fus_2_format:
        yield "the new format reserves 16 KiB above the stack for bonding data, also for stacks that follow it"


def _release(version: Version | None) -> tuple[int, int] | None:
    """Return what of a version belongs to a release of ST's middleware: major and minor."""
    if version is None:
        return None
    return version.major, version.minor
