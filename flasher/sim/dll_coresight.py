"""The debug port and both access ports, register by register: what the CORESIGHT functions of the J-Link library reach.

Registers as in the Arm Debug Interface specification (IHI 0031, DP architecture 2 and MEM-AP). AP0 is the port of CPU1.
AP1, the port of CPU2, says what it is (IDR as J-Link logs show it; psdb insists on both), but it is shut while the chip
is secure, which here it always is: CSW says so, and its memory accesses fail.
"""

from flasher.sim.dll_devices import DPIDR
from flasher.sim.dll_link import CallError, Link

IDRS = (0x2477_0011, 0x8477_0001)
DEVICE_ENABLED = 1 << 6
"""CSW.DeviceEn: whether the port lets memory accesses through; read-only."""
ABORT_CLEARS = 0x1E
STICKY_ERROR = 1 << 5
POWERED = 0xF000_0000
"""CTRL/STAT: both power-up requests and both acknowledgements."""
WIDTHS = {0: 1, 1: 2, 2: 4}
INCREMENT_PAGE = 0x400
"""TAR counts up within 1 KiB only: what lies beyond is up to the implementation."""


class DllDebugPort:
    """DP and MEM-AP registers over one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._select = 0
        self._error = False
        self._csw = [0x0300_0042, 0x0300_0002]
        self._tar = [0, 0]

    def read(self, register: int, access_port: bool) -> int:
        """Read a DP register, or one of the selected AP; CallError when the wire or the access fails."""
        self._link.touch()
        if not access_port:
            return {0: DPIDR, 1: POWERED | (STICKY_ERROR if self._error else 0)}.get(register, 0)
        port, address = self._address(register)
        if port >= len(IDRS):
            return 0
        match address:
            case 0x00:
                return self._csw[port]
            case 0x04:
                return self._tar[port]
            case 0x0C:
                return self._data(port)
            case 0xFC:
                return IDRS[port]
        return 0

    def write(self, register: int, access_port: bool, value: int) -> None:
        """Write a DP register, or one of the selected AP; CallError when the wire or the access fails."""
        self._link.touch()
        if not access_port:
            self._write_port(register, value)
            return
        port, address = self._address(register)
        if port >= len(IDRS):
            return
        match address:
            case 0x00:
                self._csw[port] = (value & ~DEVICE_ENABLED) | (self._csw[port] & DEVICE_ENABLED)
            case 0x04:
                self._tar[port] = value
            case 0x0C:
                self._data(port, value)

    def _write_port(self, register: int, value: int) -> None:
        if register == 0 and value & ABORT_CLEARS:
            self._error = False
        elif register == 2:
            self._select = value

    def _address(self, register: int) -> tuple[int, int]:
        """Return the selected AP and the register's address within it; APs that do not exist read as zero."""
        if self._error:
            raise CallError
        return self._select >> 24, (self._select & 0xF0) | ((register & 3) << 2)

    def _data(self, port: int, value: int | None = None) -> int:
        """Access memory at TAR, on the byte lanes of the address."""
        csw, tar = self._csw[port], self._tar[port]
        width = WIDTHS.get(csw & 7, 4)
        shift = tar % 4 * 8
        if not csw & DEVICE_ENABLED:
            self._error = True
            raise CallError
        try:
            if value is None:
                value = int.from_bytes(self._link.read(tar, width, width), "little") << shift
            else:
                lanes = (value >> shift).to_bytes(4, "little")
                self._link.write(tar, lanes[:width], width)
        except CallError:
            self._error = True
            raise
        if csw >> 4 & 3 == 1:
            self._tar[port] = (tar & -INCREMENT_PAGE) | ((tar + width) & (INCREMENT_PAGE - 1))
        return value
