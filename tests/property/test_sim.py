"""Whatever is done to a simulated chip, it answers or refuses; and a board read back is the board that was written."""

import random
import struct
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from flasher.sim.board import from_document, to_document
from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError
from flasher.sim.parts import PARTS
from tests.support.sim_driver import SMALL, SRAM1, SRAM2A, SRAM2B, Driver, LostError
from tests.support.sim_images import chip, small_stack, stack

REGISTERS = [
    *(0x58004000 + at for at in (0x00, 0x08, 0x0C, 0x10, 0x14, 0x20, 0x2C, 0x3C, 0x80, 0x84)),
    *(0x58000C00 + at for at in (0x00, 0x04, 0x08, 0x0C, 0x18, 0x1C)),
    *(0x58000050, 0x58000094, 0x5800040C, 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC, 0xE000ED0C, 0xE0042004),
]
MEMORY = [0x08000000, 0x080ED000, 0x080F3FF8, 0x080F4000, 0x080FFFF8, SRAM1, SRAM2A, SRAM2A + 0x98, SRAM2B, 0x1FFF8000]
WORDS = [0, 1, 2, 0x10002, 0x20000, 0x08000000, 0x40000000, 0x8000, 0x100000, 0xFFFFFFFF, 0x45670123, 0xCDEF89AB]
WORDS += [0x08192A3B, 0x4C5D6E7F, 0xA05F0003, 0xA05F0001, 0x05FA0004, SRAM2A, SRAM2A + 0x100, 0x3FFFF1BB, 0x3FFFF0AA]


def play(it: SimulatedChip, seed: int, steps: int) -> None:
    """Do random things, in an order that often makes sense to FUS."""
    chance = random.Random(seed)  # noqa: S311
    driver = Driver(it, page=it.part.page)
    deeds = [
        lambda: it.write(chance.choice(REGISTERS), struct.pack("<I", chance.choice(WORDS)), 4),
        lambda: it.read(chance.choice(REGISTERS), 4, 4),
        lambda: it.read(chance.choice(MEMORY), chance.choice((4, 8, 4096)), chance.choice((1, 2, 4))),
        lambda: it.write(chance.choice(MEMORY), chance.randbytes(8), chance.choice((1, 2, 4))),
        lambda: it.write(SRAM2A, struct.pack("<I", SRAM2A + SMALL.info), 4),
        lambda: it.advance(chance.choice((0.0, 0.01, 1.0))),
        driver.write_tables,
        lambda: it.write(SRAM2A + SMALL.command + 8, struct.pack("<BHB", 16, 0xFC50 + chance.randrange(32), 0), 1),
        lambda: it.write(0x58000C08, struct.pack("<I", 1 << 17), 4),
        lambda: it.write(0x5800040C, struct.pack("<I", 0x8000), 4),
        lambda: it.write(0x58000050, struct.pack("<I", 1 << 20), 4),
        lambda: it.reset(halt=chance.random() < 0.5),
        it.power_cycle,
        it.halt,
        it.resume,
    ]
    for _ in range(steps):
        with suppress(AccessError, LostError):
            chance.choice(deeds)()


@given(st.sampled_from(sorted(PARTS)), st.integers(0, 2**32), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_chip_answers_or_refuses(part: str, seed: int, with_stack: bool) -> None:
    it = chip(part)
    if with_stack and it.part.page == 4096:
        assert it.fus.install_at_factory(small_stack.build()) == 0
        it.power_cycle()
    if it.part.flash_kib == 1024:
        it.flash.put_cells(0x08040000, stack.build())
    before = it.clock
    play(it, seed, 150)
    assert it.clock >= before
    assert it.flash.read_cells(it.part.die_end - 8, 8) == b"\xff" * 8, "nobody writes into FUS"
    again = from_document(to_document(it))
    assert to_document(again) == to_document(it)
    play(it, seed + 1, 30)
    play(again, seed + 1, 30)
    assert to_document(again) == to_document(it)
