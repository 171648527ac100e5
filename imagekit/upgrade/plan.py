"""The upgrade plan from the chip as it is to the wanted image: every step and its cost, or the refusals.

The steps follow ST's own procedure (release notes of STM32CubeWB v1.24.0, steps 4 to 8; AN5185): delete the stack,
upgrade FUS one image at a time, install the stack, start it. No step is irreversible unless the goal needs it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from imagekit import bonding
from imagekit.assessment import Assessment
from imagekit.bonding import BondingData, StackFormat
from imagekit.errors import PlacementError, PlanError
from imagekit.fus_versions import NEWEST_FUS, given_fus, lock_up, needs_fus_first
from imagekit.image.model import FUS_2, Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import bonding_is_reserved, place, reserved_note
from imagekit.rules import findings
from imagekit.rules.installation import ADDRESS_STANDS, series_elsewhere
from imagekit.rules.registry import Chip, Severity
from imagekit.targets import Target
from imagekit.text import printable
from imagekit.upgrade.beside_application import application_refusals
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.fus_path import fus_upgrades
from imagekit.upgrade.start import Start, refuse_rollback, refuse_start, stack_installed
from imagekit.upgrade.steps import (
    Action,
    UpgradeStep,
    delete_stack,
    install_fus,
    install_safeboot,
    install_stack,
    start_stack,
)

_FUS_SELECTED = (
    "if the chip was left in FUS, as reading its version leaves it, start the stack: STM32_Programmer_CLI -c port=swd "
    "-startwirelessstack"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """Every step in order. A plan with refusals has no steps."""

    start: Start
    goal: Candidate
    steps: tuple[UpgradeStep, ...] = ()
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan(start: Start, candidates: Sequence[Candidate], goal: Candidate) -> UpgradePlan:
    """Return the plan that leads to the goal. Pure: it reads nothing and decides nothing for the user."""
    unusable = _unusable(candidates, start.target)
    try:
        installed = stack_installed(start)
        refuse_start(start, installed)
        _refuse_image(goal, unusable)
        note = _nothing_to_do(start, goal)
        if note:
            return UpgradePlan(start=start, goal=goal, notes=(note, _FUS_SELECTED))
        refuse_rollback(start, goal, is_deleting=installed is not False)
        usable = [candidate for candidate in candidates if candidate.image.sha256 not in unusable]
        upgrades = fus_upgrades(start, usable, goal)
        steps = tuple(_with_bonding_data(start, _steps(start, goal, upgrades, installed=installed), installed))
    except PlanError as error:
        return _refused(start, goal, candidates, (str(error), *(f"missing: {file}" for file in error.missing)))
    except PlacementError as error:
        return _refused(start, goal, candidates, (str(error),))
    collisions = application_refusals(start, steps)
    if collisions:
        return _refused(start, goal, candidates, collisions)
    return UpgradePlan(
        start=start,
        goal=goal,
        steps=steps,
        warnings=tuple(_warnings(start, goal, steps, installed)),
        notes=tuple(_notes_on_unused(candidates, steps)),
    )


def _refused(start: Start, goal: Candidate, candidates: Sequence[Candidate], refusals: tuple[str, ...]) -> UpgradePlan:
    """A plan without steps; its notes name the FUS images that cannot be used, and why."""
    unusable = _unusable(candidates, start.target)
    notes = [
        f"not used: {printable(candidate.path)}: {unusable[candidate.image.sha256]}"
        for candidate in candidates
        if candidate.image.kind is ImageKind.FUS and candidate.image.sha256 in unusable
    ]
    return UpgradePlan(start=start, goal=goal, refusals=refusals, notes=tuple(notes))


def _notes_on_unused(candidates: Sequence[Candidate], steps: Sequence[UpgradeStep]) -> Iterator[str]:
    """Name each file that the user named and that no step installs."""
    used = {step.candidate.image.sha256 for step in steps if step.candidate}
    for candidate in candidates:
        if candidate.is_named and candidate.image.sha256 not in used:
            yield f"not used: {printable(candidate.path)} ({candidate.title}) was named, but the plan does not need it"


def _unusable(candidates: Sequence[Candidate], target: Target) -> dict[str, str]:
    """The images that must not be installed on a target, by SHA-256, each with the reason."""
    unusable: dict[str, str] = {}
    for candidate in candidates:
        reason = _why_unusable(candidate.assessment, target)
        if reason:
            unusable[candidate.image.sha256] = reason
    named_right = {candidate.image.sha256 for candidate in candidates if candidate.is_named_for(target)}
    for candidate in candidates:
        sha256 = candidate.image.sha256
        elsewhere = series_elsewhere(candidate.assessment, candidate.st_name, target)
        if elsewhere and sha256 not in named_right:
            unusable.setdefault(sha256, f"WB307 {elsewhere}")
    return unusable


def _refuse_image(goal: Candidate, unusable: dict[str, str]) -> None:
    reason = unusable.get(goal.image.sha256)
    if reason is not None:
        raise PlanError(f"{goal.title}: {reason}")


@lru_cache(maxsize=4096)  # the rules are most of the work of a plan, and their verdict depends on nothing else
def _why_unusable(assessment: Assessment, target: Target) -> str:
    """Why a plan must not use this image; empty when it can.

    ST's signature must be valid, except for FUS images that ST is known to have published: the key of those for FUS
    0.5.3 and 1.0.x is not known (docs/image-format.md, "Signature").
    """
    known, is_fus = assessment.known, assessment.image.kind is ImageKind.FUS
    accepted = ADDRESS_STANDS
    if not (known and is_fus):
        accepted -= {"WB201"}
    for finding in findings(assessment, Chip(target=target)):
        if finding.severity is Severity.ERROR and finding.rule not in accepted:
            return f"{finding.rule} {finding.message}"
    if is_fus:
        return lock_up(assessment.image, target, None)
    return ""


def _nothing_to_do(start: Start, goal: Candidate) -> str:
    """Why the chip already has the goal; empty when it has not, or when that is not known."""
    image = goal.image
    if image.kind is ImageKind.FUS and given_fus(image).text == start.fus.text:
        return f"the chip has FUS {start.fus.text} already"
    if image.kind is not ImageKind.STACK or start.sfsa is None or start.stack_version is None:
        return ""
    # The version alone does not identify a variant; version and size do in nearly all cases (docs/image-format.md).
    is_at_sfsa = start.target.sector_address(start.sfsa) in _possible_addresses(start, image)
    if is_at_sfsa and _is_same(start.stack_version, image.version):
        return f"the chip has a stack of this version and size already: {goal.title}"
    return ""


def _possible_addresses(start: Start, image: Image) -> Iterator[int]:
    """Yield where the image can stand when it is installed: also below room for bonding data, where it fits there."""
    yield place(image, start.target).address
    if start.fus >= FUS_2:
        with suppress(PlacementError):
            yield place(image, start.target, had_fus2_stack=True).address


def _is_same(read: Version | None, version: Version | None) -> bool:
    """Whether a version as read from a chip is that of an image; 1.13.3 stands for any build of it."""
    if read is None or version is None:
        return False
    return read == version or (read.text == version.text and read == read.without_build)


def _steps(
    start: Start, goal: Candidate, upgrades: Sequence[Candidate], *, installed: bool | None
) -> Iterator[UpgradeStep]:
    """Yield the steps in order. Raises PlacementError where an image has no address."""
    fus, target, kind = start.fus, start.target, goal.image.kind
    is_reserved = bonding_is_reserved(target, fus, start.sfsa, had_fus2_stack=start.had_fus2_stack)
    if installed is not False:
        yield delete_stack(target, fus, is_known_installed=installed is not None)
    if kind is ImageKind.FUS:
        upgrades = [*upgrades, goal]
    for upgrade in upgrades:
        variants = upgrade.assessment.fus_variants
        placement = place(upgrade.image, target, fus=fus, variants=variants, had_fus2_stack=is_reserved)
        yield install_fus(upgrade, placement, fus, goal)
        fus = given_fus(upgrade.image)
    if kind is ImageKind.FUS:
        return
    variants = goal.assessment.fus_variants
    placement = place(goal.image, target, fus=fus, variants=variants, had_fus2_stack=is_reserved)
    if kind is ImageKind.SAFEBOOT:
        yield install_safeboot(goal, placement, fus)
        return
    yield install_stack(goal, placement, fus)
    yield start_stack(goal, fus)


def _with_bonding_data(start: Start, steps: Iterable[UpgradeStep], installed: bool | None) -> Iterator[UpgradeStep]:
    """Add to each step what it does to bonding data; a chip without a stack and without reserved room has none."""
    has_data = installed is not False or bonding_is_reserved(
        start.target, start.fus, start.sfsa, had_fus2_stack=start.had_fus2_stack
    )
    for step in steps:
        if has_data or step.action is Action.INSTALL_SAFEBOOT:
            yield replace(step, bonding_data=_bonding_data(start, step, is_deleted=installed is not False))
        else:
            yield step


def _bonding_data(start: Start, step: UpgradeStep, *, is_deleted: bool) -> BondingData | None:
    """Return what a step does to bonding data on a chip that may hold some."""
    if step.action is Action.DELETE_STACK:
        return bonding.after_delete(step.fus)
    if step.action is Action.INSTALL_FUS:
        return bonding.after_fus_upgrade(start.fus)
    if step.action is Action.INSTALL_SAFEBOOT:
        return bonding.after_safeboot()
    if step.action is Action.INSTALL_STACK and step.candidate:
        installed = StackFormat.PLAIN
        if step.candidate.image.is_fus_2_format:
            installed = StackFormat.FUS_2
        return bonding.after_stack(start.fus, installed, replaces=None, is_deleted_first=is_deleted)
    return None


def _warnings(start: Start, goal: Candidate, steps: Sequence[UpgradeStep], installed: bool | None) -> Iterator[str]:
    """What to know before the first step."""
    if start.fus > NEWEST_FUS:
        yield f"FUS {start.fus.text} is newer than this imagekit knows ({NEWEST_FUS.text}): read the version again"
    for step in steps:
        if step.candidate:
            yield from _warnings_about(step.candidate)
    if needs_fus_first(start.target, start.fus):
        yield (
            f"with FUS {start.fus.text}, ST requires a newer FUS on {start.target.name} before any other operation: "
            '"otherwise, the device might be locked in an unrecoverable state" (notes of v1.5.0)'
        )
    if any(step.fus.text == FUS_2.text and step.placement for step in steps):
        yield _FUS_2_0_0
    yield from _reserved_notes(start, steps)
    if installed is not False:
        yield from _warnings_about_deletion(start, goal)
    if start.stack_version and _installs_same_version(start, steps):
        yield (
            f"the chip's stack has version {start.stack_version.text} already, but the version does not identify the "
            "variant: give --sfsa too, and there may be nothing to do"
        )


_FUS_2_0_0 = (
    "FUS 2.0.0: ST's notes of v1.22.1 allow stacks over USB only, because STM32CubeProgrammer could not delete over "
    "ST-LINK then. Version 2.20 can, and the notes of FUS 2.1.0 do not repeat the limit. No report of a test is known; "
    "prefer FUS 2.1.0 or later (STM32CubeWB v1.23.0 or later)"
)


def _warnings_about_deletion(start: Start, goal: Candidate) -> Iterator[str]:
    """What to know before a stack is deleted."""
    if start.anti_rollback is not None:
        yield "anti-rollback is active: no source says that a stack can then be deleted without harm"
    if goal.image.kind is not ImageKind.STACK:
        yield "the plan leaves the chip without a stack: name the stack that you want too, and the plan installs it"


def _reserved_notes(start: Start, steps: Sequence[UpgradeStep]) -> Iterator[str]:
    """Yield what is not known of the room for bonding data, for each image that it would move."""
    for step in steps:
        if step.candidate is None or step.placement is None or start.fus < FUS_2:
            continue
        note = reserved_note(
            step.candidate.image,
            step.placement,
            fus=step.fus,
            sfsa=start.sfsa,
            had_fus2_stack=start.had_fus2_stack,
            variants=step.candidate.assessment.fus_variants,
        )
        if note:
            yield f"{step.candidate.title}: {note}"


def _warnings_about(candidate: Candidate) -> Iterator[str]:
    """What to know about an image that ST is known to have published."""
    known = candidate.assessment.known
    if known and candidate.assessment.signature.status is not SignatureStatus.VALID:
        release = known.published[0].release
        yield (
            f"{candidate.title}: the signature matches no known ST key, although ST published exactly these bytes in "
            f"{release}"
        )
    if known and known.known_bad:
        yield f"{candidate.title}: {known.known_bad}"


def _installs_same_version(start: Start, steps: Sequence[UpgradeStep]) -> bool:
    """Whether a step installs a stack of the version that the chip has, and its place is not known."""
    if start.sfsa is not None:
        return False
    stacks = [step.candidate for step in steps if step.action is Action.INSTALL_STACK and step.candidate]
    return any(_is_same(start.stack_version, stack.image.version) for stack in stacks)
