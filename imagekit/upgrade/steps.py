"""The steps of an upgrade plan: what each requires and results in, what changes for the user, and how long it takes.

Sources: release notes of STM32CubeWB v1.24.0 (STM32WB5x, steps 4 - 8; "Safeboot"); flipperzero-firmware issue 4041
(user keys); psdb README (resets); times from logs of STM32CubeProgrammer on community.st.com and from MicroPython.
"""

from dataclasses import dataclass
from enum import Enum

from imagekit.bonding import BondingData
from imagekit.fus_versions import FOR_FUS_0_5_3, FUS_0_5_3, asked_fus, given_fus
from imagekit.image.model import FUS_2, ImageKind, Version
from imagekit.placement import FUS_2_GAP, Placement
from imagekit.targets import FLASH_BASE, Series, Target
from imagekit.upgrade.candidates import Candidate

AS_WANTED = "asked for"
"""The reason for a step that the user asked for."""


class Action(Enum):
    """What a step does; the values are those of `plan --emit json`."""

    DELETE_STACK = "delete-stack"
    INSTALL_FUS = "install-fus"
    INSTALL_STACK = "install-stack"
    INSTALL_SAFEBOOT = "install-safeboot"
    START_STACK = "start-stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeStep:
    """One step and its result."""

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
    """What is different from then on, or stops working."""
    takes: str = ""
    """How long it takes, if a source tells; otherwise empty."""
    bonding_data: BondingData | None = None
    """What happens to bonding data; None where there can be none, or the step does not touch them."""


def delete_stack(target: Target, fus: Version, *, is_known_installed: bool) -> UpgradeStep:
    """Delete the stack. `is_known_installed`: whether it is known that the chip has one."""
    why = "FUS upgrades and stack installs require that the old stack is deleted first (AN5185; release notes, step 8)"
    if not is_known_installed:
        why += "; if none is installed, FUS answers IMG_NOT_FOUND, which is harmless: continue"
    gives = f"no stack; {_idle_sfsa(target, fus)} expected"
    if fus >= FUS_2:  # placement.bonding_is_reserved
        gives += ", or lower where FUS keeps bonding data"
    return UpgradeStep(
        action=Action.DELETE_STACK,
        fus=fus,
        needs="FUS running (not the stack)",
        gives=gives,
        why=why,
        afterwards=("no radio until a stack is installed again",),
        takes="1 to 7 s in logs of STM32CubeProgrammer",
    )


def _idle_sfsa(target: Target, fus: Version) -> str:
    """The value of SFSA without a stack, if it is known."""
    if target.series is Series.WB3X:
        return "SFSA above the end of this part's flash"
    if target.series is Series.WB1X:
        return "SFSA 0x8C"
    return "SFSA 0xF6" if fus == FUS_0_5_3 else "SFSA 0xF4"


def install_fus(upgrade: Candidate, placement: Placement, fus: Version, goal: Candidate) -> UpgradeStep:
    """Upgrade FUS on the way to the goal."""
    new_fus = given_fus(upgrade.image)
    afterwards = [f"FUS {fus.text} cannot be installed again, ever", "user keys stored in FUS are erased"]
    if new_fus >= FUS_2 > fus:
        afterwards.append("STM32CubeProgrammer before 2.20 can neither delete stacks nor find their addresses")
    gives = f"FUS {new_fus.text}"
    if upgrade.variants == (FOR_FUS_0_5_3,):
        gives += ": read the version back, sources disagree"
    return UpgradeStep(
        action=Action.INSTALL_FUS,
        candidate=upgrade,
        placement=placement,
        fus=fus,
        needs=f"FUS {fus.text}, no stack installed",
        gives=gives,
        why=AS_WANTED if upgrade is goal else _why_fus(goal, new_fus),
        irreversible=True,
        afterwards=tuple(afterwards),
        takes="3 to 4 resets or more; ST states no maximum time. Do not interrupt it",
    )


def _why_fus(goal: Candidate, new_fus: Version) -> str:
    """Why the goal needs a FUS upgrade that the user did not ask for."""
    if goal.image.kind is not ImageKind.STACK:
        return f"{goal.title} needs FUS {new_fus.text} or later"
    asked, source = asked_fus(goal.image)
    if asked <= new_fus:
        return f"{goal.title} needs FUS {asked.text} or later ({source})"
    return f"required before FUS {asked.text}"


def install_stack(goal: Candidate, placement: Placement, fus: Version) -> UpgradeStep:
    """Install the wanted stack."""
    image, address = goal.image, placement.address
    sfsa = (address - FLASH_BASE) // placement.target.sector_size
    asked, source = asked_fus(image)
    sram = f"SRAM2a: {image.footer.sram2a_kib} KiB, SRAM2b: {image.footer.sram2b_kib} KiB left to the application"
    needs = f"FUS {asked.text} or later ({source}), no stack installed"
    if placement.gap_sectors:
        needs += f", {FUS_2_GAP // 1024} KiB free above the image"
    return UpgradeStep(
        action=Action.INSTALL_STACK,
        candidate=goal,
        placement=placement,
        fus=fus,
        needs=needs,
        gives=f"{goal.title}; SFSA 0x{sfsa:X} expected",
        why=AS_WANTED,
        afterwards=(
            f"the application must end below 0x{address:08X}",
            sram,
            "rebuild your application with the matching STM32CubeWB version",
        ),
        takes="7 to 12 s in logs of STM32CubeProgrammer; FUS first answers after 4 s",
    )


def install_safeboot(goal: Candidate, placement: Placement, fus: Version) -> UpgradeStep:
    """Install Safeboot: a factory reset (release notes, "Safeboot")."""
    return UpgradeStep(
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
            "FUS reports FUS_UFB_CORRUPT once, which means success; after a reset it reports FUS_NO_ERROR",
        ),
    )


def start_stack(goal: Candidate, fus: Version) -> UpgradeStep:
    """Start the installed stack."""
    return UpgradeStep(
        action=Action.START_STACK,
        fus=fus,
        needs="FUS idle, without an error",
        gives=f"{goal.title} running, also after a power cycle",
        why="FUS normally starts the stack that it installed; a second request is harmless, and a chip left in FUS has "
        "no radio",
        takes="one reset",
    )
