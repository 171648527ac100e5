"""The option bytes of an STM32WB, decoded and judged: who boots what, what is damaged, and what can be done about it.

Fields: CMSIS stm32wb55xx.h and stm32wb15xx.h (FLASH_OPTR, FLASH_WRP1AR, FLASH_IPCCBR, FLASH_SFR, FLASH_SRRVR), HAL
stm32wbxx_hal_flash.h and stm32wbxx_hal_flash_ex.c; RM0434, RM0473. The words of every bad verdict, with what to do and
their evidence, are in explanations.py under the name that the verdict gives.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from imagekit.errors import OptionBytesError
from imagekit.explanations import named
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
# WB5x's name -> WB1x's.
_ON_WB1X = {"SBRSA": "SBRSA_A", "BRSD": "BRSD_A", "SNBRSA": "SBRSA_B", "NBRSD": "BRSD_B"}
_OTHER_SPELLINGS = {"sram2_pe": "SRAM2PE", "sram2_rst": "SRAM2RST", "borlev": "BOR_LEV"}

# Where FUS 1.0.2 and later begin: SFSA with no stack. WB5x with less than 1 MiB reads the same as with 1 MiB (seen on a
# 512 KiB part: community.st.com, thread 276287). WB1x: thread 580319. WB3x: unknown.
_FUS_BEGINS = {Series.WB5X: 0x080F_4000, Series.WB1X: 0x0804_6000}
_SAFEBOOT_VECTOR = 0x3FFFF  # seen on WB55 (community.st.com, thread 652202); on WB1x, whose field is shorter, unknown
_SRAM2A, _SRAM2B = 0x2003_0000, 0x2003_8000  # CMSIS, SRAM2A_BASE and SRAM2B_BASE


class Grade(Enum):
    """How a value is judged; an error makes the command exit with 3."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one field, or several together, mean."""

    name: str
    """The field as ST calls it; for several together, the explanation's name or `CPU2`."""
    value: str
    """As it was read: `0xF4`; empty for several fields together."""
    grade: Grade
    meaning: str
    explains: str = ""
    """The name under which `imagekit explain` says more; empty where there is no more to say."""

    @property
    def recovery(self) -> str:
        """Whether and how a bad value can be repaired, with its source; empty for what is not bad."""
        if self.grade not in (Grade.WARNING, Grade.ERROR) or not self.explains:
            return ""
        explanation = named(self.explains)
        return f"{' '.join(explanation.todo)} ({'; '.join(explanation.sources)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionBytes:
    """The fields that were given, of one chip."""

    target: Target
    fields: Mapping[str, int]
    """Name as in the reference manual of the series -> value; a field that was not given is not in it."""
    damaged: tuple[tuple[str, int, int], ...] = ()
    """Register, value and complement of each word whose complement does not fit."""

    @property
    def not_given(self) -> tuple[str, ...]:
        """Fields of the series that were not given."""
        return tuple(name for name in _FIELDS[self.target.series] if name not in self.fields)

    @property
    def sfsa_address(self) -> int | None:
        """Address of the first secure sector; None when SFSA was not given."""
        sfsa = self.fields.get("SFSA")
        return None if sfsa is None else FLASH_BASE + sfsa * self.target.sector_size

    @property
    def fus_address(self) -> int | None:
        """Where FUS 1.0.2 and later begin; None on WB3x, where it is unknown."""
        return _FUS_BEGINS.get(self.target.series)

    @property
    def has_stack(self) -> bool | None:
        """Whether SFSA tells of an installed stack; None when it does not tell, or was not given."""
        address = self.sfsa_address
        if address is None or address <= FLASH_BASE:
            return None
        if address < self.target.limit:
            return True
        return False if address in self._fus_starts or self.fus_address is None else None

    @property
    def _fus_starts(self) -> tuple[int, ...]:
        """Every address at which a FUS of this target begins, as far as it is known."""
        return tuple(one for one in (self.fus_address, self.target.limit_fus_0_5_3) if one is not None)


def decode(data: bytes, target: Target) -> OptionBytes:
    """Decode a dump: 128 bytes of memory, or a text with lines of a memory dump or with fields and values.

    Lines as STM32_Programmer_CLI -r32 and J-Link's mem32 print them (`0x1FFF8070 : 00001CF4 FFFFE30B`), registers at
    0x58004000 too; fields as `-ob displ` prints them (`SFSA : 0xF4`). Other lines are passed over. Raises
    OptionBytesError.
    """
    if not data.strip():
        raise OptionBytesError("empty", "empty: no option bytes in it")
    text = _text(data)
    if text is not None:
        return _decode_text(text, target)
    if len(data) != SIZE:
        raise OptionBytesError(
            "not-option-bytes",
            f"{len(data)} bytes and no text: a dump of the option bytes has {SIZE} bytes, from 0x{_BASE[target.series]:X}",
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
            near = get_close_matches(name.upper()[:20], [*_REGISTERS, *_FIELDS[target.series]], n=1)
            hint = f"did you mean {near[0]}?" if near else "registers are OPTR, SFR, SRRVR, IPCCBR, WRP1AR and WRP1BR"
            raise OptionBytesError("bad-value", f"no option byte {_short(name)} on {target.name}: {hint}")
        _enter(values, known, int(number, 0 if number[:2].lower() == "0x" else 10))
    return OptionBytes(target=target, fields=_fields(values, target))


_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}")
_MEMORY_LINE = re.compile(r"^\s*(?:0x)?([0-9A-F]{8})\s*[:=]\s*((?:(?:0x)?[0-9A-F]{8}\b[ \t]*)+)", re.IGNORECASE)
_PAIR = re.compile(r"\b([A-Za-z][A-Za-z0-9_]{1,12})\s*[:=]\s*(0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10})\b")
# The first bytes of a text in UTF-16, which Windows PowerShell writes when output is redirected into a file.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def _text(data: bytes) -> str | None:
    """The text that the bytes are, None when they are none."""
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\t\r\n\x1b" for char in text) else None


def _decode_text(text: str, target: Target) -> OptionBytes:
    words: dict[int, int] = {}
    values: dict[str, int] = {}
    for line in text.splitlines():
        if match := _MEMORY_LINE.match(line):
            address = int(match[1], 16)
            for index, word in enumerate(match[2].split()):
                _enter(words, address + 4 * index, int(word, 16))
            continue
        for name, number in _PAIR.findall(line):
            if known := _known_name(name, target):
                _enter(values, known, int(number, 0 if number[:2].lower() == "0x" else 10))
    return _from_words(words, values, target)


def _from_words(words: dict[int, int], values: dict[str, int], target: Target) -> OptionBytes:
    """Take the option words out of memory, beside registers and fields that were named."""
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
        if (register := words.get(_FLASH_REGISTERS + offset)) is not None:
            _enter(values, name, register)
    if checked > 1 and len(damaged) == checked:
        raise OptionBytesError(
            "not-option-bytes", "no word is followed by its complement, as every option word is: not option bytes"
        )
    fields = _fields(values, target)
    if not fields:
        raise OptionBytesError(
            "not-option-bytes",
            f"no option byte in it: neither memory from 0x{base:X}, nor a name and a value such as SFSA=0xF4",
        )
    return OptionBytes(target=target, fields=fields, damaged=tuple(damaged))


def _refuse_other_series(words: dict[int, int], target: Target) -> None:
    """Raise OptionBytesError when the addresses are those of another series' option bytes, and none are this one's."""
    own = _BASE[target.series]
    for series, base in _BASE.items():
        is_there = any(base <= address < base + SIZE for address in words)
        if base != own and is_there and not any(own <= address < own + SIZE for address in words):
            raise OptionBytesError(
                "other-series",
                f"its addresses begin at 0x{base:X}, as on {'WB1x' if series is Series.WB1X else 'WB5x and WB3x'}; the "
                f"option bytes of {target.name} are at 0x{own:X}: another part's dump, or the wrong --part",
            )


def _enter[Key: (int, str)](values: dict[Key, int], key: Key, value: int) -> None:
    """Enter a value; raise OptionBytesError when another one stands there."""
    if values.setdefault(key, value) != value:
        what = key if isinstance(key, str) else f"0x{key:08X}"
        raise OptionBytesError("contradiction", f"{what} is both 0x{values[key]:X} and 0x{value:X}")


def _fields(values: dict[str, int], target: Target) -> dict[str, int]:
    """Cut registers into fields, and put those beside them that were named; in the order of the registers."""
    found: dict[str, int] = {}
    for name, (register, low, bits) in _FIELDS[target.series].items():
        if (word := values.get(register)) is not None:
            if word > 0xFFFF_FFFF:
                raise OptionBytesError("bad-value", f"{register}=0x{word:X} is more than 32 bits")
            found[name] = word >> low & (1 << bits) - 1
        if (value := values.get(name)) is not None:
            if value >> bits:
                raise OptionBytesError("bad-value", f"{name}=0x{value:X} does not fit: it has {bits} bits")
            _enter(found, name, value)
    return found


def _known_name(name: str, target: Target) -> str | None:
    """The register or field that a name stands for on a target, in any case; None when there is none."""
    name = _OTHER_SPELLINGS.get(name.lower(), name).upper()
    if target.series is Series.WB1X:
        name = _ON_WB1X.get(name, name)
    name = name.removeprefix("FLASH_")
    return next((known for known in (*_REGISTERS, *_FIELDS[target.series]) if known.upper() == name), None)


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:30]}...")  # noqa: PLR2004 - what a line of a terminal holds


def judge_fields(option_bytes: OptionBytes) -> tuple[Verdict, ...]:
    """Judge every field that was given."""
    return tuple(verdict for judge in _JUDGES for verdict in judge(option_bytes))


def judge_together(option_bytes: OptionBytes) -> tuple[Verdict, ...]:
    """Judge what only several fields together tell: damage, what CPU2 boots, what cannot be undone."""
    return tuple(verdict for judge in _TOGETHER for verdict in judge(option_bytes))


def _hex(value: int) -> str:
    return f"0x{value:X}"


_SIMPLE: dict[str, Mapping[int, tuple[Grade, str, str]]] = {
    "ESE": {
        1: (Grade.GOOD, "security is on", ""),
        0: (Grade.ERROR, "security is off: no FUS can be reached", "OB_ESE_CLEAR"),
    },
    "FSD": {
        0: (Grade.GOOD, "flash security is on", ""),
        1: (Grade.ERROR, "flash security is disabled", "OB_FSD_SET"),
    },
    "DDS": {
        1: (Grade.GOOD, "CPU2 cannot be debugged, as ST ships it", ""),
        0: (Grade.WARNING, "CPU2 can be debugged; ST ships 1", "OB_DDS_CLEAR"),
    },
    "C2OPT": {
        1: (Grade.GOOD, "CPU2 boots from flash", ""),
        0: (Grade.ERROR, "CPU2 would boot from SRAM2, where nothing of ST's is", "OB_C2OPT_ZERO"),
    },
    # HAL, OB_SRAM2_RST_ERASE and OB_SRAM2_PARITY_ENABLE.
    "SRAM2RST": {
        0: (Grade.GOOD, "a system reset erases SRAM2", ""),
        1: (Grade.GOOD, "SRAM2 is kept over a system reset", ""),
    },
    "SRAM2PE": {
        0: (Grade.GOOD, "parity of SRAM2 is checked", ""),
        1: (Grade.GOOD, "parity of SRAM2 is not checked", ""),
    },
}
_BOR_VOLTS = ("1.7", "2.0", "2.2", "2.5", "2.8")  # HAL, FLASH_OB_USER_BOR_LEVEL


def _simple(*names: str) -> Callable[[OptionBytes], Iterator[Verdict]]:
    """A judge of fields that have one meaning for each value."""

    def judge(ob: OptionBytes) -> Iterator[Verdict]:
        for name in names:
            if (value := ob.fields.get(name)) is not None:
                grade, meaning, explains = _SIMPLE[name][value]
                yield Verdict(name=name, value=_hex(value), grade=grade, meaning=meaning, explains=explains)

    return judge


def _rdp(ob: OptionBytes) -> Iterator[Verdict]:
    if (value := ob.fields.get("RDP")) is None:
        return
    # HAL, FLASH_OB_READ_PROTECTION; any other value is level 1 too (RM0434, read protection).
    grade, meaning, explains = {
        0xAA: (Grade.GOOD, "level 0: no read protection", ""),
        0xCC: (Grade.WARNING, "level 2: closed for ever, no debugger and no way back", "OB_RDP_2"),
    }.get(value, (Grade.WARNING, "level 1: a debugger cannot read the flash; FUS from a debugger: unknown", "OB_RDP_1"))
    yield Verdict(name="RDP", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


def _bor(ob: OptionBytes) -> Iterator[Verdict]:
    if (value := ob.fields.get("BOR_LEV")) is None:
        return
    if value < len(_BOR_VOLTS):
        meaning = f"reset below about {_BOR_VOLTS[value]} V"
        yield Verdict(name="BOR_LEV", value=_hex(value), grade=Grade.GOOD, meaning=meaning)
    else:
        yield Verdict(name="BOR_LEV", value=_hex(value), grade=Grade.WARNING, meaning="a level that is not defined")


def _cpu1_boot(ob: OptionBytes) -> Iterator[Verdict]:
    """nSWBOOT0, nBOOT1 and nBOOT0 as one (HAL, FLASH_OB_USER_nBOOT1, _nSWBOOT0, _nBOOT0)."""
    by_option, boot1, boot0 = (ob.fields.get(name) for name in ("nSWBOOT0", "nBOOT1", "nBOOT0"))
    if by_option is None or boot1 is None or boot0 is None:
        return
    other = "system memory, ST's bootloader" if boot1 else "SRAM1"
    if by_option == 1:
        grade = Grade.GOOD if boot1 and boot0 else Grade.NOTE
        meaning, explains = (
            f"the BOOT0 pin decides: low main flash, high {other}",
            "" if grade is Grade.GOOD else "OB_BOOT",
        )
    elif boot0:
        grade, explains = Grade.NOTE, "OB_BOOT"
        meaning = (
            "main flash, whatever the BOOT0 pin says; STM32CubeProgrammer leaves it so after FUS work (psdb's code calls "
            "it system memory; the logs of chips show main flash)"
        )
    else:
        grade, explains, meaning = (
            Grade.WARNING,
            "OB_BOOT",
            f"{other}, whatever the BOOT0 pin says: not the application",
        )
    value = f"{by_option} {boot1} {boot0}"
    yield Verdict(name="nSWBOOT0 nBOOT1 nBOOT0", value=value, grade=grade, meaning=meaning, explains=explains)


def _write_protection(ob: OptionBytes) -> Iterator[Verdict]:
    for area in ("WRP1A", "WRP1B"):
        start, end = ob.fields.get(f"{area}_STRT"), ob.fields.get(f"{area}_END")
        if start is None or end is None:
            continue
        value, size = f"{_hex(start)} - {_hex(end)}", ob.target.sector_size
        if start > end:
            yield Verdict(
                name=area, value=value, grade=Grade.GOOD, meaning="protects nothing: the start is above the end"
            )
        else:
            first, last = FLASH_BASE + start * size, FLASH_BASE + (end + 1) * size - 1
            meaning = f"0x{first:08X} - 0x{last:08X} can be neither erased nor programmed"
            yield Verdict(name=area, value=value, grade=Grade.WARNING, meaning=meaning, explains="OB_WRP")


def _ipccdba(ob: OptionBytes) -> Iterator[Verdict]:
    if (value := ob.fields.get("IPCCDBA")) is None:
        return
    if value == 0:
        yield Verdict(name="IPCCDBA", value="0x0", grade=Grade.GOOD, meaning=f"the mailbox is at 0x{_SRAM2A:08X}")
    else:
        meaning = "the mailbox is elsewhere in SRAM2A; where is disputed, only 0 was seen on chips"
        yield Verdict(name="IPCCDBA", value=_hex(value), grade=Grade.WARNING, meaning=meaning, explains="OB_IPCCDBA")


def _sfsa(ob: OptionBytes) -> Iterator[Verdict]:
    if (value := ob.fields.get("SFSA")) is None:
        return
    grade, meaning, explains = _sfsa_meaning(ob)
    yield Verdict(name="SFSA", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


def _sfsa_meaning(ob: OptionBytes) -> tuple[Grade, str, str]:
    """Grade, meaning and explanation of SFSA."""
    address, target = ob.sfsa_address, ob.target
    assert address is not None  # noqa: S101 - the caller looked
    where = f"secure from 0x{address:08X}"
    if address == FLASH_BASE:
        return Grade.ERROR, f"all of the flash is {where}: damaged", "OB_SFSA_ZERO"
    if ob.has_stack:
        sectors = (target.limit - address) // target.sector_size
        return Grade.GOOD, f"{where}: a stack, of {sectors} sectors at most", ""
    if address == target.limit_fus_0_5_3:
        return Grade.WARNING, f"{where}: FUS 0.5.3 and no stack", "OB_FUS_0_5_3"
    if ob.fus_address is None:
        return Grade.NOTE, f"{where}, beyond the flash: no stack; where FUS begins on WB3x is unknown", "OB_NO_STACK"
    if address == ob.fus_address:
        return Grade.GOOD, f"{where}, where FUS begins: no stack", "OB_NO_STACK"
    if address > ob.fus_address:
        return Grade.ERROR, f"{where}, higher than FUS can begin on {target.name}", "OB_SFSA_IMPOSSIBLE"
    return (
        Grade.WARNING,
        f"{where}, beyond the flash and below FUS: never seen; its meaning is unknown",
        "OB_SFSA_IMPOSSIBLE",
    )


def _sbrv(ob: OptionBytes) -> Iterator[Verdict]:
    if (value := ob.fields.get("SBRV")) is None:
        return
    grade, meaning, explains = _sbrv_meaning(ob, value)
    yield Verdict(name="SBRV", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


def _sbrv_meaning(ob: OptionBytes, value: int) -> tuple[Grade, str, str]:
    """Grade, meaning and explanation of SBRV: in words of 4 bytes from the start of flash, with C2OPT = 1 (HAL)."""
    if ob.fields.get("C2OPT") == 0:
        return Grade.NOTE, "an offset in SRAM2, because C2OPT is 0", "OB_C2OPT_ZERO"
    if value == _SAFEBOOT_VECTOR:
        return Grade.ERROR, "Safeboot's vector: CPU2 boots neither FUS nor a stack", "OB_SBRV_SAFEBOOT"
    address = FLASH_BASE + 4 * value
    return _boot_meaning(ob, address, f"CPU2 boots from 0x{address:08X}")


def _boot_meaning(ob: OptionBytes, address: int, boots: str) -> tuple[Grade, str, str]:
    """Grade, meaning and explanation of the address that CPU2 boots from."""
    first, stack = ob.sfsa_address, ob.has_stack
    if first is None or first == FLASH_BASE:
        known = address in ob._fus_starts  # noqa: SLF001 - this module's own
        told = "FUS" if known else "what is there cannot be told without a sound SFSA"
        return Grade.GOOD if known else Grade.NOTE, f"{boots}: {told}", ""
    if address == first:
        what = {True: "the stack", False: "FUS", None: "the first secure sector"}[stack]
        return Grade.GOOD, f"{boots}: {what}", ""
    if stack and address in ob._fus_starts:  # noqa: SLF001
        return Grade.WARNING, f"{boots}: FUS, though a stack is installed", "OB_FUS_SELECTED"
    if address < first:
        return Grade.ERROR, f"{boots}, below SFSA: nothing that CPU2 can boot is there", "OB_SBRV_NOWHERE"
    if ob.fus_address is None:
        told = "FUS, or an update that died half-way: where FUS begins on WB3x is unknown"
        return Grade.NOTE, f"{boots}, above SFSA: {told}", "OB_SBRV_INSIDE"
    if first == ob.target.limit_fus_0_5_3:
        return Grade.NOTE, f"{boots}; what FUS 0.5.3 has here is unknown", "OB_FUS_0_5_3"
    if stack:
        return Grade.ERROR, f"{boots}, neither where the stack begins nor FUS", "OB_SBRV_INSIDE"
    return Grade.ERROR, f"{boots}: nothing known begins there", "OB_SBRV_NOWHERE"


def _sram2(ob: OptionBytes) -> Iterator[Verdict]:
    """SBRSA with BRSD, SNBRSA with NBRSD: in KiB from the start of SRAM2A and SRAM2B (HAL, stm32wbxx_hal_flash_ex.c)."""
    for wb5x, off, base, what in (("SBRSA", "BRSD", _SRAM2A, "SRAM2A"), ("SNBRSA", "NBRSD", _SRAM2B, "SRAM2B")):
        is_wb1x = ob.target.series is Series.WB1X
        start_name, off_name = (_ON_WB1X[wb5x], _ON_WB1X[off]) if is_wb1x else (wb5x, off)
        start, is_open = ob.fields.get(start_name), ob.fields.get(off_name)
        if start is None or is_open is None:
            continue
        value, name = f"{_hex(start)} {_hex(is_open)}", f"{start_name} {off_name}"
        if is_open:
            meaning = f"all of {what} is CPU1's: not secured"
            yield Verdict(name=name, value=value, grade=Grade.NOTE, meaning=meaning, explains="OB_SRAM_NOT_SECURE")
        else:
            meaning = f"{what} is secure from 0x{base + start * 1024:08X}: {start} KiB of it are CPU1's"
            yield Verdict(name=name, value=value, grade=Grade.GOOD, meaning=meaning)


_JUDGES: tuple[Callable[[OptionBytes], Iterator[Verdict]], ...] = (
    _rdp,
    _simple("ESE"),
    _bor,
    _cpu1_boot,
    _simple("SRAM2RST", "SRAM2PE"),
    _write_protection,
    _ipccdba,
    _sfsa,
    _simple("FSD", "DDS"),
    _sbrv,
    _sram2,
    _simple("C2OPT"),
)


def _complements(ob: OptionBytes) -> Iterator[Verdict]:
    for register, value, complement in ob.damaged:
        yield Verdict(
            name="OB_COMPLEMENT",
            value="",
            grade=Grade.ERROR,
            meaning=f"{register} is 0x{value:08X} and its complement 0x{complement:08X}, not 0x{value ^ 0xFFFFFFFF:08X}: "
            "the option byte or the dump is corrupt",
            explains="OB_COMPLEMENT",
        )


def _cpu2(ob: OptionBytes) -> Iterator[Verdict]:
    """What the chip holds and what CPU2 will boot, in one sentence, where SFSA and SBRV tell."""
    value = ob.fields.get("SBRV")
    if value is None or ob.sfsa_address is None or ob.fields.get("C2OPT") == 0:
        return
    grade, _, explains = _sbrv_meaning(ob, value)
    if explains in _CPU2:
        yield Verdict(name=explains, value="", grade=grade, meaning=_CPU2[explains], explains=explains)
    elif grade is Grade.GOOD and ob.has_stack:
        yield Verdict(name="CPU2", value="", grade=grade, meaning="a stack is installed, and CPU2 boots it")
    elif grade is Grade.GOOD and ob.has_stack is False:
        meaning = "no stack is installed, and CPU2 boots FUS"
        yield Verdict(name="OB_NO_STACK", value="", grade=grade, meaning=meaning, explains="OB_NO_STACK")


_CPU2 = {
    "OB_FUS_SELECTED": "a stack is installed, and CPU2 boots FUS: start the stack",
    "OB_SBRV_SAFEBOOT": "CPU2 boots Safeboot: an update went badly wrong, FUS does not start",
    "OB_SBRV_INSIDE": "CPU2 boots neither the stack nor a FUS whose place is known: an update may have died half-way",
    "OB_SBRV_NOWHERE": "CPU2 boots from a place that holds neither FUS nor a stack: FUS does not start",
}


def _field_return(ob: OptionBytes) -> Iterator[Verdict]:
    """The pattern of WB15 parts that came back from the field (community.st.com, thread 655661)."""
    if ob.fields.get("C2OPT") == 0 and 0x1F in (ob.fields.get("SBRSA"), ob.fields.get("SBRSA_A")):
        yield Verdict(
            name="OB_C2OPT_ZERO",
            value="",
            grade=Grade.ERROR,
            meaning="C2OPT 0 with SBRSA 0x1F: the damage that was seen on WB15 parts returned from the field",
            explains="OB_C2OPT_ZERO",
        )


def _no_way_back(ob: OptionBytes) -> Iterator[Verdict]:
    """Damage with a FUS before 1.1.0 cannot be undone (release notes of STM32CubeWB, Safeboot)."""
    if not ob.damaged and all(verdict.grade is not Grade.ERROR for verdict in judge_fields(ob)):
        return
    yield Verdict(
        name="OB_COMPLEMENT",
        value="",
        grade=Grade.WARNING,
        meaning="when FUS on this chip is older than 1.1.0, damaged option bytes cannot be repaired at all; the option "
        "bytes do not tell its version",
        explains="OB_COMPLEMENT",
    )


_TOGETHER: tuple[Callable[[OptionBytes], Iterator[Verdict]], ...] = (_complements, _cpu2, _field_return, _no_way_back)
