"""The real pylink on a simulated J-Link library: what every such test begins with."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pylink
import pytest

from flasher.sim.dll import SimulatedDll
from flasher.sim.probes import SimulatedJLink
from tests.support.toy_chip import ToyChip

SERIAL = 260_000_001
JLink = Any
"""pylink ships no types."""


@pytest.fixture
def chip() -> ToyChip:
    return ToyChip()


@pytest.fixture
def dll(chip: ToyChip) -> SimulatedDll:
    return SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)])


@pytest.fixture
def jlink(dll: SimulatedDll) -> Iterator[JLink]:
    """Attached to the chip, as a core without flash banks."""
    jlink = attach(dll)
    yield jlink
    jlink.close()
    dll.raise_stored()


@pytest.fixture(autouse=True)
def own_locks_and_no_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pylink's lock files in the test's own folder, and its one-second pauses out of the tests."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pylink.jlink, "time", SimpleNamespace(sleep=lambda _seconds: None))


def attach(lib: object, device: str = "Cortex-M4", serial: int | None = SERIAL, **handlers: Any) -> JLink:
    jlink = pylink.JLink(lib=lib, **handlers)
    jlink.open(serial)
    assert jlink.set_tif(pylink.enums.JLinkInterfaces.SWD)
    jlink.connect(device, 4000)
    return jlink
