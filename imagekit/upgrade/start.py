"""The chip as it is before an upgrade, and the states from which no plan starts."""

from dataclasses import dataclass
from enum import Enum

from imagekit.application.model import Application
from imagekit.errors import PlanError
from imagekit.fus_versions import FUS_0_5_3, FUS_1_0_1, NEWEST_FUS, needs_fus_first
from imagekit.image.model import FUS_1_2, ImageKind, Version
from imagekit.placement import holds_stack
from imagekit.targets import Series, Target
from imagekit.upgrade.candidates import Candidate


class AntiRollback(Enum):
    """What is known about a chip with anti-rollback, if the stored version is not known."""

    UNKNOWN = "unknown"
    """The stack that was installed when anti-rollback was activated is not known."""
    NO_STACK = "no-stack"
    """No stack was installed then: FUS stored 0xFFFFFFFF (release notes of v1.24.0, "Anti-Rollback"; AN5185)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The chip as it is."""

    target: Target
    fus: Version
    stack_installed: bool | None = None
    """None: not known."""
    stack_version: Version | None = None
    """The version of the installed stack; None: not known."""
    sfsa: int | None = None
    """SFSA of the option bytes, in sectors."""
    had_fus2_stack: bool = False
    """A stack in the format for FUS 2 was installed on the chip at some time."""
    anti_rollback: Version | AntiRollback | None = None
    """The version below which FUS refuses stacks; None: anti-rollback was never activated."""
    application: Application | None = None
    """The application that CPU1 runs, which no step may overlap; None: not known."""


def stack_installed(start: Start) -> bool | None:
    """Return whether a stack is on the chip; None: not known.

    Raises:
        PlanError: the facts contradict each other.
        PlacementError: a chip of this kind cannot have this SFSA.
    """
    by_user = start.stack_installed
    if by_user is None and start.stack_version is not None:
        by_user = True
    if start.sfsa is None:
        return by_user
    by_sfsa = holds_stack(start.target, start.sfsa, start.fus)
    if by_user is not None and by_user is not by_sfsa:
        verb = "is not"
        if by_sfsa:
            verb = "is"
        raise PlanError(
            f"SFSA 0x{start.sfsa:X} shows that a stack {verb} installed, but you state the opposite: read both again"
        )
    return by_sfsa


def refuse_start(start: Start, installed: bool | None) -> None:
    """Raise PlanError for a chip from which no upgrade is possible or safe."""
    fus, target = start.fus, start.target
    if fus < FUS_0_5_3:
        raise PlanError(
            f"FUS {fus.text} does not exist: 0.0.0 means that FUS was not running or not readable when its version was "
            "read (`imagekit explain fus-0.0.0`); start FUS and read the version again"
        )
    if fus.major > NEWEST_FUS.major:
        raise PlanError(f"FUS {fus.text} is not known, nor what it can install; use a newer imagekit")
    if FUS_0_5_3 < fus < FUS_1_0_1:
        raise PlanError(
            f"FUS {fus.text} was never published. ST's notes give two versions, 1.0.0 and 1.2.0, to the image for FUS "
            "0.5.3: read the version again with a current tool, before anything else"
        )
    if target.series is Series.WB1X and fus < FUS_1_2:
        raise PlanError(f"WB1x never had FUS {fus.text}: the first was 1.2.0; read the version again")
    if needs_fus_first(target, fus) and installed is not False:
        raise PlanError(
            f"with FUS {fus.text}, ST requires FUS 1.0.2 or later on {target.name} before any other operation, and FUS "
            "requires that the stack is deleted before it is upgraded: no source says what is safe with a stack "
            "installed. If no stack is installed, use --no-stack; otherwise ask ST"
        )


def refuse_rollback(start: Start, goal: Candidate, *, is_deleting: bool) -> None:
    """Raise PlanError if anti-rollback forbids the goal or the deletion of the stack.

    Source: release notes of v1.24.0, "Anti-Rollback"; AN5185.
    """
    stored, is_stack = start.anti_rollback, goal.image.kind is ImageKind.STACK
    if stored is None or not (is_stack or is_deleting):
        return
    if stored is AntiRollback.NO_STACK or start.fus < FUS_1_2:
        raise PlanError(
            "anti-rollback was activated without a stack, or with a FUS before 1.2.0: FUS then refuses every stack for "
            "ever (FW_ROLLBACK_ERROR), and no way to undo it is known"
        )
    version = goal.image.version
    if isinstance(stored, AntiRollback) or (is_stack and version is None):
        raise PlanError(
            "anti-rollback is active and the version that it stored is not known: FUS would refuse an older stack "
            "after yours was deleted. Find out which stack was installed when it was activated"
        )
    if is_stack and version is not None and version < stored:
        raise PlanError(
            f"anti-rollback is active and stored {stored.full_text}: FUS refuses {goal.title} ({version.full_text}) "
            f"with FW_ROLLBACK_ERROR, which is irreversible; use {stored.full_text} or later"
        )
