"""The manifest: what a bundle holds, for which chips, and in which order. manifest_json reads and writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType

from imagekit.assessment import Assessment
from imagekit.errors import BundleError
from imagekit.image.model import ImageKind
from imagekit.targets import Target

ROLES = {ImageKind.FUS: "fus", ImageKind.STACK: "stack", ImageKind.SAFEBOOT: "safeboot"}
ORDER = ("fus", "stack", "safeboot")
_NAME = re.compile(r"[A-Za-z0-9](?: ?[A-Za-z0-9._+-])*")
LONGEST_NAME = 100
NAME_IN_WORDS = (
    f"1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ + - and single spaces, beginning with a letter or digit, not ending with "
    "a space"
)
LONGEST_REASON = 500
_CREATED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")


class FusPolicy(Enum):
    """When a FUS image of the bundle is installed; the values are those of the member `fus_policy`."""

    NEEDED = "needed"
    """Only where the last image needs a newer FUS than the chip has."""
    ALWAYS = "always"
    """Whenever the FUS on the chip is older. A manifest without the member, as before version 0.2, means this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """The facts about one image in the manifest."""

    sha256: str
    role: str
    """`fus`, `stack` or `safeboot`."""
    size: int
    magic: int
    version: str | None
    """With branch and build as one number, `1.23.0.1`; None: hidden."""
    sectors: int
    gap_sectors: int
    sram2a_kib: int
    sram2b_kib: int
    st_key: str | None
    """The name of ST's key that verifies it; None only with a waiver."""
    known_as: str | None
    """Its name in the maker's catalogue, `BLE_Stack_full of v1.23.0`. For people; nothing depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestStep:
    """One installation: the image, the FUS that installs it, and the version that the chip has afterwards."""

    image: str
    min_fus: str
    below_fus: str | None
    """The first FUS that does not install it; None: no limit is known."""
    gives: str
    """The version of FUS, stack or Safeboot that the chip has afterwards."""
    irreversible: bool


@dataclass(frozen=True, slots=True)
class Waiver:
    """An error of one rule, found in one image, that was accepted in writing."""

    rule: str
    image: str
    """The SHA-256 of the image."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A bundle's content and conditions."""

    name: str
    sequence: int
    """Release number. The flasher refuses a lower number than the chip last received under this name."""
    created: str
    """RFC 3339, UTC, to the second."""
    tool: str
    targets: tuple[Target, ...]
    addresses: Mapping[str, Mapping[str, int]]
    """Target name -> SHA-256 -> install address."""
    images: tuple[ImageEntry, ...]
    """In the order of their hashes."""
    steps: tuple[ManifestStep, ...]
    waivers: tuple[Waiver, ...] = ()
    fus_policy: FusPolicy = FusPolicy.ALWAYS
    expires: str | None = None
    """RFC 3339, UTC, to the second: the bundle is refused from this time on. None: never."""

    def __post_init__(self) -> None:
        """Make the addresses read-only, so that they cannot change after the checks."""
        fixed = {name: MappingProxyType(dict(places)) for name, places in self.addresses.items()}
        object.__setattr__(self, "addresses", MappingProxyType(fixed))


def describe(assessment: Assessment) -> ImageEntry:
    """Return the facts about an image that a manifest must hold.

    Raises BundleError `image` for an image that bundles cannot hold.
    """
    image, key = assessment.image, assessment.signature.key
    version, st_key = None, None
    if image.version is not None:
        version = image.version.full_text
    if key is not None:
        st_key = key.name
    if image.kind not in ROLES or assessment.sectors is None or image.gap_sectors is None:
        raise BundleError("image", f"images/{image.sha256}: not a FUS, stack or Safeboot of a known format")
    return ImageEntry(
        sha256=image.sha256,
        role=ROLES[image.kind],
        size=image.size,
        magic=image.footer.magic,
        version=version,
        sectors=assessment.sectors,
        gap_sectors=image.gap_sectors,
        sram2a_kib=image.footer.sram2a_kib,
        sram2b_kib=image.footer.sram2b_kib,
        st_key=st_key,
        known_as=known_as(assessment),
    )


def known_as(assessment: Assessment) -> str | None:
    """Return the name of an image in the catalogue, `BLE_Stack_full of v1.23.0`; None when it is not in there."""
    if assessment.known is None:
        return None
    first = assessment.known.published[0]
    return f"{first.variant} of {first.release}"


def is_name(text: str) -> bool:
    """Return whether a product can have this name. Names that look the same are the same."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Return whether a text is a time in the one spelling of bundles (RFC 3339, UTC, no fractions)."""
    try:
        return bool(time_of(text))
    except ValueError:
        return False


def time_of(text: str) -> datetime:
    """Return a time in the one spelling of bundles. Raises ValueError."""
    match = _CREATED.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time of the form 2026-01-31T23:59:59Z: {text!a}")
    year, month, day, hour, minute, second = map(int, match.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
