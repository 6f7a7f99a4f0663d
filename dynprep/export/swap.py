"""A folder made beside the one that it replaces, and put in its place at once.

Whoever is killed in between leaves the old folder or the new one, never a mixture; what was left over is cleared up by
``recover`` when the folder is written next.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from dynprep.durable import sync_folder, sync_path
from dynprep.errors import UserError
from dynprep.export.manifest import MANIFEST, Manifest

_UNFINISHED = ".dynprep-unfinished"  # a file: everything in that folder was just written by dynprep
_AT_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_SWAP = 2  # RENAME_SWAP of macOS
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def begin(folder: Path) -> Path:
    """An empty folder beside ``folder``, to be filled and given to ``replace``. The caller holds the folder's lock."""
    recover(folder)
    new = _new(folder)
    new.mkdir(parents=True)
    (new / _UNFINISHED).touch()
    return new


def replace(folder: Path) -> None:
    """Put the folder that ``begin`` gave in the place of ``folder``, on the disk.

    What dynprep did not write moves along from the old folder, the rest of which is removed. The folder's manifest
    tells them apart.
    """
    new = _new(folder)
    (new / _UNFINISHED).unlink()
    sync_folder(new)
    if not folder.exists():
        os.rename(new, folder)
    elif not _exchange(new, folder):
        os.rename(folder, _old(folder))
        os.rename(new, folder)
    sync_path(folder.parent)
    recover(folder)


def recover(folder: Path) -> None:
    """Clear up what a process that was killed in ``replace`` left beside ``folder``."""
    new, old = _new(folder), _old(folder)
    if (new / _UNFINISHED).exists() or (new.is_dir() and not any(new.iterdir())):
        shutil.rmtree(new)
    if not folder.exists():
        for left in (new, old):  # between two renames: the new one is whole
            if left.exists():
                os.rename(left, folder)
                break
    for left in (new, old):
        if left.exists():
            _clear(left, folder)


def _clear(old: Path, folder: Path) -> None:
    """Move what is not dynprep's from the old folder to the new one, and remove the rest of the old one."""
    manifest = Manifest.of(old)
    for relative in list(manifest.foreign()):
        source, target = old / relative, folder / relative
        if target.is_dir() and source.is_dir() and not source.is_symlink():
            continue  # an empty folder
        if os.path.lexists(target):
            raise UserError(
                f"{source}: is yours and cannot be moved to {target}, where something else lies by now; move one "
                "of them away and run again"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
    for relative in (*manifest.files, MANIFEST):
        with contextlib.suppress(FileNotFoundError):
            (old / relative).unlink()
    for where, _, _ in os.walk(old, topdown=False):
        os.rmdir(where)


def _new(folder: Path) -> Path:
    return folder.with_name(f".dynprep-new-{folder.name}")


def _old(folder: Path) -> Path:
    return folder.with_name(f".dynprep-old-{folder.name}")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names at once; False where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            folder_descriptor = _AT_CURRENT_FOLDER
            status = library.renameat2(
                folder_descriptor, names[0], folder_descriptor, names[1], _EXCHANGE
            )
        elif sys.platform == "darwin":
            status = library.renamex_np(*names, _SWAP)
        else:
            return False
    except AttributeError:  # an old C library
        return False
    if status == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
