"""Debug probes that Linux shows on USB and that this user may not open: libraries report them as no probe at all.

Source: Documentation/ABI/testing/sysfs-bus-usb of the Linux kernel (idVendor, idProduct, busnum, devnum, product).
"""

import os
from contextlib import suppress
from pathlib import Path

_SYSFS, _DEVICES = Path("/sys/bus/usb/devices"), Path("/dev/bus/usb")
_ST = "0483"
_STLINK_PRODUCTS = ("3748", "374a", "374b", "374e", "374f", "3752", "3753", "3754", "3755", "3757")
"""ST-LINK V2, V2-1, V3 and V3PWR (OpenOCD, stlink_usb.c; pyOCD, probe/stlink/usb.py)."""


def forbidden_probe(kind: str) -> str | None:
    """Return the USB id (`0483:374b`) of a probe of a kind (`stlink`, `cmsis-dap`) that this user may not open."""
    for folder in sorted(_SYSFS.glob("*")):
        with suppress(OSError, ValueError):
            if _is_probe(folder, kind) and not os.access(_node(folder), os.R_OK | os.W_OK):
                return f"{_text(folder / 'idVendor')}:{_text(folder / 'idProduct')}"
    return None


def _is_probe(folder: Path, kind: str) -> bool:
    if kind == "stlink":
        return _text(folder / "idVendor") == _ST and _text(folder / "idProduct") in _STLINK_PRODUCTS
    names = [folder / "product", *folder.glob("*:*/interface")]
    return any("CMSIS-DAP" in _text(name) for name in names if name.exists())


def _node(folder: Path) -> Path:
    return _DEVICES / f"{int(_text(folder / 'busnum')):03}" / f"{int(_text(folder / 'devnum')):03}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()
