"""The command strings of ExecCommand that the simulated J-Link library knows, and what they do.

Names from SEGGER's list of J-Link command strings. Which version knows which is not documented, so a test can take
names away. Commands of J-Link Commander (`Regs`, `Mem`) are no command strings, and are refused like any other word.
"""

import re
from collections.abc import Callable

from flasher.sim.dll_devices import DEVICES, device_index
from flasher.sim.dll_link import CallError
from flasher.sim.dll_session import DllSession, Handle

WITHOUT_EFFECT = frozenset({
    "disableautoupdatefw", "disableflashbps", "disableinfowinflashbps", "disableinfowinflashdl", "enableflashbps",
    "enableinfowinflashbps", "enableinfowinflashdl", "enableremarks", "hidedeviceselection", "setbatchmode",
    "inhibitconnectretries", "setinitworkramonconnect", "silentupdatefw", "suppresscontrolpanel", "suppressgui",
    "suppressinfoupdatefw",
})  # fmt: skip
"""Known, and nothing that a simulation could show."""
UNKNOWN_CODE = 1
"""What V6.18c, V7.84e and V7.86c answered to a string that they did not know (hardware-review 5)."""


def execute(session: DllSession, command: str) -> str:
    """Carry a command string out; return the text for the error buffer, empty when all is well.

    Raises:
        CallError: the library does not know the string and answers with a code alone.
    """
    session.before_command()
    name, value = _parts(command)
    if name in session.settings.unknown_commands or (name not in EFFECTS and name not in WITHOUT_EFFECT):
        if session.settings.unknown_answer == "code":
            raise CallError(UNKNOWN_CODE)
        return f"ERROR: Unknown command: {command}"
    effect = EFFECTS.get(name)
    if effect is None or session.handle is None:
        return ""
    return effect(session.handle, value)


def _parts(command: str) -> tuple[str, str]:
    """Cut `Name`, `Name value` or `Name = value`."""
    match = re.fullmatch(r"\s*(\w*)\s*=?\s*(.*?)\s*", command)
    if match:
        return (match[1].lower(), match[2])
    return ("", "")


def _device(handle: Handle, value: str) -> str:
    index = device_index(value)
    if index < 0:
        return f"ERROR: Unknown device: {value}"
    handle.device = DEVICES[index - 1]
    return ""


def _flash_download(on: bool) -> Callable[[Handle, str], str]:
    def effect(handle: Handle, _value: str) -> str:
        handle.flash_download = on
        handle.cache.invalidate()
        return ""

    return effect


def _exclude(handle: Handle, value: str) -> str:
    match = re.fullmatch(r"(0x[0-9A-Fa-f]+)-(0x[0-9A-Fa-f]+)", value)
    if not match:
        return f"ERROR: Not a range: {value}"
    handle.cache.exclude(int(match[1], 16), int(match[2], 16))
    return ""


def _invalidate(handle: Handle, _value: str) -> str:
    handle.cache.invalidate()
    return ""


def _memory_cache(handle: Handle, value: str) -> str:
    handle.caches_memory = value != "0"
    handle.memory.invalidate()
    return ""


def _restart_on_close(handle: Handle, value: str) -> str:
    handle.restart_on_close = value != "0"
    return ""


EFFECTS: dict[str, Callable[[Handle, str], str]] = {
    "device": _device,
    "disableflashdl": _flash_download(on=False),
    "enableflashdl": _flash_download(on=True),
    "excludeflashcacherange": _exclude,
    "invalidatecache": _invalidate,
    "setenablememcache": _memory_cache,
    "setrestartonclose": _restart_on_close,
}
