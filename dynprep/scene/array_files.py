"""Arrays in .npy files from outside: numbers alone, as many as the header says, within limits."""

from pathlib import Path

from dynprep.arrays import AnyArray
from dynprep.errors import UserError
from dynprep.files import array_of
from dynprep.foreign import read_limited

_MOST_BYTES = 1 << 32
_NUMBERS = "fiub"


class UnreadableArray(UserError):
    """A .npy file that cannot be read, or holds something else than numbers."""


def read_numbers(path: Path) -> AnyArray:
    """The array in the .npy file ``path``. Raises UnreadableArray."""
    try:
        content = bytearray(read_limited(path, _MOST_BYTES))
        values = array_of(content)
    except OSError as error:
        raise UnreadableArray(f"{path}: cannot be read ({error.strerror})") from None
    except (
        ValueError,
        TypeError,
        SyntaxError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise UnreadableArray(
            f"{path}: not a complete .npy file ({reason}); replace or remove it"
        ) from None
    if values.dtype.kind not in _NUMBERS or values.dtype.names is not None:
        raise UnreadableArray(f"{path}: holds {values.dtype}, numbers are meant")
    return values
