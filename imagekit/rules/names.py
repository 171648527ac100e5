"""Rules about the name of a file and about known contents (WB4xx)."""

from collections.abc import Iterator

from imagekit.image.model import FUS_1_2, ImageKind
from imagekit.rules.registry import Severity, Subject, image_rule
from imagekit.targets import series_names


@image_rule("WB401", Severity.ERROR, "The file's name says the series that the image is for")
def name_series(subject: Subject) -> Iterator[str]:
    """A name as ST forms it, with another series in it than the sectors or the signing key tell. ST itself put a WB3x
    file into the WB1x folder of v1.11.0 as `stm32wb1x_BLE_LLD_fw.bin`. Trust the content.
    """
    name, key = subject.st_name, subject.assessment.signature.key
    if name is None:
        return
    for series, what in ((subject.image.series, "cut"), (key.series if key else (), "signed")):
        if series and name.series not in series:
            yield f"its name says {name.series.value}, and it is {what} for {series_names(series)}"
            return


@image_rule("WB402", Severity.ERROR, "The file's name says the kind of image that it is")
def name_kind(subject: Subject) -> Iterator[str]:
    """A name as ST forms it that says FUS, Safeboot or a stack, where the content is another. Trust the content."""
    name, kind = subject.st_name, subject.image.kind
    if name is None or kind in (ImageKind.UNKNOWN, ImageKind.OTHER):
        return
    first = name.variant.partition("_")[0].lower()
    expected = {"fus": ImageKind.FUS, "safeboot": ImageKind.SAFEBOOT}.get(first, ImageKind.STACK)
    if kind is not expected:
        yield f"its name says {expected.value}, and it is {kind.value}"


@image_rule("WB403", Severity.WARNING, "The file's name says the version that the image has")
def name_version(subject: Subject) -> Iterator[str]:
    """A name as ST forms it with a version at its end that is not the one in the footer. ST's `Safeboot_fw_v1.2.0` of
    v1.23.0 holds Safeboot 2.0.0.
    """
    name = subject.st_name
    said = name.version if name else None
    version = FUS_1_2 if subject.image.is_hidden_fus else subject.image.version
    if said and version and said.text != version.text:
        yield f"its name says {said.text}, its footer {version.text}"


@image_rule("WB404", Severity.ERROR, "A known content has a name that ST gave it")
def known_name(subject: Subject) -> Iterator[str]:
    """ST published exactly these bytes, and another content under this name: the file was renamed, or two were swapped.
    A name that ST has given to nothing known is no finding: a newer release may have it.
    """
    name, assessment = subject.st_name, subject.assessment
    if name is None or not assessment.variants:
        return
    said = name.variant.casefold()
    if said in assessment.known_variants and said not in map(str.casefold, assessment.variants):
        yield f"its name says {name.variant}; ST published it as {' and '.join(assessment.variants)}"


@image_rule("WB405", Severity.WARNING, "Nothing bad is known of the content")
def known_bad(subject: Subject) -> Iterator[str]:
    """A content of ST's with a defect of its own, told with its source. Take the file from another release."""
    known = subject.assessment.known
    if known and known.known_bad:
        yield known.known_bad


NAME_RULES = (
    name_series,
    name_kind,
    name_version,
    known_name,
    known_bad,
)
"""In the order in which findings are reported."""
