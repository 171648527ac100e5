"""The steps of a plan: what each needs and gives, what is different afterwards, how long it takes where a source tells.

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
"""Why a step is there that the user asked for."""


class Action(Enum):
    """What a step does; the values are those of `plan --emit json`."""

    DELETE_STACK = "delete-stack"
    INSTALL_FUS = "install-fus"
    INSTALL_STACK = "install-stack"
    INSTALL_SAFEBOOT = "install-safeboot"
    START_STACK = "start-stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeStep:
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
    bonding_data: BondingData | None = None
    """What happens to bonding data; None where there can be none, or the step does not touch them."""


def delete_stack(target: Target, fus: Version, *, is_told: bool) -> UpgradeStep:
    """Delete the stack. `is_told`: whether somebody said that one is installed."""
    why = "FUS is upgraded, and a stack installed, on a chip without a stack (AN5185; release notes, step 8)"
    if not is_told:
        why += "; if none is installed, FUS answers IMG_NOT_FOUND, which is harmless: go on"
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
    """What SFSA reads without a stack, where it is known."""
    if target.series is Series.WB3X:
        return "SFSA above the end of this part's flash"
    if target.series is Series.WB1X:
        return "SFSA 0x8C"
    return "SFSA 0xF6" if fus == FUS_0_5_3 else "SFSA 0xF4"


def install_fus(one: Candidate, placement: Placement, fus: Version, goal: Candidate) -> UpgradeStep:
    """Upgrade FUS, on the way to the goal."""
    gives = given_fus(one.image)
    afterwards = [f"no way back to FUS {fus.text}, ever", "user keys stored in FUS are erased"]
    if gives >= FUS_2 > fus:
        afterwards.append("STM32CubeProgrammer before 2.20 neither deletes stacks nor finds their addresses any more")
    if one is goal:
        why = AS_WANTED
    else:
        asked, notes = asked_fus(goal.image) if goal.image.kind is ImageKind.STACK else (gives, "it")
        why = (
            f"{goal.title} needs FUS {asked.text} or later ({notes})"
            if asked <= gives
            else f"the way to FUS {asked.text}"
        )
    return UpgradeStep(
        action=Action.INSTALL_FUS,
        candidate=one,
        placement=placement,
        fus=fus,
        needs=f"FUS {fus.text}, no stack installed",
        gives=f"FUS {gives.text}" + (": read it back, sources disagree" if one.variants == (FOR_FUS_0_5_3,) else ""),
        why=why,
        irreversible=True,
        afterwards=tuple(afterwards),
        takes="at least 3 to 4 resets; no source gives a limit: never interrupt it",
    )


def install_stack(goal: Candidate, placement: Placement, fus: Version) -> UpgradeStep:
    """Install the stack that is wanted."""
    image, address = goal.image, placement.address
    sfsa = (address - FLASH_BASE) // placement.target.sector_size
    asked, notes = asked_fus(image)
    ram = [f"{image.footer.sram2a_kib} KiB of SRAM2a"]
    ram += [f"{image.footer.sram2b_kib} KiB of SRAM2b"] if image.footer.sram2b_kib else []
    gap = f" and {FUS_2_GAP // 1024} KiB above it free" if placement.gap_sectors else ""
    return UpgradeStep(
        action=Action.INSTALL_STACK,
        candidate=goal,
        placement=placement,
        fus=fus,
        needs=f"FUS {asked.text} or later ({notes}), no stack installed{gap}",
        gives=f"{goal.title}; SFSA 0x{sfsa:X} expected",
        why=AS_WANTED,
        afterwards=(
            f"the application must end below 0x{address:08X} and keeps the first {' and the first '.join(ram)}",
            "the application must be built for this very stack",
        ),
        takes="7 to 12 s in logs of STM32CubeProgrammer; the first answer of FUS took 4 s",
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
            "FUS_UFB_CORRUPT is shown once and means success; after a reset it is FUS_NO_ERROR",
        ),
    )


def start_stack(goal: Candidate, fus: Version) -> UpgradeStep:
    """Start the installed stack."""
    return UpgradeStep(
        action=Action.START_STACK,
        fus=fus,
        needs="FUS idle, without an error",
        gives=f"{goal.title} running, also after power is switched off and on",
        why="FUS starts a stack that it has installed; asking again costs nothing, and a chip left in FUS has no radio",
        takes="one reset",
    )
