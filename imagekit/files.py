"""Reading and writing files safely: bounded reads, whole writes, no surprise overwrites.

Paths are used exactly as the user typed them, so this module uses `os` and `open` rather than `pathlib`.
"""

import errno
import os
import re
import stat
import sys
from contextlib import suppress

from imagekit.targets import LARGEST_FLASH, LARGEST_HEX

LARGEST_ELF = 256 * 1024 * 1024
"""Bytes of an ELF file that are read: debugging information makes it many times larger than the flash."""
LARGEST_BUNDLE = 16 * 1024 * 1024
"""Bytes in a bundle: more than every FUS and a stack of the largest size."""
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_LARGEST_TEXT = 16 * 1024 * 1024


def read_image(path: str) -> bytes:
    """Read a file, or standard input: one byte more than the largest flash at most. Raises OSError."""
    limit = (LARGEST_HEX if path.lower().endswith(".hex") else LARGEST_FLASH) + 1
    try:
        return read_some(path, limit)
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, "is a directory: name the files in it, or use `imagekit check`") from error


def read_some(path: str, limit: int) -> bytes:
    """Read the first `limit` bytes of a file, or of standard input. Raises OSError."""
    if path == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed")
        return sys.stdin.buffer.read(limit)
    with open(path, "rb") as file:
        # Room for the largest image takes as long to get as most images take to read. A pipe has no size, and bytes.
        return file.read(min(os.fstat(file.fileno()).st_size or limit, limit))


def read_application(path: str) -> bytes:
    """Read an application's file: one byte more than the largest of its kind at most. Raises OSError."""
    # A pipe may never end, and a device has no size.
    if _is_special(path) and not os.path.isdir(path):
        raise OSError("is no regular file: name the application's own file")
    ending = os.path.splitext(path)[1].lower()
    limit = {".hex": LARGEST_HEX, ".bin": LARGEST_FLASH}.get(ending, LARGEST_ELF)
    with open(path, "rb") as file:
        return file.read(limit + 1)


def read_text(path: str) -> bytes:
    """Read a page of release notes, a catalogue or a key: 16 MiB at most, far more than any has. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST_TEXT + 1)
    if len(data) > _LARGEST_TEXT:
        raise OSError(f"larger than {_LARGEST_TEXT} bytes: no text that is expected here")
    return data


def read_bundle(path: str) -> bytes:
    """Read a bundle: one byte more than the largest one at most. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(LARGEST_BUNDLE + 1)


def create_file(path: str, data: bytes, *, private: bool) -> None:
    """Write a file that is not there yet, whole or not at all; private: for its owner alone. Raises OSError."""
    handle = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600 if private else 0o644
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def write_file(path: str, data: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then renamed. Raises OSError.

    A link is followed; a file that is there keeps its mode; `-` is standard output; what is no regular file, such as a
    device, is written to as it is.
    """
    if path == "-":
        _print_bytes(data)
        return
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    umask = os.umask(0)
    os.umask(umask)
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o666 & ~umask
    # A rename would replace a file that somebody made read-only, and root could write to it: neither is meant.
    if os.path.exists(path) and not mode & _ANY_WRITE:
        raise PermissionError(errno.EACCES, "is read-only, and stays as it is", path)
    if os.path.exists(path) and _holds_private_key(path):
        raise PermissionError(errno.EACCES, "holds a private key, and stays as it is", path)
    import tempfile

    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".imagekit-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            # mkstemp made it private. By its path, another file could be meant by now.
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _print_bytes(data: bytes) -> None:
    """Print bytes as they are: what is signed must not gain a line end."""
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python docs, signal: SIGPIPE


def _holds_private_key(path: str) -> bool:
    """Whether a file is one that nobody can make again."""
    with open(path, "rb") as file:
        return b"PRIVATE KEY-----" in file.read(4096)


def files_in(folder: str, endings: tuple[str, ...]) -> list[str]:
    """The files below a folder whose names end so, in any case; v1.5.0 comes before v1.11.0.

    Links to folders are not followed; pipes, sockets and devices are left out. A folder that cannot be read is in the
    list itself, so that reading it says why.
    """
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        found.append(error.filename)

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort(key=_by_number)
        paths = [os.path.join(place, name) for name in sorted(names, key=_by_number)]
        found += [path for path in paths if path.lower().endswith(endings) and not _is_special(path)]
    return found


def _by_number(name: str) -> list[tuple[int, str]]:
    """A sort key under which numbers in a name count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _is_special(path: str) -> bool:
    """Whether a path is a pipe, a socket or a device: reading it might never end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # reading it says why
    return not stat.S_ISREG(mode)


def size_of(path: str) -> int | None:
    """The size of a file that was not read to its end, None where the system does not know it."""
    try:
        return os.stat(path).st_size or None if path != "-" else None
    except OSError:
        return None
