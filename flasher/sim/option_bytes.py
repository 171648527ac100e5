"""The option bytes: what is programmed, what is loaded, and what waits for OPTSTRT.

Sources: CMSIS stm32wb55xx.h and stm32wb15xx.h (registers, fields), hardware dumps of the option area (value, then
complement), ST: SFR and SRRVR can be programmed by CPU2 alone.
"""

import struct
from dataclasses import dataclass, field

from flasher.sim.parts import FLASH_BASE, Part

# Register offset in the flash block -> (name, index of its 8-byte entry in the option area)
REGISTERS = {
    0x20: ("OPTR", 0),
    0x24: ("PCROP1ASR", 1),
    0x28: ("PCROP1AER", 2),
    0x2C: ("WRP1AR", 3),
    0x30: ("WRP1BR", 4),
    0x34: ("PCROP1BSR", 5),
    0x38: ("PCROP1BER", 6),
    0x3C: ("IPCCBR", 13),
    0x80: ("SFR", 14),
    0x84: ("SRRVR", 15),
}
_CPU2_ONLY = ("SFR", "SRRVR")

# field -> (register, lowest bit, bits). CMSIS.
_FIELDS = {
    "RDP": ("OPTR", 0, 8),
    "ESE": ("OPTR", 8, 1),
    "nBOOT1": ("OPTR", 23, 1),
    "SRAM2RST": ("OPTR", 25, 1),
    "nSWBOOT0": ("OPTR", 26, 1),
    "nBOOT0": ("OPTR", 27, 1),
    "PCROP1A_STRT": ("PCROP1ASR", 0, 9),
    "PCROP1A_END": ("PCROP1AER", 0, 9),
    "WRP1A_STRT": ("WRP1AR", 0, 8),
    "WRP1A_END": ("WRP1AR", 16, 8),
    "WRP1B_STRT": ("WRP1BR", 0, 8),
    "WRP1B_END": ("WRP1BR", 16, 8),
    "IPCCDBA": ("IPCCBR", 0, 14),
    "SFSA": ("SFR", 0, 8),
    "FSD": ("SFR", 8, 1),
    "DDS": ("SFR", 12, 1),
    "SBRSA": ("SRRVR", 18, 5),
    "BRSD": ("SRRVR", 23, 1),
    "NBRSD": ("SRRVR", 30, 1),
    "C2OPT": ("SRRVR", 31, 1),
}
_BY_SERIES = {
    "WB1x": {"SBRV": ("SRRVR", 0, 17), "SNBRSA": ("SRRVR", 25, 2)},  # CMSIS stm32wb15xx.h
    "WB3x": {"SBRV": ("SRRVR", 0, 18), "SNBRSA": ("SRRVR", 25, 5)},
    "WB5x": {"SBRV": ("SRRVR", 0, 18), "SNBRSA": ("SRRVR", 25, 5)},
}

SBRV_SAFEBOOT = 0x3FFFF  # field reports: the vector of a part whose option bytes are beyond use
RDP_LEVEL_0, RDP_LEVEL_2 = 0xAA, 0xCC  # a log, ST's headers: anything else is level 1

_FACTORY = {
    # A field script writes 0x3FFFF0AA for level 0; ESE is 1 on shipped parts. SRAM2RST is 1 there, 0 on the one board
    # whose option bytes are known: `make_board` takes either.
    "OPTR": 0x3FFF_F1AA,
    "PCROP1ASR": 0xFFFF_FFFF,
    "PCROP1AER": 0xFFFF_FE00,
    "WRP1AR": 0xFF00_FFFF,
    "WRP1BR": 0xFF00_FFFF,
    "PCROP1BSR": 0xFFFF_FFFF,
    "PCROP1BER": 0xFFFF_FE00,
    "IPCCBR": 0xFFFF_C000,
    "SFR": 0x0000_1000,  # FSD 0; DDS 1 as on shipped parts
    "SRRVR": 0x8000_0000,
}


@dataclass(slots=True)
class OptionState:
    """What the option area holds, what was loaded from it, and what CPU1 wrote to the registers since."""

    stored: dict[str, int] = field(default_factory=lambda: dict(_FACTORY))
    loaded: dict[str, int] = field(default_factory=lambda: dict(_FACTORY))
    pending: dict[str, int] = field(default_factory=dict)
    damaged: bool = False


class OptionByteRegisters:
    """The option area and the registers that mirror it."""

    def __init__(self, part: Part) -> None:
        self._fields = _FIELDS | _BY_SERIES[part.series]
        self._part = part
        self.state = OptionState()

    def restore(self, state: OptionState) -> None:
        """Take over a state that was kept. Raises ValueError when it is none of these option bytes."""
        for words in (state.stored, state.loaded, _FACTORY | state.pending):
            if words.keys() != _FACTORY.keys():
                raise ValueError(f"not the registers of the option bytes: {', '.join(words) or 'none'}"[:80])
            if not all(0 <= word <= 0xFFFF_FFFF for word in words.values()):
                raise ValueError("an option byte register of more than 32 bits")
        self.state = state

    def get(self, name: str) -> int:
        """A field as it is in force."""
        register, low, bits = self._fields[name]
        return self.state.loaded[register] >> low & (1 << bits) - 1

    def set_by_cpu2(self, **values: int) -> None:
        """Program fields as CPU2 may, SFR and SRRVR included; in force after the next load."""
        for name, value in values.items():
            register, low, bits = self._fields[name]
            mask = (1 << bits) - 1 << low
            self.state.stored[register] = self.state.stored[register] & ~mask | value << low & mask

    def set_security(self, *, sfsa: int, sbrv: int, sram2a_kib: int, sram2b_kib: int) -> None:
        """Program the secure area as FUS does: pages, boot vector, KiB of SRAM2 that stay open to CPU1.

        An open area as large as the memory is written as 'not secured' (BRSD, NBRSD): its count has no room in the
        field.
        """
        self.set_by_cpu2(
            SFSA=sfsa,
            SBRV=sbrv,
            SBRSA=min(sram2a_kib, 31),
            BRSD=int(sram2a_kib >= 32),
            SNBRSA=sram2b_kib,
            NBRSD=int(sram2b_kib >= self._part.sram2b_kib),
            C2OPT=1,
        )

    def read_register(self, offset: int) -> int:
        """A register as CPU1 reads it: the old value until the option bytes are loaded again (psdb)."""
        return self.state.loaded[REGISTERS[offset][0]]

    def write_register(self, offset: int, value: int) -> None:
        """Note what CPU1 wants; OPTSTRT programs it. SFR and SRRVR are CPU2's: ignored (ST, verified on parts)."""
        name = REGISTERS[offset][0]
        if name not in _CPU2_ONLY:
            self.state.pending[name] = value

    def program(self) -> None:
        """OPTSTRT: put what is pending into the option area."""
        self.state.stored |= self.state.pending
        self.state.pending = {}

    def damage(self) -> None:
        """Power went away while the area was being programmed: values and complements disagree."""
        self.state.damaged = True

    def load(self) -> bool:
        """Load the area, as power-up and OBL_LAUNCH do; False when it is damaged.

        What a damaged area loads as is taken from boards that came back so: SFSA 0, boot vector 0x3FFFF.
        """
        self.state.pending = {}
        if self.state.damaged:
            self.set_by_cpu2(SFSA=0, SBRV=SBRV_SAFEBOOT)
        self.state.loaded = dict(self.state.stored)
        return not self.state.damaged

    def area(self) -> bytes:
        """The 128 bytes of the area: each value, then its complement; entries without a register are erased."""
        content = bytearray(b"\xff" * 128)
        for name, index in REGISTERS.values():
            value = self.state.stored[name]
            complement = value if self.state.damaged and name in _CPU2_ONLY else ~value & 0xFFFF_FFFF
            struct.pack_into("<II", content, index * 8, value, complement)
        return bytes(content)

    @property
    def secure_start(self) -> int | None:
        """The first secure address of flash, None while security is off (effective when ESE=1 and FSD=0)."""
        if not self.get("ESE") or self.get("FSD"):
            return None
        return FLASH_BASE + self.get("SFSA") * self._part.page

    def open_sram2_kib(self) -> tuple[int, int]:
        """KiB of SRAM2A and of SRAM2B that CPU1 may use."""
        if not self.get("ESE"):
            return 32, self._part.sram2b_kib
        sram2a = 32 if self.get("BRSD") else self.get("SBRSA")
        sram2b = self._part.sram2b_kib if self.get("NBRSD") else self.get("SNBRSA")
        return sram2a, sram2b
