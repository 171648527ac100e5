"""Options that several commands take, and what their texts mean; nonsense is wrong usage."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, print_result, shown, trace
from imagekit.errors import ExitCode, KeyFileError, TargetError, VersionError
from imagekit.files import files_in, read_application, read_text, write_file
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.application.model import Application
    from imagekit.bundle.keys import PrivateKey
    from imagekit.catalogue import Catalogue
    from imagekit.image.model import Version
    from imagekit.rules.registry import Chip
    from imagekit.targets import Target


def beginning_so(incomplete: str, names: Iterable[str]) -> list[str]:
    """The names that begin so, for a shell that completes; in small letters when that is what was typed."""
    spelled = (name.lower() if incomplete.islower() else name for name in names)
    return [name for name in spelled if name.startswith(incomplete)]


def part_numbers(incomplete: str) -> list[str]:
    """The part numbers that begin so; with STM32 unless it is left out."""
    from imagekit.targets import PARTS

    prefix = "" if incomplete.upper().startswith("W") else "STM32"
    return beginning_so(incomplete, (prefix + part for part in PARTS))


Part = typer.Option(
    "--part",
    "-p",
    envvar="IMAGEKIT_PART",
    metavar="PART",
    help="The number printed on the chip, such as STM32WB55RG.",
    show_default=False,
    autocompletion=part_numbers,
)
Fus = typer.Option(
    "--fus",
    envvar="IMAGEKIT_FUS",
    metavar="VERSION",
    help="The FUS on the chip, such as 1.2.0.",
    show_default=False,
)
Sfsa = typer.Option(
    "--sfsa",
    envvar="IMAGEKIT_SFSA",
    metavar="SECTORS",
    help="SFSA from the chip's option bytes, such as 0xF4.",
    show_default=False,
)
HadFus2Stack = typer.Option(
    "--had-fus2-stack",
    envvar="IMAGEKIT_HAD_FUS2_STACK",
    help="A stack in the format for FUS 2 was installed on the chip before: FUS reserves 16 KiB for bonding data.",
)
App = typer.Option(
    "--app",
    envvar="IMAGEKIT_APP",
    metavar="FILE",
    help="The application on CPU1: app.elf, app.hex or app.bin@0x08000000.",
    show_default=False,
)
KnownContents = typer.Option(
    "--catalogue",
    envvar="IMAGEKIT_CATALOGUE",
    metavar="FILE",
    help="A catalogue that you built, in place of the shipped one.",
    show_default=False,
)


def target_of(part: str) -> "Target":
    """The target of a part number; exits with wrong usage when there is none."""
    from imagekit.targets import select_target

    try:
        return select_target(part)
    except TargetError as error:
        raise typer.BadParameter(str(error), param_hint="--part") from error


def chip_of(
    part: str | None, fus: str | None = None, *, needs_customer_signature: bool = False, app: str | None = None
) -> "Chip":
    """What the options say of the chip; exits with wrong usage when they say nonsense."""
    from imagekit.rules.registry import Chip

    target = target_of(part) if part is not None else None
    if app is not None and target is None:
        raise typer.BadParameter("needs --part: only the part tells where an image starts", param_hint="--app")
    return Chip(
        target=target,
        fus=version_of("--fus", fus),
        needs_customer_signature=needs_customer_signature,
        application=application_of(app) if app is not None else None,
    )


def application_of(given: str) -> "Application":
    """The application in a file: ELF, Intel HEX, or `.bin@ADDRESS`; exits when it is none."""
    from imagekit.application import model as application
    from imagekit.targets import FLASH_BASE

    if given == "-" or given.lower().endswith(".bin"):
        what = "standard input does not tell its kind: name a file" if given == "-" else "a binary needs its address"
        like = "app.bin" if given == "-" else shown(given)
        raise typer.BadParameter(f"{what}, such as {like}@0x{FLASH_BASE:08X}", param_hint="--app")
    path, text = application_path(given)
    address = _flash_address(text) if text is not None else None
    with about(path):
        data, name = read_application(path), shown(os.path.basename(path))  # noqa: PTH119 - as the user typed it
        if address is not None:
            return application.from_binary(name, data, address)
        if path.lower().endswith(".hex"):
            return application.from_hex(name, data)
        require("elftools", "elf")
        return application.from_elf(name, data)
    raise AssertionError  # about() does not swallow errors


def application_path(given: str) -> tuple[str, str | None]:
    """The path of what `--app` names, and the address behind it, if there is one."""
    # The last @ that follows .bin: others belong to the path, and so does one before a folder's end.
    binary = re.fullmatch(r"(.+\.bin)@([^@/\\]*)", given, re.DOTALL | re.IGNORECASE)
    return (binary[1], binary[2]) if binary else (given, None)


def _flash_address(text: str) -> int:
    """An address in flash as people write it; exits with wrong usage when it is none."""
    from imagekit.targets import FLASH_BASE, LARGEST_FLASH

    try:
        address = int(text, 0)
    except ValueError as error:
        raise typer.BadParameter(
            f"no address {text!r}: write the address as 0x{FLASH_BASE:08X}", param_hint="--app"
        ) from error
    if not FLASH_BASE <= address < FLASH_BASE + LARGEST_FLASH:
        raise typer.BadParameter(
            f"{text} is not in flash, which starts at 0x{FLASH_BASE:08X}: write the address as 0x{FLASH_BASE:08X}",
            param_hint="--app",
        )
    return address


def version_of(option: str, text: str | None) -> "Version | None":
    """A version as people write it; exits with wrong usage when it is none."""
    from imagekit.image.model import Version

    try:
        return Version.from_text(text) if text is not None else None
    except VersionError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def known_contents(path: str | None) -> "Catalogue":
    """The catalogue in a file, or the shipped one."""
    from imagekit.catalogue import loads, shipped

    if path is None:
        return shipped()
    with about(path):
        return loads(read_text(path))
    raise AssertionError  # about() does not swallow errors


def number_of(option: str, text: str | None) -> int | None:
    """A number as people write it: 244, 0xF4, 0b11, 1_000."""
    try:
        number = int(text, 0) if text is not None else None
    except ValueError:
        number = -1
    if number is not None and number < 0:
        raise typer.BadParameter(f"no number {text!r}: write it as 244 or 0xF4", param_hint=option)
    return number


def expanded(paths: Sequence[str], endings: tuple[str, ...], what: str) -> tuple[list[str], bool]:
    """The files themselves and those below the folders, and whether a folder held none: that is no success."""
    files: list[str] = []
    is_empty = False
    for path in paths:
        below = files_in(path, endings) if os.path.isdir(path) else [path]  # noqa: PTH112 - the path as the user typed it
        if not below:
            complain(f"{shown(path)}: no {what} in this folder")
            is_empty = True
        files += below
    return list(dict.fromkeys(files)), is_empty


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; call what is yielded with how many more are done."""
    if not sys.stderr.isatty() or length < _SLOW:
        yield lambda count: None  # noqa: ARG005 - nobody looks
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


_SLOW = 1000  # fewer files are done before anybody looks


def require(module: str, extra: str) -> None:
    """Exit with wrong usage when the package of an extra is not installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        package = {"elftools": "pyelftools"}.get(module, module)
        complain(f"this needs {package}: pip install 'stm32wb-imagekit[{extra}]', or -e '.[{extra}]' in a checkout")
        raise typer.Exit(ExitCode.USAGE)


def write_result(path: str, data: bytes) -> None:
    """Write a result whole or not at all; exits with one line when that fails."""
    try:
        write_file(path, data)
    except OSError as error:
        trace(error)
        complain(f"{output_name(path)}: {why(error)}")
        raise typer.Exit(ExitCode.UNREADABLE) from error


def output_name(path: str) -> str:
    """Where something is written to, as it can be shown."""
    return "standard output" if path == "-" else shown(path)


def group(app: typer.Typer, name: str, help_: str) -> typer.Typer:
    """A group of commands; alone, it prints its help."""
    made = typer.Typer(help=help_, invoke_without_command=True, rich_markup_mode=None)
    app.add_typer(made, name=name)

    @made.callback()
    def _group(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            print_result(context.get_help())
            raise typer.Exit(ExitCode.USAGE)

    return made


def ask_passphrase(prompt: str, *, twice: bool = False) -> str:
    """Ask for a passphrase on the terminal. Raises KeyFileError, KeyboardInterrupt for whoever gives none."""
    try:
        text: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except UnicodeDecodeError as error:
        raise KeyFileError("what was typed is no text in the terminal's encoding") from error
    return text


def private_key(path: str) -> "PrivateKey":
    """The private key of a PEM file; a passphrase is asked on the terminal, and nowhere else."""
    from imagekit.bundle.keys import is_encrypted, load_private_key

    with about(path):
        pem = read_text(path)
        passphrase = None
        if is_encrypted(pem):
            if not sys.stdin.isatty():
                raise KeyFileError("a passphrase opens this key; it is asked on the terminal, and there is none")
            passphrase = ask_passphrase(f"Passphrase of {shown(path)}")
        key = load_private_key(pem, passphrase)
        _warn_of_readers(path)
        return key
    raise AssertionError  # about() does not swallow errors


def _warn_of_readers(path: str) -> None:
    """Say so when others can read a private key. Windows tells nothing of it in a mode."""
    if os.name == "posix" and os.stat(path).st_mode & 0o044:  # noqa: PTH116 - the path as the user typed it
        complain(f"{shown(path)}: warning: others can read this private key: chmod 600 keeps it yours")
