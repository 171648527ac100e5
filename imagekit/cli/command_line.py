"""How both programs read their command lines: rules for every command that the library (typer) does not apply."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"


def prepared(app: typer.Typer) -> typer.Typer:
    """Return an app whose commands, at any depth, all follow the rules of this module."""
    if not _follows_rules(app.info.cls):
        app.info.cls = Group
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is None:
            continue
        cls = prepared(group.typer_instance).info.cls
        if not _follows_rules(group.cls):
            group.cls = cls
    return app


def _follows_rules(cls: object) -> bool:
    """Whether a group's class is one of this module's already, such as one that loads its commands late."""
    return isinstance(cls, type) and issubclass(cls, Group)


class _Rules:
    """What a command and a group have in common."""

    params: list[Any]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        for parameter in self.params:
            if getattr(parameter, "multiple", False):
                # By default a list in an environment variable is split at white space, which paths can contain.
                split = partial(_from_environment, parameter.resolve_envvar_value)
                setattr(parameter, "value_from_envvar", split)  # noqa: B010 - not declared so
            if parameter.param_type_name == "argument":
                # Help shows `FILE <list[str]>` by default; the name says it better.
                record = partial(_without_type, parameter.get_help_record)
                setattr(parameter, "get_help_record", record)  # noqa: B010 - as above

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, and refuse an option that is given twice: the library silently takes the last one."""
        if not ctx.resilient_parsing:
            _refuse_repeated(self, ctx, args)
        parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return parsed

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return completions. In zsh, typer's quoting loses an apostrophe, so their help has a typographic one."""
        items: list[Any] = super().shell_complete(ctx, incomplete)  # type: ignore[misc]
        for item in items:
            if item.help and can_print(_APOSTROPHE):
                item.help = item.help.replace("'", _APOSTROPHE)
        return items


class Command(_Rules, TyperCommand):
    """A command that follows the rules of this module."""


class Group(_Rules, TyperGroup):
    """A group of commands that follows the rules of this module, and lists its commands by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under the headings that they name (`rich_help_panel`), in the order of the first ones."""
        panels: dict[str, list[Any]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append(command)
        commands = [command for some in panels.values() for command in some]
        room = formatter.width - 6 - max((len(command.name) for command in commands), default=0)
        for panel, some in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(command.name, command.get_short_help_str(room)) for command in some])


def _refuse_repeated(command: Any, ctx: Any, args: list[str]) -> None:
    """Raise a usage error for an option that is given more than once and takes one value."""
    _, _, order = command.make_parser(ctx).parse_args(args=list(args))
    for parameter, count in Counter(order).items():
        takes_many = getattr(parameter, "multiple", True) or getattr(parameter, "count", False)
        if count > 1 and not takes_many:
            option = max(parameter.opts, key=len)
            raise typer.BadParameter(f"given {count} times; it can be given once", ctx=ctx, param_hint=option)


def _without_type(record: Callable[[Any], tuple[str, str] | None], ctx: Any) -> tuple[str, str] | None:
    """Return the help of an argument: its name without its type, and its text."""
    described = record(ctx)
    if described is None:
        return None
    name, text = described
    return name.partition(" <")[0], text


def _from_environment(resolve: Callable[[Any], str | None], ctx: Any) -> list[str] | None:
    """Return the list in an environment variable, or None if the variable is not set."""
    text = resolve(ctx)
    return None if text is None else [part for part in text.split(os.pathsep) if part]


def can_print(text: str) -> bool:
    """Return whether the encoding of standard output has every character of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
