"""All that is known about one image, in one frozen value: what it is, who signed it, where it goes."""

from collections.abc import Iterable
from dataclasses import dataclass

from imagekit.catalogue import Catalogue, Content, shipped
from imagekit.errors import PlacementError
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
    known_variants: frozenset[str]
    """Every variant in the catalogue, in lower case."""
    known: Content | None
    """What ST published these bytes as; None when the catalogue does not know them, which is no fault."""

    @property
    def sectors(self) -> int | None:
        """Sectors that the image takes: the footer's number or the size's, whichever is more."""
        if self.sector_size is None:
            return None
        return max(self.image.footer.flash_sectors, self.image.sectors_by_size(self.sector_size))

    @property
    def install_addresses(self) -> dict[Target, int | None]:
        """Every target of the image's series → install address with no stack on the chip, None: does not fit."""
        return {
            target: _install_address(self.image, target) for target in TARGETS if target.series in self.image.series
        }

    def address_on(self, target: Target) -> int:
        """Return the install address on a target with no stack on the chip.

        Raises PlacementError: as `place` does, and `other-key` when the signing key is not one for that series.
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
        """ST's names for it, such as `BLE_Stack_full`; empty when the catalogue does not know it."""
        return self.known.variants if self.known else ()

    @property
    def fus_variants(self) -> tuple[str, ...]:
        """The names by which `refusal` tells two FUS images apart that hide their version.

        One that verifies is not the one for FUS 0.5.3, known or not: no key verifies that (docs/image-format.md).
        """
        is_valid = self.signature.status is SignatureStatus.VALID
        return self.variants or (("FUS",) if is_valid and self.image.is_hidden_fus else ())


def assess(image: Image, keys: Iterable[SigningKey] | None = None, catalogue: Catalogue | None = None) -> Assessment:
    """Work out everything about an image, with ST's keys and the shipped catalogue unless others are given."""
    catalogue = shipped() if catalogue is None else catalogue
    signature = signature_verdict(image, st_keys() if keys is None else keys)
    return Assessment(
        image,
        signature,
        _sector_size(image, signature),
        catalogue.variants,
        catalogue.contents.get(image.sha256),
    )


def _sector_size(image: Image, signature: SignatureVerdict) -> int | None:
    """The sector size of the series that the footer tells, or else of the one its signing key is for."""
    series = image.series or (signature.key.series if signature.key else ())
    return SECTOR_SIZES[series[0]] if series else None


def _install_address(image: Image, target: Target) -> int | None:
    """The install address on a target, None where there is none."""
    try:
        return place(image, target).address
    except PlacementError:
        return None
