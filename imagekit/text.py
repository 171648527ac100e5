"""Small helpers for text that a user reads: printable, counted, fitted into a given width."""

import unicodedata
from collections.abc import Callable

from imagekit.errors import ImagekitError

Measure = Callable[[str], float]


def why(error: ImagekitError | OSError) -> str:
    """Return what went wrong, in the words of imagekit or of the operating system."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)


def printable(text: str) -> str:
    """Return a text from a file, a name, a journal or a chip as it can be printed everywhere.

    Control characters, bidirectional controls, lone surrogates and line ends become escapes, such as `\\x1b`.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def hex_word(word: int) -> str:
    """Return a word or an address as ST prints it: `0x080D0000`."""
    return f"0x{word:08X}"


def counted(number: int, what: str) -> str:
    """Return `1 sector`, `2 sectors`."""
    ending = "" if number == 1 else "s"
    return f"{number} {what}{ending}"


def cells(text: str) -> int:
    """Return the columns that a text takes in a terminal: two for a wide character, such as a Chinese one."""
    return sum(2 if is_wide(char) else 1 for char in text if not unicodedata.combining(char))


def is_wide(char: str) -> bool:
    """Return whether a character is as wide as two Latin ones (Unicode Standard Annex 11, wide and fullwidth)."""
    return unicodedata.east_asian_width(char) in "WF"


def padded(text: str, room: int) -> str:
    """Return a text with spaces after it, as wide as the room."""
    return text + " " * (room - cells(text))


def shortened(text: str, room: float, measure: Measure = cells) -> str:
    """Return a text without its middle when it is too wide: the ends tell the files of one release apart."""
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
