"""Rules about files that are not an image at all (WB0xx)."""

from imagekit.errors import ParseError
from imagekit.rules.registry import Finding, Rule, Severity, declare, finding_of


def _error(id_: str, name: str, title: str, help_: str) -> Rule:
    return declare(id_, name, Severity.ERROR, title, help_)


_BY_REASON = {
    "unreadable": _error(
        "WB001",
        "UnreadableFile",
        "The file cannot be read",
        "The operating system returned an error, or an Intel HEX file is damaged or holds more than one image.",
    ),
    "empty": _error(
        "WB002",
        "EmptyFile",
        "The file is empty",
        "ST's own `FUS_fw_1_0_2.bin` of v1.11.1 has 0 bytes. Use the file of another release.",
    ),
    "too-short": _error(
        "WB003",
        "TooShortFile",
        "The file is too short for an image",
        "It is often the error message of a server. Download the file again.",
    ),
    "too-large": _error(
        "WB004",
        "TooLargeFile",
        "The file is larger than the flash of any STM32WB",
        "No STM32WB has more than 1 MiB: this is a dump of a whole flash, or another kind of file.",
    ),
    "web-page": _error(
        "WB005",
        "WebPage",
        "The file is a web page",
        "The page that shows a file was saved instead of the file. Download the raw file.",
    ),
    "lfs-pointer": _error(
        "WB006",
        "LfsPointer",
        "The file is a Git LFS pointer",
        "The repository was cloned without its large files. Run `git lfs pull`.",
    ),
    "text-mangled": _error(
        "WB007",
        "TextModeTransfer",
        "A text-mode transfer damaged the file",
        "Line ends were converted, or bytes that are not text were replaced. Transfer the file in binary mode.",
    ),
    "unencrypted": _error(
        "WB008",
        "UnencryptedProgram",
        "The file is an unencrypted program",
        """An application, or ST's defective `stm32wb5x_FUS_fw.bin` of v1.5.0 (v1.6.0 has a good one). FUS accepts only
        encrypted images.""",
    ),
    "no-signature-footer": _error(
        "WB009",
        "NoSignatureFooter",
        "The file does not end with a signature footer",
        "It is truncated, padded, or another kind of file. The message says which, if the bytes tell.",
    ),
    "no-image-footer": _error(
        "WB010",
        "NoImageFooter",
        "No image footer precedes the signature",
        "The file is damaged just before its end. Download it again.",
    ),
}
"""Reason of ParseError -> its rule."""
UNENCRYPTED = _BY_REASON["unencrypted"]


def not_an_image(error: ParseError) -> Finding:
    """Return the finding of a file that is not an image."""
    return finding_of(_BY_REASON[error.reason], str(error))


NOT_AN_IMAGE_RULES = tuple(_BY_REASON.values())
