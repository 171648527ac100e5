"""What a pasted log, a chip's report or a described symptom means: text and JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from imagekit.catalogue import Catalogue
from imagekit.doctor.answer import Answer
from imagekit.doctor.chip_report import ChipReport, Running
from imagekit.doctor.log import LogEntry, LogReading
from imagekit.doctor.messages import Message, MessageSeverity
from imagekit.doctor.story import Story
from imagekit.doctor.symptoms import Symptom
from imagekit.explanations import Explanation
from imagekit.report.explanation import complete, explanations_document
from imagekit.report.layout import Paint, plain, row, rows, text_or_none
from imagekit.text import counted

Json = dict[str, Any]

_ITEM, _UNDER_ITEM = ("- ", "  "), ("  ", "  ")
_RUNNING = {
    Running.FUS: "FUS runs: no radio until the stack is started",
    Running.STACK: "the wireless stack runs",
    Running.NVM: "CPU2 saves or restores bonding data: do NOT power off or reset the board",
}
_MOST_STACKS = 8


def log_page(
    reading: LogReading, story: Story | None, stacks: Sequence[str], *, width: int | None = None, paint: Paint = plain
) -> str:
    """Explain a log line by line, then what the chip reported, then what the whole log means."""
    lines: list[str] = []
    for entry in reading.entries:
        lines += [*_entry_lines(entry, width, paint), ""]
    chip = list(chip_lines(reading.report, stacks, width=width, paint=paint))
    if chip:
        lines += [paint("The chip, as last read", "bold"), *chip, ""]
    if story is not None:
        lines += [
            paint("The whole log", "bold"),
            row("happened", story.happened, "", width, paint),
            row("state", story.state, "", width, paint),
            row("next", story.next, "bold", width, paint),
            "",
        ]
    known = counted(sum(entry.count for entry in reading.entries), "line")
    lines.append(paint(f"{known} of {reading.lines} explained", "dim"))
    return "\n".join(lines)


def _entry_lines(entry: LogEntry, width: int | None, paint: Paint) -> Iterator[str]:
    heading = f"line {entry.number}: {entry.text}"
    if entry.count > 1:
        heading += f"  ({entry.count} times)"
    yield paint(heading, "bold")
    for message in entry.messages:
        yield row(_label(message), message.means, _role(message), width, paint)
        if message.severity is not MessageSeverity.NORMAL and message.todo:
            yield row("do", message.todo[0], "", width, paint)
    for explanation in entry.explanations:
        whole = complete(explanation)
        yield row("means", f"{whole.title} [{whole.name}]", "", width, paint)
    for sentence in _report_sentences(entry.report):
        yield row("chip", sentence, "", width, paint)


def _label(message: Message) -> str:
    if message.severity is MessageSeverity.HANG:
        return "hangs"
    return str(message.severity.value)


def _role(message: Message) -> str:
    return _ROLES[message.severity]


_ROLES = {
    MessageSeverity.ERROR: "error",
    MessageSeverity.HANG: "error",
    MessageSeverity.WARNING: "warning",
    MessageSeverity.NORMAL: "",
}


def _report_sentences(report: ChipReport) -> Iterator[str]:
    """Yield what one line reports about the chip."""
    if report.is_cleared:
        yield (
            "all zeros: a reset cleared SRAM2 (mode=UR does that), or CPU2 was not started; read it with mode=HOTPLUG "
            "after FUS was started"
        )
    if report.fus is not None:
        yield f"FUS {report.fus.text}"
    if report.stack is not None:
        yield f"stack {report.stack.full_text}"
    elif report.has_stack is False:
        yield "no stack is installed"
    if len(report.fault) == _HARD_FAULT_WORDS:
        names = ("PC", "LR", "SP")
        words = ", ".join(f"{name} 0x{word:08X}" for name, word in zip(names, report.fault[1:], strict=True))
        yield f"CPU2 stopped at {words}"


_HARD_FAULT_WORDS = 4


def chip_lines(
    report: ChipReport, stacks: Sequence[str], *, width: int | None = None, paint: Paint = plain
) -> Iterator[str]:
    """Describe a chip by what it reported; `stacks` are the names of ST's stacks that fit."""
    if report.fus is not None:
        yield row("FUS", report.fus.text, "", width, paint)
    if report.stack is not None:
        yield row("stack", report.stack.full_text, "", width, paint)
        yield row("fits", _fitting(stacks), "", width, paint)
    elif report.has_stack is False:
        yield row("stack", "none is installed", "", width, paint)
    if report.sectors is not None:
        sizes = f"{counted(report.sectors, 'sector')} of flash"
        if report.stack_sram2a_kib is not None:
            sizes += f"; SRAM2a: {report.stack_sram2a_kib} KiB used by the stack"
        if report.stack_sram2b_kib is not None:
            sizes += f"; SRAM2b: {report.stack_sram2b_kib} KiB used by the stack"
        yield row("uses", sizes, "", width, paint)
    if report.running is not None:
        yield row("runs", _RUNNING[report.running], "", width, paint)


def _fitting(stacks: Sequence[str]) -> str:
    if not stacks:
        return "no stack in the built-in catalogue has these numbers"
    if len(stacks) > _MOST_STACKS:
        return f"{', '.join(stacks[:_MOST_STACKS])} and {len(stacks) - _MOST_STACKS} more: sectors or stack type decide"
    return " or ".join(stacks)


def message_page(message: Message, *, width: int | None = None, paint: Paint = plain) -> str:
    """Explain one known line in full."""
    lines = [paint(f"Message of {message.tool}: {message.text}", "bold")]
    lines.append(row("is", _SEVERITIES[message.severity], _role(message), width, paint))
    lines.append(row("means", message.means, "", width, paint))
    lines += rows("causes", message.causes, "", width, paint, _ITEM)
    lines += rows("do", message.todo, "", width, paint, _ITEM)
    lines += rows("sources", message.sources, "dim", width, paint)
    if message.extends:
        lines.append(row("more", f"`imagekit explain {message.extends}`", "", width, paint))
    return "\n".join(lines)


_SEVERITIES = {
    MessageSeverity.ERROR: "an error",
    MessageSeverity.WARNING: "a warning",
    MessageSeverity.NORMAL: "a normal line: nothing is wrong",
    MessageSeverity.HANG: "the last line before the program hangs",
}


def symptom_page(symptom: Symptom, *, width: int | None = None, paint: Paint = plain) -> str:
    """Explain a symptom: its causes by how often reports had them, and the check that decides."""
    lines = [paint(f"Symptom: {symptom.words[0]} [{symptom.name}]", "bold")]
    lines.append(row("check", symptom.check, "bold", width, paint))
    label = "causes"
    for cause in symptom.causes:
        text = cause.text
        if cause.reports:
            text += f" ({counted(cause.reports, 'report')})"
        lines.append(row(label, text, "", width, paint, _ITEM))
        label = ""
        lines += [row("", source, "dim", width, paint, _UNDER_ITEM) for source in cause.sources[:_MOST_SOURCES]]
    lines += rows("do", symptom.todo, "", width, paint, _ITEM)
    if symptom.extends:
        lines.append(row("more", f"`imagekit explain {symptom.extends}`", "", width, paint))
    return "\n".join(lines)


_MOST_SOURCES = 3


def chip_page(
    report: ChipReport, stacks: Sequence[str], story: Story | None, *, width: int | None = None, paint: Paint = plain
) -> str:
    """Describe a chip by what it reported, and say what to do next."""
    lines = [paint("What the chip reports", "bold"), *chip_lines(report, stacks, width=width, paint=paint)]
    lines += [row("means", sentence, "", width, paint) for sentence in _report_sentences(report) if report.is_cleared]
    if story is not None:
        lines.append(row("state", story.state, "", width, paint))
        lines.append(row("next", story.next, "bold", width, paint))
    return "\n".join(lines)


# --- JSON


def answers_document(answers: Sequence[Answer], catalogue: Catalogue) -> Json:
    """Return what `explain --json` prints: the explanations of all answers, and what else is known about each."""
    document = explanations_document(tuple(dict.fromkeys(entry for answer in answers for entry in answer.explanations)))
    return document | {
        "messages": [message_entry(message) for answer in answers for message in answer.messages],
        "symptoms": [symptom_entry(symptom) for answer in answers for symptom in answer.symptoms],
        "readings": [
            log_document(answer.reading, answer.story, answer.stacks(catalogue))
            for answer in answers
            if answer.reading is not None and answer.reading.entries
        ],
    }


def log_document(reading: LogReading, story: Story | None, stacks: Sequence[str]) -> Json:
    """Return the members `lines`, `chip` and `story` of `explain --json`."""
    told = None
    if story is not None:
        told = {"happened": story.happened, "state": story.state, "next": story.next}
    return {
        "lines": [_line_entry(entry) for entry in reading.entries],
        "chip": chip_document(reading.report, stacks),
        "story": told,
    }


def _line_entry(entry: LogEntry) -> Json:
    return {
        "line": entry.number,
        "text": entry.text,
        "count": entry.count,
        "messages": [message_entry(message) for message in entry.messages],
        "explanations": [_name_of(explanation) for explanation in entry.explanations],
    }


def _name_of(explanation: Explanation) -> Json:
    return {"group": explanation.group.value, "name": explanation.name}


def message_entry(message: Message) -> Json:
    """Return one known line."""
    return {
        "tool": message.tool,
        "text": message.text,
        "severity": message.severity.value,
        "means": message.means,
        "causes": list(message.causes),
        "do": list(message.todo),
        "sources": list(message.sources),
        "extends": message.extends,
    }


def chip_document(report: ChipReport, stacks: Sequence[str]) -> Json | None:
    """Return what the chip reported; null when nothing was read."""
    if report.is_empty:
        return None
    stack, running = None, None
    if report.stack is not None:
        stack = report.stack.full_text
    if report.running is not None:
        running = report.running.value
    return {
        "fus": text_or_none(report.fus),
        "stack": stack,
        "has_stack": report.has_stack,
        "stacks": list(stacks),
        "sectors": report.sectors,
        "stack_sram2a_kib": report.stack_sram2a_kib,
        "stack_sram2b_kib": report.stack_sram2b_kib,
        "stack_type": report.stack_type,
        "running": running,
        "is_cleared": report.is_cleared,
        "fault": [f"0x{word:08X}" for word in report.fault],
    }


def symptom_entry(symptom: Symptom) -> Json:
    """Return one symptom."""
    return {
        "name": symptom.name,
        "words": list(symptom.words),
        "check": symptom.check,
        "causes": [
            {"text": cause.text, "reports": cause.reports, "sources": list(cause.sources)} for cause in symptom.causes
        ],
        "do": list(symptom.todo),
        "extends": symptom.extends,
        "reports": symptom.reports,
    }
