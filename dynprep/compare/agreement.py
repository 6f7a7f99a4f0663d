"""How far results of different runs agree, pair by pair and frame by frame."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynprep.compare.entries import Entry
from dynprep.cores import cores
from dynprep.metrics.regions import agreement, jaccard
from dynprep.stages.flow import OCCLUSION, queries_of, read_tracks, targets_of
from dynprep.stages.inputs import SceneResults
from dynprep.stages.masks import read_mask
from dynprep.store import ItemWriter, Recipe, Store

_VERSION = 2  # raise it when the same results give other numbers
_FILE = "agreement.json"
_SEEN = 0.5  # a track's occlusion below this means visible
_PIXELS = 40_000  # of a map that are compared
_NEAR = 4.0  # pixels between tracks that agree
_TARGETS = 8  # evenly spaced frames that a query's tracks are compared in, at most

# of two scenes at a frame: how alike they are, 1 for the same; NaN where nothing can be said
PerFrame = Callable[[SceneResults, SceneResults, str], float]


def _maps(stage: str, a: SceneResults, b: SceneResults, stem: str) -> float:
    name = f"{stem}_pred.npy" if stage == "prior" else f"{stem}.npy"
    x, y = _thinned(a[stage].array(name)), _thinned(b[stage].array(name))
    return agreement(x, y, False)[0] if x.shape == y.shape else float("nan")


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every k-th row and column, so that about ``_PIXELS`` are left."""
    step = max(1, round((values.size / _PIXELS) ** 0.5))
    return values[::step, ::step]


def _metric(stage: str, a: SceneResults, b: SceneResults, stem: str) -> float:
    """exp(−mean |log ratio|): 0.9 where one disparity is typically 0.9 of the other."""
    x, y = (_thinned(s[stage].array(f"{stem}.npy")) for s in (a, b))
    return float(np.exp(-agreement(x, y, True)[1])) if x.shape == y.shape else float("nan")


def _masks(a: SceneResults, b: SceneResults, stem: str) -> float:
    x, y = read_mask(a, stem), read_mask(b, stem)
    return jaccard(x, y) if x.shape == y.shape else float("nan")


def _tracks(a: SceneResults, b: SceneResults, stem: str) -> float:
    """Share of points, seen in both, that lie at most 4 px apart."""
    forms = [(s.frames.height, s.frames.width, s["flow"].recipe.options["rate"]) for s in (a, b)]
    written = all("npy" in s["flow"].recipe.options["formats"] for s in (a, b))
    if forms[0] != forms[1] or not written:
        return float("nan")
    query = a.number(stem)
    both = [
        *set(targets_of(a["flow"], query, a.frames)) & set(targets_of(b["flow"], query, b.frames))
    ]
    if any(query not in queries_of(s["flow"], s.frames) for s in (a, b)) or len(both) < 2:
        return float("nan")
    near = seen = 0
    for k in np.unique(np.linspace(0, len(both) - 1, _TARGETS).round().astype(int)):
        target = a.frames.stems[sorted(both)[k]]
        x, y = (read_tracks(s["flow"], stem, target) for s in (a, b))
        if target == stem or x.shape != y.shape:
            continue
        judged = (x[:, OCCLUSION] < _SEEN) & (y[:, OCCLUSION] < _SEEN)
        near += int((np.linalg.norm(x[:, :2] - y[:, :2], axis=1)[judged] <= _NEAR).sum())
        seen += int(judged.sum())
    return near / seen if seen else float("nan")


# by stage: what is measured, and how it is called
MEASURES: dict[str, tuple[str, PerFrame]] = {
    "masks": ("J", _masks),
    "metric_depth": ("typical ratio of disparities", partial(_metric, "metric_depth")),
    "depth": ("correlation of disparity", partial(_maps, "depth")),
    "alignment": ("typical ratio of disparities", partial(_metric, "alignment")),
    "prior": ("correlation of depth", partial(_maps, "prior")),
    "flow": (f"share of tracks within {_NEAR:g} px", _tracks),
}


@dataclass
class StageAgreement:
    """Of the different results of one stage of a scene. runs: names of the runs that share each
    result; matrix (N, N) means over frames; frames: by stem the mean over pairs."""

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


def distinct(entries: Sequence[Entry], stage: str) -> dict[str, list[Entry]]:
    """By key: the entries that share a stage's result, in order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if stage in entry.results:
            found.setdefault(entry.results[stage]["key"], []).append(entry)
    return found


def agreements(
    entries: Sequence[Entry], read: Mapping[str, SceneResults], stems: Sequence[str], store: Store
) -> list[StageAgreement]:
    """Of every stage that has more than one result among the entries, which are of one scene.

    read: results by entry's name; stems: frames that are looked at."""
    found = []
    for stage, (measure, per_frame) in MEASURES.items():
        shared = {
            key: same
            for key, same in distinct(entries, stage).items()
            if any(stage in e.shown() for e in same)
        }
        if len(shared) < 2:
            continue
        scenes = [read[same[0].name] for same in shared.values()]
        size = len(scenes)
        matrix: list[list[float | None]] = [
            [1.0 if i == j else None for j in range(size)] for i in range(size)
        ]
        frames: dict[str, list[float]] = {stem: [] for stem in stems}
        for i in range(size):
            for j in range(i):
                values = _kept(store, stage, scenes[i], scenes[j], stems, per_frame)
                known = [v for v in values.values() if v is not None]
                matrix[i][j] = matrix[j][i] = float(np.mean(known)) if known else None
                for stem, value in values.items():
                    frames[stem] += [] if value is None else [value]
        means = {stem: float(np.mean(v)) if v else None for stem, v in frames.items()}
        runs = [[e.name for e in same] for same in shared.values()]
        found.append(StageAgreement(stage, measure, runs, matrix, means))
    return found


def _kept(
    store: Store,
    stage: str,
    a: SceneResults,
    b: SceneResults,
    stems: Sequence[str],
    per_frame: PerFrame,
) -> dict[str, float | None]:
    """By stem; computed once for the two results."""
    a, b = sorted((a, b), key=lambda scene: scene[stage].key)
    inputs = {f"{k}:{stage}": scene[stage].key for k, scene in enumerate((a, b))}
    recipe = Recipe("agreement", _VERSION, stage, {"frames": list(stems)}, None, inputs)

    def write(writer: ItemWriter) -> None:
        with ThreadPoolExecutor(cores()) as pool:
            values = list(pool.map(lambda stem: per_frame(a, b, stem), stems))
        told = [None if np.isnan(v) else v for v in values]
        writer.json(_FILE, dict(zip(stems, told, strict=True)))

    found: dict[str, float | None] = store.kept(recipe, write).json(_FILE)
    return found


def common_stems(read: Mapping[str, SceneResults], most: int) -> list[str]:
    """Evenly spaced stems, at most ``most``, that every entry has."""
    stems = [set(scene.frames.stems) for scene in read.values()]
    shared = sorted(set.intersection(*stems)) if stems else []
    at = np.unique(np.linspace(0, len(shared) - 1, min(most, len(shared))).round().astype(int))
    return [shared[k] for k in at] if shared else []


def store_of(entries: Sequence[Entry]) -> Store:
    """Where numbers and pictures of a comparison are kept: the first entry's store."""
    config = entries[0].record["config"]
    return Store(Path(entries[0].record["store"]), bool(config["store"]["verify"]))
