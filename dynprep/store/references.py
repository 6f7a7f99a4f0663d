"""Which runs and datasets use which results, so that others can be removed."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.foreign import Malformed, read_json
from dynprep.run_file import RUN_FILE
from dynprep.store.store import REFERENCES, Store

PROVENANCE = "dynprep.json"  # in a dataset: what filled it


class RunShape(TypedDict):
    """What a provenance says of the run that wrote the dataset last."""

    folder: str
    sweep: str | None
    started: float


class ProvenanceShape(TypedDict):
    """A dataset's provenance, as far as the program itself reads it."""

    run: RunShape
    layout: dict[str, str]
    folders: dict[str, dict[str, Any]]
    made_of: dict[str, dict[str, str]]


class _ReferenceShape(TypedDict):
    """A note as JSON."""

    run: str
    started: float
    dataset_dir: str
    results: dict[str, dict[str, str]]
    pinned: bool


@dataclass(frozen=True)
class Reference:
    """A run's folder and start (seconds since 1970), the folder that holds its datasets, and its
    results by scene and stage as keys. pinned: counts whatever became of the run."""

    run: str
    started: float
    dataset_dir: str
    results: dict[str, dict[str, str]]
    pinned: bool = False

    def alive(self) -> bool:
        """Whether the run's record, or a dataset that it was the last to fill, is still there, or
        nothing can be said: its disk is not here."""
        return (
            self.pinned
            or self._is(Path(self.run) / RUN_FILE, "started")
            or any(self._is(d / PROVENANCE, "run", "started") for d in self.datasets())
            or not _reachable(Path(self.run))
        )

    def datasets(self) -> list[Path]:
        """One folder a scene."""
        return [Path(self.dataset_dir) / scene for scene in self.results]

    def names(self) -> set[tuple[str, str]]:
        """(stage, key) of every result."""
        return {(s, key) for stages in self.results.values() for s, key in stages.items()}

    def _is(self, path: Path, *where: str) -> bool:
        """Whether the file says that this run wrote it."""
        try:
            value = read_json(path, dict[str, Any])
            for name in where:
                value = value[name]
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, Malformed, KeyError, TypeError):
            return True  # there, but not to be read: nothing is given up for that
        return bool(value == self.started)


def _reachable(path: Path) -> bool:
    """Whether more than a top-level folder of ``path`` is there: else its disk may be elsewhere."""
    near = next(p for p in [path, *path.parents] if p.exists())
    return len(near.parts) > len(path.parts[:2])


def remember(
    store: Store,
    run: Path,
    started: float,
    dataset_dir: Path,
    results: Mapping[str, Mapping[str, str]],
    pinned: bool = False,
) -> None:
    """Note that ``run``, begun at ``started``, uses ``results``."""
    reference = Reference(
        str(run.absolute()),
        started,
        str(dataset_dir.absolute()),
        {scene: dict(stages) for scene, stages in results.items()},
        pinned,
    )
    remember_as_it_is(store, reference)


def remember_as_it_is(store: Store, reference: Reference) -> None:
    """Write a note, such as another store has it."""
    what = f"{reference.run} {reference.started}"
    name = hashlib.sha256(what.encode()).hexdigest()[:32]
    write_json(store.root / REFERENCES / f"{name}.json", asdict(reference), durable=True)


def made_in(store: Store, path: Path | None) -> dict[str, str]:
    """Stage and key of the result that holds ``path``; empty for a path outside of the store."""
    if path is None or not path.is_absolute() or store.root not in path.parents:
        return {}
    parts = path.relative_to(store.root).parts
    return {parts[0]: parts[1]} if len(parts) > 1 else {}


def references(store: Store) -> dict[Path, Reference]:
    """All notes, by file. Raises UserError for one that cannot be read."""
    notes = {}
    for path in sorted((store.root / REFERENCES).glob("*.json")):
        try:
            raw: _ReferenceShape = read_json(path, _ReferenceShape)
        except FileNotFoundError:  # removed meanwhile
            continue
        except (Malformed, OSError) as error:
            raise UserError(
                f"{error}; it says which results a run uses: remove it if that run is not needed any more"
            ) from None
        notes[path] = Reference(**raw)
    return notes
