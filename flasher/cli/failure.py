"""Put an error into words: the same text on the terminal, in the `result` event and in the report."""

from flasher.errors import FlasherError, ProbeError, ProbeUnavailableError, RefusedError, StoppedError
from imagekit.errors import ExitCode

DO_NOT_TOUCH = "Do NOT power off or reset the board: FUS may still be running."
"""Always the first sentence: a board dies from a reset while FUS writes (AN5185, section 2)."""


def failure_lines(error: FlasherError) -> tuple[str, ...]:
    """Return one line, or one for each reason why a plan is refused."""
    if isinstance(error, RefusedError):
        return tuple(f"refused: {reason}" for reason in error.reasons)
    if error.is_fus_at_work:
        return (_keep_powered(error),)
    if isinstance(error, ProbeError) and not isinstance(error, ProbeUnavailableError):
        return (f"{error}. Check the cable and the board's power, then run the command again",)
    return (str(error),)


def _keep_powered(error: FlasherError) -> str:
    text = str(error)
    if DO_NOT_TOUCH in text:
        return text
    text = text[:1].upper() + text[1:]
    if isinstance(error, ProbeError):
        return f"{DO_NOT_TOUCH} {text}. Check the probe and its cable, then run the command again"
    return f"{DO_NOT_TOUCH} {text}"


def is_resumable(error: FlasherError) -> bool:
    """Return whether the same command, run again, goes on where this run ended."""
    return isinstance(error, StoppedError) or error.code in (ExitCode.STOPPED, ExitCode.UNREACHABLE)
