"""Decode the option bytes of an STM32WB from a dump, the output of a tool, registers, or typed values.

Fields: CMSIS stm32wb55xx.h and stm32wb15xx.h (FLASH_OPTR, FLASH_WRP1AR, FLASH_IPCCBR, FLASH_SFR, FLASH_SRRVR), HAL
stm32wbxx_hal_flash.h and stm32wbxx_hal_flash_ex.c; RM0434, RM0473.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from imagekit.errors import OptionBytesError
from imagekit.targets import FLASH_BASE, Series, Target

SIZE = 128
"""Bytes in the memory image of the option bytes: 16 words, each followed by its complement."""

_BASE = {Series.WB5X: 0x1FFF_8000, Series.WB3X: 0x1FFF_8000, Series.WB1X: 0x1FFF_7800}
"""Where the memory image begins (CMSIS, OPTION_BYTE_BASE)."""
_FLASH_REGISTERS = 0x5800_4000
# Index of the word in the memory image (Flipper Zero, scripts/flipper/utils/stm32wb55.py), offset of the register from
# _FLASH_REGISTERS (CMSIS, FLASH_TypeDef).
_REGISTERS = {
    "OPTR": (0, 0x20),
    "WRP1AR": (3, 0x2C),
    "WRP1BR": (4, 0x30),
    "IPCCBR": (13, 0x3C),
    "SFR": (14, 0x80),
    "SRRVR": (15, 0x84),
}
# Field -> register, lowest bit, bits.
_COMMON_FIELDS = {
    "RDP": ("OPTR", 0, 8),
    "ESE": ("OPTR", 8, 1),
    "BOR_LEV": ("OPTR", 9, 3),
    "nBOOT1": ("OPTR", 23, 1),
    "SRAM2PE": ("OPTR", 24, 1),
    "SRAM2RST": ("OPTR", 25, 1),
    "nSWBOOT0": ("OPTR", 26, 1),
    "nBOOT0": ("OPTR", 27, 1),
    "WRP1A_STRT": ("WRP1AR", 0, 8),
    "WRP1A_END": ("WRP1AR", 16, 8),
    "WRP1B_STRT": ("WRP1BR", 0, 8),
    "WRP1B_END": ("WRP1BR", 16, 8),
    "IPCCDBA": ("IPCCBR", 0, 14),
    "SFSA": ("SFR", 0, 8),
    "FSD": ("SFR", 8, 1),
    "DDS": ("SFR", 12, 1),
}
_WB5X_FIELDS = {
    **_COMMON_FIELDS,
    "SBRV": ("SRRVR", 0, 18),
    "SBRSA": ("SRRVR", 18, 5),
    "BRSD": ("SRRVR", 23, 1),
    "SNBRSA": ("SRRVR", 25, 5),
    "NBRSD": ("SRRVR", 30, 1),
    "C2OPT": ("SRRVR", 31, 1),
}
_WB1X_FIELDS = {  # CMSIS stm32wb15xx.h
    **_COMMON_FIELDS,
    "SBRV": ("SRRVR", 0, 17),
    "SBRSA_A": ("SRRVR", 18, 5),
    "BRSD_A": ("SRRVR", 23, 1),
    "SBRSA_B": ("SRRVR", 25, 2),
    "BRSD_B": ("SRRVR", 30, 1),
    "C2OPT": ("SRRVR", 31, 1),
}
_FIELDS = {Series.WB5X: _WB5X_FIELDS, Series.WB3X: _WB5X_FIELDS, Series.WB1X: _WB1X_FIELDS}
ON_WB1X = {"SBRSA": "SBRSA_A", "BRSD": "BRSD_A", "SNBRSA": "SBRSA_B", "NBRSD": "BRSD_B"}
"""What WB1x calls a field of WB5x and WB3x."""
_OTHER_SPELLINGS = {"sram2_pe": "SRAM2PE", "sram2_rst": "SRAM2RST", "borlev": "BOR_LEV"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionBytes:
    """The fields that were given, of one chip."""

    target: Target
    fields: Mapping[str, int]
    """Name as in the reference manual of the series -> value; a field that was not given is not in it."""
    damaged: tuple[tuple[str, int, int], ...] = ()
    """Register, value and complement of each word whose complement does not fit."""

    @classmethod
    def from_registers(cls, registers: Mapping[str, int], target: Target) -> "OptionBytes":
        """Decode option registers as they were read from a chip: OPTR, SFR, SRRVR, IPCCBR, WRP1AR and WRP1BR by name.

        Other registers are ignored. Raises OptionBytesError for a value of more than 32 bits.
        """
        values = {name: registers[name] for name in _REGISTERS if name in registers}
        return cls(target=target, fields=_fields(values, target))

    @property
    def not_given(self) -> tuple[str, ...]:
        """Fields of the series that were not given."""
        return tuple(name for name in _FIELDS[self.target.series] if name not in self.fields)

    def fields_of(self, register: str) -> frozenset[str]:
        """The fields of a register on this series."""
        return frozenset(name for name, (owner, _, _) in _FIELDS[self.target.series].items() if owner == register)

    @property
    def sfsa_address(self) -> int | None:
        """Address of the first secure sector; None when SFSA was not given."""
        sfsa = self.fields.get("SFSA")
        if sfsa is None:
            return None
        return self.target.sector_address(sfsa)

    @property
    def fus_address(self) -> int | None:
        """Where FUS 1.0.2 and later begin; None on WB3x, where it is unknown."""
        return self.target.fus_begins

    @property
    def has_stack(self) -> bool | None:
        """Whether SFSA tells of an installed stack; None when it does not tell, or was not given."""
        address = self.sfsa_address
        if address is None or address <= FLASH_BASE:
            return None
        if address < self.target.limit:
            return True
        if address in self.fus_starts or self.fus_address is None:
            return False
        return None

    @property
    def fus_starts(self) -> tuple[int, ...]:
        """Every address at which a FUS of this target begins, as far as it is known."""
        return tuple(start for start in (self.fus_address, self.target.limit_fus_0_5_3) if start is not None)


def decode(data: bytes, target: Target) -> OptionBytes:
    """Decode a dump: 128 bytes of memory, or a text with lines of a memory dump or with fields and values.

    Lines as STM32_Programmer_CLI -r32 and J-Link's mem32 print them (`0x1FFF8070 : 00001CF4 FFFFE30B`), registers at
    0x58004000 too; fields as `-ob displ` prints them (`SFSA : 0xF4`). Other lines are passed over. Raises
    OptionBytesError.
    """
    if len(data) > LARGEST_DUMP:
        raise OptionBytesError("not-option-bytes", f"larger than {LARGEST_DUMP} bytes: not a dump of the option bytes")
    if not data.strip():
        raise OptionBytesError("empty", "empty: contains no option bytes")
    text = _text(data)
    if text is not None:
        return _decode_text(text, target)
    if len(data) != SIZE:
        raise OptionBytesError(
            "not-option-bytes",
            f"{len(data)} bytes, not text: a dump of the option bytes has {SIZE} bytes, from "
            f"0x{_BASE[target.series]:X}",
        )
    words = {_BASE[target.series] + at: int.from_bytes(data[at : at + 4], "little") for at in range(0, SIZE, 4)}
    return _from_words(words, {}, target)


def decode_pairs(text: str, target: Target) -> OptionBytes:
    """Decode registers or fields and their values, `OPTR=0x3FFFF1AA SFSA=0xF4`. Raises OptionBytesError."""
    values: dict[str, int] = {}
    for pair in re.split(r"[\s,;]+", text.strip()):
        name, equals, number = pair.partition("=")
        known = _known_name(name, target)
        if not equals or not _NUMBER.fullmatch(number):
            raise OptionBytesError("bad-value", f"{_short(pair)}: write it as SFSA=0xF4")
        if known is None:
            raise OptionBytesError(
                "bad-value", f"no option byte {_short(name)} on {target.name}: {_hint(name, target)}"
            )
        _enter(values, known, _number(number))
    return OptionBytes(target=target, fields=_fields(values, target))


def _hint(name: str, target: Target) -> str:
    """Return what to type in place of an unknown name."""
    near = get_close_matches(name.upper()[:20], [*_REGISTERS, *_FIELDS[target.series]], n=1)
    if near:
        return f"did you mean {near[0]}?"
    return "registers are OPTR, SFR, SRRVR, IPCCBR, WRP1AR and WRP1BR"


def _number(text: str) -> int:
    """Return a decimal number, also with leading zeros, or a hexadecimal one."""
    if text[:2].lower() == "0x":
        return int(text, 16)
    return int(text)


LARGEST_DUMP = 1024 * 1024
"""Bytes of text: the whole output of a tool is far shorter."""
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}")
_MEMORY_LINE = re.compile(r"^\s*(?:0x)?([0-9A-F]{8})\s*[:=]\s*((?:(?:0x)?[0-9A-F]{8}\b[ \t]*)+)", re.IGNORECASE)
_PAIR = re.compile(r"\b([A-Za-z][A-Za-z0-9_]{1,12})\s*[:=]\s*(0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10})\b")
# The first bytes of a text in UTF-16, which Windows PowerShell writes when output is redirected into a file.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def _text(data: bytes) -> str | None:
    """Return the bytes as text; None when they are not text."""
    encoding = "utf-8-sig"
    if data.startswith(_UTF_16):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if all(char.isprintable() or char in "\t\r\n\x1b" for char in text):
        return text
    return None


def _decode_text(text: str, target: Target) -> OptionBytes:
    words: dict[int, int] = {}
    values: dict[str, int] = {}
    for line in text.splitlines():
        match = _MEMORY_LINE.match(line)
        if match is not None:
            address = int(match[1], 16)
            for index, word in enumerate(match[2].split()):
                _enter(words, address + 4 * index, int(word, 16))
            continue
        for name, number in _PAIR.findall(line):
            known = _known_name(name, target)
            if known is not None:
                _enter(values, known, _number(number))
    return _from_words(words, values, target)


def _from_words(words: dict[int, int], values: dict[str, int], target: Target) -> OptionBytes:
    """Read the option words from memory, in addition to registers and fields given by name."""
    base = _BASE[target.series]
    _refuse_other_series(words, target)
    damaged, checked = [], 0
    for name, (index, offset) in _REGISTERS.items():
        at = base + 8 * index
        value, complement = words.get(at), words.get(at + 4)
        if value is not None:
            _enter(values, name, value)
        if value is not None and complement is not None:
            checked += 1
            if value ^ complement != 0xFFFF_FFFF:
                damaged.append((name, value, complement))
        register = words.get(_FLASH_REGISTERS + offset)
        if register is not None:
            _enter(values, name, register)
    if checked > 1 and len(damaged) == checked:
        raise OptionBytesError(
            "not-option-bytes", "no word is followed by its complement, as every option word is: not option bytes"
        )
    fields = _fields(values, target)
    if not fields:
        raise OptionBytesError(
            "not-option-bytes",
            f"no option byte in it: neither words of memory (0x{base:X} : 3FFFF1AA C0000E55), nor names and values "
            "(SFSA : 0xF4)",
        )
    return OptionBytes(target=target, fields=fields, damaged=tuple(damaged))


def _refuse_other_series(words: dict[int, int], target: Target) -> None:
    """Raise OptionBytesError when all addresses belong to the option bytes of another series."""
    own = _BASE[target.series]
    for series, base in _BASE.items():
        is_there = any(base <= address < base + SIZE for address in words)
        if base != own and is_there and not any(own <= address < own + SIZE for address in words):
            others = "WB5x and WB3x"
            if series is Series.WB1X:
                others = "WB1x"
            raise OptionBytesError(
                "other-series",
                f"its addresses begin at 0x{base:X}, as on {others}; the "
                f"option bytes of {target.name} are at 0x{own:X}: another part's dump, or the wrong --part",
            )


_Key = TypeVar("_Key", bound=int | str)


def _enter(values: dict[_Key, int], key: _Key, value: int) -> None:
    """Enter a value. Raises OptionBytesError when a different value was entered before."""
    if values.setdefault(key, value) != value:
        what = str(key)
        if isinstance(key, int):
            what = f"0x{key:08X}"
        raise OptionBytesError("contradiction", f"{what} is both 0x{values[key]:X} and 0x{value:X}")


def _fields(values: dict[str, int], target: Target) -> dict[str, int]:
    """Cut registers into fields, and put those beside them that were named; in the order of the registers."""
    fields: dict[str, int] = {}
    for name, (register, low, bits) in _FIELDS[target.series].items():
        word, value = values.get(register), values.get(name)
        if word is not None:
            if word > 0xFFFF_FFFF:
                raise OptionBytesError("bad-value", f"{register}=0x{word:X} is more than 32 bits")
            fields[name] = word >> low & (1 << bits) - 1
        if value is not None:
            if value >> bits:
                raise OptionBytesError("bad-value", f"{name}=0x{value:X} does not fit: it has {bits} bits")
            _enter(fields, name, value)
    return fields


def _known_name(name: str, target: Target) -> str | None:
    """Return the register or field of a target with this name, in any case; None when there is none."""
    name = _OTHER_SPELLINGS.get(name.lower(), name).upper()
    if target.series is Series.WB1X:
        name = ON_WB1X.get(name, name)
    name = name.removeprefix("FLASH_")
    return next((known for known in (*_REGISTERS, *_FIELDS[target.series]) if known.upper() == name), None)


def _short(text: str) -> str:
    if len(text) > _LONGEST_ECHO:
        text = f"{text[:_LONGEST_ECHO]}..."
    return repr(text)


_LONGEST_ECHO = 30
