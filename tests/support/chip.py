"""A chip that carries out a plan's steps and objects to the first wrong one: an oracle for plans.

Written from the release notes of STM32CubeWB v1.24.0 (STM32WB5x, steps 4 - 8; STM32WB1x) and the address formula of
docs/image-format.md, on the bytes of the files alone: it shares nothing with imagekit but the steps' own words.
"""

import struct
from dataclasses import dataclass

STACK, FUS_2_STACK, FUS, SAFEBOOT = 0x23372991, 0xB10C8B99, 0x32279221, 0x927A6741
FUS_1_2_0 = (255, 255, 255)

# FUS on the chip -> what it may become, whatever the release. The image for FUS 0.5.3 is told by its name.
BECOMES: dict[tuple[int, int, int], set[object]] = {
    (0, 5, 3): {"for_fus_0_5_3", (1, 0, 1), (1, 0, 2)},
    (1, 0, 1): {(1, 1, 0), (1, 1, 2), FUS_1_2_0},
    (1, 0, 2): {(1, 1, 0), (1, 1, 2), FUS_1_2_0},
    (1, 1, 0): {(1, 1, 2), FUS_1_2_0},
    (1, 1, 2): {FUS_1_2_0},
    (1, 2, 0): {(2, 0, 0), (2, 1, 0), (2, 2, 0)},
    (2, 0, 0): {(2, 1, 0), (2, 2, 0)},
    (2, 1, 0): {(2, 2, 0)},
    (2, 2, 0): set(),
}
# Target -> sector size, limit, sectors left free above FUS 1.x.
PLACES = {
    "STM32WB5xxG": (4096, 0x080F4000, 2),
    "STM32WB5xxY": (4096, 0x080A0000, 0),
    "STM32WB5xxE": (4096, 0x08080000, 0),
    "STM32WB5xxC": (4096, 0x08040000, 0),
    "STM32WB3xxE": (4096, 0x08080000, 0),
    "STM32WB3xxC": (4096, 0x08040000, 0),
    "STM32WB1xxC": (2048, 0x08046000, 0),
}
SMALL_WB5X = ("STM32WB5xxY", "STM32WB5xxE", "STM32WB5xxC")


@dataclass
class OracleChip:
    target: str
    fus: tuple[int, int, int]
    has_stack: bool
    running: bool = False
    safeboot: bool = False

    def carry_out(self, step: dict[str, object], data: bytes | None, path: str = "") -> None:
        """Do one step of `plan --emit json`; AssertionError when a real chip would refuse it or suffer from it."""
        action = step["action"]
        first_on_small = self.target in SMALL_WB5X and self.fus < (1, 0, 2)
        assert step["irreversible"] is (action in ("install-fus", "install-safeboot"))
        if action == "delete-stack":
            assert not first_on_small, "another operation before FUS 1.0.2"
            self.has_stack = False
        elif action == "start-stack":
            assert self.has_stack, "no stack to start"
            self.running = True
        else:
            assert data is not None
            assert not self.has_stack, "a stack is in the way"
            assert step["address"] == f"0x{self.address(data):08X}"
            self.install(str(action), data, path, first_on_small=first_on_small)

    def install(self, action: str, data: bytes, path: str, *, first_on_small: bool) -> None:
        info1, _, _, _, _, _, _, sub, minor, major, magic = struct.unpack("<IIBBBBBBBBI", data[-104:-84])
        version = (major, minor, sub)
        if magic == FUS:
            assert action == "install-fus"
            assert ("for_fus_0_5_3" if "for_fus_0_5_3" in path else version) in BECOMES[self.fus], (self.fus, version)
            assert not (self.target in SMALL_WB5X and version == (1, 0, 1)), "FUS 1.0.1 on a small part"
            self.fus = (1, 2, 0) if version == FUS_1_2_0 else version
        elif magic == SAFEBOOT or info1 == 0x5AFEB007:
            assert action == "install-safeboot"
            assert self.fus >= (2, 0, 0) if magic == SAFEBOOT else (1, 1, 0) <= self.fus < (1, 1, 2)
            self.safeboot = True
        else:
            assert action == "install-stack"
            assert magic in (STACK, FUS_2_STACK)
            assert self.fus >= (2, 0, 0) or magic == STACK, "a stack for FUS 2 on FUS 1"
            assert not first_on_small, "a stack before FUS 1.0.2"
            self.has_stack = True

    def address(self, data: bytes) -> int:
        info1, _, sectors, _, _, _, _, _, _, major, magic = struct.unpack("<IIBBBBBBBBI", data[-104:-84])
        size, limit, spare = PLACES[self.target]
        sectors = max(sectors, -(-len(data) // size))
        sectors += (info1 >> 8 & 0xFF) if magic == FUS_2_STACK else 0
        sectors += spare if magic == FUS and major in (1, 255) else 0
        return int(limit - sectors * size)
