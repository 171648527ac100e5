"""The command that explains: rules, codes, messages, and a chip's option bytes."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import LOOK, app
from imagekit.cli.console import about, painter, print_json, print_result, terminal_width
from imagekit.cli.options import Part, beginning_so, chip_of
from imagekit.errors import ExitCode, OptionBytesError
from imagekit.files import read_some
from imagekit.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagekit.doctor.answer import Answer
    from imagekit.explanations import Explanation
    from imagekit.option_bytes.decode import OptionBytes
    from imagekit.option_bytes.verdicts import FieldVerdict
    from imagekit.targets import Target


def _names(incomplete: str) -> list[str]:
    """Return the names that begin so; the names in ST's headers, such as FUS_STATE_..., once something is typed."""
    from imagekit.explanations import explanations

    names = dict.fromkeys(explanation.name for explanation in explanations())
    if incomplete:
        names |= dict.fromkeys(alias for explanation in explanations() for alias in explanation.aliases)
    return beginning_so(incomplete, [name for name in names if " " not in name])


@app.command(rich_help_panel=LOOK)
def explain(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS",
            help="Codes, names, pasted lines, words read off a chip, a symptom; a log file, or - for standard input.",
            show_default=False,
            autocompletion=_names,
        ),
    ] = None,
    dump: Annotated[
        str | None,
        typer.Option(
            "--option-bytes",
            envvar="IMAGEKIT_OPTION_BYTES",
            metavar="DUMP",
            help="A dump of the option bytes, - for standard input, or REGISTER=VALUE and FIELD=VALUE; needs --part.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[str | None, Part] = None,
    json: Annotated[bool, typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")] = False,
) -> None:
    """Explain codes, logs, symptoms, option bytes.

    Each answer gives the usual causes with their sources, what to do, and what never to do. Without an argument: list
    everything that has a name.

    A log is explained line by line, then as a whole: what happened, the probable state of the chip, the next command.
    Logs of STM32CubeProgrammer, J-Link, OpenOCD, pyOCD, probe-rs, MicroPython, Flipper, Zephyr and ST's examples are
    known. Version words and device information tables (hex), fields of SHCI_GetWirelessFwInfo, and the output of
    `flasher info --json` name the stack on a chip.

    With --option-bytes: the 128 bytes of the option bytes, or a file with what a tool prints
    (STM32_Programmer_CLI -c port=swd mode=HOTPLUG -ob displ; or J-Link Commander, mem32 0x1FFF8000, 20, on WB1x
    0x1FFF7800). Exits with 3 when a value is an error, and with 4 when it is not a dump.

    Example: imagekit explain FUS_STATE_IMG_NOT_FOUND

    Example: imagekit explain "BLE does not start"

    Example: imagekit explain log.txt

    Example: imagekit explain --part STM32WB55RG --option-bytes SFSA=0xF4
    """
    if dump is not None:
        _explain_option_bytes(dump, texts or [], part, as_json=json)
        return
    if not texts:
        _list_everything(as_json=json)
        return
    _print_answers(_answered(texts), as_json=json)


def _list_everything(*, as_json: bool) -> None:
    from imagekit.explanations import explanations
    from imagekit.report import explanation

    if as_json:
        print_json(explanation.explanations_document(explanations()))
    else:
        print_result(explanation.overview(explanations(), width=terminal_width(), paint=painter()))


def _answered(texts: Sequence[str]) -> "tuple[Answer, ...]":
    """What is known about the arguments, or about the log they name; exits when nothing is known of one."""
    from imagekit.doctor.answer import answer, answers

    if len(texts) == 1 and (texts[0] == "-" or os.path.isfile(texts[0])):  # noqa: PTH113 - as the user typed it
        return (_answered_log(texts[0], answer),)
    found = answers(texts)
    for text, known in zip(texts, found, strict=False):
        if known.is_empty:
            raise typer.BadParameter(_unknown(text), param_hint="WORDS")
    return found


def _answered_log(path: str, answer: "Callable[[str], Answer]") -> "Answer":
    """Explain a log in a file; exits with 4 when it is too large, or nothing in it is known."""
    from imagekit.doctor.log import LONGEST_LOG
    from imagekit.errors import ExplanationError

    with about(path):
        data = read_some(path, LONGEST_LOG + 1)
        if len(data) > LONGEST_LOG:
            raise ExplanationError(f"larger than {LONGEST_LOG // 1024 // 1024} MiB: give the part with the error")
        found = answer(decoded_log(data))
        if found.is_empty:
            raise ExplanationError("no line in it is known: `imagekit explain` lists what is")
    return found


def decoded_log(data: bytes) -> str:
    """Decode a log; PowerShell's redirection writes UTF-16."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _print_answers(found: "Sequence[Answer]", *, as_json: bool) -> None:
    from imagekit.catalogue import shipped
    from imagekit.report import explanation, pasted

    if as_json:
        print_json(pasted.answers_document(found, shipped()))
        return
    width, paint = terminal_width(), painter()
    pages: list[str] = []
    for known in found:
        stacks = () if known.report.stack is None else known.stacks(shipped())
        if known.is_log and known.reading is not None:
            pages.append(pasted.log_page(known.reading, known.story, stacks, width=width, paint=paint))
            continue
        pages += [pasted.symptom_page(symptom, width=width, paint=paint) for symptom in known.symptoms]
        pages += [pasted.message_page(message, width=width, paint=paint) for message in known.messages]
        pages += [explanation.page(entry, width=width, paint=paint) for entry in known.explanations]
        if not known.report.is_empty:
            pages.append(pasted.chip_page(known.report, stacks, known.story, width=width, paint=paint))
    print_result("\n\n".join(dict.fromkeys(pages)))


def _unknown(code: str) -> str:
    """Say that nothing is known of a code, and what to try."""
    from imagekit.explanations import number_in, suggestions

    shown = printable(code if len(code) <= _LONGEST_SHOWN else f"{code[:_LONGEST_SHOWN]}...")
    if _is_option_bytes(code):
        return f"'{shown}' is not known: fields are judged with --option-bytes {shown} --part PART"
    if number_in(code) is not None:
        return f"the number {shown} is not known: no documented state, error, status or magic word"
    near = suggestions(code)
    if near:
        return f"'{shown}' is not known: did you mean {' or '.join(near)}?"
    return f"'{shown}' is not a file, and not a known code, message or symptom. `imagekit explain` lists what is known"


def _is_option_bytes(text: str) -> bool:
    """Whether a text is option bytes as `--option-bytes` takes them: pairs, each with a name that chips have."""
    from imagekit.option_bytes.decode import decode_pairs
    from imagekit.targets import select_target

    if "=" not in text:
        return False
    for part in ("STM32WB55RG", "STM32WB15CC"):  # the two series differ in their fields
        try:
            decode_pairs(text, select_target(part))
        except OptionBytesError:
            continue
        return True
    return False


_LONGEST_SHOWN = 60


def _explain_option_bytes(dump: str, pairs: Sequence[str], part: str | None, *, as_json: bool) -> None:
    """Decode and judge option bytes; exits with 3 when a verdict is an error."""
    if part is None:
        raise typer.BadParameter(
            "it needs --part PART: where the option bytes lie and how they are cut depends on the part",
            param_hint="--option-bytes",
        )
    target = chip_of(part).target
    assert target is not None  # noqa: S101 - a part was given
    option_bytes = decoded_option_bytes(dump, pairs, target)

    from imagekit.option_bytes.verdicts import Grade, judge_fields, judge_together
    from imagekit.report import explanation

    fields, together = judge_fields(option_bytes), judge_together(option_bytes)
    candidates = _stack_candidates(option_bytes)
    if as_json:
        print_json(explanation.option_bytes_document(option_bytes, fields, together, candidates))
    else:
        print_result(
            explanation.option_bytes_report(
                option_bytes,
                fields,
                together,
                candidates,
                _pages((*together, *fields)),
                width=terminal_width(),
                paint=painter(),
            )
        )
    if any(verdict.grade is Grade.ERROR for verdict in (*fields, *together)):
        raise typer.Exit(ExitCode.REFUSED)


def decoded_option_bytes(dump: str, pairs: Sequence[str], target: "Target") -> "OptionBytes":
    """The option bytes in a file, or in pairs on the command line; nonsense in those is wrong usage."""
    from imagekit.option_bytes.decode import LARGEST_DUMP, decode, decode_pairs

    if "=" in dump and not os.path.exists(dump):  # noqa: PTH110 - the path as the user typed it
        try:
            return decode_pairs(" ".join([dump, *pairs]), target)
        except OptionBytesError as error:
            raise typer.BadParameter(str(error), param_hint="--option-bytes") from error
    if pairs:
        raise typer.BadParameter(
            f"'{printable(pairs[0][:_LONGEST_SHOWN])}': with a dump, nothing else is explained", param_hint="WORDS"
        )
    with about(dump):
        return decode(read_some(dump, LARGEST_DUMP + 1), target)


def _pages(verdicts: "Sequence[FieldVerdict]") -> "list[Explanation]":
    """The explanations of what is bad, each once, the gravest first."""
    from imagekit.explanations import named
    from imagekit.option_bytes.verdicts import Grade

    names = {
        verdict.explains: None
        for grade in (Grade.ERROR, Grade.WARNING)
        for verdict in verdicts
        if verdict.grade is grade and verdict.explains
    }
    return [named(name) for name in names]


_FEW = 4


def _stack_candidates(option_bytes: "OptionBytes") -> tuple[str, ...]:
    """ST's names for stacks with this SRAM2 and these sectors; empty when none or too many are so."""
    fields, sfsa = option_bytes.fields, option_bytes.sfsa_address
    if not option_bytes.has_stack or sfsa is None or fields.get("BRSD") != 0 or fields.get("NBRSD") != 0:
        return ()
    from imagekit.catalogue import shipped
    from imagekit.image.container import FUS_2_STACK_MAGIC
    from imagekit.placement import FUS_2_GAP

    target = option_bytes.target
    room = target.limit - sfsa
    matches = shipped().identify(series=target.series, sram2a_kib=fields.get("SBRSA"), sram2b_kib=fields.get("SNBRSA"))
    names = {
        variant
        for content in matches
        if content.kind == "stack"
        and content.sectors is not None
        and content.sectors * target.sector_size
        == room - (FUS_2_GAP if content.magic == f"0x{FUS_2_STACK_MAGIC:08X}" else 0)
        for variant in content.variants
    }
    return tuple(sorted(names)) if len(names) <= _FEW else ()
