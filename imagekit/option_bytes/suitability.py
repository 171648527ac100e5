"""Judge from the option registers whether any work on a chip is allowed.

The flasher asks before it halts CPU1 or starts FUS. The meaning of each field is in verdicts.py; this module decides
which meanings forbid work.
"""

from collections.abc import Iterator, Mapping

from imagekit.option_bytes.decode import OptionBytes
from imagekit.option_bytes.verdicts import FieldVerdict, Grade, judge_fields, judge_together
from imagekit.targets import Target

_FORBIDS_WORK = frozenset({"OB_SFSA_IMPOSSIBLE", "OB_RDP_1", "OB_RDP_2", "OB_IPCCDBA"})
"""Explanations that forbid work although their grade is a warning."""
_WRITTEN_BY_FUS = frozenset({"SFSA", "SBRV", "C2OPT"})
_FACTORY_RESET = frozenset({"OB_SFSA_ZERO", "OB_SBRV_SAFEBOOT", "OB_C2OPT_ZERO"})
"""What only a factory reset by Safeboot repairs: FUS does not leave these values half-way through its work."""
_WATCHDOGS = (("IWDG_SW", 16), ("WWDG_SW", 19))
"""Bit in OPTR: 1 means that software starts the watchdog (CMSIS stm32wb55xx.h, FLASH_OPTR_IWDG_SW, _WWDG_SW)."""
_PCROP_MASK = 0x1FF
"""Sector numbers in PCROP registers (CMSIS stm32wb55xx.h, FLASH_PCROP1ASR)."""


def verdicts(registers: Mapping[str, int], target: Target) -> tuple[FieldVerdict, ...]:
    """Judge the option registers, field by field and together."""
    option_bytes = OptionBytes.from_registers(registers, target)
    return (*judge_fields(option_bytes), *judge_together(option_bytes))


def refusals(registers: Mapping[str, int], target: Target, *, fus_may_be_busy: bool = False) -> tuple[str, ...]:
    """Return why no work on a chip with these option registers is allowed; empty when work is allowed.

    `registers` holds OPTR, SFR, SRRVR, IPCCBR, WRP1AR, WRP1BR and the four PCROP1 registers by name. While FUS may be
    busy, the fields that only FUS writes are not judged: they can be half-way to their next value.
    """
    judged = verdicts(registers, target)
    if fus_may_be_busy:
        judged = tuple(verdict for verdict in judged if not _may_change(verdict))
    return (*map(_text, filter(_forbids_work, judged)), *_watchdogs(registers), *_code_protection(registers))


def _may_change(verdict: FieldVerdict) -> bool:
    """Whether FUS may still be writing what this verdict is about."""
    is_from_fus = verdict.name in _WRITTEN_BY_FUS or verdict.name.startswith("OB_")
    return is_from_fus and verdict.explains not in _FACTORY_RESET


def _forbids_work(verdict: FieldVerdict) -> bool:
    return verdict.grade is Grade.ERROR or verdict.explains in _FORBIDS_WORK


def _text(verdict: FieldVerdict) -> str:
    field = f"{verdict.name} {verdict.value}".strip()
    return f"{field}: {verdict.meaning}; {verdict.recovery}"


def _watchdogs(registers: Mapping[str, int]) -> Iterator[str]:
    for name, bit in _WATCHDOGS:
        if not registers["OPTR"] >> bit & 1:
            yield (
                f"{name} 0: this watchdog starts with the chip and would reset it while FUS works; set {name} to 1 "
                "first"
            )


def _code_protection(registers: Mapping[str, int]) -> Iterator[str]:
    for area in ("PCROP1A", "PCROP1B"):
        first = registers[f"{area}SR"] & _PCROP_MASK
        last = registers[f"{area}ER"] & _PCROP_MASK
        if first <= last:
            yield f"{area} protects code: its sectors cannot be read, so leftover images in them cannot be found"
