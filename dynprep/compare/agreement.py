"""How far results of different runs agree, pair by pair and frame by frame.

Shapes: N different results of a stage.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.base import Agreement
from dynprep.compare.entries import Entry
from dynprep.cores import cores
from dynprep.evenly import evenly
from dynprep.store import ItemWriter, Recipe, Store

_VERSION = 2  # raised when the same results give other numbers
_FILE = "agreement.json"


@dataclass
class StageAgreement:
    """How far the different results of one stage of a scene agree.

    measure: what is measured; runs: names of the runs that share each result; matrix (N, N): means over frames;
    frames: by stem, the mean over pairs.
    """

    stage: str
    measure: str
    runs: list[list[str]]
    matrix: list[list[float | None]]
    frames: dict[str, float | None] = field(default_factory=dict)

    def extremes(self, count: int) -> tuple[list[str], list[str]]:
        """Stems of the frames that results agree on least, and most."""
        known = sorted((v, stem) for stem, v in self.frames.items() if v is not None)
        stems = [stem for _, stem in known]
        return stems[:count], stems[::-1][:count]


def distinct(
    entries: Sequence[Entry], stage: str, shown_only: bool = False
) -> dict[str, list[Entry]]:
    """The entries that share a stage's result, in order, by the result's key.

    shown_only: leave out results that no entry was asked for.
    """
    by_key: dict[str, list[Entry]] = {}
    for entry in entries:
        if stage in entry.results:
            by_key.setdefault(entry.results[stage]["key"], []).append(entry)
    return {
        key: same
        for key, same in by_key.items()
        if not shown_only or any(stage in entry.shown() for entry in same)
    }


def agreements(
    entries: Sequence[Entry], scenes: Mapping[str, SceneResults], stems: Sequence[str], store: Store
) -> list[StageAgreement]:
    """Agreement of every stage that has more than one result among the entries, which are of one scene.

    scenes: results by entry's name; stems: frames that are looked at.
    """
    stages = dict.fromkeys(name for entry in entries for name in entry.shown())
    return [
        _stage_agreement(Artefact.registry[stage], same, scenes, stems, store)
        for stage in stages
        if Artefact.registry[stage].agreement is not None
        and len(same := list(distinct(entries, stage, shown_only=True).values())) > 1
    ]


def _stage_agreement(
    artefact: type[Artefact],
    same: Sequence[Sequence[Entry]],
    scenes: Mapping[str, SceneResults],
    stems: Sequence[str],
    store: Store,
) -> StageAgreement:
    """Agreement of the different results of one artefact; same: the entries that share each."""
    agreement = artefact.agreement
    assert agreement is not None
    read = [scenes[entries[0].name] for entries in same]
    size = len(read)
    matrix: list[list[float | None]] = [
        [1.0 if i == j else None for j in range(size)] for i in range(size)
    ]
    frames: dict[str, list[float]] = {stem: [] for stem in stems}
    for i in range(size):
        for j in range(i):
            values = _cached(store, artefact, agreement, read[i], read[j], stems)
            known = [v for v in values.values() if v is not None]
            matrix[i][j] = matrix[j][i] = float(np.mean(known)) if known else None
            for stem, value in values.items():
                frames[stem] += [] if value is None else [value]
    means = {stem: float(np.mean(v)) if v else None for stem, v in frames.items()}
    runs = [[entry.name for entry in entries] for entries in same]
    return StageAgreement(artefact.name, agreement.measure, runs, matrix, means)


def _cached(
    store: Store,
    artefact: type[Artefact],
    agreement: Agreement,
    a: SceneResults,
    b: SceneResults,
    stems: Sequence[str],
) -> dict[str, float | None]:
    """Agreement of two results by stem, computed once for them."""
    a, b = sorted((a, b), key=lambda scene: scene.key(artefact))
    inputs = {f"{k}:{artefact.name}": scene.key(artefact) for k, scene in enumerate((a, b))}
    options = {"frames": list(stems)}
    recipe = Recipe(
        "agreement", artefact.name, kind_version=_VERSION, options=options, inputs=inputs
    )

    def write(writer: ItemWriter) -> None:
        with ThreadPoolExecutor(cores()) as pool:
            values = list(pool.map(lambda stem: agreement.per_frame(a, b, stem), stems))
        known = [None if np.isnan(v) else v for v in values]
        writer.json(_FILE, dict(zip(stems, known, strict=True)))

    values: dict[str, float | None] = store.cached(recipe, write).json(_FILE)
    return values


def common_stems(scenes: Mapping[str, SceneResults], most: int) -> list[str]:
    """Evenly spaced stems, at most ``most``, that every entry has."""
    stems = [set(scene.frames.stems) for scene in scenes.values()]
    shared = sorted(set.intersection(*stems)) if stems else []
    return evenly(shared, most)


def store_of(entries: Sequence[Entry]) -> Store:
    """Where numbers and pictures of a comparison are stored: the first entry's store."""
    config = entries[0].record["config"]
    return Store(Path(entries[0].record["store"]), bool(config["store"]["verify"]), may_make=False)
