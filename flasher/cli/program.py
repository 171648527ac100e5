"""The program: its name, its version, and its commands. `flasher sim` is loaded when it is asked for."""

from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

from flasher.cli.application_file import flash_content
from flasher.cli.commands import add_commands
from imagekit import __version__
from imagekit.cli.command_line import Group, prepared
from imagekit.cli.console import print_result, run, set_debug

_SIMULATOR = "flasher.sim.cli:app"
"""As text: the flasher itself imports nothing of the simulated chip."""

app = typer.Typer(
    name="flasher",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app)


class SimulatorGroup(Group):
    """The commands of `flasher sim`, loaded when one of them is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        names: list[str] = _simulator().list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one command. It reads applications as this program does, without knowing how."""
        ctx.obj = flash_content
        return _simulator().get_command(ctx, cmd_name)


def _simulator() -> Any:
    module, _, name = _SIMULATOR.partition(":")
    commands = getattr(import_module(module), name)
    return get_command(prepared(commands))


app.add_typer(
    typer.Typer(
        help="Simulated boards, to try things out without hardware.",
        no_args_is_help=True,
        rich_markup_mode=None,
    ),
    name="sim",
    cls=SimulatorGroup,
)
prepared(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_result(f"flasher {__version__} ({_library_versions()})")
        raise typer.Exit


def _library_versions() -> str:
    """Return pylink's version, and that of SEGGER's library if it is installed."""
    from importlib.metadata import version

    from flasher.errors import ProbeUnavailableError

    pylink = f"pylink-square {version('pylink-square')}"
    try:
        from flasher.jlink import library_version

        return f"{pylink}, J-Link library {library_version()}"
    except ProbeUnavailableError:
        return f"{pylink}, no J-Link library found"


@app.callback()
def _flasher(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - the callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show versions and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="FLASHER_DEBUG", help="With an error, show a traceback and the probe's log."),
    ] = False,
) -> None:
    """Install verified bundles on STM32WB chips over a debug probe.

    Example: flasher install product.wbz --trust release.pub --accept fus-2.2.0

    Without hardware: flasher sim new board.json --part STM32WB55RG, then --probe sim:board.json.

    Exit codes: 0 done; 2 wrong usage; 3 refused; 4 unreadable; 5 probe or chip not reached; 6 the chip refuses;
    7 stopped, run the command again.
    """
    set_debug(debug)
    if context.invoked_subcommand is None:
        print_result(context.get_help())
        raise typer.Exit(2)


def main() -> NoReturn:
    """Run the program; it leaves with its exit code."""
    run(app, "flasher")
