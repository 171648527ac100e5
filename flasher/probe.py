"""What the flasher needs of a probe, and of time. Nothing else reaches the chip.

All calls block; one thread. Addresses and words are 32 bits, blocks are whole words, sizes in bytes.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """Which probe to open. `address`: its serial number, or the file of a simulated board; None: the only one."""

    kind: str
    address: str | None = None
    library: str | None = None
    speed_khz: int = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProbe:
    """A probe that is connected to this computer. `board`: the board that it is part of, where the probe says so."""

    kind: str
    serial: str
    product: str
    connection: str = "USB"
    board: str | None = None

    @property
    def name(self) -> str:
        """Return what `--probe` takes."""
        return f"{self.kind}:{self.serial}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeInfo:
    """Which probe it is, for people and reports."""

    kind: str
    product: str
    serial: str
    firmware: str
    library: str
    """Where the probe's library was loaded from, and its version."""


class Probe(Protocol):
    """A debug probe that is wired to one chip. Every method raises ProbeError and nothing else."""

    @property
    def info(self) -> ProbeInfo:
        """Which probe it is; known once it was connected."""

    def connect(self, *, under_reset: bool = False) -> None:
        """Open the probe and attach to the chip without resetting it; `under_reset` resets it and catches CPU1."""

    def close(self) -> None:
        """Let the probe go. Never raises."""

    def read32(self, address: int) -> int:
        """Read a word."""

    def write32(self, address: int, value: int) -> None:
        """Write a word."""

    def read(self, address: int, size: int) -> bytes:
        """Read whole words."""

    def write(self, address: int, data: bytes) -> None:
        """Write whole words."""

    def reset(self, *, halt: bool) -> None:
        """Reset the whole chip; CPU1 stands at its reset vector then, or runs."""


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """The computer's own time."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """What became of a fault that was armed on a simulated board."""

    text: str
    has_struck: bool


@dataclass(frozen=True, slots=True)
class OpenedProbe:
    """A probe that can be connected, and the clock that its chip lives by.

    `faults` tells what became of the faults that were armed on a simulated board; a real probe has none.
    """

    probe: Probe
    clock: Clock
    faults: Callable[[], tuple[FaultOutcome, ...]] = tuple


Opener = Callable[[ProbeRequest], AbstractContextManager[OpenedProbe]]
"""How a module opens a probe of its kind: flasher/probes.py names it as text."""
