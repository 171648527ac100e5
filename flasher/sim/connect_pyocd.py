"""Put pyOCD's adapter in front of a simulated probe: `--probe sim+stlink:BOARD` and `sim+cmsis-dap:BOARD`.

Beside the module that opens boards, the only one that knows both a driver and the simulated chip.
"""

from dataclasses import replace
from typing import Any

from flasher.probe import Clock
from flasher.pyocd import PyOcd
from flasher.sim.cmsis_dap import CmsisDap
from flasher.sim.file_lock import FileLock
from flasher.sim.probes import WiredChip
from flasher.sim.pyocd_usb import Cable, CmsisDapInterface, StLinkDevice
from flasher.sim.stlink import V2_1, StLink


def pyocd_probe(kind: str, chip: WiredChip, clock: Clock, *, serial: str, speed_khz: int = 4000) -> PyOcd:
    """Return the adapter on a simulated probe of a kind (`sim+stlink`, `sim+cmsis-dap`) that is wired to a chip."""
    driver = kind.removeprefix("sim+")
    cable = Cable(lock=FileLock(f"stm32wb-sim-{serial}"))
    device: Any
    if driver == "stlink":
        device = StLinkDevice(StLink(chip, replace(V2_1, name="simulated ST-LINK"), serial=serial), cable)
    else:
        device = CmsisDapInterface(CmsisDap(chip, serial=serial), cable)
    return PyOcd(driver, clock, serial=serial, speed_khz=speed_khz, label=kind, usb=lambda: [device])
