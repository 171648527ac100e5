"""The errors that imagekit raises on purpose, and the exit codes of both programs.

The text of an error is one sentence that a user can act on; the command line puts the name of the file before it.
"""

from enum import IntEnum
from typing import Generic, Literal, TypeVar

ParseReason = Literal[
    "unreadable",
    "empty",
    "too-short",
    "too-large",
    "no-signature-footer",
    "no-image-footer",
    "unencrypted",
    "web-page",
    "lfs-pointer",
    "text-mangled",
]
PlacementReason = Literal[
    "does-not-fit",
    "other-series",
    "other-key",
    "unknown-format",
    "fus-refuses",
    "locks-chip",
    "bad-sfsa",
    "stack-installed",
    "contradiction",
]
BundleReason = Literal[
    "size",
    "archive",
    "json",
    "envelope",
    "payload-type",
    "signature",
    "manifest",
    "content",
    "image",
    "address",
    "steps",
    "expired",
]
OptionBytesReason = Literal["empty", "not-option-bytes", "other-series", "contradiction", "bad-value"]

_Reason = TypeVar("_Reason", bound=str)


class ExitCode(IntEnum):
    """The exit codes of both programs: scripts can rely on them (docs/exit-codes.md)."""

    DONE = 0
    CRASHED = 1
    USAGE = 2
    REFUSED = 3
    UNREADABLE = 4
    UNREACHABLE = 5
    CHIP_REFUSED = 6
    STOPPED = 7
    MISSING_PACKAGE = 8
    INTERRUPTED = 130


class ImagekitError(Exception):
    """The base of every error that imagekit raises on purpose."""


class ReasonedError(ImagekitError, Generic[_Reason]):
    """An error whose `reason` is one of a few fixed words, so that a program can tell the cases apart."""

    def __init__(self, reason: _Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ParseError(ReasonedError[ParseReason]):
    """The bytes cannot be cut into the parts of an STM32WB coprocessor image.

    `inspect --json` prints `reason` as `error.reason`.
    """


class TargetError(ImagekitError):
    """No STM32WB part has this number, or the number does not give the flash size."""


class VersionError(ImagekitError):
    """The text is not a firmware version."""


class PlacementError(ReasonedError[PlacementReason]):
    """This image has no install address on this target."""


class PlanError(ImagekitError):
    """No plan leads from this chip to the image that is wanted, or it is not clear which image is wanted.

    `missing` names the files that would make a plan possible, each with its place at ST.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class EmitError(ImagekitError):
    """A plan cannot be written as the commands of that tool."""


class ApplicationError(ImagekitError):
    """The file is not an application for CPU1: it is damaged, for another processor, or not in flash."""


class LinkerError(ImagekitError):
    """The regions for a linker script cannot be told for this part and image."""


class BundleError(ReasonedError[BundleReason]):
    """The bundle is refused; `reason` names the check that refused it."""


class KeyFileError(ImagekitError):
    """The file has no key that can sign or verify a bundle, or the passphrase is wrong."""


class NotABundleError(BundleError):
    """The file is not a bundle."""


class ReleaseNotesError(ImagekitError):
    """The release notes cannot be read as ST's address tables."""


class WaiverError(ImagekitError):
    """The file is not a waiver file or a baseline, or one of its entries is wrong."""


class CatalogueError(ImagekitError):
    """The file is not a catalogue of known images."""


class ExplanationError(ImagekitError):
    """No explanation has this code or name."""


class OptionBytesError(ReasonedError[OptionBytesReason]):
    """The text or bytes are not the option bytes of an STM32WB, or those of another series."""


class HostError(ImagekitError):
    """Nothing is known about that host software, or about that release of it."""
