"""Each simulated probe with the adapter that drives it, behind one interface: what tests of all probes begin with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flasher.chip import ChipDriver
from flasher.install import install, session
from flasher.jlink import JLink
from flasher.journal import Journal
from flasher.probe import Probe
from flasher.pyocd import PyOcd
from flasher.sim.chip import SimulatedChip
from flasher.sim.cmsis_dap import CmsisDap, CmsisDapSettings
from flasher.sim.debug_port import PortSettings
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import AfterReset, Fails
from flasher.sim.dll_session import Settings
from flasher.sim.faults import Fault, FaultyChip
from flasher.sim.probes import SimulatedJLink
from flasher.sim.pyocd_usb import Cable, CmsisDapInterface, StLinkDevice
from flasher.sim.stlink import V2_1, V3, Model, StLink, StLinkSettings
from tests.support.flashing import EVERYTHING, SimulatedClock, opened, simulated

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("jlink", "stlink-v2-1", "stlink-v3", "cmsis-dap")
USB_KINDS = KINDS[1:]
SERIAL = 260_000_001


@dataclass
class Rig:
    """One simulated chip on one simulated probe of a kind."""

    kind: str
    chip: SimulatedChip = field(default_factory=simulated)
    faults: tuple[Fault, ...] = ()
    after_reset: AfterReset = field(default_factory=Fails)
    cable: Cable = field(default_factory=Cable)
    """Of the probes with USB packets."""

    def __post_init__(self) -> None:
        self.faulty = FaultyChip(self.chip, self.faults)
        self.clock = SimulatedClock(self.faulty)
        self.port_settings = PortSettings(after_reset=self.after_reset)
        make: dict[str, Callable[[], Probe]] = {
            "jlink": self._jlink,
            "stlink-v2-1": lambda: self._stlink(V2_1),
            "stlink-v3": lambda: self._stlink(V3),
            "cmsis-dap": self._cmsis_dap,
        }
        self.simulated: Any = None
        self.device: Any = None
        self.probe = make[self.kind]()

    def _jlink(self) -> Probe:
        self.simulated = SimulatedJLink(serial=SERIAL, chip=self.faulty)
        self.dll = SimulatedDll([self.simulated], Settings(after_reset=self.after_reset))
        return JLink(self.dll, self.clock, kind="sim", after_failure=self.dll.raise_stored)

    def _stlink(self, model: Model) -> Probe:
        self.simulated = StLink(self.faulty, model, StLinkSettings(port=self.port_settings))
        self.device = StLinkDevice(self.simulated, self.cable)
        return PyOcd("stlink", self.clock, usb=self._plugged)

    def _cmsis_dap(self) -> Probe:
        self.simulated = CmsisDap(self.faulty, CmsisDapSettings(port=self.port_settings))
        self.device = CmsisDapInterface(self.simulated, self.cable)
        return PyOcd("cmsis-dap", self.clock, usb=self._plugged)

    def _plugged(self) -> list[Any]:
        return [self.device] if self.cable.plugged else []

    def unplug(self) -> None:
        """Pull the USB cable."""
        self.cable.plugged = False
        if self.kind == "jlink":
            self.simulated.unplug()

    def plug(self) -> None:
        """Plug the USB cable in."""
        self.cable.plugged = True
        if self.kind == "jlink":
            self.simulated.plug()

    def install(self, folder: Path, *images: str) -> list[str]:
        """One run of the program: install images of fixtures/images, and let the probe go. Returns the actions."""
        verified = opened(*images, part=self.chip.part.name)
        chip = ChipDriver(self.probe, self.clock)
        chip.connect()
        try:
            with session(chip, Journal(folder, chip.identity.uid), lambda _event: None, lambda: False) as work:
                plan = install(work, verified, EVERYTHING, lambda plan: plan)
        finally:
            chip.disconnect()
        return [step.action for step in plan.steps]
