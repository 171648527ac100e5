"""The simulated J-Link library under the real, unmodified pylink: which probe is opened, and connecting to a chip."""

from pathlib import Path
from typing import Any

import pylink
import pytest
from pylink.enums import JLinkHost, JLinkInterfaces
from pylink.errors import JLinkException, JLinkReadException

from flasher.sim.dll import SimulatedDll
from flasher.sim.dll_session import Settings
from flasher.sim.probes import SimulatedJLink
from tests.support.jlinks import SERIAL, JLink, attach, chip, dll, jlink, own_locks_and_no_sleep
from tests.support.toy_chip import RAM, ToyChip

__all__ = ["chip", "dll", "jlink", "own_locks_and_no_sleep"]

OTHER = 260_000_002
SWD = JLinkInterfaces.SWD


def two_probes(**choices: Any) -> SimulatedDll:
    probes = [
        SimulatedJLink(serial=SERIAL, chip=ToyChip()),
        SimulatedJLink(serial=OTHER, chip=ToyChip(), product="J-Link PRO"),
    ]
    return SimulatedDll(probes, Settings(**choices))


# Probes: which there are, and which one is opened


def test_everything_the_flasher_asks_a_probe(jlink: JLink) -> None:
    assert jlink.version == "9.14a"
    assert jlink.serial_number == SERIAL
    assert jlink.product_name == "J-Link"
    assert jlink.firmware_version.startswith("J-Link V11 compiled")
    assert jlink.compile_date == "Dec 18 2025 15:13:50"
    assert jlink.hardware_status.voltage == 3300
    assert jlink.hardware_version == "11.00"
    assert jlink.num_connected_emulators() == 1
    assert jlink.core_id() == 0x6BA0_2477
    assert jlink.speed == 4000
    assert jlink.supported_tifs() & 1 << SWD
    assert jlink.supported_device(1).name == "Cortex-M4"


def test_probes_are_listed_with_serial_and_product() -> None:
    dll = two_probes()
    dll.desk.probes[1].ip = "192.168.1.5"
    found = pylink.JLink(lib=dll).connected_emulators()
    assert [(info.SerialNumber, info.acProduct) for info in found] == [(SERIAL, b"J-Link"), (OTHER, b"J-Link PRO")]
    networked = pylink.JLink(lib=dll).connected_emulators(host=JLinkHost.IP)
    assert [info.SerialNumber for info in networked] == [OTHER]
    assert len(pylink.JLink(lib=dll).connected_emulators(host=JLinkHost.USB_OR_IP)) == 3


def test_a_probe_is_chosen_by_its_serial_number() -> None:
    jlink = attach(two_probes(), serial=OTHER)
    assert jlink.serial_number == OTHER
    jlink.close()


def test_a_serial_number_that_is_not_there() -> None:
    with pytest.raises(JLinkException, match="No emulator with serial number 7 found"):
        pylink.JLink(lib=two_probes()).open(7)


def test_without_a_serial_the_only_probe_is_used(dll: SimulatedDll) -> None:
    jlink = attach(dll, serial=None)
    assert jlink.serial_number == SERIAL
    jlink.close()


def test_without_a_serial_two_probes_would_need_a_dialog() -> None:
    warnings: list[str] = []
    with pytest.raises(JLinkException, match=r"Cannot connect to J-Link\."):
        pylink.JLink(lib=two_probes(), warn=warnings.append).open()
    assert warnings == ["JLinkGUIServerExe: cannot connect to X server"]


def test_no_probe_at_all() -> None:
    with pytest.raises(JLinkException, match=r"Cannot connect to J-Link\."):
        pylink.JLink(lib=SimulatedDll([])).open()


def test_a_probe_that_another_program_holds() -> None:
    dll = two_probes()
    dll.desk.probes[0].busy = True
    with pytest.raises(JLinkException, match=r"Cannot connect to J-Link\."):
        pylink.JLink(lib=dll).open(SERIAL)
    other = attach(dll, serial=OTHER)
    assert other.target_connected()
    other.close()


def test_two_libraries_do_not_share_a_probe(chip: ToyChip) -> None:
    probe = SimulatedJLink(serial=SERIAL, chip=chip)
    first = attach(SimulatedDll([probe]), serial=None)
    second = pylink.JLink(lib=SimulatedDll([probe]))
    with pytest.raises(JLinkException):
        second.open()
    first.close()
    second.open()
    second.close()


@pytest.mark.parametrize("how", ["192.168.1.5:19020", "tunnel:260000002:19020"])
def test_a_probe_is_chosen_by_its_address(how: str) -> None:
    dll = two_probes()
    dll.desk.probes[1].ip = "192.168.1.5"
    jlink = pylink.JLink(lib=dll)
    jlink.open(ip_addr=how)
    assert jlink.serial_number == OTHER
    jlink.close()


def test_a_networked_probe_is_chosen_by_its_serial_number() -> None:
    dll = two_probes()
    dll.desk.probes[1].ip = "192.168.1.5"
    jlink = pylink.JLink(lib=dll)
    with pytest.raises(JLinkException, match="Cannot connect"):
        jlink.open(serial_no=SERIAL, ip_addr="192.168.1.5:19020")
    del jlink
    jlink = pylink.JLink(lib=dll)
    jlink.open(serial_no=OTHER, ip_addr="192.168.1.5:19020")
    assert jlink.serial_number == OTHER
    jlink.close()


def test_an_unused_address_is_an_error() -> None:
    with pytest.raises(JLinkException, match=r"Could not connect to emulator at 192\.168\.1\.9:19020"):
        pylink.JLink(lib=two_probes()).open(ip_addr="192.168.1.9:19020")


def test_the_lock_file_is_pylinks_own(dll: SimulatedDll, tmp_path: Path) -> None:
    first, second = pylink.JLink(lib=dll), pylink.JLink(lib=dll)
    first.open(SERIAL)
    assert (tmp_path / f".pylink-usb-{SERIAL}.lck").exists()
    with pytest.raises(JLinkException, match=r"J-Link is already open\."):
        second.open(SERIAL)
    first.close()
    assert not list(tmp_path.iterdir())


def test_open_is_counted_by_pylink(dll: SimulatedDll) -> None:
    jlink = pylink.JLink(lib=dll)
    jlink.open(SERIAL)
    jlink.open(SERIAL)
    jlink.close()
    assert jlink.opened()
    jlink.close()
    assert not jlink.opened()
    assert dll.counters.calls["JLINKARM_OpenEx"] == dll.counters.calls["JLINKARM_Close"] == 1


_NOT_OPENED = r"No emulator with serial|Could not connect to default emulator|no attribute 'JlinkException'"


@pytest.mark.parametrize(("version", "works"), [(91200, True), (91400, True), (91401, False), (92200, False)])
def test_a_command_before_open_spoils_newer_libraries(chip: ToyChip, version: int, works: bool) -> None:
    for serial in (SERIAL, None):
        dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(version=version))
        jlink = pylink.JLink(lib=dll)
        jlink.disable_dialog_boxes()
        if works:
            jlink.open(serial)
            jlink.close()
        else:
            # pylink 1.x misspells its own exception where there is no serial number (jlink.py, open()).
            with pytest.raises((JLinkException, AttributeError), match=_NOT_OPENED):
                jlink.open(serial)


def test_a_command_after_open_spoils_nothing(jlink: JLink, dll: SimulatedDll) -> None:
    jlink.disable_dialog_boxes()
    jlink.close()
    assert attach(dll).target_connected()


# Connecting


def test_connect_is_skipped_while_the_library_is_connected(jlink: JLink, dll: SimulatedDll) -> None:
    jlink.connect("Cortex-M4", 4000)
    jlink.connect("Cortex-M4", 4000)
    assert dll.counters.calls["JLINKARM_Connect"] == 1


def test_a_target_without_power(chip: ToyChip, dll: SimulatedDll) -> None:
    chip.target_present = False
    errors: list[str] = []
    with pytest.raises(JLinkException, match=r"Target system has no power\."):
        attach(dll, error=errors.append)
    assert errors == ["VTarget too low: target has no power"]


def test_a_dead_target_under_power(chip: ToyChip, dll: SimulatedDll) -> None:
    chip.target_present = False
    dll.desk.probes[0].vtarget_millivolts = 3300
    jlink = pylink.JLink(lib=dll)
    jlink.open(SERIAL)
    jlink.set_tif(SWD)
    assert jlink.hardware_status.voltage == 3300
    with pytest.raises(JLinkException, match=r"Unspecified error\."):
        jlink.connect("Cortex-M4")
    assert not jlink.target_connected()
    jlink.close()


def test_power_lost_while_connected(jlink: JLink, chip: ToyChip) -> None:
    chip.target_present = False
    assert jlink.target_connected(), "the library does not look again"
    assert jlink.hardware_status.voltage == 0
    with pytest.raises(JLinkReadException):
        jlink.memory_read32(RAM, 1)
    with pytest.raises(JLinkException):
        jlink.reset()
    with pytest.raises(JLinkException):
        jlink.halted()
    assert jlink.halt() is False


def test_the_interface_must_be_chosen_after_every_open(jlink: JLink) -> None:
    jlink.close()
    jlink.open(SERIAL)
    assert jlink.tif == SWD, "pylink's memory, not the library's"
    with pytest.raises(JLinkException):
        jlink.connect("Cortex-M4")


def test_an_unknown_device(dll: SimulatedDll) -> None:
    with pytest.raises(JLinkException, match=r"Unsupported device selected\."):
        attach(dll, device="STM32WB99")


def test_a_code_that_pylink_does_not_know_is_a_value_error(dll: SimulatedDll) -> None:
    dll.answer("JLINKARM_Connect", -5)
    with pytest.raises(ValueError, match="Invalid error code: -5"):
        attach(dll)


@pytest.mark.parametrize("tidy", [True, False])
def test_the_cable_is_pulled(dll: SimulatedDll, tidy: bool) -> None:
    jlink = attach(dll)
    dll.desk.probes[0].unplug()
    assert not jlink.opened()
    with pytest.raises(JLinkException, match=r"Target is not connected\."):
        jlink.memory_read32(RAM, 1)
    with pytest.raises(JLinkException, match=r"J-Link DLL is not open\."):
        jlink.serial_number  # noqa: B018 - a property that asks the library
    dll.desk.probes[0].plug()
    assert not jlink.connected(), "the handle from before is dead"
    if tidy:
        jlink.close()
    del jlink
    jlink = attach(dll)
    assert jlink.memory_read32(RAM, 1) == [0]
    jlink.close()


def test_the_cable_is_pulled_and_the_library_stays_open(chip: ToyChip) -> None:
    dll = SimulatedDll([SimulatedJLink(serial=SERIAL, chip=chip)], Settings(open_survives_unplugging=True))
    jlink = attach(dll)
    dll.desk.probes[0].unplug()
    assert jlink.opened()
    with pytest.raises(JLinkException, match=r"J-Link connection has been lost\."):
        jlink.serial_number  # noqa: B018 - a property that asks the library
    jlink.close()
