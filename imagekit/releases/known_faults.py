"""ST's own known faults: with them accepted, an untouched release passes, and any other difference fails."""

from collections.abc import Iterator
from datetime import date

from imagekit.catalogue import Catalogue, Publication, shipped
from imagekit.releases.release_notes import Cell, published_address
from imagekit.rules.release_notes import FITS, LOWER, NO_ROOM, NO_SPARE, TOO_HIGH
from imagekit.rules.waivers import Accept, Place, known_st_faults

_REASONS = {
    TOO_HIGH.id: "ST's table has this address in {release}; it is too high",
    LOWER.id: "ST's table has this address in {release}; it is lower than needed",
    NO_ROOM.id: "ST's table has this address in {release}, although the image does not fit",
    FITS.id: "ST's table has NA in {release}, although the image fits",
    NO_SPARE.id: "ST's table has this address in {release}, without the usual spare sectors",
}


def accept_known_faults(today: date, catalogue: Catalogue | None = None) -> Accept:
    """Return what accepts the known faults of ST's releases.

    A published address is accepted only if ST published exactly this address for exactly these bytes. All other faults
    are listed in `data/st-faults.toml`.
    """
    faults = known_st_faults(today)
    known = catalogue or shipped()

    def accept(place: Place) -> str | None:
        return _reason_for_cell(place, known) or faults.accept(place)

    return accept


def _reason_for_cell(place: Place, catalogue: Catalogue) -> str | None:
    """The reason to accept an address cell; None when ST did not publish it so."""
    reason = _REASONS.get(place.rule)
    if reason is None or place.sha256 is None or place.target is None or place.published is None:
        return None
    try:
        address = published_address(Cell(place.published, 0))
    except ValueError:
        return None
    text = None if address is None else f"0x{address:08X}"
    for publication in _publications(place.sha256, catalogue):
        if publication.addresses.get(place.target, "") == text and publication.path.endswith(_name(place.path)):
            return reason.format(release=publication.release)
    return None


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _publications(sha256: str, catalogue: Catalogue) -> Iterator[Publication]:
    content = catalogue.contents.get(sha256)
    if content is not None:
        yield from content.published
