"""How well a scene's results match what is known to be true."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dynprep.metrics.depth import Pairs, Protocol
from dynprep.metrics.masks import MaskScores
from dynprep.metrics.tracks import TapVid
from dynprep.scene.truth import Truth
from dynprep.scores.values import values
from dynprep.stages.flow import OCCLUSION, queries_of, read_tracks, targets_of
from dynprep.stages.inputs import SceneResults
from dynprep.stages.masks import read_mask

Scores = dict[str, float]

_QUERIES = 8  # evenly spaced query frames whose tracks are scored
_SEEN = 0.5  # a track's occlusion below this means visible

_PROTOCOLS = {
    "depth": (Protocol("disparity", "video", "lsq"), Protocol("disparity", "image", "lsq")),
    "metric_depth": (Protocol("disparity"), Protocol("disparity", "video", "median")),
    "alignment": (Protocol("disparity"), Protocol("disparity", "video", "median")),
    "prior": (Protocol("depth", "image", "lsq"),),
}


def depth(inputs: SceneResults, stage: str, truth: Truth) -> Scores:
    """Of a stage's maps under each protocol of its kind; of what stands still where labels are
    known, which is said by ``/static``."""
    if len(truth.depths) <= _last(inputs):
        return {}
    static = len(truth.labels) > _last(inputs)
    found: Scores = {}
    for protocol in _PROTOCOLS[stage]:
        scores = protocol.judge(_pairs(inputs, truth, stage, static))
        found |= {f"{stage}/{k}{'/static' if static else ''}": v for k, v in scores.items()}
    return found


def masks(inputs: SceneResults, stage: str, truth: Truth) -> Scores:
    """J and F against the labels."""
    if len(truth.labels) <= _last(inputs):
        return {}
    total = MaskScores()
    for frame in inputs.frames.table:
        true = truth.label(frame.index) > 0
        mask = read_mask(inputs, frame.stem)
        if mask.shape != true.shape:
            size = true.shape[::-1]
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        total.update(mask, true)
    return {f"{stage}/{k}": float(v) for k, v in values(total).items()}


def tracks(inputs: SceneResults, stage: str, truth: Truth) -> Scores:
    """TAP-Vid's metrics of evenly spaced query frames against all others, at the written points."""
    frames, flow = inputs.frames, inputs[stage]
    if "npy" not in flow.recipe.options["formats"] or not truth.follows(_last(inputs)):
        return {}
    total = TapVid()
    queries = queries_of(flow, frames)
    chosen = np.unique(np.linspace(0, len(queries) - 1, _QUERIES).round().astype(int))
    for query in (queries[k] for k in chosen):
        stem = frames.stems[query]
        points = read_tracks(flow, stem, stem)[:, :2].astype(np.float64)
        for target in (frames.table[t] for t in targets_of(flow, query, frames)):
            size = (frames.height, frames.width)
            known = truth.tracks(frames.table[query].index, target.index, points, size)
            if target.stem == stem or not len(points) or known is None:
                continue
            there, seen, judged = known
            ours = torch.from_numpy(read_tracks(flow, stem, target.stem)[judged])
            true = torch.from_numpy(there[judged]), torch.from_numpy(seen[judged])
            total.update(ours[:, :2], ours[:, OCCLUSION] < _SEEN, *true, size)
    found = values(total)
    if not truth.knows_hiding:  # a flow without occlusion says nothing of visibility
        found = {k: v for k, v in found.items() if k == "delta_avg"}
    return {f"{stage}/{k}": v for k, v in found.items()}


def _pairs(inputs: SceneResults, truth: Truth, stage: str, static: bool) -> Pairs:
    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for frame in inputs.frames.table:
            true = truth.depth(frame.index).astype(np.float64)
            valid = np.isfinite(true) & (true > 0)
            if static:
                valid &= fitted(truth.label(frame.index), true.shape) == 0
            name = f"{frame.stem}_pred.npy" if stage == "prior" else f"{frame.stem}.npy"
            values = inputs[stage].array(name).astype(np.float64)
            if values.shape != true.shape:
                values = cv2.resize(values, true.shape[::-1], interpolation=cv2.INTER_LINEAR)
            yield torch.from_numpy(values[valid]), torch.from_numpy(true[valid])

    return pairs


def fitted(labels: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Labels at another size (H, W), by the nearest pixel."""
    if labels.shape == size:
        return labels
    return np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST))


def _last(inputs: SceneResults) -> int:
    return max(frame.index for frame in inputs.frames.table)
