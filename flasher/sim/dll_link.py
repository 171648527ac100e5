"""The wire between a probe and its chip: what accesses come to, also in the time after the chip reset itself.

The J-Link library does not notice such a reset: it says nothing, and the next accesses fail, come short or work. Which
of them is not documented; so it is a policy, chosen per test, or drawn from a seed. After a
loss of power the debug port has forgotten that it was powered up (IHI 0031), and answers nothing until the library
connects.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import repeat
from random import Random
from typing import Protocol

from flasher.sim.errors import AccessError
from flasher.sim.probes import WiredChip

UNSPECIFIED = -1
"""The J-Link library's answer to nearly everything that fails."""


class CallError(Exception):
    """A call into the library fails with this code."""

    def __init__(self, code: int = UNSPECIFIED) -> None:
        super().__init__(f"error {code}")
        self.code = code


class AccessOutcome(Enum):
    """What one access comes to."""

    WORKS = auto()
    FAILS = auto()
    SHORT = auto()


class AfterReset(Protocol):
    """Decides what accesses come to after the chip was reset behind the library's back."""

    def outcomes(self) -> Iterator[AccessOutcome]:
        """Give the outcomes after one such reset, access by access; where they end, the link works again."""


class Survives:
    """Every access works: the debug port lived through the reset."""

    def outcomes(self) -> Iterator[AccessOutcome]:
        """No access is hit."""
        return iter(())


class Fails:
    """Every access fails, until the library connects again."""

    def outcomes(self) -> Iterator[AccessOutcome]:
        """Every access is hit."""
        return repeat(AccessOutcome.FAILS)


class Unsettled:
    """Some accesses are hit, then the link works again or stays dead: the same ones for the same seed."""

    def __init__(self, seed: int, most: int = 6) -> None:
        self._random = Random(seed)  # noqa: S311 - a test must come out the same each time
        self._most = most

    def outcomes(self) -> Iterator[AccessOutcome]:
        """Draw how many accesses are hit, how, and whether the link comes back by itself."""
        for _ in range(self._random.randint(0, self._most)):
            yield self._random.choice(list(AccessOutcome))
        if self._random.random() < 1 / 4:
            yield from repeat(AccessOutcome.FAILS)


@dataclass(slots=True)
class Counters:
    """What went through the library, for benchmarks and for tests that forbid needless traffic."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls by the name of the C function."""
    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How much simulated time the wire takes. By default as a J-Link on USB 2.0 with SWD at 4 MHz, roughly."""

    seconds_per_access: float = 0.000_2
    bytes_per_second: float = 400_000.0


class Link:
    """One open connection to one chip."""

    def __init__(self, chip: WiredChip, after_reset: AfterReset, counters: Counters, timing: Timing) -> None:
        self.chip = chip
        self._after_reset = after_reset
        self._counters = counters
        self._timing = timing
        self._epoch, self._power_ups = chip.epoch, chip.power_ups
        self._window: Iterator[AccessOutcome] = iter(())

    def settle(self) -> None:
        """Take the chip as it is now for known: the library has just connected to it, or reset it itself."""
        self._epoch, self._power_ups = self.chip.epoch, self.chip.power_ups
        self._window = iter(())

    def touch(self) -> None:
        """Use the debug port for something that moves no memory; CallError when it does not answer."""
        if self._outcome(0) is not AccessOutcome.WORKS:
            raise CallError

    def read(self, address: int, size: int, width: int) -> bytes:
        """Read; what comes back may be short. CallError when nothing could be read."""
        wanted = _through(size, width, self._outcome(size))
        parts: list[bytes] = []
        for at, length, unit in _accesses(address, wanted, width):
            part = self._read_part(at, length, unit)
            parts.append(part)
            if len(part) < length:
                break
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if not data and wanted:
            raise CallError
        return data

    def write(self, address: int, data: bytes, width: int) -> int:
        """Write; return how many bytes were. CallError when none was, or when the number is unknown."""
        wanted = _through(len(data), width, self._outcome(len(data)))
        done = 0
        for at, length, unit in _accesses(address, wanted, width):
            written = self._write_part(at, data[done : done + length], unit)
            done += written
            if written < length:
                break
        if not done and wanted:
            raise CallError
        return self._acknowledged(done, width)

    def _acknowledged(self, done: int, width: int) -> int:
        """Return what the probe gets to know: the acknowledgement of a write that resets the chip can be lost."""
        if self.chip.epoch == self._epoch:
            return done
        return _through(done, width, self._outcome(0))

    def _outcome(self, size: int) -> AccessOutcome:
        # The time comes first: the chip may reset itself while the probe is still sending.
        self.chip.advance(self._timing.seconds_per_access + size / self._timing.bytes_per_second)
        if not self.chip.target_present or self.chip.power_ups != self._power_ups:
            return AccessOutcome.FAILS
        if self.chip.epoch != self._epoch:
            self._epoch = self.chip.epoch
            self._window = self._after_reset.outcomes()
        return next(self._window, AccessOutcome.WORKS)

    def _read_part(self, address: int, size: int, width: int) -> bytes:
        self._counters.reads += 1
        try:
            data = self.chip.read(address, size, width)
        except AccessError as error:
            good = _before(error, address, size, width)
            data = b""
            if good:
                data = self.chip.read(address, good, width)
        self._counters.bytes_read += len(data)
        return data

    def _write_part(self, address: int, data: bytes, width: int) -> int:
        self._counters.writes += 1
        try:
            self.chip.write(address, data, width)
        except AccessError as error:
            done = _before(error, address, len(data), width)
        else:
            done = len(data)
        self._counters.bytes_written += done
        return done


def _through(size: int, width: int, outcome: AccessOutcome) -> int:
    """Return how many bytes of an access get through, in whole units."""
    if outcome is AccessOutcome.FAILS:
        raise CallError
    if outcome is AccessOutcome.SHORT:
        return size // 2 // max(width, 1) * max(width, 1)
    return size


def _before(error: AccessError, address: int, size: int, width: int) -> int:
    """Return how many bytes lie before the one that could not be accessed, in whole units."""
    return min(max(error.address - address, 0), size) // width * width


def _accesses(address: int, size: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Cut an access into (address, size, width). Width 0 leaves the choice to the library: words where they fit."""
    if width:
        yield address, size, width
        return
    head = min(-address % 4, size)
    body = (size - head) // 4 * 4
    for length, unit in ((head, 1), (body, 4), (size - head - body, 1)):
        if length:
            yield address, length, unit
            address += length
