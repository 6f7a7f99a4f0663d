"""Addresses such as ``s3://bucket/clips``, and the file systems behind them."""

import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dynprep.errors import UserError
from dynprep.foreign import shown

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.+", re.DOTALL)
_HUB = "hf"
_LONGEST_REASON = 200  # letters of a library's message that are shown


def is_remote(path: str) -> bool:
    """Whether a path is an address with a scheme."""
    return _ADDRESS.fullmatch(path) is not None


@dataclass(frozen=True)
class RemotePath:
    """A file or folder by its address. ``str`` of it is the address, as of a path."""

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of the address."""
        return posixpath.basename(self.address.rstrip("/"))

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The suffix of the name, in lower case, with its dot."""
        return posixpath.splitext(self.name)[1].lower()

    @property
    def parent(self) -> "RemotePath":
        """The folder that it lies in."""
        return RemotePath(posixpath.dirname(self.address.rstrip("/")))

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.address.rstrip('/')}/{name}")

    @property
    def scheme(self) -> str:
        """What stands before ``://``."""
        return self.address.partition("://")[0]

    @property
    def is_hub(self) -> bool:
        """Whether it lies on the Hugging Face hub."""
        return self.scheme == _HUB

    def file_system(self) -> tuple[Any, str]:
        """The file system behind it, and what it calls the path. Raises UserError where a package is missing."""
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.address)
        except ImportError as error:  # fsspec says which package reads the scheme
            raise UserError(
                f"{self}: {self.scheme}:// needs a package that is not installed: pip install 'dynprep[remote]' "
                f"({_reason(error)})"
            ) from None
        except Exception as error:  # an unknown scheme, an account that is not set up
            raise UserError(f"{self}: {_reason(error)}; check the address") from None
        if hasattr(system, "auto_mkdir"):  # of folders on a disk; buckets have none
            system.auto_mkdir = True
        return system, path


@contextmanager
def plain_remote_errors(place: RemotePath) -> Iterator[None]:
    """Turns whatever a file system or its network refuses inside the block into a UserError."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{place}: no such file or folder; check the address") from None
    except PermissionError as error:
        raise UserError(
            f"{place}: access is refused ({_reason(error)}); check the account that is logged in, and its rights"
        ) from None
    except Exception as error:  # each file system has exceptions of its own
        raise UserError(
            f"{place}: cannot be reached ({_reason(error)}); check the address, the account and the network, then run "
            "the same command again"
        ) from None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return shown(text)[1:-1] if not text.isprintable() else text[:_LONGEST_REASON]
