"""The command doctor: the most likely cause of a fault, from what a person has."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import LOOK, app
from imagekit.cli.console import about, painter, print_json, print_result, shown, terminal_width
from imagekit.cli.explain import decoded_log, decoded_option_bytes
from imagekit.cli.options import App, AsJson, Fus, Part, chip_of, image_names
from imagekit.cli.plan import fitting, goal_of, read_images
from imagekit.errors import ExitCode, ExplanationError
from imagekit.files import read_some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagekit.doctor.answer import Answer
    from imagekit.doctor.diagnosis import Evidence
    from imagekit.image.model import Version
    from imagekit.option_bytes.decode import OptionBytes
    from imagekit.rules.registry import Chip, Finding
    from imagekit.upgrade.candidates import Candidate
    from imagekit.upgrade.plan import UpgradePlan


@app.command(rich_help_panel=LOOK)
def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="The symptom in words, or a code.", show_default=False),
    ] = None,
    dump: Annotated[
        str | None,
        typer.Option(
            "--option-bytes",
            envvar="IMAGEKIT_OPTION_BYTES",
            metavar="DUMP",
            help="A dump of the option bytes, - for standard input, or FIELD=VALUE; needs --part.",
            show_default=False,
        ),
    ] = None,
    fus: Annotated[str | None, Fus] = None,
    log: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_LOG",
            metavar="FILE",
            help="What a tool printed; - is standard input.",
            show_default=False,
        ),
    ] = None,
    app_file: Annotated[str | None, App] = None,
    stacks: Annotated[
        list[str] | None,
        typer.Option(
            "--stack",
            envvar="IMAGEKIT_STACK",
            metavar="FILE",
            help="The stack that you want, and FUS images, or folders of ST's releases. Repeat it for several.",
            show_default=False,
        ),
    ] = None,
    want: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_WANT",
            metavar="NAME",
            help="Which of several stacks to install: ST's name, such as BLE_Stack_full, or the file.",
            show_default=False,
            autocompletion=image_names,
        ),
    ] = None,
    part: Annotated[str | None, Part] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Find the most likely cause of a fault.

    Give what you have, all of it optional. Prints the most likely cause first, the check that decides, and, with
    --part, --fus and --stack, the plan. Exits with 3 when what was given shows a cause, or when
    no plan is possible.

    Example: imagekit doctor "BLE does not start" --log log.txt
    """
    from imagekit.doctor.diagnosis import diagnose
    from imagekit.report import doctor as report

    if not (words or dump or log or app_file or stacks):
        raise typer.BadParameter("give a symptom in words, --log, --option-bytes, --app or --stack", param_hint="WORD")
    if (dump, log).count("-") > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="--log")
    evidence, missing = _evidence(words or [], dump, fus, log, app_file, stacks or [], want, part)
    diagnosis = diagnose(evidence)
    if json:
        print_json(report.document(diagnosis, missing))
    else:
        print_result(report.text(diagnosis, shown(part or ""), missing, width=terminal_width(), paint=painter()))
    if diagnosis.has_fault:
        raise typer.Exit(ExitCode.REFUSED)


def _evidence(
    words: Sequence[str],
    dump: str | None,
    fus: str | None,
    log: str | None,
    app_file: str | None,
    stacks: Sequence[str],
    want: str | None,
    part: str | None,
) -> "tuple[Evidence, list[str]]":
    """Read everything that was given; return it, and which options would tell more."""
    from imagekit.doctor.answer import answer
    from imagekit.doctor.diagnosis import Evidence

    chip = chip_of(part, fus, app=app_file)
    option_bytes = _option_bytes(dump, chip)
    told = answer(" ".join(words)) if words else None
    if told is not None and told.is_empty and not (dump or log or app_file or stacks):
        raise typer.BadParameter(
            f"nothing is known of {' '.join(words)!r}: describe it otherwise, or give --log or --option-bytes",
            param_hint="WORD",
        )
    read = _log(log)
    version = chip.fus or _reported_fus(read) or _reported_fus(told)
    images = read_images(stacks)
    goal = _goal(images, chip, want)
    evidence = Evidence(
        words=told,
        log=read,
        option_bytes=option_bytes,
        findings=(*_findings(goal, chip), *_findings_on_chip(chip, option_bytes)),
        has_checked_application=goal is not None and chip.application is not None and bool(chip.application.ram),
        plan=_plan(images, goal, chip, version, option_bytes),
    )
    return evidence, _missing(evidence, part, version, stacks)


def _option_bytes(dump: str | None, chip: "Chip") -> "OptionBytes | None":
    if dump is None:
        return None
    if chip.target is None:
        raise typer.BadParameter("it needs --part PART: their layout depends on the part", param_hint="--option-bytes")
    return decoded_option_bytes(dump, [], chip.target)


def _log(path: str | None) -> "Answer | None":
    """Return what is known about a log; exits with 4 when it is too large or cannot be read."""
    from imagekit.doctor.answer import answer
    from imagekit.doctor.log import LONGEST_LOG

    if path is None:
        return None
    with about(path):
        data = read_some(path, LONGEST_LOG + 1)
        if len(data) > LONGEST_LOG:
            raise ExplanationError(f"larger than {LONGEST_LOG // 1024 // 1024} MiB: give the part with the error")
    return answer(decoded_log(data))


def _reported_fus(answer: "Answer | None") -> "Version | None":
    if answer is None:
        return None
    return answer.report.fus


def _goal(images: "Sequence[Candidate]", chip: "Chip", want: str | None) -> "Candidate | None":
    """Return the stack that is wanted; None without one, or without a part."""
    if not images or chip.target is None:
        return None
    return goal_of(fitting(images, chip.target), want)


def _findings(goal: "Candidate | None", chip: "Chip") -> "tuple[tuple[str, Finding], ...]":
    """Return what the rules find about the stack, with the application beside it.

    The FUS on the chip is left to the plan, which may upgrade it first.
    """
    from imagekit.rules import findings

    if goal is None:
        return ()
    chip = replace(chip, fus=None)
    return tuple((shown(goal.path), finding) for finding in findings(goal.assessment, chip, path=goal.path))


def _findings_on_chip(chip: "Chip", option_bytes: "OptionBytes | None") -> "Iterator[tuple[str, Finding]]":
    """Yield what is wrong with the application beside the stack that SFSA shows on the chip."""
    from imagekit.rules.application import application_overlaps_image, reaching
    from imagekit.rules.registry import finding_of

    if option_bytes is None or not option_bytes.has_stack or chip.application is None or chip.target is None:
        return
    start = option_bytes.sfsa_address
    if start is None:
        return
    for message in reaching(chip.application, start, chip.target, "the stack on the chip"):
        yield chip.application.name, finding_of(application_overlaps_image.rule, message)


def _plan(
    images: "Sequence[Candidate]",
    goal: "Candidate | None",
    chip: "Chip",
    fus: "Version | None",
    option_bytes: "OptionBytes | None",
) -> "UpgradePlan | None":
    """Return the plan to the stack; None when part, FUS or stack is not known."""
    from imagekit.upgrade.plan import plan
    from imagekit.upgrade.start import Start

    if goal is None or chip.target is None or fus is None:
        return None
    installed = None
    if option_bytes is not None:
        installed = option_bytes.has_stack
    start = Start(target=chip.target, fus=fus, stack_installed=installed, application=chip.application)
    return plan(start, fitting(images, chip.target), goal)


def _missing(evidence: "Evidence", part: str | None, fus: "Version | None", stacks: Sequence[str]) -> "list[str]":
    """Say which options would tell more."""
    missing = []
    if evidence.words is not None and evidence.words.is_empty:
        missing.append("nothing is known of these words: describe the symptom otherwise")
    if evidence.option_bytes is None:
        missing.append("--option-bytes DUMP --part PART shows whether a stack is installed and what CPU2 boots")
    lacking = [
        option for option, value in (("--part", part), ("--fus", fus), ("--stack", stacks or None)) if value is None
    ]
    if lacking:
        missing.append(f"{' '.join(lacking)}: needed for the plan")
    return missing
