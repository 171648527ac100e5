"""Reading and writing files safely: bounded reads, whole writes, no surprise overwrites.

Paths are used exactly as the user typed them, so this module uses `os` and `open` rather than `pathlib`.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from imagekit.targets import LARGEST_FLASH, LARGEST_HEX

LARGEST_ELF = 256 * 1024 * 1024
"""Bytes of an ELF file that are read: debugging information makes it many times larger than the flash."""
LARGEST_BUNDLE = 16 * 1024 * 1024
"""Bytes in a bundle: more than every FUS and a stack of the largest size."""
LARGEST_CONTAINER = 64 * 1024 * 1024
"""Bytes that are searched for images: a dump, a file for updates over the air, source text with an array."""
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
        # Reserving room for the largest image takes as long as reading most images. A pipe reports size 0 but has data.
        return file.read(min(os.fstat(file.fileno()).st_size or limit, limit))


def read_application(path: str) -> bytes:
    """Read an application's file: one byte more than the largest of its kind at most. Raises OSError."""
    # A pipe may never end, and a device has no size.
    if _is_special(path) and not os.path.isdir(path):
        raise OSError("is not a regular file: name the file of the application")
    ending = os.path.splitext(path)[1].lower()
    limit = {".hex": LARGEST_HEX, ".bin": LARGEST_FLASH}.get(ending, LARGEST_ELF)
    with open(path, "rb") as file:
        return file.read(limit + 1)


def read_text(path: str, limit: int = _LARGEST_TEXT) -> bytes:
    """Read a page of release notes, a catalogue, a key or a report, of at most 16 MiB. Raises OSError."""
    data = _read_regular(path, limit + 1)
    if len(data) > limit:
        raise OSError(f"larger than {limit} bytes, which is too large for this kind of file")
    return data


def read_bundle(path: str) -> bytes:
    """Read a bundle: one byte more than the largest one at most. Raises OSError."""
    return _read_regular(path, LARGEST_BUNDLE + 1)


def read_start(path: str, size: int) -> bytes:
    """Read the first bytes of a regular file. Raises OSError."""
    return _read_regular(path, size)


def _read_regular(path: str, limit: int) -> bytes:
    """Read at most `limit` bytes of a regular file. Raises OSError.

    A pipe may never end, a device may block, and either may be put in place of a file: the open file itself is checked.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        if not stat.S_ISREG(mode):
            raise OSError(_NOT_REGULAR)
        return file.read(limit)


_NOT_REGULAR = "is not a regular file"


def refuse_special(path: str) -> None:
    """Raise OSError for a pipe, a socket or a device; opening one could wait for ever."""
    if _is_special(path) and not os.path.isdir(path):
        raise OSError(_NOT_REGULAR)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to create. `private`: readable by its owner only."""

    path: str
    data: bytes
    private: bool = False


def create_files(files: Sequence[NewFile]) -> None:
    """Create files, each completely or not at all, and all of them or none; no link is followed. Raises OSError.

    Each is written to a temporary file beside its place. A hard link then gives it its name, which fails where a file
    is by now. So a program that is killed never leaves an empty or a partial file under the name.
    """
    written: list[tuple[str, NewFile]] = []
    created: list[str] = []
    try:
        for file in files:
            written.append((_written_beside(file), file))
        for beside, file in written:
            _link_or_create(beside, file)
            created.append(file.path)
    except BaseException:
        for path in created:
            remove(path)
        raise
    finally:
        for beside, _ in written:
            remove(beside)


def _written_beside(file: NewFile) -> str:
    """Write a new file to a temporary file beside its place; return the path of that."""
    import tempfile

    handle, beside = tempfile.mkstemp(dir=os.path.dirname(file.path) or os.curdir, prefix=".imagekit-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.data)
            stream.flush()
            if not file.private and hasattr(os, "fchmod"):
                os.fchmod(handle, 0o666 & ~_umask())  # mkstemp made it private
            os.fsync(handle)
    except BaseException:
        remove(beside)
        raise
    return beside


_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What the system says on a file system without hard links, such as FAT."""


def _link_or_create(beside: str, file: NewFile) -> None:
    try:
        os.link(beside, file.path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        create_file(file.path, file.data, private=file.private)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def create_file(path: str, data: bytes, *, private: bool) -> None:
    """Write a new file, completely or not at all; `private`: readable by its owner only. Raises OSError."""
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


def create_folder(folder: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Write files into a folder that is new or empty: all of them or none. Raises OSError.

    They are written into a private folder beside it, which is then renamed. A link is not followed.
    """
    import shutil
    import tempfile

    place = os.path.abspath(folder)
    mode = _mode_of(place)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    beside = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=".imagekit-")
    try:
        for name, data in files:
            create_file(os.path.join(beside, name), data, private=False)
        _open_up(beside, mode)
        if os.path.isdir(place):
            os.rmdir(place)  # fails for a link, and for a folder that is not empty
        os.rename(beside, place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _mode_of(place: str) -> int:
    """Return the mode for the folder. Raises OSError when something other than an empty folder is there."""
    if not os.path.lexists(place):
        return 0o777 & ~_umask()
    if os.path.islink(place) or not os.path.isdir(place):
        raise FileExistsError("exists and is not a folder: name a new or an empty folder")
    if os.listdir(place):
        raise FileExistsError("is not empty: name a new or an empty folder")
    if os.path.samefile(place, os.curdir):
        raise FileExistsError("is the current folder: name another")
    return stat.S_IMODE(os.stat(place).st_mode)


def _open_up(folder: str, mode: int) -> None:
    """Give a private folder its mode, by handle: another folder could be at its path by now."""
    if not hasattr(os, "fchmod") or not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def write_file(path: str, data: bytes) -> None:
    """Write a file completely or not at all: to a temporary file beside it, which is then renamed. Raises OSError.

    A link is followed; an existing file keeps its mode; `-` is standard output; a device is written to directly.
    """
    if path == "-":
        _print_bytes(data)
        return
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o666 & ~_umask()
    # A rename would replace a read-only file, and root can write to one: neither is what its owner wants.
    if os.path.exists(path) and not mode & _ANY_WRITE:
        raise PermissionError(errno.EACCES, "is read-only: not replaced", path)
    if os.path.exists(path) and _holds_private_key(path):
        raise PermissionError(errno.EACCES, "holds a private key: not replaced", path)
    import tempfile

    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".imagekit-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            # mkstemp made it private. The mode is set by handle: another file could be at its path by now.
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _print_bytes(data: bytes) -> None:
    """Print bytes as they are: bytes to be signed must not gain a line end."""
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python docs, signal: SIGPIPE


_LARGEST_KEY = 1024 * 1024


def _holds_private_key(path: str) -> bool:
    """Return whether a file holds a private key, or anything in DER: keys cannot be made again.

    A comment may stand before a key in PEM. DER is one sequence as long as the file (X.690, section 8.1).
    """
    with open(path, "rb") as file:
        data = file.read(_LARGEST_KEY)
    return b"PRIVATE KEY-----" in data or _is_der(data)


def _is_der(data: bytes) -> bool:
    if len(data) < 4 or data[0] != 0x30:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    size = data[1] & 0x7F
    return 1 <= size <= 3 and len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")


@contextmanager
def locked_file(path: str) -> Iterator[None]:
    """Hold a file while it is read, changed and replaced, so that no change by another program is lost.

    Waits for another program that holds it. Raises OSError.
    """
    path = os.path.realpath(path)
    if sys.platform == "win32":  # an open file cannot be replaced there: the lock is a file beside it, which stays
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)
        lock_handle(handle, waits=True)
    else:
        handle = _locked_handle(path)
    try:
        yield
    finally:
        os.close(handle)


def _locked_handle(path: str) -> int:
    """Open and lock the file that is at a path: one that was replaced while we waited is not it any more."""
    while True:
        refuse_special(path)
        handle = os.open(path, os.O_RDONLY)
        try:
            lock_handle(handle, waits=True)
            is_still_there = os.path.samestat(os.fstat(handle), os.stat(path))
        except BaseException:
            os.close(handle)
            raise
        if is_still_there:
            return handle
        os.close(handle)


def lock_handle(handle: int, *, waits: bool) -> None:
    """Lock an open file until it is closed, by this process or by its end. Raises OSError when another has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK if waits else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)


def files_in(folder: str, endings: tuple[str, ...]) -> list[str]:
    """Return the files below a folder whose names end so, in any case; v1.5.0 comes before v1.11.0.

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
    """Return a sort key under which numbers in a name count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _is_special(path: str) -> bool:
    """Return whether a path is a pipe, a socket or a device: reading it might never end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # reading it says why
    return not stat.S_ISREG(mode)


def key_files(path: str) -> list[str]:
    """Return the files of trusted keys that a path names: itself, or *.pub and *.pem in a folder. Raises OSError."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if name.lower().endswith((".pub", ".pem")))
    if not names:
        raise OSError("holds no file of public keys, such as release.pub")
    return [os.path.join(path, name) for name in names]


def is_folder(path: str) -> bool:
    """Return whether a path is a folder, or a link to one."""
    return os.path.isdir(path)


def exists(path: str) -> bool:
    """Return whether something is at a path, even a link that leads nowhere."""
    return os.path.lexists(path)


def is_device(path: str) -> bool:
    """Return whether a path is a device or a pipe, which takes what is written to it, and not a file or a folder."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def is_same(path: str, other: str) -> bool:
    """Return whether two paths lead to one place."""
    return os.path.realpath(path) == os.path.realpath(other)


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return os.path.basename(path)


def folder_of(path: str) -> str:
    """Return a path without its last part; empty for a name alone."""
    return os.path.dirname(path)


def in_folder(folder: str, name: str) -> str:
    """Return the path of a name in a folder."""
    return os.path.join(folder, name)


def without_ending(path: str) -> str:
    """Return a path without the ending of its name, such as `.pem`."""
    return os.path.splitext(path)[0]


def is_open_to_others(path: str) -> bool:
    """Return whether other users can use a file in any way. Always False on Windows, whose modes do not tell it."""
    return os.name == "posix" and bool(os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def remove(path: str) -> None:
    """Remove a file, if that is possible."""
    with suppress(OSError):
        os.unlink(path)


def size_of(path: str) -> int | None:
    """Return the size of a file that was not read to its end; None where the system does not know it."""
    try:
        return os.stat(path).st_size or None if path != "-" else None
    except OSError:
        return None
