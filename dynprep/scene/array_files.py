"""Arrays in .npy and .npz files from outside: numbers alone, as many as the header says, within limits."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dynprep.arrays import AnyArray
from dynprep.errors import UserError
from dynprep.files import array_of, read_array, read_arrays
from dynprep.foreign import read_limited

_MOST_BYTES = 1 << 32
_NUMBERS = "fiub"


class UnreadableArray(UserError):
    """A file that holds no array of numbers, or cannot be read."""


def read_numbers(path: Path, mapped: bool = False) -> AnyArray:
    """The array in the .npy file ``path``; mapped: read from the disk when it is used. Raises UnreadableArray."""
    with _refused_in_one_line(path):
        if mapped and path.is_file():
            values = read_array(path, mapped=True)
        else:
            values = array_of(bytearray(read_limited(path, _MOST_BYTES)))
    return _numbers(path, values)


def read_named_numbers(path: Path, only: Sequence[str] | None = None) -> dict[str, AnyArray]:
    """The arrays in the .npz file ``path``, by name. only: the names of those that are read. Raises UnreadableArray."""
    with _refused_in_one_line(path):
        arrays = read_arrays(io.BytesIO(read_limited(path, _MOST_BYTES)), only)
    return {name: _numbers(path, values) for name, values in arrays.items()}


def _numbers(path: Path, values: AnyArray) -> AnyArray:
    if values.dtype.kind not in _NUMBERS or values.dtype.names is not None:
        raise UnreadableArray(f"{path}: holds {values.dtype}, numbers are meant")
    return values


@contextmanager
def _refused_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UnreadableArray(
            f"{path}: cannot be read ({error.strerror or str(error).splitlines()[0]})"
        ) from None
    except Exception as error:  # whatever NumPy or zipfile find wrong with the file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableArray(
            f"{path}: not a complete {path.suffix} file ({reason}); replace or remove it"
        ) from None
