"""The command line: files, printing and exit codes live here and nowhere else (docs/exit-codes.md).

Modules that cost start-up time are imported by the command that needs them.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from imagekit import __version__
from imagekit.errors import ImagekitError, ParseError, PlacementError, TargetError, VersionError

if TYPE_CHECKING:
    from imagekit.image import Version
    from imagekit.report.document import Json
    from imagekit.targets import Target


class ExitCode(IntEnum):
    """What scripts may rely on; 1 is Python's own code for a crash, 2 typer's for wrong usage."""

    DONE = 0
    CRASHED = 1
    REFUSED = 3
    UNREADABLE = 4
    INTERRUPTED = 130


app = typer.Typer(
    name="imagekit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_debug = False


def _print_version(wanted: bool) -> None:
    if wanted:
        _print(f"imagekit {__version__}")
        raise typer.Exit


@app.callback()
def _imagekit(
    version: Annotated[  # noqa: ARG001 - the callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="IMAGEKIT_DEBUG", help="Show a traceback with every error.")
    ] = False,
) -> None:
    """Inspect, verify and place ST's STM32WB wireless coprocessor images, offline.

    Exit codes: 0 done; 2 wrong usage; 3 looked, and refuses; 4 not readable or not an image.
    """
    global _debug  # noqa: PLW0603 - one process, one command line
    _debug = debug


_Part = typer.Option(
    "--part",
    "-p",
    envvar="IMAGEKIT_PART",
    metavar="PART",
    help="The number printed on the chip, such as STM32WB55RG.",
    show_default=False,
)


@app.command()
def inspect(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Images; - is standard input.")],
    part: Annotated[str | None, _Part] = None,
    json: Annotated[bool, typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")] = False,
) -> None:
    """Say what each file is: kind, version, what it needs, who signed it, where it goes, what is wrong.

    Exits with 0 whenever every file is an image, whatever was found; 4 otherwise.

    Example: imagekit inspect stm32wb5x_BLE_Stack_full_fw.bin --part STM32WB55RG
    """
    with _errors_reported():
        target = _selected(part)
        reports = _in_parallel(lambda path: _inspect_one(path, target, as_json=json), files)
        if json:
            from imagekit.report.document import INSPECT_SCHEMA

            _print_json({"schema": INSPECT_SCHEMA, "images": [report.entry for report in reports]})
        else:
            _print("\n\n".join(report.text for report in reports if report.text))
        for report in reports:
            if report.error:
                _complain(report.error)
        raise typer.Exit(ExitCode.UNREADABLE if any(report.error for report in reports) else ExitCode.DONE)


@app.command()
def address(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image; - is standard input.")],
    part: Annotated[str, _Part],
    fus: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_FUS", metavar="VERSION", help="The FUS on the chip, such as 1.2.0.", show_default=False
        ),
    ] = None,
    sfsa: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_SFSA",
            metavar="SECTORS",
            help="SFSA from the chip's option bytes, such as 0xF4.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compute the install address of an image, and show how.

    The first line of the output is the address alone. Exits with 3 when there is none.

    Example: imagekit address stm32wb5x_BLE_Stack_full_fw.bin --part STM32WB55RG --fus 2.1.0
    """
    with _errors_reported():
        from imagekit.assessment import assess
        from imagekit.image import Image
        from imagekit.placement import differences_from_st, place
        from imagekit.report.text import working
        from imagekit.rules import Severity, findings

        target, version, sfsa_sectors = _required(part), _version(fus), _number("--sfsa", sfsa)
        with _about(file):
            image = Image.parse(_read(file))
            placement = place(image, target, fus=version, sfsa=sfsa_sectors)
        found = findings(assess(image), target)
        for finding in found:
            if finding.severity is not Severity.NOTE:
                _complain(f"{_shown(file)}: {finding.rule}: {finding.message}")
        if any(finding.rule in ("WB202", "WB301") for finding in found):
            raise typer.Exit(ExitCode.REFUSED)
        notes = differences_from_st(image, placement)
        _print(working(image, placement, part, _shown(file), notes))


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What is left of one file once it was looked at: its bytes are not kept."""

    entry: "Json | None" = None
    text: str = ""
    error: str = ""


def _inspect_one(path: str, target: "Target | None", *, as_json: bool) -> _Inspection:
    """Read and describe one file."""
    from imagekit.assessment import assess
    from imagekit.image import Image
    from imagekit.report import document, text
    from imagekit.rules import findings

    data = None
    try:
        data = _read(path)
        assessment = assess(Image.parse(data))
    except (ParseError, OSError) as error:
        _trace(error)
        reason = error.reason if isinstance(error, ParseError) else "unreadable"
        message = str(error) if isinstance(error, ParseError) else _why(error)
        size, sha256 = _size_and_hash(path, data)
        return _Inspection(
            document.error_entry(path, size, sha256, reason, message), error=f"{_shown(path)}: {message}"
        )
    found = findings(assessment, target)
    if as_json:
        return _Inspection(document.image_entry(path, assessment, found, target))
    return _Inspection(
        text=text.inspection(_shown(path), assessment, found, target, width=_terminal_width(), paint=_painter())
    )


def _in_parallel(work: Callable[[str], _Inspection], paths: Sequence[str]) -> list[_Inspection]:
    """Do the work for each path, in order, on all cores: reading and hashing run outside Python's lock."""
    if len(paths) == 1:
        return [work(paths[0])]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, paths))


def _read(path: str) -> bytes:
    """Read a file, or standard input: one byte more than the largest flash at most."""
    from imagekit.targets import LARGEST_FLASH

    if path == "-":
        return sys.stdin.buffer.read(LARGEST_FLASH + 1)
    with open(path, "rb") as file:  # noqa: PTH123 - the path as the user typed it
        return file.read(LARGEST_FLASH + 1)


def _size_and_hash(path: str, data: bytes | None) -> tuple[int | None, str | None]:
    """The size and SHA-256 of a file that is no image, as far as they are known without reading on."""
    from hashlib import sha256

    from imagekit.targets import LARGEST_FLASH

    if data is None:
        return None, None
    if len(data) <= LARGEST_FLASH:
        return len(data), sha256(data).hexdigest()
    try:
        return (os.stat(path).st_size or None if path != "-" else None), None  # noqa: PTH116
    except OSError:
        return None, None


def _selected(part: str | None) -> "Target | None":
    """The target of `--part`, None when it was not given."""
    return _required(part) if part else None


def _required(part: str) -> "Target":
    """The target of `--part`; exits with wrong usage when there is no such part."""
    from imagekit.targets import select_target

    try:
        return select_target(part)
    except TargetError as error:
        raise typer.BadParameter(str(error), param_hint="--part") from error


def _version(text: str | None) -> "Version | None":
    """The version of `--fus`; exits with wrong usage when it is none."""
    from imagekit.image import Version

    try:
        return Version.from_text(text) if text else None
    except VersionError as error:
        raise typer.BadParameter(str(error), param_hint="--fus") from error


def _number(option: str, text: str | None) -> int | None:
    """A number as people write it: 244, 0xF4, 0b11, 1_000."""
    try:
        return int(text, 0) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"no number {text!r}: write it as 244 or 0xF4", param_hint=option) from error


@contextmanager
def _about(path: str) -> Iterator[None]:
    """Turn what goes wrong with one file into one line and an exit code."""
    try:
        yield
    except (ImagekitError, OSError) as error:
        why = _why(error) if isinstance(error, OSError) else str(error)
        code = ExitCode.REFUSED if isinstance(error, PlacementError) else ExitCode.UNREADABLE
        _fail(f"{_shown(path)}: {why}", code, error)


@contextmanager
def _errors_reported() -> Iterator[None]:
    """Let no exception reach the user as a traceback, unless `--debug` asks for it."""
    try:
        yield
    except KeyboardInterrupt as error:
        _fail("interrupted", ExitCode.INTERRUPTED, error)
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort
        what = f"{type(error).__name__}: {error}"
        _fail(f"{what}: this is a defect of imagekit; --debug shows where", ExitCode.CRASHED, error)


def _fail(message: str, code: ExitCode, error: BaseException) -> NoReturn:
    """Print one line on standard error and leave."""
    _trace(error)
    _complain(message)
    raise typer.Exit(code) from error


def _trace(error: BaseException) -> None:
    """Print where an error comes from, when `--debug` asks for it."""
    if _debug:
        import traceback

        traceback.print_exception(error)


def _complain(message: str) -> None:
    """Print one line on standard error."""
    typer.echo(f"imagekit: {message}", err=True)


def _print(text: str) -> None:
    """Print a result. A reader that stopped reading (`| head`) is no error."""
    if not text:
        return
    try:
        typer.echo(text, color=None)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not be written at exit either (Python docs, signal: SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _fail(f"standard output: {_why(error)}", ExitCode.UNREADABLE, error)


def _print_json(document: "Json") -> None:
    """Print one JSON document, in ASCII: no terminal or pipe can spoil it."""
    from json import dumps

    _print(dumps(document, indent=1))


def _why(error: OSError) -> str:
    """What the operating system says, in its own words, with what to do where it is known."""
    if isinstance(error, IsADirectoryError):
        return "is a directory: name the files in it"
    return (error.strerror or str(error)).lower()


def _shown(path: str) -> str:
    """A path as it can be shown: no control characters, nothing that a terminal cannot print."""
    if path == "-":
        return "standard input"
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _terminal_width() -> int | None:
    """The columns to wrap at; None when the output is not a terminal."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _painter() -> Callable[[str, str], str]:
    """Colours for a terminal, nothing for a pipe or with NO_COLOR."""
    from imagekit.report.text import plain

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return plain
    colours = {"good": "green", "error": "red", "warning": "yellow"}

    def paint(text: str, role: str) -> str:
        if role in colours:
            return typer.style(text, fg=colours[role])
        return typer.style(text, **{role: True}) if role in ("bold", "dim") else text

    return paint


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
