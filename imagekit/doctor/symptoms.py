"""What people report in words: which symptom it is, its causes by how often reports had them, the deciding check.

The words are data: imagekit/data/symptoms.toml, each cause with its sources.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[1] / "data" / "symptoms.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedCause:
    """A cause of a symptom."""

    text: str
    reports: int
    """How many of the public reports that were read had it."""
    sources: tuple[str, ...]
    shown_by: str | None = None
    """The explanation or rule whose finding shows this cause; None: no file that a user has shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """Something that users see and have no code for."""

    name: str
    words: tuple[str, ...]
    """Ways in which people say it."""
    causes: tuple[RankedCause, ...]
    """The most frequent first."""
    check: str
    """The one observation that decides between the causes."""
    todo: tuple[str, ...]
    extends: str | None
    """The entry of explanations.toml that says more."""
    reports: int


@cache
def symptoms() -> tuple[Symptom, ...]:
    """Return every symptom, in the order of the data."""
    with _DATA.open("rb") as file:
        return tuple(_symptom(entry) for entry in tomllib.load(file)["symptom"])


def symptoms_like(text: str) -> tuple[Symptom, ...]:
    """Return the symptoms that a description in words fits, the best first, three at most; empty when none fits.

    A word counts by how few of the symptoms use it, so that `BLE` says little and `bonding` much.
    """
    for symptom in symptoms():
        if text.strip().upper().replace("-", "_").replace(" ", "_") == symptom.name:
            return (symptom,)
    asked = _words(text)
    if not asked or len(text.split()) < _FEWEST_WORDS:
        return ()
    scored = [(max(_score(asked, words) for words in _ways(symptom)), symptom) for symptom in symptoms()]
    scored.sort(key=lambda pair: -pair[0])
    best = scored[0][0]
    if best < _ENOUGH:
        return ()
    return tuple(symptom for score, symptom in scored[:3] if score >= best * _NEARLY_AS_GOOD)


_FEWEST_WORDS = 2
_ENOUGH = 0.3
_NEARLY_AS_GOOD = 0.8
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "cannot",
        "could",
        "do",
        "does",
        "doesn",
        "t",
        "for",
        "from",
        "get",
        "gets",
        "has",
        "have",
        "i",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "s",
        "so",
        "that",
        "the",
        "then",
        "there",
        "this",
        "to",
        "was",
        "when",
        "which",
        "why",
        "will",
        "with",
        "works",
        "work",
        "after",
        "any",
    ]
)
_SAME = {
    "bluetooth": "ble",
    "updating": "update",
    "starts": "start",
    "starting": "start",
    "started": "start",
    "advertises": "advertise",
    "advertising": "advertise",
    "advertised": "advertise",
    "visible": "advertise",
    "discoverable": "advertise",
    "hangs": "hang",
    "hanging": "hang",
    "stuck": "hang",
    "freezes": "hang",
    "blocks": "hang",
    "fault": "hardfault",
    "hardfault": "hardfault",
    "crashes": "crash",
    "crashed": "crash",
    "pairing": "bond",
    "pairings": "bond",
    "paired": "bond",
    "bonding": "bond",
    "bonded": "bond",
    "bonds": "bond",
    "updated": "update",
    "upgrade": "update",
    "upgraded": "update",
    "flashing": "flash",
    "flashed": "flash",
    "programmer": "cubeprogrammer",
    "stm32cubeprogrammer": "cubeprogrammer",
    "bricked": "dead",
    "brick": "dead",
    "erased": "erase",
    "lost": "lost",
    "gone": "lost",
    "disappeared": "lost",
    "returns": "return",
    "shows": "show",
    "says": "show",
    "connects": "connect",
    "connected": "connect",
    "found": "found",
    "detected": "found",
    "seen": "found",
}


def _words(text: str) -> frozenset[str]:
    """Return the telling words of a text, in one form each."""
    words = re.findall(
        r"0x[0-9a-f]+|[a-z][a-z0-9_]+|[0-9]+(?:\.[0-9]+)+", text.lower().replace("hard fault", "hardfault")
    )
    return frozenset(_SAME.get(word, word) for word in words if word not in _STOP)


@cache
def _ways(symptom: Symptom) -> tuple[frozenset[str], ...]:
    return tuple(_words(way) for way in symptom.words)


@cache
def _weights() -> dict[str, float]:
    """Return each word's weight: 1 for a word that one symptom alone uses."""
    used: dict[str, int] = {}
    for symptom in symptoms():
        for word in frozenset().union(*_ways(symptom)):
            used[word] = used.get(word, 0) + 1
    return {word: 1 / count for word, count in used.items()}


def _score(asked: frozenset[str], way: frozenset[str]) -> float:
    """Return how well two sets of words agree, 0 to 1: weighed common words against all of them."""
    weights = _weights()
    common = sum(weights.get(word, 0.0) for word in asked & way)
    whole = sum(weights.get(word, _UNKNOWN_WORD) for word in asked | way)
    return common / whole if whole else 0.0


_UNKNOWN_WORD = 0.15
"""A word that no symptom uses says little against a match."""


def _symptom(entry: dict[str, Any]) -> Symptom:
    return Symptom(
        name=entry["name"],
        words=tuple(entry["words"]),
        causes=tuple(
            RankedCause(
                text=cause["text"],
                reports=cause["reports"],
                sources=tuple(cause["sources"]),
                shown_by=cause.get("shown_by"),
            )
            for cause in sorted(entry["causes"], key=lambda cause: -cause["reports"])
        ),
        check=entry["check"],
        todo=tuple(entry["do"]),
        extends=entry.get("extends"),
        reports=entry["reports"],
    )
