"""`flasher sim`: make simulated boards and look at them. Exit codes as in docs/exit-codes.md."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flasher.sim.errors import ApplicationSizeError, BoardError, ImageError, PartError

if TYPE_CHECKING:
    from flasher.sim.behaviour import Behaviour
    from flasher.sim.chip import SimulatedChip
    from flasher.sim.parts import Part

_USAGE, _REFUSED, _UNREADABLE = 2, 3, 4
_LARGEST_IMAGE = 1024 * 1024

app = typer.Typer(
    name="sim",
    help="Simulated boards, to try things out without hardware.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _part_numbers(incomplete: str) -> list[str]:
    """Return the part numbers that begin so, for a shell that completes; with STM32 unless it is left out."""
    from flasher.sim.parts import PARTS

    typed = incomplete.upper()
    names = list(PARTS)
    if typed.startswith("W"):
        names = [name.removeprefix("STM32") for name in names]
    if incomplete.islower():
        return [name.lower() for name in names if name.startswith(typed)]
    return [name for name in names if name.startswith(typed)]


@app.command("new")
def new(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="BOARD", help="The file to write; it must not exist yet.")],
    part: Annotated[
        str,
        typer.Option(
            "--part",
            "-p",
            metavar="PART",
            help="The number printed on the chip, such as STM32WB55RG.",
            autocompletion=_part_numbers,
        ),
    ],
    fus: Annotated[str, typer.Option("--fus", metavar="VERSION", help="The FUS version on the chip.")] = "1.2.0",
    stack: Annotated[
        Path | None, typer.Option("--stack", metavar="IMAGE", help="Image of the stack that is installed.")
    ] = None,
    application: Annotated[
        Path | None,
        typer.Option(
            "--app", metavar="FILE", help="Application in flash: ELF, HEX, S-record, DfuSe, UF2, or a binary."
        ),
    ] = None,
    root_key: Annotated[
        list[Path] | None,
        typer.Option("--root-key", metavar="PEM", help="Public key that FUS trusts instead of ST's. May be repeated."),
    ] = None,
    believed: Annotated[
        list[Path] | None,
        typer.Option("--believed", metavar="IMAGE", help="Image that FUS 0.5.3 or 1.0.x accepts. May be repeated."),
    ] = None,
    sram2rst: Annotated[
        int, typer.Option("--sram2rst", min=0, max=1, metavar="0|1", help="Option SRAM2RST. 0: a reset erases SRAM2.")
    ] = 1,
    bonded: Annotated[bool, typer.Option("--bonded", help="The stack has bonding data.")] = False,
) -> None:
    """Make a new board.

    Example: flasher sim new board.json --part STM32WB55RG --fus 1.2.0
    """
    from flasher.sim.board import create_board

    accepted = tuple(hashlib.sha256(_content(path)).hexdigest() for path in believed or ())
    chip = _made(
        part,
        fus,
        stack,
        _application(application, context.obj) if application else None,
        root_key,
        {"sram2rst": sram2rst, "accepted": accepted, "has_bonding_data": bonded},
    )
    with _about(file):
        create_board(chip, file)
    typer.echo(f"{_shown(file)}: {chip.part.name}")


def _made(
    part: str,
    fus: str,
    stack: Path | None,
    application: tuple[Path, bytes] | None,
    root_key: list[Path] | None,
    more: dict[str, Any],
) -> "SimulatedChip":
    """The chip that was asked for, with a UID of its own."""
    from flasher.sim.board import make_board

    kind, version = _part(part), _version(fus)
    keys = tuple(_point(path) for path in root_key) if root_key else None
    image = _content(stack) if stack else None
    code = application[1] if application else None
    try:
        return make_board(
            kind, fus_version=version, keys=keys, stack=image, application=code, serial=secrets.randbits(24), **more
        )
    except PartError as error:
        raise _left(str(error), _USAGE) from error
    except ImageError as error:
        raise _left(f"{_shown(stack)}: {error}", _REFUSED) from error
    except ApplicationSizeError as error:
        raise _left(f"{_shown(application[0] if application else None)}: {error}", _REFUSED) from error


def _application(path: Path, reader: Callable[[Path], bytes] | None) -> tuple[Path, bytes]:
    """The application in a file; `reader` is how the program that runs these commands reads one, None: as it is."""
    if reader is None:
        return path, _content(path)
    with _about(path):
        try:
            return path, reader(path)
        except ValueError as error:
            raise BoardError(str(error)) from error


@app.command("show")
def show(file: Annotated[Path, typer.Argument(metavar="BOARD", help="The board to show.")]) -> None:
    """Show what is on a board. Nothing on it changes.

    Example: flasher sim show board.json
    """
    from flasher.sim.board import load_board
    from flasher.sim.show import describe

    with _about(file):
        chip = load_board(file)
    for label, value in describe(chip):
        typer.echo(f"{label + ':':<15}{value}")


Board = Annotated[Path, typer.Argument(metavar="BOARD", help="The board.")]


@app.command("set")
def set_behaviour(
    board: Board,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Behaviours to change; none: list them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="List the behaviours as JSON.")] = False,
) -> None:
    """Choose how a board behaves, or list behaviours. They are what differs between chips, or is not known.

    Example: flasher sim set board.json purge=unknown
    """
    from flasher.sim.behaviour import SettingError, with_settings
    from flasher.sim.board import load_board, save_board, with_behaviour
    from flasher.sim.board_lock import locked

    with _about(board), locked(board) if values else nullcontext():
        chip = load_board(board)
        if values:
            try:
                behaviour = with_settings(chip.behaviour, values)
            except SettingError as error:
                raise _left(str(error), _USAGE) from error
            if behaviour != chip.behaviour:
                save_board(with_behaviour(chip, behaviour), board)
            chip.behaviour = behaviour
    if as_json or not values:
        _list_behaviours(chip.behaviour, as_json=as_json)


def _list_behaviours(behaviour: "Behaviour", *, as_json: bool) -> None:
    from flasher.sim.behaviour import settings, value_text

    names = ("name", "value", "default", "choices", "meaning", "source")
    rows = [
        (entry.name, value_text(behaviour, entry), entry.default, entry.choices, entry.meaning, entry.source)
        for entry in settings()
    ]
    if as_json:
        listed = [dict(zip(names, row, strict=True)) for row in rows]
        typer.echo(json.dumps({"schema": "flasher.sim-behaviours/1", "behaviours": listed}, indent=1))
        return
    _echo_table([("name", "value", "choices", "meaning", "source"), *(row[:2] + row[3:] for row in rows)])


@app.command("fault")
def fault(
    board: Board,
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPEC]...", help="KIND@PLACE[:NN%][=VALUE] or KIND@[read:|write:]N[=VALUE]."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the faults that are armed first.")] = False,
) -> None:
    """Arm faults for a board's next run, or list them.

    Example: flasher sim fault board.json link-lost@install-fus
    """
    from flasher.sim.board import load_board, save_board
    from flasher.sim.board_lock import locked
    from flasher.sim.faults import parse_fault

    try:
        added = tuple(parse_fault(spec).text for spec in specs or ())
    except ValueError as error:
        raise _left(str(error), _USAGE) from error
    with _about(board), locked(board):
        chip = load_board(board)
        before = chip.faults
        chip.faults = (() if clear else before) + added
        if chip.faults != before:
            save_board(chip, board)
    for text in chip.faults:
        typer.echo(text)
    if not chip.faults:
        typer.echo("no fault is armed")


@app.command("faults")
def faults() -> None:
    """List the kinds of faults and the places where they can strike.

    Example: flasher sim faults
    """
    from flasher.sim.faults import KINDS
    from flasher.sim.places import PLACES, WITH_PERCENTAGE

    _echo_table([("kind", "what happens"), *KINDS.items()])
    typer.echo("")
    marked = {name: f"{name}[:NN%]" if name in WITH_PERCENTAGE else name for name in PLACES}
    _echo_table([("place", "when the chip is there"), *((marked[name], text) for name, text in PLACES.items())])


def _echo_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


# --- input


def _part(text: str) -> "Part":
    from flasher.sim.parts import find_part

    try:
        return find_part(text)
    except PartError as error:
        raise _left(str(error), _USAGE) from error


def _version(text: str) -> int:
    """A version word from `major.minor.sub` or `major.minor.sub.build`."""
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\.(\d{1,2}))?", text, re.ASCII)
    numbers = [int(number or 0) for number in match.groups()] if match else [256]
    if max(numbers) > 0xFF or numbers[-1] > 0xF:
        raise _left(f"no version of FUS: {text!r}; such as 1.2.0", _USAGE)
    return int.from_bytes(bytes(numbers), "big")


def _content(path: Path) -> bytes:
    with _about(path), path.open("rb") as file:
        content = file.read(_LARGEST_IMAGE + 1)
        if len(content) > _LARGEST_IMAGE:
            raise BoardError("larger than any flash")
        return content


def _point(path: Path) -> str:
    """The uncompressed point of a P-256 public key, in hex."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    content = _content(path)
    with _about(path):
        try:
            key = load_pem_public_key(content)
        except ValueError as error:
            raise BoardError("no public key in PEM") from error
        except UnsupportedAlgorithm as error:
            raise BoardError("no public key of the curve P-256") from error
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise BoardError("no public key of the curve P-256")
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


# --- errors


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Turn what goes wrong with one file into one line and an exit code."""
    try:
        yield
    except BoardError as error:
        raise _left(f"{_shown(path)}: {error}", _UNREADABLE) from error
    except OSError as error:
        raise _left(f"{_shown(path)}: {(error.strerror or str(error)).lower()}", _UNREADABLE) from error


def _left(message: str, code: int) -> typer.Exit:
    typer.echo(f"flasher: {message}", err=True)
    return typer.Exit(code)


def _shown(path: Path | None) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(path))
