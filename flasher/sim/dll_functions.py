"""The J-Link library's C functions: name, result, arguments and what answers each, in one table.

Signatures from pylink-square 2.0.2 (jlink.py) and the independent bindings it was compared with. Names that pylink asks
for but other bindings do not know (`JLINKARM_ReadMemZonedEx`) are missing here too.
"""

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_uint8, c_uint16, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flasher.sim.dll_commands import execute
from flasher.sim.dll_devices import DEVICES, DPIDR, device_index
from flasher.sim.dll_link import CallError
from flasher.sim.dll_session import FILE_NOT_OPENED, REGISTERS, TIF_MASK, UNKNOWN_FORMAT, Channel, DllSession
from flasher.sim.dll_structs import IP, USB, ConnectInfo, put_device, put_probes, put_status, put_text

LogCallback = ctypes.CFUNCTYPE(None, c_char_p)
ProgressCallback = ctypes.CFUNCTYPE(None, c_char_p, c_char_p, c_int)
COMPILED = b"Dec 18 2025 15:13:50"
NO_RESULT = None


class StaleCallbackError(Exception):
    """A download would have called a progress callback that an earlier download registered: pylink has freed it."""


@dataclass(frozen=True, slots=True)
class Function:
    """One C function."""

    name: str
    result: Any
    arguments: tuple[Any, ...]
    handler: Callable[..., Any]
    failed: Any = -1
    """What it returns when it fails; -1 stands for the code of the CallError, where there is one."""


class Functions:
    """What answers the calls: C values in, C values out, the work done by the session."""

    def __init__(self, session: DllSession, listeners: dict[Channel, Callable[[bytes], None]]) -> None:
        self._session = session
        self._listeners = listeners
        self._texts: dict[str, bytes] = {}
        self._progress_used = False

    def table(self) -> list[Function]:
        """Return every function."""
        return [*self._probe(), *self._target(), *self._memory(), *self._flash(), *self._log()]

    def text(self, text: str) -> int:
        """Return the address of a C string that lives as long as this object."""
        kept = self._texts.setdefault(text, text.encode() + b"\0")
        return ctypes.cast(c_char_p(kept), c_void_p).value or 0

    # The five parts of the table

    def _probe(self) -> list[Function]:
        session = self._session
        return [
            Function("JLINKARM_IsOpen", c_int, (), session.is_open),
            Function("JLINKARM_EMU_IsConnected", c_int, (), session.probe_connected),
            Function("JLINKARM_IsConnected", c_int, (), session.target_connected),
            Function("JLINKARM_GetDLLVersion", c_int, (), lambda: session.settings.version),
            Function("JLINKARM_GetCompileDateTime", c_void_p, (), lambda: self.text(COMPILED.decode())),
            Function("JLINKARM_EMU_GetNumDevices", c_int, (), lambda: len(session.desk.usb())),
            Function("JLINKARM_EMU_GetList", c_int, (c_int, c_void_p, c_int), self._list),
            Function("JLINKARM_EMU_SelectByUSBSN", c_int, (c_uint32,), _zero(session.select_serial)),
            Function("JLINKARM_EMU_SelectIPBySN", NO_RESULT, (c_uint32,), session.select_ip_serial),
            Function("JLINKARM_SelectUSB", c_int, (c_int,), lambda _port: _zero(session.select_any)()),
            Function("JLINKARM_SelectIP", c_int, (c_char_p, c_int), self._select_ip, failed=1),
            Function("JLINKARM_OpenEx", c_void_p, (c_void_p, c_void_p), self._open, failed=self.text("Internal error")),
            Function("JLINKARM_Close", NO_RESULT, (), session.close),
            Function("JLINK_SetHookUnsecureDialog", NO_RESULT, (c_void_p,), lambda _hook: None),
            Function("JLINKARM_EMU_GetProductName", c_int, (c_void_p, c_int), self._product),
            Function("JLINKARM_GetFirmwareString", NO_RESULT, (c_void_p, c_int), self._firmware),
            Function("JLINKARM_GetHardwareVersion", c_int, (), lambda: 110000),
            Function("JLINKARM_GetSN", c_int, (), lambda: session.opened().probe.serial),
            Function("JLINKARM_GetHWStatus", c_int, (c_void_p,), self._status, failed=1),
            Function("JLINKARM_ExecCommand", c_int, (c_char_p, c_void_p, c_int), self._command),
        ]

    def _target(self) -> list[Function]:
        session = self._session
        return [
            Function("JLINKARM_TIF_GetAvailable", NO_RESULT, (c_void_p,), lambda at: _put_word(at, TIF_MASK)),
            Function("JLINKARM_TIF_Select", c_int, (c_int,), self._select_tif, failed=1),
            Function("JLINKARM_SetSpeed", NO_RESULT, (c_uint32,), lambda khz: self._set("speed_khz", khz)),
            Function("JLINKARM_GetSpeed", c_int, (), lambda: session.opened().speed_khz),
            Function("JLINKARM_DEVICE_GetIndex", c_int, (c_char_p,), lambda name: device_index(name.decode())),
            Function("JLINKARM_DEVICE_GetInfo", c_int, (c_int, c_void_p), self._device),
            Function("JLINKARM_Connect", c_int, (), _zero(session.connect)),
            Function("JLINKARM_GetId", c_uint32, (), self._core_id, failed=0),
            Function("JLINKARM_IsHalted", c_int, (), session.is_halted),
            Function("JLINKARM_Halt", c_int, (), _zero(session.halt), failed=1),
            Function("JLINKARM_Go", NO_RESULT, (), session.go),
            Function("JLINKARM_GoEx", NO_RESULT, (c_uint32, c_uint32), lambda _count, _flags: session.go()),
            Function("JLINKARM_Reset", c_int, (), _zero(session.reset)),
            Function("JLINKARM_SetResetDelay", NO_RESULT, (c_int,), lambda ms: self._set("reset_delay", ms / 1000)),
            Function("JLINKARM_SetResetType", c_int, (c_int,), lambda kind: self._set("reset_type", kind)),
            Function("JLINKARM_ClrRESET", NO_RESULT, (), session.hold_reset),
            Function("JLINKARM_SetRESET", NO_RESULT, (), session.release_reset),
            Function("JLINKARM_ReadReg", c_uint32, (c_uint32,), session.read_register, failed=0),
            Function("JLINKARM_WriteReg", c_int, (c_uint32, c_uint32), _zero(session.write_register)),
            Function("JLINKARM_GetRegisterList", c_int, (c_void_p, c_int), self._register_list),
            Function("JLINKARM_GetRegisterName", c_void_p, (c_uint32,), self._register_name, failed=self.text("")),
            Function("JLINKARM_CORESIGHT_Configure", c_int, (c_char_p,), self._configure),
            Function("JLINKARM_CORESIGHT_ReadAPDPReg", c_int, (c_uint8, c_uint8, c_void_p), self._read_port),
            Function("JLINKARM_CORESIGHT_WriteAPDPReg", c_int, (c_uint8, c_uint8, c_uint32), self._write_port),
        ]

    def _memory(self) -> list[Function]:
        def word(unit: int) -> Callable[[int, int], int]:
            def write(address: int, value: int) -> int:
                if self._session.write(address, value.to_bytes(unit, "little"), unit) == unit:
                    return 0
                return 1

            return write

        return [
            Function("JLINKARM_ReadMemEx", c_int, (c_uint32, c_uint32, c_void_p, c_uint32), self._read),
            Function("JLINKARM_WriteMemEx", c_int, (c_uint32, c_uint32, c_void_p, c_uint32), self._write),
            Function("JLINKARM_WriteMem", c_int, (c_uint32, c_uint32, c_void_p), self._write),
            Function("JLINKARM_WriteU8", c_int, (c_uint32, c_uint8), word(1), failed=1),
            Function("JLINKARM_WriteU16", c_int, (c_uint32, c_uint16), word(2), failed=1),
            Function("JLINKARM_WriteU32", c_int, (c_uint32, c_uint32), word(4), failed=1),
        ]

    def _flash(self) -> list[Function]:
        session = self._session
        return [
            Function("JLINK_SetFlashProgProgressCallback", NO_RESULT, (c_void_p,), self._set_progress),
            Function("JLINKARM_BeginDownload", NO_RESULT, (c_uint32,), lambda _flags: session.begin_download()),
            Function("JLINKARM_EndDownload", c_int, (), self._end_download),
            Function("JLINK_DownloadFile", c_int, (c_char_p, c_uint32), self._download_file),
            Function("JLINK_EraseChip", c_int, (), session.erase_chip),
        ]

    def _log(self) -> list[Function]:
        return [
            Function(name, NO_RESULT, (c_void_p,), self._channel(channel))
            for name, channel in (
                ("JLINKARM_EnableLog", "log"),
                ("JLINKARM_EnableLogCom", "detail"),
                ("JLINKARM_SetErrorOutHandler", "error"),
                ("JLINKARM_SetWarnOutHandler", "warning"),
            )
        ]

    # What answers them, where it takes more than a line

    def _channel(self, channel: Any) -> Callable[[int | None], None]:
        return lambda callback: self._listen(channel, callback)

    def _listen(self, channel: Channel, callback: int | None) -> None:
        if callback:
            self._listeners[channel] = LogCallback(callback)
        else:
            self._listeners.pop(channel, None)

    def _list(self, hosts: int, buffer: int | None, most: int) -> int:
        probes = self._session.desk.usb() if hosts & USB else []
        networked = [probe for probe in self._session.desk.usb() if probe.ip is not None] if hosts & IP else []
        if buffer:
            put_probes(buffer, probes[:most], USB)
            rest = networked[: max(most - len(probes), 0)]
            put_probes(buffer + len(probes) * ctypes.sizeof(ConnectInfo), rest, IP)
            return len(probes[:most]) + len(rest)
        return len(probes) + len(networked)

    def _select_ip(self, host: bytes, _port: int) -> int:
        self._session.select_ip(host.decode())
        return 0

    def _open(self, log: int | None, error: int | None) -> int | None:
        for channel, callback in (("log", log), ("error", error)):
            if callback:
                self._channel(channel)(callback)
        reason = self._session.open()
        if reason is None:
            return None
        return self.text(reason)

    def _product(self, buffer: int | None, size: int) -> int:
        put_text(buffer, size, self._session.opened().probe.product)
        return 0

    def _firmware(self, buffer: int | None, size: int) -> None:
        put_text(buffer, size, self._session.opened().probe.firmware)

    def _status(self, buffer: int) -> int:
        put_status(buffer, self._session.opened().probe.vtarget)
        return 0

    def _command(self, command: bytes, buffer: int | None, size: int) -> int:
        text = execute(self._session, command.decode())
        put_text(buffer, size, text)
        if text:
            return -1
        return 0

    def _select_tif(self, tif: int) -> int:
        if tif < 0 or not TIF_MASK >> tif & 1:
            return 1
        self._session.opened().tif = tif
        return 0

    def _set(self, name: str, value: float) -> Any:
        handle = self._session.opened()
        before = getattr(handle, name)
        setattr(handle, name, value)
        return before

    def _core_id(self) -> int:
        self._session.target().link.touch()
        return DPIDR

    def _configure(self, _parameters: bytes) -> int:
        # On SWD there is nothing to configure: the switching sequence is sent in any case.
        self._session.opened()
        return 0

    def _device(self, index: int, buffer: int | None) -> int:
        if buffer and 0 < index <= len(DEVICES):
            device = DEVICES[index - 1]
            self.text(device.name), self.text("ST")
            put_device(buffer, device, self._texts[device.name], self._texts["ST"])
        return len(DEVICES) + 1

    def _register_list(self, buffer: int, most: int) -> int:
        numbers = range(len(REGISTERS))[:most]
        (c_uint32 * len(numbers)).from_address(buffer)[:] = list(numbers)
        return len(numbers)

    def _register_name(self, number: int) -> int:
        return self.text(REGISTERS[number] if number < len(REGISTERS) else "")

    def _read_port(self, register: int, access_port: int, buffer: int) -> int:
        _put_word(buffer, self._session.opened().port.read(register, bool(access_port)))
        return 0

    def _write_port(self, register: int, access_port: int, value: int) -> int:
        self._session.opened().port.write(register, bool(access_port), value)
        return 0

    def _read(self, address: int, size: int, buffer: int | None, width: int) -> int:
        data = self._session.read(address, size, width)
        if buffer:
            ctypes.memmove(buffer, data, len(data))
        return len(data)

    def _write(self, address: int, size: int, buffer: int | None, width: int = 0) -> int:
        return self._session.write(address, ctypes.string_at(buffer, size) if buffer else b"", width)

    def _set_progress(self, callback: int | None) -> None:
        self._progress_used = False
        self._session.opened().progress = ProgressCallback(callback) if callback else None

    def _end_download(self) -> int:
        self._check_progress()
        return self._session.end_download()

    def _download_file(self, path: bytes, address: int) -> int:
        try:
            data = Path(path.decode()).read_bytes()
        except OSError as error:
            raise CallError(FILE_NOT_OPENED) from error
        if not path.endswith(b".bin"):
            raise CallError(UNKNOWN_FORMAT)
        self._check_progress()
        self._session.begin_download()
        self._session.write(address, data, 0)
        return self._session.end_download()

    def _check_progress(self) -> None:
        if self._session.opened().progress is None:
            return
        if self._progress_used:
            raise StaleCallbackError("a progress callback of an earlier download is still registered")
        self._progress_used = True


def _zero(call: Callable[..., None]) -> Callable[..., int]:
    """Return 0 when the call came through."""

    def answered(*arguments: Any) -> int:
        call(*arguments)
        return 0

    return answered


def _put_word(buffer: int, value: int) -> None:
    c_uint32.from_address(buffer).value = value
