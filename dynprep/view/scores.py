"""How well a scene's results match what is known to be true."""

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dynprep.metrics.depth import DepthErrors, Pairs, errors, fit_video
from dynprep.metrics.masks import jaccard
from dynprep.metrics.tracks import CycleConsistency, TapVid
from dynprep.pipeline.plan import ScenePlan
from dynprep.scene.truth import Truth
from dynprep.stages.flow import OCCLUSION, queries_of, read_tracks, targets_of
from dynprep.stages.inputs import Frames
from dynprep.stages.masks import read_mask
from dynprep.vision.affine import Affine
from dynprep.vision.sampling import inside, pixel_grid, sample

_QUERIES = 8  # evenly spaced query frames whose tracks are scored
_CYCLE_QUERIES = 4  # whose cycles are measured: each reads two files a pair
_AS_IS = Affine(1.0, 0.0)
_SEEN = 0.5  # a track's occlusion below this means visible


def score(scene: ScenePlan, stages: Iterable[str]) -> dict[str, float]:
    """Scores by name for those of ``stages`` that there is truth for. Empty without truth."""
    if scene.source.truth is None:
        return {}
    truth = Truth(scene.source.truth)
    shown = set(stages)
    last = max(frame.index for frame in scene.frames.table)
    found: dict[str, float] = {}
    if len(truth.depths) > last:
        static = len(truth.labels) > last
        for stage, fitted in (("depth", True), ("metric_depth", False), ("alignment", False)):
            if stage in shown:
                pairs = _depth_pairs(scene, truth, stage, static)
                fit = fit_video(pairs) if fitted else _AS_IS
                how = "disparity/video/lsq" if fitted else "depth/none"
                found |= _named(stage, how + ("/static" if static else ""), errors(pairs, fit))
    if "masks" in shown and len(truth.labels) > last:
        found["masks/J"] = float(np.mean(list(_overlaps(scene, truth))))
    if "flow" in shown and truth.poses is not None and len(truth.depths) > last:
        found |= {f"flow/{k}": v for k, v in _tracks(scene, truth).items()}
    return {k: v for k, v in found.items() if not math.isnan(v)}


def _named(stage: str, how: str, e: DepthErrors) -> dict[str, float]:
    return {
        f"{stage}/absrel/{how}": e.absrel,
        f"{stage}/rmse/{how}": e.rmse,
        f"{stage}/delta1/{how}": e.delta1,
    }


def _depth_pairs(scene: ScenePlan, truth: Truth, stage: str, static: bool) -> Pairs:
    def pairs() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        for frame in scene.frames.table:
            true = truth.depth(frame.index).astype(np.float64)
            valid = np.isfinite(true) & (true > 0)
            if static:
                valid &= truth.label(frame.index) == 0
            values = scene.results[stage].array(f"{frame.stem}.npy").astype(np.float64)
            if values.shape != true.shape:
                values = cv2.resize(values, true.shape[::-1], interpolation=cv2.INTER_LINEAR)
            yield values[valid], 1 / true[valid]

    return pairs


def _overlaps(scene: ScenePlan, truth: Truth) -> Iterator[float]:
    inputs = scene.inputs()
    for frame in scene.frames.table:
        true = truth.label(frame.index) > 0
        mask = read_mask(inputs, frame.stem)
        if mask.shape != true.shape:
            size = true.shape[::-1]
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        yield jaccard(mask, true)


def _tracks(scene: ScenePlan, truth: Truth) -> dict[str, float]:
    """Of evenly spaced query frames against all others, at the written points."""
    frames, flow = scene.frames, scene.results["flow"]
    if truth.depth(0).shape != (frames.height, frames.width):
        return {}
    if "npy" not in flow.recipe.options["formats"]:
        return {}
    total = TapVid()
    queries = queries_of(flow, frames)
    chosen = np.unique(np.linspace(0, len(queries) - 1, _QUERIES).round().astype(int))
    for query in (queries[k] for k in chosen):
        stem = frames.stems[query]
        points = read_tracks(flow, stem, stem)[:, :2].astype(np.float64)
        for target in (frames.table[t] for t in targets_of(flow, query, frames)):
            if target.stem == stem or not len(points):
                continue
            tracks = read_tracks(flow, stem, target.stem)
            there, seen = truth.follow(frames.table[query].index, target.index, points)
            total.update(
                torch.from_numpy(tracks[:, :2]),
                torch.from_numpy(tracks[:, OCCLUSION] < _SEEN),
                torch.from_numpy(there),
                torch.from_numpy(seen),
                (frames.height, frames.width),
            )
    return _plain(total)


def consistency(scene: ScenePlan, stages: Iterable[str]) -> dict[str, float]:
    """What can be said without truth: how far tracks come back after going there and back again."""
    if "flow" not in stages:
        return {}
    frames, flow = scene.frames, scene.results["flow"]
    options = flow.recipe.options
    if "npy" not in options["formats"] or options["mask_only"] or len(frames) < 2:
        return {}  # the way back is read between the points of a whole grid
    queries = queries_of(flow, frames)
    total = CycleConsistency()
    chosen = np.unique(np.linspace(0, len(queries) - 1, _CYCLE_QUERIES).round().astype(int))
    for query in (queries[k] for k in chosen):
        stem = frames.stems[query]
        start = read_tracks(flow, stem, stem)[:, :2]
        for target in targets_of(flow, query, frames):
            if target == query or target not in queries:
                continue
            there = read_tracks(flow, stem, frames.stems[target])
            way = read_tracks(flow, frames.stems[target], stem)
            back = _between(way, there[:, :2], frames, int(options["rate"]))
            judged = (there[:, OCCLUSION] < _SEEN) & (back[:, OCCLUSION] < _SEEN)
            judged &= inside(there[:, :2], frames.height, frames.width)
            total.update(*(torch.from_numpy(part) for part in (start, back[:, :2], judged)))
    return {f"flow/cycle/{k}": v for k, v in _plain(total).items() if not math.isnan(v)}


def _between(
    tracks: NDArray[np.float32], at: NDArray[np.float32], frames: Frames, rate: int
) -> NDArray[np.float32]:
    """Tracks of a frame's whole grid read bilinearly at ``at`` (N, 2): (N, 4)."""
    rows, columns = -(-frames.height // rate), -(-frames.width // rate)
    moved = tracks.copy()
    moved[:, :2] -= pixel_grid(frames.height, frames.width, rate).reshape(-1, 2)
    x, y = (at / rate).astype(np.float32).T
    read = sample(moved.reshape(rows, columns, 4), np.stack([x, y], 1))
    read[:, :2] += at
    return read


def _plain(metric: TapVid | CycleConsistency) -> dict[str, float]:
    if not metric.points:
        return {}
    return {k: float(v) for k, v in metric.compute().items()}
