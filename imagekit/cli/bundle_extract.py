"""Write the files of a bundle into a folder of their own: all of them or none, and through no link."""

import os
import shutil
import stat
import tempfile
from collections.abc import Sequence

from imagekit.files import create_file


def write_folder(folder: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Write files into a folder that is new or empty. Raises OSError.

    They are written into a private folder beside it, which then takes its name.
    """
    place = os.path.abspath(folder)  # noqa: PTH100 - a link must stay one
    mode = _mode_of(place)
    os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
    beside = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=".imagekit-")  # noqa: PTH120
    try:
        for name, data in files:
            create_file(os.path.join(beside, name), data, private=False)  # noqa: PTH118
        _open_up(beside, mode)
        if os.path.isdir(place):  # noqa: PTH112
            os.rmdir(place)  # noqa: PTH106 - a link or a folder with something in it stays, and is an error
        os.rename(beside, place)  # noqa: PTH104
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _mode_of(place: str) -> int:
    """The mode that the folder is to have. Raises OSError when it is there and no empty folder."""
    umask = os.umask(0)
    os.umask(umask)
    if not os.path.lexists(place):
        return 0o777 & ~umask
    if os.path.islink(place) or not os.path.isdir(place):  # noqa: PTH112, PTH114
        raise FileExistsError("file exists, and is no folder: name a new or an empty one")
    if os.listdir(place):  # noqa: PTH208
        raise FileExistsError("not empty: nothing is written over what is there")
    if os.path.samefile(place, os.curdir):  # noqa: PTH121
        raise FileExistsError("is the folder that you are in: name another")
    return stat.S_IMODE(os.stat(place).st_mode)  # noqa: PTH116


def _open_up(folder: str, mode: int) -> None:
    """Give a private folder its mode, by a handle: by its path, another could be meant by now."""
    if not hasattr(os, "fchmod") or not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, mode)
    finally:
        os.close(handle)
