"""Small helpers for text that a user reads: printable, counted, fitted into little room."""

import unicodedata
from collections.abc import Callable

from imagekit.errors import ImagekitError

Measure = Callable[[str], float]


def why(error: ImagekitError | OSError) -> str:
    """What went wrong: imagekit's own words, or the operating system's."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def printable(text: str) -> str:
    """A text from outside without what a terminal would act on."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def hex_word(word: int) -> str:
    """Return a word or an address as ST prints it: `0x080D0000`."""
    return f"0x{word:08X}"


def counted(number: int, what: str) -> str:
    """Return `1 sector`, `2 sectors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def cells(text: str) -> int:
    """Return the columns that a text takes in a terminal: two for each wide character, as of Chinese or Japanese."""
    return sum(2 if is_wide(char) else 1 for char in text if not unicodedata.combining(char))


def is_wide(char: str) -> bool:
    """Whether a character is as wide as two Latin ones (Unicode Standard Annex 11, wide and fullwidth)."""
    return unicodedata.east_asian_width(char) in "WF"


def padded(text: str, room: int) -> str:
    """Return a text with spaces behind it, as wide as the room."""
    return text + " " * (room - cells(text))


def shortened(text: str, room: float, measure: Measure = cells) -> str:
    """Return a text without its middle, where it is too wide: the ends tell the files of one release apart."""
    if measure(text) <= room:
        return text
    kept = len(text) - 1
    while kept and measure(_without_middle(text, kept)) > room:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    tail = kept // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"


def wrapped(text: str, room: float, measure: Measure = cells) -> list[str]:
    """Break a text into lines between words; a word that is wider than a line is shortened."""
    lines: list[str] = []
    for word in text.split():
        fitting = shortened(word, room, measure)
        if lines and measure(f"{lines[-1]} {fitting}") <= room:
            lines[-1] += f" {fitting}"
        else:
            lines.append(fitting)
    return lines
