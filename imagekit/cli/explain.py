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
    codes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CODE",
            help="Rule ids, numbers, names, or pasted lines.",
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
    """Explain rules, codes and option bytes.

    FUS states and errors, SHCI status, CPU2's magic words, tools' messages. Each with its usual causes, their evidence,
    what to do, and what never to do. Without an argument: list all. A dump is the 128 bytes of the option bytes, or a
    file with what a tool prints: STM32_Programmer_CLI -c port=swd -ob displ; or J-Link Commander, mem32 0x1FFF8000, 20
    (0x1FFF7800 on WB1x). With --option-bytes, exits with 3 when a value is an error, and with 4 when it is no dump.

    Example: imagekit explain FUS_STATE_IMG_NOT_FOUND

    Example: imagekit explain --part STM32WB55RG --option-bytes SFSA=0xF4
    """
    if dump is not None:
        _explain_option_bytes(dump, codes or [], part, as_json=json)
        return
    from imagekit.explanations import explanations
    from imagekit.report import explanation

    found = _found(codes) if codes else explanations()
    if json:
        print_json(explanation.explanations_document(found))
    elif codes:
        width, paint = terminal_width(), painter()
        print_result("\n\n".join(explanation.page(one, width=width, paint=paint) for one in found))
    else:
        print_result(explanation.overview(found, width=terminal_width(), paint=painter()))


def _found(codes: Sequence[str]) -> "tuple[Explanation, ...]":
    """What the arguments stand for, each once; exits with wrong usage when one stands for nothing."""
    from imagekit.explanations import lookup

    # `explain img not found`: the words of one name, without quotes.
    if len(codes) > 1 and not all(map(lookup, codes)) and (together := lookup(" ".join(codes))):
        return together
    found: dict[tuple[object, str], Explanation] = {}
    for code in codes:
        if not (ones := lookup(code)):
            raise typer.BadParameter(_unknown(code), param_hint="CODE")
        found |= {(one.group, one.name): one for one in ones}
    return tuple(found.values())


def _unknown(code: str) -> str:
    """Say that nothing is known of a code, and what to try."""
    from imagekit.explanations import number_in, suggestions

    shown = printable(code if len(code) <= _LONGEST_SHOWN else f"{code[:_LONGEST_SHOWN]}...")
    if "=" in code:
        return f"nothing is known of '{shown}': fields are judged with --option-bytes {shown} --part PART"
    if number_in(code) is not None:
        return f"nothing is known of the number {shown}: no documented state, error, status or magic word"
    if near := suggestions(code):
        return f"nothing is known of '{shown}': did you mean {' or '.join(near)}?"
    return f"nothing is known of '{shown}': `imagekit explain` lists everything"


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
    option_bytes = _decoded(dump, pairs, target)

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


def _decoded(dump: str, pairs: Sequence[str], target: "Target") -> "OptionBytes":
    """The option bytes in a file, or in pairs on the command line; nonsense in those is wrong usage."""
    from imagekit.option_bytes.decode import LARGEST_DUMP, decode, decode_pairs

    if "=" in dump and not os.path.exists(dump):  # noqa: PTH110 - the path as the user typed it
        try:
            return decode_pairs(" ".join([dump, *pairs]), target)
        except OptionBytesError as error:
            raise typer.BadParameter(str(error), param_hint="--option-bytes") from error
    if pairs:
        raise typer.BadParameter(
            f"'{printable(pairs[0][:_LONGEST_SHOWN])}': with a dump, nothing else is explained", param_hint="CODE"
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
