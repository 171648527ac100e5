"""Which FUS installs which image, and the order of FUS upgrades. A FUS upgrade is irreversible.

Sources: release notes of STM32CubeWB v1.24.0 (STM32WB5x, steps 4 - 7; "Safeboot"), v1.22.1 ("FUS_v2 only"), v1.11.0
(steps 5, 6), v1.5.0 (steps 4 - 6; V1.1.1: parts with less than 1 MiB) and v1.1.0 (step 5); AN5185;
bluekitchen/btstack pull request 228 (FUS 1.0.1).
"""

from typing import NamedTuple

from imagekit.image.model import FUS_1_2, FUS_2, Image, ImageKind, Version
from imagekit.targets import LARGEST_FLASH, Series, Target

FUS_0_5_3 = Version(0, 5, 3)
FUS_1_0_1 = Version(1, 0, 1)
_FUS_1_0_2 = Version(1, 0, 2)
_FUS_1_1 = Version(1, 1, 0)
_FUS_1_1_2 = Version(1, 1, 2)
_ANY = Version(0, 0, 0)
_UNLIMITED = Version(256, 0, 0)  # above every version that a byte can hold
FOR_FUS_0_5_3 = "FUS_for_fus_0_5_3"
"""The variant, by ST's file name, of the only current image that FUS 0.5.3 installs."""
NEWEST_FUS = Version(2, 2, 0)
"""The newest known FUS (STM32CubeWB v1.24.0)."""


class _Row(NamedTuple):
    """FUS images of some versions, and the FUS that installs them: from the oldest up to the newest."""

    image_below: Version
    oldest: Version
    newest: Version
    source: str


_INSTALLED_BY = (
    _Row(_FUS_1_1, _ANY, FUS_0_5_3, "v1.1.0, step 5; v1.11.0, step 5; btstack: 1.0.1 does not become 1.0.2"),
    _Row(FUS_2, FUS_1_0_1, _UNLIMITED, "v1.11.0, step 6; v1.24.0, step 6"),
    _Row(_UNLIMITED, FUS_1_2, _UNLIMITED, "v1.24.0, step 7"),
)
"""FUS images below a version -> which FUS installs them, if it is older than they are. The image for FUS 0.5.3 only,
which stores no version, is not in the table."""


class Hop(NamedTuple):
    """One FUS upgrade of ST's procedure: the next one on a chip whose FUS is below a version."""

    below: Version
    gives: Version
    file: str
    """ST's name of the file, behind `stm32wb5x_`."""
    where: str
    """Which releases of STM32CubeWB hold it."""


HOPS = (
    Hop(FUS_1_0_1, FUS_1_2, "FUS_fw_for_fus_0_5_3.bin", "v1.11.1 or later"),
    Hop(FUS_1_2, FUS_1_2, "FUS_fw_1_2_0.bin", "v1.22.1 or later; in v1.11.1 - v1.22.0 it is called FUS_fw.bin"),
    Hop(FUS_2, NEWEST_FUS, "FUS_fw.bin", "v1.23.0 or later"),
)
"""ST's order of upgrades (release notes of v1.24.0, steps 5 to 7). v1.22.1 has FUS 2.0.0, whose notes require USB."""

_ASKED = (
    (Version(1, 11, 1), FUS_1_2, "v1.11.1 and later"),
    (Version(1, 5, 0), _FUS_1_1, "v1.5.0 - v1.11.0"),  # 1.0.1 and 1.0.2 must be updated; 1.1.0 is not mentioned
    (Version(1, 1, 1), _FUS_1_0_2, "v1.1.1 - v1.4.0"),
    (_ANY, FUS_1_0_1, "v1.1.0"),
)
"""Stacks from a version on -> the FUS that their release notes require first (step 4 of each)."""


def asked_fus(stack: Image) -> tuple[Version, str]:
    """Return the FUS that ST's notes require before this stack is installed, and the source of that."""
    if stack.requires_fus:
        return stack.requires_fus, "its format"
    version = stack.version or _UNLIMITED
    return next((fus, f"the notes of {notes}") for since, fus, notes in _ASKED if version >= since)


def given_fus(image: Image) -> Version:
    """Return the FUS that a chip has after it installed this FUS image; no version means 1.2.0 (AN5185, p. 26).

    Sources disagree on the image for FUS 0.5.3: the notes of v1.24.0 print V1.0.0 in a table and 1.2.0 in step 5.
    """
    return image.version or FUS_1_2


def is_small_wb5x(target: Target) -> bool:
    """Whether this is a WB5x with less than 1 MiB, which FUS before 1.0.2 may lock for ever (v1.5.0, V1.1.1)."""
    return target.series is Series.WB5X and target.flash_kib < LARGEST_FLASH // 1024


def needs_fus_first(target: Target, fus: Version | None) -> bool:
    """Whether ST requires a newer FUS on this chip before any other operation (release notes of v1.5.0, V1.1.1)."""
    return is_small_wb5x(target) and fus is not None and fus < _FUS_1_0_2


def lock_up(image: Image, target: Target, fus: Version | None) -> str:
    """Return why this step may lock the chip for ever; empty when it does not.

    On WB5x with less than 1 MiB, FUS 1.0.2 must be installed before anything else, and 1.0.1 never.
    """
    if not is_small_wb5x(target):
        return ""
    is_fus = image.kind is ImageKind.FUS
    if is_fus and image.version is not None and image.version < _FUS_1_0_2:
        return f"FUS {image.version.text} may lock a part with less than 1 MiB for ever: not for {target.name}"
    if fus is not None and needs_fus_first(target, fus) and not is_fus:
        return (
            f"with FUS {fus.text}, a part with less than 1 MiB may lock for ever: on {target.name} install FUS 1.0.2 "
            "or 1.2.0 before anything else"
        )
    return ""


def oldest_on(target: Target, image: Image) -> Version:
    """Return the oldest FUS with which this image can be installed on a target at all.

    Every WB1x has 1.2.0 or later; a WB5x with less than 1 MiB must have FUS 1.0.2 before it installs anything but FUS.
    """
    if target.series is Series.WB1X:
        return FUS_1_2
    return _FUS_1_0_2 if is_small_wb5x(target) and image.kind is not ImageKind.FUS else _ANY


def refusal(image: Image, fus: Version, variants: tuple[str, ...] = ()) -> str:
    """Return why a chip with this FUS does not install this image; empty when it does.

    `variants` are ST's names for the image, if it is known: two FUS images store no version, and only the name tells
    which of them is for FUS 0.5.3.
    """
    if Series.WB1X in image.series and fus < FUS_1_2:
        return f"WB1x never had FUS {fus.text}: the first was {FUS_1_2.text}"
    if image.kind is ImageKind.FUS:
        return _fus_refusal(image, fus, variants)
    if image.kind is ImageKind.SAFEBOOT and not image.requires_fus and not _FUS_1_1 <= fus < _FUS_1_1_2:
        return f"Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1, and the chip has {fus.text}; FUS 1.2.0 includes it"
    if image.requires_fus and fus < image.requires_fus:
        return (
            f"needs FUS {image.requires_fus.text} or later, and the chip has {fus.text}: upgrade FUS first "
            "(irreversible) or use an image of STM32CubeWB v1.22.0 or older"
        )
    return ""


def fus_after(image: Image, fus: Version | None) -> Version | None:
    """Return the FUS on a chip after it installed an image; None when it was not known and still is not."""
    if image.kind is ImageKind.FUS:
        return given_fus(image)
    return fus


def _fus_refusal(image: Image, fus: Version, variants: tuple[str, ...]) -> str:
    """Why FUS does not install this FUS image; empty when it does."""
    version, is_old = given_fus(image), fus <= FUS_0_5_3
    if FOR_FUS_0_5_3 in variants:
        return "" if is_old else f"this image is only for FUS 0.5.3, and the chip has {fus.text}"
    if image.is_hidden_fus and not variants and is_old:
        return ""  # it may be the one for FUS 0.5.3
    if version.text == fus.text:
        return f"the chip has FUS {fus.text} already, and FUS refuses its own version"
    if version < fus:
        return f"the chip has FUS {fus.text}: FUS cannot be downgraded to {version.text}"
    row = next(row for row in _INSTALLED_BY if version < row.image_below)
    if row.oldest <= fus <= row.newest:
        return ""
    if is_old:
        return f"FUS {fus.text} installs only the file named FUS_fw_for_fus_0_5_3, or FUS 1.0.2"
    if fus > row.newest:
        return f"FUS {fus.text} does not install FUS {version.text}: use FUS {FUS_1_2.text}"
    return f"the chip has FUS {fus.text}: install FUS {row.oldest.text} before FUS {version.text}"


def fus_range(image: Image, variants: tuple[str, ...] = ()) -> tuple[Version, Version | None]:
    """Return the FUS that installs an image: from the first version up to, not including, the second; None: no limit.

    For a stack it begins with the FUS that ST's notes require. FUS never installs its own or an older version.
    """
    if image.kind is ImageKind.STACK:
        return asked_fus(image)[0], None
    if image.kind is ImageKind.SAFEBOOT:
        return (image.requires_fus, None) if image.requires_fus else (_FUS_1_1, _FUS_1_1_2)
    if FOR_FUS_0_5_3 in variants:
        return FUS_0_5_3, FUS_1_0_1
    version = given_fus(image)
    row = next(row for row in _INSTALLED_BY if version < row.image_below)
    oldest = max(row.oldest, FUS_0_5_3)
    return oldest, FUS_1_0_1 if row.newest == FUS_0_5_3 else version
