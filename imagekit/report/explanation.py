"""What `explain` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

from imagekit.explanations import Explanation, Group
from imagekit.option_bytes.decode import OptionBytes
from imagekit.option_bytes.verdicts import FieldVerdict, Grade
from imagekit.report.layout import Json, Paint, plain, row
from imagekit.rules import RULES

EXPLAIN_SCHEMA = "imagekit.explanations/1"
OPTION_BYTES_SCHEMA = "imagekit.option-bytes/1"

_HEADINGS = {
    Group.FUS_STATE: "FUS state",
    Group.FUS_ERROR: "FUS error",
    Group.SHCI_STATUS: "SHCI status",
    Group.MAGIC_WORD: "Magic word of CPU2",
    Group.MESSAGE: "Message of a tool",
    Group.OPTION_BYTES: "Option bytes",
    Group.RULE: "Rule",
}
_PLURALS = {
    Group.FUS_STATE: "FUS states",
    Group.FUS_ERROR: "FUS errors",
    Group.SHCI_STATUS: "SHCI status",
    Group.MAGIC_WORD: "Magic words that CPU2 leaves in SRAM2A",
    Group.MESSAGE: "Messages of the tools",
    Group.OPTION_BYTES: "Patterns of option bytes",
    Group.RULE: "Rules",
}
_NAME_WIDTH = 31
_CODE_WIDTH = 12


def complete(explanation: Explanation) -> Explanation:
    """Fill in a rule's title and meaning from the rule itself; leave any other as it is."""
    if explanation.group is not Group.RULE:
        return explanation
    rule = RULES[explanation.name]
    return replace(explanation, title=rule.title, means=re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", rule.help))


def overview(explanations: Iterable[Explanation], *, width: int | None = None, paint: Paint = plain) -> str:
    """List explanations, one line each, under the headings of their groups."""
    found = [complete(one) for one in explanations]
    blocks = []
    for group in Group:
        lines = [_overview_line(one, width) for one in found if one.group is group]
        if lines:
            blocks.append("\n".join([paint(_PLURALS[group], "bold"), *lines]))
    return "\n\n".join(blocks)


def _overview_line(explanation: Explanation, columns: int | None) -> str:
    code = f"{_codes(explanation):<{_CODE_WIDTH}} " if explanation.codes else ""
    width = 5 if explanation.group is Group.RULE else _NAME_WIDTH
    start = f"  {code}{explanation.name:<{width}}  "
    if not columns or columns < len(start) + _NARROWEST:
        return start + explanation.title
    return textwrap.fill(explanation.title, columns, initial_indent=start, subsequent_indent=" " * len(start))


_NARROWEST = 20
"""Columns that a wrapped title needs at least."""


def page(explanation: Explanation, *, width: int | None = None, paint: Paint = plain) -> str:
    """Explain one thing in full: what it means, usual causes with their evidence, what to do, what never to do."""
    explanation = complete(explanation)
    causes = [line for cause in explanation.causes for line in ((cause.text, _ITEM), (cause.source, _UNDER_ITEM))]
    parts = [
        ("found" if explanation.group is Group.RULE else "is", [(explanation.title, _PLAIN)], ""),
        ("means", [(explanation.means, _PLAIN)], ""),
        ("", [(source, _PLAIN) for source in explanation.sources], "dim"),
        ("causes", causes, ""),
        ("do", [(text, _ITEM) for text in explanation.todo], ""),
        ("never", [(text, _ITEM) for text in explanation.never], "error"),
    ]
    lines = [paint(_heading(explanation), "bold")]
    for label, texts, role in parts:
        for index, (text, indents) in enumerate(texts):
            shade = "dim" if indents is _UNDER_ITEM else role
            lines.append(row("" if index else label, text, shade, width, paint, indents))
    return "\n".join(lines)


_PLAIN, _ITEM, _UNDER_ITEM = ("", ""), ("- ", "  "), ("  ", "  ")


def _heading(explanation: Explanation) -> str:
    what = _HEADINGS[explanation.group]
    if explanation.group is Group.RULE:
        return f"{what} {explanation.name} ({RULES[explanation.name].severity.value})"
    return f"{what} {_codes(explanation)}: {explanation.name}" if explanation.codes else f"{what}: {explanation.name}"


def _codes(explanation: Explanation) -> str:
    digits = 8 if explanation.group is Group.MAGIC_WORD else 2
    return ", ".join(
        f"0x{first:0{digits}X}" if first == last else f"0x{first:0{digits}X}-0x{last:0{digits}X}"
        for first, last in explanation.codes
    )


def explanations_document(explanations: Iterable[Explanation]) -> Json:
    """Return what `explain --json` prints."""
    return {"schema": EXPLAIN_SCHEMA, "explanations": [_entry(complete(one)) for one in explanations]}


def _entry(explanation: Explanation) -> Json:
    return {
        "group": explanation.group.value,
        "name": explanation.name,
        "codes": [{"first": first, "last": last} for first, last in explanation.codes],
        "aliases": list(explanation.aliases),
        "title": explanation.title,
        "means": explanation.means,
        "causes": [{"text": cause.text, "source": cause.source} for cause in explanation.causes],
        "do": list(explanation.todo),
        "never": list(explanation.never),
        "sources": list(explanation.sources),
    }


def option_bytes_report(
    option_bytes: OptionBytes,
    fields: Sequence[FieldVerdict],
    together: Sequence[FieldVerdict],
    candidates: Sequence[str],
    pages: Sequence[Explanation],
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Show every field with its verdict, what they mean together, and what to do about what is bad."""
    lines = [paint(f"Option bytes of {option_bytes.target.name}", "bold")]
    lines += [_verdict_row(one, one.meaning, width, paint) for one in together]
    if not together:
        lines.append(row("", "what was given does not tell what CPU2 boots: give SFSA and SBRV", "", width, paint))
    if candidates:
        lines.append(row("stack", f"by its SRAM2 and sectors: {' or '.join(candidates)}", "", width, paint))
    lines += ["", paint("One by one", "bold")]
    lines += [_verdict_row(one, f"{one.name} = {one.value}: {one.meaning}", width, paint) for one in fields]
    if option_bytes.not_given:
        lines.append(row("not given", f"and not judged: {', '.join(option_bytes.not_given)}", "dim", width, paint))
    for explanation in pages:
        lines += ["", page(explanation, width=width, paint=paint)]
    return "\n".join(lines)


def _verdict_row(verdict: FieldVerdict, text: str, width: int | None, paint: Paint) -> str:
    more = f" [{verdict.explains}]" if verdict.explains else ""
    role = "" if verdict.grade is Grade.GOOD else verdict.grade.value
    return row(verdict.grade.value, text + more, role, width, paint)


def option_bytes_document(
    option_bytes: OptionBytes,
    fields: Sequence[FieldVerdict],
    together: Sequence[FieldVerdict],
    candidates: Sequence[str],
) -> Json:
    """Return what `explain --option-bytes --json` prints."""
    return {
        "schema": OPTION_BYTES_SCHEMA,
        "target": option_bytes.target.name,
        "fields": [{"name": one.name, "value": one.value, **_verdict(one)} for one in fields],
        "verdicts": [{"name": one.name, **_verdict(one)} for one in together],
        "not_given": list(option_bytes.not_given),
        "stack_candidates": list(candidates),
    }


def _verdict(verdict: FieldVerdict) -> Json:
    return {
        "severity": verdict.grade.value,
        "meaning": verdict.meaning,
        "recovery": verdict.recovery or None,
        "explains": verdict.explains or None,
    }
