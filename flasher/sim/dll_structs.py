"""The C structures that the J-Link library fills in, and how text gets into C buffers.

Layouts as in pylink's structs.py, which copies them from SEGGER's SDK headers.
"""

import ctypes

from flasher.sim.dll_devices import CORTEX_M4, DPIDR, Device
from flasher.sim.probes import SimulatedJLink

USB, IP = 1, 2


class ConnectInfo(ctypes.Structure):
    """One entry of EMU_GetList."""

    _fields_ = [
        ("SerialNumber", ctypes.c_uint32),
        ("Connection", ctypes.c_ubyte),
        ("USBAddr", ctypes.c_uint32),
        ("aIPAddr", ctypes.c_uint8 * 16),
        ("Time", ctypes.c_int),
        ("Time_us", ctypes.c_uint64),
        ("HWVersion", ctypes.c_uint32),
        ("abMACAddr", ctypes.c_uint8 * 6),
        ("acProduct", ctypes.c_char * 32),
        ("acNickname", ctypes.c_char * 32),
        ("acFWString", ctypes.c_char * 112),
        ("IsDHCPAssignedIP", ctypes.c_char),
        ("IsDHCPAssignedIPIsValid", ctypes.c_char),
        ("NumIPConnections", ctypes.c_char),
        ("NumIPConnectionsIsValid", ctypes.c_char),
        ("aPadding", ctypes.c_uint8 * 34),
    ]


class DllFlashArea(ctypes.Structure):
    """A range of flash or RAM."""

    _fields_ = [("Addr", ctypes.c_uint32), ("Size", ctypes.c_uint32)]


class DllDeviceInfo(ctypes.Structure):
    """What DEVICE_GetInfo tells of a device."""

    _fields_ = [
        ("SizeofStruct", ctypes.c_uint32),
        ("sName", ctypes.c_char_p),
        ("CoreId", ctypes.c_uint32),
        ("FlashAddr", ctypes.c_uint32),
        ("RAMAddr", ctypes.c_uint32),
        ("EndianMode", ctypes.c_char),
        ("FlashSize", ctypes.c_uint32),
        ("RAMSize", ctypes.c_uint32),
        ("sManu", ctypes.c_char_p),
        ("aFlashArea", DllFlashArea * 32),
        ("aRAMArea", DllFlashArea * 32),
        ("Core", ctypes.c_uint32),
    ]


class HardwareStatus(ctypes.Structure):
    """What GetHWStatus measures."""

    _fields_ = [
        ("VTarget", ctypes.c_uint16),
        ("pins", ctypes.c_uint8 * 6),
    ]


def put_text(buffer: int | None, size: int, text: str) -> None:
    """Write a text with its closing zero into a C buffer, cut to its size."""
    if buffer and size > 0:
        encoded = text.encode()[: size - 1] + b"\0"
        ctypes.memmove(buffer, encoded, len(encoded))


def put_probes(buffer: int, probes: list[SimulatedJLink], connection: int) -> None:
    """Write entries of EMU_GetList."""
    entries = (ConnectInfo * len(probes)).from_address(buffer)
    for entry, probe in zip(entries, probes, strict=True):
        entry.SerialNumber = probe.serial
        entry.Connection = connection
        entry.acProduct = probe.product.encode()[:31]
        entry.acFWString = probe.firmware.encode()[:111]


def put_device(buffer: int, device: Device, name: bytes, maker: bytes) -> None:
    """Write what is known of a device; the two texts must outlive the structure."""
    info = DllDeviceInfo.from_address(buffer)
    info.sName, info.sManu = name, maker
    info.CoreId, info.Core = DPIDR, CORTEX_M4
    for area, bank in zip(info.aFlashArea, device.banks, strict=False):
        area.Addr, area.Size = bank.address, bank.size
    if device.banks:
        info.FlashAddr, info.FlashSize = device.banks[0].address, device.banks[0].size


def put_status(buffer: int, vtarget: int) -> None:
    """Write what GetHWStatus measures."""
    HardwareStatus.from_address(buffer).VTarget = vtarget
