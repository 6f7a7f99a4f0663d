"""Files that are written completely or not at all, and hashed."""

import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dynprep.durable import sync_path

TEMPORARY = ".tmp-"  # how names of unfinished files begin
_BLOCK = 1 << 20
_MOST_HEADER = 1 << 16  # bytes of a .npy header, at most


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


def write_json(path: Path, value: Any, durable: bool = False) -> None:
    """Write ``value`` as JSON a person can read; NaN is refused.

    durable: return when it is on the disk and outlives a power cut.
    """
    content = (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        if durable:
            sync_path(temporary)
    if durable:
        sync_path(path.parent)


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


# Python 3.11 counts the depth of syntax trees for all threads together, and NumPy reads a file's
# header as one: two threads at once may fail
_HEADER = threading.Lock()


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """The array in a .npy file, without pickle; from any thread. mapped: read when it is used."""
    with _HEADER:
        values: NDArray[Any] = np.load(path, "r" if mapped else None, allow_pickle=False)
    return values


def array_of(content: bytearray) -> NDArray[Any]:
    """The array in the content of a .npy file, which it shares its memory with. Raises ValueError for another file."""
    file = io.BytesIO(content[:_MOST_HEADER])
    with _HEADER:
        version = np.lib.format.read_magic(file)
        read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are not read")
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    return np.ndarray(shape, dtype, content, file.tell(), order=order)


def read_arrays(
    file: Path | io.BytesIO, only: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays in a .npz file, by name. only: the names of those that are read; KeyError for another."""
    with _HEADER, np.load(file, allow_pickle=False) as bundle:
        return {key: bundle[key] for key in only or bundle.files}


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
