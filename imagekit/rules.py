"""The rules: one function each, that looks at an assessment and yields evidence. No evidence, no finding.

A rule's id never changes meaning. Families: WB1xx the file's own bytes, WB2xx signatures, WB3xx where and
whether it can be installed. What each one is about, and what to do: docs/rules.md.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from imagekit import container
from imagekit.assessment import Assessment
from imagekit.container import FUS_2_STACK_MAGIC
from imagekit.errors import PlacementError
from imagekit.image import SAFEBOOT_INFO1, Image, ImageKind, Version
from imagekit.placement import FUS_2_GAP, place
from imagekit.signature import SignatureStatus
from imagekit.targets import Series, Target


class Severity(Enum):
    """How much a finding weighs; only an error makes `check` refuse."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule saw."""

    rule: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules look at: an assessed image and, where the user named one, the target it is for."""

    assessment: Assessment
    target: Target | None = None

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check."""

    id: str
    severity: Severity
    title: str
    evidence: Callable[[Subject], Iterator[str]]


RULES: list[Rule] = []
"""Every rule, in the order of its id."""

_Evidence = Callable[[Subject], Iterator[str]]


def rule(id_: str, severity: Severity, title: str) -> Callable[[_Evidence], _Evidence]:
    """Enter a function into the table of rules."""

    def enter(evidence: _Evidence) -> _Evidence:
        RULES.append(Rule(id_, severity, title, evidence))
        return evidence

    return enter


def findings(assessment: Assessment, target: Target | None = None) -> tuple[Finding, ...]:
    """Apply every rule. Rules about a target stay silent without one."""
    subject = Subject(assessment, target)
    return tuple(Finding(rule.id, rule.severity, message) for rule in RULES for message in rule.evidence(subject))


@rule("WB101", Severity.ERROR, "The footers' marker words are whole")
def _markers(subject: Subject) -> Iterator[str]:
    footer = subject.image.footer
    if footer.info2 != container.FOOTER_MARKER:
        yield f"info2 of the image footer is 0x{footer.info2:08X}, not 0x{container.FOOTER_MARKER:08X}: damaged"
    for block in subject.image.signatures:
        markers = (block.footer.marker1, block.footer.marker2)
        if markers != (container.SIGNATURE_FOOTER_MARKER, container.FOOTER_MARKER):
            yield (
                f"the signature footer starts with 0x{markers[0]:08X} 0x{markers[1]:08X}, not "
                f"0x{container.SIGNATURE_FOOTER_MARKER:08X} 0x{container.FOOTER_MARKER:08X}: damaged"
            )


@rule("WB102", Severity.ERROR, "The image footer's magic is known")
def _image_magic(subject: Subject) -> Iterator[str]:
    magic = subject.image.footer.magic
    if magic not in container.IMAGE_MAGICS:
        yield f"image magic 0x{magic:08X} is not known: damaged, or newer than this imagekit"
    elif subject.image.kind is ImageKind.OTHER:
        yield f"image magic 0x{magic:08X} is reserved by ST; no image that ST released has it"


@rule("WB103", Severity.ERROR, "The image footer's reserved fields hold the values that ST uses")
def _image_reserved(subject: Subject) -> Iterator[str]:
    image, footer = subject.image, subject.image.footer
    if image.kind in (ImageKind.UNKNOWN, ImageKind.OTHER):
        return
    gap, sector_size = image.gap_sectors, subject.assessment.sector_size
    if gap is None:
        yield f"info1 is 0x{footer.info1:08X}: a format whose room above the image is not known"
    elif gap and sector_size and gap * sector_size != FUS_2_GAP:
        yield f"info1 is 0x{footer.info1:08X}: {gap} sectors of {sector_size // 1024} KiB are not the 16 KiB of FUS 2"
    byte9 = 2 if footer.magic == FUS_2_STACK_MAGIC else 0xFF
    if footer.byte9 != byte9:
        yield f"byte 9 of the image footer is 0x{footer.byte9:02X}, not 0x{byte9:02X}"


@rule("WB104", Severity.ERROR, "ST's signature footer holds the values that ST uses")
def _signature_footer(subject: Subject) -> Iterator[str]:
    block = subject.image.st_signature
    if block is None:
        return
    footer = block.footer
    for name, value, known in (
        ("signature size", footer.signature_size, container.ST_SIGNATURE_SIZE),
        ("source", footer.source, 0x57),
        ("reserved field", footer.reserved, 0xFFFF),
        ("version word", footer.version_word, _version_word(subject.image)),
        ("magic", footer.magic, container.ST_SIGNATURE_MAGIC),
    ):
        if value != known:
            yield f"{name} of the signature footer is 0x{value:X}, not 0x{known:X}; no signature covers it"


def _version_word(image: Image) -> int:
    """The version-like word of ST's signature footer: what all images of that kind have."""
    if image.kind is ImageKind.FUS:
        return 0x1000_00FF if image.version == Version(1, 0, 2) else 0x2000_00FF
    is_safeboot_2_0_1 = image.kind is ImageKind.SAFEBOOT and image.footer.info1 != SAFEBOOT_INFO1
    return 0x2000_00FF if is_safeboot_2_0_1 else 0x2211_0045


@rule("WB105", Severity.ERROR, "The footer's sector count is what the file's size needs")
def _sector_count(subject: Subject) -> Iterator[str]:
    image = subject.image
    if not image.series:
        yield (
            f"the footer says {image.footer.flash_sectors} sectors, and {image.size} bytes take "
            f"{image.sectors_by_size(4096)} of 4 KiB or {image.sectors_by_size(2048)} of 2 KiB"
        )


@rule("WB106", Severity.ERROR, "The file is a whole number of words long")
def _whole_words(subject: Subject) -> Iterator[str]:
    if subject.image.size % 4:
        yield f"{subject.image.size} bytes are no multiple of 4: bytes were lost or added in transfer"


@rule("WB107", Severity.WARNING, "The body looks as if no text-mode transfer touched it")
def _carriage_returns(subject: Subject) -> Iterator[str]:
    if subject.image.lacks_carriage_returns and subject.assessment.signature.status is not SignatureStatus.VALID:
        yield f"no byte 0x0D in {subject.image.size} bytes: a text-mode transfer may have converted line ends"


@rule("WB108", Severity.NOTE, "The footer shows a version")
def _hidden_version(subject: Subject) -> Iterator[str]:
    if subject.image.version is None:
        is_fus = subject.image.kind is ImageKind.FUS
        yield "the version is hidden (FF FF FF FF)" + (": this is FUS 1.2.0" if is_fus else "")


@rule("WB109", Severity.ERROR, "The body is encrypted")
def _encrypted(subject: Subject) -> Iterator[str]:
    if subject.image.is_unencrypted:
        yield "the body starts with a vector table: it is not encrypted, and FUS will refuse it"


@rule("WB201", Severity.ERROR, "ST's signature is valid under a key that is known")
def _st_signature(subject: Subject) -> Iterator[str]:
    verdict = subject.assessment.signature
    if verdict.status is SignatureStatus.ABSENT:
        yield "the file carries no signature of ST's: FUS will refuse it"
    elif verdict.defect:
        yield f"ST's signature cannot be valid: {verdict.defect}"
    elif verdict.status is SignatureStatus.UNVERIFIED:
        yield (
            "ST's signature is not verified: the file was altered, or signed under a key not known (as the FUS images "
            "for FUS 0.5.3 and 1.0.x are); the file cannot tell which"
        )


@rule("WB202", Severity.ERROR, "The signing key is of the series that the sectors tell")
def _key_of_another_series(subject: Subject) -> Iterator[str]:
    key, series = subject.assessment.signature.key, subject.image.series
    if key and series and not set(key.series) & set(series):
        yield (
            f"signed with {key.name}, a key for {_names(key.series)}, but cut in sectors of "
            f"{_names(series)}: one of the two is wrong, and a chip will refuse it"
        )


@rule("WB203", Severity.NOTE, "The signing key is for every series that the sectors tell")
def _key_of_some_series(subject: Subject) -> Iterator[str]:
    key, series = subject.assessment.signature.key, subject.image.series
    others = [one for one in series if key and one not in key.series]
    if key and others and len(others) < len(series):
        yield f"signed with {key.name}, a key that ST used for {_names(key.series)} only, not {_names(others)}"


@rule("WB204", Severity.WARNING, "The file carries no customer signature")
def _customer_signature(subject: Subject) -> Iterator[str]:
    if subject.image.customer_signature:
        yield "it carries a customer's signature, which is not checked: only a chip with that key can"


@rule("WB301", Severity.ERROR, "The image can be installed on the part")
def _placeable(subject: Subject) -> Iterator[str]:
    if subject.target is None:
        return
    key = subject.assessment.signature.key
    try:
        place(subject.image, subject.target)
    except PlacementError as error:
        yield str(error)
        return
    if key and subject.target.series not in key.series:
        yield f"signed with {key.name}, a key for {_names(key.series)}, not {subject.target.series.value}"


@rule("WB302", Severity.WARNING, "Installing the image does not reset the chip to factory state")
def _factory_reset(subject: Subject) -> Iterator[str]:
    if subject.image.kind is ImageKind.SAFEBOOT:
        yield "installing Safeboot is a factory reset: it erases the stack and the application"


def _names(series: Iterable[Series]) -> str:
    return " or ".join(one.value for one in series)
