"""``latest``: a link beside the folders of runs, or of sweeps, that points to the last one."""

import os
from pathlib import Path

NAME = "latest"
_HOMES = ("runs", "sweeps")  # folders that hold runs and sweeps, or a folder a date of them


def point_to_latest(folder: Path) -> None:
    """Point ``outputs/runs/latest`` to a run, or ``outputs/sweeps/latest`` to a sweep.

    A folder that lies elsewhere has no such link, and so has a file system without links. What is called so and is
    no such link of dynprep's stays.
    """
    folder = folder.absolute()
    home = next((above for above in folder.parents[:2] if above.name in _HOMES), None)
    if home is None or folder.name == NAME:
        return
    link, fresh = home / NAME, home / f".{NAME}-{os.getpid()}"
    if (link.is_symlink() or link.exists()) and not _is_own(link, home):
        return
    try:
        fresh.symlink_to(folder.relative_to(home), target_is_directory=True)
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)


def _is_own(link: Path, home: Path) -> bool:
    """Whether a link is one that this file makes: relative, to a folder inside ``home``."""
    if not link.is_symlink():
        return False
    target = link.readlink()
    return not target.is_absolute() and ".." not in target.parts
