"""The way from the chip as it is to the stack that is wanted: every step, what it costs, or why there is no way.

The steps follow ST's own procedure (release notes of STM32CubeWB v1.24.0, steps 4 - 8; AN5185): delete the stack, take
FUS up one image at a time, install the stack, start it. Nothing irreversible is in a plan that does not need it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from imagekit.assessment import Assessment
from imagekit.catalogue import StName
from imagekit.errors import PlacementError, PlanError, printable
from imagekit.image import FUS_2, Image, ImageKind, Version
from imagekit.placement import FUS_2_GAP, Placement, holds_stack, place
from imagekit.rules import Chip, Severity, findings
from imagekit.signature import SignatureStatus
from imagekit.targets import FLASH_BASE, Series, Target
from imagekit.upgrade import (
    FUS_0_5_3,
    HOPS,
    NEWEST_FUS,
    Hop,
    asked_fus,
    given_fus,
    lock_up,
    needs_fus_first,
    refusal,
)


class Action(Enum):
    """What a step does; the values are those of `plan --emit json`."""

    DELETE_STACK = "delete-stack"
    INSTALL_FUS = "install-fus"
    INSTALL_STACK = "install-stack"
    INSTALL_SAFEBOOT = "install-safeboot"
    START_STACK = "start-stack"


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
    anti_rollback: Version | AntiRollback | None = None
    """The version below which FUS refuses stacks; None: anti-rollback was never activated."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be used, and where it was found."""

    path: str
    assessment: Assessment
    is_named: bool
    """Whether the user named this file, and did not name a folder that holds it."""

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def variants(self) -> tuple[str, ...]:
        """ST's names for it: those of the catalogue, or else that of the file."""
        name = StName.parse(PurePath(self.path).name)
        return self.assessment.variants or ((name.variant,) if name else ())

    @property
    def title(self) -> str:
        """What to call it: `BLE_Stack_full 1.23.0`, `FUS 2.1.0`."""
        image = self.image
        if image.kind is ImageKind.FUS:
            return f"FUS {given_fus(image).text}"
        name = self.variants[0] if self.variants else image.kind.value
        return f"{name} {image.version.text}" if image.version else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and what comes of it."""

    action: Action
    needs: str
    gives: str
    why: str
    fus: Version
    """The FUS on the chip when the step begins."""
    candidate: Candidate | None = None
    placement: Placement | None = None
    irreversible: bool = False
    afterwards: tuple[str, ...] = ()
    """What is different from then on, or works no longer."""
    takes: str = ""
    """How long it takes, where a source tells; empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every step in its order; or, with refusals, none."""

    start: Start
    goal: Candidate
    steps: tuple[Step, ...] = ()
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose(candidates: Sequence[Candidate], wanted: str | None = None) -> Candidate:
    """Return the image that the plan is to end with.

    `wanted` is ST's name of a variant, a file's name or its path. Without it: the one stack, or Safeboot, that was
    named; else the one stack of the folders; else the newest FUS. Safeboot is never chosen from a folder: it is a
    factory reset. Raises PlanError when there is no such image or when there are several.
    """
    if wanted is not None:
        chosen = [one for one in candidates if _is_called(one, wanted)]
        return _only(chosen, f"no image {wanted!r} among the files: {_titles(candidates)}", "--want a file's path")
    named = [one for one in candidates if one.is_named and one.image.kind is not ImageKind.FUS]
    if named:
        return _only(named, "", "name the one you want with --want")
    stacks = [one for one in candidates if one.image.kind is ImageKind.STACK]
    if stacks:
        return _only(stacks, "", "name the one you want with --want")
    fus = [one for one in candidates if one.image.kind is ImageKind.FUS]
    if not fus:
        raise PlanError("no stack and no FUS among the files")
    return max(fus, key=lambda one: (given_fus(one.image), one.is_named))


def _only(chosen: Sequence[Candidate], none: str, several: str) -> Candidate:
    contents = {one.image.sha256: one for one in reversed(chosen)}
    if not contents:
        raise PlanError(none)
    if len(contents) > 1:
        raise PlanError(f"{len(contents)} images could be meant ({_titles(chosen)}): {several}")
    return next(iter(contents.values()))


def _titles(candidates: Sequence[Candidate]) -> str:
    titles = sorted({printable(one.title) for one in candidates if one.image.kind is not ImageKind.FUS})
    return ", ".join(titles) or "FUS alone"


def _is_called(candidate: Candidate, wanted: str) -> bool:
    names = (candidate.path, PurePath(candidate.path).name, PurePath(candidate.path).stem, *candidate.variants)
    return wanted.casefold() in (name.casefold() for name in names)


def plan(start: Start, candidates: Sequence[Candidate], goal: Candidate) -> Plan:
    """Work out the way to the goal. Pure: it reads nothing and decides nothing for the user."""
    unusable = {one.image.sha256: why for one in candidates if (why := _why_unusable(one, start.target))}
    try:
        installed = _stack_installed(start)
        _refuse_start(start, goal, installed)
        _refuse_image(goal, unusable)
        if note := _nothing_to_do(start, goal):
            return Plan(start=start, goal=goal, notes=(note,))
        upgrades = _fus_way(start, [one for one in candidates if one.image.sha256 not in unusable], goal)
        steps = tuple(_steps(start, goal, upgrades, installed=installed))
    except (PlanError, PlacementError) as error:
        missing = [f"missing: {file}" for file in getattr(error, "missing", ())]
        blocked = [one for one in candidates if one.image.kind is ImageKind.FUS and one.image.sha256 in unusable]
        return Plan(
            start=start,
            goal=goal,
            refusals=(str(error), *missing),
            notes=tuple(f"not used: {printable(one.path)}: {unusable[one.image.sha256]}" for one in blocked),
        )
    used = {step.candidate.image.sha256 for step in steps if step.candidate}
    return Plan(
        start=start,
        goal=goal,
        steps=steps,
        warnings=tuple(_warnings(start, steps, installed)),
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

    ST's signature must be valid, but for the contents that ST is known to have published: the key of the images for
    FUS 0.5.3 and 1.0.x is not known (docs/image-format.md, "Signature").
    """
    stands = {"WB105", "WB201"} if candidate.assessment.known else {"WB105"}
    for finding in findings(candidate.assessment, Chip(target=target)):
        if finding.severity is Severity.ERROR and finding.rule not in stands:
            return f"{finding.rule} {finding.message}"
    if candidate.image.kind is ImageKind.FUS:
        return lock_up(candidate.image, target, None)
    return ""


def _stack_installed(start: Start) -> bool | None:
    """Whether a stack is on the chip, by all that was said; None: nobody said. Raises PlanError, PlacementError."""
    said = True if start.stack_version is not None and start.stack_installed is None else start.stack_installed
    if start.sfsa is None:
        return said
    told = holds_stack(start.target, start.sfsa, start.fus)
    if said is not None and said is not told:
        what = "is" if told else "is not"
        raise PlanError(
            f"SFSA {start.sfsa:#x} tells that a stack {what} installed, and you say the opposite: read both again"
        )
    return told


def _refuse_start(start: Start, goal: Candidate, installed: bool | None) -> None:
    """Raise PlanError for a chip from which no way leads to any such goal."""
    fus, target = start.fus, start.target
    if fus < FUS_0_5_3:
        raise PlanError(
            f"no FUS {fus.text} is known: 0.0.0 means that FUS was not running or not readable when its version was "
            "read (`imagekit explain fus-0.0.0`); start FUS and read it again"
        )
    if target.series is Series.WB1X and fus < Version(1, 2, 0):
        raise PlanError(f"no WB1x has FUS {fus.text}: the first was 1.2.0; read the version again")
    if needs_fus_first(target, fus) and installed is not False:
        raise PlanError(
            f"with FUS {fus.text} ST wants FUS 1.0.2 or later on {target.name} before any other operation, and FUS "
            "wants the stack deleted before it is upgraded: with a stack installed no source says what is safe. If "
            "none is installed say --no-stack; else ask ST"
        )
    if goal.image.kind is ImageKind.STACK and start.anti_rollback is not None:
        _refuse_rollback(start.anti_rollback, fus, goal)


def _refuse_rollback(stored: Version | AntiRollback, fus: Version, goal: Candidate) -> None:
    """Raise PlanError when anti-rollback forbids the goal (release notes of v1.24.0; AN5185 section 2.4)."""
    if stored is AntiRollback.NO_STACK or fus < Version(1, 2, 0):
        raise PlanError(
            "anti-rollback was activated without a stack, or on a FUS before 1.2.0: FUS then refuses every stack for "
            "ever (FW_ROLLBACK_ERROR), and nothing is known to undo it"
        )
    version = goal.image.version
    if isinstance(stored, AntiRollback) or version is None:
        raise PlanError(
            "anti-rollback is on, and which version it stored is not known: a stack older than that would be refused "
            "after yours was deleted. Find out which stack was installed when it was activated"
        )
    if version < stored:
        raise PlanError(
            f"anti-rollback is on and stored {stored.text}: FUS refuses {goal.title} (FW_ROLLBACK_ERROR), and there is "
            f"no way back; take {stored.text} or later"
        )


def _nothing_to_do(start: Start, goal: Candidate) -> str:
    """Why the chip has what is wanted; empty when it has not, or when that cannot be told."""
    image = goal.image
    if image.kind is ImageKind.FUS and given_fus(image).text == start.fus.text:
        return f"the chip has FUS {start.fus.text} already"
    if image.kind is not ImageKind.STACK or start.sfsa is None or start.stack_version is None:
        return ""
    # The version alone names no variant; version and size do in nearly all cases (docs/image-format.md).
    at_sfsa = place(image, start.target).address == start.target.sector_address(start.sfsa)
    if image.version == start.stack_version and at_sfsa:
        return f"the chip has a stack of this version and size already: {goal.title}"
    return ""


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
            if gives not in reached and not refusal(one.image, fus, fus_variants(one.assessment)):
                reached[gives] = [*reached[fus], one]
                queue.append(gives)
    raise _no_way(start, goal, max(reached))


def fus_variants(assessment: Assessment) -> tuple[str, ...]:
    """ST's names for a FUS image. One that hides its version and verifies is not for FUS 0.5.3: those do not verify."""
    if not assessment.variants and assessment.signature.status is SignatureStatus.VALID:
        return ("FUS",)
    return assessment.variants


def _hindrance(goal: Candidate, target: Target, fus: Version) -> str:
    """Why the goal is not to be installed on a chip with this FUS; empty when it may be."""
    image = goal.image
    if why := refusal(image, fus, fus_variants(goal.assessment)) or lock_up(image, target, fus):
        return why
    if image.kind is not ImageKind.STACK:
        return ""
    asked, notes = asked_fus(image)
    return f"{notes} ask for FUS {asked.text} or later first" if fus < asked else ""


def _no_way(start: Start, goal: Candidate, best: Version) -> PlanError:
    """Why there is no way to the goal, and which files are missing; `best` is the FUS that the files lead to."""
    why = f"{goal.title}: {_hindrance(goal, start.target, best)}"
    if best != start.fus:
        why += f" (the files lead from FUS {start.fus.text} to {best.text})"
    is_dead_end = goal.image.kind is ImageKind.SAFEBOOT or (
        goal.image.kind is ImageKind.FUS and given_fus(goal.image) < start.fus
    )
    hops = [] if is_dead_end else _hops(start, goal, best)
    return PlanError(why, tuple(f"{_file(start.target, hop)} of STM32CubeWB {hop.where}" for hop in hops))


def _hops(start: Start, goal: Candidate, fus: Version) -> Iterator[Hop]:
    """ST's upgrades from a FUS on, until the goal can be installed."""
    for hop in HOPS:
        if fus < hop.below and _hindrance(goal, start.target, fus):
            yield hop
            fus = hop.gives


def _file(target: Target, hop: Hop) -> str:
    return f"stm32{target.series.value.lower()}_{hop.file}"


def _steps(start: Start, goal: Candidate, upgrades: Sequence[Candidate], *, installed: bool | None) -> Iterator[Step]:
    """The steps of the way, in order. Raises PlacementError where an image has no address."""
    fus, target = start.fus, start.target
    if installed is not False:
        yield _delete_step(start, installed)
    ups = [*upgrades, goal] if goal.image.kind is ImageKind.FUS else upgrades
    for one in ups:
        placement = place(one.image, target, fus=fus, variants=fus_variants(one.assessment))
        yield _fus_step(one, placement, fus, goal)
        fus = given_fus(one.image)
    if goal.image.kind is ImageKind.FUS:
        return
    placement = place(goal.image, target, fus=fus, variants=goal.assessment.variants)
    if goal.image.kind is ImageKind.SAFEBOOT:
        yield _safeboot_step(goal, placement, fus)
        return
    yield _stack_step(goal, placement, fus)
    yield Step(
        action=Action.START_STACK,
        fus=fus,
        needs="FUS idle, without an error",
        gives=f"{goal.title} running, also after power is switched off and on",
        why="FUS starts a stack that it has installed; asking again costs nothing, and a chip left in FUS has no radio",
        takes="one reset",
    )


def _delete_step(start: Start, installed: bool | None) -> Step:
    why = "FUS upgrades and new stacks are installed on a chip without a stack (AN5185; release notes, step 8)"
    if installed is None:
        why += "; whether one is installed was not said: deleting none is harmless, FUS answers IMG_NOT_FOUND"
    return Step(
        action=Action.DELETE_STACK,
        fus=start.fus,
        needs="FUS running (not the stack)",
        gives=f"no stack; {_idle_sfsa(start)}",
        why=why,
        afterwards=("no radio until a stack is installed again",),
        takes="1 to 7 s in logs of STM32CubeProgrammer",
    )


def _idle_sfsa(start: Start) -> str:
    """What SFSA reads without a stack, where it is known."""
    target = start.target
    if target.series is Series.WB3X:
        return "SFSA above the end of this part's flash"
    if target.series is Series.WB1X:
        return "SFSA 0x8c"
    return "SFSA 0xf6" if start.fus == FUS_0_5_3 else "SFSA 0xf4"


def _fus_step(one: Candidate, placement: Placement, fus: Version, goal: Candidate) -> Step:
    gives = given_fus(one.image)
    afterwards = [f"no way back to FUS {fus.text}, ever", "user keys stored in FUS are erased"]
    if gives >= FUS_2 > fus:
        afterwards.append("STM32CubeProgrammer before 2.20 neither deletes stacks nor finds their addresses any more")
    if one is goal:
        why = "asked for"
    else:
        asked, notes = asked_fus(goal.image) if goal.image.kind is ImageKind.STACK else (gives, "it")
        why = (
            f"{goal.title} needs FUS {asked.text} or later ({notes})"
            if asked <= gives
            else f"the way to FUS {asked.text}"
        )
    return Step(
        action=Action.INSTALL_FUS,
        candidate=one,
        placement=placement,
        fus=fus,
        needs=f"FUS {fus.text}, no stack installed",
        gives=f"FUS {gives.text}"
        + (": read it back, sources disagree" if one.variants == ("FUS_for_fus_0_5_3",) else ""),
        why=why,
        irreversible=True,
        afterwards=tuple(afterwards),
        takes="at least 3 to 4 resets; no source gives a limit: never interrupt it",
    )


def _stack_step(goal: Candidate, placement: Placement, fus: Version) -> Step:
    image, address = goal.image, placement.address
    sfsa = (address - FLASH_BASE) // placement.target.sector_size
    asked, notes = asked_fus(image)
    ram = [f"{image.footer.sram2a_kib} KiB of SRAM2a"]
    ram += [f"{image.footer.sram2b_kib} KiB of SRAM2b"] if image.footer.sram2b_kib else []
    gap = f" and {FUS_2_GAP // 1024} KiB above it free" if placement.gap_sectors else ""
    return Step(
        action=Action.INSTALL_STACK,
        candidate=goal,
        placement=placement,
        fus=fus,
        needs=f"FUS {asked.text} or later ({notes}), no stack installed{gap}",
        gives=f"{goal.title}; SFSA {sfsa:#x} expected",
        why="asked for",
        afterwards=(
            f"the application must end below 0x{address:08X} and keeps the first {' and the first '.join(ram)}",
            "the application must be built for this very stack",
        ),
        takes="7 to 12 s in logs of STM32CubeProgrammer; the first answer of FUS took 4 s",
    )


def _safeboot_step(goal: Candidate, placement: Placement, fus: Version) -> Step:
    return Step(
        action=Action.INSTALL_SAFEBOOT,
        candidate=goal,
        placement=placement,
        fus=fus,
        needs=f"FUS {fus.text}",
        gives=f"{goal.title}, and the chip in factory state",
        why="asked for by name",
        irreversible=True,
        afterwards=(
            "the stack and the application are erased",
            "FUS_UFB_CORRUPT is shown once and means success; after a reset it is FUS_NO_ERROR",
        ),
    )


def _warnings(start: Start, steps: Sequence[Step], installed: bool | None) -> Iterator[str]:
    """What to know before the first step."""
    if start.fus > NEWEST_FUS:
        yield f"FUS {start.fus.text} is newer than this imagekit knows ({NEWEST_FUS.text}): read the version again"
    for one in filter(None, (step.candidate for step in steps)):
        yield from _warnings_about(one)
    if any(step.fus.text == FUS_2.text and step.placement for step in steps):
        yield (
            "FUS 2.0.0 installs over USB only, by ST's notes of v1.22.1; whether that is FUS's fault or the "
            "programmer's is not known. FUS 2.1.0 or later has no such note"
        )
    if installed is not False and start.anti_rollback is not None:
        yield "anti-rollback is on: no source says that a stack can be deleted then without harm"
    if start.stack_version and steps and _same_version(start, steps):
        yield (
            f"the chip's stack has version {start.stack_version.text} already; whether it is this very variant the "
            "version does not tell: give --sfsa too, and there may be nothing to do"
        )
    if any(step.action is Action.DELETE_STACK for step in steps) and not any(
        step.action is Action.START_STACK for step in steps
    ):
        yield "the chip is left without a stack: give the stack that you want too, and it is in the plan"


def _warnings_about(one: Candidate) -> Iterator[str]:
    """What to know of an image that ST is known to have published."""
    known = one.assessment.known
    if known and one.assessment.signature.status is not SignatureStatus.VALID:
        release = known.published[0].release
        yield f"{one.title}: ST's signature is not verified; ST published these very bytes in {release}"
    if known and known.known_bad:
        yield f"{one.title}: {known.known_bad}"


def _same_version(start: Start, steps: Sequence[Step]) -> bool:
    return start.sfsa is None and any(
        step.action is Action.INSTALL_STACK and step.candidate and step.candidate.image.version == start.stack_version
        for step in steps
    )
