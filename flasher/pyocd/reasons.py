"""From pyOCD's errors to the flasher's, with the reason in words.

pyOCD's ProbeError is often about the target, and errors of USB often are not its own: the cause decides.
"""

import errno
import re
from collections.abc import Iterator
from typing import Any

import usb.core
from pyocd.core import exceptions

from flasher.errors import ProbeError, ProbeLostError, ProbeUnavailableError, TargetUnavailableError

_LOWEST_VOLTS = 1.5
"""An STM32WB needs at least 1.71 V (DS11929); what an ST-LINK measures is not exact."""
_ASLEEP = 11
"""ST-LINK's status "debug power error" (pyOCD, constants.py), as sleeping chips cause it (pyOCD issue 698)."""
NO_RULE = "this user may not open it: install the udev rule of docs/flasher.md, then unplug it and plug it in again"
UNDER_RESET = "try --under-reset"
_HANGS = "run the command again; do NOT unplug a probe that powers the board: FUS may still be running"
_OTHER_PROGRAM = "another program uses it: close debuggers, STM32CubeIDE and gdb servers"


def translate(
    error: BaseException,
    kind: type[ProbeError],
    what: str,
    *,
    probe_name: str,
    volts: float | None,
    log: tuple[str, ...],
) -> ProbeError:
    """Return the error to raise for one of pyOCD's: of a kind, or ProbeLostError where the probe itself failed.

    `what` failed; `volts` is the target voltage that the probe measured, where it measures one.
    """
    causes = list(_causes(error))
    text = str(causes[-1]).rstrip(".") or type(causes[-1]).__name__
    usb_error = next((cause for cause in causes if isinstance(cause, usb.core.USBError)), None)
    if kind is ProbeUnavailableError:
        reason = text if usb_error is None else _usb_reason(usb_error)
        return ProbeUnavailableError(f"{what}: {reason}", log)
    if usb_error is not None or _is_confused(error):
        return ProbeLostError(_loss(usb_error, text, probe_name), log)
    if kind is TargetUnavailableError:
        return TargetUnavailableError(f"{what}: {_silence(text, volts)}", log)
    return kind(f"{what}: {text}", log)


def _is_confused(error: BaseException) -> bool:
    """Whether the probe itself misbehaved: packets that are short, or that answer another command."""
    if isinstance(error, exceptions.ProbeError):
        return _stlink_status(str(error)) is None
    return not isinstance(error, exceptions.Error) or "response is for command" in str(error)


def _loss(usb_error: Any, text: str, name: str) -> str:
    if usb_error is None or usb_error.errno == errno.ETIMEDOUT:
        return f"the {name} stopped answering: {text}; {_HANGS}"
    return f"the {name} is gone: {text}; check its USB cable"


def _silence(text: str, volts: float | None) -> str:
    """Say why the target may not answer: no power, asleep, or something else."""
    if volts is not None and volts < _LOWEST_VOLTS:
        return f"the target has no power ({volts:.2f} V measured); connect its supply, and VTref to the probe"
    if _stlink_status(text) == _ASLEEP:
        return f"the chip is asleep: it does not power its debug port ({text}); {UNDER_RESET}"
    measured = "" if volts is None else f"the target has {volts:.2f} V, and "
    causes = "deep sleep, debug pins in other use, read protection level 2, or a loose wire"
    return f"{measured}the chip does not answer ({text}): {causes}; {UNDER_RESET}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _stlink_status(text: str) -> int | None:
    """The status of the ST-LINK in a message of pyOCD's driver."""
    match = re.search(r"STLink error \((\d+)\)", text)
    if match:
        return int(match[1])
    return None


def _usb_reason(error: Any) -> str:
    if error.errno == errno.EBUSY:
        return _OTHER_PROGRAM
    if error.errno == errno.EACCES:
        return NO_RULE
    return str(error)
