"""The rows of a comparison: each run's scenes, read from records and the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynprep.artefacts import SceneResults
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.record_shape import RecordShape, read_record
from dynprep.run_file import DONE, find_runs
from dynprep.store import Result, Store


@dataclass(frozen=True)
class Entry:
    """One scene of one run. name: the run's, short; record: all of its ``run.json``."""

    name: str
    folder: Path
    scene: str
    record: RecordShape

    @property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """By stage: key, cost, hash of the files."""
        return self.record["scenes"][self.scene]["results"]

    def shown(self) -> list[str]:
        """Stages that were asked for."""
        return [name for name, result in self.results.items() if result["wanted"]]

    def scores(self) -> dict[str, float]:
        """Against the truth and without it, by name."""
        kinds = (self.record["scores"], self.record["consistency"])
        return {k: v for kind in kinds for k, v in kind.get(self.scene, {}).items()}

    def costs(self) -> dict[str, float]:
        """``seconds``: of making every result, whenever it was made; ``wall``: this run's own;
        ``GB`` and ``GPU_GB``: most memory of a stage that one process made, of the host and of its
        GPU; ``parameters``: of all networks, in millions."""
        results = self.results.values()
        config = self.record["config"]
        groups = dict.fromkeys(result["group"] for result in results)
        nodes = [config[group] for group in groups if isinstance(config.get(group), dict)]
        sizes = [node.get("parameters") for node in nodes]
        return {
            "seconds": sum(r["seconds"] or 0.0 for r in results),
            "wall": self.record["seconds"] or 0.0,
            "GB": max((r["memory"] or 0 for r in results), default=0) / 1e9,
            "GPU_GB": max((r["device_memory"] or 0 for r in results), default=0) / 1e9,
            "parameters": sum(s for s in sizes if isinstance(s, int | float)),
        }

    def frames(self) -> tuple[object, ...]:
        """What tells its frames from others: where they come from, and which of them."""
        source = self.record["scenes"][self.scene]["source"]
        table = Images.read_table(self._images()).table
        return (source["path"], *(frame.index for frame in table))

    def _images(self) -> Result:
        return Store(Path(self.record["store"]), may_make=False).open_result(
            Images.name, self.results[Images.name]["key"]
        )

    def read(self) -> SceneResults:
        """Its results in the store. Raises UserError for what was removed from there."""
        store = Store(Path(self.record["store"]), may_make=False)
        results = {s: store.open_result(s, r["key"]) for s, r in self.results.items()}
        return SceneResults(self.scene, Images.read_table(results[Images.name]), results)


def find_entries(folders: Sequence[Path]) -> tuple[list[Entry], dict[str, str]]:
    """Entries of runs, or of all runs of a sweep's folder, and by name the runs that are not done,
    with the reason. Raises UserError where a folder holds no run."""
    runs: list[Path] = []
    for folder in folders:
        inside = find_runs(folder)
        runs += inside
        if not inside:
            raise UserError(
                f"{folder}: holds no run; name folders of runs or sweeps, such as "
                "outputs/sweeps/DATE/TIME"
            )
    records = {run: read_record(run) for run in dict.fromkeys(runs)}
    names = _names(list(records))
    entries, undone = [], {}
    for run, record in records.items():
        if record["status"] == DONE:
            entries += [Entry(names[run], run, scene, record) for scene in record["scenes"]]
        else:
            undone[names[run]] = record["failure"] or record["status"]
    return entries, undone


def _names(runs: list[Path]) -> dict[Path, str]:
    """The shortest ends of paths that tell runs apart."""
    for parts in range(1, max((len(r.absolute().parts) for r in runs), default=1) + 1):
        names = {run: "/".join(run.absolute().parts[-parts:]) for run in runs}
        if len(set(names.values())) == len(runs):
            return names
    return {run: str(run) for run in runs}
