"""Wait and retry. Every wait has a name and a limit, and the clock is injected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flasher.errors import SilentError
from flasher.probe import Clock

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait: its name, its limit and the pause between two attempts, in seconds."""

    name: str
    limit_s: float
    pause_s: float


def wait_until(clock: Clock, wait: Wait, look: Callable[[], T | None]) -> T:
    """Call `look` until it returns a value, and return the value.

    Raises:
        SilentError: `look` returned None until the limit.
    """
    end = clock.now() + wait.limit_s
    while (value := look()) is None:
        if clock.now() >= end:
            raise SilentError(f"{wait.name}: not within {wait.limit_s:g} s")
        clock.sleep(wait.pause_s)
    return value


def retry(action: Callable[[], T], attempts: int, errors: Errors, recover: Callable[[], object] = lambda: None) -> T:
    """Call `action` until it succeeds, at most `attempts` times, and return its value.

    `recover` runs before each further attempt and is part of it. The error of the last attempt is raised.
    """
    recover_first = False
    for left in reversed(range(attempts)):
        try:
            if recover_first:
                recover()
            return action()
        except errors:
            if not left:
                raise
            recover_first = True
    raise AssertionError("retry() without an attempt")


def retry_until(clock: Clock, wait: Wait, action: Callable[[], T], errors: Errors) -> T:
    """Call `action` until it succeeds, and return its value. After the limit the last error is raised."""
    end = clock.now() + wait.limit_s
    while True:
        try:
            return action()
        except errors:
            if clock.now() >= end:
                raise
        clock.sleep(wait.pause_s)
