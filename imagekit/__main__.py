"""The program `imagekit`, and `python -m imagekit`: Ctrl-C is one line even while the command line is being loaded.

Typer builds every command that is imported at each start, so a frequent command is imported without the others.
"""

import gc
import os
import sys
from typing import TYPE_CHECKING

from imagekit import __version__

if TYPE_CHECKING:
    import typer

FREQUENT_COMMANDS = {
    "inspect": "image",
    "address": "image",
    "check": "release",
    "audit": "release",
}
"""Command -> its module below `imagekit.cli`."""


def main() -> None:
    """Run the command line; leaves with its exit code."""
    # A command lives for a fraction of a second and makes few cycles: looking for them costs more than it gives, and
    # most of all while modules are loaded.
    gc.set_threshold(100_000)
    if sys.argv[1:] == ["--version"] and _print_version():
        return
    try:
        from imagekit.cli.console import run

        app = _app()
    except KeyboardInterrupt:
        sys.stderr.write("imagekit: interrupted\n")
        sys.stderr.flush()
        os._exit(130)
    run(app, "imagekit")


def _print_version() -> bool:
    """Print the version without loading the command line, which reports what prevents it; return whether it worked."""
    if sys.stdout is None:
        return False
    try:
        os.write(1, f"imagekit {__version__}{os.linesep}".encode())
    except OSError:
        return False
    return True


def _app() -> "typer.Typer":
    """Return the whole program, or the part of it that the command on the command line needs."""
    module = FREQUENT_COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if module is None:
        from imagekit.cli.program import app

        return app
    from importlib import import_module

    from imagekit.cli.app import app as part
    from imagekit.cli.command_line import prepared

    import_module(f"imagekit.cli.{module}")
    return prepared(part)


if __name__ == "__main__":
    main()
