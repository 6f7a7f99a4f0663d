"""Which files of a dataset folder dynprep wrote, and what they held, so that nobody else's is ever touched."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.foreign import Malformed, read_json
from dynprep.store.verified import is_as_written

MANIFEST = "dynprep_files.json"


class _EntryShape(TypedDict):
    """A file as JSON."""

    size: int
    sha256: str
    stage: str | None
    target: NotRequired[str | None]


class _ManifestShape(TypedDict):
    """The manifest as JSON."""

    files: dict[str, _EntryShape]


@dataclass(frozen=True)
class WrittenFile:
    """A file that dynprep wrote: its size in bytes and SHA-256.

    stage: the stage that it shows, None for what tells of all; target: of a symbolic link, where it leads.
    """

    size: int
    sha256: str
    stage: str | None
    target: str | None = None


@dataclass
class Manifest:
    """The files of a scene's folder that dynprep wrote, by path relative to it."""

    folder: Path
    files: dict[str, WrittenFile] = field(default_factory=dict)

    @staticmethod
    def of(folder: Path) -> "Manifest":
        """Read a folder's manifest; empty where there is none. Raises UserError for one that cannot be read."""
        path = folder / MANIFEST
        try:
            raw: _ManifestShape = read_json(path, _ManifestShape)
        except (FileNotFoundError, NotADirectoryError):
            return Manifest(folder)
        except (Malformed, OSError) as error:
            raise UserError(
                f"{error}; without it dynprep cannot know its own files there: choose another dataset_dir"
            ) from None
        files = {}
        for name, entry in raw["files"].items():
            if name.startswith("/") or ".." in name.split("/"):
                raise UserError(f"{path}: '{name}' lies elsewhere; choose another dataset_dir")
            target = entry.get("target")
            files[name] = WrittenFile(entry["size"], entry["sha256"], entry["stage"], target)
        return Manifest(folder, files)

    def is_unchanged(self, relative: str) -> bool:
        """Whether what lies at ``relative`` is the file that dynprep put there, as it was written."""
        written = self.files.get(relative)
        path = self.folder / relative
        if written is None:
            return False
        if path.is_symlink() or written.target is not None:
            return path.is_symlink() and os.readlink(path) == written.target
        return path.is_file() and is_as_written(path, written.size, written.sha256)

    def foreign(self) -> Iterator[str]:
        """Paths of everything in the folder, links and files and folders without files, that dynprep did not write.

        A file of dynprep's that was changed since is not among them: see ``changed``.
        """
        for where, folders, files in os.walk(self.folder):
            inner = Path(where).relative_to(self.folder)
            links = [name for name in folders if Path(where, name).is_symlink()]
            folders[:] = sorted(set(folders) - set(links))
            for name in sorted([*files, *links]):
                relative = (inner / name).as_posix()
                if relative not in self.files and relative != MANIFEST:
                    yield relative
            if not (files or folders or links) and where != str(self.folder):
                yield inner.as_posix()

    def changed(self) -> list[str]:
        """Files of dynprep's that hold something else than it wrote, or were replaced by something else."""
        return [
            name
            for name in sorted(self.files)
            if os.path.lexists(self.folder / name) and not self.is_unchanged(name)
        ]

    def save(self) -> None:
        """Write the manifest."""
        files = {name: asdict(written) for name, written in sorted(self.files.items())}
        write_json(self.folder / MANIFEST, {"files": files})
