"""ST-LINK and CMSIS-DAP probes through pyOCD, which is used as a USB and SWD library only.

The only importer of pyOCD; loaded only when such a probe is asked for. Of pyOCD it uses the USB drivers, the debug port
and one access port: no discovery, no core objects, no caches, no flash code. Nothing is written to the chip when it
attaches. pyOCD's traps are cured here and named where they are cured (pyOCD 0.46.0).
"""

from flasher.errors import MissingPackageError

try:
    from flasher.pyocd.adapter import PyOcd, find_probes, open_probe
except ImportError as error:
    raise MissingPackageError(
        f"ST-LINK and CMSIS-DAP probes need pyOCD ({error}): pip install 'stm32wb-imagekit[pyocd]'"
    ) from error

__all__ = ["PyOcd", "find_probes", "open_probe"]
