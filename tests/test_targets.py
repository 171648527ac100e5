"""The table of targets and the part numbers that select one."""

import pytest

from imagekit.errors import TargetError
from imagekit.targets import BOARDS, PARTS, SECTOR_SIZES, TARGETS, Board, Series, select_target

# docs/image-format.md, "Targets": name, sector size, limit.
TABLE = [
    ("STM32WB5xxG", 4096, 0x080F4000),
    ("STM32WB5xxY", 4096, 0x080A0000),
    ("STM32WB5xxE", 4096, 0x08080000),
    ("STM32WB5xxC", 4096, 0x08040000),
    ("STM32WB3xxE", 4096, 0x08080000),
    ("STM32WB3xxC", 4096, 0x08040000),
    ("STM32WB1xxC", 2048, 0x08046000),
]


def test_the_seven_targets() -> None:
    assert [(target.name, target.sector_size, target.limit) for target in TARGETS] == TABLE
    assert all(target.limit % target.sector_size == 0 for target in TARGETS)


def test_every_part_number() -> None:
    letters = {"C": "STM32WB5xxC", "E": "STM32WB5xxE", "Y": "STM32WB5xxY", "G": "STM32WB5xxG"}
    expected = {f"WB55{pins}{letter}": name for pins in "CRV" for letter, name in letters.items()} | {
        "WB50CG": "STM32WB5xxG",
        "WB5MMG": "STM32WB5xxG",
        "WB35CC": "STM32WB3xxC",
        "WB35CE": "STM32WB3xxE",
        "WB30CE": "STM32WB3xxE",
        "WB15CC": "STM32WB1xxC",
        "WB10CC": "STM32WB1xxC",
        "WB1MMC": "STM32WB1xxC",
    }
    assert {part: target.name for part, target in PARTS.items()} == expected


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("STM32WB55RG", "STM32WB5xxG"),
        ("stm32wb55rg", "STM32WB5xxG"),
        ("wb55cc", "STM32WB5xxC"),
        (" WB35CE ", "STM32WB3xxE"),
        ("STM32WB55RGV6", "STM32WB5xxG"),
        ("STM32WB55CGU6A", "STM32WB5xxG"),
        ("STM32WB55VYY6TR", "STM32WB5xxY"),
        ("STM32WB55CEUx", "STM32WB5xxE"),
        ("STM32WB5MMGH6TR", "STM32WB5xxG"),
        ("STM32WB15CCU6", "STM32WB1xxC"),
        ("STM32WB1MMCH6", "STM32WB1xxC"),
        ("STM32WB5xxY", "STM32WB5xxY"),
        ("wb1XXc", "STM32WB1xxC"),
    ],
)
def test_a_part_number_selects_its_target(part: str, name: str) -> None:
    assert select_target(part).name == name


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("STM32WB55", "its last letter is the flash size"),
        ("WB55R", "its last letter is the flash size"),
        ("WeAct STM32WB55CG", r"did you mean STM32WB55CG\?"),
        ("STM32WB 55CG", r"did you mean STM32WB55CG\?"),
        ("NUCLEO-WB55RGX", r"did you mean STM32WB55RG\?"),
        ("P-NUCLEO-WB5", r"did you mean P-NUCLEO-WB55\b.*\?"),
        ("STM32WB5MM-D", r"did you mean STM32WB5MM-DK\?"),
        ("Fliper Zero", r"did you mean Flipper-Zero\?"),
        ("NUCLEO-WL55JC", "or a board, such as NUCLEO-WB55RG"),
        ("STM32WB56RG", "such as STM32WB55RG"),
        ("STM32WBA55CG", "other product lines"),
        ("STM32WB09KE", "other product lines"),
        ("STM32F407VG", "such as STM32WB55RG"),
        ("", "such as STM32WB55RG"),
        ("STM32WB55RG-6", r"did you mean STM32WB55RG\?"),
    ],
)
def test_an_unknown_part_says_what_to_type(part: str, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        select_target(part)


@pytest.mark.parametrize(
    ("board", "part"),
    [
        ("NUCLEO-WB55RG", "WB55RG"),
        ("P-NUCLEO-WB55.Nucleo", "WB55RG"),
        ("p-nucleo-wb55.usbdongle", "WB55CG"),
        ("nucleo_wb15cc", "WB15CC"),
        ("STM32WB5MM-DK", "WB5MMG"),
        ("B-WB1M-WPAN1", "WB1MMC"),
        ("STEVAL-PROTEUS1", "WB5MMG"),
        ("Flipper Zero", "WB55RG"),
    ],
)
def test_a_board_selects_the_target_of_its_part(board: str, part: str) -> None:
    assert select_target(board) is PARTS[part]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_board_has_a_known_part_and_a_source(board: Board) -> None:
    assert board.part in PARTS
    assert board.source
    assert select_target(board.name) is PARTS[board.part]


def test_sector_sizes() -> None:
    assert SECTOR_SIZES == {Series.WB1X: 2048, Series.WB3X: 4096, Series.WB5X: 4096}
