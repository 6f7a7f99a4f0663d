"""Files of results whose content was compared with the hash that they were written with.

A process hashes a file when it first reads it, and again when its size, times or inode are other ones.
"""

import hashlib
import os
from pathlib import Path

from dynprep.errors import UserError

_BLOCK = 1 << 20
# by device and inode, which hard links share: Python's keyed hash of size, times of the last change, and SHA-256. Of
# the two times only the second, that of the inode, cannot be set back. Of a long clip there are tens of thousands
_known: dict[int, int] = {}


class Damaged(UserError):
    """A stored file that is gone or not as it was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: is gone or not as it was written; run the same command again: it is made anew"
        )


def remember(path: Path, digest: str) -> None:
    """Note the SHA-256 of a file that this process has just written, or linked: a link changes the inode's time."""
    _note(os.stat(path), digest)


def forget_all() -> None:
    """Hash every file anew when it is next read."""
    _known.clear()


def read_verified(path: Path, size: int, digest: str) -> bytearray:
    """The content of a file, hashed while it is in memory. Raises Damaged for one that is not as it was written."""
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size != size:
                raise Damaged(path)
            content = bytearray(size)
            view, count = memoryview(content), 0
            while count < size and (read := file.readinto(view[count:])):
                count += read
    except FileNotFoundError:
        raise Damaged(path) from None
    if not _is_known(status, digest):
        if count != size or hashlib.sha256(content).hexdigest() != digest:
            raise Damaged(path)
        _note(status, digest)
    return content


def is_as_written(path: Path | str, size: int, digest: str) -> bool:
    """Whether a regular file has that size and SHA-256."""
    try:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size != size:
                return False
            if _is_known(status, digest):
                return True
            hashed = hashlib.sha256()
            while block := file.read(_BLOCK):
                hashed.update(block)
    except OSError:
        return False
    if hashed.hexdigest() != digest:
        return False
    _note(status, digest)
    return True


def _note(status: os.stat_result, digest: str) -> None:
    _known[_identity(status)] = _state(status, digest)


def _is_known(status: os.stat_result, digest: str) -> bool:
    return _known.get(_identity(status)) == _state(status, digest)


def _identity(status: os.stat_result) -> int:
    """Device and inode as one number."""
    return (status.st_dev << 64) | status.st_ino


def _state(status: os.stat_result, digest: str) -> int:
    return hash((status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest))
