"""JSON without room for two readings: one spelling, no duplicate members, no floats, nothing deep, nothing unknown."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from imagekit.errors import BundleError

_DEEPEST = 12
"""Levels of nesting; a manifest has 7."""


def loads(data: bytes, what: str) -> Any:
    """Read JSON. Raises BundleError `json` for anything that two readers could read differently."""

    def refuse(why: str) -> NoReturn:
        raise BundleError("json", f"{what}: {why}")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) < len(pairs):
            names = [name for name, _ in pairs]
            refuse(f"member {next(name for name in names if names.count(name) > 1)!a} stands twice")
        return document

    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=members,
            parse_float=lambda text: refuse(f"{text} is no whole number"),
            parse_constant=lambda text: refuse(f"{text} is no JSON"),
        )
    except UnicodeDecodeError as error:
        raise BundleError("json", f"{what}: not UTF-8") from error
    except RecursionError as error:
        raise BundleError("json", f"{what}: nested too deep") from error
    except ValueError as error:
        raise BundleError("json", f"{what}: not JSON: {error}") from error
    if _depth(document) > _DEEPEST:
        refuse("nested too deep")
    return document


def dumps(document: object) -> bytes:
    """Write JSON in the one spelling that bundles use: sorted members, no white space, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _depth(document: object, level: int = 1) -> int:
    if level > _DEEPEST:
        return level
    below = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return max([_depth(one, level + 1) for one in below if isinstance(one, dict | list)], default=level)


class Members:
    """The members of one JSON object, taken one by one; what nobody took is an error."""

    def __init__(self, document: object, path: str, reason: str = "manifest") -> None:
        if not isinstance(document, dict):
            raise BundleError(reason, f"{path}: not an object")
        self._left = dict(document)
        self.path = path
        self._reason = reason

    def take(self, name: str) -> Any:
        """Return a member that must be there."""
        if name not in self._left:
            self.refuse(name, "missing")
        return self._left.pop(name)

    def text(self, name: str, longest: int = 200) -> str:
        """Return a text: printable, not empty, at most so many characters."""
        value = self.take(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            self.refuse(name, f"not a printable text of 1 to {longest} characters")
        return str(value)

    def number(self, name: str, largest: int = 2**53 - 1) -> int:
        """Return a whole number from 0 up."""
        value = self.take(name)
        if type(value) is not int or not 0 <= value <= largest:
            self.refuse(name, f"not a whole number from 0 to {largest}")
        return int(value)

    def truth(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if type(value) is not bool:
            self.refuse(name, "neither true nor false")
        return bool(value)

    def items(self, name: str, most: int, least: int = 0) -> Sequence[tuple[str, Any]]:
        """Return the entries of a list, each with its path."""
        value = self.take(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.refuse(name, f"not a list of {least} to {most}")
        return [(f"{self.path}.{name}[{index}]", one) for index, one in enumerate(value)]

    def constant(self, name: str, expected: object) -> None:
        """Take a member that can have one value only."""
        value = self.take(name)
        if type(value) is not type(expected) or value != expected:
            self.refuse(name, f"not {expected!a}")

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raise BundleError about a member."""
        raise BundleError(self._reason, f"{self.path}.{name}: {why}")

    def end(self) -> None:
        """Refuse what was not taken."""
        if self._left:
            self.refuse(ascii(min(self._left)), "unknown member")
