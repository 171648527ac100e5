"""The commands about keys: generate, show, recover."""

import os
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.console import about, complain, print_result, public_keys, shown, trace
from imagekit.cli.options import ask_passphrase, expanded, group, private_key, require
from imagekit.errors import ExitCode, ImagekitError
from imagekit.files import create_file, read_image, read_text
from imagekit.text import why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagekit.image.key_recovery import RecoveredKey
    from imagekit.image.model import Image

keys = group(app, "keys", "Keys of bundles, and keys of ST's images.")


class KeyType(StrEnum):
    """What signs a bundle."""

    ED25519 = "ed25519"
    P256 = "p256"


@keys.command()
def generate(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The private key to write, such as release.pem.")],
    type_: Annotated[
        KeyType, typer.Option("--type", envvar="IMAGEKIT_TYPE", help="p256 is what every HSM knows.")
    ] = KeyType.ED25519,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", envvar="IMAGEKIT_ASK_PASSPHRASE", help="Ask for one, and encrypt the key.")
    ] = False,
) -> None:
    """Make a key pair that signs bundles.

    OUT, readable by you alone, and beside it the public key, OUT with .pub. Nothing is ever overwritten. Keep OUT off
    the production line: whoever has it can sign bundles.

    Example: imagekit keys generate release.pem --passphrase
    """
    from imagekit.bundle.keys import fingerprint, private_pem, public_pem
    from imagekit.bundle.keys import generate as make

    public = f"{os.path.splitext(out)[0]}.pub"  # noqa: PTH122 - the path as the user typed it
    if public == out:
        raise typer.BadParameter(f"{shown(out)} is the public key's name: name another file", param_hint="OUT")
    for path, what in ((out, ""), (public, f", where the public key of {shown(out)} would be written")):
        if os.path.lexists(path):
            complain(f"{shown(path)}: is there already{what}, and no key is ever overwritten")
            raise typer.Exit(ExitCode.UNREADABLE)
    key = make(type_.value)
    with about(out):
        secret = _new_passphrase() if passphrase else None
        create_file(out, private_pem(key, secret), private=True)
    try:
        with about(public):
            create_file(public, public_pem(key.public_key()), private=False)
    except BaseException:
        with suppress(OSError):
            os.unlink(out)  # noqa: PTH108 - both files or none
        raise
    print_result(f"{fingerprint(key.public_key())}  {shown(public)}")


def _new_passphrase() -> str:
    """Ask for a new passphrase, twice; exits with wrong usage where there is no terminal."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("a passphrase is asked on the terminal, and there is none", param_hint="--passphrase")
    return ask_passphrase("Passphrase", twice=True)


@keys.command()
def show(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Public or private keys in PEM.")],
    pem: Annotated[bool, typer.Option("--pem", envvar="IMAGEKIT_PEM", help="Print the public keys in PEM.")] = False,
) -> None:
    """Show the fingerprint and the kind of keys.

    The fingerprint is SHA-256 of the DER SubjectPublicKeyInfo, as bundles name keys.

    Example: imagekit keys show release.pub
    """
    from imagekit.bundle.keys import fingerprint, is_private, kind_of, public_pem

    for path in files:
        with about(path):
            has_secret = is_private(read_text(path))
        found = [private_key(path).public_key()] if has_secret else public_keys(path)
        for key in found:
            what = f"{kind_of(key)}{', private' if has_secret else ''}"
            print_result(public_pem(key).decode().strip() if pem else f"{fingerprint(key)}  {what}  {shown(path)}")


@keys.command()
def recover(
    paths: Annotated[list[str], typer.Argument(metavar="FILE", help="Images of ST's, or folders with *.bin.")],
    pem: Annotated[bool, typer.Option("--pem", envvar="IMAGEKIT_PEM", help="Print the keys in PEM too.")] = False,
) -> None:
    """Recover ST's public keys from images.

    From the images alone; and which files share which key. Two different images signed under one key are enough. Files
    whose key signed no other of them cannot be placed: they were altered, or theirs is a key of its own. Exits with 3
    when no key was found.

    Example: imagekit keys recover STM32WB_Copro_Wireless_Binaries
    """
    from imagekit.image.model import Image

    require("ecdsa", "recover")
    from imagekit.image.key_recovery import recover as recover_keys

    files, is_empty = expanded(paths, (".bin",), "*.bin")
    images: dict[str, Image] = {}
    is_broken = is_empty
    for path in files:
        try:
            images[path] = Image.parse(read_image(path))
        except (ImagekitError, OSError) as error:
            trace(error)
            complain(f"{shown(path)}: {why(error)}")
            is_broken = is_broken or path in paths
    found, left = recover_keys(images.values())
    for key in found:
        _print_key(key, images, pem=pem)
    _print_left(left, images)
    if is_broken:
        raise typer.Exit(ExitCode.UNREADABLE)
    raise typer.Exit(ExitCode.DONE if found else ExitCode.REFUSED)


def _print_key(key: "RecoveredKey", images: "dict[str, Image]", *, pem: bool) -> None:
    """One recovered key, and the files that it signed."""
    from imagekit.bundle.keys import public_pem
    from imagekit.image.signing_keys import st_keys

    name = next((one.name for one in st_keys() if one.public_key == key.public_key), "not among imagekit's")
    files = _files_of(key.images, images)
    print_result(f"{key.point.hex()}\n  key       {name}: {len(key.images)} contents in {len(files)} files")
    if pem:
        print_result(public_pem(key.public_key).decode().strip())
    for path in files:
        print_result(f"  signed    {shown(path)}")


def _print_left(left: "Sequence[Image]", images: "dict[str, Image]") -> None:
    for path in _files_of(left, images):
        complain(f"{shown(path)}: no other image here has its key: altered, or signed under a key of its own")


def _files_of(some: "Sequence[Image]", images: "dict[str, Image]") -> list[str]:
    wanted = {image.sha256 for image in some}
    return [path for path, image in images.items() if image.sha256 in wanted]
