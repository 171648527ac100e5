"""A plan as text for people and as the JSON document of `plan --emit json` (docs/json.md)."""

from imagekit.bonding import BondingData
from imagekit.fus_versions import given_fus
from imagekit.report.document import Json, hex_word
from imagekit.report.text import Paint, plain, row
from imagekit.upgrade.plan import UpgradePlan
from imagekit.upgrade.steps import AS_WANTED, Action, UpgradeStep

PLAN_SCHEMA = "imagekit.plan/1"


def text(plan: UpgradePlan, part: str, *, width: int | None = None, paint: Paint = plain) -> str:
    """Show every step, or why there is none."""
    start = plan.start
    head = f"{part} ({start.target.name}) with FUS {start.fus.text}: the way to {plan.goal.title}"
    if plan.refusals:
        head = f"{part} ({start.target.name}) with FUS {start.fus.text}: no way to {plan.goal.title}"
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
    """Say a step in a few words."""
    if step.action is Action.DELETE_STACK:
        return "delete the stack"
    if step.action is Action.START_STACK:
        return "start the stack"
    name = step.candidate.title if step.candidate else ""
    return f"install {name}"


def _step(number: int, step: UpgradeStep, width: int | None, paint: Paint) -> list[str]:
    mark = "  CANNOT BE UNDONE" if step.irreversible else ""
    lines = [paint(f"{number}. {title(step)}", "bold") + paint(mark, "error")]
    rows = []
    if step.candidate and step.placement:
        rows += [("file", step.candidate.path), ("goes to", hex_word(step.placement.address))]
    rows += [("why", step.why)] if step.why != AS_WANTED else []
    rows += [("needs", step.needs), ("gives", step.gives)]
    rows += [("then", consequence) for consequence in step.afterwards]
    rows += [("takes", step.takes)] if step.takes else []
    rows += [("pairings", _pairings(step.bonding_data))] if step.bonding_data else []
    return lines + [row(label, line, "", width, paint) for label, line in rows]


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


def _entry(step: UpgradeStep) -> Json:
    one = step.candidate
    return {
        "action": step.action.value,
        "file": one.path if one else None,
        "image": one.image.sha256 if one else None,
        "version": version(step),
        "address": hex_word(step.placement.address) if step.placement else None,
        "irreversible": step.irreversible,
        "why": step.why,
        "needs": step.needs,
        "gives": step.gives,
        "afterwards": list(step.afterwards),
        "takes": step.takes or None,
        "bonding_data": step.bonding_data.document if step.bonding_data else None,
    }


def version(step: UpgradeStep) -> str | None:
    """The version that a step installs; that of FUS 1.2.0 is told although its image hides it."""
    if step.candidate is None:
        return None
    image = step.candidate.image
    if step.action is Action.INSTALL_FUS:
        return given_fus(image).text
    return image.version.text if image.version else None
