"""Reading private keys from files, and asking for their passphrases."""

import os
import sys
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, shown
from imagekit.cli.options import require
from imagekit.errors import KeyFileError
from imagekit.files import is_open_to_others, read_some, read_text
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.bundle.keys import PrivateKey

PASSPHRASE_VARIABLE = "IMAGEKIT_KEY_PASSPHRASE"  # noqa: S105 - a name
"""The environment variable that holds a passphrase."""
PassphraseFile = typer.Option(
    "--passphrase-file",
    envvar="IMAGEKIT_PASSPHRASE_FILE",
    metavar="FILE",
    help="Read the passphrase of the private key, or the PIN of its token, from a file, or from a descriptor such as "
    "/dev/fd/3. One line end is ignored.",
    show_default=False,
)
_LONGEST = 64 * 1024


def ask_passphrase(prompt: str) -> str:
    """Ask for a passphrase on the terminal, without showing it.

    Raises:
        KeyFileError: standard input is not a terminal, it cannot hide the input, or the input cannot be decoded.
        KeyboardInterrupt: the user stopped.
    """
    import getpass
    import warnings

    if not sys.stdin.isatty():
        raise KeyFileError(
            f"this key needs a passphrase, and standard input is not a terminal: use --passphrase-file or "
            f"{PASSPHRASE_VARIABLE}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            # getpass hides the input before it prints the prompt, so that nothing typed after the prompt is shown.
            return getpass.getpass(f"{prompt}: ")
    except EOFError as error:
        raise KeyboardInterrupt from error
    except UnicodeDecodeError as error:
        raise KeyFileError("the passphrase is not text in the encoding of the terminal") from error
    except getpass.GetPassWarning as error:
        raise KeyFileError("this terminal cannot hide a passphrase: use --passphrase-file") from error


def given_passphrase(file: str | None) -> str | None:
    """Return the passphrase of a file, or of the environment; None when neither is given. Raises KeyFileError."""
    if file is None:
        return os.environ.get(PASSPHRASE_VARIABLE)
    try:
        raw = read_some(file, _LONGEST)
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except OSError as error:
        raise KeyFileError(f"the file of the passphrase, {shown(file)}: {why(error)}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"the file of the passphrase, {shown(file)}: not UTF-8") from error


def new_passphrase(file: str | None) -> str:
    """Return a passphrase for a new key, from a file, from the environment, or typed twice. Raises KeyFileError."""
    passphrase = given_passphrase(file)
    if passphrase is None:
        passphrase = ask_passphrase("New passphrase")
        if ask_passphrase("The same again") != passphrase:
            raise KeyFileError("the two passphrases differ: no key was made")
    if not passphrase:
        raise KeyFileError("the passphrase is empty: no key was made")
    return passphrase


def is_on_token(path: str) -> bool:
    """Return whether a key is named by a PKCS #11 URI in place of a file."""
    return path.startswith("pkcs11:")


def _token_key(uri: str, passphrase_file: str | None) -> "PrivateKey":
    require("pkcs11", "pkcs11")
    from imagekit.bundle.token import open_key, parse_uri

    with about(uri):
        place = parse_uri(uri)
        pin = given_passphrase(passphrase_file)
        if pin is None:
            pin = ask_passphrase(f"PIN of the token {shown(place.token)}")
        return open_key(place, pin)


def private_key(path: str, passphrase_file: str | None = None) -> "PrivateKey":
    """Return the private key of a PEM file or of a token.

    Its passphrase or PIN comes from a file, the environment, or the terminal.
    """
    from imagekit.bundle.keys import is_encrypted, load_private_key

    if is_on_token(path):
        return _token_key(path, passphrase_file)

    with about(path):
        pem = read_text(path)
        passphrase = None
        if is_encrypted(pem):
            passphrase = given_passphrase(passphrase_file)
            if passphrase is None:
                passphrase = ask_passphrase(f"Passphrase of {shown(path)}")
        key = load_private_key(pem, passphrase)
        if is_open_to_others(path):
            complain(f"{shown(path)}: warning: other users can read or change this private key. Run chmod 600 on it.")
        return key
