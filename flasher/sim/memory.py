"""The clock and the RAM: SRAM1, SRAM2A, SRAM2B as both CPUs share them, without any protection (the bus has that)."""

import hashlib
import struct
from dataclasses import dataclass, field

from flasher.sim.errors import AccessError
from flasher.sim.parts import SRAM1_BASE, SRAM2A_BASE, SRAM2A_KIB, SRAM2B_BASE, Part


@dataclass(slots=True)
class ChipClock:
    """Simulated time in seconds since the board was made."""

    now: float = 0.0


@dataclass(slots=True)
class RamState:
    """Content of the RAM, by base address, and how often power came up."""

    blocks: dict[int, bytearray] = field(default_factory=dict)
    power_ups: int = 0


class Ram:
    """The three blocks of RAM."""

    def __init__(self, part: Part) -> None:
        self.sizes = {
            SRAM1_BASE: part.sram1_kib * 1024,
            SRAM2A_BASE: SRAM2A_KIB * 1024,
            SRAM2B_BASE: part.sram2b_kib * 1024,
        }
        self.state = RamState()
        self.power_up()

    def power_up(self) -> None:
        """Fill all RAM with noise, the same for the same board: content does not survive without power."""
        self.state.power_ups += 1
        for base, size in self.sizes.items():
            seed = f"{base:X} {self.state.power_ups}".encode()
            self.state.blocks[base] = bytearray(hashlib.shake_128(seed).digest(size))

    def erase_sram2(self) -> None:
        """What a system reset does when SRAM2RST is 0 (HAL)."""
        for base in (SRAM2A_BASE, SRAM2B_BASE):
            self.state.blocks[base] = bytearray(self.sizes[base])

    def find(self, address: int, size: int) -> int | None:
        """The base of the block that holds all these bytes, or None."""
        for base, length in self.sizes.items():
            if base <= address and address + size <= base + length:
                return base
        return None

    def _base(self, address: int, size: int) -> int:
        base = self.find(address, size)
        if base is None:
            raise AccessError(address, "no memory")
        return base

    def read(self, address: int, size: int) -> bytes:
        """Read bytes. Raises AccessError outside of the RAM."""
        base = self._base(address, size)
        return bytes(self.state.blocks[base][address - base : address - base + size])

    def write(self, address: int, data: bytes) -> None:
        """Write bytes. Raises AccessError outside of the RAM."""
        base = self._base(address, len(data))
        self.state.blocks[base][address - base : address - base + len(data)] = data

    def word(self, address: int) -> int:
        """Read one little-endian word."""
        return int(struct.unpack("<I", self.read(address, 4))[0])

    def put_words(self, address: int, *values: int) -> None:
        """Write little-endian words."""
        self.write(address, struct.pack(f"<{len(values)}I", *values))
