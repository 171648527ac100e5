"""A bench for tests of the flasher: a simulated chip behind a direct probe, or behind the real pylink."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flasher.acceptance import Acceptance
from flasher.chip import ChipDriver
from flasher.install import install, session
from flasher.jlink import JLink
from flasher.journal import Journal
from flasher.plan import InstallPlan
from flasher.probe import Probe
from flasher.session import Event
from flasher.sim.behaviour import Behaviour
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_link import AfterReset
from flasher.sim.faults import Fault, FaultyChip
from flasher.sim.parts import find_part
from flasher.sim.probes import SimulatedJLink
from flasher.sim.session import dll_settings
from imagekit.bundle.manifest import FusPolicy
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from tests.support.behaviours import is_set_in_the_library
from tests.support.bundles import bundle, private, public
from tests.support.direct_probe import DirectProbe
from tests.support.images import FIXTURES, content, throw_away_keys

SERIAL = 260_000_001
FUS_0_5_3, FUS_1_2_0, FUS_2_2_0 = 0x0005_0300, 0x0102_0000, 0x0202_0000
EVERYTHING = Acceptance(accept=frozenset({"fus-1.0.2", "fus-1.2.0", "fus-2.2.0", "factory-reset"}))


def point(name: str) -> str:
    """The uncompressed point of a throw-away key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    key = load_pem_public_key((FIXTURES / "keys" / f"throw-away-{name}.pem").read_bytes())
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


def simulated(
    part: str = "STM32WB55RG", fus: int = FUS_1_2_0, stack: str | None = None, serial: int = 1, **switches: Any
) -> SimulatedChip:
    """A chip that believes the throw-away keys, with an installed stack of fixtures/images if one is named."""
    chip = SimulatedChip(
        find_part(part),
        fus_version=fus,
        keys=tuple(point(name) for name in ("wb5x-wb3x", "wb1x", "wb3x-early")),
        accepted=(hashlib.sha256(content("fus-1.0.2")).hexdigest(),),
        behaviour=replace(Behaviour(), **switches),
        serial=serial,
    )
    if stack is not None:
        assert chip.fus.install_at_factory(content(stack)) == 0
    chip.power_cycle()
    return chip


def opened(*names: str, part: str = "STM32WB55RG", fus_policy: FusPolicy = FusPolicy.ALWAYS) -> VerifiedBundle:
    """A verified bundle of images of fixtures/images."""
    data = bundle(*names, keys=[private("p256")], parts=[part], fus_policy=fus_policy)
    return open_bundle(data, [public("p256")], st_keys=throw_away_keys())


@dataclass
class SimulatedClock:
    """The chip's own time."""

    chip: Any

    def now(self) -> float:
        return float(self.chip.clock)

    def sleep(self, seconds: float) -> None:
        self.chip.advance(seconds)


@dataclass
class Bench:
    """One chip on one probe; `folder` is where the journal lies.

    `through_pylink` uses the real pylink on the simulated J-Link library, which takes twice as long.
    """

    chip: SimulatedChip
    folder: Path
    faults: tuple[Fault, ...] = ()
    after_reset: AfterReset | None = None
    events: list[Event] = field(default_factory=list)
    stop: Callable[[], bool] = lambda: False
    through_pylink: bool = False
    dll: SimulatedDll = field(init=False)
    faulty: FaultyChip = field(init=False)

    def connect(self, *, under_reset: bool = False) -> ChipDriver:
        """Open the probe anew, as a new run of the program does."""
        self.faulty = FaultyChip(self.chip, self.faults)
        chip = ChipDriver(self._probe(), SimulatedClock(self.faulty))
        chip.connect(under_reset=under_reset)
        return chip

    def _probe(self) -> Probe:
        clock, settings = SimulatedClock(self.faulty), dll_settings(self.chip.behaviour)
        if self.after_reset:
            settings.after_reset = self.after_reset
        if not self.through_pylink and not is_set_in_the_library(self.chip.behaviour):
            return DirectProbe(self.faulty, clock, settings.after_reset)
        self.dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=self.faulty)], settings)
        return JLink(self.dll, clock, kind="sim", after_failure=self.dll.raise_stored)

    def journal(self, chip: ChipDriver) -> Journal:
        return Journal(self.folder, chip.identity.uid)

    def install(
        self,
        verified: VerifiedBundle,
        consent: Acceptance = EVERYTHING,
        agree: Callable[[InstallPlan], InstallPlan] = lambda plan: plan,
    ) -> InstallPlan:
        """Install as one run of the program does, which lets the probe go however it ends."""
        chip = self.connect()
        try:
            with session(chip, self.journal(chip), self.events.append, self.stop) as it:
                return install(it, verified, consent, agree)
        finally:
            chip.disconnect()
