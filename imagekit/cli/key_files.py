"""Reading private keys from files, and asking for their passphrases."""

import sys
from typing import TYPE_CHECKING

import typer

from imagekit.cli.console import about, complain, shown
from imagekit.errors import KeyFileError
from imagekit.files import is_readable_by_others, read_text

if TYPE_CHECKING:
    from imagekit.bundle.keys import PrivateKey


def ask_passphrase(prompt: str, *, twice: bool = False) -> str:
    """Ask for a passphrase on the terminal.

    Raises:
        KeyFileError: what was typed cannot be decoded.
        KeyboardInterrupt: the user stopped.
    """
    try:
        text: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except UnicodeDecodeError as error:
        raise KeyFileError("the passphrase is not text in the encoding of the terminal") from error
    return text


def private_key(path: str) -> "PrivateKey":
    """Return the private key of a PEM file; its passphrase is asked on the terminal."""
    from imagekit.bundle.keys import is_encrypted, load_private_key

    with about(path):
        pem = read_text(path)
        passphrase = None
        if is_encrypted(pem):
            if not sys.stdin.isatty():
                raise KeyFileError("this key has a passphrase, and there is no terminal to ask for it")
            passphrase = ask_passphrase(f"Passphrase of {shown(path)}")
        key = load_private_key(pem, passphrase)
        if is_readable_by_others(path):
            complain(f"{shown(path)}: warning: other users can read this private key. Run chmod 600 on it.")
        return key
