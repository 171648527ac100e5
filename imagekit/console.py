"""What every command shares: reading files, printing, and turning what goes wrong into one line and an exit code."""

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import typer

from imagekit.errors import BundleError, ImagekitError, NotABundleError, PlacementError, printable, why
from imagekit.targets import LARGEST_FLASH, LARGEST_HEX

if TYPE_CHECKING:
    from imagekit.bundle.keys import PublicKey

# typer brings pydantic, which would load plugins of whatever is installed beside it: no code of strangers here.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"

_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_LARGEST_TEXT = 16 * 1024 * 1024


class ExitCode(IntEnum):
    """What scripts may rely on: docs/exit-codes.md."""

    DONE = 0
    CRASHED = 1
    USAGE = 2
    REFUSED = 3
    UNREADABLE = 4
    INTERRUPTED = 130


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


def _print_bytes(data: bytes) -> None:
    """Print bytes as they are: what is signed must not gain a line end."""
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # as in print_result


def print_json(document: object) -> None:
    """Print one JSON document, in ASCII: no terminal or pipe can spoil it."""
    from json import dumps

    print_result(dumps(document, indent=1))


def shown(path: str) -> str:
    """A path as it can be shown: no control characters, nothing that a terminal cannot print."""
    if path in ("-", ""):
        return "standard input" if path else "''"
    return printable(os.fsencode(path).decode("utf-8", "replace"))


def read_image(path: str) -> bytes:
    """Read a file, or standard input: one byte more than the largest flash at most. Raises OSError."""
    limit = (LARGEST_HEX if path.lower().endswith(".hex") else LARGEST_FLASH) + 1
    try:
        return read_some(path, limit)
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, "is a directory: name the files in it, or use `imagekit check`") from error


def read_some(path: str, limit: int) -> bytes:
    """Read the first `limit` bytes of a file, or of standard input. Raises OSError."""
    if path == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed")
        return sys.stdin.buffer.read(limit)
    with open(path, "rb") as file:  # noqa: PTH123 - the path as the user typed it
        # Room for the largest image takes as long to get as most images take to read. A pipe has no size, and bytes.
        return file.read(min(os.fstat(file.fileno()).st_size or limit, limit))


def read_application(path: str) -> bytes:
    """Read an application's file: one byte more than the largest of its kind at most. Raises OSError."""
    from imagekit.application import LARGEST_ELF

    # A pipe may never end, and a device has no size.
    if _is_special(path) and not os.path.isdir(path):  # noqa: PTH112 - opening a folder says what it is
        raise OSError("is no regular file: name the application's own file")
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - the path as the user typed it
    limit = {".hex": LARGEST_HEX, ".bin": LARGEST_FLASH}.get(ending, LARGEST_ELF)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(limit + 1)


def can_print(text: str) -> bool:
    """Whether standard output's encoding has every character of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def read_text(path: str) -> bytes:
    """Read a page of release notes, a catalogue or a key: 16 MiB at most, far more than any has. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path as the user typed it
        data = file.read(_LARGEST_TEXT + 1)
    if len(data) > _LARGEST_TEXT:
        raise OSError(f"larger than {_LARGEST_TEXT} bytes: no text that is expected here")
    return data


def read_bundle(path: str) -> bytes:
    """Read a bundle: one byte more than the largest one at most. Raises OSError."""
    from imagekit.bundle.archive import LARGEST_BUNDLE

    with open(path, "rb") as file:  # noqa: PTH123 - the path as the user typed it
        return file.read(LARGEST_BUNDLE + 1)


def public_keys(path: str) -> "tuple[PublicKey, ...]":
    """The public keys of a PEM file."""
    from imagekit.bundle.keys import load_public_keys

    with about(path):
        return load_public_keys(read_text(path))
    raise AssertionError  # about() does not swallow errors


def create_file(path: str, data: bytes, *, private: bool) -> None:
    """Write a file that is not there yet, whole or not at all; private: for its owner alone. Raises OSError."""
    handle = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600 if private else 0o644
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise


def write_file(path: str, data: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then renamed. Raises OSError.

    A link is followed; a file that is there keeps its mode; `-` is standard output; what is no regular file, such as a
    device, is written to as it is.
    """
    if path == "-":
        _print_bytes(data)
        return
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - the path as the user typed it
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(data)
        return
    umask = os.umask(0)
    os.umask(umask)
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o666 & ~umask  # noqa: PTH110, PTH116
    # A rename would replace a file that somebody made read-only, and root could write to it: neither is meant.
    if os.path.exists(path) and not mode & _ANY_WRITE:  # noqa: PTH110
        raise PermissionError(errno.EACCES, "is read-only, and stays as it is", path)
    if os.path.exists(path) and _holds_private_key(path):  # noqa: PTH110
        raise PermissionError(errno.EACCES, "holds a private key, and stays as it is", path)
    import tempfile

    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".imagekit-")  # noqa: PTH120
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            # mkstemp made it private. By its path, another file could be meant by now.
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        raise


def _holds_private_key(path: str) -> bool:
    """Whether a file is one that nobody can make again."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path as the user typed it
        return b"PRIVATE KEY-----" in file.read(4096)


def files_in(folder: str, endings: tuple[str, ...]) -> list[str]:
    """The files below a folder whose names end so, in any case; v1.5.0 comes before v1.11.0.

    Links to folders are not followed; pipes, sockets and devices are left out. A folder that cannot be read is in the
    list itself, so that reading it says why.
    """
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        found.append(error.filename)

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort(key=_by_number)
        paths = [os.path.join(place, name) for name in sorted(names, key=_by_number)]  # noqa: PTH118
        found += [path for path in paths if path.lower().endswith(endings) and not _is_special(path)]
    return found


def _by_number(name: str) -> list[tuple[int, str]]:
    """A sort key under which numbers in a name count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _is_special(path: str) -> bool:
    """Whether a path is a pipe, a socket or a device: reading it might never end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return False  # reading it says why
    return not stat.S_ISREG(mode)


def size_of(path: str) -> int | None:
    """The size of a file that was not read to its end, None where the system does not know it."""
    try:
        return os.stat(path).st_size or None if path != "-" else None  # noqa: PTH116
    except OSError:
        return None


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
