"""``latest``: a link beside the folders of runs, or of sweeps, that points to the last one."""

import os
from pathlib import Path

NAME = "latest"
_HOMES = (
    "runs",
    "sweeps",
)  # folders that hold a folder a date, in which runs and sweeps have theirs


def point_to_latest(folder: Path) -> None:
    """Point ``outputs/runs/latest`` to a run, or ``outputs/sweeps/latest`` to a sweep.

    A folder that lies elsewhere has no such link, and so has a file system without links.
    """
    home = folder.absolute().parent.parent
    if home.name not in _HOMES:
        return
    link, fresh = home / NAME, home / f".{NAME}-{os.getpid()}"
    if link.exists() and not link.is_symlink():
        return  # somebody else's
    try:
        fresh.symlink_to(folder.absolute().relative_to(home), target_is_directory=True)
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)
