"""Image files from outside, opened with limits: only the formats that are meant, one clear line for all others."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from dynprep.errors import UserError
from dynprep.foreign import read_limited

SUFFIXES = (".jpg", ".jpeg", ".png")
# named at every open: by default Pillow runs Ghostscript for a .png that holds EPS
FORMATS = ("PNG", "JPEG")
_MOST_BYTES = 1 << 30
_DAMAGE = (
    *(UnidentifiedImageError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError),
    *(struct.error, zlib.error, Image.DecompressionBombError, MemoryError),
)


class UnreadableImage(UserError):
    """An image file that cannot be opened or decoded."""


def read_content(path: Path) -> bytes:
    """The bytes of an image file. Raises UnreadableImage."""
    try:
        return read_limited(path, _MOST_BYTES)
    except OSError as error:
        raise UnreadableImage(f"{path}: cannot be read ({error.strerror})") from None


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """An image file, PNG or JPEG, to be decoded inside the context; content: its bytes, where they were read already.

    Raises UnreadableImage for what is no such file, is damaged, or is too large to be a picture.
    """
    try:
        file = io.BytesIO(content) if content is not None else path.open("rb")
        with file, Image.open(file, formats=FORMATS) as image:
            yield image
    except UserError:
        raise
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableImage(
            f"{path}: not a complete PNG or JPEG image ({reason}); replace or remove it"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise UnreadableImage(f"{path}: cannot be read ({error.strerror})") from None
        raise UnreadableImage(
            f"{path}: not a complete PNG or JPEG image ({error}); replace or remove it"
        ) from None
