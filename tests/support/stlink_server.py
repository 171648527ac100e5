"""ST's stlink-server protocol in front of a simulated ST-LINK: what OpenOCD's `st-link backend tcp` speaks.

Source: OpenOCD 0.12.0, src/jtag/drivers/stlink_usb.c, stlink_tcp_open() and stlink_tcp_xfer_noerrcheck().
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flasher.sim.stlink import COMMAND_SIZE, StLink

OK = struct.pack("<I", 1)
API, VERSION = 2, (2, 1, 1)
DEVICE_ID, CONNECTION = 0x1001, 0x2002
"""OpenOCD hands both back as it got them."""


@contextmanager
def served(probe: StLink) -> Iterator[int]:
    """Serve one client on a free port of this computer; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        thread = threading.Thread(target=_serve, args=(server, probe), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def _serve(server: socket.socket, probe: StLink) -> None:
    client, _ = server.accept()
    with client:
        while request := client.recv(65536, 0):
            answer = _answer(client, request, probe)
            client.sendall(answer)


def _answer(client: socket.socket, request: bytes, probe: StLink) -> bytes:
    match request[0]:
        case 0x06:  # version; without a status
            return struct.pack("<4I", API, *VERSION)
        case 0x01:  # count
            return struct.pack("<I", 1)
        case 0x02:  # information on a device
            serial = probe.serial.encode().ljust(32, b"\0")
            return OK + struct.pack("<I32sHHB", DEVICE_ID, serial, 0x0483, probe.model.product_id, 0)
        case 0x03:  # open
            return OK + struct.pack("<I", CONNECTION)
        case 0x05:
            return _transfer(client, request, probe)
    return OK  # refresh, close


def _transfer(client: socket.socket, request: bytes, probe: StLink) -> bytes:
    """A command of 16 bytes, with data to the probe or an answer from it."""
    begin = 8 + COMMAND_SIZE
    direction, size = struct.unpack_from("<B3xI", request, begin)
    data = request[begin + 8 :]
    while direction == 0 and len(data) < size:
        data += client.recv(size - len(data))
    probe.put(request[8:begin])
    if direction:
        return OK + probe.take(size).ljust(size, b"\0")
    if size:
        probe.put(data[:size])
    return OK
