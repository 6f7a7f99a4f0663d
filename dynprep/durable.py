"""What has been written stays written when the power goes."""

import ctypes
import os
import sys
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Return when the files of ``folder`` and their names are on the disk.

    On Linux one call flushes the file system that the folder is on; elsewhere each file is flushed.
    """
    if sys.platform == "linux" and _syncfs(folder):
        return
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            sync_path(path)
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        sync_path(path)


def sync_path(path: Path) -> None:
    """Flush one file, or the names in one folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot flush folders
            raise
    finally:
        os.close(descriptor)


def _syncfs(folder: Path) -> bool:
    """Whether the system flushed the file system of ``folder``."""
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):  # another C library
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        status: int = function(descriptor)
    finally:
        os.close(descriptor)
    return status == 0
