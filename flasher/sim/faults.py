"""Faults on script: the chip behind a link, with what goes wrong on a bench at the n-th access.

A fault happens once, just before the access that it names; an answer is lost, or comes short, just after it.
Everything else goes through to the chip unchanged.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from flasher.sim.chip import SimulatedChip
from flasher.sim.errors import AccessError, HostKilledError

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
Access = Literal["any", "read", "write"]
_TEXT = re.compile(r"(?P<kind>[a-z-]+)@(?:(?P<on>read|write|any):)?(?P<at>\d+)(?:=(?P<value>0x[0-9a-fA-F]+|\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    It strikes at the `at`-th access (from 1) of kind `on` that touches `address` (any when None). `value` is: the bytes
    that come back (short-read), the bit that is flipped (bit-error), milliseconds without power (power-cut) or without
    a link (link-lost; 0: until it is plugged in again), the error byte with which the next operation ends (fus-error).
    """

    kind: Kind
    at: int
    on: Access = "any"
    address: int | None = None
    value: int = 0


def parse_fault(text: str) -> Fault:
    """Read `KIND@N`, `KIND@write:N` or `KIND@read:N=VALUE`. Raises ValueError."""
    match = _TEXT.fullmatch(text)
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    accesses: dict[str, Access] = {access: access for access in get_args(Access)}
    if match is None or match["kind"] not in kinds or not int(match["at"]):
        raise ValueError(f"no fault: {text!r}; KIND@[read:|write:]N[=VALUE] with KIND one of {', '.join(kinds)}")
    return Fault(
        kind=kinds[match["kind"]],
        at=int(match["at"]),
        on=accesses[match["on"] or "any"],
        value=int(match["value"] or "0", 0),
    )


class FaultyChip:
    """A chip with faults before it; the same interface as the chip."""

    def __init__(self, chip: SimulatedChip, faults: tuple[Fault, ...] = ()) -> None:
        self.chip = chip
        self._waiting = [(fault, fault.at) for fault in faults]
        self._linked = True
        self._power_returns: float | None = None
        self._link_returns: float | None = None

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

    def hold_reset(self) -> None:
        """Pull the reset pin low."""
        self.chip.hold_reset()

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
        self._strike(faults, address)
        content = self.chip.read(address, size, width)
        for fault in faults:
            if fault.kind == "short-read":
                content = content[: fault.value]
            elif fault.kind == "bit-error" and content:
                number = int.from_bytes(content, "little") ^ 1 << fault.value % (len(content) * 8)
                content = number.to_bytes(len(content), "little")
        _lose_answer(faults, address)
        return content

    def write(self, address: int, data: bytes, width: int) -> None:
        """Write, unless a fault is due."""
        faults = self._due("write", address, len(data))
        self._strike(faults, address)
        self.chip.write(address, data, width)
        _lose_answer(faults, address)

    # --- faults

    def _due(self, access: Access, address: int, size: int) -> list[Fault]:
        """Count this access for every fault that waits for its kind; those whose turn it is."""
        self.advance(0.0)
        due, waiting = [], []
        for fault, left in self._waiting:
            touched = fault.address is None or address <= fault.address < address + size
            still = left - (fault.on in ("any", access) and touched)
            if still:
                waiting.append((fault, still))
            else:
                due.append(fault)
        self._waiting = waiting
        return due

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
