"""A board file with some values changed and its checksum made right again, then a few accesses.

An input is JSON: `{"board": 0, "set": [["cpu1.runs", "lost"], ...], "do": [["read", 134217728, 8, 4], ...]}`. A path
leads through the members of the document; a value takes the place of what is there.
"""

import functools
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flasher.sim import board
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import BoardError, SimError
from flasher.sim.parts import SRAM2A_BASE, find_part
from flasher.sim.show import describe
from tests.support.applications import VECTORS
from tests.support.sim_chips import idle
from tests.support.sim_driver import FW_UPGRADE, SMALL
from tests.support.sim_images import FUS_1_2_0, place, point, small_stack

_FLASH = 0x0800_0000
_KEYR, _OPTKEYR, _SR, _CR, _OPTR = (0x5800_4000 + at for at in (0x08, 0x0C, 0x10, 0x14, 0x20))
_AHB3ENR, _CR4, _C1SCR, _DCRSR = 0x5800_0050, 0x5800_040C, 0x5800_0C08, 0xE000_EDF4
_READ = (_FLASH, _FLASH + 0xF3FF8, 0x2000_0000, SRAM2A_BASE, 0x2003_8000, 0x1FFF_8000, 0x1FFF_7580, _SR, _CR4, _C1SCR)
_WRITTEN = [
    *((_KEYR, 0x4567_0123), (_KEYR, 0xCDEF_89AB), (_OPTKEYR, 0x0819_2A3B), (_OPTKEYR, 0x4C5D_6E7F)),
    *((_CR, 1), (_FLASH, 0), (_FLASH + 4, 0), (_CR, 1 << 18), (_FLASH + 512, 0), (_CR, 0x1_0002), (_SR, 0xC3FB)),
    *((_OPTR, 0x3FFF_F1AA), (_CR, 1 << 17), (_DCRSR, 15), (_AHB3ENR, 1 << 20), (_CR4, 1 << 15)),
    *((SRAM2A_BASE + SMALL.command + 8, 0x00FC_5210), (_C1SCR, 1 << 17)),  # GET_STATE
]
_ACCESSES: list[list[Any]] = [["read", address, 8, 4] for address in _READ]
_ACCESSES += [["write", address, value, 4] for address, value in _WRITTEN] + [["advance", 5.0]]
_LIFE: list[list[Any]] = [["halt"], ["resume"], ["reset"], ["advance", 0.1], *_ACCESSES, ["power_cycle"], ["halt"]]
_LIFE += [["advance", 1.0], *_ACCESSES]
"""What a user of a board does: unlock, program, erase, set options, start CPU2 and send it what is in its buffer."""


def run_board(data: bytes) -> None:
    """Load the board and use it. What loads is whole: it can be shown, used, kept, and loaded again as it was."""
    try:
        wanted = json.loads(data)
    except (ValueError, RecursionError):
        return
    changes = wanted if isinstance(wanted, dict) else {}
    chip = board.from_document(_document(changes))
    describe(chip)
    deeds = changes.get("do")
    for deed in [*(deeds if isinstance(deeds, list) else [])[:20], *_ACCESSES, *_LIFE]:
        with suppress(SimError):
            _do(chip, deed)
    describe(chip)
    document = _without_noise(chip)
    try:
        again = board.from_document(document)
    except BoardError as error:
        raise AssertionError("kept, and not loaded again") from error
    assert board.to_document(again) == document


def _do(chip: SimulatedChip, deed: Any) -> None:
    """One access; numbers as a probe's driver could give them."""
    name, *numbers = deed if isinstance(deed, list) and deed else [""]
    words = [one & 0xFFFF_FFFF if type(one) is int else 4 for one in [*numbers, 4, 4, 4]]
    if name == "read":
        chip.read(words[0], words[1] % 4096, words[2])
    elif name == "write":
        chip.write(words[0], words[1].to_bytes(4, "little"), words[2])
    elif name == "advance":
        chip.advance(min(abs(numbers[0]), 10.0) if numbers and type(numbers[0]) is float else 1.0)
    elif name == "reset":
        chip.reset(halt=words[0] == 1)
    elif name in ("power_cycle", "halt", "resume", "hold_reset", "release_reset"):
        getattr(chip, name)()


def _document(changes: dict[str, Any]) -> Any:
    """A good board with the changes in it, as `load_board` gets it from a file, its checksum right."""
    number = changes.get("board")
    texts = _boards()
    document = json.loads(texts[number % len(texts) if type(number) is int else 0])
    wanted = changes.get("set")
    for one in (wanted if isinstance(wanted, list) else [])[:50]:
        if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str):
            _put(document, one[0].split("."), one[1])
    if "sha256" in document:
        document["sha256"] = board._checksum(document)
    return document


def _put(document: Any, path: list[str], value: Any) -> None:
    for index, name in enumerate(path):
        here: Any = int(name) if isinstance(document, list) and name.isdecimal() else name
        if isinstance(document, list) and not (isinstance(here, int) and here < len(document)):
            return
        if index == len(path) - 1 and isinstance(document, dict | list):
            document[here] = value
        elif isinstance(document, dict):
            document = document.get(here)
        elif isinstance(document, list):
            document = document[here]


@functools.cache
def _boards() -> tuple[str, ...]:
    """New boards of two series, one with a stack, and one in the middle of installing it."""
    part, keys, stack = find_part("STM32WB55RG"), (point(),), small_stack.build()
    busy, driver = idle()
    driver.burn(place(stack), stack)
    driver.command(FW_UPGRADE)
    busy.advance(1.0)
    chips = [
        board.make_board(part, fus_version=FUS_1_2_0, keys=keys, application=VECTORS),
        board.make_board(part, fus_version=FUS_1_2_0, keys=keys, stack=stack, application=VECTORS),
        board.make_board(find_part("STM32WB15CC"), fus_version=FUS_1_2_0),
        busy,
    ]
    return tuple(json.dumps(_without_noise(chip)) for chip in chips)


def _without_noise(chip: SimulatedChip) -> Any:
    """The board with zeros for most of its RAM: noise takes its time to compress."""
    for base, block in chip.ram.state.blocks.items():
        kept = 0x1000 if base == SRAM2A_BASE else 0
        block[kept:] = bytes(len(block) - kept)
    return board.to_document(chip)


def board_seeds() -> Iterator[bytes]:
    """Every value of every board, by itself, as it is; long ones can be changed, not read."""
    for number, text in enumerate(_boards()):
        for path, value in _leaves(json.loads(text), ""):
            shown = value if len(str(value)) < 200 else ""
            yield json.dumps({"board": number, "set": [[path, shown]], "do": [["advance", 1.0]]}).encode()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(one, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
