"""Where folders are about to be written: checks before any work."""

import os
from pathlib import Path

from dynprep.errors import UserError


def check_target(root: Path, store: Path) -> None:
    """Make the folder ``root``. Raises UserError where it cannot be written, or it or the store lies in the other."""
    dataset, results = Path(os.path.realpath(root)), Path(os.path.realpath(store))
    if dataset == results or results in dataset.parents or dataset in results.parents:
        raise UserError(
            f"dataset_dir={root} and store_dir={store} lie one in the other; give them folders of their own"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".dynprep-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"dataset_dir={root}: cannot be written ({error.strerror}); choose another dataset_dir"
        ) from None


def real(folder: Path) -> Path:
    """The folder; of a symbolic link, what it leads to. Raises UserError for a file."""
    target = Path(os.path.realpath(folder)) if folder.is_symlink() else folder
    if os.path.lexists(target) and not target.is_dir():
        raise UserError(
            f"{folder}: is no folder, and one would be written there; move it away or choose another dataset_dir"
        )
    return target
