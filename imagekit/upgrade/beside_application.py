"""What forbids a step beside the application: an image over it, or SRAM2 that both use."""

from collections.abc import Iterator, Sequence

from imagekit.rules.application import APPLICATION_RULES
from imagekit.rules.registry import Chip, Subject
from imagekit.upgrade.start import Start
from imagekit.upgrade.steps import UpgradeStep


def application_refusals(start: Start, steps: Sequence[UpgradeStep]) -> tuple[str, ...]:
    """Return why the application does not go with the images of a plan, step by step; empty when it does."""
    if start.application is None:
        return ()
    return tuple(dict.fromkeys(refusal for step in steps for refusal in _of_step(start, step)))


def _of_step(start: Start, step: UpgradeStep) -> Iterator[str]:
    """Yield what the rules about applications find in one step; the step's own address is the one that counts."""
    if step.candidate is None or step.placement is None:
        return
    chip = Chip(target=start.target, fus=step.fus, application=start.application)
    subject = Subject(step.candidate.assessment, chip, hex_address=step.placement.address)
    for image_rule in APPLICATION_RULES:
        for finding in image_rule.findings(subject):
            yield f"{step.candidate.title}: {finding.rule} {finding.message}"
