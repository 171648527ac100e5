"""The way from the chip as it is to the stack that is wanted: every step, what it costs, or why there is no way.

The steps follow ST's own procedure (release notes of STM32CubeWB v1.24.0, steps 4 - 8; AN5185): delete the stack, take
FUS up one image at a time, install the stack, start it. Nothing irreversible is in a plan that does not need it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePath

from imagekit import bonding
from imagekit.bonding import BondingData, StackFormat
from imagekit.catalogue import StName
from imagekit.errors import PlacementError, PlanError
from imagekit.fus_versions import (
    FUS_0_5_3,
    FUS_1_0_1,
    HOPS,
    NEWEST_FUS,
    Hop,
    asked_fus,
    given_fus,
    lock_up,
    needs_fus_first,
    refusal,
)
from imagekit.image.model import FUS_1_2, FUS_2, Image, ImageKind, Version
from imagekit.image.signature import SignatureStatus
from imagekit.placement import bonding_is_reserved, holds_stack, place, reserved_note
from imagekit.rules import findings
from imagekit.rules.image import ADDRESS_STANDS
from imagekit.rules.registry import Chip, Severity
from imagekit.targets import Series, Target, series_names
from imagekit.text import printable
from imagekit.upgrade.candidates import Candidate
from imagekit.upgrade.steps import (
    Action,
    UpgradeStep,
    delete_stack,
    install_fus,
    install_safeboot,
    install_stack,
    start_stack,
)


class AntiRollback(Enum):
    """What is known of a chip on which anti-rollback was activated, where the stored version is not."""

    UNKNOWN = "unknown"
    """Nobody remembers which stack was installed then."""
    NO_STACK = "no-stack"
    """No stack was installed then: FUS stored 0xFFFFFFFF (release notes of v1.24.0, "Anti-Rollback"; AN5185)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The chip as it is."""

    target: Target
    fus: Version
    stack_installed: bool | None = None
    """None: nobody said."""
    stack_version: Version | None = None
    """The version of the installed stack, None: not known."""
    sfsa: int | None = None
    """SFSA of the option bytes, in sectors."""
    had_fus2_stack: bool = False
    """A stack in the format for FUS 2 was installed on the chip at some time."""
    anti_rollback: Version | AntiRollback | None = None
    """The version below which FUS refuses stacks; None: anti-rollback was never activated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """Every step in its order; or, with refusals, none."""

    start: Start
    goal: Candidate
    steps: tuple[UpgradeStep, ...] = ()
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan(start: Start, candidates: Sequence[Candidate], goal: Candidate) -> UpgradePlan:
    """Work out the way to the goal. Pure: it reads nothing and decides nothing for the user."""
    unusable = {one.image.sha256: why for one in candidates if (why := _why_unusable(one, start.target))}
    try:
        installed = _stack_installed(start)
        _refuse_start(start, installed)
        _refuse_image(goal, unusable)
        if note := _nothing_to_do(start, goal):
            return UpgradePlan(start=start, goal=goal, notes=(note, _FUS_SELECTED))
        _refuse_rollback(start, goal, is_deleting=installed is not False)
        upgrades = _fus_way(start, [one for one in candidates if one.image.sha256 not in unusable], goal)
        steps = tuple(_with_bonding_data(start, _steps(start, goal, upgrades, installed=installed), installed))
    except (PlanError, PlacementError) as error:
        missing = [f"missing: {file}" for file in getattr(error, "missing", ())]
        blocked = [one for one in candidates if one.image.kind is ImageKind.FUS and one.image.sha256 in unusable]
        return UpgradePlan(
            start=start,
            goal=goal,
            refusals=(str(error), *missing),
            notes=tuple(f"not used: {printable(one.path)}: {unusable[one.image.sha256]}" for one in blocked),
        )
    used = {step.candidate.image.sha256 for step in steps if step.candidate}
    return UpgradePlan(
        start=start,
        goal=goal,
        steps=steps,
        warnings=tuple(_warnings(start, goal, steps, installed)),
        notes=tuple(
            f"not used: {printable(one.path)} ({one.title}) was named, and the way does not need it"
            for one in candidates
            if one.is_named and one.image.sha256 not in used
        ),
    )


def _refuse_image(goal: Candidate, unusable: dict[str, str]) -> None:
    if (why := unusable.get(goal.image.sha256)) is not None:
        raise PlanError(f"{goal.title}: {why}")


def _why_unusable(candidate: Candidate, target: Target) -> str:
    """Why nothing may be built on this image; empty when something may.

    ST's signature must be valid, but for FUS images that ST is known to have published: the key of those for FUS 0.5.3
    and 1.0.x is not known (docs/image-format.md, "Signature").
    """
    known, is_fus = candidate.assessment.known, candidate.image.kind is ImageKind.FUS
    stands = ADDRESS_STANDS if known and is_fus else ADDRESS_STANDS - {"WB201"}
    for finding in findings(candidate.assessment, Chip(target=target)):
        if finding.severity is Severity.ERROR and finding.rule not in stands:
            return f"{finding.rule} {finding.message}"
    names = [StName.parse(PurePath(one.path).name) for one in known.published] if known else []
    if names and all(name and name.series is not target.series for name in names):
        series = series_names(dict.fromkeys(name.series for name in names if name))
        return f"ST published it for {series} alone: take the file of that name for {target.series.value}"
    return lock_up(candidate.image, target, None) if is_fus else ""


def _stack_installed(start: Start) -> bool | None:
    """Whether a stack is on the chip, by all that was said; None: nobody said. Raises PlanError, PlacementError."""
    said = True if start.stack_version is not None and start.stack_installed is None else start.stack_installed
    if start.sfsa is None:
        return said
    told = holds_stack(start.target, start.sfsa, start.fus)
    if said is not None and said is not told:
        what = "is" if told else "is not"
        raise PlanError(
            f"SFSA 0x{start.sfsa:X} tells that a stack {what} installed, and you say the opposite: read both again"
        )
    return told


def _refuse_start(start: Start, installed: bool | None) -> None:
    """Raise PlanError for a chip from which no way leads anywhere."""
    fus, target = start.fus, start.target
    if fus < FUS_0_5_3:
        raise PlanError(
            f"no FUS {fus.text} is known: 0.0.0 means that FUS was not running or not readable when its version was "
            "read (`imagekit explain fus-0.0.0`); start FUS and read it again"
        )
    if fus.major > NEWEST_FUS.major:
        raise PlanError(f"FUS {fus.text} is not known: what it installs nobody can say; take a newer imagekit")
    if FUS_0_5_3 < fus < FUS_1_0_1:
        raise PlanError(
            f"FUS {fus.text} was never published. ST's notes give two versions, 1.0.0 and 1.2.0, to the image for FUS "
            "0.5.3: read the version again, with a current tool, before anything else"
        )
    if target.series is Series.WB1X and fus < FUS_1_2:
        raise PlanError(f"no WB1x has FUS {fus.text}: the first was 1.2.0; read the version again")
    if needs_fus_first(target, fus) and installed is not False:
        raise PlanError(
            f"with FUS {fus.text} ST wants FUS 1.0.2 or later on {target.name} before any other operation, and FUS "
            "wants the stack deleted before it is upgraded: with a stack installed no source says what is safe. If "
            "none is installed say --no-stack; else ask ST"
        )


def _refuse_rollback(start: Start, goal: Candidate, *, is_deleting: bool) -> None:
    """Raise PlanError when anti-rollback forbids the goal, or deleting the stack (release notes of v1.24.0; AN5185)."""
    stored, is_stack = start.anti_rollback, goal.image.kind is ImageKind.STACK
    if stored is None or not (is_stack or is_deleting):
        return
    if stored is AntiRollback.NO_STACK or start.fus < FUS_1_2:
        raise PlanError(
            "anti-rollback was activated without a stack, or on a FUS before 1.2.0: FUS then refuses every stack for "
            "ever (FW_ROLLBACK_ERROR), and nothing is known to undo it"
        )
    version = goal.image.version
    if isinstance(stored, AntiRollback) or (is_stack and version is None):
        raise PlanError(
            "anti-rollback is on, and which version it stored is not known: a stack older than that would be refused "
            "after yours was deleted. Find out which stack was installed when it was activated"
        )
    if is_stack and version is not None and version < stored:
        raise PlanError(
            f"anti-rollback is on and stored {stored.full_text}: FUS refuses {goal.title} ({version.full_text}) with "
            f"FW_ROLLBACK_ERROR, and there is no way back; take {stored.full_text} or later"
        )


_FUS_SELECTED = (
    "if the chip was left in FUS, as reading its version leaves it, start the stack: STM32_Programmer_CLI -c port=swd "
    "-startwirelessstack"
)


def _nothing_to_do(start: Start, goal: Candidate) -> str:
    """Why the chip has what is wanted; empty when it has not, or when that cannot be told."""
    image = goal.image
    if image.kind is ImageKind.FUS and given_fus(image).text == start.fus.text:
        return f"the chip has FUS {start.fus.text} already"
    if image.kind is not ImageKind.STACK or start.sfsa is None or start.stack_version is None:
        return ""
    # The version alone names no variant; version and size do in nearly all cases (docs/image-format.md).
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


def _is_same(said: Version | None, version: Version | None) -> bool:
    """Whether two versions are one; 1.13.3 stands for any build of it."""
    if said is None or version is None:
        return False
    return said == version or (said.text == version.text and said == said.without_build)


def _fus_way(start: Start, usable: Sequence[Candidate], goal: Candidate) -> list[Candidate]:
    """The fewest FUS upgrades after which the goal can be installed; raises PlanError when there is no way.

    A breadth-first search over FUS versions; among equals the newest image goes first.
    """
    images = sorted(
        (one for one in usable if one.image.kind is ImageKind.FUS),
        key=lambda one: (given_fus(one.image), one.is_named),
        reverse=True,
    )
    reached: dict[Version, list[Candidate]] = {start.fus: []}
    queue = [start.fus]
    for fus in queue:
        if not _hindrance(goal, start.target, fus):
            return reached[fus]
        for one in images:
            gives = given_fus(one.image)
            if gives not in reached and not refusal(one.image, fus, one.assessment.fus_variants):
                reached[gives] = [*reached[fus], one]
                queue.append(gives)
    raise _no_way(start, goal, max(reached))


def _hindrance(goal: Candidate, target: Target, fus: Version) -> str:
    """Why the goal is not to be installed on a chip with this FUS; empty when it may be."""
    image = goal.image
    if why := refusal(image, fus, goal.assessment.fus_variants) or lock_up(image, target, fus):
        return why
    if image.kind is not ImageKind.STACK:
        return ""
    asked, notes = asked_fus(image)
    if fus < asked:
        return f"{notes} ask for FUS {asked.text} or later first, and the chip has {fus.text}"
    return ""


def _no_way(start: Start, goal: Candidate, best: Version) -> PlanError:
    """Why there is no way to the goal, and which files are missing; `best` is the FUS that the files lead to."""
    why = _hindrance(goal, start.target, start.fus)
    if not why.startswith(goal.title):
        why = f"{goal.title}: {why}"
    if best != start.fus:
        why += f" (the files lead from FUS {start.fus.text} to {best.text})"
    hops = [] if goal.image.kind is ImageKind.SAFEBOOT else _hops(start, goal, best)
    return PlanError(why, tuple(f"{_file(start.target, hop)} of STM32CubeWB {hop.where}" for hop in hops))


def _hops(start: Start, goal: Candidate, fus: Version) -> Iterator[Hop]:
    """ST's upgrades from a FUS on, until the goal can be installed, or is passed."""
    last = given_fus(goal.image) if goal.image.kind is ImageKind.FUS else None
    for hop in HOPS:
        if fus < hop.below and _hindrance(goal, start.target, fus) and (last is None or hop.gives <= last):
            yield hop
            fus = hop.gives


def _file(target: Target, hop: Hop) -> str:
    return f"stm32{target.series.value.lower()}_{hop.file}"


def _steps(
    start: Start, goal: Candidate, upgrades: Sequence[Candidate], *, installed: bool | None
) -> Iterator[UpgradeStep]:
    """The steps of the way, in order. Raises PlacementError where an image has no address."""
    fus, target = start.fus, start.target
    is_reserved = bonding_is_reserved(target, fus, start.sfsa, had_fus2_stack=start.had_fus2_stack)
    if installed is not False:
        yield delete_stack(target, fus, is_told=installed is not None)
    ups = [*upgrades, goal] if goal.image.kind is ImageKind.FUS else upgrades
    for one in ups:
        variants = one.assessment.fus_variants
        placement = place(one.image, target, fus=fus, variants=variants, had_fus2_stack=is_reserved)
        yield install_fus(one, placement, fus, goal)
        fus = given_fus(one.image)
    if goal.image.kind is ImageKind.FUS:
        return
    variants = goal.assessment.fus_variants
    placement = place(goal.image, target, fus=fus, variants=variants, had_fus2_stack=is_reserved)
    if goal.image.kind is ImageKind.SAFEBOOT:
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
    for one in filter(None, (step.candidate for step in steps)):
        yield from _warnings_about(one)
    if needs_fus_first(start.target, start.fus):
        yield (
            f"with FUS {start.fus.text} ST wants a newer FUS on {start.target.name} before any other operation: "
            '"otherwise, the device might be locked in an unrecoverable state" (notes of v1.5.0)'
        )
    if any(step.fus.text == FUS_2.text and step.placement for step in steps):
        yield (
            "FUS 2.0.0: ST's notes of v1.22.1 allow stacks over USB only, because STM32CubeProgrammer could not delete "
            "over ST-LINK then; 2.20 can, and the notes of FUS 2.1.0 do not repeat it. Nobody has reported trying; FUS "
            "2.1.0 or later (STM32CubeWB v1.23.0 or later) is the better way"
        )
    yield from _reserved_notes(start, steps)
    if installed is not False and start.anti_rollback is not None:
        yield "anti-rollback is on: no source says that a stack can be deleted then without harm"
    if start.stack_version and steps and _same_version(start, steps):
        yield (
            f"the chip's stack has version {start.stack_version.text} already; whether it is this very variant the "
            "version does not tell: give --sfsa too, and there may be nothing to do"
        )
    if installed is not False and goal.image.kind is not ImageKind.STACK:
        yield "the chip is left without a stack: give the stack that you want too, and it is in the plan"


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


def _warnings_about(one: Candidate) -> Iterator[str]:
    """What to know of an image that ST is known to have published."""
    known = one.assessment.known
    if known and one.assessment.signature.status is not SignatureStatus.VALID:
        release = known.published[0].release
        yield f"{one.title}: ST's signature is not verified; ST published these very bytes in {release}"
    if known and known.known_bad:
        yield f"{one.title}: {known.known_bad}"


def _same_version(start: Start, steps: Sequence[UpgradeStep]) -> bool:
    return start.sfsa is None and any(
        step.action is Action.INSTALL_STACK
        and step.candidate
        and _is_same(start.stack_version, step.candidate.image.version)
        for step in steps
    )
