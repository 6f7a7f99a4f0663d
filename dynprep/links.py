"""The same content at a second path: hard link, reflink, symbolic link or copy."""

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from dynprep.files import atomic_path

LinkKind = Literal["hard", "reflink", "symlink", "copy"]
READ_ONLY = 0o444

_FICLONE = (
    0x40049409  # ioctl of Linux (linux/fs.h): share the blocks of another file until one is written
)
_CLONE_NOFOLLOW = 1  # of macOS' clonefile
# marks of Docker and Podman, and words in the control groups of what starts containers
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_WORDS = ("docker", "kubepods", "containerd", "lxc", "libpod")
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def resolve_link(kind: LinkKind | Literal["auto"]) -> LinkKind:
    """What ``auto`` means here: a hard link, or a copy where a read-only file can be written all the same."""
    if kind != "auto":
        return kind
    return "copy" if writes_read_only_files() else "hard"


def writes_read_only_files() -> bool:
    """Whether this process is root or in a container, where a file's mode protects nothing."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return True
    if any(map(os.path.exists, _CONTAINER_FILES)):
        return True
    try:
        groups = Path("/proc/1/cgroup").read_text()
    except OSError:
        return False
    return any(word in groups for word in _CONTAINER_WORDS)


def place(source: Path, target: Path, kind: LinkKind) -> None:
    """Make ``target`` show what ``source`` holds, read-only, in place of what was there.

    Where the file system cannot do what ``kind`` says, the file is copied.
    """
    if kind == "symlink":
        with atomic_path(target) as temporary:
            temporary.unlink(missing_ok=True)
            os.symlink(os.path.realpath(source), temporary)
        return
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        if kind != "hard" or not _hard_link(source, temporary):
            clone(source, temporary)


def clone(source: Path, target: Path) -> None:
    """Copy a file to ``target``, which must not exist, read-only: by sharing its blocks where that can be."""
    if sys.platform == "darwin" and _clonefile(source, target):
        target.chmod(READ_ONLY)
        return
    with source.open("rb") as read, target.open("xb") as written:
        if not _ficlone(read.fileno(), written.fileno()):
            shutil.copyfileobj(read, written, 1 << 20)
    target.chmod(READ_ONLY)


def _hard_link(source: Path, target: Path) -> bool:
    try:
        # the file itself: a link to a symlink would hang in the air
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _ficlone(source: int, target: int) -> bool:
    """Whether Linux made ``target`` (open files' descriptors) share the blocks of ``source``."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _clonefile(source: Path, target: Path) -> bool:
    """Whether macOS cloned the file."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    status: int = library.clonefile(os.fsencode(source), os.fsencode(target), _CLONE_NOFOLLOW)
    return status == 0
