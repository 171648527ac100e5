"""What every command shares: reading files, printing, and turning what goes wrong into one line and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import typer

from imagekit.errors import BundleError, ExitCode, ImagekitError, NotABundleError, PlacementError
from imagekit.files import read_text
from imagekit.text import printable, why

if TYPE_CHECKING:
    from imagekit.bundle.keys import PublicKey

# typer brings pydantic, which would load plugins of whatever is installed beside it: no code of strangers here.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


_debug = False
_program = "imagekit"


def set_debug(wanted: bool) -> None:
    """Show a traceback with every error from here on."""
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = wanted


def is_debugging() -> bool:
    """Whether a traceback is wanted with every error."""
    return _debug


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run a command line and leave with its exit code; no exception reaches the user as a traceback."""
    global _program  # noqa: PLW0603 - one process, one command line
    _program = name
    for stream_name in ("stdout", "stderr"):
        stream = getattr(sys, stream_name)
        if stream is None:  # closed by whoever started us
            setattr(sys, stream_name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - it lives as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _exit_code(app, name)
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    # Without waiting for threads: one may be reading from a pipe that nobody writes to.
    os._exit(code)


def _exit_code(app: typer.Typer, name: str) -> int:
    """Run a command line; return its exit code."""
    try:
        code: int = app(standalone_mode=False, prog_name=name) or ExitCode.DONE
    except KeyboardInterrupt as error:
        return _failed("interrupted", ExitCode.INTERRUPTED, error)
    except BrokenPipeError:
        return ExitCode.DONE
    except SystemExit as left:
        # A shell that asks for completions reads the code (fish); else typer leaves so when nobody reads its help.
        return int(left.code or 0) if f"_{name.upper()}_COMPLETE" in os.environ else ExitCode.DONE
    except OSError as error:
        return _failed(f"standard output: {why(error)}", ExitCode.UNREADABLE, error)
    except Exception as error:  # noqa: BLE001 - the last resort
        # A usage error of the library that reads the command line; its class has no public name.
        if (usage := getattr(error, "format_message", None)) is not None:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else name
            message = _one_line(usage()).removesuffix(".").replace("Value error, ", "")
            message = re.sub(r" ?\(Possible options: (.+)\)$", r". Did you mean \1?", message)
            end = "" if message.endswith("?") else "."
            return _failed(f"{message}{end} Try '{command} --help'.", ExitCode.USAGE, error)
        what = f"{type(error).__name__}: {error}"
        return _failed(f"{what}: this is a defect of {name}; '{name} --debug ...' shows where", ExitCode.CRASHED, error)
    if code == ExitCode.INTERRUPTED:  # typer caught Ctrl-C
        complain("interrupted")
    return code


def _failed(message: str, code: ExitCode, error: BaseException) -> ExitCode:
    trace(error)
    complain(message)
    return code


@contextmanager
def about(path: str) -> Iterator[None]:
    """Turn what goes wrong with one file into one line and an exit code."""
    try:
        yield
    except (ImagekitError, OSError) as error:
        trace(error)
        complain(f"{shown(path)}: {why(error)}")
        code = ExitCode.REFUSED if _is_refusal(error) else ExitCode.UNREADABLE
        raise typer.Exit(code) from error


def _is_refusal(error: Exception) -> bool:
    """Whether an error says that the input is what it should be, and is refused."""
    return isinstance(error, PlacementError | BundleError) and not isinstance(error, NotABundleError)


def trace(error: BaseException) -> None:
    """Print where an error comes from, when `--debug` asks for it."""
    if _debug:
        import traceback

        traceback.print_exception(error)


def complain(message: str) -> None:
    """Print one line on standard error, if anybody takes it."""
    with suppress(OSError):
        typer.echo(f"{_program}: {printable(message)}", err=True)


def print_result(text: str) -> None:
    """Print a result. A reader that stopped reading (`| head`) is no error."""
    try:
        typer.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not be written at exit either (Python docs, signal: SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(document: object) -> None:
    """Print one JSON document, in ASCII: no terminal or pipe can spoil it."""
    from json import dumps

    print_result(dumps(document, indent=1))


def shown(path: str) -> str:
    """A path as it can be shown: no control characters, nothing that a terminal cannot print."""
    if path in ("-", ""):
        return "standard input" if path else "''"
    return printable(os.fsencode(path).decode("utf-8", "replace"))


def can_print(text: str) -> bool:
    """Whether standard output's encoding has every character of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def public_keys(path: str) -> "tuple[PublicKey, ...]":
    """The public keys of a PEM file."""
    from imagekit.bundle.keys import load_public_keys

    with about(path):
        return load_public_keys(read_text(path))
    raise AssertionError  # about() does not swallow errors


def terminal_width() -> int | None:
    """The columns to wrap at; None when the output is not a terminal."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def painter() -> Callable[[str, str], str]:
    """Colours for a terminal that has them; nothing for a pipe, with NO_COLOR, or on a dumb terminal."""
    from imagekit.report.text import plain

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    colours = {"good": "green", "error": "red", "warning": "yellow"}

    def paint(text: str, role: str) -> str:
        if role in colours:
            return typer.style(text, fg=colours[role])
        return typer.style(text, **{role: True}) if role in ("bold", "dim") else text

    return paint


def _one_line(text: str) -> str:
    return " ".join(text.split())
