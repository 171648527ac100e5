"""Images for the simulated chip, signed with a key of these tests; in the format of the dossier."""

import hashlib
import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flasher.sim.behaviour import Behaviour
from flasher.sim.chip import SimulatedChip
from flasher.sim.parts import find_part

STACK, FUS, FUS2_STACK, SAFEBOOT = 0x23372991, 0x32279221, 0xB10C8B99, 0x927A6741
ST, CUSTOMER = 0xD3A12C5E, 0xE2B51D4A
BLANK = 0xABCDABCD
V1_13, V1_15 = 0x010D0305, 0x010F0003
FUS_0_5_3, FUS_1_0_1, FUS_1_1_0, FUS_1_2_0 = 0x00050300, 0x01000100, 0x01010000, 0x01020000
FUS_2_0, FUS_2_1 = 0x02000000, 0x02010000


@cache
def key(number: int = 4711) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


def point(number: int = 4711) -> str:
    return key(number).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


def sign(message: bytes, number: int = 4711) -> bytes:
    r, s = decode_dss_signature(key(number).sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signature_footer(magic: int) -> bytes:
    return struct.pack("<IIBBHII", 0x12341234, BLANK, 0x40, 0x57, 0xFFFF, 0, magic)


@dataclass(frozen=True)
class Recipe:
    """A stack of 38 sectors of 4 KiB unless told otherwise: that of a hardware dump."""

    magic: int = STACK
    version: int = V1_15
    size: int = 38 * 4096 - 4
    page: int = 4096
    sectors: int | None = None
    sram: tuple[int, int] = (10, 15)
    info1: int = BLANK
    number: int = 4711

    def build(self) -> bytes:
        body = hashlib.shake_128(repr(self).encode()).digest(self.size - 104)
        sectors = -(-self.size // self.page) if self.sectors is None else self.sectors
        byte_9 = 2 if self.magic == FUS2_STACK else 0xFF
        footer = struct.pack("<IIBBBBII", self.info1, BLANK, sectors, byte_9, *self.sram, self.version, self.magic)
        return body + footer + sign(body + footer, self.number) + signature_footer(ST)


stack = Recipe()
small_stack = replace(stack, size=7 * 4096 - 4, version=V1_13)
new_stack = replace(stack, magic=FUS2_STACK, info1=0x040104CD)
fus = Recipe(magic=FUS, version=0xFFFFFFFF, size=24468, sram=(32, 16))


def signed_by_customer(image: bytes, number: int = 99) -> bytes:
    return image + sign(image, number) + signature_footer(CUSTOMER)


def chip(part: str = "STM32WB55RG", fus_version: int = FUS_1_2_0, **switches: Any) -> SimulatedChip:
    """A chip that believes the key of these tests; FUS was asked before, and one reset ends an installation."""
    behaviour = replace(Behaviour(), **{"first_contact": "none", "stack_resets": 1, **switches})
    return SimulatedChip(find_part(part), fus_version=fus_version, keys=(point(),), behaviour=behaviour)


def place(image: bytes, limit: int = 0x080F4000, page: int = 4096, gap: int = 0) -> int:
    """The dossier's formula."""
    return limit - (max(-(-len(image) // page), image[-96]) + gap) * page
