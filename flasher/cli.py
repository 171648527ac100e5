"""The flasher's command line. Only simulated boards so far: there is no bundle to take yet."""

from importlib.metadata import version
from typing import Annotated

import typer

from flasher.sim.cli import app as sim

app = typer.Typer(
    name="flasher",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(sim)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flasher {version('stm32wb-imagekit')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _flasher(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """To come: install verified bundles on STM32WB chips over a J-Link. So far: simulated boards to try it on."""


def main() -> None:
    """Run the command line."""
    app()
