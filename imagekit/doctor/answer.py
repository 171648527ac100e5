"""Everything that is known about what a person pasted or described."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagekit.catalogue import Catalogue
from imagekit.doctor.chip_report import ChipReport
from imagekit.doctor.log import LogReading, read_log
from imagekit.doctor.messages import Message
from imagekit.doctor.stack_lookup import stacks_like, variant_names
from imagekit.doctor.story import Story, story
from imagekit.doctor.symptoms import Symptom, symptoms_like
from imagekit.explanations import Explanation, has_name, lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known about one text. Everything empty: nothing."""

    explanations: tuple[Explanation, ...] = ()
    messages: tuple[Message, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    reading: LogReading | None = None
    """The text read as a log; None for a code or a name."""
    story: Story | None = None

    @property
    def report(self) -> ChipReport:
        """Return what a chip reported in the text."""
        if self.reading is None:
            return ChipReport()
        return self.reading.report

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.explanations or self.messages or self.symptoms or not self.report.is_empty)

    @property
    def is_log(self) -> bool:
        """Whether the text has several lines, so that the answer follows their order."""
        return self.reading is not None and self.reading.lines > 1

    def stacks(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Return the names of ST's stacks that fit what the chip reported."""
        return variant_names(stacks_like(self.report, catalogue))


def answer(text: str) -> Answer:
    """Explain a code, a name, a line, a whole log, words read off a chip, or a symptom in words."""
    reading = read_log(text)
    if reading.lines > 1:
        return _of_log(reading)
    known = lookup(text)
    messages = tuple(message for entry in reading.entries for message in entry.messages)
    extended = {message.extends for message in messages}
    explanations = tuple(entry for entry in known if entry.name not in extended)
    symptoms: tuple[Symptom, ...] = ()
    if not messages and not has_name(text):
        symptoms = symptoms_like(text)
    return Answer(
        explanations=explanations, messages=messages, symptoms=symptoms, reading=reading, story=story(reading)
    )


def _of_log(reading: LogReading) -> Answer:
    """Collect what the lines of a log stand for, each thing once, in the order of the log."""
    explanations = tuple(dict.fromkeys(known for entry in reading.entries for known in entry.explanations))
    messages = tuple(dict.fromkeys(message for entry in reading.entries for message in entry.messages))
    return Answer(explanations=explanations, messages=messages, reading=reading, story=story(reading))


def answers(texts: Sequence[str]) -> tuple[Answer, ...]:
    """Explain what was given on a command line: several codes, or the words of one line without quotes."""
    if len(texts) == 1:
        return (answer(texts[0]),)
    each = tuple(answer(text) for text in texts)
    if all(not answered.is_empty for answered in each):
        return each
    together = answer(" ".join(texts))
    if together.is_empty:
        return each
    return (together,)
