"""Image files from outside, opened with limits: only the formats that are meant, one clear line for all others."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from dynprep.errors import UserError
from dynprep.foreign import read_limited

SUFFIXES = (".jpg", ".jpeg", ".png")
# named at every open: by default Pillow runs Ghostscript for a .png that holds EPS
FORMATS = ("PNG", "JPEG")
_MOST_BYTES = 1 << 30
_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAY_ORIENT = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
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


def orientation(image: Image.Image) -> int:
    """How an opened picture is to be turned, 1 to 8 as in EXIF. A PNG is decoded only where metadata follow its pixels.

    Pillow would decode every PNG to look for them; it is called for each frame before any work.
    """
    if image.format == "PNG" and "exif" not in image.info and not _has_later_metadata(image):
        exif = Image.Image.getexif(image)  # Pillow's for PNG decodes first
    else:
        exif = image.getexif()
    return int(exif.get(_ORIENTATION, 1))


def _has_later_metadata(image: Image.Image) -> bool:
    """Whether chunks that may hold an orientation stand behind a PNG's pixels. Raises SyntaxError for one cut short."""
    file: Any = image.fp  # type: ignore[attr-defined]
    start = file.tell()
    has_pixels = False
    try:
        file.seek(len(_PNG_SIGNATURE))
        while True:
            header = file.read(8)
            if len(header) < 8:
                if has_pixels:
                    return True  # its end is missing: whether that matters, decoding will show
                raise SyntaxError("cut short")
            length, kind = struct.unpack(">I4s", header)
            if kind == b"IEND":
                return False
            if has_pixels and kind in _MAY_ORIENT:
                return True
            has_pixels = has_pixels or kind == b"IDAT"
            file.seek(length + 4, io.SEEK_CUR)
    finally:
        file.seek(start)
