"""JSON that has one meaning for every reader: one spelling, no duplicate or unknown members, no floats."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NoReturn

from imagekit.errors import BundleError, BundleReason

_DEEPEST = 12
"""Levels of nesting; a manifest has 7."""
_LONGEST_ECHO = 40
_Container = dict[str, Any] | list[Any]


def loads(data: bytes, what: str) -> Any:
    """Read JSON. Raises BundleError `json` for anything that two readers could read differently."""

    def refuse(why: str) -> NoReturn:
        raise BundleError("json", f"{what}: {why}")

    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=lambda pairs: _object(pairs, what),
            parse_float=lambda text: refuse(f"{short(text)[1:-1]} is not a whole number"),
            parse_constant=lambda text: refuse(f"{text} is not JSON"),
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


def _object(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise BundleError("json", f"{what}: member {short(name)} occurs twice")
        document[name] = value
    return document


def short(text: str) -> str:
    """Return a text from a file as an error can repeat it: quoted, in ASCII, at most 40 characters."""
    if len(text) > _LONGEST_ECHO:
        text = f"{text[:_LONGEST_ECHO]}..."
    return ascii(text)


def is_plain(text: str) -> bool:
    """Return whether a text is printable ASCII only: different texts then look different, in the order of the bytes."""
    return text.isascii() and text.isprintable()


def _depth(document: object) -> int:
    """Return how many objects and lists are nested in one another."""
    depth, level = 0, _containers([document])
    while level:
        level = _containers(chain.from_iterable(map(_children, level)))
        depth += 1
    return depth


def _containers(values: Iterable[object]) -> list[_Container]:
    return [value for value in values if isinstance(value, (dict, list))]


def _children(container: _Container) -> Iterable[object]:
    if isinstance(container, dict):
        return container.values()
    return container


class Members:
    """The members of one JSON object. Each is taken once; a member that was not taken at the end is an error."""

    def __init__(self, document: object, path: str, reason: BundleReason = "manifest") -> None:
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

    def optional(self, name: str) -> Any:
        """Return a member, or None when it is absent."""
        return self._left.pop(name, None)

    def text(self, name: str, longest: int = 200) -> str:
        """Return a text: printable ASCII, not empty, at most so many characters."""
        value = self.take(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest or not is_plain(value):
            self.refuse(name, f"not a text of 1 to {longest} characters of printable ASCII")
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
        return [(f"{self.path}.{name}[{index}]", entry) for index, entry in enumerate(value)]

    def constant(self, name: str, expected: object) -> None:
        """Take a member that can have one value only."""
        value = self.take(name)
        if type(value) is not type(expected) or value != expected:
            self.refuse(name, f"not {expected!a}")

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raise BundleError about a member."""
        raise BundleError(self._reason, f"{self.path}.{name}: {why}")

    def end(self) -> None:
        """Refuse members that were not taken."""
        if self._left:
            self.refuse(short(min(self._left)), "unknown member")
