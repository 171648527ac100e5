"""Options that several commands take, and the values in them; a value that is wrong is wrong usage (exit code 2)."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, print_result, shown, trace
from imagekit.errors import ExitCode, TargetError, VersionError
from imagekit.files import (
    NewFile,
    create_files,
    files_in,
    is_device,
    is_folder,
    name_of,
    read_some,
    read_text,
    write_file,
)
from imagekit.files import read_application as read_application_file
from imagekit.text import hex_word, why

if TYPE_CHECKING:
    from imagekit.application.model import Application
    from imagekit.catalogue import Catalogue
    from imagekit.image.model import Version
    from imagekit.rules.registry import Chip
    from imagekit.targets import Target


def beginning_so(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that begin so, for a shell that completes; in small letters when that is what was typed."""
    if incomplete.islower():
        names = [name.lower() for name in names]
    return [name for name in names if name.startswith(incomplete)]


def part_numbers(incomplete: str) -> list[str]:
    """Return the part numbers and boards that begin so; part numbers with STM32 unless it is left out."""
    from imagekit.targets import BOARDS, PARTS

    prefix = "" if incomplete.upper().startswith("W") else "STM32"
    return beginning_so(incomplete, [*(prefix + part for part in PARTS), *(board.name for board in BOARDS)])


def fus_versions(incomplete: str) -> list[str]:
    """Return the FUS versions that begin so (release notes of STM32CubeWB v1.1.0 to v1.24.0)."""
    return beginning_so(incomplete, ("0.5.3", "1.0.1", "1.0.2", "1.1.0", "1.1.2", "1.2.0", "2.0.0", "2.1.0", "2.2.0"))


def image_names(incomplete: str) -> list[str]:
    """Return ST's names of images that begin so, such as `BLE_Stack_full`."""
    from imagekit.catalogue import shipped

    return beginning_so(
        incomplete, sorted({name for content in shipped().contents.values() for name in content.variants})
    )


Part = typer.Option(
    "--part",
    "-p",
    envvar="IMAGEKIT_PART",
    metavar="PART",
    help="The number on the chip, such as STM32WB55RG, or a board, such as NUCLEO-WB55RG.",
    show_default=False,
    autocompletion=part_numbers,
)
Parts = typer.Option(
    "--part",
    "-p",
    envvar="IMAGEKIT_PART",
    metavar="PART",
    help="The number on the chip, such as STM32WB55RG, or a board, such as NUCLEO-WB55RG. Repeat it for several parts.",
    show_default=False,
    autocompletion=part_numbers,
)
Fus = typer.Option(
    "--fus",
    envvar="IMAGEKIT_FUS",
    metavar="VERSION",
    help="The FUS on the chip, such as 1.2.0, v1.2.0 or 0x01020000.",
    show_default=False,
    autocompletion=fus_versions,
)
Sfsa = typer.Option(
    "--sfsa",
    envvar="IMAGEKIT_SFSA",
    metavar="SECTOR",
    help="SFSA from the option bytes of the chip, such as 0xF4.",
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
    help="The application on CPU1: ELF (.elf, .axf, .out), Intel HEX, S-record, DfuSe, UF2, or app.bin@0x08000000.",
    show_default=False,
)
KnownContents = typer.Option(
    "--catalogue",
    envvar="IMAGEKIT_CATALOGUE",
    metavar="FILE",
    help="A catalogue that you built, in place of the built-in one.",
    show_default=False,
)
AsJson = typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")


def target_of(part: str) -> "Target":
    """Return the target of a part number or board; exits with wrong usage when there is none."""
    from imagekit.targets import select_target

    try:
        return select_target(part)
    except TargetError as error:
        raise typer.BadParameter(str(error), param_hint="--part") from error


def chip_of(
    part: str | None, fus: str | None = None, *, needs_customer_signature: bool = False, app: str | None = None
) -> "Chip":
    """Return what the options say about the chip; exits with wrong usage when they are wrong."""
    parts = [part] if part is not None else []
    return chips_of(parts, fus, needs_customer_signature=needs_customer_signature, app=app)[0]


def chips_of(
    parts: Sequence[str], fus: str | None = None, *, needs_customer_signature: bool = False, app: str | None = None
) -> "list[Chip]":
    """Return one chip for each part, each part once; without a part, one chip of which only the rest is known."""
    from imagekit.rules.registry import Chip

    if app is not None and not parts:
        raise typer.BadParameter("needs --part: the address of an image depends on the part", param_hint="--app")
    targets = {part.strip(): target_of(part) for part in parts}
    common = Chip(
        fus=version_of("--fus", fus),
        needs_customer_signature=needs_customer_signature,
        application=application_of(app) if app is not None else None,
    )
    return [replace(common, target=target, part=part) for part, target in targets.items()] or [common]


def application_of(given: str) -> "Application":
    """Return the application in a file of any known format, or in `.bin@ADDRESS`; exits when it is not one."""
    from imagekit.application.read import read_application
    from imagekit.targets import FLASH_BASE

    if given == "-":
        raise typer.BadParameter(
            f"standard input does not tell its format: name a file, such as app.bin@{hex_word(FLASH_BASE)}",
            param_hint="--app",
        )
    path, text = application_path(given)
    address = _flash_address(text) if text is not None else None
    if address is None and path.lower().endswith(".bin") and not _stores_addresses(path):
        raise typer.BadParameter(
            f"a binary needs its address, such as {shown(given)}@{hex_word(FLASH_BASE)}", param_hint="--app"
        )
    with about(path):
        data, name = read_application_file(path), shown(name_of(path))
        return read_application(name, data, address)


def _stores_addresses(path: str) -> bool:
    """Whether the content of a file is a format with addresses; False for what cannot be read, or is a pipe."""
    from imagekit.application.read import has_addresses

    if is_device(path):
        return False
    try:
        return has_addresses(read_some(path, _LONGEST_FIRST_LINE))
    except OSError:
        return False


_LONGEST_FIRST_LINE = 1024
"""Bytes that hold the first record of Intel HEX and of S-records: 521 and 518 characters at most."""


def application_path(given: str) -> tuple[str, str | None]:
    """Return the path that `--app` names, and the address behind it, if there is one."""
    # The last @ that follows .bin: others belong to the path, and so does one that a path separator follows.
    binary = re.fullmatch(r"(.+\.bin)@([^@/\\]*)", given, re.DOTALL | re.IGNORECASE)
    if binary is None:
        return given, None
    return binary[1], binary[2]


def _flash_address(text: str) -> int:
    """Return an address in flash; exits with wrong usage when it is not one."""
    from imagekit.targets import FLASH_BASE, LARGEST_FLASH

    try:
        address = int(text, 0)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not an address: write it as {hex_word(FLASH_BASE)}", param_hint="--app"
        ) from error
    if not FLASH_BASE <= address < FLASH_BASE + LARGEST_FLASH:
        raise typer.BadParameter(
            f"{text} is not in flash: write the address as {hex_word(FLASH_BASE)}",
            param_hint="--app",
        )
    return address


def version_of(option: str, text: str | None) -> "Version | None":
    """Return a version; exits with wrong usage when the text is not one."""
    from imagekit.image.model import Version

    try:
        if text is not None:
            return Version.from_text(text)
    except VersionError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    return None


def known_contents(path: str | None) -> "Catalogue":
    """Return the catalogue in a file, or the built-in one."""
    from imagekit.catalogue import loads, shipped

    if path is None:
        return shipped()
    with about(path):
        return loads(read_text(path))


def number_of(option: str, text: str | None) -> int | None:
    """Return a number that is not negative, written as 244 or 0xF4."""
    try:
        number = int(text, 0) if text is not None else None
    except ValueError:
        number = -1
    if number is not None and number < 0:
        raise typer.BadParameter(f"{text!r} is not a number: write it as 244 or 0xF4", param_hint=option)
    return number


def expanded(paths: Sequence[str], endings: tuple[str, ...], what: str) -> tuple[list[str], bool]:
    """Return the files and those below the folders, and whether a folder held none: that is not a success."""
    files: list[str] = []
    is_empty = False
    for path in paths:
        below = files_in(path, endings) if is_folder(path) else [path]
        if not below:
            complain(f"{shown(path)}: no {what} in this folder")
            is_empty = True
        files += below
    return list(dict.fromkeys(files)), is_empty


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; what is yielded is called with how many more are done."""
    if not sys.stderr.isatty() or length < _SLOW:
        yield lambda count: None  # noqa: ARG005 - nothing to show
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


_SLOW = 1000  # fewer files are done before a bar can be read


def require(module: str, extra: str) -> None:
    """Exit with code 8 and one line that says what to install, when the package of an extra is not installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        package = {"pkcs11": "python-pkcs11"}.get(module, module)
        complain(
            f"this command needs {package}: pip install 'stm32wb-imagekit[{extra}]', or -e '.[{extra}]' in a checkout"
        )
        raise typer.Exit(ExitCode.MISSING_PACKAGE)


def write_result(path: str, data: bytes) -> None:
    """Write a result completely or not at all; exits with one line when that fails."""
    try:
        write_file(path, data)
    except OSError as error:
        trace(error)
        complain(f"{output_name(path)}: {why(error)}")
        raise typer.Exit(ExitCode.UNREADABLE) from error


def write_new_result(path: str, data: bytes, *, is_stream: bool) -> None:
    """Write a result to a new file, or to a stream; exits with one line when that fails, also when a file is there.

    `is_stream` was decided before the input was read: a link that appears at the path later is not followed.
    """
    if is_stream:
        write_result(path, data)
        return
    with about(path):
        create_files([NewFile(path, data)])


def is_stream(path: str) -> bool:
    """Return whether a path is standard output, a device or a pipe."""
    return path == "-" or is_device(path)


def output_name(path: str) -> str:
    """Return the name of an output file as it can be printed."""
    if path == "-":
        return "standard output"
    return shown(path)


def group(app: typer.Typer, name: str, help_: str, panel: str) -> typer.Typer:
    """Return a new group of commands, which prints its help when no command is given."""
    commands = typer.Typer(help=help_, invoke_without_command=True, rich_markup_mode=None)
    app.add_typer(commands, name=name, rich_help_panel=panel)

    @commands.callback()
    def _group(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            print_result(context.get_help())
            raise typer.Exit(ExitCode.USAGE)

    return commands
