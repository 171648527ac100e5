"""The commands about keys: generate, show, recover."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import SHIP, app
from imagekit.cli.console import about, complain, print_json, print_result, public_keys, shown, trace
from imagekit.cli.key_files import PassphraseFile, is_on_token, new_passphrase, private_key
from imagekit.cli.options import AsJson, expanded, group, require
from imagekit.errors import ExitCode, ImagekitError
from imagekit.files import NewFile, create_files, exists, read_image, read_text, without_ending
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.image.model import Image

keys = group(app, "keys", "Keys of bundles, and keys of ST's images.", SHIP)


class KeyType(StrEnum):
    """The algorithms that sign bundles."""

    ED25519 = "ed25519"
    P256 = "p256"


@keys.command()
def generate(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The new private key, such as release.pem.")],
    type_: Annotated[
        KeyType,
        typer.Option(
            "--type", envvar="IMAGEKIT_TYPE", metavar="TYPE", help="ed25519, or p256, which every HSM supports."
        ),
    ] = KeyType.ED25519,
    passphrase: Annotated[
        bool,
        typer.Option(
            "--passphrase", envvar="IMAGEKIT_ASK_PASSPHRASE", help="Ask for a passphrase, and encrypt the key with it."
        ),
    ] = False,
    passphrase_file: Annotated[str | None, PassphraseFile] = None,
) -> None:
    """Make a key pair that signs bundles.

    Writes the private key to OUT, readable by you only, and the public key beside it, with the ending .pub. An existing
    file is never overwritten. Keep OUT off the production line: everyone who has it can sign bundles. With
    --passphrase, the value of IMAGEKIT_KEY_PASSPHRASE is used if it is set; otherwise the terminal is asked.

    Example: imagekit keys generate release.pem --passphrase
    """
    from imagekit.bundle.keys import fingerprint, private_pem, public_pem
    from imagekit.bundle.keys import generate as generate_key

    public = f"{without_ending(out)}.pub"
    if public == out:
        raise typer.BadParameter(
            f"{shown(out)} would be the name of the public key: name another file", param_hint="OUT"
        )
    _refuse_existing(out, public)
    key = generate_key(type_.value)
    with about(out):
        secret = new_passphrase(passphrase_file) if passphrase or passphrase_file is not None else None
        # The public key first: a private key without its public key cannot be trusted anywhere.
        create_files(
            [NewFile(public, public_pem(key.public_key())), NewFile(out, private_pem(key, secret), private=True)]
        )
    print_result(f"{fingerprint(key.public_key())}  {shown(public)}")


def _refuse_existing(out: str, public: str) -> None:
    """Exit when one of the two files of a key pair exists: a lost private key cannot be made again."""
    for path, what in ((out, ""), (public, f", where the public key of {shown(out)} would be written")):
        if exists(path):
            complain(f"{shown(path)}: exists already{what}. A key is never overwritten: name another file.")
            raise typer.Exit(ExitCode.UNREADABLE)


@keys.command()
def show(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Public or private keys in PEM.")],
    pem: Annotated[bool, typer.Option("--pem", envvar="IMAGEKIT_PEM", help="Print the public keys in PEM.")] = False,
    passphrase_file: Annotated[str | None, PassphraseFile] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show the fingerprint and the type of keys.

    The fingerprint is the SHA-256 of the DER SubjectPublicKeyInfo. Bundles name their keys by it.

    Example: imagekit keys show release.pub
    """
    from imagekit.bundle.keys import is_private
    from imagekit.report import keys as report

    found: list[report.KeyInFile] = []
    for path in files:
        has_secret = is_on_token(path)
        if not has_secret:
            with about(path):
                has_secret = is_private(read_text(path))
        public = [private_key(path, passphrase_file).public_key()] if has_secret else public_keys(path)
        found += [report.KeyInFile(path, key, is_private=has_secret) for key in public]
    if json:
        print_json(report.document(found))
    elif pem:
        print_result("\n".join(report.pem(entry) for entry in found))
    else:
        print_result("\n".join(report.line(entry, shown(entry.path)) for entry in found))


@keys.command()
def recover(
    paths: Annotated[list[str], typer.Argument(metavar="FILE", help="ST's images, or folders with *.bin.")],
    pem: Annotated[bool, typer.Option("--pem", envvar="IMAGEKIT_PEM", help="Print the keys in PEM too.")] = False,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Recover ST's public keys from images.

    Needs only the images: two different ones that are signed with the same key are enough. Shows which files share a
    key. A file that shares its key with no other file cannot be assigned: it was modified, or signed with a different
    key. Exits with 3 when no key was found.

    Example: imagekit keys recover STM32WB_Copro_Wireless_Binaries
    """
    require("ecdsa", "recover")
    from imagekit.image.key_recovery import recover as recover_keys
    from imagekit.report import keys as report

    files, is_empty = expanded(paths, (".bin",), "*.bin")
    images, has_failed = _read_images(files, paths)
    found, left = recover_keys(images.values())
    signed = [report.KeyOfFiles(key, _files_of(key.images, images)) for key in found]
    unassigned = _files_of(left, images)
    if json:
        print_json(report.recovered_document(signed, unassigned))
    for entry in [] if json else signed:
        print_result(report.recovered(entry, shown, with_pem=pem))
    for path in unassigned:
        complain(f"{shown(path)}: shares its key with no other file: it was modified, or signed with a different key")
    if is_empty or has_failed:
        raise typer.Exit(ExitCode.UNREADABLE)
    if not found:
        raise typer.Exit(ExitCode.REFUSED)


def _read_images(files: Sequence[str], named: Sequence[str]) -> "tuple[dict[str, Image], bool]":
    """Read images; return them by their paths, and whether a file that the user named is not one."""
    from imagekit.image.model import Image

    images: dict[str, Image] = {}
    has_failed = False
    for path in files:
        try:
            images[path] = Image.parse(read_image(path))
        except (ImagekitError, OSError) as error:
            trace(error)
            complain(f"{shown(path)}: {why(error)}")
            has_failed = has_failed or path in named
    return images, has_failed


def _files_of(some: "Sequence[Image]", images: "dict[str, Image]") -> list[str]:
    wanted = {image.sha256 for image in some}
    return [path for path, image in images.items() if image.sha256 in wanted]
