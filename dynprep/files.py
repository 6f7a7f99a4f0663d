"""Files that are written completely or not at all, hashed, linked."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEMPORARY = ".tmp-"  # how names of unfinished files begin
_BLOCK = 1 << 20


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name, then rename."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON a person can read; NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def sha256(path: Path) -> str:
    """The content's SHA-256 in hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_all(files: Iterable[Path]) -> str:
    """Names and hashes of files, one line each: what identifies a folder's content."""
    return "\n".join(f"{path.name} {sha256(path)}" for path in files)


def sweep_temporary(folder: Path) -> None:
    """Remove what an interrupted writer left in ``folder``; the caller holds the folder's lock."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``source``, or a copy where links cannot be; an old ``target`` is replaced."""
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            # the file itself: a link to a symlink would hang in the air
            os.link(os.path.realpath(source), temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)


# Python 3.11 counts the depth of syntax trees for all threads together, and NumPy reads a file's
# header as one: two threads at once may fail
_HEADER = threading.Lock()


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """The array in a .npy file, without pickle; from any thread. mapped: read when it is used."""
    with _HEADER:
        values: NDArray[Any] = np.load(path, "r" if mapped else None, allow_pickle=False)
    return values


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a .npz file, by name."""
    with _HEADER, np.load(path, allow_pickle=False) as bundle:
        return {key: bundle[key] for key in bundle.files}


def free_bytes(folder: Path) -> int:
    """Free space of the disk that ``folder``, or its nearest existing parent, lies on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def human_bytes(count: float) -> str:
    """Bytes in words, 1536 as ``1.5 kB``: decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
