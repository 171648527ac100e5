"""Everything known about one image, in one frozen value: what it is, who signed it, where it is installed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from imagekit.catalogue import Catalogue, Content, shipped
from imagekit.errors import PlacementError
from imagekit.hosts import HostRelease, hosts_using
from imagekit.image.model import Image
from imagekit.image.signature import SignatureStatus, SignatureVerdict, signature_verdict
from imagekit.image.signing_keys import SigningKey, st_keys
from imagekit.placement import place
from imagekit.targets import SECTOR_SIZES, TARGETS, Target, series_names


@dataclass(frozen=True, slots=True)
class Assessment:
    """An image with everything computed from it."""

    image: Image
    signature: SignatureVerdict
    sector_size: int | None
    """Bytes in one of its sectors; None when neither the footer nor the signing key tells the series."""
    catalogue: Catalogue = field(compare=False)
    """Where it was looked up."""
    known: Content | None
    """What ST published these bytes as; None when they are not in the catalogue, which is not an error."""

    def __hash__(self) -> int:
        return hash(self.image.sha256)

    @property
    def sectors(self) -> int | None:
        """Sectors that the image needs: the larger of the footer's number and the number by size."""
        if self.sector_size is None:
            return None
        return max(self.image.footer.flash_sectors, self.image.sectors_by_size(self.sector_size))

    @property
    def install_addresses(self) -> dict[Target, int | None]:
        """Target of the image's series -> install address with no stack on the chip; None: does not fit."""
        return {
            target: _install_address(self.image, target) for target in TARGETS if target.series in self.image.series
        }

    def address_on(self, target: Target) -> int:
        """Return the install address on a target with no stack on the chip.

        Raises:
            PlacementError: as `place` does, and `other-key` when the signing key is for another series.
        """
        key = self.signature.key
        address = place(self.image, target).address
        if key and target.series not in key.series:
            raise PlacementError(
                "other-key",
                f"signed with {key.name}, a key for {series_names(key.series)}, not {target.series.value}",
            )
        return address

    @property
    def variants(self) -> tuple[str, ...]:
        """ST's names for it, such as `BLE_Stack_full`; empty when it is not in the catalogue."""
        return self.known.variants if self.known else ()

    @property
    def name(self) -> str:
        """ST's name for it, or its kind when it is not in the catalogue."""
        if self.variants:
            return self.variants[0]
        return self.image.kind.value

    @property
    def hosts(self) -> tuple[HostRelease, ...]:
        """The releases of host software that are tied to this image; empty when it is not in the catalogue."""
        if self.known is None:
            return ()
        rows = {
            host: None
            for publication in self.known.published
            for host in hosts_using(publication.variant, publication.release.removeprefix("v"))
        }
        return tuple(rows)

    @property
    def fus_variants(self) -> tuple[str, ...]:
        """The names by which `refusal` tells the two FUS images apart that store no version.

        An image that verifies is not the one for FUS 0.5.3: no known key verifies that one (docs/image-format.md).
        """
        is_valid = self.signature.status is SignatureStatus.VALID
        if not self.variants and is_valid and self.image.is_hidden_fus:
            return ("FUS",)
        return self.variants


def assess(image: Image, keys: Iterable[SigningKey] | None = None, catalogue: Catalogue | None = None) -> Assessment:
    """Return everything known about an image; by default with ST's keys and the built-in catalogue."""
    if catalogue is None:
        catalogue = shipped()
    if keys is None:
        keys = st_keys()
    signature = signature_verdict(image, keys)
    return Assessment(
        image,
        signature,
        _sector_size(image, signature),
        catalogue,
        catalogue.contents.get(image.sha256),
    )


def _sector_size(image: Image, signature: SignatureVerdict) -> int | None:
    """The sector size of the series that the footer tells, or of the series of the signing key; None: not known."""
    if image.series:
        return SECTOR_SIZES[image.series[0]]
    if signature.key:
        return SECTOR_SIZES[signature.key.series[0]]
    return None


def _install_address(image: Image, target: Target) -> int | None:
    """The install address on a target; None when the image has none there."""
    try:
        return place(image, target).address
    except PlacementError:
        return None
