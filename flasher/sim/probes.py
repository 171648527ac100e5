"""The connected J-Links: which exist, which program uses them, and which chip is wired to each."""

from dataclasses import dataclass, field
from typing import Protocol

CANNOT_CONNECT = "Cannot connect to J-Link."
"""What SEGGER's tools print when no probe could be opened, whatever the cause."""


class WiredChip(Protocol):
    """What a probe needs of the chip behind it. Addresses in bytes, widths 1, 2 or 4 bytes, all little-endian."""

    @property
    def epoch(self) -> int:
        """How many times the chip was reset, by itself or by others."""

    @property
    def power_ups(self) -> int:
        """How many times the chip got power."""

    @property
    def is_halted(self) -> bool:
        """Whether CPU1 is halted."""

    @property
    def target_present(self) -> bool:
        """False while the chip has no power, or is dead."""

    def read(self, address: int, size: int, width: int) -> bytes:
        """Read over the debug port, in accesses of that width; AccessError where there is nothing to read."""

    def write(self, address: int, data: bytes, width: int) -> None:
        """Write over the debug port, in accesses of that width; AccessError where nothing can be written."""

    def reset(self, halt: bool) -> None:
        """Reset by the pin; CPU1 then stands at its reset vector, or runs."""

    def hold_reset(self) -> None:
        """Pull the reset pin low: everything stops, and no memory answers."""

    def release_reset(self) -> None:
        """Let the reset pin go: the chip boots."""

    def halt(self) -> None:
        """Stop CPU1."""

    def resume(self) -> None:
        """Let CPU1 run."""

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""


@dataclass(slots=True, kw_only=True, eq=False)
class SimulatedJLink:
    """One J-Link, with the chip it is wired to."""

    serial: int
    chip: WiredChip
    product: str = "J-Link"
    firmware: str = "J-Link V11 compiled Dec 18 2025 15:13:50"
    ip: str | None = None
    """Where it can be reached over TCP as well; probes without a network have none."""
    vtarget_millivolts: int | None = None
    """What VTref measures. None: 3300 with a chip present, otherwise 0; 3300 with no chip present is a dead chip."""
    busy: bool = False
    """Whether it is held open: this library, or another program."""
    plugged: bool = True
    insertions: int = 0
    """How many times it was plugged in again: an older handle is not valid any longer."""

    @property
    def vtarget(self) -> int:
        """The target's supply in millivolts."""
        if self.vtarget_millivolts is not None:
            return self.vtarget_millivolts
        if self.chip.target_present:
            return 3300
        return 0

    def unplug(self) -> None:
        """Pull the USB cable."""
        self.plugged = False

    def plug(self) -> None:
        """Plug the USB cable in."""
        if not self.plugged:
            self.plugged = True
            self.insertions += 1
            self.busy = False


@dataclass(slots=True)
class Desk:
    """Every probe that this computer could reach."""

    probes: list[SimulatedJLink] = field(default_factory=list)

    def usb(self) -> list[SimulatedJLink]:
        """Return the probes that enumerate on USB."""
        return [probe for probe in self.probes if probe.plugged]

    def with_serial(self, serial: int) -> SimulatedJLink | None:
        """Return the plugged probe of that serial number."""
        return next((probe for probe in self.usb() if probe.serial == serial), None)

    def at(self, host: str) -> SimulatedJLink | None:
        """Return the probe at an address: a host, or `tunnel:SERIAL` (J-Link Remote Server)."""
        kind, _, serial = host.partition(":")
        if kind == "tunnel" and serial.isdecimal():
            return self.with_serial(int(serial))
        return next((probe for probe in self.usb() if probe.ip is not None and probe.ip == host), None)
