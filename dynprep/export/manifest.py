"""Which files of a dataset folder dynprep wrote, so that nobody else's is ever touched."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import TEMPORARY, write_json

MANIFEST = "dynprep_files.json"
_LITTER = re.compile(re.escape(TEMPORARY) + r"\d+-.+")  # of a run that was killed


@dataclass
class Manifest:
    """Identities by path relative to the scene's folder: [size, inode] of each version of a file
    that may lie there (two, while one replaces the other)."""

    folder: Path
    files: dict[str, list[list[int]]] = field(default_factory=dict)

    @staticmethod
    def of(folder: Path) -> "Manifest":
        """Read a folder's manifest; empty where there is none."""
        path = folder / MANIFEST
        try:
            raw = json.loads(path.read_text())
            files = {str(k): [[int(a), int(b)] for a, b in v] for k, v in raw.items()}
        except (FileNotFoundError, NotADirectoryError):
            files = {}
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f"{path}: not dynprep's ({error}); choose another dataset_dir"
            ) from None
        return Manifest(folder, files)

    def holds(self, relative: str) -> bool:
        """Whether the file at ``relative`` is one that dynprep put there. A file that was cut or
        changed in place is still ours (the store mends it); one that was put in its place is not."""
        stat = (self.folder / relative).stat()
        return any(stat.st_size == s or stat.st_ino == i for s, i in self.files.get(relative, []))

    def foreign(self, relative: str) -> bool:
        """Whether something that is not dynprep's lies at ``relative``."""
        path = self.folder / relative
        if not path.exists() and not path.is_symlink():
            return False
        return not path.is_file() or not self.holds(relative)

    def foreign_in(self, inner: str) -> list[str]:
        """Names in the folder ``inner`` that are not dynprep's; leftovers of a killed run are."""
        folder = self.folder / inner
        if not folder.is_dir():
            return [inner] if folder.exists() else []
        names = sorted(path.name for path in folder.iterdir())
        return [n for n in names if not _LITTER.fullmatch(n) and self.foreign(f"{inner}/{n}")]

    def add(self, relative: str, path: Path) -> None:
        """Count the file at ``path`` (there or about to be linked there) as ours."""
        stat = path.stat()
        versions = self.files.setdefault(relative, [])
        if [stat.st_size, stat.st_ino] not in versions:
            versions.append([stat.st_size, stat.st_ino])

    def settle(self) -> None:
        """Keep only what lies there now and is ours, and write the manifest."""
        ours = {
            r: self.folder / r
            for r in self.files
            if (self.folder / r).is_file() and not self.foreign(r)
        }
        self.files = {r: [[p.stat().st_size, p.stat().st_ino]] for r, p in ours.items()}
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        write_json(self.folder / MANIFEST, self.files)
