"""The debug port and AP0 of the chip, register by register: what the CORESIGHT functions of the J-Link library reach.

Registers as in the Arm Debug Interface specification (IHI 0031, DP architecture 2 and MEM-AP). AP1, the port of CPU2,
answers nothing while the chip is secure, so there is none here.
"""

from flasher.sim.dll_devices import DPIDR
from flasher.sim.dll_link import CallError, Link

IDR_AP0 = 0x2477_0011
ABORT_CLEARS = 0x1E
STICKY_ERROR = 1 << 5
POWERED = 0xF000_0000
"""CTRL/STAT: both power-up requests and both acknowledgements."""
WIDTHS = {0: 1, 1: 2, 2: 4}
INCREMENT_PAGE = 0x400
"""TAR counts up within 1 KiB only: what lies beyond is up to the implementation."""


class DebugPort:
    """DP and MEM-AP registers over one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._select = 0
        self._error = False
        self._csw = 0x0300_0042
        self._tar = 0

    def read(self, register: int, access_port: bool) -> int:
        """Read a DP register, or one of the selected AP; CallError when the wire or the access fails."""
        self._link.touch()
        if not access_port:
            return {0: DPIDR, 1: POWERED | (STICKY_ERROR if self._error else 0)}.get(register, 0)
        match self._address(register):
            case 0x00:
                return self._csw
            case 0x04:
                return self._tar
            case 0x0C:
                return self._data()
            case 0xFC:
                return IDR_AP0
        return 0

    def write(self, register: int, access_port: bool, value: int) -> None:
        """Write a DP register, or one of the selected AP; CallError when the wire or the access fails."""
        self._link.touch()
        if not access_port:
            self._write_port(register, value)
            return
        match self._address(register):
            case 0x00:
                self._csw = value
            case 0x04:
                self._tar = value
            case 0x0C:
                self._data(value)

    def _write_port(self, register: int, value: int) -> None:
        if register == 0 and value & ABORT_CLEARS:
            self._error = False
        elif register == 2:
            self._select = value

    def _address(self, register: int) -> int:
        """Return the register's address within AP0; -1 in any other AP, where everything reads as zero."""
        if self._select >> 24:
            return -1
        if self._error:
            raise CallError
        return (self._select & 0xF0) | ((register & 3) << 2)

    def _data(self, value: int | None = None) -> int:
        """Access memory at TAR, on the byte lanes of the address."""
        width = WIDTHS.get(self._csw & 7, 4)
        shift = self._tar % 4 * 8
        try:
            if value is None:
                value = int.from_bytes(self._link.read(self._tar, width, width), "little") << shift
            else:
                lanes = (value >> shift).to_bytes(4, "little")
                self._link.write(self._tar, lanes[:width], width)
        except CallError:
            self._error = True
            raise
        if self._csw >> 4 & 3 == 1:
            self._tar = (self._tar & -INCREMENT_PAGE) | ((self._tar + width) & (INCREMENT_PAGE - 1))
        return value
