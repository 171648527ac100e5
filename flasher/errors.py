"""What can go wrong, by who has to act. Each error has its exit code (docs/exit-codes.md).

The text of an error is one line: what, where and why. What to do next follows the last semicolon. A warning about the
board's power comes first.
"""

from imagekit.errors import ExitCode

DO_NOT_POWER_OFF = "Do NOT power off or reset the board: FUS may still be running."


def sentence(text: str) -> str:
    """Return a text with a capital first letter, to follow another sentence."""
    return text[:1].upper() + text[1:]


class FlasherError(Exception):
    """The base of every error that the flasher raises on purpose."""

    code = ExitCode.CHIP_REFUSED
    is_fus_at_work = False
    """Whether FUS may be running on the chip. The board must keep its power then, and must not be reset."""


class ProbeError(FlasherError):
    """The probe, or the chip behind it, cannot be reached. `log`: the last lines that the probe's library printed."""

    code = ExitCode.UNREACHABLE

    def __init__(self, message: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log = log


class ProbeUnavailableError(ProbeError):
    """No library, no probe, a probe that another program uses, or another serial number."""


class MissingPackageError(ProbeUnavailableError):
    """A package that this kind of probe needs is not installed."""

    code = ExitCode.MISSING_PACKAGE


class ProbeLostError(ProbeError):
    """The probe was connected and is gone, for example because of its cable."""


class TargetUnavailableError(ProbeError):
    """The probe is connected but the chip does not answer: no power, no debug pins, or another chip."""


class TransferError(ProbeError):
    """One access failed or was incomplete. The chip may have been reset; a write may have happened or not."""


class LostWhileFusWorksError(ProbeError):
    """The link was lost while FUS may be running. `cause` is the error of the link."""

    is_fus_at_work = True

    def __init__(self, cause: ProbeError) -> None:
        text = sentence(str(cause))
        super().__init__(f"{DO_NOT_POWER_OFF} {text}; check the cable, then run the command again", cause.log)


class ChipError(FlasherError):
    """The chip is not as it must be: option bytes, flash, or a CPU2 that does not start."""


class FlashError(ChipError):
    """Erasing or programming flash failed, or the flash reads back differently."""


class FusError(ChipError):
    """FUS ended in an error: its state and error bytes (AN5185, table 12)."""

    def __init__(self, message: str, state: int, error: int) -> None:
        super().__init__(message)
        self.state, self.error = state, error


class SilentError(ChipError):
    """Something did not happen within its limit."""


class StillAtWorkError(SilentError):
    """FUS may still be running. It continues by itself, and the next run finds it."""

    is_fus_at_work = True

    def __init__(self, message: str, code: ExitCode = ExitCode.STOPPED) -> None:
        text = sentence(message)
        super().__init__(f"{DO_NOT_POWER_OFF} {text}; leave the board powered, then run the command again")
        self.code = code


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
    """The user asked to stop, and the run ended between two steps."""

    code = ExitCode.STOPPED


class BoardFileError(FlasherError):
    """The file of a simulated board cannot be read or written, or is not a simulated board."""

    code = ExitCode.UNREADABLE


class UsageError(FlasherError):
    """The command line asks for something that cannot be."""

    code = ExitCode.USAGE


def while_fus_may_run(error: FlasherError) -> FlasherError:
    """Return an error like this one for a chip on which FUS may be running: the warning comes first."""
    if isinstance(error, ProbeError):
        return LostWhileFusWorksError(error)
    if isinstance(error, ChipError):
        return StillAtWorkError(str(error))
    return StillAtWorkError(str(error), error.code)
