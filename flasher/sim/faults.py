"""Faults on script: the chip behind a link, with what goes wrong on a bench at the n-th access or at a named place.

A fault happens once. By number it strikes just before the access that it names; an answer is lost, or comes short, just
after it. By place it strikes just after the access that begins the place, or just before the one that brings the place
to a percentage. Everything else goes through to the chip unchanged.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError, HostKilledError
from flasher.sim.places import PLACES, WITH_PERCENTAGE, PlaceWatch

Kind = Literal[
    "access-fails",
    "answer-lost",
    "short-read",
    "bit-error",
    "reset",
    "power-cut",
    "stuck",
    "fus-error",
    "flash-error",
    "link-lost",
    "host-killed",
]
KINDS: dict[Kind, str] = {
    "access-fails": "the access fails and has no effect",
    "answer-lost": "the access takes effect and is reported as failed",
    "short-read": "VALUE bytes of a read come back",
    "bit-error": "bit VALUE of what is read is flipped",
    "reset": "the chip is reset from outside",
    "power-cut": "no power for VALUE milliseconds",
    "stuck": "CPU2 hangs until the next reset",
    "fus-error": "the next operation of FUS ends with the error byte VALUE",
    "flash-error": "the next operation of flash fails",
    "link-lost": "the cable to the chip is out for VALUE milliseconds; 0: until the next run",
    "host-killed": "the program that holds the probe ends",
}
Access = Literal["any", "read", "write"]
_NUMBER = re.compile(r"(?:(?P<on>read|write|any):)?(?P<at>\d{1,9})")
_PLACE = re.compile(r"(?P<place>[a-z0-9-]+)(?::(?P<percent>\d{1,3})%)?")
_TEXT = re.compile(r"(?P<kind>[a-z-]+)@(?P<where>[a-z0-9:%-]+)(?:=(?P<value>0x[0-9a-fA-F]{1,8}|\d{1,9}))?", re.ASCII)
_ON_READS = ("short-read", "bit-error")
_BEFORE = ("access-fails", "fus-error", "flash-error")  # mean the access that begins a place itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    It strikes at the `at`-th access (from 1) of kind `on` that touches `address` (any when None); or, with `place`,
    when the chip comes there, at `percent` of it. What `value` means is in `KINDS`.
    """

    kind: Kind
    at: int = 1
    on: Access = "any"
    address: int | None = None
    value: int = 0
    place: str = ""
    percent: int = 0

    @property
    def text(self) -> str:
        """The fault as `parse_fault` reads it."""
        where = f"{self.on}:{self.at}" if self.on != "any" else str(self.at)
        if self.place:
            where = self.place
            if self.percent:
                where = f"{self.place}:{self.percent}%"
        if self.value:
            return f"{self.kind}@{where}={self.value}"
        return f"{self.kind}@{where}"


@dataclass(frozen=True, slots=True)
class FaultStrike:
    """What became of a fault in one run of `accesses` accesses: the access at which it struck, if it did, and where."""

    fault: Fault
    access: int | None
    place: str
    accesses: int

    @property
    def text(self) -> str:
        """One line about it."""
        if self.access is None:
            return f"{self.fault.text}: the fault was never reached: {self.accesses} accesses"
        return f"{self.fault.text}: the fault struck at access {self.access}, {self._during}"

    @property
    def _during(self) -> str:
        if self.place:
            return f"during {self.place}"
        return "outside of every named place"


def parse_fault(text: str) -> Fault:
    """Read `KIND@N`, `KIND@write:N`, `KIND@read:N=VALUE`, `KIND@PLACE` or `KIND@PLACE:NN%=VALUE`.

    Raises:
        ValueError: it is none of these, or the place or the percentage does not exist.
    """
    match = _TEXT.fullmatch(text)
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    accesses: dict[str, Access] = {access: access for access in get_args(Access)}
    if match is None or match["kind"] not in kinds:
        raise ValueError(
            f"not a fault: {text!r}; KIND@[read:|write:]N[=VALUE] or KIND@PLACE[:NN%][=VALUE] "
            f"with KIND one of {', '.join(kinds)}"
        )
    fault = Fault(kind=kinds[match["kind"]], value=int(match["value"] or "0", 0))
    number = _NUMBER.fullmatch(match["where"])
    if number is None:
        return _at_place(fault, text, match["where"])
    if not int(number["at"]):
        raise ValueError(f"not a fault: {text!r}; accesses are counted from 1")
    return replace(fault, at=int(number["at"]), on=accesses[number["on"] or "any"])


def _at_place(fault: Fault, text: str, where: str) -> Fault:
    match = _PLACE.fullmatch(where)
    if match is None or match["place"] not in PLACES:
        raise ValueError(f"not a fault: {text!r}; the places are {', '.join(PLACES)}")
    percent = int(match["percent"] or 0)
    if match["percent"] is not None and match["place"] not in WITH_PERCENTAGE:
        raise ValueError(f"not a fault: {text!r}; only {', '.join(WITH_PERCENTAGE)} have a percentage")
    if percent > 100:
        raise ValueError(f"not a fault: {text!r}; a percentage is at most 100")
    return replace(fault, place=match["place"], percent=percent)


class FaultyChip:
    """A chip with faults before it; the same interface as the chip."""

    def __init__(self, chip: SimulatedChip, faults: tuple[Fault, ...] = ()) -> None:
        self.chip = chip
        self.faults = faults
        self.accesses = 0
        self._watch = PlaceWatch(chip)
        self._counting = [(index, fault, fault.at) for index, fault in enumerate(faults) if not fault.place]
        self._placed = [(index, fault) for index, fault in enumerate(faults) if fault.place]
        self._struck: dict[int, tuple[int, str]] = {}
        self._linked = True
        self._power_returns: float | None = None
        self._link_returns: float | None = None

    def outcomes(self) -> list[FaultStrike]:
        """What became of every fault so far."""
        found = []
        for index, fault in enumerate(self.faults):
            access, place = self._struck.get(index, (None, ""))
            found.append(FaultStrike(fault, access, place, self.accesses))
        return found

    # --- the chip's interface

    @property
    def epoch(self) -> int:
        """How many resets the chip has had."""
        return self.chip.epoch

    @property
    def power_ups(self) -> int:
        """How many times the chip got power."""
        return self.chip.power_ups

    @property
    def clock(self) -> float:
        """Simulated time in seconds."""
        return self.chip.clock

    @property
    def is_halted(self) -> bool:
        """Whether CPU1 is halted."""
        return self.chip.is_halted

    @property
    def target_present(self) -> bool:
        """Whether the debug port answers over this link."""
        return self._linked and self.chip.target_present

    def halt(self) -> None:
        """Halt CPU1."""
        self.chip.halt()

    def resume(self) -> None:
        """Let CPU1 run."""
        self.chip.resume()

    def reset(self, halt: bool) -> None:
        """System reset by the debugger."""
        self.chip.reset(halt)
        self._placed_reset()

    def hold_reset(self) -> None:
        """Pull the reset pin low."""
        self.chip.hold_reset()
        self._placed_reset()

    def release_reset(self) -> None:
        """Let the reset pin go."""
        self.chip.release_reset()

    def power_cycle(self) -> None:
        """Power off and on."""
        self._power_returns = None
        self.chip.power_cycle()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass; power that was cut returns in it."""
        end = self.chip.clock + seconds
        if self._power_returns is not None and self._power_returns <= end:
            self.chip.advance(max(self._power_returns - self.chip.clock, 0.0))
            self._power_returns = None
            self.chip.power_on()
        self.chip.advance(max(end - self.chip.clock, 0.0))
        if self._link_returns is not None and self._link_returns <= end:
            self.relink()

    def relink(self) -> None:
        """Plug the probe in again."""
        self._linked, self._link_returns = True, None

    def read(self, address: int, size: int, width: int) -> bytes:
        """Read, unless a fault is due. A short read returns fewer bytes, as a probe may."""
        faults = self._due("read", address, size)
        began = self._arrive(address, b"")
        faults += self._reached(address + size)
        self._strike(faults, address)
        content = self.chip.read(address, size, width)
        for fault in faults:
            if fault.kind == "short-read":
                content = content[: fault.value]
            elif fault.kind == "bit-error" and content:
                number = int.from_bytes(content, "little") ^ 1 << fault.value % (len(content) * 8)
                content = number.to_bytes(len(content), "little")
        self._strike(began, address)
        _lose_answer(faults + began, address)
        return content

    def write(self, address: int, data: bytes, width: int) -> None:
        """Write, unless a fault is due."""
        faults = self._due("write", address, len(data))
        began = self._arrive(address, data)
        faults += self._reached(address + len(data))
        self._strike(faults + [fault for fault in began if fault.kind in _BEFORE], address)
        self.chip.write(address, data, width)
        self._strike([fault for fault in began if fault.kind not in _BEFORE], address)
        _lose_answer(faults + began, address)

    # --- faults

    def _due(self, access: Access, address: int, size: int) -> list[Fault]:
        """Count this access for every fault that waits for its kind; those whose turn it is."""
        self.advance(0.0)
        self.accesses += 1
        due, counting = [], []
        for index, fault, left in self._counting:
            touched = fault.address is None or address <= fault.address < address + size
            still = left - (fault.on in ("any", access) and touched)
            if still:
                counting.append((index, fault, still))
            else:
                self._struck[index] = (self.accesses, self._watch.place)
                due.append(fault)
        self._counting = counting
        return due

    def _arrive(self, address: int, data: bytes) -> list[Fault]:
        """Let the watch see an access that reaches the chip; the faults that wait for the place that it begins."""
        if not self.target_present:
            return []
        found = self._at(self._watch.look())
        if data:
            return found + self._at(self._watch.begins(address, data))
        return found

    def _at(self, place: str) -> list[Fault]:
        """The faults that wait for the beginning of a place."""
        return self._take([(i, fault) for i, fault in self._placed if place == fault.place and not fault.percent])

    def _reached(self, end: int) -> list[Fault]:
        """The faults whose percentage an access up to `end` reaches."""
        found = []
        for index, fault in self._placed:
            percentage = self._watch.percentage(fault.place, end) if fault.percent else None
            if percentage is not None and percentage >= fault.percent:
                found.append((index, fault))
        return self._take(found)

    def _take(self, found: list[tuple[int, Fault]]) -> list[Fault]:
        """Let these strike now; what can only strike a read waits for the next one."""
        self._placed = [waiting for waiting in self._placed if waiting not in found]
        now = []
        for index, fault in found:
            if fault.kind in _ON_READS:
                self._counting.append((index, replace(fault, on="read"), 1))
            else:
                self._struck[index] = (self.accesses, fault.place)
                now.append(fault)
        return now

    def _placed_reset(self) -> None:
        """A reset is not an access: what can only strike one waits for the next."""
        for fault in self._at(self._watch.reset()):
            if fault.kind in ("access-fails", "answer-lost"):
                self._counting.append((self.faults.index(fault), replace(fault, on="any"), 1))
            else:
                self._do(fault, 0)

    def _strike(self, faults: list[Fault], address: int) -> None:
        for fault in faults:
            self._do(fault, address)
        if not self._linked:
            raise AccessError(address, "the link is lost")

    def _do(self, fault: Fault, address: int) -> None:
        if fault.kind == "access-fails":
            raise AccessError(address, "fault on script")
        if fault.kind == "host-killed":
            raise HostKilledError("the host was killed")
        if fault.kind == "reset":
            self.chip.reset(halt=False)
        elif fault.kind == "power-cut":
            self.chip.power_off()
            self._power_returns = self.chip.clock + fault.value / 1000
        elif fault.kind == "link-lost":
            self._linked = False
            self._link_returns = self.chip.clock + fault.value / 1000 if fault.value else None
        else:
            self._harm(fault)

    def _harm(self, fault: Fault) -> None:
        """Faults inside the chip."""
        if fault.kind == "stuck":
            self.chip.cpu2.state.is_hung = True
        elif fault.kind == "fus-error":
            self.chip.fus.state.forced_error = fault.value
        elif fault.kind == "flash-error":
            self.chip.flash.state.failing_operations += 1


def _lose_answer(faults: list[Fault], address: int) -> None:
    """Report an access as failed that has taken effect."""
    if any(fault.kind == "answer-lost" for fault in faults):
        raise AccessError(address, "the answer was lost")
