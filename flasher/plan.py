"""Plan an installation: every step from the chip as it is to what the bundle holds, or why there is none. Pure.

Each address is computed from the image and the chip, and must be the signed one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flasher import registers as reg
from flasher.acceptance import FUS_1_1_0, PURGE, Acceptance, consequence, erasure_refusals, name_to_accept
from flasher.clearing import FlashContent, Obstacles, areas, find_obstacles, staged_by_us
from flasher.device import Area, Staging
from flasher.errors import RefusedError
from flasher.facts import Facts, difference
from flasher.journal import History
from imagekit import bonding
from imagekit.bonding import BondingData, StackFormat
from imagekit.bundle.manifest import ImageEntry, ManifestStep
from imagekit.bundle.order import steps_on
from imagekit.bundle.verified import VerifiedBundle
from imagekit.errors import PlacementError
from imagekit.fus_versions import needs_fus_first
from imagekit.image.model import FUS_2, Version
from imagekit.placement import place

_ACTIONS = {"fus": "install-fus", "stack": "install-stack", "safeboot": "install-safeboot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStep:
    """One thing to do. `image` is a SHA-256; `area` is what is erased; `name` is what must be accepted."""

    action: str
    why: str
    image: str | None = None
    staging: Staging | None = None
    area: Area | None = None
    version: Version | None = None
    name: str | None = None
    bonding_data: BondingData | None = None
    """What happens to bonding data; None where there can be none, or the step does not touch them."""

    @property
    def is_irreversible(self) -> bool:
        """Whether the step cannot be reverted."""
        return self.action in ("install-fus", "install-safeboot", PURGE)

    @property
    def title(self) -> str:
        """The step in a few words: `install-fus 2.2.0 at 0x080EE000`."""
        words = [self.action]
        if self.version:
            words.append(self.version.text)
        if self.staging:
            words.append(f"at 0x{self.staging.area.start:08X}")
        elif self.area:
            words.append(self.area.text)
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """Every step in order. With refusals, no step is carried out. `to_accept`: names the user has not accepted."""

    facts: Facts
    bundle: VerifiedBundle
    steps: tuple[InstallStep, ...] = ()
    refusals: tuple[str, ...] = ()
    to_accept: tuple[str, ...] = ()


def make_plan(bundle: VerifiedBundle, facts: Facts, history: History, acceptance: Acceptance) -> InstallPlan:
    """Plan the steps that bring this chip to what the bundle holds."""
    try:
        steps = tuple(_steps(bundle, facts, history, acceptance))
    except RefusedError as error:
        return InstallPlan(facts=facts, bundle=bundle, refusals=error.reasons)
    except PlacementError as error:
        return InstallPlan(facts=facts, bundle=bundle, refusals=(str(error),))
    boots_from_sram = not facts.options.words["OPTR"] & reg.OPTR_BOOT
    if boots_from_sram and history.optr is None:
        steps = (InstallStep(action="boot-from-flash", why="CPU1 boots from SRAM1", name="boot-from-flash"), *steps)
    obstacles = _obstacles(bundle, steps, facts, history)
    erasures = tuple(
        InstallStep(action="erase", why="an image or the search by FUS needs these sectors blank", area=area)
        for area in areas(obstacles.erase, facts.identity.target)
    )
    to_accept = tuple(step.name for step in steps if step.name and step.name not in acceptance.accept)
    steps = (*erasures, *steps)
    refusals = (
        *erasure_refusals(obstacles, facts.identity.target, acceptance),
        *(f"{consequence(name, facts.info.fus)}; accept it by name: --accept {name}" for name in to_accept),
        *_write_protection_refusals(facts, steps),
    )
    return InstallPlan(facts=facts, bundle=bundle, steps=steps, refusals=refusals, to_accept=to_accept)


def _steps(bundle: VerifiedBundle, facts: Facts, history: History, acceptance: Acceptance) -> Iterator[InstallStep]:
    """Yield the steps of the bundle that this chip needs. Raises RefusedError, PlacementError."""
    _refuse_chip(bundle, facts, history)
    entries = {entry.sha256: entry for entry in bundle.manifest.images}
    steps = steps_on(bundle.manifest, facts.info.fus)
    installations = list(_installations(steps, entries, facts.info.fus))
    if not installations:
        return
    last_entry, last_step, _ = installations[-1]
    is_single = len(installations) == 1
    if is_single and last_entry.role == "safeboot" and facts.info.safeboot.text == last_step.gives:
        return
    if is_single and last_entry.role == "stack" and _is_installed(last_entry, facts, history):
        if facts.is_fus_selected:
            yield InstallStep(action="start-stack", why="the stack is installed, but CPU2 boots FUS")
        return
    needs_room = any(not entry.gap_sectors for entry, _, _ in installations)
    removal = _removal(facts, purges=facts.bonding_room and (needs_room or PURGE in acceptance.accept))
    yield from removal
    for entry, step, fus in installations:
        yield _install(bundle, facts, entry, step, fus, removal)
    if last_entry.role == "stack":
        yield InstallStep(action="start-stack", why="otherwise CPU2 stays in FUS, without a radio")


def _removal(facts: Facts, *, purges: bool) -> tuple[InstallStep, ...]:
    """Return the step that removes the stack, or the stack and all bonding data. Raises RefusedError.

    An image without room for bonding data would cover them: it is installed only after a purge, which the user accepts
    by name. Source: release notes of STM32CubeWB v1.23.0; v1.24.0, shci.h (FW_PURGE).
    """
    fus = facts.info.fus
    if purges:
        why = "an image goes where FUS keeps bonding data, or the user wants them deleted"
        return (InstallStep(action=PURGE, why=why, name=PURGE, bonding_data=bonding.after_purge()),)
    if not facts.has_stack:
        return ()
    refuse_delete(facts)
    why = "FUS installs only on a chip without a stack (AN5185)"
    return (InstallStep(action="delete-stack", why=why, bonding_data=bonding.after_delete(fus)),)


def _is_installed(entry: ImageEntry, facts: Facts, history: History) -> bool:
    """Whether the chip has this stack, as far as it and the journal tell.

    Two variants of a release can have the same version, sectors and SRAM2 (v1.13.3, v1.17.3); only the journal tells
    them apart.
    """
    is_another = history.stack not in (None, entry.sha256)
    return not is_another and not difference(entry, facts.info, facts.options)


def refuse_delete(facts: Facts) -> None:
    """Raise RefusedError for a chip that deleting its stack could lock forever."""
    fus, target = facts.info.fus, facts.identity.target
    if needs_fus_first(target, fus):
        raise RefusedError(
            f"ST requires a newer FUS than {fus.text} on {target.name} before any other operation, but a stack is "
            "installed: no source says how to do both safely; ask ST"
        )


def _refuse_chip(bundle: VerifiedBundle, facts: Facts, history: History) -> None:
    """Raise RefusedError for a chip that the bundle is not for."""
    manifest, target = bundle.manifest, facts.identity.target
    if target not in manifest.targets:
        names = ", ".join(known.name for known in manifest.targets)
        raise RefusedError(f"this chip is {target.name}, but the bundle is for {names}")
    seen = history.sequences.get(manifest.name, 0)
    if manifest.sequence < seen:
        raise RefusedError(
            f"this bundle is sequence {manifest.sequence} of {manifest.name}, but the chip has received sequence "
            f"{seen}: an older release is not installed"
        )
    if facts.info.fus.major + facts.info.fus.minor == 0:
        raise RefusedError(
            f"FUS {facts.info.fus.text} is not a known version: FUS was not running, or its version was not readable"
        )


def _installations(
    steps: Sequence[ManifestStep], entries: Mapping[str, ImageEntry], fus: Version
) -> Iterator[tuple[ImageEntry, ManifestStep, Version]]:
    """Yield the steps that a chip with this FUS needs, each with the FUS it starts on. Raises RefusedError."""
    for step in steps:
        entry = entries[step.image]
        below = Version.from_text(step.below_fus) if step.below_fus else None
        is_too_new = below is not None and fus >= below
        if is_too_new and entry.role == "fus":
            continue
        if is_too_new or fus < Version.from_text(step.min_fus):
            raise RefusedError(_wrong_fus(entry, step, fus))
        yield entry, step, fus
        if entry.role == "fus":
            fus = Version.from_text(step.gives)


def _wrong_fus(entry: ImageEntry, step: ManifestStep, fus: Version) -> str:
    """Say which FUS a step needs, and what to do about it."""
    needed = f"FUS {step.min_fus} or later"
    if step.below_fus:
        needed += f" and below {step.below_fus}"
    todo = "FUS cannot be downgraded"
    if fus < Version.from_text(step.min_fus):
        todo = (
            "use a bundle that also holds the FUS images in between (`imagekit plan --part PART --fus "
            f"{fus.text}` names them)"
        )
    return f"{entry.role} {step.gives} needs {needed}, but the chip has FUS {fus.text}: {todo}"


def _install(
    bundle: VerifiedBundle,
    facts: Facts,
    entry: ImageEntry,
    step: ManifestStep,
    fus: Version,
    removal: tuple[InstallStep, ...],
) -> InstallStep:
    """Make the step of one installation, its address computed for this chip. Raises RefusedError, PlacementError."""
    target, assessment = facts.identity.target, bundle.assessments[entry.sha256]
    sfsa = None
    # A removal moves SFSA, and so does FUS. SFSA without a stack is below the limit where bonding data are kept.
    if not removal and not facts.bonding_room and fus == facts.info.fus:
        sfsa = facts.options.sfsa
    placement = place(assessment.image, target, fus=fus, sfsa=sfsa, variants=assessment.fus_variants)
    signed = bundle.manifest.addresses[target.name][entry.sha256]
    if placement.address != signed:
        raise RefusedError(
            f"the bundle places {entry.role} {step.gives} at 0x{signed:08X}, but on this chip its address is "
            f"0x{placement.address:08X}"
        )
    data = bundle.images[entry.sha256]
    data += b"\xff" * (-len(data) % 8)  # 0xFF, so that no magic stands there twice (ST, otas_app.c)
    area = Area(placement.address, placement.address + placement.sectors * target.sector_size, target)
    version = step.gives
    if entry.role == "stack" and entry.version:
        version = entry.version
    return InstallStep(
        action=_ACTIONS[entry.role],
        why="the bundle holds it",
        image=entry.sha256,
        staging=Staging(area, data),
        area=area,
        version=Version.from_text(version),
        name=name_to_accept(entry, step),
        bonding_data=_bonding_data(entry, facts, fus, removal),
    )


def _bonding_data(
    entry: ImageEntry, facts: Facts, fus: Version, removal: tuple[InstallStep, ...]
) -> BondingData | None:
    """Return what an installation does to bonding data; None where the chip can hold none by then."""
    if entry.role == "safeboot":
        return bonding.after_safeboot()
    is_purged = any(step.action == PURGE for step in removal)
    if is_purged or not (facts.has_stack or facts.bonding_room):
        return None
    if entry.role == "fus":
        return bonding.after_fus_upgrade(fus)
    installed = StackFormat.PLAIN
    if entry.gap_sectors:
        installed = StackFormat.FUS_2
    if facts.info.fus < FUS_2:  # lost before: FUS 1.x has deleted the earlier stack
        fus = facts.info.fus
    return bonding.after_stack(fus, installed, replaces=facts.stack_format, is_deleted_first=bool(removal))


# --- user flash


def _obstacles(bundle: VerifiedBundle, steps: Sequence[InstallStep], facts: Facts, history: History) -> Obstacles:
    """Find what stands in the way of the images that these steps stage."""
    stagings = [step.staging for step in steps if step.staging]
    if not stagings:
        return Obstacles(application=frozenset(), leftover=frozenset(), erase=frozenset())
    target = facts.identity.target
    flash = FlashContent(facts.flash, target)
    addresses = bundle.manifest.addresses[target.name]
    images = [(address, bundle.images[sha256]) for sha256, address in addresses.items()]
    staged_before = staged_by_us(flash, images, history)
    # Option bytes are not changed under an older FUS, so CPU1 must have nothing to boot there.
    return find_obstacles(flash, stagings, staged_before, cpu1_must_not_boot=facts.info.fus < FUS_1_1_0)


def _write_protection_refusals(facts: Facts, steps: Sequence[InstallStep]) -> Iterator[str]:
    """Say which write protection covers sectors that must change (CMSIS stm32wb55xx.h, FLASH_WRP1AR)."""
    changed = {page for step in steps if step.area for page in step.area.pages}
    for name in ("WRP1AR", "WRP1BR"):
        word = facts.options.words[name]
        if changed & set(range(word & 0xFF, (word >> 16 & 0xFF) + 1)):
            yield f"{name} write-protects sectors that must change: clear it first (0x{word:08X})"
