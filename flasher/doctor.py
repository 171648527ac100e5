"""Read-only checks of a probe, its library and its target, for a new desk.

Flash, option bytes and CPU2 are not changed. What the checks decide: docs/hardware-checklist.md, first experiment.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from flasher import mailbox
from flasher import registers as reg
from flasher.chip import ChipDriver
from flasher.errors import FlasherError, ProbeError
from flasher.retry import retry

LOWEST_VOLTS = 1.71
"""VDD of an STM32WB (DS11929, table 24)."""
_SRAM2_ADDRESS = mailbox.OURS.info
"""The first word of the device information in our own mailbox."""


class CheckGrade(Enum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check. `name` is stable; `value` is what was found; `todo` is what to do, or empty."""

    name: str
    value: str
    grade: CheckGrade = CheckGrade.GOOD
    todo: str = ""


class CommandResult(Protocol):
    """What a probe's library answered to a command string."""

    @property
    def command(self) -> str:
        """The string."""

    @property
    def is_accepted(self) -> bool:
        """Whether the library accepted it."""

    @property
    def reason(self) -> str:
        """Why it did not."""


@runtime_checkable
class Inspectable(Protocol):
    """What a probe can offer beyond the Probe protocol."""

    def command_answers(self) -> Sequence[CommandResult]:
        """Return the answers to all command strings."""

    def target_volts(self) -> float:
        """Return the target voltage."""

    def read32_through_ap(self, address: int) -> int:
        """Read a word through the access port itself."""


def examine(chip: ChipDriver) -> Iterator[Check]:
    """Connect, and yield the result of every check. A probe that cannot be connected is a result too."""
    try:
        chip.connect()
    except ProbeError as error:
        yield Check(
            name="connect", value=str(error), grade=CheckGrade.ERROR, todo="check the probe, the cable and the power"
        )
        yield from _command_checks(chip)
        return
    except FlasherError as error:  # it answers, but it is not a known STM32WB
        yield Check(name="chip", value=str(error), grade=CheckGrade.ERROR, todo="check which board is connected")
        return
    yield from _probe_checks(chip)
    yield from _chip_checks(chip)


def _probe_checks(chip: ChipDriver) -> Iterator[Check]:
    info = chip.probe.info
    yield Check(name="probe", value=f"{info.product} {info.serial}, firmware {info.firmware}")
    yield Check(name="library", value=info.library)
    yield from _command_checks(chip)
    if isinstance(chip.probe, Inspectable):
        yield _read("target-voltage", lambda: _voltage(chip.probe))


def _command_checks(chip: ChipDriver) -> Iterator[Check]:
    if not isinstance(chip.probe, Inspectable):
        return
    for answer in chip.probe.command_answers():
        name = f"command {answer.command}"
        if answer.is_accepted:
            yield Check(name=name, value="accepted")
        else:
            todo = "report the library's version and this answer"
            yield Check(name=name, value=f"refused: {answer.reason}", grade=CheckGrade.WARNING, todo=todo)


def _voltage(probe: object) -> Check:
    assert isinstance(probe, Inspectable)  # noqa: S101 - by the caller
    volts = probe.target_volts()
    if volts < LOWEST_VOLTS:
        return Check(
            name="target-voltage",
            value=f"{volts:.2f} V",
            grade=CheckGrade.ERROR,
            todo=f"an STM32WB needs at least {LOWEST_VOLTS} V: check the power, and the probe's VTref pin",
        )
    return Check(name="target-voltage", value=f"{volts:.2f} V")


def _chip_checks(chip: ChipDriver) -> Iterator[Check]:
    identity = chip.identity
    yield Check(name="idcode", value=f"0x{chip.word(reg.DBGMCU_IDCODE):08X}")
    yield Check(name="chip", value=f"{identity.target.name}, {identity.flash_kib} KiB, UID {identity.uid}")
    yield _read("option-bytes", lambda: _options(chip))
    yield _read("sram2", lambda: _sram2(chip))


def _options(chip: ChipDriver) -> Check:
    options = chip.options()
    return Check(name="option-bytes", value=f"OPTR 0x{options.words['OPTR']:08X}, SFSA 0x{options.sfsa:02X}")


def _sram2(chip: ChipDriver) -> Check:
    """Compare the two ways of reading SRAM2. A difference means that the library answers from a cache.

    A running application may change the word between the two reads, so a difference must show twice.
    """
    if not isinstance(chip.probe, Inspectable):
        return Check(name="sram2", value=f"0x{chip.word(_SRAM2_ADDRESS):08X}, read in one way only")
    words = (chip.word(_SRAM2_ADDRESS), chip.probe.read32_through_ap(_SRAM2_ADDRESS))
    if words[0] != words[1]:
        words = (chip.word(_SRAM2_ADDRESS), chip.probe.read32_through_ap(_SRAM2_ADDRESS))
    value = f"library 0x{words[0]:08X}, access port 0x{words[1]:08X}"
    if words[0] != words[1]:
        todo = "the library shows old memory: do not install with it; use another version"
        return Check(name="sram2", value=value, grade=CheckGrade.ERROR, todo=todo)
    return Check(name="sram2", value=value)


def _read(name: str, check: Callable[[], Check]) -> Check:
    """Run a check that reads the chip. What cannot be read is a warning."""
    try:
        return retry(check, 2, ProbeError)
    except FlasherError as error:
        return Check(name=name, value=str(error), grade=CheckGrade.WARNING, todo="check the cable, then run it again")
