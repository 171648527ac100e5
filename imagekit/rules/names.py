"""Rules about file names and known images (WB4xx)."""

from collections.abc import Iterator

from imagekit.image.model import FUS_1_2, ImageKind
from imagekit.rules.registry import Severity, Subject, image_rule
from imagekit.targets import series_names


@image_rule("WB401", Severity.ERROR, "The file name says another series than the content")
def name_of_another_series(subject: Subject) -> Iterator[str]:
    """A name in ST's form with another series than that of the sectors or of the signing key. ST itself put a WB3x file
    into the WB1x folder of v1.11.0 as `stm32wb1x_BLE_LLD_fw.bin`. Trust the content.
    """
    name, image, key = subject.st_name, subject.image, subject.assessment.signature.key
    if name is None:
        return
    if image.series and name.series not in image.series:
        yield f"the name says {name.series.value}, but the sectors are those of {series_names(image.series)}"
    elif key and name.series not in key.series:
        yield f"the name says {name.series.value}, but the image is signed for {series_names(key.series)}"


@image_rule("WB402", Severity.ERROR, "The file name says another kind of image than the content")
def name_of_another_kind(subject: Subject) -> Iterator[str]:
    """A name in ST's form that says FUS, Safeboot or a stack, where the content is another kind. Trust the content."""
    name, kind = subject.st_name, subject.image.kind
    if name is None or kind in (ImageKind.UNKNOWN, ImageKind.OTHER):
        return
    first = name.variant.partition("_")[0].lower()
    expected = {"fus": ImageKind.FUS, "safeboot": ImageKind.SAFEBOOT}.get(first, ImageKind.STACK)
    if kind is not expected:
        yield f"the name says {expected.value}, but the content is {kind.value}"


@image_rule("WB403", Severity.WARNING, "The file name says another version than the footer")
def name_of_another_version(subject: Subject) -> Iterator[str]:
    """A name in ST's form that ends with another version than the one in the footer. ST's `Safeboot_fw_v1.2.0` of
    v1.23.0 holds Safeboot 2.0.0.
    """
    name = subject.st_name
    if name is None or name.version is None:
        return
    version = FUS_1_2 if subject.image.is_hidden_fus else subject.image.version
    if version and name.version.text != version.text:
        yield f"the name says {name.version.text}, but the footer says {version.text}"


@image_rule("WB404", Severity.ERROR, "A known image has the name of another one")
def renamed_image(subject: Subject) -> Iterator[str]:
    """ST published exactly these bytes under another name, and other bytes under this name: the file was renamed, or
    two files were swapped. A name that is not in the catalogue is not a finding: a newer release may use it.
    """
    name, assessment = subject.st_name, subject.assessment
    if name is None or not assessment.variants:
        return
    variant = name.variant.casefold()
    own_variants = [own.casefold() for own in assessment.variants]
    if variant in assessment.catalogue.variants and variant not in own_variants:
        yield f"the name says {name.variant}, but ST published it as {' and '.join(assessment.variants)}"


@image_rule("WB405", Severity.WARNING, "The image has a known defect")
def known_defect(subject: Subject) -> Iterator[str]:
    """ST published this image with a defect of its own. Use the file of another release."""
    known = subject.assessment.known
    if known and known.known_bad:
        yield known.known_bad


NAME_RULES = (
    name_of_another_series,
    name_of_another_kind,
    name_of_another_version,
    renamed_image,
    known_defect,
)
"""In the order in which findings are reported."""
