"""The way from the chip as it is to what the bundle holds: every step, or every reason why not. Pure.

Nobody types an address: each is computed from the image and the chip, and must be the one that was signed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from flasher import registers as reg
from flasher.chip import Area, Identity, Options, Staging
from flasher.errors import RefusedError
from flasher.journal import History
from flasher.mailbox import DeviceInfo
from imagekit.bundle.manifest import ImageEntry, ManifestStep
from imagekit.bundle.verified import VerifiedBundle
from imagekit.errors import PlacementError
from imagekit.fus_versions import needs_fus_first
from imagekit.image.model import Version
from imagekit.option_bytes.decode import decode_pairs
from imagekit.option_bytes.verdicts import FieldVerdict, Grade, judge_fields, judge_together
from imagekit.placement import place
from imagekit.targets import Target

FUS_1_1_0 = Version(1, 1, 0)
"""The first FUS whose Safeboot repairs option bytes (release notes of STM32CubeWB v1.24.0, "Safeboot")."""
_LARGEST_OPEN_KIB = 31  # SBRSA and SNBRSA have five bits
_ACTIONS = {"fus": "install-fus", "stack": "install-stack", "safeboot": "install-safeboot"}
# The end of an image: a signature footer begins with the two markers and ends with ST's or a customer's magic. 64 bytes
# before it the image's own footer ends with one of these words (docs/image-format.md).
_MAGICS = (0x2337_2991, 0x3227_9221, 0x4276_9811, 0xB10C_8B99, 0x927A_6741)
_MARKERS = bytes.fromhex("34123412 CDABCDAB")
_SIGNED_BY_ST, _SIGNED_BY_CUSTOMER = 0xD3A1_2C5E, 0xE2B5_1D4A
_FOOTER, _SIGNATURE, _SIGNATURE_FOOTER = 20, 64, 20

Range = tuple[int, int]
"""First address, and the one behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The chip as it was read."""

    identity: Identity
    options: Options
    info: DeviceInfo
    flash: bytes
    """User flash, from its start up to SFSA or to the part's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What the user accepts: irreversible things by name (`fus-2.2.0`), pages by address."""

    accept: frozenset[str] = frozenset()
    erase_application: tuple[Range, ...] = ()
    erase_stray: tuple[Range, ...] = ()


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

    @property
    def is_irreversible(self) -> bool:
        """Whether nothing takes it back."""
        return self.action in ("install-fus", "install-safeboot")

    @property
    def title(self) -> str:
        """`install-fus 2.2.0 at 0x080EE000`."""
        place = self.area.text if self.action == "erase" and self.area else None
        at = f"at 0x{self.staging.area.start:08X}" if self.staging else None
        return " ".join(part for part in (self.action, self.version and self.version.text, at, place) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """Every step in its order; with refusals, none may be taken. `to_accept`: names that the user has not accepted."""

    facts: Facts
    bundle: VerifiedBundle
    steps: tuple[InstallStep, ...] = ()
    refusals: tuple[str, ...] = ()
    to_accept: tuple[str, ...] = ()


# --- the chip


def option_verdicts(options: Options) -> tuple[FieldVerdict, ...]:
    """What the option bytes mean, field by field and together."""
    words = " ".join(f"{name}=0x{word:08X}" for name, word in options.words.items() if not name.startswith("PCROP"))
    decoded = decode_pairs(words, options.target)
    return (*judge_fields(decoded), *judge_together(decoded))


def hindrances(options: Options, *, is_fus_at_work: bool = False) -> tuple[str, ...]:
    """Why nothing is to be done to a chip with these option bytes; empty when something may.

    While FUS is at work, those that it alone writes may be half-way to what it makes of them: they are judged later.
    """
    return tuple(_hindrances(options, is_fus_at_work))


def _hindrances(options: Options, is_fus_at_work: bool) -> Iterator[str]:
    for one in option_verdicts(options):
        may_start = one.explains not in ("OB_SFSA_ZERO", "OB_SBRV_SAFEBOOT", "OB_C2OPT_ZERO")  # else: a factory reset
        if is_fus_at_work and may_start and (one.name in ("SFSA", "SBRV", "C2OPT") or one.name.startswith("OB_")):
            continue
        if one.grade is Grade.ERROR or one.explains in ("OB_SFSA_IMPOSSIBLE", "OB_RDP_1", "OB_RDP_2", "OB_IPCCDBA"):
            what = f"{one.name} {one.value}".strip()
            yield f"{what}: {one.meaning}; {one.recovery}"
    optr = options.words["OPTR"]
    for name, bit in (("IWDG_SW", reg.OPTR_IWDG_SW), ("WWDG_SW", reg.OPTR_WWDG_SW)):
        if not optr & bit:
            yield f"{name} 0: a watchdog that nothing feeds would reset the chip while FUS works; set {name} to 1 first"
    for area in ("PCROP1A", "PCROP1B"):
        start, end = (options.words[f"{area}{which}R"] & 0x1FF for which in "SE")  # CMSIS, FLASH_PCROP1ASR
        if start <= end:
            yield f"{area} protects code: those pages cannot be read, so stray images in them cannot be found"


def has_application(flash: bytes) -> bool:
    """Whether CPU1 has anything to boot: a stack pointer and an entry at the start of flash."""
    return flash[:8] != b"\xff" * 8


@dataclass(frozen=True, slots=True)
class LeftoverImage:
    """The pages of an image in user flash."""

    start: int
    end: int


def find_images(flash: bytes, target: Target) -> tuple[LeftoverImage, ...]:
    """Find every image that FUS might take for the one to install, damaged ones too: by its signature, at any word."""
    found = []
    at = flash.find(_MARKERS)
    while at >= 0:
        if (stray := _image_before(flash, at, target)) is not None:
            found.append(stray)
        at = flash.find(_MARKERS, at + 1)
    held = [range(one.start, one.end) for one in found]
    return (*found, *(one for one in _lone_footers(flash, target) if not any(one.start in pages for pages in held)))


def _lone_footers(flash: bytes, target: Target) -> Iterator[LeftoverImage]:
    """The pages of image footers, whatever stands behind them: FUS looks for these words (ST, community.st.com)."""
    page = target.sector_size
    for magic in _MAGICS:
        word = magic.to_bytes(4, "little")
        at = flash.find(word)
        while at >= 0:
            if at % 4 == 0 and flash[at - 12 : at - 8] == _MARKERS[4:]:  # info2 of the same footer
                start = reg.FLASH_BASE + at // page * page
                yield LeftoverImage(start, start + page)
            at = flash.find(word, at + 1)


def _image_before(flash: bytes, at: int, target: Target) -> LeftoverImage | None:
    """The image whose signature footer begins here; None when there is none."""
    footer_end, end = at - _SIGNATURE, at + _SIGNATURE_FOOTER
    magic, signed = (int.from_bytes(flash[to - 4 : to], "little") for to in (footer_end, end))
    is_whole = magic in _MAGICS
    if at % 4 or footer_end < _FOOTER or not (signed == _SIGNED_BY_ST or (signed == _SIGNED_BY_CUSTOMER and is_whole)):
        return None
    page, sectors = target.sector_size, max(flash[footer_end - _FOOTER + 8], 1) if is_whole else 1
    last = -(-end // page) * page
    return LeftoverImage(reg.FLASH_BASE + max(last - sectors * page, 0), reg.FLASH_BASE + last)


def difference(entry: ImageEntry, info: DeviceInfo, options: Options) -> str:
    """Say how an installed stack differs from the bundle's; empty when it does not.

    The version alone names no variant; version, sectors and what it leaves CPU1 of SRAM2 do, but for a few pairs.
    """
    wanted = Version.from_text(entry.version) if entry.version else None
    if info.stack is None or info.stack != wanted:
        return f"stack {info.stack.full_text if info.stack else 'none'} instead of {entry.version}"
    if info.stack_sectors not in (entry.sectors, entry.sectors - 1):  # v1.6.0's Thread_FTD announces one too few
        return f"a stack of {info.stack_sectors} sectors instead of {entry.sectors}"
    for name, found, kib in zip(("A", "B"), options.open_sram2_kib, (entry.sram2a_kib, entry.sram2b_kib), strict=True):
        if found != kib and not (kib >= _LARGEST_OPEN_KIB and found in (None, _LARGEST_OPEN_KIB)):
            return f"{'all' if found is None else found} KiB of SRAM2{name} open instead of {kib}"
    return ""


# --- the plan


def make_plan(bundle: VerifiedBundle, facts: Facts, history: History, consent: Consent) -> InstallPlan:
    """Work out the steps."""
    try:
        steps = tuple(_steps(bundle, facts, history))
    except (RefusedError, PlacementError) as error:
        reasons = error.reasons if isinstance(error, RefusedError) else (str(error),)
        return InstallPlan(facts=facts, bundle=bundle, refusals=reasons)
    if not facts.options.words["OPTR"] & reg.OPTR_BOOT and history.optr is None:
        steps = (InstallStep(action="boot-from-flash", why="CPU1 boots from SRAM1", name="boot-from-flash"), *steps)
    erasures, refusals = _clearing(bundle, steps, facts, history, consent)
    to_accept = tuple(step.name for step in steps if step.name and step.name not in consent.accept)
    refusals += [f"{_must_be_known(name)}; accept it by name: --accept {name}" for name in to_accept]
    refusals += _write_protected(facts, (*steps, *erasures))
    return InstallPlan(
        facts=facts,
        bundle=bundle,
        steps=(*erasures, *steps),
        refusals=tuple(refusals),
        to_accept=to_accept,
    )


def _steps(bundle: VerifiedBundle, facts: Facts, history: History) -> Iterator[InstallStep]:
    """The steps of the bundle that this chip needs. Raises RefusedError, PlacementError."""
    manifest, info = bundle.manifest, facts.info
    _refuse_chip(bundle, facts, history)
    entries = {one.sha256: one for one in manifest.images}
    chain = list(_chain(manifest.steps, entries, info.fus))
    last = entries[manifest.steps[-1].image]
    is_stack = last.role == "stack"
    is_another = history.stack not in (None, last.sha256)  # of the same version, sectors and SRAM2: v1.13.3, v1.17.3
    if is_stack and len(chain) == 1 and not is_another and not difference(last, info, facts.options):
        if _is_fus_selected(facts):
            yield InstallStep(action="start-stack", why="the stack is there, and FUS was left selected")
        return
    if not chain or (len(chain) == 1 and last.role == "safeboot" and info.safeboot.text == manifest.steps[-1].gives):
        return
    if _has_stack(facts):
        refuse_delete(facts)
        yield InstallStep(action="delete-stack", why="FUS installs on a chip without a stack (AN5185)")
    for entry, step, fus in chain:
        yield _install(bundle, facts, entry, step, fus)
    if is_stack:
        yield InstallStep(action="start-stack", why="a chip left in FUS has no radio")


def refuse_delete(facts: Facts) -> None:
    """Raise RefusedError for a chip that deleting its stack may lock for ever."""
    fus, target = facts.info.fus, facts.identity.target
    if needs_fus_first(target, fus):
        raise RefusedError(
            f"with FUS {fus.text} ST wants a newer FUS on {target.name} before any other operation, and a stack is "
            "installed: no source says what is safe; ask ST"
        )


def _name(entry: ImageEntry, step: ManifestStep) -> str | None:
    """What must be accepted of an installation: that it cannot be undone, or that nobody knows what it is."""
    if step.irreversible:
        return f"{entry.role}-{step.gives}"
    return f"unverified-{entry.sha256[:8]}" if entry.st_key is None else None


def _must_be_known(name: str) -> str:
    """What must be known of a thing before it is accepted."""
    if name.startswith("unverified-"):
        return (
            f"no key of ST's verifies the stack {name.partition('-')[2]}..., and the bundle's maker has waived that; "
            "FUS has the last word, but only after the old stack is gone"
        )
    if name == "boot-from-flash":
        return (
            "CPU1 boots from SRAM1, and nothing here knows what it booted before: perhaps an installation broke off at "
            "another computer; boot-from-flash has it boot from flash again"
        )
    lost = {"fus": "keys that users have stored in FUS are lost", "safeboot": "it erases the stack and the application"}
    return f"{name} cannot be undone, and {lost[name.partition('-')[0]]}"


def _refuse_chip(bundle: VerifiedBundle, facts: Facts, history: History) -> None:
    """Raise RefusedError for a chip that the bundle is not for."""
    manifest, target = bundle.manifest, facts.identity.target
    if target not in manifest.targets:
        names = ", ".join(one.name for one in manifest.targets)
        raise RefusedError(f"this chip is {target.name}, and the bundle is for {names}")
    if manifest.sequence < (seen := history.sequences.get(manifest.name, 0)):
        raise RefusedError(
            f"this is sequence {manifest.sequence} of {manifest.name}, and the chip has seen {seen}: no way back to an "
            "older release"
        )
    if facts.info.fus.major + facts.info.fus.minor == 0:
        raise RefusedError(f"FUS {facts.info.fus.text} is none that is known")


def _chain(
    steps: Sequence[ManifestStep], entries: Mapping[str, ImageEntry], fus: Version
) -> Iterator[tuple[ImageEntry, ManifestStep, Version]]:
    """The steps that are left for a chip with this FUS, each with the FUS that it begins with. Raises RefusedError."""
    for step in steps:
        entry, first = entries[step.image], Version.from_text(step.min_fus)
        below = Version.from_text(step.below_fus) if step.below_fus else None
        if below is not None and fus >= below and entry.role == "fus":
            continue  # the chip is beyond it
        if fus < first or (below is not None and fus >= below):
            end = f" and below {below.text}" if below else ""
            names = f"(`imagekit plan --part PART --fus {fus.text}` names the files)"
            todo = f"take a bundle that leads there {names}" if fus < first else "there is no way back"
            raise RefusedError(
                f"{entry.role} {step.gives} needs FUS {first.text} or later{end}, and the chip has {fus.text}: {todo}"
            )
        yield entry, step, fus
        if entry.role == "fus":
            fus = Version.from_text(step.gives)


def _has_stack(facts: Facts) -> bool:
    """Whether a stack is installed: by what CPU2 says, or by SFSA."""
    target = facts.identity.target
    return facts.info.stack is not None or target.sector_address(facts.options.sfsa) < target.limit


def _is_fus_selected(facts: Facts) -> bool:
    """Whether CPU2 boots FUS though a stack is there: SBRV points elsewhere than SFSA (dumps of boards)."""
    options = facts.options
    return facts.info.is_fus or options.sbrv * 4 != options.sfsa * options.target.sector_size


def _install(bundle: VerifiedBundle, facts: Facts, entry: ImageEntry, step: ManifestStep, fus: Version) -> InstallStep:
    """One installation: the address computed again, for this chip. Raises RefusedError, PlacementError."""
    target, assessment = facts.identity.target, bundle.assessments[entry.sha256]
    sfsa = None if _has_stack(facts) else facts.options.sfsa
    same_fus = fus == facts.info.fus
    placement = place(
        assessment.image, target, fus=fus, sfsa=sfsa if same_fus else None, variants=assessment.fus_variants
    )
    signed = bundle.manifest.addresses[target.name][entry.sha256]
    if placement.address != signed:
        raise RefusedError(
            f"the bundle puts {entry.role} {step.gives} at 0x{signed:08X}, and on this chip it belongs at "
            f"0x{placement.address:08X}"
        )
    data = bundle.images[entry.sha256]
    data += b"\xff" * (-len(data) % 8)  # 0xFF, so that no magic stands there twice (ST, otas_app.c)
    area = Area(placement.address, placement.address + placement.sectors * target.sector_size, target)
    return InstallStep(
        action=_ACTIONS[entry.role],
        why="no way back, ever" if step.irreversible else "asked for",
        image=entry.sha256,
        staging=Staging(area, data),
        area=area,
        version=Version.from_text(entry.version or step.gives)
        if entry.role == "stack"
        else Version.from_text(step.gives),
        name=_name(entry, step),
    )


# --- what is in the way


_IN_THE_WAY = "something (an application?) where an image must go, or that CPU1 boots"


def _clearing(
    bundle: VerifiedBundle, steps: Sequence[InstallStep], facts: Facts, history: History, consent: Consent
) -> tuple[tuple[InstallStep, ...], list[str]]:
    """What must be erased first, and what may not be."""
    stagings = [step.staging for step in steps if step.staging]
    if not stagings:
        return (), []
    target, page = facts.identity.target, facts.identity.target.sector_size
    first, held = stagings[0].area, _held(stagings[0], facts)
    ours = _ours(bundle, facts, history)
    found = [one for one in find_images(facts.flash, target) if one.end - page not in held]
    stray = {at for one in found for at in range(one.start, one.end, page)} - ours
    filled, lowest = _filled(facts), min(one.area.start for one in stagings)
    in_the_way = {at for at in filled if at >= lowest} - held - ours - stray
    if facts.info.fus < FUS_1_1_0 and has_application(facts.flash):
        in_the_way.add(reg.FLASH_BASE)  # no option bytes are touched, so CPU1 must have nothing to boot
    refusals = [
        f"{_range_text(run, page)} holds {what}; look at it, and if it may go: {option} {_range_text(run, page)}"
        for pages, allowed, what, option in (
            (in_the_way, consent.erase_application, _IN_THE_WAY, "--erase-application"),
            (stray, consent.erase_stray, "an image that FUS might install instead", "--erase-stray"),
        )
        for run in _runs({at for at in pages if not _is_in(at, page, allowed)}, page)
    ]
    # What stands where a later image will be staged goes at once: FUS would see it beside the first.
    erased = (in_the_way | stray | (ours & filled)) - (set(range(first.start, first.end, page)) - stray)
    return tuple(
        InstallStep(action="erase", why="it is in the way", area=Area(run[0], run[-1] + page, target))
        for run in _runs(erased, page)
    ), refusals


def _ours(bundle: VerifiedBundle, facts: Facts, history: History) -> set[int]:
    """Pages that an earlier run has written to, and that hold nothing else since.

    That is the bytes of an image of this bundle, as far as they came; and where that run broke off, the one page that
    was being erased or programmed, which may hold anything.
    """
    target, flash, base = facts.identity.target, facts.flash, reg.FLASH_BASE
    page, found, torn, start = target.sector_size, set[int](), list[int](), 0
    images = [
        (at, _padded(bundle.images[sha256], page)) for sha256, at in bundle.manifest.addresses[target.name].items()
    ]  # several may go to one address
    for start, end in history.staged:
        torn.clear()
        for at in range(start, min(end, base + len(flash)), page):
            there = flash[at - base : at - base + page].rstrip(b"\xff")
            pages = [image[at - start : at - start + page] for first, image in images if first == start]
            (found.add if not there or any(one.startswith(there) for one in pages) else torn.append)(at)
    for at, image in images:  # one that stands there whole is lost nothing of: the bundle has it
        if flash.startswith(image, at - base):
            found |= set(range(at, at + len(image), page))
    return found | set(
        torn if history.is_torn and len(torn) == 1 and any(first == start for first, _ in images) else ()
    )


def _padded(image: bytes, page: int) -> bytes:
    """An image as it stands in flash: nothing of anybody else behind it in its last page."""
    return image + b"\xff" * (-len(image) % page)


def _held(staging: Staging, facts: Facts) -> set[int]:
    """Pages that hold an image already, where and as it will be staged; empty when it is not there."""
    start, page = staging.area.start, facts.identity.target.sector_size
    is_there = facts.flash.startswith(_padded(staging.data, page), start - reg.FLASH_BASE)
    return set(range(start, start + len(staging.data), page)) if is_there else set()


def _filled(facts: Facts) -> set[int]:
    """Pages of user flash that are not blank."""
    page, flash = facts.identity.target.sector_size, facts.flash
    blank = b"\xff" * page
    return {
        reg.FLASH_BASE + at for at in range(0, len(flash), page) if flash[at : at + page] != blank[: len(flash) - at]
    }


def _write_protected(facts: Facts, steps: Sequence[InstallStep]) -> list[str]:
    """Why pages that must change cannot: WRP areas (CMSIS, FLASH_WRP1AR)."""
    pages = {page for step in steps if step.area for page in step.area.pages}
    refusals = []
    for name in ("WRP1AR", "WRP1BR"):
        word = facts.options.words[name]
        if pages & set(range(word & 0xFF, (word >> 16 & 0xFF) + 1)):
            refusals.append(f"{name} write-protects pages that must change: clear it first (0x{word:08X})")
    return refusals


def _runs(pages: set[int], page: int) -> list[list[int]]:
    """Pages by address, those that follow each other together."""
    runs = groupby(enumerate(sorted(pages)), key=lambda one: one[1] - one[0] * page)
    return [[at for _, at in run] for _, run in runs]


def _range_text(run: Sequence[int], page: int) -> str:
    return f"0x{run[0]:08X}-0x{run[-1] + page - 1:08X}"


def _is_in(at: int, page: int, ranges: Sequence[Range]) -> bool:
    return any(first <= at and at + page <= end for first, end in ranges)
