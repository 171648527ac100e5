"""The command plan: the way to a stack, step by step."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.console import complain, painter, print_json, print_result, shown, terminal_width, trace
from imagekit.cli.options import Fus, HadFus2Stack, Part, Sfsa, chip_of, number_of, version_of
from imagekit.cli.placed import read_as_image
from imagekit.errors import EmitError, ExitCode, ParseError, PlanError, VersionError
from imagekit.files import files_in, read_image
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.image.model import Version
    from imagekit.targets import Target
    from imagekit.upgrade.candidates import Candidate
    from imagekit.upgrade.plan import AntiRollback, UpgradePlan


class Emit(StrEnum):
    """What `plan` prints."""

    TEXT = "text"
    JSON = "json"
    CUBEPROGRAMMER = "cubeprogrammer"
    JLINK = "jlink"


@app.command()
def plan(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="The stack that you want, and FUS images; or a release folder of ST's."),
    ],
    part: Annotated[str, Part],
    fus: Annotated[str | None, Fus] = None,
    stack_installed: Annotated[
        bool | None,
        typer.Option(
            "--stack-installed/--no-stack",
            envvar="IMAGEKIT_STACK_INSTALLED",
            help="Whether a stack is on the chip. Not said: the plan deletes one, which is harmless without one.",
            show_default=False,
        ),
    ] = None,
    stack_version: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_STACK_VERSION",
            metavar="VERSION",
            help="The version of the stack on the chip, such as 1.13.3.5.",
            show_default=False,
        ),
    ] = None,
    sfsa: Annotated[str | None, Sfsa] = None,
    had_fus2_stack: Annotated[bool, HadFus2Stack] = False,
    anti_rollback: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_ANTI_ROLLBACK",
            metavar="VERSION",
            help="Anti-rollback is on; the stack that was installed when it was activated: its version, `unknown`, or "
            "`no-stack`.",
            show_default=False,
        ),
    ] = None,
    want: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_WANT",
            metavar="NAME",
            help="Which of several images to end with: ST's name of it, such as BLE_Stack_full, or its file.",
            show_default=False,
        ),
    ] = None,
    emit: Annotated[Emit, typer.Option("--emit", envvar="IMAGEKIT_EMIT", help="What to print.")] = Emit.TEXT,
) -> None:
    """Show the way to the stack you want.

    Every step, its address, what can never be undone. FUS is upgraded only where the stack needs it. Exits with 3 when
    there is no way, and says why and which file is missing; with 0 when there is nothing to do.

    Example: imagekit plan --part STM32WB55RG --fus 1.2.0 FUS_fw.bin stack.bin
    """
    from imagekit.upgrade.candidates import choose
    from imagekit.upgrade.plan import Start
    from imagekit.upgrade.plan import plan as plan_way

    chip = chip_of(part, fus)
    assert chip.target is not None  # noqa: S101 - --part is required
    if chip.fus is None:
        raise typer.BadParameter(_HOW_TO_READ_FUS, param_hint="--fus")
    start = Start(
        target=chip.target,
        fus=chip.fus,
        stack_installed=stack_installed,
        stack_version=version_of("--stack-version", stack_version),
        sfsa=number_of("--sfsa", sfsa),
        had_fus2_stack=had_fus2_stack,
        anti_rollback=_stored_version(anti_rollback),
    )
    if stack_installed is False and stack_version is not None:
        raise typer.BadParameter("--no-stack and --stack-version contradict each other", param_hint="--stack-version")
    candidates = _candidates(paths, chip.target)
    try:
        goal = choose(candidates, want)
    except PlanError as error:
        trace(error)
        raise typer.BadParameter(str(error), param_hint="FILE" if want is None else "--want") from error
    _print(plan_way(start, candidates, goal), part.strip(), emit)


_HOW_TO_READ_FUS = (
    "which FUS is on the chip? STM32CubeProgrammer shows it (Firmware Upgrade Services, Start FUS, Read FUS infos), "
    "or: STM32_Programmer_CLI -c port=swd -startfus, then -c port=swd mode=UR -r32 0x20030030 1 (01020000 is 1.2.0)"
)


def _stored_version(text: str | None) -> "Version | AntiRollback | None":
    """What `--anti-rollback` says: a version, or one of two words."""
    from imagekit.image.model import Version
    from imagekit.upgrade.plan import AntiRollback

    if text is None:
        return None
    try:
        return AntiRollback(text.strip().lower())
    except ValueError:
        pass
    try:
        return Version.from_text(text)
    except VersionError as error:
        raise typer.BadParameter(f"{error}; or unknown, or no-stack", param_hint="--anti-rollback") from error


def _candidates(paths: Sequence[str], target: "Target") -> "list[Candidate]":
    """Every image that was named, and those for the target's series in folders; exits when a named file is no image."""
    from imagekit.assessment import assess
    from imagekit.upgrade.candidates import Candidate

    found: list[Candidate] = []
    is_broken = False
    for path in paths:
        is_folder = os.path.isdir(path)  # noqa: PTH112 - the path as the user typed it
        before = len(found)
        for file in files_in(path, (".bin",)) if is_folder else (path,):
            try:
                found.append(Candidate(file, assess(read_as_image(file, read_image(file))[0]), not is_folder))
            except (ParseError, OSError) as error:
                trace(error)
                complain(f"{shown(file)}: {'not used: ' if is_folder else ''}{why(error)}")
                is_broken = is_broken or not is_folder
        if is_folder and len(found) == before:
            complain(f"{shown(path)}: no image in this folder")
            is_broken = True
    if is_broken:
        raise typer.Exit(ExitCode.UNREADABLE)
    fitting = [one for one in found if one.is_named or one.is_for(target)]
    # Of one content under several names, that of the part's own series is the one to be seen.
    return sorted(fitting, key=lambda one: not one.is_called_for(target))


def _print(way: "UpgradePlan", part: str, emit: Emit) -> None:
    """Print a plan as asked; exits with 3 when it refuses."""
    from imagekit.report import upgrade_plan

    if emit is Emit.JSON:
        print_json(upgrade_plan.document(way))
    elif emit is Emit.TEXT:
        print_result(upgrade_plan.text(way, part, width=terminal_width(), paint=painter()))
    elif way.refusals:
        for line in (*way.refusals, *way.notes):
            complain(line)
    else:
        _print_script(way, part, emit)
    if way.refusals:
        raise typer.Exit(ExitCode.REFUSED)


def _print_script(way: "UpgradePlan", part: str, emit: Emit) -> None:
    """Print a plan as commands of another tool; exits with 3 when that tool cannot carry it out."""
    from imagekit.report import scripts

    try:
        write = scripts.cubeprogrammer if emit is Emit.CUBEPROGRAMMER else scripts.jlink
        print_result(write(way, part))
    except EmitError as error:
        trace(error)
        complain(str(error))
        raise typer.Exit(ExitCode.REFUSED) from error
