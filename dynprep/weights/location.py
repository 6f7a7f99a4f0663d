"""Where weights are: a local file or folder, the hub's cache, or the hub."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.weights import hub
from dynprep.weights.hub import SUFFIXES


@dataclass(frozen=True)
class Weights:
    """Where a network's weights are published, and a local copy that is used instead.

    hub: a repository of the Hugging Face hub; revision: its branch, tag or commit; files: what is needed of it,
    alternatives of one file separated by ``|``; checkpoint: a local file or folder that is used instead; option: how
    the user calls that setting."""

    hub: str
    revision: str
    files: tuple[str, ...]
    checkpoint: str | None
    option: str

    def fetch(self, say: Callable[[str], None]) -> None:
        """Make sure that the weights are on this machine. Raises UserError where they cannot be."""
        if self.checkpoint is not None:
            self._local()
        elif hub.cached(self.hub, self.revision, self.files) is None:
            hub.download(self.hub, self.revision, self.files, self.option, say)

    def place(self) -> Path:
        """The local folder, or the one local file. ``fetch`` comes before it."""
        if self.checkpoint is not None:
            return self._local()
        folder = hub.cached(self.hub, self.revision, self.files)
        if folder is None:
            weights = next(n for n in self._names() if n.endswith(SUFFIXES))
            why = "they are not on this machine, and nothing that was asked for fetches them"
            raise hub.absent(self.hub, weights, self.option, why)
        return folder

    def folder(self) -> Path:
        """The folder that holds config.json and the weights, for libraries that want one."""
        place = self.place()
        folder = place if place.is_dir() else place.parent
        if place.is_file() and place.name not in self._names():
            raise UserError(
                f"{self.option}={place}: these weights are a folder; give {folder} with "
                f"{' or '.join(n for n in self._names() if n.endswith(SUFFIXES))} in it"
            )
        index = self.files[0]
        if not (folder / index).is_file():
            raise UserError(
                f"{self.option}={self.checkpoint}: there is no {index} in {folder}; give a folder "
                f"like the hub's {self.hub}"
            )
        return folder

    def file(self) -> Path:
        """The one file that holds the tensors."""
        place = self.place()
        if place.is_file():
            return place
        names = self._names()
        files = [place / n for n in names if n.endswith(SUFFIXES) and (place / n).is_file()]
        if not files:
            weights = [n for n in names if n.endswith(SUFFIXES)]
            raise UserError(
                f"{self.option}={place}: holds no {' or '.join(weights)}; give the folder or the file "
                f"of the hub's {self.hub}"
            )
        return files[0]

    def identity(self) -> str:
        """What tells these weights from others: the hub's commit, or hashes of the local files."""
        place = self.place()
        if self.checkpoint is None:
            return f"hub:{self.hub}@{place.name}"
        folder = place if place.is_dir() else place.parent
        # what is read: a file's own neighbours, as its config.json, count; readme files do not
        used = [folder / name for name in self._names()]
        if place.is_file():
            used = [place, *(p for p in used if p.suffix == ".json")]
        lines = [f"{p.relative_to(folder)} {_hash(p)}" for p in dict.fromkeys(used) if p.is_file()]
        return "sha256:" + "\n".join(lines)

    def _names(self) -> list[str]:
        return [name for entry in self.files for name in entry.split("|")]

    def _local(self) -> Path:
        path = Path(self.checkpoint or "").expanduser()
        if not path.exists():
            raise UserError(
                f"{self.option}={path}: there is no such file or folder; check the path"
            )
        if path.is_file() and path.suffix not in SUFFIXES:
            raise UserError(
                f"{self.option}={path}: not a file of weights ({', '.join(SUFFIXES)}), nor a folder"
            )
        return path


def _hash(path: Path) -> str:
    about = path.stat()
    return _hash_of(path, about.st_size, about.st_mtime_ns, about.st_ino)


@lru_cache(maxsize=1024)
def _hash_of(path: Path, size: int, changed: int, inode: int) -> str:
    """SHA-256 of a file of weights, computed once a process: it is large, and every scene and stage asks for it."""
    return sha256(path)
