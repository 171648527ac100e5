"""Which FUS may install which image. There is no way back, ever.

Sources: release notes of STM32CubeWB v1.24.0 (STM32WB5x, steps 4 - 7; "Safeboot"), v1.22.1 ("FUS_v2 only"), v1.11.0
(steps 5, 6) and v1.5.0 (V1.1.1: parts with less than 1 MiB); AN5185; bluekitchen/btstack pull request 228 (FUS 1.0.1).
"""

from imagekit.image import FUS_1_2, FUS_2, Image, ImageKind, Version
from imagekit.targets import LARGEST_FLASH, Series, Target

FUS_0_5_3 = Version(0, 5, 3)
_FUS_1_0_1 = Version(1, 0, 1)
_FUS_1_0_2 = Version(1, 0, 2)
_FUS_1_1 = Version(1, 1, 0)
FOR_FUS_0_5_3 = "FUS_for_fus_0_5_3"
"""The variant, by ST's file name, of the one image of today that FUS 0.5.3 installs."""


def lock_up(image: Image, target: Target, fus: Version | None) -> str:
    """Say why this step may lock the chip for ever; empty when it may not.

    On WB5x with less than 1 MiB, FUS 1.0.2 must be installed before anything else, and 1.0.1 never.
    """
    if target.series is not Series.WB5X or target.flash_kib >= LARGEST_FLASH // 1024:
        return ""
    is_fus = image.kind is ImageKind.FUS
    if is_fus and image.version is not None and image.version < _FUS_1_0_2:
        return f"FUS {image.version.text} may lock a part with less than 1 MiB for ever: not on {target.name}"
    if fus is not None and fus < _FUS_1_0_2 and not is_fus:
        return (
            f"with FUS {fus.text} a part with less than 1 MiB may lock for ever: on {target.name} install FUS 1.0.2 or "
            "1.2.0 before anything else"
        )
    return ""


def refusal(image: Image, fus: Version, variants: tuple[str, ...] = ()) -> str:
    """Say why a chip with this FUS does not install this image; empty when it may.

    `variants` are ST's names for the content, where it is known: two FUS images hide their version, and only the name
    tells which one is for FUS 0.5.3.
    """
    if Series.WB1X in image.series and fus < FUS_1_2:
        return f"no WB1x has FUS {fus.text}: the first was {FUS_1_2.text}"
    if image.kind is ImageKind.FUS:
        return _fus_refusal(image, fus, variants)
    if image.kind is ImageKind.SAFEBOOT and not image.requires_fus and not _FUS_1_1 <= fus < FUS_1_2:
        return f"Safeboot 2.0.0 is for FUS 1.1, and the chip has {fus.text}; later ones have it already"
    if image.requires_fus and fus < image.requires_fus:
        return (
            f"needs FUS {image.requires_fus.text} or later, and the chip has {fus.text}: upgrade FUS first (there is "
            "no way back) or take an image of an older release"
        )
    return ""


def fus_after(image: Image, fus: Version | None) -> Version | None:
    """Return the FUS on a chip once it has installed an image; None where it was not known and still is not."""
    if image.kind is not ImageKind.FUS or fus is None:
        return fus
    return image.version or FUS_1_2


def _fus_refusal(image: Image, fus: Version, variants: tuple[str, ...]) -> str:
    """Why FUS does not install this FUS image."""
    version = image.version or FUS_1_2
    is_for_0_5_3 = FOR_FUS_0_5_3 in variants
    may_be_for_0_5_3 = is_for_0_5_3 or version < _FUS_1_1 or (image.is_hidden_fus and not variants)
    if fus <= FUS_0_5_3:
        return "" if may_be_for_0_5_3 else f"FUS {fus.text} installs only the file named FUS_fw_for_fus_0_5_3"
    if is_for_0_5_3:
        return f"this image is for FUS 0.5.3 alone, and the chip has {fus.text}"
    if version.text == fus.text:
        return f"the chip has FUS {fus.text} already, and FUS refuses its own version"
    if version < fus:
        return f"the chip has FUS {fus.text}: there is no way back to {version.text}"
    if version.text == _FUS_1_0_2.text and fus.text == _FUS_1_0_1.text:
        return "FUS 1.0.1 does not become 1.0.2: take 1.2.0"
    if version >= FUS_2 and fus < FUS_1_2:
        return f"the chip has FUS {fus.text}: it must become {FUS_1_2.text} before {version.text}"
    return ""
