"""Which runs and datasets use which results, so that others can be removed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.run_file import RUN_FILE
from dynprep.store.store import Store

FOLDER = "references"
PROVENANCE = "dynprep.json"  # in a dataset: what filled it


@dataclass(frozen=True)
class Reference:
    """A run's folder, the one that holds its datasets, and its results by scene and stage as keys."""

    run: str
    dataset_dir: str
    results: dict[str, dict[str, str]]

    def alive(self) -> bool:
        """Whether the run's record, or a dataset that it was the last to fill, is still there."""
        return (Path(self.run) / RUN_FILE).is_file() or any(
            self._filled(folder) for folder in self.datasets()
        )

    def datasets(self) -> list[Path]:
        """One folder a scene."""
        return [Path(self.dataset_dir) / scene for scene in self.results]

    def _filled(self, folder: Path) -> bool:
        try:
            found = json.loads((folder / PROVENANCE).read_text())
        except (OSError, ValueError):
            return False
        return bool(Path(found["run"]["folder"]).absolute() == Path(self.run))

    def names(self) -> set[tuple[str, str]]:
        """(stage, key) of every result."""
        return {(s, key) for stages in self.results.values() for s, key in stages.items()}


def remember(
    store: Store, run: Path, dataset_dir: Path, results: Mapping[str, Mapping[str, str]]
) -> None:
    """Note that ``run`` uses ``results``; what a former run in the same folder used is forgotten."""
    name = hashlib.sha256(str(run.absolute()).encode()).hexdigest()[:32]
    reference = Reference(
        str(run.absolute()),
        str(dataset_dir.absolute()),
        {scene: dict(stages) for scene, stages in results.items()},
    )
    write_json(store.root / FOLDER / f"{name}.json", asdict(reference))


def made_in(store: Store, path: Path) -> dict[str, str]:
    """Stage and key of the result that holds ``path``; empty for a path outside of the store."""
    if not path.is_absolute() or store.root not in path.parents:
        return {}
    parts = path.relative_to(store.root).parts
    return {parts[0]: parts[1]} if len(parts) > 1 else {}


def references(store: Store) -> dict[Path, Reference]:
    """All notes, by file. Raises UserError for one that cannot be read."""
    found = {}
    for path in sorted((store.root / FOLDER).glob("*.json")):
        try:
            found[path] = Reference(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not readable ({error}); remove it, or what it names counts as unused"
            ) from None
    return found
