"""The most likely cause of a fault, from what a person has: it ranks what the other rooms find and decides nothing.

What the files show comes before what public reports had. Verdicts on option bytes, rules, plans, logs and symptoms come
from the rooms that know them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from imagekit.doctor.answer import Answer
from imagekit.doctor.chip_report import Running
from imagekit.doctor.messages import Message, MessageSeverity
from imagekit.doctor.story import Event
from imagekit.explanations import Explanation, Group, explanations, magic_word, named
from imagekit.option_bytes.decode import OptionBytes
from imagekit.option_bytes.verdicts import FieldVerdict, Grade, judge_fields, judge_together
from imagekit.rules import RULES
from imagekit.rules.registry import Finding, Severity
from imagekit.upgrade.plan import UpgradePlan

NO_STACK, FUS_SELECTED, CPU2_FAULT = "OB_NO_STACK", "OB_FUS_SELECTED", "CPU2_HARD_FAULT"
_CHIP_STATES = frozenset({NO_STACK, FUS_SELECTED})
"""What the option bytes decide: when they tell what CPU2 boots, the state that they do not show is ruled out."""
_KNOWN_BAD = "WB405"
"""The warning that ST knows an image to be bad: the only warning of a rule that explains a fault."""
_RADIO_SYMPTOMS = frozenset(
    {
        "BLE_NOT_STARTING",
        "HANGS_IN_BLE_INIT",
        "HANGS_IN_HCI_RESET",
        "NOT_ADVERTISING_AFTER_UPDATE",
        "TOOL_SAYS_SUCCESS_NO_STACK",
        "ZIGBEE_DOES_NOT_JOIN",
        "THREAD_DOES_NOT_START",
        "FUS_AGAIN_AFTER_A_WHILE",
        "ACI_COMMAND_RETURNS_0XFF",
    }
)
"""Symptoms of a radio that does not answer: a chip without a stack explains them."""


class Certainty(Enum):
    """How a cause is known."""

    SEEN = "seen"
    """What was given shows it."""
    REPORTED = "reported"
    """Public reports of the same symptom had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleCause:
    """A cause of the fault, and what speaks for it."""

    title: str
    certainty: Certainty
    evidence: str
    """Where it was seen: `option bytes: SFSA 0xF4: ...`; empty when it is only reported."""
    reports: int = 0
    """How many public reports of the symptom had it."""
    todo: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    explains: str | None = None
    """The name under which `imagekit explain` says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a person has. Everything is optional."""

    words: Answer | None = None
    """The symptom in words, or a code."""
    log: Answer | None = None
    option_bytes: OptionBytes | None = None
    findings: tuple[tuple[str, Finding], ...] = ()
    """File and finding of the rules about the stack, with the application beside it."""
    has_checked_application: bool = False
    """Whether the findings cover an application whose RAM is known."""
    plan: UpgradePlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The causes, the most likely first, and what decides between them."""

    causes: tuple[PossibleCause, ...]
    check: str
    """The observation that decides; empty when nothing is known."""
    plan: UpgradePlan | None
    good: tuple[str, ...]
    """What was looked at and is not the cause."""

    @property
    def has_fault(self) -> bool:
        """Whether what was given shows a cause, or no plan is possible."""
        is_refused = self.plan is not None and bool(self.plan.refusals)
        return is_refused or any(cause.certainty is Certainty.SEEN for cause in self.causes)


def diagnose(evidence: Evidence) -> Diagnosis:
    """Rank the causes: damage that the option bytes show, what else was seen, then what public reports had."""
    seen = tuple(_seen(evidence))
    reported = tuple(_reported(evidence, {cause.explains for cause in seen if cause.explains}))
    causes = _without_repetition((*sorted(seen, key=lambda cause: -_weight(cause, evidence)), *reported))
    return Diagnosis(
        causes=causes, check=_check(evidence, causes), plan=evidence.plan, good=tuple(_good(evidence, causes))
    )


def is_radio_question(evidence: Evidence) -> bool:
    """Whether the fault is a radio that does not answer."""
    for answer in (evidence.words, evidence.log):
        if answer is None:
            continue
        if any(symptom.name in _RADIO_SYMPTOMS for symptom in answer.symptoms):
            return True
        if any(message.severity is MessageSeverity.HANG for message in answer.messages):
            return True
        if answer.story is not None and answer.story.decisive is Event.RADIO_SILENT:
            return True
    return False


# --- what was seen


def _seen(evidence: Evidence) -> Iterator[PossibleCause]:
    yield from _of_option_bytes(evidence)
    yield from _of_reports(evidence)
    for where, answer in (("log", evidence.log), ("your words", evidence.words)):
        if answer is not None:
            yield from _of_answer(where, answer)
    for path, finding in evidence.findings:
        if finding.severity is Severity.ERROR or finding.rule == _KNOWN_BAD:
            yield _of_finding(path, finding)


def _of_option_bytes(evidence: Evidence) -> Iterator[PossibleCause]:
    """Yield what the option bytes show; "no stack is installed" is a fault when the radio does not answer."""
    for verdict in _verdicts(evidence):
        is_bad = verdict.grade in (Grade.WARNING, Grade.ERROR)
        is_missing_stack = verdict.explains == NO_STACK and is_radio_question(evidence)
        if not is_bad and not is_missing_stack:
            continue
        where = f"option bytes: {verdict.meaning}"
        if verdict.value:
            where = f"option bytes: {verdict.name} {verdict.value}: {verdict.meaning}"
        if verdict.explains:
            yield _of_explanation(named(verdict.explains), where)
        else:
            yield PossibleCause(title=verdict.meaning, certainty=Certainty.SEEN, evidence=where)


def _verdicts(evidence: Evidence) -> tuple[FieldVerdict, ...]:
    if evidence.option_bytes is None:
        return ()
    return (*judge_together(evidence.option_bytes), *judge_fields(evidence.option_bytes))


def _of_reports(evidence: Evidence) -> Iterator[PossibleCause]:
    """Yield what the chip reported of itself in the log or in the words."""
    for answer in (evidence.log, evidence.words):
        if answer is None:
            continue
        report = answer.report
        if report.has_stack is False:
            yield _of_explanation(named(NO_STACK), "the chip reports that no stack is installed")
        elif report.has_stack and report.running is Running.FUS:
            yield _of_explanation(named(FUS_SELECTED), "the chip reports that FUS runs and a stack is installed")
        if report.fault:
            mark = magic_word(report.fault[0])
            if mark is not None:
                yield _of_explanation(mark, "the chip's memory holds the mark of a stopped CPU2")


def _of_answer(where: str, answer: Answer) -> Iterator[PossibleCause]:
    """Yield the faults among known lines and codes, the last line first: it is nearest to the failure."""
    if answer.story is not None and answer.story.ends_well:
        return
    for message in reversed(answer.messages):
        if message.severity in (MessageSeverity.ERROR, MessageSeverity.HANG):
            yield _of_message(where, message)
    for explanation in reversed(answer.explanations):
        is_fault = explanation.group in (Group.FUS_ERROR, Group.SHCI_STATUS, Group.OPTION_BYTES, Group.RULE)
        if is_fault and not explanation.has_code(_SUCCESS):
            yield _of_explanation(explanation, f"{where}: {explanation.name}")


_SUCCESS = 0
"""The code of success among FUS errors and SHCI statuses (shci.h)."""


def _of_message(where: str, message: Message) -> PossibleCause:
    evidence = f"{where}: {message.text} ({message.tool})"
    for explanation in explanations():
        if explanation.name == message.extends:
            return _of_explanation(explanation, evidence)
    return PossibleCause(
        title=message.means,
        certainty=Certainty.SEEN,
        evidence=evidence,
        todo=message.todo,
        sources=message.sources,
    )


def _of_finding(path: str, finding: Finding) -> PossibleCause:
    return _of_explanation(named(finding.rule), f"{path}: {finding.rule} {finding.text}")


def _of_explanation(explanation: Explanation, evidence: str) -> PossibleCause:
    title = explanation.title
    if not title:  # the rules have their own titles
        title = RULES[explanation.name].title
    return PossibleCause(
        title=_TITLES.get(explanation.name, title),
        certainty=Certainty.SEEN,
        evidence=evidence,
        todo=explanation.todo,
        never=explanation.never,
        sources=explanation.sources,
        explains=explanation.name,
    )


_TITLES = {NO_STACK: "No stack is installed"}
"""What to call a cause whose explanation is named after a value of the option bytes."""


def _weight(cause: PossibleCause, evidence: Evidence) -> int:
    """Return how strongly a seen cause explains the question: damage, then the chip's state, then the rest in order."""
    errors = {verdict.explains for verdict in _verdicts(evidence) if verdict.grade is Grade.ERROR}
    if cause.explains and cause.explains in errors:
        return 3
    if cause.explains in (NO_STACK, FUS_SELECTED, CPU2_FAULT) and is_radio_question(evidence):
        return 2
    if cause.evidence.startswith("option bytes: "):
        return 0
    return 1


# --- what public reports had


def _reported(evidence: Evidence, seen: set[str]) -> Iterator[PossibleCause]:
    """Yield the causes of the symptoms by how many reports had them, without those that were seen or are ruled out."""
    ruled_out = _ruled_out(evidence)
    for answer in filter(None, (evidence.words, evidence.log)):
        for symptom in answer.symptoms:
            for cause in symptom.causes:
                if cause.shown_by in seen or cause.shown_by in ruled_out:
                    continue
                yield PossibleCause(
                    title=cause.text,
                    certainty=Certainty.REPORTED,
                    evidence="",
                    reports=cause.reports,
                    todo=symptom.todo,
                    sources=cause.sources,
                    explains=symptom.name,
                )


def _ruled_out(evidence: Evidence) -> frozenset[str]:
    """Return the causes that the files exclude."""
    excluded: set[str] = set()
    verdicts = _verdicts(evidence)
    if any(verdict.name in (*_CHIP_STATES, "CPU2") for verdict in verdicts):
        excluded |= _CHIP_STATES - {verdict.explains for verdict in verdicts}
    has_stack = evidence.option_bytes and evidence.option_bytes.has_stack
    if has_stack is True:
        excluded.add(NO_STACK)
    elif has_stack is False:
        excluded.add(FUS_SELECTED)
    if evidence.has_checked_application:
        excluded |= {"WB305", "WB306", "WB308"} - {finding.rule for _, finding in evidence.findings}
    return frozenset(excluded)


def _without_repetition(causes: tuple[PossibleCause, ...]) -> tuple[PossibleCause, ...]:
    """Keep the first of several causes with one title or, when seen, with one explanation."""
    kept: dict[str, PossibleCause] = {}
    for cause in causes:
        key = cause.title
        if cause.certainty is Certainty.SEEN and cause.explains:
            key = f"{cause.explains} {cause.title}"
        kept.setdefault(key, cause)
    return tuple(kept.values())


def _check(evidence: Evidence, causes: tuple[PossibleCause, ...]) -> str:
    """Return the observation that decides: the symptom's, the log's next command, or what explains the first cause."""
    for answer in (evidence.words, evidence.log):
        if answer is not None and answer.symptoms:
            return answer.symptoms[0].check
    if evidence.log is not None and evidence.log.story is not None:
        return evidence.log.story.next
    for cause in causes:
        if cause.explains:
            return f"`imagekit explain {cause.explains}` says how to verify it"
    return ""


def _good(evidence: Evidence, causes: tuple[PossibleCause, ...]) -> Iterator[str]:
    """Say what was looked at and shows no fault."""
    if evidence.log is not None and evidence.log.story is not None and evidence.log.story.ends_well:
        story = evidence.log.story
        yield f"log: {story.happened}; {story.state}"
    for verdict in _verdicts(evidence):
        if verdict.name == "CPU2" and verdict.grade is Grade.GOOD:
            yield f"option bytes: {verdict.meaning}"
        elif verdict.name == NO_STACK and not any(cause.explains == NO_STACK for cause in causes):
            yield f"option bytes: {verdict.meaning}, as before a first installation"
