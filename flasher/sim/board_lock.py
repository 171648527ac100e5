"""One program at a time on one board file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flasher.sim.errors import BoardError

IN_USE = "in use by another program"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a board file until the end, so that what is read is what is replaced.

    On Windows, where a file that is open cannot be replaced, nothing is locked.

    Raises:
        BoardError: another program holds it, or it is not a regular file.
        OSError: the file cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    if not path.is_file() and path.exists():  # opening a pipe would wait for its writer
        raise BoardError("not a simulated board: not a regular file")
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BoardError(IN_USE) from error
        if not os.path.samestat(os.fstat(handle), path.stat()):  # replaced between the two calls
            raise BoardError(IN_USE)
        yield
    finally:
        os.close(handle)
