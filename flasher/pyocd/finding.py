"""Which probes there are on USB, and what pyOCD knows about one."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import usb.core
from pyocd.board.board_ids import BOARD_ID_TO_INFO
from pyocd.probe.cmsis_dap_probe import CMSISDAPProbe
from pyocd.probe.pydapaccess.dap_access_cmsis_dap import DAPAccessCMSISDAP, _get_interfaces
from pyocd.probe.stlink.usb import STLinkUSBInterface
from pyocd.probe.stlink_probe import StlinkProbe

from flasher.pyocd.library import PYOCD_ERRORS


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of probe: its name in text, how it is found on USB, and pyOCD's object for one."""

    name: str
    find: Callable[[], Iterable[Any]]
    wrap: Callable[[Any], Any]
    make: Callable[[Any], Any]


KINDS = {
    "stlink": Kind("ST-LINK", STLinkUSBInterface.get_all_connected_devices, STLinkUSBInterface, StlinkProbe),
    "cmsis-dap": Kind(
        "CMSIS-DAP probe",
        _get_interfaces,
        lambda interface: interface,
        lambda interface: CMSISDAPProbe(DAPAccessCMSISDAP(None, interface=interface)),
    ),
}


def usb_device(probe: Any) -> Any:
    """pyOCD's object for the USB device below one of its probes; not part of its public interface."""
    link = probe._link  # noqa: SLF001
    return getattr(link, "_device", None) or link._interface  # noqa: SLF001 - ST-LINK, or CMSIS-DAP


def firmware(probe: Any) -> str:
    """The firmware's version; not part of pyOCD's public interface."""
    link = probe._link  # noqa: SLF001
    version = getattr(link, "version_str", None) or getattr(link, "firmware_version", None)
    if version:
        return str(version)
    return "CMSIS-DAP " + ".".join(str(part) for part in getattr(link, "protocol_version", ()))


def board_name(probe: Any) -> str | None:
    """The name of the board that the probe is part of; asking opens the probe, unless another program has it."""
    with suppress(*PYOCD_ERRORS):
        link = probe._link  # noqa: SLF001 - the public way looks for mounted volumes as well
        if hasattr(link, "get_board_id"):
            board = BOARD_ID_TO_INFO.get(link.get_board_id())
            if board is None:
                return None
            return str(board.name)
        board = probe.associated_board_info
        if board is None:
            return None
        return str(board.name)
    return None


def may_open(device: Any) -> bool:
    """Whether the user may open a USB device: pyOCD's own search leaves out the others."""
    with suppress(*PYOCD_ERRORS):
        if hasattr(device, "get_active_configuration"):
            device.get_active_configuration()
        return True
    return False


def has_libusb() -> bool:
    """Whether pyusb finds a libusb, installed or from the package libusb-package."""
    try:
        usb.core.find(idVendor=0)
    except usb.core.NoBackendError:
        try:
            import libusb_package
        except ImportError:
            return False
        return libusb_package.get_libusb1_backend() is not None
    return True
