"""What FUS's states and errors, the tools' messages and patterns of option bytes mean, and what to do: pure look-up.

The words are data: imagekit/data/explanations.toml, each with its source. The title and the meaning of a rule come from
the rule itself (imagekit/rules); the data holds its causes and what never to do.
"""

import difflib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from imagekit.errors import ExplanationError

_DATA = Path(__file__).parent / "data" / "explanations.toml"


class Group(Enum):
    """What kind of thing is explained; in the order in which they are listed."""

    FUS_STATE = "fus-state"
    FUS_ERROR = "fus-error"
    SHCI_STATUS = "shci-status"
    MAGIC_WORD = "magic-word"
    MESSAGE = "message"
    OPTION_BYTES = "option-bytes"
    RULE = "rule"
    STACK_TYPE = "stack-type"
    READY_EVENT = "ready-event"
    OPCODE = "opcode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A usual cause, and what shows that it is one: a thread's address, or a document and its section."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one code, message or pattern means."""

    group: Group
    name: str
    """Unique in its group."""
    codes: tuple[tuple[int, int], ...]
    """First and last of each range of numbers that it stands for; empty when it has none."""
    aliases: tuple[str, ...]
    """Other names and messages that tools print for it."""
    title: str
    """Empty for a rule, which has its own."""
    means: str
    """Empty for a rule, which has its own."""
    causes: tuple[Cause, ...]
    todo: tuple[str, ...]
    never: tuple[str, ...]
    """What makes it worse."""
    sources: tuple[str, ...]
    """Where the meaning itself is from."""

    def has_code(self, number: int) -> bool:
        """Whether the number is one of its codes."""
        return any(first <= number <= last for first, last in self.codes)


@cache
def explanations() -> tuple[Explanation, ...]:
    """Return every explanation, in the order of the data, groups together."""
    with _DATA.open("rb") as file:
        return tuple(_explanation(entry) for entry in tomllib.load(file)["explanation"])


def fus_state(code: int) -> Explanation:
    """Explain the state byte of GET_STATE (shci.h, SHCI_FUS_GetState_Status_t). Raises ExplanationError."""
    return _by_code(Group.FUS_STATE, code, "FUS state")


def fus_error(code: int) -> Explanation:
    """Explain the error byte of GET_STATE (shci.h, SHCI_FUS_GetState_ErrorCode_t; AN5185, table 12).

    Raises ExplanationError: undocumented.
    """
    return _by_code(Group.FUS_ERROR, code, "FUS error")


def shci_status(code: int) -> Explanation:
    """Explain the status of an SHCI answer (shci.h, SHCI_CmdStatus_t). Raises ExplanationError: undocumented."""
    return _by_code(Group.SHCI_STATUS, code, "SHCI status")


def magic_word(word: int) -> Explanation | None:
    """Explain the word at the start of SRAM2A (0x20030000) or of the device information table; None: not known."""
    return next((entry for entry in explanations() if entry.group is Group.MAGIC_WORD and entry.has_code(word)), None)


def named(name: str) -> Explanation:
    """Return the explanation of that exact name, outside the groups of codes. Raises ExplanationError."""
    for entry in explanations():
        if entry.name == name and entry.group in (Group.OPTION_BYTES, Group.MESSAGE, Group.RULE):
            return entry
    raise ExplanationError(f"nothing is explained under {name!r}")


def lookup(text: str) -> tuple[Explanation, ...]:
    """Return everything that a number, a name or a pasted line stands for; empty when nothing is known about it.

    A number can be decimal or `0x`, and stand for several things. A name can have any case, `-`, `_` or blanks between
    its words, and the prefixes that tools print.
    """
    text = text.strip()[:_LONGEST_TEXT]
    exact = _by_name().get(_key(text))
    if exact is not None:
        return exact
    number = number_in(text)
    if number is not None:
        return _with_code(number)
    return _in_line(text)


_RARELY_A_BARE_NUMBER = (Group.STACK_TYPE, Group.READY_EVENT)


def _with_code(number: int) -> tuple[Explanation, ...]:
    """Return what a number stands for. Stack types and ready events only where nothing else has that number."""
    entries = tuple(entry for entry in explanations() if entry.has_code(number))
    usual = tuple(entry for entry in entries if entry.group not in _RARELY_A_BARE_NUMBER)
    return usual or entries


def has_name(text: str) -> bool:
    """Whether a text as a whole is the name of something that is explained, in any spelling."""
    return _key(text.strip()[:_LONGEST_TEXT]) in _by_name()


def number_in(text: str) -> int | None:
    """Return the number in a text such as `17`, `0x11`, `0X11`, `1170FD0F`; None for any other text."""
    text = text.strip().lower()
    if re.fullmatch(r"0x[0-9a-f]{1,8}|[0-9a-f]{8}", text):
        return int(text, 16)
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    return None


def suggestions(text: str) -> tuple[str, ...]:
    """Return the names nearest to a text, three at most."""
    keys = {key: entries[0].name for key, entries in _by_name().items()}
    near = difflib.get_close_matches(_key(text[:_LONGEST_NAME]), keys, n=6, cutoff=0.6)
    return tuple(dict.fromkeys(keys[key] for key in near))[:3]


_LONGEST_TEXT = 10_000
"""Characters of a pasted text that are looked at: a whole log of a tool is far shorter."""
_LONGEST_NAME = 100
# What tools and headers put before a name; stripped as often as they occur (shci.h, STM32CubeProgrammer's output).
_PREFIX = re.compile(r"(?:FUS_STATE_(?:VALUE|ERROR|ERR)|FUS_STATE|FUS|SHCI|ERROR|ERR|OB)_(?=.)")


def _key(text: str) -> str:
    """A name without case, punctuation and prefixes."""
    key = re.sub(r"[^A-Z0-9]+", "_", text.upper())
    # A sign before a number is part of it: V-1.-1.-1 is not V1.1.1.
    if not text.startswith("-1."):
        key = key.strip("_")
    match = _PREFIX.match(key)
    while match is not None:
        key = key[match.end() :]
        match = _PREFIX.match(key)
    return key


@cache
def _by_name() -> dict[str, tuple[Explanation, ...]]:
    """Key of each name and alias -> what it stands for."""
    by_key: dict[str, dict[tuple[Group, str], Explanation]] = defaultdict(dict)
    for entry in explanations():
        for name in (entry.name, *entry.aliases):
            by_key[_key(name)][entry.group, entry.name] = entry
    return {key: tuple(entries.values()) for key, entries in by_key.items()}


def _in_line(text: str) -> tuple[Explanation, ...]:
    """Return what the names inside a pasted line stand for, each thing once."""
    entries = {(entry.group, entry.name): entry for entry in _named_in_line(text)}
    return tuple(entries.values())


def _named_in_line(text: str) -> Iterator[Explanation]:
    """Yield what is named in a line: words with an underscore, rules, magic words, codes, whole messages."""
    words = _WORD.findall(text)
    for word in words:
        yield from _by_name().get(_key(word), ())
    for word in words:
        if word.lower().startswith("0x"):
            yield from (entry for entry in explanations() if entry.has_code(int(word, 16)))
    for what, code in _NAMED_CODE.findall(text):
        groups = _CODE_GROUPS[what.lower()]
        yield from (entry for entry in explanations() if entry.group in groups and entry.has_code(int(code, 16)))
    line = f"_{re.sub(r'[^A-Z0-9]+', '_', text.upper())}_"
    for key, entries in _by_name().items():
        if key.count("_") >= _WORDS_OF_A_MESSAGE - 1 and f"_{key}_" in line:
            yield from entries


_WORD = re.compile(r"[A-Za-z]+(?:_[A-Za-z0-9]+)+|\bWB[0-9]{3}\b|\b0x[0-9A-Fa-f]{8}\b|[Vv]?-?[0-9]+(?:\.-?[0-9]+){2,3}")
# A code that a log calls by what it is: `error 0x04`, `state=0xFF`, `SHCI_C2_FUS_GetState returned 0xFF`.
_NAMED_CODE = re.compile(r"(error|state|status|returned)[ :=]{1,3}(0x[0-9A-F]{1,2})\b", re.IGNORECASE)
_CODE_GROUPS = {
    "error": (Group.FUS_ERROR,),
    "state": (Group.FUS_STATE,),
    "status": (Group.FUS_STATE, Group.SHCI_STATUS),
    "returned": (Group.FUS_STATE, Group.SHCI_STATUS),
}
_WORDS_OF_A_MESSAGE = 3
"""From so many words on, a name is found inside a longer text without underscores."""


def _by_code(group: Group, code: int, what: str) -> Explanation:
    for entry in explanations():
        if entry.group is group and entry.has_code(code):
            return entry
    raise ExplanationError(f"{what} 0x{code:02X} is not documented")


def _explanation(entry: dict[str, Any]) -> Explanation:
    codes = [code if isinstance(code, list) else [code, code] for code in entry.get("codes", ())]
    return Explanation(
        group=Group(entry["group"]),
        name=entry["name"],
        codes=tuple((first, last) for first, last in codes),
        aliases=tuple(entry.get("aliases", ())),
        title=entry.get("title", ""),
        means=entry.get("means", ""),
        causes=tuple(Cause(**cause) for cause in entry["causes"]),
        todo=tuple(entry.get("do", ())),
        never=tuple(entry["never"]),
        sources=tuple(entry["sources"]),
    )
