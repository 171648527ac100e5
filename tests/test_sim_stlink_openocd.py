"""The simulated ST-LINK under a client that shares nothing with pyOCD: Debian's OpenOCD over ST's server protocol."""

import re
import shutil
import subprocess

import pytest

from flasher.sim.chip import SimulatedChip
from flasher.sim.debug_port import PortSettings
from flasher.sim.dll_link import Survives
from flasher.sim.stlink import V2_1, V3, Model, StLink, StLinkSettings
from tests.support.flashing import simulated
from tests.support.stlink_server import served

OPENOCD = shutil.which("openocd")
pytestmark = pytest.mark.skipif(OPENOCD is None, reason="openocd is not installed: apt-get install openocd")

SRAM1 = 0x2000_0000


def run(chip: SimulatedChip, *commands: str, model: Model = V2_1) -> str:
    """Let OpenOCD attach to the chip over the simulated ST-LINK and carry out commands; what it printed."""
    # OpenOCD 0.12 sends blocks of 4 KiB that begin anywhere: it relies on firmware that handles the end of a TAR page.
    settings = StLinkSettings(port=PortSettings(after_reset=Survives()), handles_tar_page=True)
    with served(StLink(chip, model, settings)) as number:
        setup = [
            "adapter driver st-link",
            f"st-link vid_pid 0x0483 0x{model.product_id:04x}",
            f"st-link backend tcp {number}",
            "transport select dapdirect_swd",
            "source [find target/stm32wbx.cfg]",
            "reset_config none",
            "gdb_port disabled; tcl_port disabled; telnet_port disabled",
            "init",
        ]
        arguments = [part for command in (*setup, *commands, "shutdown") for part in ("-c", command)]
        result = subprocess.run([str(OPENOCD), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return result.stdout + result.stderr


@pytest.mark.parametrize(("model", "version"), [(V2_1, "V2J45M31"), (V3, "V3J16M9")])
def test_openocd_finds_the_chip(model: Model, version: str) -> None:
    output = run(simulated(), model=model)
    assert version in output
    assert re.search(r"Target voltage: 3\.(29|30)", output)
    assert "DPIDR 0x6ba02477" in output
    assert "Cortex-M4" in output


def test_openocd_reads_and_writes_memory() -> None:
    chip = simulated()
    chip.write(SRAM1, bytes(range(16)), 4)
    output = run(
        chip,
        "mdw 0x20000000 4",
        "mdh 0x20000002 2",
        "mdb 0x20000005 3",
        "mww 0x20000100 0xcafe0001",
        "mwb 0x20000106 0x5a",
    )
    assert "0x20000000: 03020100 07060504 0b0a0908 0f0e0d0c" in output
    assert "0x20000002: 0302 0504" in output
    assert "0x20000005: 05 06 07" in output
    assert chip.read(SRAM1 + 0x100, 4, 4) == bytes.fromhex("0100FECA")
    assert chip.read(SRAM1 + 0x106, 1, 1) == b"\x5a"


def test_openocd_moves_blocks() -> None:
    chip = simulated()
    data = bytes(at * 3 & 0xFF for at in range(20_000))
    chip.write(SRAM1 + 0x300, data, 4)
    output = run(chip, "set words [read_memory 0x20000300 32 5000]", "write_memory 0x20008000 32 $words", "echo moved")
    assert "moved" in output
    assert chip.read(SRAM1 + 0x8000, 20_000, 4) == data


def test_openocd_halts_and_steps_over_a_fault() -> None:
    chip = simulated()
    output = run(chip, "halt", "catch {mdw 0xf0000000}", "mdw 0xe000ed00")
    assert "Failed to read memory at 0xf0000000" in output
    assert "0xe000ed00: 410fc241" in output
    assert chip.is_halted


def test_openocd_reports_a_target_without_power() -> None:
    chip = simulated()
    chip.power_off()
    output = run(chip)
    assert "Target voltage: 0.000000" in output
    assert re.search("init mode failed|unable to connect to the target", output)


def test_openocd_accepts_every_speed() -> None:
    output = run(simulated(), "adapter speed 5", "adapter speed 4000")
    assert "Unable to set adapter speed" not in output
