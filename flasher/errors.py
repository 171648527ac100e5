"""What can go wrong while flashing, by who has to act; each error knows its exit code (docs/exit-codes.md).

Every error's text says what, where and why in one line; what to do next stands behind the last semicolon.
"""

from imagekit.errors import ExitCode


class FlasherError(Exception):
    """The base of every error that the flasher raises on purpose."""

    code = ExitCode.CHIP_REFUSED
    is_fus_at_work = False
    """Whether FUS may be at work on the chip: then its power and its reset must be left alone."""


class ProbeError(FlasherError):
    """The probe, or the chip behind it, cannot be reached. `log`: the last lines that the probe's library printed."""

    code = ExitCode.UNREACHABLE

    def __init__(self, message: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log = log


class ProbeUnavailableError(ProbeError):
    """No library, no probe, a probe that somebody else uses, or another serial number."""


class ProbeLostError(ProbeError):
    """The probe was there and is gone: its cable."""


class TargetUnavailableError(ProbeError):
    """The probe is there and the chip does not answer: no power, no debug pins, or another chip."""


class TransferError(ProbeError):
    """One access failed or came short. The chip may have been reset; what was written may be written or not."""


class ChipError(FlasherError):
    """The chip is not as it must be: option bytes, flash, or a CPU2 that does not start."""


class FlashError(ChipError):
    """Erasing or programming flash failed, or the flash reads back otherwise."""


class FusError(ChipError):
    """FUS ended in an error: its state and error bytes (AN5185, table 12)."""

    def __init__(self, message: str, state: int, error: int) -> None:
        super().__init__(message)
        self.state, self.error = state, error


class SilentError(ChipError):
    """Something did not happen within its limit."""


class StillAtWorkError(SilentError):
    """FUS may be at work for longer than this program waits: it goes on by itself, and the next run finds it."""

    code = ExitCode.STOPPED
    is_fus_at_work = True


class RefusedError(FlasherError):
    """The plan is refused, for all these reasons."""

    code = ExitCode.REFUSED

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class JournalError(FlasherError):
    """The journal on this computer cannot be read or written."""

    code = ExitCode.UNREADABLE


class StoppedError(FlasherError):
    """The user asked to stop, and that was done between two steps."""

    code = ExitCode.STOPPED


class BoardFileError(FlasherError):
    """The file of a simulated board cannot be read or written, or is not a simulated board."""

    code = ExitCode.UNREADABLE


class UsageError(FlasherError):
    """The command line asks for something that cannot be."""

    code = ExitCode.USAGE
