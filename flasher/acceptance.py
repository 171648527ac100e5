"""What the user must accept: irreversible steps by name, the loss of sectors by address. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flasher.clearing import Obstacles, areas
from imagekit.bundle.manifest import ImageEntry, ManifestStep
from imagekit.image.model import Version
from imagekit.targets import Target

FUS_1_1_0 = Version(1, 1, 0)
"""The first FUS whose Safeboot repairs option bytes (release notes of STM32CubeWB v1.24.0, "Safeboot")."""
PURGE = "purge-nvm"
"""The step, and the name that the user must accept, that deletes the stack and all bonding data (FW_PURGE)."""

Range = tuple[int, int]
"""First address, and the first address after the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the user accepted: irreversible things by name (`fus-2.2.0`), sectors by address."""

    accept: frozenset[str] = frozenset()
    erase_application: tuple[Range, ...] = ()
    erase_leftover: tuple[Range, ...] = ()


def name_to_accept(entry: ImageEntry, step: ManifestStep) -> str | None:
    """Return what must be accepted by name: an irreversible step, or an image that no key of ST verifies."""
    if step.irreversible:
        return f"{entry.role}-{step.gives}"
    if entry.st_key is None:
        return f"unverified-{entry.sha256}"  # whole: a second image with the same 8 digits takes minutes to find
    return None


def consequence(name: str, fus: Version) -> str:
    """Say what accepting a name means on a chip with this FUS."""
    if name.startswith("unverified-"):
        return (
            f"no known key of ST verifies the stack {name.partition('-')[2]}, and the maker of the bundle waived "
            "that; FUS checks it only after the old stack is deleted"
        )
    if name == "boot-from-flash":
        text = (
            "CPU1 boots from SRAM1, and the journal on this computer does not say why: an installation at another "
            "computer may have been interrupted; boot-from-flash makes CPU1 boot from flash again"
        )
        if fus < FUS_1_1_0:
            text += f", and a loss of power while that is written kills a chip with FUS {fus.text}"
        return text
    if name == PURGE:
        return (
            "purge-nvm is irreversible, and it deletes the stack and all bonding data (pairings) that the radio core "
            "stored: an image of this bundle goes to the 16 KiB below FUS where they are kept"
        )
    if name.startswith("fus-"):
        return f"{name} is irreversible, and keys that users stored in FUS are lost"
    return f"{name} is irreversible, and it erases the stack and the application"


def erasure_refusals(obstacles: Obstacles, target: Target, acceptance: Acceptance) -> Iterator[str]:
    """Say which sectors must be erased and were not accepted."""
    what = "data (an application?) where an image must go or that CPU1 boots"
    for area in areas(_not_in(obstacles.application, acceptance.erase_application, target.sector_size), target):
        yield f"{area.text} holds {what}; check it, then accept its loss: --erase-application {area.text}"
    what = "a leftover image that FUS could install instead"
    for area in areas(_not_in(obstacles.leftover, acceptance.erase_leftover, target.sector_size), target):
        yield f"{area.text} holds {what}; check it, then accept its loss: --erase-leftover {area.text}"


def _not_in(sectors: frozenset[int], accepted: Sequence[Range], size: int) -> set[int]:
    """The sectors that no accepted range holds whole."""
    return {
        sector for sector in sectors if not any(first <= sector and sector + size <= end for first, end in accepted)
    }
