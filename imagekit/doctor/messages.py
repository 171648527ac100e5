"""Lines that tools, ST's middleware and host software print, and what each of them means: pure look-up.

The words are data: imagekit/data/messages.toml, each with its sources.
"""

import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[1] / "data" / "messages.toml"
_VARIABLE = {"{hex}": r"(?:0x)?[0-9a-f]+", "{num}": r"[0-9]+", "{name}": r"\S+"}
_PIECES = re.compile(r"(\{hex\}|\{num\}|\{name\}|\s+)")


class MessageSeverity(Enum):
    """What a line says about the run that printed it."""

    ERROR = "error"
    WARNING = "warning"
    NORMAL = "normal"
    HANG = "hang"
    """The program that printed it never goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One line of a tool, and what it means."""

    tool: str
    """Who prints it: `cubeprogrammer`, `jlink`, `openocd`, `micropython`, ..."""
    text: str
    """The fixed part of the line; `{hex}`, `{num}` and `{name}` stand for what varies."""
    severity: MessageSeverity
    means: str
    causes: tuple[str, ...]
    todo: tuple[str, ...]
    sources: tuple[str, ...]
    extends: str | None
    """The entry of explanations.toml that says more."""
    seen: int
    """How many independent public reports quote the line; 0: known from source code only."""


@cache
def messages() -> tuple[Message, ...]:
    """Return every known line, in the order of the data."""
    with _DATA.open("rb") as file:
        return tuple(_message(entry) for entry in tomllib.load(file)["message"])


def messages_in(line: str) -> tuple[Message, ...]:
    """Return the known lines that occur in a line, the most specific first.

    One that covers nothing that a more specific one does not cover is left out.
    """
    line = line.lower()
    matches = ((message, pattern.search(line)) for message, pattern in _patterns())
    hits = [(message, match.span()) for message, match in matches if match is not None]
    hits.sort(key=lambda hit: -_literal_length(hit[0].text))
    kept: list[tuple[Message, tuple[int, int]]] = []
    for message, (start, end) in hits:
        if not any(first <= start and end <= last for _, (first, last) in kept):
            kept.append((message, (start, end)))
    return tuple(message for message, _ in kept)


def _literal_length(text: str) -> int:
    """Return how many characters of a text are fixed."""
    return len(re.sub(r"\{(?:hex|num|name)\}", "", text))


@cache
def _patterns() -> tuple[tuple[Message, re.Pattern[str]], ...]:
    return tuple((message, _pattern(message.text.lower())) for message in messages())


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a text: white space matches any white space; a number never matches the start of a longer one."""
    pieces = []
    for piece in _PIECES.split(text):
        if piece in _VARIABLE:
            pieces.append(_VARIABLE[piece])
        elif piece.isspace():
            pieces.append(r"\s+")
        else:
            pieces.append(re.escape(piece))
    if text[0].isalnum():
        pieces.insert(0, r"(?<![0-9a-z])")
    if text[-1].isalnum() or text[-1] == "}":
        pieces.append(r"(?![0-9a-z])")
    return re.compile("".join(pieces))


def _message(entry: dict[str, Any]) -> Message:
    return Message(
        tool=entry["tool"],
        text=entry["text"],
        severity=MessageSeverity(entry["severity"]),
        means=entry["means"],
        causes=tuple(entry["causes"]),
        todo=tuple(entry["do"]),
        sources=tuple(entry["sources"]),
        extends=entry.get("extends"),
        seen=entry["seen"],
    )
