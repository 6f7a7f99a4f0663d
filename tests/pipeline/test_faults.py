"""What a system refuses is said of the right place."""

import errno
import os
from pathlib import Path

import pytest

from dynprep.errors import UserError
from dynprep.pipeline.faults import plain_errors


@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        (errno.EACCES, "/in/mask.png", "/in/mask.png: Permission denied; check its permissions"),
        (errno.EACCES, "S/masks/a", "S/masks/a: cannot be written .* choose another store_dir"),
        (errno.EROFS, "S/masks/a", "cannot be written .* choose another store_dir"),
        (errno.ENOSPC, "S/masks/a", "store_dir=S: the disk is full"),
        (errno.ENOTDIR, "S/masks", "S/masks: is in the way"),
    ],
)
def test_a_refusal_names_what_was_refused(number: int, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said), plain_errors("store_dir", Path("S")):
        raise OSError(number, os.strerror(number), name)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(FileNotFoundError), plain_errors("store_dir", Path("S")):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "S/a")
