"""What a scene's results say of themselves and of each other. Consistency is not accuracy."""

import numpy as np
import torch
from numpy.typing import NDArray

from dynprep.metrics.consistency import EdgeSharpness, WarpConsistency, likeness
from dynprep.metrics.tracks import CycleConsistency
from dynprep.scores.values import values
from dynprep.stages.alignment import REPORT
from dynprep.stages.flow import OCCLUSION, queries_of, read_tracks, targets_of
from dynprep.stages.inputs import Frames, SceneResults
from dynprep.vision.sampling import inside, pixel_grid, sample

Scores = dict[str, float]

_CYCLE_QUERIES = 4  # whose cycles are measured: each reads two files a pair
_SEEN = 0.5  # a track's occlusion below this means visible
_RANGE = (0.02, 0.98)  # quantiles that a map's range is measured between


def cycles(inputs: SceneResults, stage: str) -> Scores:
    """How far tracks come back after going there and back again: of evenly spaced query frames
    with all others, and of neighbouring frames alone."""
    frames, flow = inputs.frames, inputs[stage]
    if not _readable(inputs, stage) or flow.recipe.options["mask_only"]:
        return {}  # the way back is read between the points of a whole grid
    queries = queries_of(flow, frames)
    total, following = CycleConsistency(), CycleConsistency()
    chosen = np.unique(np.linspace(0, len(queries) - 1, _CYCLE_QUERIES).round().astype(int))
    for query in (queries[k] for k in chosen):
        for target in targets_of(flow, query, frames):
            if target != query and target in queries:
                total.update(*_cycle(inputs, stage, query, target))
    for query in queries:
        if query + 1 in targets_of(flow, query, frames) and query + 1 in queries:
            following.update(*_cycle(inputs, stage, query, query + 1))
    found = {f"{stage}/cycle/{k}": v for k, v in values(total).items()}
    return found | {f"{stage}/cycle_next/{k}": v for k, v in values(following).items()}


def steadiness(inputs: SceneResults, stage: str) -> Scores:
    """OPW: how much a map changes along tracks to the next frame, in shares of its range. Read it
    beside ``flow/cycle_next``: wrong tracks make a steady map look restless."""
    frames, flow = inputs.frames, inputs["flow"]
    if not _readable(inputs, "flow"):
        return {}
    spans = [np.subtract(*np.quantile(_map(inputs, stage, s), _RANGE[::-1])) for s in frames.stems]
    span = float(np.median(spans))
    total = WarpConsistency()
    for query in queries_of(flow, frames):
        if query + 1 not in targets_of(flow, query, frames):
            continue
        here, there = frames.stems[query], frames.stems[query + 1]
        start = read_tracks(flow, here, here)[:, :2]
        moved = read_tracks(flow, here, there)
        weight = likeness(sample(inputs.rgb(here), start), sample(inputs.rgb(there), moved[:, :2]))
        weight *= inside(moved[:, :2], frames.height, frames.width) & (moved[:, OCCLUSION] < _SEEN)
        a = torch.from_numpy(sample(_map(inputs, stage, here), start))
        b = torch.from_numpy(sample(_map(inputs, stage, there), moved[:, :2]))
        total.update(a, b, torch.from_numpy(weight), span)
    return {f"{stage}/opw/range": float(v) for v in values(total).values()}


def edges(inputs: SceneResults, stage: str) -> Scores:
    """How sharp a map's edges are, and how many lie on edges of the image."""
    total = EdgeSharpness()
    for stem in inputs.frames.stems:
        total.update(_map(inputs, stage, stem), inputs.rgb(stem))
    return {f"{stage}/edges/{k}": float(v) for k, v in values(total).items()}


def fits(inputs: SceneResults, stage: str) -> Scores:
    """Of the alignment: residual in 1/m and inliers (share), means over frames; and how restless
    its scale and shift are: the mean change from frame to frame, in shares of the median scale,
    and in 1/m."""
    frames = list(inputs[stage].json(REPORT)["frames"].values())
    scale, shift = (np.array([f[k] for f in frames]) for k in ("scale", "shift"))
    middle = abs(float(np.median(scale)))
    changes = np.abs(np.diff(scale)).mean() / middle if len(frames) > 1 and middle else np.nan
    return {
        "alignment/residual": float(np.mean([f["residual"] for f in frames])),
        "alignment/inliers": float(np.mean([f["inliers"] for f in frames])),
        "alignment/scale_change": float(changes),
        "alignment/shift_change": float(np.abs(np.diff(shift)).mean())
        if len(frames) > 1
        else np.nan,
    }


def _map(inputs: SceneResults, stage: str, stem: str) -> NDArray[np.float32]:
    return inputs[stage].array(f"{stem}.npy").astype(np.float32)


def _readable(inputs: SceneResults, stage: str) -> bool:
    return "npy" in inputs[stage].recipe.options["formats"] and len(inputs.frames) > 1


def _cycle(
    inputs: SceneResults, stage: str, query: int, target: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Start and return (N, 2) of a query frame's points, and which are visible both ways (N,)."""
    frames, flow = inputs.frames, inputs[stage]
    stem, other = frames.stems[query], frames.stems[target]
    start = read_tracks(flow, stem, stem)[:, :2]
    there, way = read_tracks(flow, stem, other), read_tracks(flow, other, stem)
    back = _between(way, there[:, :2], frames, int(flow.recipe.options["rate"]))
    judged = (there[:, OCCLUSION] < _SEEN) & (back[:, OCCLUSION] < _SEEN)
    judged &= inside(there[:, :2], frames.height, frames.width)
    return torch.from_numpy(start), torch.from_numpy(back[:, :2]), torch.from_numpy(judged)


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
