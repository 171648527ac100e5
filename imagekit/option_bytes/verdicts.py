"""Judge the option bytes of an STM32WB: what each CPU boots, what is damaged, and what repairs it.

Meanings: HAL stm32wbxx_hal_flash.h and stm32wbxx_hal_flash_ex.c, release notes of STM32CubeWB v1.24.0, and values read
from chips. The words on every bad value, what to do and their evidence are in explanations.py, under the name that the
verdict gives.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from imagekit.explanations import named
from imagekit.option_bytes.decode import ON_WB1X, OptionBytes
from imagekit.targets import FLASH_BASE, Series

_SAFEBOOT_VECTOR = 0x3FFFF  # seen on WB55 (community.st.com, thread 652202); on WB1x, whose field is shorter, unknown
_SRAM2A, _SRAM2B = 0x2003_0000, 0x2003_8000  # CMSIS, SRAM2A_BASE and SRAM2B_BASE


class Grade(Enum):
    """How a value is judged; an error makes the command exit with 3."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldVerdict:
    """What one field, or several together, mean."""

    name: str
    """The field as ST calls it; for several together, the explanation's name or `CPU2`."""
    value: str
    """As it was read: `0xF4`; empty for several fields together."""
    grade: Grade
    meaning: str
    explains: str = ""
    """The name under which `imagekit explain` says more; empty where it says nothing more."""

    @property
    def recovery(self) -> str:
        """Whether and how a bad value can be repaired, with its source; empty for what is not bad."""
        if self.grade not in (Grade.WARNING, Grade.ERROR) or not self.explains:
            return ""
        explanation = named(self.explains)
        return f"{' '.join(explanation.todo)} ({'; '.join(explanation.sources)})"


def judge_fields(option_bytes: OptionBytes) -> tuple[FieldVerdict, ...]:
    """Judge every field that was given. No field of a damaged word is good."""
    damaged = {field for register, _, _ in option_bytes.damaged for field in option_bytes.fields_of(register)}
    verdicts = [verdict for judge in _JUDGES for verdict in judge(option_bytes)]
    return tuple(_downgraded(verdict, damaged) for verdict in verdicts)


def _downgraded(verdict: FieldVerdict, damaged: set[str]) -> FieldVerdict:
    """Return a note in place of a good verdict on a field of a damaged word."""
    if verdict.grade is Grade.GOOD and damaged & set(verdict.name.split()):
        return replace(verdict, grade=Grade.NOTE, meaning=f"{verdict.meaning}; its word is damaged")
    return verdict


def judge_together(option_bytes: OptionBytes) -> tuple[FieldVerdict, ...]:
    """Judge what only several fields together tell: damage, what CPU2 boots, what is irreversible."""
    return tuple(verdict for judge in _TOGETHER for verdict in judge(option_bytes))


def _hex(value: int) -> str:
    return f"0x{value:X}"


_SIMPLE: dict[str, Mapping[int, tuple[Grade, str, str]]] = {
    "ESE": {
        1: (Grade.GOOD, "security is on", ""),
        0: (Grade.ERROR, "security is off: FUS cannot be reached", "OB_ESE_CLEAR"),
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
        0: (Grade.ERROR, "CPU2 would boot from SRAM2, which holds no firmware", "OB_C2OPT_ZERO"),
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


def _simple(*names: str) -> Callable[[OptionBytes], Iterator[FieldVerdict]]:
    """Make a judge of fields that have one meaning for each value."""

    def judge(ob: OptionBytes) -> Iterator[FieldVerdict]:
        for name in names:
            value = ob.fields.get(name)
            if value is not None:
                grade, meaning, explains = _SIMPLE[name][value]
                yield FieldVerdict(name=name, value=_hex(value), grade=grade, meaning=meaning, explains=explains)

    return judge


def _rdp(ob: OptionBytes) -> Iterator[FieldVerdict]:
    value = ob.fields.get("RDP")
    if value is None:
        return
    # HAL, FLASH_OB_READ_PROTECTION; any other value is level 1 too (RM0434, read protection).
    grade, meaning, explains = {
        0xAA: (Grade.GOOD, "level 0: no read protection", ""),
        0xCC: (Grade.WARNING, "level 2: irreversible, no debugger can connect again", "OB_RDP_2"),
    }.get(value, (Grade.WARNING, "level 1: a debugger cannot read the flash; FUS from a debugger: unknown", "OB_RDP_1"))
    yield FieldVerdict(name="RDP", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


def _bor(ob: OptionBytes) -> Iterator[FieldVerdict]:
    value = ob.fields.get("BOR_LEV")
    if value is None:
        return
    if value < len(_BOR_VOLTS):
        meaning = f"reset below about {_BOR_VOLTS[value]} V"
        yield FieldVerdict(name="BOR_LEV", value=_hex(value), grade=Grade.GOOD, meaning=meaning)
    else:
        yield FieldVerdict(
            name="BOR_LEV", value=_hex(value), grade=Grade.WARNING, meaning="a level that is not defined"
        )


def _cpu1_boot(ob: OptionBytes) -> Iterator[FieldVerdict]:
    """nSWBOOT0, nBOOT1 and nBOOT0 as one (HAL, FLASH_OB_USER_nBOOT1, _nSWBOOT0, _nBOOT0)."""
    by_option, boot1, boot0 = (ob.fields.get(name) for name in ("nSWBOOT0", "nBOOT1", "nBOOT0"))
    if by_option is None or boot1 is None or boot0 is None:
        return
    other = "SRAM1"
    if boot1:
        other = "system memory, ST's bootloader"
    grade, explains = Grade.NOTE, "OB_BOOT"
    if by_option == 1:
        meaning = f"the BOOT0 pin decides: low main flash, high {other}"
        if boot1 and boot0:
            grade, explains = Grade.GOOD, ""
    elif boot0:
        meaning = (
            "main flash, whatever the BOOT0 pin says; STM32CubeProgrammer leaves it so after FUS work (psdb's code "
            "calls it system memory; the logs of chips show main flash)"
        )
    else:
        grade, meaning = Grade.WARNING, f"{other}, whatever the BOOT0 pin says: not the application"
    value = f"{by_option} {boot1} {boot0}"
    yield FieldVerdict(name="nSWBOOT0 nBOOT1 nBOOT0", value=value, grade=grade, meaning=meaning, explains=explains)


def _write_protection(ob: OptionBytes) -> Iterator[FieldVerdict]:
    for area in ("WRP1A", "WRP1B"):
        start, end = ob.fields.get(f"{area}_STRT"), ob.fields.get(f"{area}_END")
        if start is None or end is None:
            continue
        value, size = f"{_hex(start)} - {_hex(end)}", ob.target.sector_size
        if start > end:
            yield FieldVerdict(
                name=area, value=value, grade=Grade.GOOD, meaning="protects nothing: the start is above the end"
            )
        else:
            first, last = FLASH_BASE + start * size, FLASH_BASE + (end + 1) * size - 1
            meaning = f"0x{first:08X} - 0x{last:08X} can be neither erased nor programmed"
            yield FieldVerdict(name=area, value=value, grade=Grade.WARNING, meaning=meaning, explains="OB_WRP")


def _ipccdba(ob: OptionBytes) -> Iterator[FieldVerdict]:
    value = ob.fields.get("IPCCDBA")
    if value is None:
        return
    if value == 0:
        yield FieldVerdict(name="IPCCDBA", value="0x0", grade=Grade.GOOD, meaning=f"the mailbox is at 0x{_SRAM2A:08X}")
    else:
        meaning = "the mailbox is elsewhere in SRAM2A; where is disputed, only 0 was seen on chips"
        yield FieldVerdict(
            name="IPCCDBA", value=_hex(value), grade=Grade.WARNING, meaning=meaning, explains="OB_IPCCDBA"
        )


def _sfsa(ob: OptionBytes) -> Iterator[FieldVerdict]:
    value = ob.fields.get("SFSA")
    if value is None:
        return
    grade, meaning, explains = _sfsa_meaning(ob)
    yield FieldVerdict(name="SFSA", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


def _sfsa_meaning(ob: OptionBytes) -> tuple[Grade, str, str]:
    """Grade, meaning and explanation of SFSA."""
    address, target = ob.sfsa_address, ob.target
    assert address is not None  # noqa: S101 - the caller checked it
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
        return Grade.ERROR, f"{where}, higher than FUS begins on {target.name}: is --part right?", "OB_SFSA_IMPOSSIBLE"
    return (
        Grade.WARNING,
        f"{where}, beyond the flash of {target.name} and below FUS, which was never seen: is --part right?",
        "OB_SFSA_IMPOSSIBLE",
    )


def _sbrv(ob: OptionBytes) -> Iterator[FieldVerdict]:
    value = ob.fields.get("SBRV")
    if value is None:
        return
    grade, meaning, explains = _sbrv_meaning(ob, value)
    yield FieldVerdict(name="SBRV", value=_hex(value), grade=grade, meaning=meaning, explains=explains)


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
    if first is None or stack is None:
        if address in ob.fus_starts:
            return Grade.GOOD, f"{boots}: FUS", ""
        return Grade.NOTE, f"{boots}: what starts there is unknown without an SFSA of {ob.target.name}", ""
    if address == first:
        return Grade.GOOD, f"{boots}: {_FIRST_SECURE[stack]}", ""
    if address < first:
        return Grade.ERROR, f"{boots}, below SFSA: nothing that CPU2 can boot is there", "OB_SBRV_NOWHERE"
    if stack:
        return _above_stack(ob, address, boots)
    if ob.fus_address is None:
        return Grade.NOTE, f"{boots}, above SFSA: {_FUS_OR_BROKEN}", "OB_SBRV_INSIDE"
    if first == ob.target.limit_fus_0_5_3:
        return Grade.NOTE, f"{boots}; what FUS 0.5.3 has here is unknown", "OB_FUS_0_5_3"
    return Grade.ERROR, f"{boots}: nothing known begins there", "OB_SBRV_NOWHERE"


_FIRST_SECURE = {True: "the stack", False: "FUS"}
"""Whether a stack is installed -> what begins where SFSA points."""
_FUS_OR_BROKEN = "FUS, or an update that died half-way: where FUS begins on WB3x is unknown"


def _above_stack(ob: OptionBytes, address: int, boots: str) -> tuple[Grade, str, str]:
    """Grade, meaning and explanation of a place above the first sector of an installed stack."""
    if address in ob.fus_starts:
        return Grade.WARNING, f"{boots}: FUS, though a stack is installed", "OB_FUS_SELECTED"
    if ob.fus_address is None:
        return Grade.NOTE, f"{boots}, above SFSA: {_FUS_OR_BROKEN}", "OB_SBRV_INSIDE"
    return Grade.ERROR, f"{boots}, neither where the stack begins nor FUS", "OB_SBRV_INSIDE"


def _sram2(ob: OptionBytes) -> Iterator[FieldVerdict]:
    """SBRSA with BRSD, SNBRSA with NBRSD: KiB from the start of SRAM2A and SRAM2B (HAL, stm32wbxx_hal_flash_ex.c)."""
    for wb5x, off, base, what in (("SBRSA", "BRSD", _SRAM2A, "SRAM2A"), ("SNBRSA", "NBRSD", _SRAM2B, "SRAM2B")):
        start_name, off_name = wb5x, off
        if ob.target.series is Series.WB1X:
            start_name, off_name = ON_WB1X[wb5x], ON_WB1X[off]
        start, is_open = ob.fields.get(start_name), ob.fields.get(off_name)
        if start is None or is_open is None:
            continue
        value, name = f"{_hex(start)} {_hex(is_open)}", f"{start_name} {off_name}"
        if is_open:
            meaning = f"all of {what} is CPU1's: not secured"
            yield FieldVerdict(name=name, value=value, grade=Grade.NOTE, meaning=meaning, explains="OB_SRAM_NOT_SECURE")
        elif not start and base == _SRAM2A:
            meaning = "all of SRAM2A is secure: CPU1 has no room there for the mailbox; never seen"
            yield FieldVerdict(name=name, value=value, grade=Grade.NOTE, meaning=meaning)
        else:
            meaning = f"{what} is secure from 0x{base + start * 1024:08X}: {start} KiB of it are CPU1's"
            yield FieldVerdict(name=name, value=value, grade=Grade.GOOD, meaning=meaning)


_JUDGES: tuple[Callable[[OptionBytes], Iterator[FieldVerdict]], ...] = (
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


def _complements(ob: OptionBytes) -> Iterator[FieldVerdict]:
    for register, value, complement in ob.damaged:
        yield FieldVerdict(
            name="OB_COMPLEMENT",
            value="",
            grade=Grade.ERROR,
            meaning=f"{register} is 0x{value:08X} and its complement 0x{complement:08X}, not "
            f"0x{value ^ 0xFFFFFFFF:08X}: the option byte or the dump is corrupt",
            explains="OB_COMPLEMENT",
        )


def _cpu2(ob: OptionBytes) -> Iterator[FieldVerdict]:
    """What the chip holds and what CPU2 will boot, in one sentence, where SFSA and SBRV tell."""
    value = ob.fields.get("SBRV")
    if value is None or ob.sfsa_address is None or ob.fields.get("C2OPT") == 0:
        return
    grade, _, explains = _sbrv_meaning(ob, value)
    if explains in _CPU2:
        yield FieldVerdict(name=explains, value="", grade=grade, meaning=_CPU2[explains], explains=explains)
    elif grade is Grade.GOOD and ob.has_stack:
        yield FieldVerdict(name="CPU2", value="", grade=grade, meaning="a stack is installed, and CPU2 boots it")
    elif grade is Grade.GOOD and ob.has_stack is False:
        meaning = "no stack is installed, and CPU2 boots FUS"
        yield FieldVerdict(name="OB_NO_STACK", value="", grade=grade, meaning=meaning, explains="OB_NO_STACK")


_CPU2 = {
    "OB_FUS_SELECTED": "a stack is installed, and CPU2 boots FUS: start the stack",
    "OB_SBRV_SAFEBOOT": "CPU2 boots Safeboot: an update went badly wrong, FUS does not start",
    "OB_SBRV_INSIDE": "CPU2 boots neither the stack nor a FUS whose place is known: an update may have died half-way",
    "OB_SBRV_NOWHERE": "CPU2 boots from a place that holds neither FUS nor a stack: FUS does not start",
}


def _field_return(ob: OptionBytes) -> Iterator[FieldVerdict]:
    """The pattern of WB15 parts that came back from the field (community.st.com, thread 655661)."""
    if ob.fields.get("C2OPT") == 0 and 0x1F in (ob.fields.get("SBRSA"), ob.fields.get("SBRSA_A")):
        yield FieldVerdict(
            name="OB_C2OPT_ZERO",
            value="",
            grade=Grade.ERROR,
            meaning="C2OPT 0 with SBRSA 0x1F: the damage that was seen on WB15 parts returned from the field",
            explains="OB_C2OPT_ZERO",
        )


def _beyond_repair(ob: OptionBytes) -> Iterator[FieldVerdict]:
    """Damage that only Safeboot repairs, which needs FUS 1.1.0 or later (release notes of STM32CubeWB, Safeboot)."""
    answered = {"OB_SFSA_ZERO", "OB_SBRV_SAFEBOOT"} & {verdict.explains for verdict in judge_fields(ob)}
    # No WB1x ever had an older FUS than 1.2.0.
    if ob.target.series is Series.WB1X or not (ob.damaged or answered):
        return
    meaning = "if FUS on this chip is older than 1.1.0, this damage cannot be repaired; the option bytes do not tell"
    if ob.sfsa_address is not None and ob.sfsa_address == ob.target.limit_fus_0_5_3:
        meaning = "FUS 0.5.3 is older than 1.1.0: this damage cannot be repaired"
    yield FieldVerdict(name="OB_DAMAGE", value="", grade=Grade.WARNING, meaning=meaning, explains="OB_DAMAGE")


_TOGETHER: tuple[Callable[[OptionBytes], Iterator[FieldVerdict]], ...] = (
    _complements,
    _cpu2,
    _field_return,
    _beyond_repair,
)
