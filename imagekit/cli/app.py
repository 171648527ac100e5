"""The program itself: its name, its version, and what every command shares."""

from typing import Annotated

import typer

from imagekit import __version__
from imagekit.cli.console import print_result, set_debug
from imagekit.errors import ExitCode

LOOK, PLAN, VALIDATE, SHIP = "Look at an image", "Plan and draw", "Validate a release", "Ship"
"""The headings under which help lists the commands, in the order of a first use."""

app = typer.Typer(
    name="imagekit",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: narrow terminals and pipes can read it, and it starts faster
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_result(f"imagekit {__version__}")
        raise typer.Exit


@app.callback()
def _imagekit(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - the callback acts on it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="IMAGEKIT_DEBUG", help="Show a traceback with every error.")
    ] = False,
) -> None:
    """Inspect, verify and place ST's STM32WB wireless coprocessor images, offline.

    Exit codes: 0 done; 2 wrong usage; 3 refused; 4 unreadable, or not an image.

    Begin with: imagekit inspect FILE
    """
    set_debug(debug)
    if context.invoked_subcommand is None:
        print_result(context.get_help())
        raise typer.Exit(ExitCode.USAGE)
