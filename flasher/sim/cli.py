"""`flasher sim`: make simulated boards and look at them. Exit codes as in docs/exit-codes.md."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flasher.sim.errors import ApplicationError, BoardError, ImageError, PartError

if TYPE_CHECKING:
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


@app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="The board to make; never one that is there.")],
    part: Annotated[str, typer.Option("--part", help="Part number, such as STM32WB55RG.")],
    fus: Annotated[str, typer.Option("--fus", help="Version of FUS on the chip.")] = "1.2.0",
    stack: Annotated[Path | None, typer.Option("--stack", help="Image of a stack that is installed.")] = None,
    application: Annotated[Path | None, typer.Option("--app", help="Binary of an application in flash.")] = None,
    root_key: Annotated[
        list[Path] | None,
        typer.Option("--root-key", metavar="PEM", help="Public key that FUS believes instead of ST's; again for more."),
    ] = None,
    believed: Annotated[
        list[Path] | None,
        typer.Option("--believed", metavar="IMAGE", help="Image that FUS 0.5.3 or 1.0.x believes; again for more."),
    ] = None,
    sram2rst: Annotated[
        int, typer.Option("--sram2rst", min=0, max=1, help="Option SRAM2RST; 0: a reset erases SRAM2.")
    ] = 1,
) -> None:
    """Make a new board."""
    from flasher.sim.board import create_board

    accepted = tuple(hashlib.sha256(_content(path)).hexdigest() for path in believed or ())
    chip = _made(part, fus, stack, application, root_key, {"sram2rst": sram2rst, "accepted": accepted})
    with _about(file):
        create_board(chip, file)
    typer.echo(f"{_shown(file)}: {chip.part.name}")


def _made(
    part: str,
    fus: str,
    stack: Path | None,
    application: Path | None,
    root_key: list[Path] | None,
    more: dict[str, Any],
) -> "SimulatedChip":
    """The chip that was asked for, with a UID of its own."""
    from flasher.sim.board import make_board

    kind, version = _part(part), _version(fus)
    keys = tuple(_point(path) for path in root_key) if root_key else None
    image = _content(stack) if stack else None
    code = _content(application) if application else None
    try:
        return make_board(
            kind, fus_version=version, keys=keys, stack=image, application=code, serial=secrets.randbits(24), **more
        )
    except PartError as error:
        raise _left(str(error), _USAGE) from error
    except ImageError as error:
        raise _left(f"{_shown(stack)}: {error}", _REFUSED) from error
    except ApplicationError as error:
        raise _left(f"{_shown(application)}: {error}", _REFUSED) from error


@app.command("show")
def show(file: Annotated[Path, typer.Argument(help="The board to look at.")]) -> None:
    """Show what is on a board. Nothing on it changes."""
    from flasher.sim.board import load_board
    from flasher.sim.show import describe

    with _about(file):
        chip = load_board(file)
    for label, value in describe(chip):
        typer.echo(f"{label + ':':<15}{value}")


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
