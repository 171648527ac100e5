"""What the answers of FUS mean during an operation, and the texts for them. Nothing here reaches the chip.

Sources: MicroPython (rfcore_firmware.py), logs of CubeProgrammer, shci.h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from flasher.errors import ChipError, FusError
from flasher.mailbox import FusAnswer
from imagekit import explanations
from imagekit.errors import ExplanationError

IDLE_SECONDS = 60.0
"""How long FUS must be idle without a result before that counts as its answer.

A board was idle for 14 s in the middle of an installation (owl-and-goat/sensor-board, fus.rs and AGENTS.md).
"""
ERROR_SECONDS = 10.0
"""How long FUS must report an error before that counts, when it is not idle meanwhile."""
FIRST_CONTACT_SECONDS = 10.0
"""How long FF with 00 or FE must last to count as the first contact of a chip's life (ST's BLE_Ota resets on FF)."""
ERROR, NOT_RUNNING, UNKNOWN = 0xFF, 0xFE, 0xFF


class Doubt(Enum):
    """Why FUS is not known to be idle although it says so."""

    NONE = auto()
    FOUND_RUNNING = auto()
    """FUS ran already when this program connected: another program may have given it work."""
    OPEN_STEP = auto()
    """A step did not end: FUS may be between two of its resets."""


PASSING = (FusAnswer(ERROR, 0), FusAnswer(ERROR, NOT_RUNNING))
FIRST_CONTACT_LIMITS = {
    Doubt.NONE: FIRST_CONTACT_SECONDS,
    Doubt.FOUND_RUNNING: IDLE_SECONDS,
    Doubt.OPEN_STEP: None,
}


@dataclass(slots=True)
class AnswerWatch:
    """Judges the answers of FUS during one operation. `is_done`: whether the chip shows the result."""

    is_done: Callable[[], bool]
    error: FusAnswer | None = None
    """The first answer with an error."""
    quiet_since: float | None = None
    first_contact_s: float | None = None
    ff_since: float | None = None

    def judge(self, answer: FusAnswer | None, now: float) -> "End | None":
        """Return the end of the operation, or None while FUS works. An answer of None means that it works."""
        self.ff_since = None
        if answer is None:
            self.quiet_since = None
            return None
        if self.error is not None and answer.status == 0:
            return End(self.error)
        if self.error is None and self.is_done():
            return End(None)
        if self.quiet_since is None:
            self.quiet_since = now
        limit_s = ERROR_SECONDS
        if self.error is None:
            limit_s = IDLE_SECONDS
        if now < self.quiet_since + limit_s:
            return None
        return End(self.error or answer)

    def judge_ff(self, answer: FusAnswer, now: float) -> "End | None":
        """As `judge`, for FF with 00 or FE: it passes near the end of an installation (MicroPython).

        Where no installation can be running, it is the first contact once it lasts for `first_contact_s`.
        """
        self.quiet_since = None
        if self.ff_since is None:
            self.ff_since = now
        if self.first_contact_s is None or now < self.ff_since + self.first_contact_s:
            return None
        return End(FusAnswer(answer.status, UNKNOWN))


@dataclass(frozen=True, slots=True)
class End:
    """How an operation ended: None when the chip shows the result, otherwise the answer that FUS ended with."""

    answer: FusAnswer | None


def state_text(answer: FusAnswer) -> str:
    """Describe a state. FF usually passes, so only its error is named."""
    try:
        title = explanations.fus_state(answer.status).title
    except ExplanationError:
        title = "not documented"
    if answer.status == ERROR:
        title = f"error 0x{answer.error:02X}"
    return f"0x{answer.status:02X} {title}"


def refusal(what: str, answer: FusAnswer) -> ChipError:
    """Return the error for an answer of FUS, with its meaning and what to do."""
    state = f"state 0x{answer.status:02X}"
    if not answer.error:
        return ChipError(f"FUS stopped without a result of {what}: {state}, no error; run this again")
    code = f"{state}, error 0x{answer.error:02X}"
    try:
        known = explanations.fus_error(answer.error)
    except ExplanationError:
        return FusError(f"FUS ended {what} with an undocumented error ({code})", answer.status, answer.error)
    text = f"FUS ended {what} with {known.name} ({code}): {known.title}; {known.todo[0]}"
    return FusError(text, answer.status, answer.error)
