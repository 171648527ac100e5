"""A probe straight on the simulated chip, without pylink: the same accesses at the same times, about twice as fast.

For tests that are not about pylink. It shares the wire (flasher/sim/dll_link.py) with the simulated J-Link library, so
that accesses fail, come short or work in the same way; tests/test_direct_probe.py compares the two.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from flasher.errors import ProbeError, ProbeLostError, ProbeUnavailableError, TargetUnavailableError, TransferError
from flasher.probe import Clock, ProbeInfo
from flasher.registers import C_DEBUGEN, CPUID, DBGKEY, DEMCR, DHCSR, VC_CORERESET
from flasher.sim.dll_link import AfterReset, CallError, Counters, Link, Timing
from flasher.sim.probes import WiredChip

_SETTLE_SECONDS = 0.05
"""As in flasher/jlink.py: how long the reset pin is held, and how long the chip then gets."""


class DirectProbe:
    """Implements flasher.probe.Probe on a simulated chip, or on a chip behind faults."""

    def __init__(self, chip: WiredChip, clock: Clock, after_reset: AfterReset) -> None:
        self._chip, self._clock, self._after_reset = chip, clock, after_reset
        self._link: Link | None = None
        self._is_plugged = True

    @property
    def info(self) -> ProbeInfo:
        return ProbeInfo(kind="sim", product="direct", serial="1", firmware="none", library="none")

    def unplug(self) -> None:
        """Pull the USB cable. It stays out."""
        self._is_plugged = False

    def connect(self, *, under_reset: bool = False) -> None:
        self.close()
        try:
            self._attach(under_reset=under_reset)
            if under_reset:
                self._attach(under_reset=False)
        except ProbeError:
            self.close()
            raise

    def close(self) -> None:
        self._link = None

    def read32(self, address: int) -> int:
        return int.from_bytes(self._read(address, 4, width=4), "little")

    def read(self, address: int, size: int) -> bytes:
        return self._read(address, size, width=0)

    def write32(self, address: int, value: int) -> None:
        self.write(address, value.to_bytes(4, "little"))

    def write(self, address: int, data: bytes) -> None:
        with self._access(TransferError, f"writing {len(data)} bytes at 0x{address:08X} failed") as link:
            done = link.write(address, data, 4)
        if done != len(data):
            raise TransferError(f"writing {len(data)} bytes at 0x{address:08X} failed: {done} were written")

    def reset(self, *, halt: bool) -> None:
        with self._access(TargetUnavailableError, "resetting the chip failed") as link:
            link.touch()
            self._chip.reset(halt=True)
            link.settle()
            if not halt:
                link.touch()
                self._chip.resume()

    def _attach(self, *, under_reset: bool) -> None:
        if not self._is_plugged:
            raise ProbeUnavailableError("the probe is not plugged in")
        self._link = link = Link(self._chip, self._after_reset, Counters(), Timing())
        if under_reset:
            self._chip.hold_reset()
            self._clock.sleep(_SETTLE_SECONDS)
        try:
            if not self._chip.target_present:
                raise TargetUnavailableError("the chip does not answer over SWD")
            link.settle()
            with suppress(CallError):  # pylink asks whether CPU1 is halted, and ignores an error
                link.touch()
            if under_reset:
                self.write32(DHCSR, DBGKEY | C_DEBUGEN)
                self.write32(DEMCR, VC_CORERESET)
        finally:
            if under_reset:
                self._chip.release_reset()
                self._clock.sleep(_SETTLE_SECONDS)
        if not under_reset:
            with self._access(TargetUnavailableError, "the chip does not answer over SWD"):
                link.read(CPUID, 4, 4)

    def _read(self, address: int, size: int, *, width: int) -> bytes:
        with self._access(TransferError, f"reading {size} bytes at 0x{address:08X} failed") as link:
            data = link.read(address, size, width)
        if len(data) != size:
            raise TransferError(f"reading {size} bytes at 0x{address:08X} failed: {len(data)} bytes came")
        return data

    @contextmanager
    def _access(self, error: Callable[[str], ProbeError], text: str) -> Iterator[Link]:
        """Give the link for one access; its failure is ProbeLostError when the cable is out, `error` otherwise."""
        if self._link is None or not self._is_plugged:
            raise ProbeLostError("the probe is not open, or unplugged")
        try:
            yield self._link
        except CallError as cause:
            if not self._is_plugged:
                raise ProbeLostError("the probe is gone") from cause
            raise error(text) from cause
