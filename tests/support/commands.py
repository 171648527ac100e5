"""The commands of imagekit, as the library that reads the command line has them."""

from typing import Any

import typer

from imagekit.cli.program import app


def commands() -> dict[tuple[str, ...], Any]:
    """Every command and group by its words; the program itself has none."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        found[words] = command
        for name, below in getattr(command, "commands", {}).items():
            walk(below, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def options(command: Any) -> set[str]:
    """The options that a command takes, in all their spellings."""
    return {option for one in command.params for option in one.opts} | {"-h", "--help"}


COMMANDS = commands()
GROUPS = [words for words, command in COMMANDS.items() if hasattr(command, "commands")]
"""The program and its groups: what has commands below it."""
LEAVES = [words for words in COMMANDS if words not in GROUPS]


def refuse_unknown(line: str) -> None:
    """Fail for a command line whose command or options imagekit does not have; without the program's name."""
    words = line.split("#", maxsplit=1)[0].split()
    name = tuple(words[: 2 if tuple(words[:2]) in COMMANDS else 1])
    assert name in COMMANDS, line
    assert {word for word in words if word.startswith("-") and len(word) > 1} <= options(COMMANDS[name]), line
