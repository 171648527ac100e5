"""What `plan` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Sequence

from imagekit.bonding import BondingData
from imagekit.fus_versions import given_fus
from imagekit.report.layout import Json, Paint, plain, row, text_or_none
from imagekit.text import hex_word, printable
from imagekit.upgrade.plan import UpgradePlan
from imagekit.upgrade.steps import AS_WANTED, Action, UpgradeStep

PLAN_SCHEMA = "imagekit.plan/1"
PLANS_SCHEMA = "imagekit.plans/1"


def text(plan: UpgradePlan, part: str, *, width: int | None = None, paint: Paint = plain) -> str:
    """Return every step, or why there is no plan."""
    start = plan.start
    what = "plan"
    if plan.refusals:
        what = "no plan"
    head = printable(f"{part} ({start.target.name}) with FUS {start.fus.text}: {what} for {plan.goal.title}")
    lines = [paint(head, "bold")]
    for refusal in plan.refusals:
        lines.append(row("refused", refusal, "error", width, paint))
    for warning in plan.warnings:
        lines.append(row("warning", warning, "warning", width, paint))
    for number, step in enumerate(plan.steps, start=1):
        lines += _step(number, step, width, paint)
    if not plan.steps and not plan.refusals:
        lines.append(paint("nothing to do", "good"))
    for note in plan.notes:
        lines.append(row("note", note, "", width, paint))
    return "\n".join(lines)


def title(step: UpgradeStep) -> str:
    """Return a step in a few words."""
    if step.action is Action.DELETE_STACK:
        return "delete the stack"
    if step.action is Action.START_STACK:
        return "start the stack"
    assert step.candidate is not None  # noqa: S101 - every other step installs an image
    return printable(f"install {step.candidate.title}")


def _step(number: int, step: UpgradeStep, width: int | None, paint: Paint) -> list[str]:
    heading = paint(f"{number}. {title(step)}", "bold")
    if step.irreversible:
        heading += paint("  IRREVERSIBLE", "error")
    rows = []
    if step.candidate and step.placement:
        rows += [("file", step.candidate.path), ("goes to", hex_word(step.placement.address))]
    if step.why != AS_WANTED:
        rows.append(("why", step.why))
    rows += [("needs", step.needs), ("gives", step.gives)]
    rows += [("then", consequence) for consequence in step.afterwards]
    if step.takes:
        rows.append(("takes", step.takes))
    if step.bonding_data:
        rows.append(("pairings", _pairings(step.bonding_data)))
    return [heading, *(row(label, line, "", width, paint) for label, line in rows)]


def _pairings(bonding_data: BondingData) -> str:
    return f"stored by the radio core: {bonding_data.fate.value}; {bonding_data.why} ({bonding_data.source})"


def document(plan: UpgradePlan) -> Json:
    """Return the document of `plan --emit json`."""
    return {
        "schema": PLAN_SCHEMA,
        "target": plan.start.target.name,
        "goal": plan.goal.path,
        "steps": [_entry(step) for step in plan.steps],
        "refusals": list(plan.refusals),
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
    }


def documents(plans: Sequence[tuple[str, UpgradePlan]]) -> Json:
    """Return the document of `plan --emit json` for several parts, from each part and its plan."""
    return {"schema": PLANS_SCHEMA, "plans": [{"part": part, **document(plan)} for part, plan in plans]}


def _entry(step: UpgradeStep) -> Json:
    file = image = address = bonding_data = None
    if step.candidate:
        file, image = step.candidate.path, step.candidate.image.sha256
    if step.placement:
        address = hex_word(step.placement.address)
    if step.bonding_data:
        bonding_data = step.bonding_data.document
    return {
        "action": step.action.value,
        "file": file,
        "image": image,
        "version": version(step),
        "address": address,
        "irreversible": step.irreversible,
        "why": step.why,
        "needs": step.needs,
        "gives": step.gives,
        "afterwards": list(step.afterwards),
        "takes": step.takes or None,
        "bonding_data": bonding_data,
    }


def version(step: UpgradeStep) -> str | None:
    """Return the version that a step installs, also that of FUS 1.2.0, which its image does not store."""
    if step.candidate is None:
        return None
    image = step.candidate.image
    if step.action is Action.INSTALL_FUS:
        return given_fus(image).text
    return text_or_none(image.version)
