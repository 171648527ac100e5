"""The rules: one function each, that looks at a subject and yields evidence. No evidence, no finding.

A rule's id never changes meaning. Families: WB0xx what is no image at all, WB1xx the file's own bytes, WB2xx
signatures, WB3xx where and whether it can be installed, WB4xx names and known contents, WB5xx release notes. A
function's docstring is the rule's help text: docs/rules.md and the SARIF report are made from it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING

from imagekit import container
from imagekit.assessment import Assessment
from imagekit.catalogue import StName
from imagekit.container import FUS_2_STACK_MAGIC
from imagekit.errors import ParseError, PlacementError, counted
from imagekit.image import FUS_1_2, SAFEBOOT_INFO1, Image, ImageKind, Version
from imagekit.placement import FUS_2_GAP, place
from imagekit.signature import SignatureStatus
from imagekit.targets import FLASH_BASE, SRAM2A, SRAM2A_KIB, SRAM2B, SRAM2B_KIB, Target, series_names
from imagekit.upgrade import lock_up, refusal

if TYPE_CHECKING:
    from imagekit.application import Application


class Severity(Enum):
    """How much a finding weighs; only an error makes `check` refuse."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """Its place in a list: the gravest come first."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check."""

    id: str
    severity: Severity
    title: str
    """What holds when there is nothing to find."""
    help: str
    """What a finding means, and what to do: Markdown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule saw."""

    rule: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What the user says of the chips that the images are for; None where nothing is said."""

    target: Target | None = None
    fus: Version | None = None
    needs_customer_signature: bool = False
    application: "Application | None" = None
    """What CPU1 runs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules look at: an assessed image, its name, the chip it is for."""

    assessment: Assessment
    chip: Chip
    name: str = ""
    """The file's name without folders; empty for standard input."""
    hex_address: int | None = None
    """Where an Intel HEX file puts the image; None for a binary."""

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def st_name(self) -> StName | None:
        """The name, where it is one that ST would give."""
        return StName.parse(self.name)


ADDRESS_STANDS = frozenset({"WB105", "WB201"})
"""Errors with which an install address is right all the same: the larger sector count is used, and for some of ST's FUS
images the key is not known."""

RULES: dict[str, Rule] = {}
"""Every rule by its id. The rules about release notes are in audit.py."""

_Evidence = Callable[[Subject], Iterator[str]]
_image_rules: list[tuple[Rule, _Evidence]] = []


def enter(id_: str, severity: Severity, title: str, help_: str) -> Rule:
    """Enter a rule into the table."""
    RULES[id_] = Rule(id_, severity, title, " ".join(help_.split()))
    return RULES[id_]


def rule(id_: str, severity: Severity, title: str) -> Callable[[_Evidence], _Evidence]:
    """Make a function the rule of that id about a single image; its docstring is the help text."""

    def register(evidence: _Evidence) -> _Evidence:
        _image_rules.append((enter(id_, severity, title, evidence.__doc__ or ""), evidence))
        return evidence

    return register


def findings(
    assessment: Assessment, chip: Chip | None = None, *, path: str = "", hex_address: int | None = None
) -> tuple[Finding, ...]:
    """Apply every rule to one image. Rules about a chip, or a name, stay silent without one."""
    subject = Subject(assessment, chip or Chip(), PurePath(path).name, hex_address)
    return tuple(
        Finding(rule.id, rule.severity, message) for rule, evidence in _image_rules for message in evidence(subject)
    )


def not_an_image(error: ParseError) -> Finding:
    """Return the finding of a file that is no image."""
    rule = _NOT_AN_IMAGE[error.reason]
    return Finding(rule.id, rule.severity, str(error))


_NOT_AN_IMAGE = {
    reason: enter(f"WB0{number:02}", Severity.ERROR, title, help_)
    for number, (reason, title, help_) in enumerate(
        (
            (
                "unreadable",
                "The file can be read",
                "The system would not give its bytes, or an Intel HEX file is damaged or holds more than one image.",
            ),
            (
                "empty",
                "The file is not empty",
                "ST's own `FUS_fw_1_0_2.bin` of v1.11.1 has 0 bytes. Take the file from another release.",
            ),
            ("too-short", "The file is long enough for an image", "Often a server's error message. Download it again."),
            (
                "too-large",
                "The file is no larger than a flash",
                "No STM32WB has more than 1 MiB: a whole flash image, or another kind of file.",
            ),
            (
                "web-page",
                "The file is not a web page",
                "The page that shows a file was saved in place of the file. Download the raw file.",
            ),
            (
                "lfs-pointer",
                "The file is not a Git LFS pointer",
                "The repository was cloned without its large files. Run `git lfs pull`.",
            ),
            (
                "text-mangled",
                "No text-mode transfer changed the file",
                "Line ends were converted, or bytes that are no text replaced, on the way. Transfer it in binary mode.",
            ),
            (
                "unencrypted",
                "The file is not an unencrypted program",
                "An application, or ST's defective `stm32wb5x_FUS_fw.bin` of v1.5.0 (v1.6.0 has a good one). FUS takes "
                "encrypted images only.",
            ),
            (
                "no-signature-footer",
                "The file ends with a signature footer",
                "It is truncated, padded, or another kind of file. The message says which, where the bytes tell.",
            ),
            (
                "no-image-footer",
                "An image footer precedes the signature",
                "The file is damaged just before its end. Download it again.",
            ),
        ),
        start=1,
    )
}
"""Reason of ParseError -> its rule."""


@rule("WB101", Severity.ERROR, "The footers' marker words are whole")
def _markers(subject: Subject) -> Iterator[str]:
    """The image footer's second word is 0xABCDABCD and the signature footer starts with 0x12341234 0xABCDABCD in every
    image ST released. Anything else is damage. Download the file again.
    """
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
    """The magic says what kind of image this is ([Magics](image-format.md#magics)). An unknown one is damage, or a kind
    newer than this imagekit: nothing is known of where it must go. Take a newer imagekit.
    """
    magic = subject.image.footer.magic
    if subject.image.kind is ImageKind.UNKNOWN:
        yield f"image magic 0x{magic:08X} is not known: damaged, or newer than this imagekit"
    elif subject.image.kind is ImageKind.OTHER:
        yield f"image magic 0x{magic:08X} is reserved by ST; no image that ST released has it"


@rule("WB103", Severity.ERROR, "The image footer's reserved fields hold the values that ST uses")
def _image_reserved(subject: Subject) -> Iterator[str]:
    """`info1` and byte 9 tell formats apart; their meaning is not documented. With other values the room that the image
    needs is not known, and no address is given.
    """
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


@rule("WB104", Severity.ERROR, "The signatures are ST's, or ST's and a customer's, in footers as ST uses them")
def _signature_blocks(subject: Subject) -> Iterator[str]:
    """No signature covers a signature footer, nor a second signature behind it, so only their values show that they are
    whole and that nothing was appended. Download the file again.
    """
    blocks = subject.image.signatures
    for block in blocks:
        footer = block.footer
        for name, value, known in (
            ("signature size", footer.signature_size, container.ST_SIGNATURE_SIZE),
            ("source", footer.source, 0x57),
            ("reserved field", footer.reserved, 0xFFFF),
        ):
            if value != known:
                yield f"{name} of the signature footer is 0x{value:X}, not 0x{known:X}; no signature covers it"
    magics = [block.footer.magic for block in blocks]
    if magics not in _SIGNERS:
        yield (
            f"the signature footers' magics are {' and '.join(f'0x{magic:08X}' for magic in magics)}: neither ST's "
            "alone, nor ST's and then a customer's"
        )


_SIGNERS = (
    [container.ST_SIGNATURE_MAGIC],
    [container.CUSTOMER_SIGNATURE_MAGIC],  # ST's is missing then: WB206 says so
    [container.ST_SIGNATURE_MAGIC, container.CUSTOMER_SIGNATURE_MAGIC],
)


@rule("WB105", Severity.ERROR, "The footer's sector count is what the file's size needs")
def _sector_count(subject: Subject) -> Iterator[str]:
    """Thread_FTD of STM32CubeWB v1.6.0 and v1.7.0 says 85 sectors and needs 86: placed by its footer it would overlap
    FUS. imagekit always takes the larger number. Since the count tells the series, such a file's series is not told.
    """
    image = subject.image
    if not image.series:
        yield (
            f"the footer says {image.footer.flash_sectors} sectors, and {image.size} bytes take "
            f"{image.sectors_by_size(4096)} of 4 KiB or {image.sectors_by_size(2048)} of 2 KiB"
        )


@rule("WB106", Severity.ERROR, "The file is a whole number of words long")
def _whole_words(subject: Subject) -> Iterator[str]:
    """Every image is. Bytes were lost or added in transfer; download the file again in binary mode."""
    if subject.image.size % 4:
        yield f"{subject.image.size} bytes are no multiple of 4: bytes were lost or added in transfer"


@rule("WB107", Severity.WARNING, "The body looks as if no text-mode transfer touched it")
def _carriage_returns(subject: Subject) -> Iterator[str]:
    """A body of 4 KiB or more without a single byte 0x0D is a sign that line ends were converted. Download the file
    again in binary mode.
    """
    if subject.image.lacks_carriage_returns and subject.assessment.signature.status is not SignatureStatus.VALID:
        yield f"no byte 0x0D in {subject.image.size} bytes: a text-mode transfer may have converted line ends"


@rule("WB108", Severity.NOTE, "The footer shows a version")
def _hidden_version(subject: Subject) -> Iterator[str]:
    """FUS 1.2.0 carries FF FF FF FF on purpose, so that every older FUS accepts it (AN5185, p. 26). ST's own tool shows
    it as V-1.-1.-1.
    """
    if subject.image.version is None:
        is_fus = subject.image.kind is ImageKind.FUS
        yield "the version is hidden (FF FF FF FF)" + (": FUS 1.2.0 hides its version so" if is_fus else "")


@rule("WB109", Severity.ERROR, "The body is encrypted")
def _encrypted(subject: Subject) -> Iterator[str]:
    """A body that starts with a vector table is a program in clear. FUS takes only encrypted images."""
    if subject.image.is_unencrypted:
        yield "the body starts with a vector table: it is not encrypted, and FUS will refuse it"


@rule("WB110", Severity.WARNING, "The version word of ST's signature footer is one that ST uses")
def _version_word_known(subject: Subject) -> Iterator[str]:
    """All images of ten releases have one of three words there, by kind. Its meaning is unknown and no signature
    covers it: another word is damage, or a newer release.
    """
    block, known = subject.image.st_signature, _version_word(subject.image)
    if block and block.footer.version_word != known:
        yield f"version word of the signature footer is 0x{block.footer.version_word:X}, not 0x{known:X}"


def _version_word(image: Image) -> int:
    """The version-like word of ST's signature footer: what all images of that kind have."""
    if image.kind is ImageKind.FUS:
        return 0x1000_00FF if image.version == Version(1, 0, 2) else 0x2000_00FF
    is_safeboot_2_0_1 = image.kind is ImageKind.SAFEBOOT and image.footer.info1 != SAFEBOOT_INFO1
    return 0x2000_00FF if is_safeboot_2_0_1 else 0x2211_0045


@rule("WB201", Severity.ERROR, "ST's signature is valid under a key that is known")
def _st_signature(subject: Subject) -> Iterator[str]:
    """No known key matches. There are two causes that the file alone cannot tell apart: it was altered, or ST signed it
    under a key that nobody outside knows. The second is so for the FUS images that FUS 0.5.3 and 1.0.x install. For
    any other image, download it again from ST; if it still does not verify, do not ship it.
    """
    verdict, known = subject.assessment.signature, subject.assessment.known
    if verdict.status is not SignatureStatus.UNVERIFIED or verdict.defect:
        return
    if known:
        release = known.published[0].release
        yield f"ST's signature is not verified: no known key matches, though ST published these very bytes in {release}"
    else:
        yield (
            "ST's signature is not verified: the file was altered, or signed under a key not known (as the FUS images "
            "for FUS 0.5.3 and 1.0.x are); the file cannot tell which"
        )


@rule("WB202", Severity.ERROR, "The signing key is of the series that the sectors tell")
def _key_of_another_series(subject: Subject) -> Iterator[str]:
    """The file was signed for one series and cut for another. No file of ST's is so; do not install it."""
    key, series = subject.assessment.signature.key, subject.image.series
    if key and series and not set(key.series) & set(series):
        yield (
            f"signed with {key.name}, a key for {series_names(key.series)}, but cut in sectors of "
            f"{series_names(series)}: one of the two is wrong, and a chip will refuse it"
        )


@rule("WB203", Severity.NOTE, "The signing key is for every series that the sectors tell")
def _key_of_some_series(subject: Subject) -> Iterator[str]:
    """WB3x and WB5x have sectors of one size. The key `st-wb3x-early` has signed WB3x stacks only (v1.5.0 - v1.7.0)."""
    key, series = subject.assessment.signature.key, subject.image.series
    others = [one for one in series if key and one not in key.series]
    if key and others and len(others) < len(series):
        yield (
            f"signed with {key.name}, a key that ST used for {series_names(key.series)} only, "
            f"not {series_names(others)}"
        )


@rule("WB204", Severity.ERROR, "No customer signature is there that nobody asked for")
def _customer_signature(subject: Subject) -> Iterator[str]:
    """A second signature stands behind ST's, as an OEM adds it. It cannot be checked here, only by a chip with that
    OEM's key, and no file that ST released has one: anybody may have appended it. If your chips hold a customer's key,
    say so with `--needs-customer-signature`.
    """
    if subject.image.customer_signature and not subject.chip.needs_customer_signature:
        yield "it carries a customer's signature, which is not checked: only a chip with that key can"


@rule("WB205", Severity.ERROR, "The file carries the customer signature that the chips need")
def _customer_signature_needed(subject: Subject) -> Iterator[str]:
    """Only with `--needs-customer-signature`: a chip with a customer's key in FUS refuses every image without that
    customer's signature (AUTH_TAG_CUST_NOTFOUND). No file that ST released has one: your own signing step is missing.
    """
    if subject.chip.needs_customer_signature and not subject.image.customer_signature:
        yield "no customer signature: a chip with a customer's key will refuse it (AUTH_TAG_CUST_NOTFOUND)"


@rule("WB206", Severity.ERROR, "ST's signature is there, and it is a signature")
def _st_signature_form(subject: Subject) -> Iterator[str]:
    """The file has no signature of ST's, or its 64 bytes cannot be an ECDSA signature: r or s is zero or too large. FUS
    refuses it.
    """
    verdict = subject.assessment.signature
    if verdict.status is SignatureStatus.ABSENT:
        yield "the file carries no signature of ST's: FUS will refuse it"
    elif verdict.defect:
        yield f"ST's signature cannot be valid: {verdict.defect}"


@rule("WB301", Severity.ERROR, "The image can be installed on the part")
def _placeable(subject: Subject) -> Iterator[str]:
    """Only with `--part`: the image is for another series, signed for another series, does not fit, or is of a format
    whose room is not known.
    """
    if subject.chip.target is None:
        return
    try:
        subject.assessment.address_on(subject.chip.target)
    except PlacementError as error:
        yield str(error)


@rule("WB302", Severity.WARNING, "Installing the image does not reset the chip to factory state")
def _factory_reset(subject: Subject) -> Iterator[str]:
    """Installing Safeboot erases the wireless stack and the application (release notes of STM32CubeWB, "Safeboot"). It
    is never a routine update.
    """
    if subject.image.kind is ImageKind.SAFEBOOT:
        yield "installing Safeboot is a factory reset: it erases the stack and the application"


@rule("WB303", Severity.ERROR, "The FUS on the chip installs the image")
def _fus_installs(subject: Subject) -> Iterator[str]:
    """Only with `--fus`: the image needs a newer FUS, or it is a FUS image that this FUS may not install. FUS is never
    downgraded, refuses its own version, and goes 0.5.3 → 1.2.0 → 2.x. The last stacks for FUS 1.x are those with
    magic 0x23372991.
    """
    fus, target = subject.chip.fus, subject.chip.target
    if fus is None:
        return
    why = refusal(subject.image, fus, subject.assessment.fus_variants)
    if not why and target is not None:
        why = lock_up(subject.image, target, fus)
    if why:
        yield why


@rule("WB304", Severity.ERROR, "An Intel HEX file puts the image where it belongs")
def _hex_address(subject: Subject) -> Iterator[str]:
    """The address in the HEX file is not in flash, not a multiple of the sector size, or higher than the install
    address of the part (without `--part`: of every part). FUS would refuse the image, or it would overlap FUS.
    """
    start, chip, assessment = subject.hex_address, subject.chip, subject.assessment
    if start is None:
        return
    highest = []
    for target in assessment.install_addresses if chip.target is None else (chip.target,):
        with suppress(PlacementError):
            placement = place(subject.image, target, fus=chip.fus, variants=assessment.fus_variants)
            highest.append(placement.address + placement.spare_sectors * target.sector_size)
    if not highest:
        return
    if start <= FLASH_BASE:
        yield f"the file puts the image at 0x{start:08X}: CPU1's vector table lies there, or no flash at all"
    elif start % (assessment.sector_size or 1):
        yield f"the file puts the image at 0x{start:08X}, which is no start of a sector"
    elif start > max(highest):
        on = chip.target.name if chip.target else "any target"
        yield f"the file puts the image at 0x{start:08X}; it may start at 0x{max(highest):08X} at the most on {on}"


@rule("WB305", Severity.ERROR, "The application ends below the image")
def _application_below(subject: Subject) -> Iterator[str]:
    """Only with `--app`: the application reaches to or above the address at which the image starts, so that one of the
    two overwrites the other; once the image is installed, CPU1 faults where it reads there. Make the application
    smaller (its linker script says how large it may be), or take a smaller stack.
    """
    application, target = subject.chip.application, subject.chip.target
    if application is not None and target is not None and (start := _image_start(subject, target)) is not None:
        yield from reaching(application, start, target, "the image")


def reaching(application: "Application", start: int, target: Target, what: str) -> Iterator[str]:
    """Say what of an application lies at or above the address at which `what` starts; nothing when all lies below."""
    above = application.above(start)
    if not above:
        return
    first, more = above[0], len(above) - 1
    text = f"{what} starts at 0x{start:08X}, and the application's 0x{first.start:08X}-0x{first.end - 1:08X} "
    text += "reaches into it" if first.start < start else "lies above that"
    if more:
        text += f", with {counted(more, 'block')} more above"
    elif first.start < start:
        excess = first.end - start
        sectors = counted(-(-excess // target.sector_size), "sector")
        text += f": {-(-excess // 1024)} KiB ({sectors}) too large"
    yield text


def _image_start(subject: Subject, target: Target) -> int | None:
    """Where the image starts on the part: where a HEX file puts it, or the install address; None: nowhere."""
    said = subject.hex_address
    try:
        address = place(subject.image, target, fus=subject.chip.fus, variants=subject.assessment.fus_variants).address
    except PlacementError:
        return None  # WB301 or WB303 says why
    return said if said is not None and said > FLASH_BASE else address  # WB304 says why it cannot be at FLASH_BASE


@rule("WB306", Severity.ERROR, "The application leaves the stack the RAM that is the stack's")
def _application_ram(subject: Subject) -> Iterator[str]:
    """Only with `--app` and an ELF file, which tells the RAM: the footer says how much of SRAM2a and SRAM2b stays with
    CPU1 under this stack. What lies above is secure: CPU1 faults where it touches it. Other RAM is not judged.
    """
    application = subject.chip.application
    if application is None or subject.image.kind is not ImageKind.STACK:
        return
    for name, start, end, kept in shared_ram(subject.image, subject.chip.target):
        above = [one for one in application.ram if one.meets(kept, end)]
        if above:
            used = min(max(one.end for one in above), end)
            yield (
                f"the application uses {name} up to 0x{used - 1:08X}, and the stack leaves CPU1 "
                f"{(kept - start) // 1024} KiB of it" + (f", up to 0x{kept - 1:08X}" if kept > start else "")
            )


def shared_ram(image: Image, target: Target | None) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, start, end of SRAM2a and SRAM2b, and where CPU1's part of each ends under an image.

    The footer counts the KiB that stay with CPU1, from the start of each (measured: equal to SBRSA and SNBRSA of the
    option bytes once the stack is installed). Without a target, SRAM2b is as large as it can be.
    """
    kib_2b = SRAM2B_KIB[target.series] if target else max(SRAM2B_KIB.values())
    footer = image.footer
    for name, start, kib, kept in (
        ("SRAM2a", SRAM2A, SRAM2A_KIB, footer.sram2a_kib),
        ("SRAM2b", SRAM2B, kib_2b, footer.sram2b_kib),
    ):
        yield name, start, start + kib * 1024, start + min(kept, kib) * 1024


@rule("WB401", Severity.ERROR, "The file's name says the series that the image is for")
def _name_series(subject: Subject) -> Iterator[str]:
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


@rule("WB402", Severity.ERROR, "The file's name says the kind of image that it is")
def _name_kind(subject: Subject) -> Iterator[str]:
    """A name as ST forms it that says FUS, Safeboot or a stack, where the content is another. Trust the content."""
    name, kind = subject.st_name, subject.image.kind
    if name is None or kind in (ImageKind.UNKNOWN, ImageKind.OTHER):
        return
    first = name.variant.partition("_")[0].lower()
    expected = {"fus": ImageKind.FUS, "safeboot": ImageKind.SAFEBOOT}.get(first, ImageKind.STACK)
    if kind is not expected:
        yield f"its name says {expected.value}, and it is {kind.value}"


@rule("WB403", Severity.WARNING, "The file's name says the version that the image has")
def _name_version(subject: Subject) -> Iterator[str]:
    """A name as ST forms it with a version at its end that is not the one in the footer. ST's `Safeboot_fw_v1.2.0` of
    v1.23.0 holds Safeboot 2.0.0.
    """
    name = subject.st_name
    said = name.version if name else None
    version = FUS_1_2 if subject.image.is_hidden_fus else subject.image.version
    if said and version and said.text != version.text:
        yield f"its name says {said.text}, its footer {version.text}"


@rule("WB404", Severity.ERROR, "A known content has a name that ST gave it")
def _known_name(subject: Subject) -> Iterator[str]:
    """ST published exactly these bytes, and another content under this name: the file was renamed, or two were swapped.
    A name that ST has given to nothing known is no finding: a newer release may have it.
    """
    name, assessment = subject.st_name, subject.assessment
    if name is None or not assessment.variants:
        return
    said = name.variant.casefold()
    if said in assessment.known_variants and said not in map(str.casefold, assessment.variants):
        yield f"its name says {name.variant}; ST published it as {' and '.join(assessment.variants)}"


@rule("WB405", Severity.WARNING, "Nothing bad is known of the content")
def _known_bad(subject: Subject) -> Iterator[str]:
    """A content of ST's with a defect of its own, told with its source. Take the file from another release."""
    known = subject.assessment.known
    if known and known.known_bad:
        yield known.known_bad


SAME_CONTENT = enter(
    "WB406",
    Severity.WARNING,
    "No two files of a folder have the same content",
    """Two names of one folder stand for the same bytes. ST did so where two variants are one build; elsewhere one of
    the two was overwritten by the other.""",
)
SAME_NAME = enter(
    "WB407",
    Severity.ERROR,
    "No two files of a folder have one name",
    """Two files of a folder differ in upper and lower case or in their ending alone (`.bin`, `.hex`), and hold
    different images: which one is flashed depends on the tool.""",
)
