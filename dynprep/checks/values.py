"""What a network's output is as numbers, and what must hold of it whatever the network.

Shapes: T frames, (H, W) pixels of ``images/``, P numbers of tracks.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import AnyArray, Float64Array
from dynprep.artefacts.base import Artefact
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.normals import Normals
from dynprep.artefacts.sky import Sky
from dynprep.artefacts.tracks import PairTracks
from dynprep.backends.normals.from_depth import normals_of
from dynprep.scene.truth import Truth

_LEAST_SPREAD = 1e-4  # share of its size below which a map counts as constant
_FEWEST = 100  # pixels that a correlation is made of, at least
_SMOOTHING = (
    1.0  # pixels of the Gaussian that true depth is smoothed with, before its normals are taken
)
_STEP = 4  # pixels between those that are compared with the truth


def numbers(artefact: Artefact) -> list[Float64Array]:
    """Everything that a network gave, frame by frame: maps (H, W), or x and y (P,) of the tracks from a frame."""
    if isinstance(artefact, PairTracks):
        tracks = artefact.as_arrays()
        return [
            np.concatenate([t[:, :2].ravel() for (q, _), t in tracks.items() if q == query])
            for query in sorted({query for query, _ in tracks})
        ]
    arrays = artefact.as_arrays()
    maps = arrays[0] if isinstance(arrays, tuple) else arrays
    return [np.asarray(one, np.float64) for one in maps]


def span(values: list[Float64Array]) -> float:
    """The range that differences are shares of: from the 2nd to the 98th percentile, or all of it, above 0."""
    flat = np.concatenate([v.ravel() for v in values])
    low, high = np.quantile(flat, (0.02, 0.98))
    return float(high - low) or float(np.ptp(flat)) or 1.0


def is_constant(artefact: Artefact) -> bool:
    """Whether a map shows nothing, or no point moves."""
    if isinstance(artefact, PairTracks):
        tracks = artefact.as_arrays()
        moved = [
            np.abs(t[:, :2] - artefact.between(q, q)[:, :2])
            for (q, k), t in tracks.items()
            if k != q
        ]
        return all(float(m.max(initial=0)) == 0 for m in moved)
    return any(
        float(np.std(v)) <= _LEAST_SPREAD * float(np.abs(v).max()) for v in numbers(artefact)
    )


@dataclass(frozen=True)
class Difference:
    """How far two outputs are apart, in shares of the range: at most, and in the median."""

    most: float
    middle: float


def apart(one: Artefact, other: Artefact) -> Difference:
    """How far two outputs of one network are apart; of masks it is 1 - J, of the worst frame and in the median.

    Of depth it is so where neither sees sky, of normals where both have one: a rounding may move the edge of the rest.
    """
    if isinstance(one, ObjectMasks | Sky) and isinstance(other, ObjectMasks | Sky):
        from dynprep.metrics.regions import jaccard

        lost = [1 - jaccard(one.of(stem), other.of(stem)) for stem in one.frames.stems]
        return Difference(float(max(lost)), float(np.median(lost)))
    ours, theirs = numbers(one), numbers(other)
    if isinstance(one, DepthMap) and isinstance(other, DepthMap):
        for k, stem in enumerate(one.frames.stems):
            for sky in (one.sky(stem), other.sky(stem)):
                if sky is not None:
                    ours[k], theirs[k] = np.where(sky, 0, ours[k]), np.where(sky, 0, theirs[k])
    if isinstance(one, Normals) and isinstance(other, Normals):
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            both = np.logical_and(a.any(-1), b.any(-1))[..., None]
            ours[k], theirs[k] = np.where(both, a, 0), np.where(both, b, 0)
    return difference(ours, theirs)


def difference(one: list[Float64Array], other: list[Float64Array]) -> Difference:
    """Of two outputs of the same frames. Raises ValueError where their shapes differ."""
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"the shapes {a.shape} and {b.shape} differ")
    off = np.concatenate([np.abs(a - b).ravel() for a, b in zip(one, other, strict=True)])
    scale = span(other)
    return Difference(float(off.max()) / scale, float(np.median(off)) / scale)


def nearness(artefact: DepthMap, truth: Truth) -> float:
    """Mean rank correlation (Spearman) of a map with true nearness, 1 for the same order of every pixel."""
    from scipy.stats import spearmanr

    correlations = []
    for frame in artefact.frames.table:
        values = artefact.of(frame.stem)
        true = _at_size(truth.depth(frame.index), values.shape)
        near = -true if artefact.near_is_large else true
        known = np.isfinite(true) & (true > 0)
        picked = np.zeros_like(known)
        picked[::_STEP, ::_STEP] = known[::_STEP, ::_STEP]
        if picked.sum() >= _FEWEST:
            correlations.append(float(spearmanr(values[picked], near[picked]).statistic))
    return float(np.mean(correlations)) if correlations else float("nan")


def covered(artefact: ObjectMasks, truth: Truth) -> float:
    """Mean J of the masks with the label that is largest in the first frame, 1 for the same pixels."""
    from dynprep.metrics.regions import jaccard

    table = artefact.frames.table
    first = truth.label(table[0].index)
    number = np.bincount(first[first > 0]).argmax()
    overlaps = []
    for frame in table:
        mask = artefact.of(frame.stem)
        overlaps.append(jaccard(mask, _at_size(truth.label(frame.index), mask.shape) == number))
    return float(np.mean(overlaps))


def turned(artefact: Normals, truth: Truth) -> float:
    """Mean cosine of the angle between normals and those of the true depth, 1 for the same directions."""
    assert truth.poses is not None  # of the demo, on which networks are run
    camera = truth.poses["intrinsics"]
    cosines = []
    for frame in artefact.frames.table:
        normals = artefact.of(frame.stem)
        depth = _at_size(truth.depth(frame.index), normals.shape[:2])
        known = np.isfinite(depth) & (depth > 0)
        disparity = np.divide(1, depth, out=np.zeros(depth.shape, np.float32), where=known)
        true = normals_of(disparity, camera, _SMOOTHING)
        both = normals.any(-1) & true.any(-1)
        cosines.append((normals * true).sum(-1)[both])
    every = np.concatenate(cosines)
    return float(every.mean()) if every.size else float("nan")


def _at_size(depth: AnyArray, size: tuple[int, ...]) -> AnyArray:
    """A depth map at another size (H, W), by the nearest pixel."""
    if depth.shape == size:
        return depth
    return np.asarray(cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST))
