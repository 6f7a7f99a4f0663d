"""What a system refuses, said so that a user can mend it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import free_bytes, human_bytes

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


def explained(error: OSError, option: str, folder: Path) -> Exception:
    """A UserError for a full, read-only or blocked place; any other error as it is.

    option: the setting that chose ``folder``.
    """
    where = f"{option}={folder}"
    if error.errno in _CLOSED and error.filename is not None and not _lies_in(error, folder):
        return UserError(f"{error.filename}: {error.strerror}; check its permissions")
    if error.errno in _FULL:
        return UserError(
            f"{where}: the disk is full ({human_bytes(free_bytes(folder))} free); free space or "
            f"choose another {option} and run again: finished items stay stored"
        )
    if error.errno in _CLOSED:
        return UserError(
            f"{error.filename or where}: cannot be written ({error.strerror}); choose another {option}"
        )
    if error.errno in _IN_THE_WAY:
        return UserError(
            f"{error.filename or where}: is in the way ({error.strerror}); move it or choose another "
            f"{option}"
        )
    return error


def _lies_in(error: OSError, folder: Path) -> bool:
    """Whether the file that an error names lies in ``folder``: else it is none of those that are written there."""
    name = Path(os.fsdecode(error.filename)).absolute()
    return name.is_relative_to(folder.expanduser().absolute())


@contextmanager
def plain_errors(option: str, folder: Path) -> Iterator[None]:
    """Turns what the system refuses inside the block into a UserError."""
    try:
        yield
    except OSError as error:
        raise explained(error, option, folder) from None
