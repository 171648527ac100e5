"""What every command shares: printing, and turning an error into one line and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from imagekit.cli.command_line import prepared
from imagekit.errors import BundleError, ExitCode, ImagekitError, NotABundleError, PlacementError
from imagekit.files import key_files, read_text
from imagekit.text import printable, why

if TYPE_CHECKING:
    from imagekit.bundle.keys import PublicKey

# typer uses pydantic, which by default runs plugins of any package that is installed beside it.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


_debug = False
_program = "imagekit"


def set_debug(wanted: bool) -> None:
    """Show a traceback with every error from here on."""
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = wanted


def is_debugging() -> bool:
    """Return whether a traceback is wanted with every error."""
    return _debug


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run a command line and leave with its exit code; no exception reaches the user as a traceback."""
    global _program  # noqa: PLW0603 - one process, one command line
    _program = name
    _repair_streams()
    completion = f"_{name.upper()}_COMPLETE"
    if len(sys.argv) > 1:
        # A shell that asks for completions gives no arguments. With arguments, a variable that was left in the
        # environment would replace the command, and its exit code, by a list of completions.
        os.environ.pop(completion, None)
    code = _exit_code(prepared(app), name, is_completing=completion in os.environ)
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    # Without waiting for threads: one may be reading from a pipe to which no process writes.
    os._exit(code)


def _repair_streams() -> None:
    """Make both output streams exist, and able to take every character."""
    for stream_name in ("stdout", "stderr"):
        stream = getattr(sys, stream_name)
        if stream is None:  # closed by the parent process
            setattr(sys, stream_name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - it lives as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _exit_code(app: typer.Typer, name: str, *, is_completing: bool) -> int:
    """Run a command line; return its exit code."""
    try:
        code: int = app(standalone_mode=False, prog_name=name) or ExitCode.DONE
    except KeyboardInterrupt as error:
        return _failed("interrupted", ExitCode.INTERRUPTED, error)
    except BrokenPipeError:
        return ExitCode.DONE
    except SystemExit as left:
        # fish reads the code of a completion. Otherwise, the library leaves so when the reader of its help is gone.
        return int(left.code or 0) if is_completing else ExitCode.DONE
    except OSError as error:
        return _failed(f"standard output: {why(error)}", ExitCode.UNREADABLE, error)
    except UsageError as error:
        return _failed(_usage_message(error, name), ExitCode.USAGE, error)
    except Exception as error:  # noqa: BLE001 - the last resort
        what = f"{type(error).__name__}: {error}"
        return _failed(
            f"{what}: this is a defect of {name}. Run '{name} --debug ...' to see where.", ExitCode.CRASHED, error
        )
    if code == ExitCode.INTERRUPTED:  # typer caught Ctrl-C
        complain("interrupted")
    return code


UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of every usage error of the library that reads the command line, which gives it no public name."""


def _usage_message(error: Any, name: str) -> str:
    """Return a usage error in one line: what is wrong, what was probably meant, and where help is."""
    near = getattr(error, "possibilities", None)
    message = error.format_message()
    if near:
        message = error.message
    # "Value error, " stands before what a check of a value says (pydantic).
    message = " ".join(message.split()).removesuffix(".").replace("Value error, ", "")
    if near:
        message += f". Did you mean {' or '.join(sorted(near))}?"
    elif not message.endswith("?"):
        message += "."
    command = name
    if error.ctx:
        command = error.ctx.command_path
    return f"{message} Try '{command} --help'."


def _failed(message: str, code: ExitCode, error: BaseException) -> ExitCode:
    trace(error)
    complain(message)
    return code


def about(path: str) -> "_About":
    """Return a context in which an error becomes one line about a file, and an exit code."""
    return _About(path)


class _About:
    """A class, not a generator: its `__exit__` returns nothing, so it cannot swallow an error."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if isinstance(error, ImagekitError | OSError):
            trace(error)
            complain(f"{shown(self._path)}: {why(error)}")
            raise typer.Exit(exit_code_of(error)) from error


def exit_code_of(error: ImagekitError | OSError) -> ExitCode:
    """Return 3 for an input that is what it should be and is refused, 4 for anything else."""
    if isinstance(error, PlacementError | BundleError) and not isinstance(error, NotABundleError):
        return ExitCode.REFUSED
    return ExitCode.UNREADABLE


def trace(error: BaseException) -> None:
    """Print the traceback of an error, when `--debug` asks for it."""
    if _debug:
        import traceback

        traceback.print_exception(error)


def complain(message: str) -> None:
    """Print one line on standard error, if it is open; a terminal gets it wrapped between words."""
    with suppress(OSError):
        typer.echo(fitted(f"{_program}: {printable(message)}", sys.stderr), err=True)


def fitted(line: str, stream: TextIO) -> str:
    """Return a line wrapped at the width of a terminal, without breaking a path or an option; elsewhere as it is."""
    if not stream.isatty():
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    from shutil import get_terminal_size
    from textwrap import wrap

    columns = get_terminal_size().columns
    return "\n".join(wrap(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def print_lines(lines: Iterable[str]) -> None:
    """Print a result of several lines; a terminal gets each wrapped between words."""
    print_result("\n".join(fitted(line, sys.stdout) for line in lines))


def print_result(text: str) -> None:
    """Print a result, without characters that act on a terminal. A reader that stopped reading is not an error."""
    has_colours = _has_colours()
    try:
        typer.echo(_without_controls(text, keeps_colours=has_colours), color=has_colours)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not be written at exit either (Python docs, signal: SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def _without_controls(text: str, *, keeps_colours: bool) -> str:
    """Return a text in which nothing but line ends and, where they are wanted, colours act on a terminal.

    Every command makes its own text printable; this is for what one of them forgets.
    """
    if text.replace("\n", "").isprintable():
        return text
    parts = _COLOUR.split(text) if keeps_colours else [text]
    return "".join(
        part if number % 2 else "\n".join(map(printable, part.split("\n"))) for number, part in enumerate(parts)
    )


def print_json(document: object) -> None:
    """Print one JSON document, in ASCII, which every terminal and pipe passes on unchanged."""
    from json import dumps

    print_result(dumps(document, indent=1))


def shown(path: str) -> str:
    """Return a path as it can be printed: no control characters, and never read as a command of a build server."""
    if path == "-":
        return "standard input"
    if not path:
        return "''"
    text = printable(os.fsencode(path).decode("utf-8", "replace"))
    # A line that begins with :: is a workflow command (GitHub docs, "Workflow commands").
    if text.startswith("::"):
        return f"./{text}"
    return text


def public_keys(path: str) -> "tuple[PublicKey, ...]":
    """Return the public keys of a PEM file, or of all files of keys in a folder."""
    from imagekit.bundle.keys import load_public_keys

    with about(path):
        files = key_files(path)
    keys: list[PublicKey] = []
    for file in files:
        with about(file):
            keys += load_public_keys(read_text(file))
    return tuple(keys)


def terminal_width() -> int | None:
    """Return the columns to wrap at; None when the output is not a terminal."""
    import shutil

    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


_COLOURS = {"good": "green", "error": "red", "warning": "yellow"}


def painter() -> Callable[[str, str], str]:
    """Return the function that colours a text for its role; it changes nothing where the output has no colours."""
    from imagekit.report.layout import plain

    if not _has_colours():
        return plain
    return _paint


def _has_colours() -> bool:
    """Return whether to colour: NO_COLOR and then FORCE_COLOR decide (no-color.org, force-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _paint(text: str, role: str) -> str:
    if role in _COLOURS:
        return typer.style(text, fg=_COLOURS[role])
    if role in ("bold", "dim"):
        return typer.style(text, **{role: True})
    return text
