"""A lock that only one program of this computer holds; the system releases it when the program ends."""

import os
import sys
import tempfile
from pathlib import Path


class FileLock:
    """The lock of a name: a file in the folder for temporary files, which stays there."""

    def __init__(self, name: str) -> None:
        self._path = Path(tempfile.gettempdir()) / f".{name}.lock"
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another program has it, or when its file cannot be opened."""
        if self._handle is not None:
            return True
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            _lock(self._handle)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let the lock go, if it is held."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open file without waiting. Raises OSError."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
