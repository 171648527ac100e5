"""ST's own address tables judge ours. Where they differ, the cell stands below with its reason."""

from pathlib import Path

import pytest

from imagekit.errors import PlacementError
from imagekit.image.model import Image
from imagekit.placement import place
from imagekit.releases.release_notes import current, published_address, read_rows
from imagekit.targets import TARGETS, Target
from tests.support.corpus import CORPUS, NOT_IMAGES, counts_hold, needs_corpus

pytestmark = needs_corpus

NOTES = sorted(CORPUS.rglob("Release_Notes.html"))
BY_NAME = {target.name: target for target in TARGETS}

# Reason → cells that ST prints otherwise, with what it prints. No other cell of a current table may differ.
EXCEPTIONS = {
    "12 sectors lower than needed on 512 KiB, as if FUS lay inside the nominal flash; corrected in v1.11.1": """
        v1.5.0/STM32WB3x/stm32wb3x_BLE_HCILayer_fw.bin STM32WB3xxE 0x0805C000
        v1.5.0/STM32WB3x/stm32wb3x_BLE_Stack_full_fw.bin STM32WB3xxE 0x0804B000
        v1.5.0/STM32WB3x/stm32wb3x_BLE_Stack_light_fw.bin STM32WB3xxE 0x08059000
        v1.5.0/STM32WB3x/stm32wb3x_Mac_802_15_4_fw.bin STM32WB3xxE 0x08064000
        v1.5.0/STM32WB3x/stm32wb3x_Thread_FTD_fw.bin STM32WB3xxE 0x0801F000
        v1.5.0/STM32WB3x/stm32wb3x_Thread_MTD_fw.bin STM32WB3xxE 0x08034000
        v1.6.0/STM32WB3x/stm32wb3x_BLE_HCILayer_fw.bin STM32WB3xxE 0x0805C000
        v1.6.0/STM32WB3x/stm32wb3x_BLE_Stack_full_fw.bin STM32WB3xxE 0x0804B000
        v1.6.0/STM32WB3x/stm32wb3x_BLE_Stack_light_fw.bin STM32WB3xxE 0x08059000
        v1.6.0/STM32WB3x/stm32wb3x_Mac_802_15_4_fw.bin STM32WB3xxE 0x08064000
        v1.6.0/STM32WB3x/stm32wb3x_Thread_MTD_fw.bin STM32WB3xxE 0x08034000
        v1.7.0/STM32WB3x/stm32wb3x_BLE_HCILayer_fw.bin STM32WB3xxE 0x0805C000
        v1.7.0/STM32WB3x/stm32wb3x_BLE_Stack_full_fw.bin STM32WB3xxE 0x0804B000
        v1.7.0/STM32WB3x/stm32wb3x_BLE_Stack_light_fw.bin STM32WB3xxE 0x08059000
        v1.7.0/STM32WB3x/stm32wb3x_Mac_802_15_4_fw.bin STM32WB3xxE 0x08064000
        v1.7.0/STM32WB3x/stm32wb3x_Thread_FTD_fw.bin STM32WB3xxE 0x0801E000
        v1.7.0/STM32WB3x/stm32wb3x_Thread_MTD_fw.bin STM32WB3xxE 0x08034000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_HCILayer_fw.bin STM32WB3xxE 0x08060000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_HCI_AdvScan_fw.bin STM32WB3xxE 0x0806A000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_LLD_fw.bin STM32WB3xxE 0x0806C000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_Mac_802_15_4_fw.bin STM32WB3xxE 0x08035000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_Stack_full_fw.bin STM32WB3xxE 0x0804A000
        v1.11.0/STM32WB3x/stm32wb3x_BLE_Stack_light_fw.bin STM32WB3xxE 0x08056000
        v1.11.0/STM32WB3x/stm32wb3x_Mac_802_15_4_fw.bin STM32WB3xxE 0x08063000
        v1.11.0/STM32WB3x/stm32wb3x_Phy_802_15_4_fw.bin STM32WB3xxE 0x0805E000
        v1.11.0/STM32WB3x/stm32wb3x_Thread_FTD_fw.bin STM32WB3xxE 0x08018000
        v1.11.0/STM32WB3x/stm32wb3x_Thread_MTD_fw.bin STM32WB3xxE 0x0802B000
        v1.11.0/STM32WB3x/stm32wb3x_Zigbee_FFD_fw.bin STM32WB3xxE 0x08027000
        v1.11.0/STM32WB3x/stm32wb3x_Zigbee_RFD_fw.bin STM32WB3xxE 0x08035000
    """,
    "12 sectors lower than needed, counted from a footer that says 85 sectors for 86: 11 lower in sum": """
        v1.6.0/STM32WB3x/stm32wb3x_Thread_FTD_fw.bin STM32WB3xxE 0x0801F000
    """,
    "one sector too high: the footer says 85 sectors, the file needs 86, and it would overlap FUS": """
        v1.6.0/STM32WB5x/stm32wb5x_Thread_FTD_fw.bin STM32WB5xxG 0x0809F000
        v1.6.0/STM32WB5x/stm32wb5x_Thread_FTD_fw.bin STM32WB5xxE 0x0802B000
    """,
    "one sector lower than needed, on every row of this first WB1x table; corrected in v1.11.1": """
        v1.11.0/STM32WB1x/stm32wb1x_BLE_HCILayer_fw.bin STM32WB1xxC 0x08032000
        v1.11.0/STM32WB1x/stm32wb1x_BLE_Stack_full_fw.bin STM32WB1xxC 0x0801B800
        v1.11.0/STM32WB1x/stm32wb1x_BLE_Stack_light_fw.bin STM32WB1xxC 0x08027800
    """,
    "a WB3x file in the WB1x folder: it has no address on a WB1x": """
        v1.11.0/STM32WB1x/stm32wb1x_BLE_LLD_fw.bin STM32WB1xxC 0x0803E000
    """,
    "three sectors too high: the image would leave the flash": """
        v1.13.3/STM32WB3x/stm32wb3x_BLE_Mac_802_15_4_fw.bin STM32WB3xxE 0x08040000
    """,
    "one sector too high: the image would leave the flash": """
        v1.13.3/STM32WB3x/stm32wb3x_Zigbee_RFD_fw.bin STM32WB3xxE 0x0803F000
        v1.13.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxY 0x0809F000
        v1.13.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxE 0x0807F000
        v1.13.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxC 0x0803F000
        v1.17.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxY 0x0809F000
        v1.17.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxE 0x0807F000
        v1.17.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxC 0x0803F000
    """,
    "two sectors lower than needed: harmless": """
        v1.13.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxG 0x080F0000
        v1.17.3/STM32WB5x/stm32wb5x_Safeboot_fw.bin STM32WB5xxG 0x080F0000
    """,
    "one sector lower than needed: the address of the larger Safeboot 2.0.0": """
        v1.23.0/STM32WB1x/stm32wb1x_Safeboot_fw.bin STM32WB1xxC 0x08044000
    """,
    "a FUS 1.x image without the two spare sectors that every other release leaves": """
        v1.22.1/STM32WB5x/stm32wb5x_FUS_fw_for_fus_0_5_3.bin STM32WB5xxG 0x080EE000
        v1.22.1/STM32WB5x/stm32wb5x_FUS_fw_1_2_0.bin STM32WB5xxG 0x080EE000
    """,
    "NA though it fits: ST leaves out what would leave little for the application (4 to 44 KiB)": """
        v1.5.0/STM32WB5x/stm32wb5x_BLE_Thread_fw.bin STM32WB5xxE NA
        v1.5.0/STM32WB5x/stm32wb5x_BLE_Zigbee_FFD_static_fw.bin STM32WB5xxE NA
        v1.6.0/STM32WB5x/stm32wb5x_BLE_Thread_fw.bin STM32WB5xxE NA
        v1.6.0/STM32WB5x/stm32wb5x_BLE_Zigbee_FFD_static_fw.bin STM32WB5xxE NA
        v1.7.0/STM32WB5x/stm32wb5x_BLE_Thread_fw.bin STM32WB5xxE NA
        v1.7.0/STM32WB5x/stm32wb5x_BLE_Zigbee_FFD_static_fw.bin STM32WB5xxE NA
        v1.11.1/STM32WB3x/stm32wb3x_BLE_Mac_802_15_4_fw.bin STM32WB3xxC NA
        v1.11.1/STM32WB3x/stm32wb3x_Zigbee_RFD_fw.bin STM32WB3xxC NA
        v1.17.3/STM32WB3x/stm32wb3x_BLE_Mac_802_15_4_fw.bin STM32WB3xxC NA
        v1.22.1/STM32WB3x/stm32wb3x_BLE_Mac_802_15_4_fw.bin STM32WB3xxC NA
    """,
}
LISTED = {line.strip() for lines in EXCEPTIONS.values() for line in lines.strip().splitlines()}


def computed(path: Path, target: Target) -> int | None:
    try:
        return place(Image.parse(path.read_bytes()), target).address
    except PlacementError:
        return None


def compare(notes: Path) -> tuple[int, set[str]]:
    """Return how many cells agree, and the cells that do not."""
    equal, different = 0, set()
    for row in current(read_rows(notes.read_bytes())).values():
        path = notes.parent / row.file
        file = path.relative_to(CORPUS).as_posix()
        if not path.exists() or file in NOT_IMAGES:
            continue
        for name, cell in row.addresses.items():
            published = published_address(cell)
            if published == computed(path, BY_NAME[name]):
                equal += 1
            else:
                different.add(f"{file} {name} {'NA' if published is None else f'0x{published:08X}'}")
    return equal, different


@pytest.mark.parametrize("notes", NOTES, ids=lambda path: path.parent.relative_to(CORPUS).as_posix())
def test_published_addresses_are_computed_or_known_faults(notes: Path) -> None:
    _, different = compare(notes)
    folder = notes.parent.relative_to(CORPUS).as_posix()
    assert different == {line for line in LISTED if line.rsplit("/", 1)[0] == folder}


@counts_hold
def test_every_cell_was_compared() -> None:
    results = [compare(notes) for notes in NOTES]
    assert (sum(equal for equal, _ in results), sum(len(different) for _, different in results)) == (875, 59)


@pytest.mark.parametrize(
    ("stack", "published"),
    [
        ("BLE_Stack", 0x080CC000),
        ("BLE_HCILayer", 0x080DC000),
        ("Thread_FTD", 0x0809F000),
        ("Thread_MTD", 0x080B5000),
        ("BLE_Thread", 0x08079000),
        ("Mac_802_15_4", 0x080E6000),
        ("rfmonitor_phy802_15_4", 0x080EC000),
    ],
)
def test_the_seven_stacks_of_v1_1_0(stack: str, published: int) -> None:
    path = CORPUS / "v1.1.0" / f"stm32wb5x_{stack}_fw.bin"
    if not path.exists():
        pytest.skip("this corpus lacks v1.1.0")
    assert computed(path, BY_NAME["STM32WB5xxG"]) == published
