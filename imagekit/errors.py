"""What can go wrong in imagekit, by who has to act, and how it is put into words.

Every error's text is one sentence that a user can act on; the command line puts the file's name before it.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How both programs end: what scripts may rely on (docs/exit-codes.md)."""

    DONE = 0
    CRASHED = 1
    USAGE = 2
    REFUSED = 3
    UNREADABLE = 4
    UNREACHABLE = 5
    CHIP_REFUSED = 6
    STOPPED = 7
    INTERRUPTED = 130


class ImagekitError(Exception):
    """The base of every error that imagekit raises on purpose."""


class ParseError(ImagekitError):
    """The bytes cannot be cut into the parts of an STM32WB coprocessor image.

    `reason` is one of the fixed words that `inspect --json` prints as `error.reason`: `unreadable`, `empty`,
    `too-short`, `too-large`, `no-signature-footer`, `no-image-footer`, `unencrypted`, `web-page`, `lfs-pointer`,
    `text-mangled`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TargetError(ImagekitError):
    """No such STM32WB part, or a part number that leaves its flash size open."""


class VersionError(ImagekitError):
    """A text that should be a firmware version is not one."""


class PlacementError(ImagekitError):
    """There is no address at which this image can be installed on this target.

    `reason` tells the cases apart: `does-not-fit`, `other-series`, `other-key`, `unknown-format`, `fus-refuses`,
    `locks-chip`, `bad-sfsa`, `stack-installed`, `contradiction`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PlanError(ImagekitError):
    """There is no way from this chip to what is wanted, or it was not said what that is.

    `missing` names the files with which there would be one, each with where ST has it.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class EmitError(ImagekitError):
    """A plan cannot be written as the commands of that tool."""


class ApplicationError(ImagekitError):
    """The file is no application for CPU1: damaged, for another processor, or not in flash."""


class BundleError(ImagekitError):
    """The bundle is refused.

    `reason` tells at which check: `size`, `archive`, `json`, `envelope`, `payload-type`, `signature`, `manifest`,
    `content`, `image`, `address`, `steps`, `expired`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class KeyFileError(ImagekitError):
    """The file holds no key that can sign or verify a bundle, or the passphrase does not open it."""


class NotABundleError(BundleError):
    """The file is no bundle at all."""


class ReleaseNotesError(ImagekitError):
    """The release notes cannot be read as ST's address tables."""


class CatalogueError(ImagekitError):
    """The file is no catalogue of known contents."""


class ExplanationError(ImagekitError):
    """Nothing is known of such a code or name."""


class OptionBytesError(ImagekitError):
    """The text or bytes are no option bytes of an STM32WB, or those of another series.

    `reason`: `empty`, `not-option-bytes`, `other-series`, `contradiction`, `bad-value`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
