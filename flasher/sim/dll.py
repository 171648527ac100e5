"""The J-Link library's C functions in front of simulated chips, so that pylink runs end to end without hardware.

    dll = SimulatedDll([SimulatedJLink(serial=260000001, chip=chip)])
    jlink = pylink.JLink(lib=dll)

Each function is a real C function pointer (a ctypes thunk) behind an untyped one, exactly as a loaded library gives it:
pylink's own marshalling of integers, buffers and callbacks takes place, with all that it truncates. Windows, macOS and
Linux alike; no compiler and no file.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from flasher.sim.dll_functions import Function, Functions
from flasher.sim.dll_link import CallError, Counters
from flasher.sim.dll_session import Channel, DllSession, Settings
from flasher.sim.probes import Desk, SimulatedJLink

Untyped = ctypes.CFUNCTYPE(ctypes.c_int)
"""How ctypes sees an undeclared function: any arguments, a C int back."""


class Exports:
    """The library as ctypes would show it: one attribute for each symbol."""

    def __getattr__(self, name: str) -> Any:
        """Fail as ctypes does for a symbol that the library does not have."""
        raise AttributeError(f"undefined symbol: {name}")


class SimulatedDll:
    """A loaded J-Link library with its probes: pass it as `lib` to `pylink.JLink`."""

    def __init__(
        self, probes: Iterable[SimulatedJLink], settings: Settings | None = None, without: Collection[str] = ()
    ) -> None:
        self.desk = Desk(list(probes))
        self.settings = settings or Settings()
        self._listeners: dict[Channel, Callable[[bytes], None]] = {}
        self.session = DllSession(self.desk, self.settings, self._say)
        self._answers: dict[str, deque[int]] = {}
        self._stored: BaseException | None = None
        self.functions = {function.name: function for function in Functions(self.session, self._listeners).table()}
        # The thunks must live as long as pylink may call them, which is until this object's end.
        self._thunks = {name: self._thunk(function) for name, function in self.functions.items()}
        self._exports = Exports()
        for name, address in self.addresses().items():
            if name not in without:
                setattr(self._exports, name, Untyped(address))

    def dll(self) -> Exports:
        """Return what pylink takes for the loaded library."""
        return self._exports

    def addresses(self) -> dict[str, int]:
        """Return where each C function is."""
        return {name: ctypes.cast(thunk, ctypes.c_void_p).value or 0 for name, thunk in self._thunks.items()}

    @property
    def counters(self) -> Counters:
        """What went through the library so far."""
        return self.session.counters

    def answer(self, name: str, *codes: int) -> None:
        """Let the next calls of a C function return these codes, and do nothing else."""
        self._answers.setdefault(self.functions[name].name, deque()).extend(codes)

    def raise_stored(self) -> None:
        """Raise what went wrong inside a call: no exception can cross C, so the caller got an error code instead."""
        stored, self._stored = self._stored, None
        if stored is not None:
            raise stored

    def _say(self, channel: Channel, text: str) -> None:
        listener = self._listeners.get(channel)
        if listener is not None:
            listener(text.encode())

    def _thunk(self, function: Function) -> Any:
        prototype = ctypes.CFUNCTYPE(function.result, *function.arguments)
        return prototype(self._guarded(function))

    def _guarded(self, function: Function) -> Callable[..., Any]:
        """Count the call, and keep every exception on this side of C."""
        name, handler, calls = function.name, function.handler, self.counters.calls
        failed = function.failed
        if function.result is None:
            failed = None

        def call(*arguments: Any) -> Any:
            try:
                calls[name] += 1
                if self._answers.get(name):
                    return self._answers[name].popleft()
                return handler(*arguments)
            except CallError as error:
                if failed == -1:
                    return error.code
                return failed
            except BaseException as error:  # noqa: BLE001 - ctypes would print it and lose it
                self._stored = self._stored or error
                return failed

        return call
