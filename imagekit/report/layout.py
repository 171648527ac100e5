"""What every report is laid out with: labelled rows for people, and the type of a JSON document."""

import textwrap
from collections.abc import Callable, Iterable, Iterator

from imagekit.image.model import Version
from imagekit.text import hex_word, printable

Json = dict[str, object]
"""A JSON document: its members and their spelling are a contract (docs/json.md)."""

Paint = Callable[[str, str], str]
"""Colours a text for a role: `bold`, `dim`, `good`, `error`, `warning`; any other stays plain."""

LABEL_WIDTH = 10
_NARROWEST = 20
"""Columns that wrapped text gets at least, however narrow the terminal is."""


def plain(text: str, role: str) -> str:  # noqa: ARG001 - the signature of Paint
    """Return the text without colour."""
    return text


def row(label: str, text: str, role: str, width: int | None, paint: Paint, indents: tuple[str, str] = ("", "")) -> str:
    """Return one labelled text, wrapped under itself.

    `indents` stand before its first line and before the others.
    """
    first, others = indents
    text = printable(text)
    lines = [first + text]
    if width:
        lines = textwrap.wrap(
            text,
            max(width - LABEL_WIDTH - 2, _NARROWEST),
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )
    painted = [paint(line, role) for line in lines]
    indent = "\n" + " " * (LABEL_WIDTH + 2)
    return f"  {label:<{LABEL_WIDTH}}" + indent.join(painted)


def rows(
    label: str, texts: Iterable[str], role: str, width: int | None, paint: Paint, indents: tuple[str, str] = ("", "")
) -> Iterator[str]:
    """Yield one row for each text; the label stands before the first one only."""
    for text in texts:
        yield row(label, text, role, width, paint, indents)
        label = ""


def hex_or_none(word: int | None) -> str | None:
    """Return a word or an address as ST prints it; None for None."""
    if word is None:
        return None
    return hex_word(word)


def text_or_none(version: Version | None) -> str | None:
    """Return a version as `1.24.0`; None for None."""
    if version is None:
        return None
    return version.text
