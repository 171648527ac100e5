"""A pasted log, line by line: which lines are known, and what the chip reported in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from imagekit.doctor import chip_report
from imagekit.doctor.chip_report import ChipReport, MemoryWords
from imagekit.doctor.messages import Message, messages_in
from imagekit.explanations import Explanation, lookup, magic_word
from imagekit.text import printable

LONGEST_LOG = 4 * 1024 * 1024
"""Bytes of a log that are read."""
MOST_LINES = 50_000
_LONGEST_LINE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of a log about which something is known."""

    number: int
    """The line, from 1; of the first of several equal ones in a row."""
    text: str
    messages: tuple[Message, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    report: ChipReport = field(default_factory=ChipReport)
    count: int = 1
    """How many equal lines follow one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReading:
    """What a log tells."""

    entries: tuple[LogEntry, ...]
    """The lines about which something is known, in their order."""
    lines: int
    """How many lines were looked at, blank ones left out."""

    @property
    def report(self) -> ChipReport:
        """Return what the chip reported, the last word on each thing."""
        return chip_report.merged(entry.report for entry in self.entries)


def read_log(text: str) -> LogReading:
    """Read a log. Nothing is guessed: a line that is not known is left out."""
    whole = chip_report.report_of_json(text)
    if whole is not None:
        return LogReading(entries=(LogEntry(number=1, text="flasher info --json", report=whole),), lines=1)
    lines = [
        (number, printable(line.strip()[:_LONGEST_LINE]))
        for number, line in enumerate(text.splitlines()[:MOST_LINES], start=1)
        if line.strip()
    ]
    return LogReading(entries=tuple(_folded(_entries(lines))), lines=len(lines))


def _entries(lines: list[tuple[int, str]]) -> Iterator[LogEntry]:
    """Look at each line; lines of memory words that follow one another are read together."""
    index = 0
    fields: dict[str, int] = {}
    while index < len(lines):
        number, line = lines[index]
        words = list(_memory_from(lines, index))
        if words:
            yield from _memory_entries(lines[index : index + len(words)], words)
            index += len(words)
            continue
        index += 1
        entry = LogEntry(number=number, text=line, messages=messages_in(line), report=chip_report.report_of_line(line))
        entry = replace(entry, explanations=_explanations(line, entry.messages))
        here = chip_report.fields_in(line)
        if here:
            fields |= here
            entry = replace(entry, report=entry.report.with_newer(chip_report.report_of_fields(fields)))
        elif index < len(lines):
            answer = chip_report.micropython_answer(line, lines[index][1])
            entry = replace(entry, report=entry.report.with_newer(answer))
        if entry.messages or entry.explanations or not entry.report.is_empty:
            yield entry


def _explanations(line: str, messages: tuple[Message, ...]) -> tuple[Explanation, ...]:
    """Return what the names in a line stand for, without those that a known message already refers to."""
    extended = {message.extends for message in messages}
    return tuple(entry for entry in lookup(line) if entry.name not in extended)


def _memory_from(lines: list[tuple[int, str]], index: int) -> Iterator[MemoryWords]:
    """Yield the memory words of the lines from an index on, up to the first line without."""
    for _, line in lines[index:]:
        words = chip_report.memory_words(line)
        if words is None:
            return
        yield words


def _memory_entries(lines: list[tuple[int, str]], words: list[MemoryWords]) -> Iterator[LogEntry]:
    """Explain lines of memory words: the report that they make together stands at the line that begins each run."""
    for (number, text), memory in zip(lines, words, strict=True):
        report = chip_report.report_of_words([memory, *_following(memory, words)])
        marks = tuple(filter(None, map(magic_word, memory.words)))
        if marks or not report.is_empty:
            yield LogEntry(number=number, text=text, explanations=tuple(dict.fromkeys(marks)), report=report)


def _following(first: MemoryWords, words: Iterable[MemoryWords]) -> Iterator[MemoryWords]:
    """Yield the lines of words that go on where the first one ends."""
    if first.address is None:
        return
    end = first.address + 4 * len(first.words)
    for memory in words:
        if memory.address == end:
            yield memory
            end += 4 * len(memory.words)


def _folded(entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """Put equal lines that follow one another together, with a count."""
    last: LogEntry | None = None
    for entry in entries:
        if last is not None and entry.text == last.text:
            last = replace(last, count=last.count + 1)
            continue
        if last is not None:
            yield last
        last = entry
    if last is not None:
        yield last
