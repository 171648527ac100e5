"""What a chip reports of itself, as people read it off: versions, memory words, fields, device information tables.

Sources: mbox_def.h (MB_FUS_DeviceInfoTable_t, MB_DeviceInfoTable_t), shci.h (version word, memory word, stack types,
WirelessFwInfo_t), AN5185 section 1.2 (0x20030030), release notes of STM32CubeWB v1.24.0 (0x20010010).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from imagekit.errors import VersionError
from imagekit.image.model import Version

REFERENCE_TABLE = 0x2003_0000
"""SRAM2a: the mailbox's reference table; a crashed CPU2 leaves its mark here."""
_DEFAULT_TABLE = 0x2003_0024  # where FUS puts its table when nothing else is said
_FUS_TABLE_KEY = 0xA946_56B9  # shci.h: the device information table is FUS's
_HARD_FAULT, _SECURITY = 0x1170_FD0F, 0x3DE9_6F61
_SINGLE_WORDS = {0x2003_0030: "fus", 0x2003_0038: "stack", 0x2001_0010: "fus", 0x2001_0014: "stack"}
"""Address -> whose version word lies there: over the boot loader's mailbox, and with STM32CubeProgrammer's helper."""


class Running(Enum):
    """What CPU2 runs."""

    FUS = "fus"
    STACK = "stack"
    NVM = "nvm"
    """FUS 2 saves or restores bonding data: do not power off or reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipReport:
    """What is known of a chip. None: not reported."""

    fus: Version | None = None
    stack: Version | None = None
    has_stack: bool | None = None
    """False: the chip reports that no stack is installed."""
    sectors: int | None = None
    """Sectors that the stack takes, of 4 KiB (2 KiB on WB1x)."""
    stack_sram2a_kib: int | None = None
    stack_sram2b_kib: int | None = None
    """KiB of SRAM2 used by the stack."""
    stack_type: int | None = None
    running: Running | None = None
    is_cleared: bool = False
    """Whether all words were zero: a reset cleared SRAM2, or CPU2 was not started."""
    fault: tuple[int, ...] = ()
    """The mark of a crashed CPU2, and the words behind it (hard fault: PC, LR, SP)."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was reported."""
        return self == ChipReport()

    def with_newer(self, newer: "ChipReport") -> "ChipReport":
        """Return this report with what a later one says in its place."""
        values = {name: getattr(newer, name) for name in _REPORT_FIELDS}
        changes = {name: value for name, value in values.items() if value not in (None, False, ())}
        if newer.fus is not None or newer.stack is not None:
            changes["is_cleared"] = False
        if newer.has_stack is False:
            changes |= {
                "has_stack": False,
                "stack": None,
                "sectors": None,
                "stack_sram2a_kib": None,
                "stack_sram2b_kib": None,
            }
        return replace(self, **changes)


_REPORT_FIELDS = tuple(field.name for field in fields(ChipReport))


def version_of_word(word: int) -> Version:
    """Cut a version word: major, minor, sub, then branch and build in one byte (shci.h)."""
    return Version(word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word >> 4 & 0xF, word & 0xF)


# --- words of memory

_WORDS = re.compile(r"(?:0x)?[0-9A-Fa-f]{8}(?![0-9A-Fa-f])")
_MEMORY_LINE = re.compile(
    r"^[^0-9A-Za-z]*(?:0x)?(?P<address>[0-9A-Fa-f]{8})\s*[:=]\s*(?P<words>(?:(?:0x)?[0-9A-Fa-f]{8}[\s,|]*)+)"
)
_BARE_LINE = re.compile(r"^\s*(?:(?:0x)?[0-9A-Fa-f]{8}[\s,]*)+$")


@dataclass(frozen=True, slots=True)
class MemoryWords:
    """32-bit words as a tool printed them, from an address; None: the line names none."""

    address: int | None
    words: tuple[int, ...]


def memory_words(line: str) -> MemoryWords | None:
    """Read a line of a memory dump (`0x20030000 : 1170FD0F ...`, `20030000 = ...`) or of bare words."""
    match = _MEMORY_LINE.match(line)
    if match is not None:
        return MemoryWords(int(match["address"], 16), _words(match["words"]))
    if _BARE_LINE.match(line):
        return MemoryWords(None, _words(line))
    return None


def _words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in _WORDS.findall(text))


def report_of_words(memory: Sequence[MemoryWords]) -> ChipReport:
    """Read the words of lines that belong together. What cannot be told stays None."""
    report = ChipReport()
    for run in _joined(memory):
        report = report.with_newer(_report_of_run(run))
    return report


def _joined(memory: Sequence[MemoryWords]) -> Iterator[MemoryWords]:
    """Join lines whose words follow one another."""
    run: MemoryWords | None = None
    for line in memory:
        follows = run is not None and line.address == _end(run)
        if run is not None and follows:
            run = MemoryWords(run.address, run.words + line.words)
            continue
        if run is not None:
            yield run
        run = line
    if run is not None:
        yield run


def _end(run: MemoryWords) -> int | None:
    if run.address is None:
        return None
    return run.address + 4 * len(run.words)


def _report_of_run(run: MemoryWords) -> ChipReport:
    words = run.words
    if words[0] in (_HARD_FAULT, _SECURITY):
        return ChipReport(fault=words[:4])
    if not any(words) and (run.address in _SINGLE_WORDS or run.address in (REFERENCE_TABLE, _DEFAULT_TABLE)):
        return ChipReport(is_cleared=True)
    if _FUS_TABLE_KEY in words:
        return _fus_table(words[words.index(_FUS_TABLE_KEY) :])
    if run.address is None and len(words) == 1:
        return _lone_word(words[0])
    whose = _SINGLE_WORDS.get(run.address or 0)
    if whose == "fus" and is_version(words[0]):
        return ChipReport(fus=version_of_word(words[0]).without_build)
    if whose == "stack" and is_version(words[0]):
        return ChipReport(stack=version_of_word(words[0]), has_stack=True)
    if len(words) >= _STACK_TABLE_WORDS and is_version(words[1]) and is_version(words[4]):
        return _stack_table(words)
    return ChipReport()


def _lone_word(word: int) -> ChipReport:
    """Read one word without an address. FUS's versions have no build number; a stack's have one."""
    if not is_version(word):
        return ChipReport()
    version = version_of_word(word)
    if version in _FUS_VERSIONS:
        return ChipReport(fus=version.without_build)
    return ChipReport(stack=version, has_stack=True)


_FUS_VERSIONS = frozenset(
    Version(*numbers)
    for numbers in (
        *((0, 5, 3), (1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 1, 1), (1, 1, 2), (1, 2, 0)),
        *((2, 0, 0), (2, 0, 0, 0, 3), (2, 1, 0), (2, 2, 0)),
    )
)
"""Every FUS that a chip was seen to report (release notes of STM32CubeWB, steps 4 to 7; dumps of boards)."""
_STACK_TABLE_WORDS = 6


def is_version(word: int) -> bool:
    """Whether a word can be a version that ST released: 0.5.3 to 2.x, with small minor and sub numbers."""
    major, minor, sub = word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF
    if major == 0 and minor == 0:
        return False
    return major <= 2 and minor < 40 and sub < 10


def _fus_table(words: Sequence[int]) -> ChipReport:
    """Read FUS's device information table, as far as it was printed (MB_FUS_DeviceInfoTable_t)."""
    report = ChipReport(running=Running.FUS)
    if len(words) > 3:
        report = replace(report, fus=version_of_word(words[3]).without_build)
    if len(words) > 5:
        report = replace(report, has_stack=words[5] != 0)
    if report.has_stack:
        report = replace(report, stack=version_of_word(words[5]))
    if len(words) > 6 and report.has_stack:
        report = replace(report, sectors=words[6] & 0xFF)
    return report


def _stack_table(words: Sequence[int]) -> ChipReport:
    """Read a stack's device information table (MB_DeviceInfoTable_t).

    Only the sectors of the memory word are used: ST's headers disagree on which byte is SRAM2a and which SRAM2b.
    """
    kind = None
    if len(words) > 6:
        kind = words[6] & 0xFF
    running = Running.STACK
    if kind in _NVM_TYPES:
        running = Running.NVM
    return ChipReport(
        fus=version_of_word(words[1]).without_build,
        stack=version_of_word(words[4]),
        has_stack=True,
        sectors=words[5] & 0xFF,
        stack_type=kind,
        running=running,
    )


_NVM_TYPES = (0xF0, 0xF1)
"""Stack types while CPU2 saves or restores bonding data (shci.h, INFO_STACK_TYPE_NVM_BACKUP and _NVM_RESTORE)."""


# --- named fields and printed versions

_FIELDS = {
    # SHCI_GetWirelessFwInfo, WirelessFwInfo_t (shci.h)
    "versionmajor": "stack_major",
    "versionminor": "stack_minor",
    "versionsub": "stack_sub",
    "versionbranch": "stack_branch",
    "versionreleasetype": "stack_build",
    "memorysizesram2a": "stack_sram2a_kib",
    "memorysizesram2b": "stack_sram2b_kib",
    "memorysizeflash": "sectors",
    "stacktype": "stack_type",
    "fusversionmajor": "fus_major",
    "fusversionminor": "fus_minor",
    "fusversionsub": "fus_sub",
    # Flipper Zero: `info device`, in both spellings
    "radiostackmajor": "stack_major",
    "radiostackminor": "stack_minor",
    "radiostacksub": "stack_sub",
    "radiostackbranch": "stack_branch",
    "radiostackrelease": "stack_build",
    "radiostacksram2a": "stack_sram2a_kib",
    "radiostacksram2b": "stack_sram2b_kib",
    "radiostackflash": "sectors",
    "radiostacktype": "stack_type",
    "radiofusmajor": "fus_major",
    "radiofusminor": "fus_minor",
    "radiofussub": "fus_sub",
}
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_. ]*[A-Za-z0-9])\s*[:=]\s*(0x[0-9A-Fa-f]+|\d+)\b")
_PRINTED = re.compile(
    r"\b(?P<whose>fus|(?:wireless )?stack|wireless firmware|wb copro fw|cpu2 wireless fw)\s*(?:version)?\s*[:=]?\s*"
    r"v?(?P<version>\d+(?:\.\d+){2,3}|5\.3)\b",
    re.IGNORECASE,
)
_HEX_PRINTED = re.compile(r"\bfus version\s*[:=]\s*0x(?P<word>[0-9A-Fa-f]{8})\b", re.IGNORECASE)
_MICROPYTHON = re.compile(
    r"rfcore_fw_version\((?P<which>[01])\)\D*\(?(?P<numbers>\d+(?:\s*,\s*\d+){2,4})?", re.IGNORECASE
)
_TUPLE = re.compile(r"^\W*\((?P<numbers>\d+(?:\s*,\s*\d+){2,4})\)\s*$")


def fields_in(line: str) -> dict[str, int]:
    """Return the fields of SHCI_GetWirelessFwInfo or of Flipper's `info` in a line, under their plain names."""
    values = {}
    for name, value in _FIELD.findall(line):
        key = _FIELDS.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        if key is not None:
            values[key] = _number(value)
    return values


def _number(text: str) -> int:
    """Return a hexadecimal or decimal number; a decimal one can have leading zeros."""
    if text.startswith("0x"):
        return int(text, 16)
    return int(text)


def report_of_fields(values: Mapping[str, int]) -> ChipReport:
    """Put named fields together."""
    fus = stack = None
    if "fus_major" in values:
        fus = Version(values["fus_major"], values.get("fus_minor", 0), values.get("fus_sub", 0))
    if "stack_major" in values:
        stack = Version(*(values.get(f"stack_{part}", 0) for part in ("major", "minor", "sub", "branch", "build")))
    has_stack, sectors = None, values.get("sectors")
    if stack is not None:
        has_stack = stack.major + stack.minor > 0
    if has_stack is False:
        stack, sectors = None, None
    kind = values.get("stack_type")
    running = None
    if kind is not None and has_stack:
        running = _running(kind)
    return ChipReport(
        fus=fus,
        stack=stack,
        has_stack=has_stack,
        sectors=sectors,
        stack_sram2a_kib=values.get("stack_sram2a_kib"),
        stack_sram2b_kib=values.get("stack_sram2b_kib"),
        stack_type=kind,
        running=running,
    )


def _running(stack_type: int) -> Running:
    """Return what CPU2 runs, by the stack type that it reports; FUS leaves 0 there."""
    if stack_type in _NVM_TYPES:
        return Running.NVM
    if stack_type:
        return Running.STACK
    return Running.FUS


def report_of_line(line: str) -> ChipReport:
    """Read versions as tools print them: `FUS Version: v1.2.0`, `Stack version v1.13.0.5`, `(1, 13, 3, 0, 2)`."""
    report = ChipReport()
    for match in _PRINTED.finditer(line):
        report = report.with_newer(_printed(match["whose"].lower(), match["version"]))
    word = _HEX_PRINTED.search(line)
    if word is not None and is_version(int(word["word"], 16)):
        report = report.with_newer(ChipReport(fus=version_of_word(int(word["word"], 16)).without_build))
    call = _MICROPYTHON.search(line)
    if call is not None and call["numbers"]:
        report = report.with_newer(_micropython(call["which"], call["numbers"]))
    return report


def micropython_answer(call: str, answer: str) -> ChipReport:
    """Read `stm.rfcore_fw_version(n)` and the tuple on the line below it (0: FUS, 1: stack)."""
    which, numbers = _MICROPYTHON.search(call), _TUPLE.match(answer)
    if which is None or numbers is None:
        return ChipReport()
    return _micropython(which["which"], numbers["numbers"])


def _micropython(which: str, numbers: str) -> ChipReport:
    """Read `(major, minor, sub, branch, build)` (MicroPython, rfcore.c: rfcore_fw_version)."""
    parts = [int(number) for number in numbers.split(",")]
    if max(parts) > 0xFF:
        return ChipReport()
    version = Version(*parts)
    if which == "0":
        return ChipReport(fus=version.without_build)
    return ChipReport(stack=version, has_stack=True)


def _printed(whose: str, text: str) -> ChipReport:
    if whose == "fus" and text.startswith("5.3"):
        return ChipReport(fus=Version(0, 5, 3))  # STM32CubeProgrammer prints 0.5.3 as v5.3 and v5.3.0
    version = _version(text)
    if version is None:
        return ChipReport()
    is_zero = version.major + version.minor + version.sub == 0
    if whose == "fus" and is_zero:
        return ChipReport(is_cleared=True)
    if whose == "fus":
        return ChipReport(fus=version.without_build)
    if is_zero:
        return ChipReport(has_stack=False)
    return ChipReport(stack=version, has_stack=True)


def _version(text: str) -> Version | None:
    try:
        return Version.from_text(text)
    except VersionError:
        return None


# --- flasher info --json


def report_of_json(text: str) -> ChipReport | None:
    """Read what `flasher info --json` prints; None for any other text."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith("flasher.info/"):
        return None
    fus = _json_version(document.get("fus"))
    if fus is not None:
        fus = fus.without_build
    stack = _json_version(document.get("stack"))
    running = next((kind for kind in Running if kind.value == document.get("running")), None)
    return ChipReport(fus=fus, stack=stack, has_stack=stack is not None, running=running)


def _json_version(value: object) -> Version | None:
    if not isinstance(value, dict):
        return None
    version = value.get("version")
    if not isinstance(version, str) or not re.fullmatch(r"\d+(?:\.\d+){2,3}", version):
        return None
    return _version(version)


def merged(reports: Iterable[ChipReport]) -> ChipReport:
    """Return everything that was reported, the last word on each thing."""
    whole = ChipReport()
    for report in reports:
        whole = whole.with_newer(report)
    return whole
