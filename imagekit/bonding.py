"""Say what happens to bonding data when firmware changes: pairings that the radio core stores in its own flash.

Data that an application keeps itself (SHCI_C2_Config, Config1 bit 0 = 1: BLE NVM in SRAM) are not meant; no tool can
tell which variant an application uses. None of this was measured: ST claims that FUS 2 preserves bonding data, and no
public test confirms or denies it.
"""

from dataclasses import dataclass
from enum import Enum

from imagekit.image.model import FUS_2, Version

_RN_1_22_1 = "release notes of STM32CubeWB v1.22.1"
_RN_1_23_0 = "release notes of STM32CubeWB v1.22.1 and v1.23.0"
_SHCI = "STM32CubeWB v1.24.0, shci.h"
_SAFEBOOT = 'release notes of STM32CubeWB v1.24.0, "Safeboot"'


class BondingFate(Enum):
    """What is known; the values are those of `bonding_data` in JSON."""

    KEPT = "kept"
    LOST = "lost"
    UNKNOWN = "unknown"


class StackFormat(Enum):
    """The format of a stack, by its footer: a stack for FUS 2 leaves room for bonding data above itself."""

    PLAIN = "plain"
    FUS_2 = "fus-2"


@dataclass(frozen=True, slots=True)
class BondingData:
    """What happens to bonding data in one step, why, and who says so."""

    fate: BondingFate
    why: str
    source: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"bonding data {self.fate.value}: {self.why} ({self.source})"

    @property
    def document(self) -> dict[str, str]:
        """The member `bonding_data` of a step."""
        return {"fate": self.fate.value, "why": self.why, "source": self.source}


_FUS_1 = BondingData(BondingFate.LOST, "FUS 1.x does not preserve bonding data", _RN_1_22_1)


def after_delete(fus: Version) -> BondingData:
    """Return what happens to bonding data when FUS deletes the stack."""
    if fus < FUS_2:
        return _FUS_1
    return BondingData(
        BondingFate.UNKNOWN,
        "FUS 2 has a separate command that purges bonding data, so a delete may keep them; no public test shows it",
        _SHCI,
    )


def after_purge() -> BondingData:
    """Return what happens to bonding data when FUS purges them."""
    return BondingData(BondingFate.LOST, "FW_PURGE deletes the stack and the bonding data", _SHCI)


def after_fus_upgrade(fus: Version) -> BondingData:
    """Return what happens to bonding data on the chip when this FUS is upgraded."""
    if fus < FUS_2:
        return _FUS_1
    return BondingData(BondingFate.UNKNOWN, "no source tells what an upgrade of FUS 2 does to bonding data", _RN_1_23_0)


def after_safeboot() -> BondingData:
    """Return what happens to bonding data when Safeboot is installed."""
    return BondingData(BondingFate.LOST, "installing Safeboot is a factory reset", _SAFEBOOT)


def after_stack(
    fus: Version, installed: StackFormat, *, replaces: StackFormat | None, is_deleted_first: bool
) -> BondingData:
    """Return what happens to bonding data when a stack replaces another.

    `replaces` is the format of the earlier stack, None where it is not known. `is_deleted_first`: FUS deletes the
    earlier stack in a step of its own.
    """
    if fus < FUS_2:
        return _FUS_1
    if installed is StackFormat.PLAIN:
        why = "this stack cannot read bonding data of FUS 2; if they survive until the next stack is not documented"
        return BondingData(BondingFate.UNKNOWN, why, _RN_1_23_0)
    if replaces is not StackFormat.FUS_2:
        why = "ST names migration of bonding data as a purpose of this format; from which stacks is not documented"
        return BondingData(BondingFate.UNKNOWN, why, _RN_1_22_1)
    if is_deleted_first:
        why = "ST claims that FUS 2 preserves bonding data; whether also after a delete is not documented"
        return BondingData(BondingFate.UNKNOWN, why, _RN_1_23_0)
    why = "ST claims that FUS 2 preserves bonding data between stacks of this format; no public test confirms it"
    return BondingData(BondingFate.KEPT, why, _RN_1_23_0)
