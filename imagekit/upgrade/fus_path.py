"""The FUS upgrades that a chip needs before the goal can be installed, or the files that are missing for them."""

from collections.abc import Iterator, Sequence

from imagekit.errors import PlanError
from imagekit.fus_versions import HOPS, Hop, asked_fus, given_fus, lock_up, refusal
from imagekit.image.model import ImageKind, Version
from imagekit.targets import Target
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.start import Start


def fus_upgrades(start: Start, usable: Sequence[Candidate], goal: Candidate) -> list[Candidate]:
    """Return the fewest FUS upgrades after which the goal can be installed.

    A breadth-first search over FUS versions; among equals the newest image comes first.

    Raises:
        PlanError: the files do not lead to a FUS that installs the goal; `missing` names what is missing.
    """
    images = sorted(
        (candidate for candidate in usable if candidate.image.kind is ImageKind.FUS),
        key=lambda candidate: (given_fus(candidate.image), candidate.is_named),
        reverse=True,
    )
    reached: dict[Version, list[Candidate]] = {start.fus: []}
    queue = [start.fus]
    for fus in queue:
        if not _refusal_of_goal(goal, start.target, fus):
            return reached[fus]
        for upgrade in images:
            gives = given_fus(upgrade.image)
            if gives not in reached and not refusal(upgrade.image, fus, upgrade.assessment.fus_variants):
                reached[gives] = [*reached[fus], upgrade]
                queue.append(gives)
    raise _no_path(start, goal, max(reached))


def _refusal_of_goal(goal: Candidate, target: Target, fus: Version) -> str:
    """Why the goal must not be installed on a chip with this FUS; empty when it can be."""
    image = goal.image
    reason = refusal(image, fus, goal.assessment.fus_variants) or lock_up(image, target, fus)
    if reason or image.kind is not ImageKind.STACK:
        return reason
    asked, source = asked_fus(image)
    if fus < asked:
        return f"{source} require FUS {asked.text} or later first, and the chip has {fus.text}"
    return ""


def _no_path(start: Start, goal: Candidate, best: Version) -> PlanError:
    """Why the goal cannot be reached, and which files are missing; `best` is the FUS that the files lead to."""
    reason = _refusal_of_goal(goal, start.target, start.fus)
    if not reason.startswith(goal.title):
        reason = f"{goal.title}: {reason}"
    if best != start.fus:
        reason += f" (the files lead from FUS {start.fus.text} to {best.text})"
    if goal.image.kind is ImageKind.SAFEBOOT:
        return PlanError(reason)
    series = start.target.series.value.lower()
    missing = [f"stm32{series}_{hop.file} of STM32CubeWB {hop.where}" for hop in _hops(start, goal, best)]
    return PlanError(reason, tuple(missing))


def _hops(start: Start, goal: Candidate, fus: Version) -> Iterator[Hop]:
    """Yield ST's upgrades from a FUS on, until the goal can be installed, or is passed."""
    last = None
    if goal.image.kind is ImageKind.FUS:
        last = given_fus(goal.image)
    for hop in HOPS:
        is_next = fus < hop.below and (last is None or hop.gives <= last)
        if is_next and _refusal_of_goal(goal, start.target, fus):
            yield hop
            fus = hop.gives
