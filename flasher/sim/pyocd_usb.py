"""Simulated probes in the place of USB devices, so that the real pyOCD drives them: nothing of pyOCD is replaced.

An ST-LINK stands in for a device of pyusb, with its endpoints: pyOCD's own USB driver runs on top. A CMSIS-DAP probe
stands in for one of pyOCD's USB interfaces, which have a thread for each real probe. Loaded only when such a probe is
opened.
"""

import errno
from dataclasses import dataclass, field
from typing import Any

import usb.core

from flasher.sim.cmsis_dap import CmsisDap
from flasher.sim.file_lock import FileLock
from flasher.sim.stlink import StLink

_OUT, _IN = 0x01, 0x81
"""Endpoints of V2-1 and V3 (OpenOCD, stlink_usb.c: STLINK_V2_1_TX_EP, STLINK_RX_EP)."""


@dataclass(slots=True)
class Cable:
    """One USB connection: what can go wrong on it, and what went over it."""

    plugged: bool = True
    busy: bool = False
    """Another program has claimed the interface."""
    denied: bool = False
    """This user may not open the device."""
    failures: list[int] = field(default_factory=list)
    """Error numbers with which the next transfers fail; 0 lets one through."""
    short_writes: int = 0
    """How many of the next transfers to the probe are cut."""
    late: int = 0
    """How many of the next answers come one read too late, as after a timeout."""
    bytes_out: int = 0
    bytes_in: int = 0
    packets: int = 0
    lock: FileLock | None = None
    """Held while the interface is claimed: keeps other programs from the same simulated board."""

    @property
    def bytes(self) -> int:
        """How many bytes went over the cable."""
        return self.bytes_in + self.bytes_out

    def claim(self) -> None:
        """Claim the interface. Raises USBError when another program has it."""
        if self.busy or (self.lock is not None and not self.lock.acquire()):
            raise _usb_error(errno.EBUSY, "Resource busy")
        self.use()

    def release(self) -> None:
        """Release the interface."""
        if self.lock is not None:
            self.lock.release()

    def use(self) -> None:
        """Begin a transfer. Raises USBError."""
        self.packets += 1
        if not self.plugged:
            raise _usb_error(errno.ENODEV, "No such device (it may have been disconnected)")
        number = 0
        if self.failures:
            number = self.failures.pop(0)
        if number:
            raise _usb_error(number, "forced failure")


def _usb_error(number: int, text: str) -> Exception:
    kind: type[Exception] = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    return kind(text, None, number)


class StLinkDevice:
    """A device of pyusb, as far as a driver for ST-LINK uses one."""

    idVendor = 0x0483  # noqa: N815 - pyusb's names

    def __init__(self, probe: StLink, cable: Cable | None = None) -> None:
        self.probe, self.cable = probe, cable or Cable()
        self.idProduct = probe.model.product_id
        self.serial_number, self.product, self.manufacturer = probe.serial, probe.model.name, "STMicroelectronics"
        self._ctx = self  # pyusb's functions claim and release through it
        self.is_claimed = False
        self.kept: list[bytes] = []
        """Answers that came too late: the next reads get them."""

    def get_active_configuration(self) -> Any:
        """The configuration. Raises USBError where the user may not open the device."""
        if self.cable.denied:
            raise _usb_error(errno.EACCES, "Access denied (insufficient permissions)")
        return {(0, 0): [_OutEndpoint(self), _InEndpoint(self)]}

    def managed_claim_interface(self, _device: object, _interface: int) -> None:
        """Claim the interface. Raises USBError when another program has it."""
        self.cable.claim()
        self.is_claimed = True

    def managed_release_interface(self, _device: object, _interface: int) -> None:
        """Release the interface."""
        self.cable.release()
        self.is_claimed = False

    def dispose(self, _device: object) -> None:
        """Release everything."""
        self.managed_release_interface(self, 0)


class _OutEndpoint:
    bEndpointAddress = _OUT  # noqa: N815 - pyusb's names

    def __init__(self, device: StLinkDevice) -> None:
        self._device = device

    def write(self, data: Any, _timeout: int | None = None) -> int:
        cable, packet = self._device.cable, bytes(data)
        cable.use()
        cable.bytes_out += len(packet)
        if cable.short_writes:
            cable.short_writes -= 1
            return len(packet) - 1
        self._device.probe.put(packet)
        return len(packet)


class _InEndpoint:
    bEndpointAddress = _IN  # noqa: N815 - pyusb's names

    def __init__(self, device: StLinkDevice) -> None:
        self._device = device
        self.wMaxPacketSize = device.probe.model.packet_size

    def read(self, size: int, _timeout: int | None = None) -> bytes:
        cable = self._device.cable
        cable.use()
        data, kept = self._device.probe.take(size), self._device.kept
        if data and (cable.late or kept):
            kept.append(data)
            data = b""
        if cable.late:
            cable.late -= 1
        elif kept:
            data = kept.pop(0)
        if not data:
            raise _usb_error(errno.ETIMEDOUT, "Operation timed out")
        cable.bytes_in += len(data)
        return data


class CmsisDapInterface:
    """A USB interface of a CMSIS-DAP v2 probe, as pyOCD's driver for the protocol uses one."""

    is_bulk, has_swo_ep = True, False
    vid, pid = 0x0D28, 0x0204
    vendor_name = "simulated"

    def __init__(self, probe: CmsisDap, cable: Cable | None = None) -> None:
        self.probe, self.cable = probe, cable or Cable()
        self.product_name, self.serial_number = probe.product, probe.serial
        self.is_claimed = False
        self._answers: list[bytes] = []
        self._packet_count, self._packet_size = 1, 64

    def open(self) -> None:
        """Open the interface. Raises USBError."""
        self.cable.claim()
        self.is_claimed = True
        self._answers = []

    def close(self) -> None:
        """Close the interface. Raises USBError when the cable was pulled, as pyOCD's own interfaces do."""
        if not self.is_claimed:
            raise AssertionError("closed twice")
        self.is_claimed = False
        self.cable.release()
        self.cable.use()

    def write(self, data: list[int]) -> None:
        """Send a packet. Raises USBError."""
        packet = bytes(data)
        self.cable.use()
        self.cable.bytes_out += len(packet)
        self._answers.append(self.probe.handle(packet))

    def read(self) -> bytes:
        """Give the next answer. Raises USBError."""
        self.cable.use()
        if self.cable.late:
            self.cable.late -= 1
            raise _usb_error(errno.ETIMEDOUT, "Operation timed out")
        answer = self._answers.pop(0)
        self.cable.bytes_in += len(answer)
        return answer

    def get_serial_number(self) -> str:
        """The serial number."""
        return self.serial_number

    def get_packet_count(self) -> int:
        """How many packets may be outstanding."""
        return self._packet_count

    def set_packet_count(self, count: int) -> None:
        """Set how many packets may be outstanding."""
        self._packet_count = count

    def set_packet_size(self, size: int) -> None:
        """Set how many bytes a packet may have."""
        self._packet_size = size
