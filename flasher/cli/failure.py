"""Put an error into words: the same text on the terminal, in the `result` event and in the report."""

from flasher.errors import FlasherError, ProbeError, ProbeUnavailableError, RefusedError, StoppedError
from imagekit.errors import ExitCode


def failure_lines(error: FlasherError) -> tuple[str, ...]:
    """Return one line, or one for each reason why a plan is refused. A warning about power is first (errors.py)."""
    if isinstance(error, RefusedError):
        return tuple(f"refused: {reason}" for reason in error.reasons)
    is_link = isinstance(error, ProbeError) and not isinstance(error, ProbeUnavailableError)
    if is_link and not error.is_fus_at_work:
        return (f"{error}; check the cable and the board's power, then run the command again",)
    return (str(error),)


def is_resumable(error: FlasherError) -> bool:
    """Return whether the same command, run again, goes on where this run ended."""
    return isinstance(error, StoppedError) or error.code in (ExitCode.STOPPED, ExitCode.UNREACHABLE)
