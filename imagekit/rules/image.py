"""Rules about one image: its bytes, its signatures, and where it can be installed (WB1xx, WB2xx, WB3xx).

A function's docstring is the rule's help text: docs/rules.md and the SARIF report are made from it.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from imagekit.errors import PlacementError
from imagekit.fus_versions import lock_up, refusal
from imagekit.image import container
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import SAFEBOOT_INFO1, Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import FUS_2_GAP, place
from imagekit.rules.registry import Severity, Subject, image_rule
from imagekit.targets import FLASH_BASE, SRAM2A, SRAM2A_KIB, SRAM2B, SRAM2B_KIB, Target, series_names
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.application.model import Application

ADDRESS_STANDS = frozenset({"WB105", "WB201"})
"""Errors with which an install address is right all the same: the larger sector count is used, and for some of ST's FUS
images the key is not known."""


@image_rule("WB101", Severity.ERROR, "The footers' marker words are whole")
def markers(subject: Subject) -> Iterator[str]:
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


@image_rule("WB102", Severity.ERROR, "The image footer's magic is known")
def image_magic(subject: Subject) -> Iterator[str]:
    """The magic says what kind of image this is ([Magics](image-format.md#magics)). An unknown one is damage, or a kind
    newer than this imagekit: nothing is known of where it must go. Take a newer imagekit.
    """
    magic = subject.image.footer.magic
    if subject.image.kind is ImageKind.UNKNOWN:
        yield f"image magic 0x{magic:08X} is not known: damaged, or newer than this imagekit"
    elif subject.image.kind is ImageKind.OTHER:
        yield f"image magic 0x{magic:08X} is reserved by ST; no image that ST released has it"


@image_rule("WB103", Severity.ERROR, "The image footer's reserved fields hold the values that ST uses")
def image_reserved(subject: Subject) -> Iterator[str]:
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


@image_rule("WB104", Severity.ERROR, "The signatures are ST's, or ST's and a customer's, in footers as ST uses them")
def signature_blocks(subject: Subject) -> Iterator[str]:
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


@image_rule("WB105", Severity.ERROR, "The footer's sector count is what the file's size needs")
def sector_count(subject: Subject) -> Iterator[str]:
    """Thread_FTD of STM32CubeWB v1.6.0 and v1.7.0 says 85 sectors and needs 86: placed by its footer it would overlap
    FUS. imagekit always takes the larger number. Since the count tells the series, such a file's series is not told.
    """
    image = subject.image
    if not image.series:
        yield (
            f"the footer says {image.footer.flash_sectors} sectors, and {image.size} bytes take "
            f"{image.sectors_by_size(4096)} of 4 KiB or {image.sectors_by_size(2048)} of 2 KiB"
        )


@image_rule("WB106", Severity.ERROR, "The file is a whole number of words long")
def whole_words(subject: Subject) -> Iterator[str]:
    """Every image is. Bytes were lost or added in transfer; download the file again in binary mode."""
    if subject.image.size % 4:
        yield f"{subject.image.size} bytes are no multiple of 4: bytes were lost or added in transfer"


@image_rule("WB107", Severity.WARNING, "The body looks as if no text-mode transfer touched it")
def carriage_returns(subject: Subject) -> Iterator[str]:
    """A body of 4 KiB or more without a single byte 0x0D is a sign that line ends were converted. Download the file
    again in binary mode.
    """
    if subject.image.lacks_carriage_returns and subject.assessment.signature.status is not SignatureStatus.VALID:
        yield f"no byte 0x0D in {subject.image.size} bytes: a text-mode transfer may have converted line ends"


@image_rule("WB108", Severity.NOTE, "The footer shows a version")
def hidden_version(subject: Subject) -> Iterator[str]:
    """FUS 1.2.0 carries FF FF FF FF on purpose, so that every older FUS accepts it (AN5185, p. 26). ST's own tool shows
    it as V-1.-1.-1.
    """
    if subject.image.version is None:
        is_fus = subject.image.kind is ImageKind.FUS
        yield "the version is hidden (FF FF FF FF)" + (": FUS 1.2.0 hides its version so" if is_fus else "")


@image_rule("WB109", Severity.ERROR, "The body is encrypted")
def encrypted(subject: Subject) -> Iterator[str]:
    """A body that starts with a vector table is a program in clear. FUS takes only encrypted images."""
    if subject.image.is_unencrypted:
        yield "the body starts with a vector table: it is not encrypted, and FUS will refuse it"


@image_rule("WB110", Severity.WARNING, "The version word of ST's signature footer is one that ST uses")
def version_word_known(subject: Subject) -> Iterator[str]:
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


@image_rule("WB201", Severity.ERROR, "ST's signature is valid under a key that is known")
def st_signature(subject: Subject) -> Iterator[str]:
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


@image_rule("WB202", Severity.ERROR, "The signing key is of the series that the sectors tell")
def key_of_another_series(subject: Subject) -> Iterator[str]:
    """The file was signed for one series and cut for another. No file of ST's is so; do not install it."""
    key, series = subject.assessment.signature.key, subject.image.series
    if key and series and not set(key.series) & set(series):
        yield (
            f"signed with {key.name}, a key for {series_names(key.series)}, but cut in sectors of "
            f"{series_names(series)}: one of the two is wrong, and a chip will refuse it"
        )


@image_rule("WB203", Severity.NOTE, "The signing key is for every series that the sectors tell")
def key_of_some_series(subject: Subject) -> Iterator[str]:
    """WB3x and WB5x have sectors of one size. The key `st-wb3x-early` has signed WB3x stacks only (v1.5.0 - v1.7.0)."""
    key, series = subject.assessment.signature.key, subject.image.series
    others = [one for one in series if key and one not in key.series]
    if key and others and len(others) < len(series):
        yield (
            f"signed with {key.name}, a key that ST used for {series_names(key.series)} only, "
            f"not {series_names(others)}"
        )


@image_rule("WB204", Severity.ERROR, "No customer signature is there that nobody asked for")
def customer_signature(subject: Subject) -> Iterator[str]:
    """A second signature stands behind ST's, as an OEM adds it. It cannot be checked here, only by a chip with that
    OEM's key, and no file that ST released has one: anybody may have appended it. If your chips hold a customer's key,
    say so with `--needs-customer-signature`.
    """
    if subject.image.customer_signature and not subject.chip.needs_customer_signature:
        yield "it carries a customer's signature, which is not checked: only a chip with that key can"


@image_rule("WB205", Severity.ERROR, "The file carries the customer signature that the chips need")
def customer_signature_needed(subject: Subject) -> Iterator[str]:
    """Only with `--needs-customer-signature`: a chip with a customer's key in FUS refuses every image without that
    customer's signature (AUTH_TAG_CUST_NOTFOUND). No file that ST released has one: your own signing step is missing.
    """
    if subject.chip.needs_customer_signature and not subject.image.customer_signature:
        yield "no customer signature: a chip with a customer's key will refuse it (AUTH_TAG_CUST_NOTFOUND)"


@image_rule("WB206", Severity.ERROR, "ST's signature is there, and it is a signature")
def st_signature_form(subject: Subject) -> Iterator[str]:
    """The file has no signature of ST's, or its 64 bytes cannot be an ECDSA signature: r or s is zero or too large. FUS
    refuses it.
    """
    verdict = subject.assessment.signature
    if verdict.status is SignatureStatus.ABSENT:
        yield "the file carries no signature of ST's: FUS will refuse it"
    elif verdict.defect:
        yield f"ST's signature cannot be valid: {verdict.defect}"


@image_rule("WB301", Severity.ERROR, "The image can be installed on the part")
def placeable(subject: Subject) -> Iterator[str]:
    """Only with `--part`: the image is for another series, signed for another series, does not fit, or is of a format
    whose room is not known.
    """
    if subject.chip.target is None:
        return
    try:
        subject.assessment.address_on(subject.chip.target)
    except PlacementError as error:
        yield str(error)


@image_rule("WB302", Severity.WARNING, "Installing the image does not reset the chip to factory state")
def factory_reset(subject: Subject) -> Iterator[str]:
    """Installing Safeboot erases the wireless stack and the application (release notes of STM32CubeWB, "Safeboot"). It
    is never a routine update.
    """
    if subject.image.kind is ImageKind.SAFEBOOT:
        yield "installing Safeboot is a factory reset: it erases the stack and the application"


@image_rule("WB303", Severity.ERROR, "The FUS on the chip installs the image")
def fus_installs(subject: Subject) -> Iterator[str]:
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


@image_rule("WB304", Severity.ERROR, "An Intel HEX file puts the image where it belongs")
def hex_address(subject: Subject) -> Iterator[str]:
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


@image_rule("WB305", Severity.ERROR, "The application ends below the image")
def application_below(subject: Subject) -> Iterator[str]:
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


@image_rule("WB306", Severity.ERROR, "The application leaves the stack the RAM that is the stack's")
def application_ram(subject: Subject) -> Iterator[str]:
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


IMAGE_RULES = (
    markers,
    image_magic,
    image_reserved,
    signature_blocks,
    sector_count,
    whole_words,
    carriage_returns,
    hidden_version,
    encrypted,
    version_word_known,
    st_signature,
    key_of_another_series,
    key_of_some_series,
    customer_signature,
    customer_signature_needed,
    st_signature_form,
    placeable,
    factory_reset,
    fus_installs,
    hex_address,
    application_below,
    application_ram,
)
"""In the order in which findings are reported."""
