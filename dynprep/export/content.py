"""What a folder that dynprep writes is to hold, so that one that holds it already is left alone."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.cores import in_threads
from dynprep.export.manifest import Manifest, WrittenFile
from dynprep.foreign import Malformed, read_json
from dynprep.links import LinkKind, place
from dynprep.store import Result
from dynprep.store.references import PROVENANCE, ProvenanceShape, RunShape
from dynprep.store.verified import remember

_OWN_COPIES: tuple[LinkKind, ...] = ("copy", "reflink")  # files that share no inode with the store
_AT_ONCE = 16  # files that a thread shows before it takes the next


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a result, by its name there. stage: that it shows."""

    result: Result
    name: str
    stage: str


@dataclass(frozen=True, slots=True)
class ComposedFile:
    """A JSON file that no result holds. stage: that it tells of, None for all."""

    content: bytes
    stage: str | None

    @staticmethod
    def of(value: Any, stage: str | None) -> "ComposedFile":
        """The file that holds a JSON value."""
        return ComposedFile((json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), stage)

    def fact(self) -> WrittenFile:
        """What the manifest says of it."""
        return WrittenFile(len(self.content), hashlib.sha256(self.content).hexdigest(), self.stage)

    def write(self, path: Path) -> WrittenFile:
        """Write it to a new file; returns what the manifest says of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return self.fact()


@dataclass
class Content:
    """The files of a folder by path relative to it, and its provenance.

    link: how files of the store are shown; stored: those files; composed: JSON files; carried: files of the folder
    that is replaced which move along.
    """

    link: LinkKind
    provenance: Mapping[str, Any]
    stored: dict[str, StoredFile] = field(default_factory=dict)
    composed: dict[str, ComposedFile] = field(default_factory=dict)
    carried: dict[str, WrittenFile] = field(default_factory=dict)

    def is_shown_by(self, before: Manifest) -> bool:
        """Whether a folder, of which no file was changed, has these files and no others, whichever run laid it out."""
        last = last_provenance(before.folder)
        if last is None:
            return False
        laid_out_by = {name: last["run"].get(name) for name in RunShape.__annotations__}
        provenance = {**self.provenance, "run": {**self.provenance["run"], **laid_out_by}}
        wanted = {path: self._shown(file) for path, file in self.stored.items()}
        wanted |= {path: file.fact() for path, file in self.composed.items()}
        wanted |= {**self.carried, PROVENANCE: ComposedFile.of(provenance, None).fact()}
        return wanted == before.files and all(os.path.lexists(before.folder / p) for p in wanted)

    def write(self, before: Manifest, new: Path) -> Manifest:
        """Fill the folder ``new``, which replaces that of ``before``, and save and return its manifest."""
        manifest = Manifest(new)
        stored = list(self.stored.items())

        def show(part: slice) -> list[WrittenFile]:
            return [self._show(before, new, path, file) for path, file in stored[part]]

        parts = [slice(k, k + _AT_ONCE) for k in range(0, len(stored), _AT_ONCE)]
        shown = (written for part in in_threads(show, parts) for written in part)
        manifest.files.update(zip(self.stored, shown, strict=True))
        for path, written in self.carried.items():
            source = before.folder / path
            place(source, new / path, "hard" if _is_own(source) else self.link)
            manifest.files[path] = written
        provenance = {PROVENANCE: ComposedFile.of(self.provenance, None)}
        for path, composed in {**self.composed, **provenance}.items():
            manifest.files[path] = composed.write(new / path)
        manifest.save()
        return manifest

    def _show(self, before: Manifest, new: Path, path: str, file: StoredFile) -> WrittenFile:
        """Show a file of the store at ``path`` in ``new``; a copy that is in the old folder already moves along."""
        shown = self._shown(file)
        source, link = file.result.checked_file(file.name), self.link
        if link in _OWN_COPIES and _has_own_copy(before, path, shown):
            source, link = before.folder / path, "hard"
        place(source, new / path, link)
        remember(source, shown.sha256)
        return shown

    def _shown(self, file: StoredFile) -> WrittenFile:
        """What the manifest says of a file of the store."""
        size, digest = file.result.fact(file.name)
        target = None
        if self.link == "symlink":
            target = os.path.realpath(file.result.checked_file(file.name))
        return WrittenFile(size, digest, file.stage, target)


def last_provenance(folder: Path) -> ProvenanceShape | None:
    """What the run that laid out a folder wrote there; None where none did."""
    try:
        provenance: ProvenanceShape = read_json(folder / PROVENANCE, ProvenanceShape)
    except (OSError, Malformed):
        return None
    return provenance


def _has_own_copy(before: Manifest, path: str, wanted: WrittenFile) -> bool:
    """Whether a folder holds the file that is wanted at ``path``, and nothing else shares its inode."""
    written = before.files.get(path)
    if written is None or written.sha256 != wanted.sha256 or not before.is_unchanged(path):
        return False
    return _is_own(before.folder / path)


def _is_own(path: Path) -> bool:
    """Whether a regular file has no other name."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
