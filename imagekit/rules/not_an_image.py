"""Rules about files that are not an image at all (WB0xx)."""

from imagekit.errors import ParseError
from imagekit.rules.registry import Finding, Severity, declare, finding_of

_BY_REASON = {
    reason: declare(f"WB0{number:02}", Severity.ERROR, title, help_)
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


def not_an_image(error: ParseError) -> Finding:
    """Return the finding of a file that is not an image."""
    return finding_of(_BY_REASON[error.reason], str(error))


NOT_AN_IMAGE_RULES = tuple(_BY_REASON.values())
