"""imagekit/bonding.py: every row of what is known about bonding data, and its source."""

import pytest

from imagekit.bonding import (
    BondingData,
    BondingFate,
    StackFormat,
    after_delete,
    after_fus_upgrade,
    after_purge,
    after_safeboot,
    after_stack,
)
from imagekit.image.model import Version

FUS_1, FUS_2 = Version(1, 2, 0), Version(2, 0, 0)
PLAIN, NEW = StackFormat.PLAIN, StackFormat.FUS_2


@pytest.mark.parametrize(
    ("bonding_data", "fate", "why"),
    [
        (after_delete(FUS_1), "lost", "FUS 1.x does not preserve"),
        (after_delete(FUS_2), "unknown", "a delete may keep them"),
        (after_purge(), "lost", "FW_PURGE deletes"),
        (after_fus_upgrade(FUS_1), "lost", "FUS 1.x does not preserve"),
        (after_fus_upgrade(FUS_2), "unknown", "no source tells"),
        (after_safeboot(), "lost", "factory reset"),
        (after_stack(FUS_1, PLAIN, replaces=PLAIN, is_deleted_first=True), "lost", "FUS 1.x"),
        (after_stack(FUS_2, NEW, replaces=NEW, is_deleted_first=False), "kept", "ST claims"),
        (after_stack(FUS_2, NEW, replaces=NEW, is_deleted_first=True), "unknown", "also after a delete"),
        (after_stack(FUS_2, NEW, replaces=PLAIN, is_deleted_first=False), "unknown", "migration"),
        (after_stack(FUS_2, NEW, replaces=None, is_deleted_first=False), "unknown", "migration"),
        (after_stack(FUS_2, PLAIN, replaces=NEW, is_deleted_first=False), "unknown", "cannot read bonding data"),
    ],
)
def test_each_case_has_its_fate_reason_and_source(bonding_data: BondingData, fate: str, why: str) -> None:
    assert bonding_data.fate is BondingFate(fate)
    assert why in bonding_data.why
    assert "STM32CubeWB" in bonding_data.source
    assert bonding_data.document.keys() == {"fate", "why", "source"}
    assert bonding_data.text.startswith(f"bonding data {fate}: ")


def test_only_st_s_own_claim_is_ever_kept() -> None:
    """Nothing but a direct upgrade between two stacks for FUS 2 may be called kept."""
    kept = [
        (installed, replaces, is_deleted_first)
        for installed in StackFormat
        for replaces in (*StackFormat, None)
        for is_deleted_first in (False, True)
        if after_stack(FUS_2, installed, replaces=replaces, is_deleted_first=is_deleted_first).fate is BondingFate.KEPT
    ]
    assert kept == [(NEW, NEW, False)]
