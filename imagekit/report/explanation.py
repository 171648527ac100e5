"""What `explain` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

from imagekit.explanations import Explanation, Group
from imagekit.option_bytes.decode import OptionBytes
from imagekit.option_bytes.verdicts import FieldVerdict, Grade
from imagekit.report.layout import Json, Paint, plain, row, rows
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
    Group.STACK_TYPE: "Stack type",
    Group.READY_EVENT: "Ready event of CPU2",
    Group.OPCODE: "FUS command",
}
_PLURALS = {
    Group.FUS_STATE: "FUS states",
    Group.FUS_ERROR: "FUS errors",
    Group.SHCI_STATUS: "SHCI status",
    Group.MAGIC_WORD: "Magic words that CPU2 leaves in SRAM2A",
    Group.MESSAGE: "Messages of the tools",
    Group.OPTION_BYTES: "Patterns of option bytes",
    Group.RULE: "Rules",
    Group.STACK_TYPE: "Stack types",
    Group.READY_EVENT: "Ready events of CPU2",
    Group.OPCODE: "FUS commands",
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
    completed = [complete(explanation) for explanation in explanations]
    blocks = []
    for group in Group:
        lines = [_overview_line(explanation, width) for explanation in completed if explanation.group is group]
        if lines:
            blocks.append("\n".join([paint(_PLURALS[group], "bold"), *lines]))
    return "\n\n".join(blocks)


def _overview_line(explanation: Explanation, columns: int | None) -> str:
    width = _NAME_WIDTH
    if explanation.group is Group.RULE:
        width = len("WB101")
    start = f"{explanation.name:<{width}}  "
    if explanation.codes:
        start = f"{_codes(explanation):<{_CODE_WIDTH}} {start}"
    start = f"  {start}"
    if not columns or columns < len(start) + _NARROWEST:
        return start + explanation.title
    return textwrap.fill(explanation.title, columns, initial_indent=start, subsequent_indent=" " * len(start))


_NARROWEST = 20
"""Columns that a wrapped title needs at least."""


def page(explanation: Explanation, *, width: int | None = None, paint: Paint = plain) -> str:
    """Explain one thing in full: what it means, usual causes with their evidence, what to do, what never to do."""
    explanation = complete(explanation)
    what = "is"
    if explanation.group is Group.RULE:
        what = "found"
    lines = [
        paint(_heading(explanation), "bold"),
        row(what, explanation.title, "", width, paint),
        row("means", explanation.means, "", width, paint),
        *rows("", explanation.sources, "dim", width, paint),
    ]
    label = "causes"
    for cause in explanation.causes:
        lines.append(row(label, cause.text, "", width, paint, _ITEM))
        lines.append(row("", cause.source, "dim", width, paint, _UNDER_ITEM))
        label = ""
    lines += rows("do", explanation.todo, "", width, paint, _ITEM)
    lines += rows("never", explanation.never, "error", width, paint, _ITEM)
    return "\n".join(lines)


_ITEM, _UNDER_ITEM = ("- ", "  "), ("  ", "  ")


def _heading(explanation: Explanation) -> str:
    what = _HEADINGS[explanation.group]
    if explanation.group is Group.RULE:
        return f"{what} {explanation.name} ({RULES[explanation.name].severity.value})"
    if explanation.codes:
        what += f" {_codes(explanation)}"
    return f"{what}: {explanation.name}"


def _codes(explanation: Explanation) -> str:
    digits = 2
    if explanation.group is Group.MAGIC_WORD:
        digits = 8
    texts = []
    for first, last in explanation.codes:
        text = f"0x{first:0{digits}X}"
        if last != first:
            text += f"-0x{last:0{digits}X}"
        texts.append(text)
    return ", ".join(texts)


def explanations_document(explanations: Iterable[Explanation]) -> Json:
    """Return what `explain --json` prints."""
    return {"schema": EXPLAIN_SCHEMA, "explanations": [_entry(complete(explanation)) for explanation in explanations]}


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
    lines += [_verdict_row(verdict, verdict.meaning, width, paint) for verdict in together]
    if not together:
        lines.append(row("", "what was given does not tell what CPU2 boots: give SFSA and SBRV", "", width, paint))
    if candidates:
        lines.append(row("stack", f"by its SRAM2 and sectors: {' or '.join(candidates)}", "", width, paint))
    lines += ["", paint("One by one", "bold")]
    lines += [_verdict_row(field, f"{field.name} = {field.value}: {field.meaning}", width, paint) for field in fields]
    if option_bytes.not_given:
        lines.append(row("not given", f"and not judged: {', '.join(option_bytes.not_given)}", "dim", width, paint))
    for explanation in pages:
        lines += ["", page(explanation, width=width, paint=paint)]
    return "\n".join(lines)


def _verdict_row(verdict: FieldVerdict, text: str, width: int | None, paint: Paint) -> str:
    if verdict.explains:
        text += f" [{verdict.explains}]"
    role = verdict.grade.value
    if verdict.grade is Grade.GOOD:
        role = ""
    return row(verdict.grade.value, text, role, width, paint)


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
        "fields": [{"name": field.name, "value": field.value, **_verdict(field)} for field in fields],
        "verdicts": [{"name": verdict.name, **_verdict(verdict)} for verdict in together],
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
