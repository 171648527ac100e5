"""Rules about the bytes of an image: footers, size and body (WB1xx).

A function's docstring is the rule's help text: docs/rules.md and the SARIF report are made from it.
"""

from collections.abc import Iterator

from imagekit.image import container
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import SAFEBOOT_INFO1, Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import FUS_2_GAP
from imagekit.rules.registry import Severity, Subject, image_rule

_SOURCE = 0x57
"""`source` of every signature footer that ST released (docs/image-format.md, "Signature footer")."""
_RESERVED = 0xFFFF


@image_rule("WB101", Severity.ERROR, "A marker word of a footer is damaged")
def damaged_marker(subject: Subject) -> Iterator[str]:
    """The image footer's second word is 0xABCDABCD and the signature footer starts with 0x12341234 0xABCDABCD in every
    image that ST released. Any other value is damage. Download the file again.
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


@image_rule("WB102", Severity.ERROR, "The magic of the image footer is not known")
def unknown_magic(subject: Subject) -> Iterator[str]:
    """The magic says what kind of image this is (docs/image-format.md, "Magics"). An unknown one is damage, or a kind
    that is newer than this imagekit; its install address is not known. Use a newer imagekit.
    """
    magic = subject.image.footer.magic
    if subject.image.kind is ImageKind.UNKNOWN:
        yield f"image magic 0x{magic:08X} is not known: damaged, or newer than this imagekit"
    elif subject.image.kind is ImageKind.OTHER:
        yield f"image magic 0x{magic:08X} is reserved by ST; ST released no image with it"


@image_rule("WB103", Severity.ERROR, "A reserved field of the image footer has an unknown value")
def unknown_reserved_field(subject: Subject) -> Iterator[str]:
    """`info1` and byte 9 tell formats apart; ST does not document their meaning. With other values the space that the
    image needs is not known, so imagekit gives no address.
    """
    image, footer = subject.image, subject.image.footer
    if image.kind in (ImageKind.UNKNOWN, ImageKind.OTHER):
        return
    gap, sector_size = image.gap_sectors, subject.assessment.sector_size
    if gap is None:
        yield f"info1 is 0x{footer.info1:08X}: the space that this format needs above the image is not known"
    elif gap and sector_size and gap * sector_size != FUS_2_GAP:
        yield f"info1 is 0x{footer.info1:08X}: {gap} sectors of {sector_size // 1024} KiB are not the 16 KiB of FUS 2"
    byte9 = _byte9(footer.magic)
    if footer.byte9 != byte9:
        yield f"byte 9 of the image footer is 0x{footer.byte9:02X}, not 0x{byte9:02X}"


def _byte9(magic: int) -> int:
    """Byte 9 of the image footer: what all images with this magic have."""
    if magic == FUS_2_STACK_MAGIC:
        return 2
    return 0xFF


@image_rule("WB104", Severity.ERROR, "A signature footer differs from those that ST uses")
def unknown_signature_footer(subject: Subject) -> Iterator[str]:
    """No signature covers a signature footer, nor a second signature behind it. Only their values show that they are
    complete and that nothing was appended. Download the file again.
    """
    blocks = subject.image.signatures
    for block in blocks:
        footer = block.footer
        for name, value, known in (
            ("signature size", footer.signature_size, container.ST_SIGNATURE_SIZE),
            ("source", footer.source, _SOURCE),
            ("reserved field", footer.reserved, _RESERVED),
        ):
            if value != known:
                yield f"{name} of the signature footer is 0x{value:X}, not 0x{known:X}; no signature covers it"
    magics = [block.footer.magic for block in blocks]
    if magics not in _SIGNERS:
        names = " and ".join(f"0x{magic:08X}" for magic in magics)
        yield (
            f"the magics of the signature footers are {names}: expected ST's alone, or ST's followed by a customer's"
        )


_SIGNERS = (
    [container.ST_SIGNATURE_MAGIC],
    [container.CUSTOMER_SIGNATURE_MAGIC],  # ST's is missing: WB206 reports it
    [container.ST_SIGNATURE_MAGIC, container.CUSTOMER_SIGNATURE_MAGIC],
)


@image_rule("WB105", Severity.ERROR, "The sector count of the footer does not match the file size")
def wrong_sector_count(subject: Subject) -> Iterator[str]:
    """Thread_FTD of STM32CubeWB v1.6.0 and v1.7.0 says 85 sectors and needs 86: placed by its footer it would overlap
    FUS. imagekit always uses the larger number. The count also tells the series, so the series of such a file is
    unknown.
    """
    image = subject.image
    if not image.series:
        yield (
            f"the footer says {image.footer.flash_sectors} sectors, but {image.size} bytes need "
            f"{image.sectors_by_size(4096)} of 4 KiB or {image.sectors_by_size(2048)} of 2 KiB"
        )


@image_rule("WB106", Severity.ERROR, "The file size is not a multiple of 4")
def incomplete_word(subject: Subject) -> Iterator[str]:
    """The size of every image is. Bytes were lost or added in transfer; download the file again in binary mode."""
    if subject.image.size % 4:
        yield f"{subject.image.size} bytes is not a multiple of 4: bytes were lost or added in transfer"


@image_rule("WB107", Severity.WARNING, "A text-mode transfer may have changed the body")
def no_carriage_returns(subject: Subject) -> Iterator[str]:
    """A body of 4 KiB or more without a single byte 0x0D is a sign that line ends were converted. Download the file
    again in binary mode.
    """
    if subject.image.lacks_carriage_returns and subject.assessment.signature.status is not SignatureStatus.VALID:
        yield f"no byte 0x0D in {subject.image.size} bytes: a text-mode transfer may have converted line ends"


@image_rule("WB108", Severity.NOTE, "The footer stores no version")
def hidden_version(subject: Subject) -> Iterator[str]:
    """FUS 1.2.0 stores FF FF FF FF on purpose, so that every older FUS accepts it (AN5185, p. 26). ST's own tool shows
    it as V-1.-1.-1.
    """
    if subject.image.version is not None:
        return
    if subject.image.kind is ImageKind.FUS:
        yield "the file stores no version (FF FF FF FF), which is normal for FUS 1.2.0"
    else:
        yield "the file stores no version (FF FF FF FF)"


@image_rule("WB109", Severity.ERROR, "The body is not encrypted")
def unencrypted_body(subject: Subject) -> Iterator[str]:
    """A body that starts with a vector table is an unencrypted program. FUS accepts only encrypted images."""
    if subject.image.is_unencrypted:
        yield "the body starts with a vector table: it is not encrypted, and FUS will refuse it"


@image_rule("WB110", Severity.WARNING, "The version word of ST's signature footer is not a known one")
def unknown_version_word(subject: Subject) -> Iterator[str]:
    """All images of ten releases have one of three words there, by kind. Its meaning is unknown and no signature
    covers it: another word is damage, or a newer release.
    """
    block, known = subject.image.st_signature, _version_word(subject.image)
    if block and block.footer.version_word != known:
        yield f"version word of the signature footer is 0x{block.footer.version_word:X}, not 0x{known:X}"


def _version_word(image: Image) -> int:
    """The version-like word of ST's signature footer: what all images of that kind have."""
    is_safeboot_2_0_1 = image.kind is ImageKind.SAFEBOOT and image.footer.info1 != SAFEBOOT_INFO1
    if image.kind is ImageKind.FUS and image.version == Version(1, 0, 2):
        return 0x1000_00FF
    if image.kind is ImageKind.FUS or is_safeboot_2_0_1:
        return 0x2000_00FF
    return 0x2211_0045


IMAGE_BYTES_RULES = (
    damaged_marker,
    unknown_magic,
    unknown_reserved_field,
    unknown_signature_footer,
    wrong_sector_count,
    incomplete_word,
    no_carriage_returns,
    hidden_version,
    unencrypted_body,
    unknown_version_word,
)
"""In the order in which findings are reported."""
