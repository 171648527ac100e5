"""`flasher doctor`: checks of the probe, its library and the target, for a new desk. Nothing is changed."""

from typing import TYPE_CHECKING, Any

from flasher.doctor import Check, CheckGrade, examine
from flasher.errors import ProbeError
from flasher.link import unconnected_chip
from imagekit.errors import ExitCode

if TYPE_CHECKING:
    from flasher.link import ProbeChoice

_CONNECTING = ("probe", "connect")
"""Checks that fail when the chip cannot be reached: exit code 5. What else is wrong is exit code 6."""


def run_checks(choice: "ProbeChoice") -> list[Check]:
    """Return the result of every check. A probe that cannot be opened is a result too. Raises UsageError."""
    try:
        with unconnected_chip(choice) as chip:
            return list(examine(chip))
    except ProbeError as error:
        todo = "connect one probe, or name one with --probe"
        return [Check(name="probe", value=str(error), grade=CheckGrade.ERROR, todo=todo)]


def exit_code(checks: list[Check]) -> ExitCode:
    """Return 0 when no check failed; warnings do not count."""
    failed = [check.name for check in checks if check.grade is CheckGrade.ERROR]
    if not failed:
        return ExitCode.DONE
    if any(name in _CONNECTING for name in failed):
        return ExitCode.UNREACHABLE
    return ExitCode.CHIP_REFUSED


def check_lines(checks: list[Check]) -> list[str]:
    """Return one line for each check, and one for what to do."""
    lines: list[str] = []
    for check in checks:
        lines.append(f"{check.grade.value:<7}  {check.name}: {check.value}")
        if check.todo:
            lines.append(f"         -> {check.todo}")
    return lines


def check_document(checks: list[Check]) -> dict[str, Any]:
    """Return `doctor --json`."""
    documents = [
        {"check": check.name, "grade": check.grade.value, "value": check.value, "todo": check.todo or None}
        for check in checks
    ]
    return {"schema": "flasher.doctor/1", "checks": documents}
