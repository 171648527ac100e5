"""Rules about whether and where an image can be installed on a part (WB301 to WB304, WB307)."""

from collections.abc import Iterator
from contextlib import suppress

from imagekit.assessment import Assessment
from imagekit.catalogue import StName
from imagekit.errors import PlacementError
from imagekit.fus_versions import lock_up, refusal
from imagekit.image.model import ImageKind
from imagekit.placement import place
from imagekit.rules.registry import AsWarning, Severity, Subject, image_rule
from imagekit.targets import FLASH_BASE, Target, series_names

ADDRESS_STANDS = frozenset({"WB105", "WB201"})
"""Errors with which an install address is right all the same: the larger sector count is used, and for some of ST's FUS
images the key is not known."""


@image_rule("WB301", Severity.ERROR, "The image cannot be installed on the part")
def not_installable(subject: Subject) -> Iterator[str]:
    """Only with `--part`: the image is for another series, is signed for another series, does not fit, or has a format
    whose space in flash is not known.
    """
    if subject.chip.target is None:
        return
    try:
        subject.assessment.address_on(subject.chip.target)
    except PlacementError as error:
        yield str(error)


@image_rule("WB302", Severity.WARNING, "Installing the image resets the chip to factory state")
def factory_reset(subject: Subject) -> Iterator[str]:
    """Only with `--part` and in bundles: installing Safeboot erases the wireless stack and the application (release
    notes of STM32CubeWB, "Safeboot"). It is never a routine update.
    """
    if subject.chip.target is not None and subject.image.kind is ImageKind.SAFEBOOT:
        yield "installing Safeboot is a factory reset: it erases the stack and the application"


@image_rule("WB303", Severity.ERROR, "The FUS on the chip does not install the image")
def refused_by_fus(subject: Subject) -> Iterator[str]:
    """Only with `--fus`: the image needs a newer FUS, or it is a FUS image that this FUS cannot install. FUS cannot be
    downgraded, refuses its own version, and is upgraded from 0.5.3 to 1.2.0 to 2.x. The last stacks for FUS 1.x are
    those with magic 0x23372991.
    """
    fus, target = subject.chip.fus, subject.chip.target
    if fus is None:
        return
    reason = refusal(subject.image, fus, subject.assessment.fus_variants)
    if not reason and target is not None:
        reason = lock_up(subject.image, target, fus)
    if reason:
        yield reason


@image_rule("WB304", Severity.ERROR, "The Intel HEX file puts the image at a wrong address")
def wrong_hex_address(subject: Subject) -> Iterator[str]:
    """The address in the HEX file is not in flash, is not a multiple of the sector size, or is higher than the install
    address on the part (without `--part`: on every part). FUS would refuse the image, or it would overlap FUS.
    """
    start, sector_size = subject.hex_address, subject.assessment.sector_size
    if start is None:
        return
    highest = _highest_address(subject)
    if highest is None:
        return
    if start <= FLASH_BASE:
        yield f"the file puts the image at 0x{start:08X}: CPU1's vector table is there, or no flash at all"
    elif sector_size and start % sector_size:
        yield f"the file puts the image at 0x{start:08X}, which is not the start of a sector"
    elif start > highest:
        yield (
            f"the file puts the image at 0x{start:08X}; the highest possible address on {_target_name(subject)} is "
            f"0x{highest:08X}"
        )


def _target_name(subject: Subject) -> str:
    if subject.chip.target is None:
        return "any target"
    return subject.chip.target.name


def _highest_address(subject: Subject) -> int | None:
    """The highest address at which the image can start on any of the targets; None where it has no place."""
    chip, assessment = subject.chip, subject.assessment
    targets: tuple[Target, ...] = tuple(assessment.install_addresses)
    if chip.target is not None:
        targets = (chip.target,)
    addresses = []
    for target in targets:
        with suppress(PlacementError):
            placement = place(subject.image, target, fus=chip.fus, variants=assessment.fus_variants)
            addresses.append(placement.address + placement.spare_sectors * target.sector_size)
    return max(addresses, default=None)


@image_rule("WB307", Severity.ERROR, "The image was published for another series than the part")
def published_for_another_series(subject: Subject) -> Iterator[str | AsWarning]:
    """Only with `--part`: WB3x and WB5x have the same sector size and signing key, so only the catalogue or the file
    name tells for which of them ST published an image. An image of the other series can be installed, but it is not
    made for the part. Use the file of the same name for your series. It is a warning if neither the catalogue nor the
    name tells the series.
    """
    target, image = subject.chip.target, subject.image
    if target is None or target.series not in image.series:
        return  # WB301 refuses an image with other sectors
    other = series_elsewhere(subject.assessment, subject.st_name, target)
    if other:
        yield other
    elif subject.assessment.known is None and subject.st_name is None and len(image.series) > 1:
        yield AsWarning(f"neither the catalogue nor the file name tells whether it is for {series_names(image.series)}")


def series_elsewhere(assessment: Assessment, name: StName | None, target: Target) -> str:
    """Return why an image is not for the series of a target, by the catalogue or else by its name; empty if it is."""
    if assessment.known:
        series = assessment.known.published_series
        if series and target.series not in series:
            return (
                f"ST published it for {series_names(series)} only: use the file of that name for {target.series.value}"
            )
        return ""
    if name and name.series is not target.series:
        return f"its name says {name.series.value}, but {target.name} is {target.series.value}"
    return ""


INSTALLATION_RULES = (
    not_installable,
    factory_reset,
    refused_by_fus,
    wrong_hex_address,
    published_for_another_series,
)
"""In the order in which findings are reported."""
