"""pyOCD as a library: with which options, how its log is kept, and what it raises."""

import logging
import os
import struct
from collections import deque
from pathlib import Path
from typing import Any

from pyocd.core import exceptions
from pyocd.coresight import dap

# pyOCD polls without a pause for 5 s until the debug power is acknowledged; a chip that is awake does it at once.
dap.DP_POWER_REQUEST_TIMEOUT = 0.5

LOG: deque[str] = deque(maxlen=50)
"""The last lines that pyOCD logged."""

PYOCD_ERRORS = (
    exceptions.Error,
    OSError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pyOCD raises beside its own errors: raw USBErrors (OSError), assertions and parsing errors about packets."""


class _Handler(logging.Handler):
    """Keeps what pyOCD logs for error reports; without a handler Python prints it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        LOG.append(record.getMessage())


logging.getLogger("pyocd").addHandler(_Handler())
logging.getLogger("pyocd").propagate = False


def safe_options(speed_khz: int) -> dict[str, Any]:
    """Every option that matters here: what is not given, a pyocd.yaml in the working folder could set.

    Also with `no_config`, pyOCD executes a pyocd_user.py of the project folder unless another script is named, and
    moves the process to PYOCD_PROJECT_DIR unless a folder is named (core/session.py).
    """
    return {
        "no_config": True,
        "user_script": os.devnull,
        "project_dir": str(Path.cwd()),
        "target_override": "cortex_m",
        "connect_mode": "attach",
        "resume_on_disconnect": False,
        "auto_unlock": False,
        "cache.enable_memory": False,
        "cache.enable_register": False,
        "dap_protocol": "swd",
        "frequency": speed_khz * 1000,
        "warning.cortex_m_default": False,
    }
