"""What `doctor` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Iterator, Sequence

from imagekit.doctor.diagnosis import Certainty, Diagnosis, PossibleCause
from imagekit.report import plan as plan_report
from imagekit.report.layout import Json, Paint, plain, row, rows
from imagekit.text import counted

DIAGNOSIS_SCHEMA = "imagekit.diagnosis/1"
_ITEM = ("- ", "  ")
_MOST_SOURCES = 3


def text(
    diagnosis: Diagnosis, part: str, missing: Sequence[str], *, width: int | None = None, paint: Paint = plain
) -> str:
    """Return the most likely cause, the others, the check that decides, and the plan."""
    pages = []
    if diagnosis.causes:
        first, *others = diagnosis.causes
        pages.append("\n".join(_in_full(first, width, paint)))
        if others:
            listed = rows("also", map(_in_short, others), "", width, paint, _ITEM)
            pages.append("\n".join([paint("Other causes", "bold"), *listed]))
    else:
        pages.append(paint("No fault is visible in what was given.", "good"))
    decides = [
        *rows("check", filter(None, [diagnosis.check]), "bold", width, paint),
        *rows("good", diagnosis.good, "good", width, paint),
        *rows("missing", missing, "", width, paint),
    ]
    if decides:
        pages.append("\n".join([paint("What decides", "bold"), *decides]))
    if diagnosis.plan is not None:
        pages.append(plan_report.text(diagnosis.plan, part, width=width, paint=paint))
    return "\n\n".join(pages)


def _in_full(cause: PossibleCause, width: int | None, paint: Paint) -> Iterator[str]:
    is_seen = cause.certainty is Certainty.SEEN
    role = "warning"
    if is_seen:
        role = "error"
    yield paint(f"Most likely: {cause.title}", role)
    yield row(
        "because",
        cause.evidence or f"{counted(cause.reports, 'public report')} of this symptom had it",
        "",
        width,
        paint,
    )
    yield from rows("do", cause.todo, "", width, paint, _ITEM)
    yield from rows("never", cause.never, "error", width, paint, _ITEM)
    yield from rows("sources", cause.sources[:_MOST_SOURCES], "dim", width, paint)
    if cause.explains:
        yield row("more", f"`imagekit explain {cause.explains}`", "", width, paint)


def _in_short(cause: PossibleCause) -> str:
    if cause.certainty is Certainty.SEEN:
        return f"{cause.title} (seen: {cause.evidence})"
    if cause.reports:
        return f"{cause.title} ({counted(cause.reports, 'report')})"
    return cause.title


def document(diagnosis: Diagnosis, missing: Sequence[str]) -> Json:
    """Return what `doctor --json` prints."""
    plan = None
    if diagnosis.plan is not None:
        plan = plan_report.document(diagnosis.plan)
    return {
        "schema": DIAGNOSIS_SCHEMA,
        "causes": [_entry(cause) for cause in diagnosis.causes],
        "check": diagnosis.check or None,
        "good": list(diagnosis.good),
        "missing": list(missing),
        "plan": plan,
    }


def _entry(cause: PossibleCause) -> Json:
    return {
        "title": cause.title,
        "certainty": cause.certainty.value,
        "evidence": cause.evidence or None,
        "reports": cause.reports,
        "do": list(cause.todo),
        "never": list(cause.never),
        "sources": list(cause.sources),
        "explains": cause.explains,
    }
