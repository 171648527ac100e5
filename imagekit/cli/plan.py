"""The command plan: how to install a stack, step by step."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import PLAN, app
from imagekit.cli.console import complain, painter, print_json, print_result, shown, terminal_width, trace
from imagekit.cli.options import (
    App,
    AsJson,
    Fus,
    HadFus2Stack,
    Parts,
    Sfsa,
    chips_of,
    image_names,
    number_of,
    version_of,
)
from imagekit.cli.placed import read_as_image
from imagekit.errors import EmitError, ExitCode, ParseError, PlanError, VersionError
from imagekit.files import files_in, is_folder, read_image
from imagekit.text import why

if TYPE_CHECKING:
    from imagekit.image.model import Version
    from imagekit.targets import Target
    from imagekit.upgrade.candidates import Candidate
    from imagekit.upgrade.plan import UpgradePlan
    from imagekit.upgrade.start import AntiRollback


class Emit(StrEnum):
    """What `plan` prints."""

    TEXT = "text"
    JSON = "json"
    CUBEPROGRAMMER = "cubeprogrammer"
    JLINK = "jlink"


@app.command(rich_help_panel=PLAN)
def plan(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="The stack that you want, and FUS images; or folders of ST's releases."),
    ],
    parts: Annotated[list[str], Parts],
    fus: Annotated[str | None, Fus] = None,
    stack_installed: Annotated[
        bool | None,
        typer.Option(
            "--stack-installed/--no-stack",
            envvar="IMAGEKIT_STACK_INSTALLED",
            help="Whether a stack is installed. Default: assume a stack and delete it (harmless if there is none).",
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
    app_file: Annotated[str | None, App] = None,
    anti_rollback: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_ANTI_ROLLBACK",
            metavar="VERSION",
            help="Anti-rollback is active: the version of the stack that was installed when it was activated, "
            "`unknown`, or `no-stack`.",
            show_default=False,
        ),
    ] = None,
    want: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_WANT",
            metavar="NAME",
            help="Which of several images to install: ST's name, such as BLE_Stack_full, or the file.",
            show_default=False,
            autocompletion=image_names,
        ),
    ] = None,
    emit: Annotated[
        Emit,
        typer.Option(
            "--emit",
            envvar="IMAGEKIT_EMIT",
            metavar="FORMAT",
            help="What to print: text, json, or commands for cubeprogrammer or jlink.",
        ),
    ] = Emit.TEXT,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Plan the installation of a stack.

    Prints every step, its address, and what is irreversible. FUS is upgraded only when the stack requires it. Exits
    with 0 when there is nothing to do. Exits with 3 when no plan is possible, and names the reason and the missing
    file. With --app, no step may overlap the application or use its SRAM2.

    Example: imagekit plan --part STM32WB55RG --fus 1.2.0 FUS_fw.bin stack.bin
    """
    from imagekit.upgrade.plan import plan as upgrade_plan
    from imagekit.upgrade.start import Start

    emit = _emit_of(emit, as_json=json)
    chips = chips_of(parts, fus, app=app_file)
    if chips[0].fus is None:
        raise typer.BadParameter(_HOW_TO_READ_FUS, param_hint="--fus")
    if stack_installed is False and stack_version is not None:
        raise typer.BadParameter("--no-stack and --stack-version contradict each other", param_hint="--stack-version")
    if len(chips) > 1 and emit in (Emit.CUBEPROGRAMMER, Emit.JLINK):
        raise typer.BadParameter("a script is for one part: give one --part", param_hint="--emit")
    stack = version_of("--stack-version", stack_version)
    sectors, stored = number_of("--sfsa", sfsa), _stored_version(anti_rollback)
    images = read_images(paths)
    plans = []
    for chip in chips:
        assert chip.target is not None and chip.fus is not None  # noqa: S101, PT018 - both are required
        start = Start(
            target=chip.target,
            fus=chip.fus,
            stack_installed=stack_installed,
            stack_version=stack,
            sfsa=sectors,
            had_fus2_stack=had_fus2_stack,
            anti_rollback=stored,
            application=chip.application,
        )
        candidates = fitting(images, chip.target)
        plans.append((chip.part or "", upgrade_plan(start, candidates, goal_of(candidates, want))))
    _print(plans, emit)
    if any(plan.refusals for _, plan in plans):
        raise typer.Exit(ExitCode.REFUSED)


def _emit_of(emit: Emit, *, as_json: bool) -> Emit:
    """Return the format: `--json` is another way to write `--emit json`; exits when both contradict each other."""
    if not as_json:
        return emit
    if emit not in (Emit.TEXT, Emit.JSON):
        raise typer.BadParameter(f"--json and --emit {emit} contradict each other", param_hint="--json")
    return Emit.JSON


def goal_of(candidates: "Sequence[Candidate]", want: str | None) -> "Candidate":
    """Return the image to end with; exits with wrong usage when it is not clear which one."""
    from imagekit.upgrade.candidates import choose

    try:
        return choose(candidates, want)
    except PlanError as error:
        trace(error)
        raise typer.BadParameter(str(error), param_hint="FILE" if want is None else "--want") from error


_HOW_TO_READ_FUS = (
    "which FUS is on the chip? STM32CubeProgrammer shows it (Firmware Upgrade Services, Start FUS, Read FUS infos), "
    "or: STM32_Programmer_CLI -c port=swd -startfus, then -c port=swd mode=UR -r32 0x20030030 1 (01020000 is 1.2.0)"
)


def _stored_version(text: str | None) -> "Version | AntiRollback | None":
    """Return the value of `--anti-rollback`: a version, or one of two words."""
    from imagekit.image.model import Version
    from imagekit.upgrade.start import AntiRollback

    if text is None:
        return None
    words = [word for word in AntiRollback if word.value == text.strip().lower()]
    if words:
        return words[0]
    try:
        return Version.from_text(text)
    except VersionError as error:
        raise typer.BadParameter(f"{error}, as unknown, or as no-stack", param_hint="--anti-rollback") from error


def read_images(paths: Sequence[str]) -> "list[Candidate]":
    """Return every image that was named, and those in folders; exits when a named file is not an image."""
    images: list[Candidate] = []
    has_failed = False
    for path in paths:
        if is_folder(path):
            found, _ = _read_files(files_in(path, (".bin",)), is_named=False)
            if not found:
                complain(f"{shown(path)}: no image in this folder")
                has_failed = True
        else:
            found, is_broken = _read_files([path], is_named=True)
            has_failed = has_failed or is_broken
        images += found
    if has_failed:
        raise typer.Exit(ExitCode.UNREADABLE)
    return images


def _read_files(files: Sequence[str], *, is_named: bool) -> "tuple[list[Candidate], bool]":
    """Return the images in files, and whether a file is not one."""
    from imagekit.assessment import assess
    from imagekit.upgrade.candidates import Candidate

    images: list[Candidate] = []
    for file in files:
        try:
            image, _, _ = read_as_image(file, read_image(file))
        except (ParseError, OSError) as error:
            trace(error)
            note = "" if is_named else "not used: "
            complain(f"{shown(file)}: {note}{why(error)}")
        else:
            images.append(Candidate(file, assess(image), is_named))
    return images, len(images) < len(files)


def fitting(images: "Sequence[Candidate]", target: "Target") -> "list[Candidate]":
    """Return the images that were named, and those of the target's series."""
    chosen = [image for image in images if image.is_named or image.is_for(target)]
    # Of one content under several names, the one that is named for the series of the part comes first.
    return sorted(chosen, key=lambda image: not image.is_named_for(target))


def _print(plans: "Sequence[tuple[str, UpgradePlan]]", emit: Emit) -> None:
    """Print the plan of each part, as asked."""
    from imagekit.report import plan as report

    if emit is Emit.JSON:
        print_json(report.document(plans[0][1]) if len(plans) == 1 else report.documents(plans))
    elif emit is Emit.TEXT:
        texts = [report.text(plan, part, width=terminal_width(), paint=painter()) for part, plan in plans]
        print_result("\n\n".join(texts))
    else:
        part, plan = plans[0]
        if plan.refusals:
            for line in (*plan.refusals, *plan.notes):
                complain(line)
        else:
            _print_script(plan, part, emit)


def _print_script(plan: "UpgradePlan", part: str, emit: Emit) -> None:
    """Print a plan as commands of another tool; exits with 3 when that tool cannot carry it out."""
    from imagekit.report import scripts

    try:
        script = scripts.cubeprogrammer(plan, part) if emit is Emit.CUBEPROGRAMMER else scripts.jlink(plan, part)
    except EmitError as error:
        trace(error)
        complain(str(error))
        raise typer.Exit(ExitCode.REFUSED) from error
    print_result(script)
