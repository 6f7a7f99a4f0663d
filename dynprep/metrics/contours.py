"""How steadily a mask's outline keeps its shape from frame to frame.

Shapes: (H, W) pixels of an image, N points of an outline.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float64Array, check_shapes

_POINTS = 100  # of an outline, at equal distances along it
# the histogram of Belongie et al. (2002): rings of distances, in times the mean one, and sectors of directions
_RINGS = np.geomspace(1 / 8, 2, 5)
_SECTORS = 12


def temporal_stability(masks: Sequence[BoolArray]) -> float:
    """Return T of a clip's masks (H, W), 0 to 1, the smaller the steadier; NaN where no two neighbours have an outline.

    "Temporal stability" as Perazzi et al. (2016) describe it: the longest outlines of two neighbouring frames, their
    points described by shape contexts (Belongie et al. 2002), are matched in their order by dynamic time warping; T is
    the mean cost of a match. Where an object goes and how large it is do not count, how it wobbles does. The paper
    leaves the number of points open; with another than 100 the figures are others. Raises ValueError for another
    number of axes.
    """
    contexts = [_shape_contexts(mask) for mask in masks]
    costs = [
        _matched(a, b)
        for a, b in zip(contexts, contexts[1:], strict=False)
        if a is not None and b is not None
    ]
    return float(np.mean(costs)) if costs else float("nan")


def outline(mask: BoolArray) -> Float64Array | None:
    """Return points x, y (N, 2) at equal distances along a mask's longest outline; None where there is none.

    Raises ValueError for another number of axes.
    """
    check_shapes(mask=(mask, "H W"))
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not found:
        return None
    longest = max(found, key=len)[:, 0].astype(float)
    closed = np.concatenate([longest, longest[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    if along[-1] == 0:  # a single pixel
        return None
    at = np.arange(_POINTS) * along[-1] / _POINTS
    return np.stack([np.interp(at, along, closed[:, k]) for k in range(2)], 1)


def _shape_contexts(mask: BoolArray) -> Float64Array | None:
    """Histograms (N, bins), each of sum 1, of where an outline's other points are as each of its points sees them."""
    points = outline(mask)
    if points is None:
        return None
    offset = points[None] - points[:, None]
    distance = np.linalg.norm(offset, axis=-1)
    others = ~np.eye(_POINTS, dtype=bool)
    ring = np.searchsorted(_RINGS, distance / distance[others].mean())
    angle = np.arctan2(offset[..., 1], offset[..., 0]) + np.pi
    sector = np.minimum((angle / (2 * np.pi) * _SECTORS).astype(int), _SECTORS - 1)
    rings = len(_RINGS)
    used = others & (ring < rings)  # what is far away counts nowhere, as in the paper
    histogram = np.zeros((_POINTS, rings * _SECTORS))
    row = np.broadcast_to(np.arange(_POINTS)[:, None], used.shape)
    np.add.at(histogram, (row[used], ring[used] * _SECTORS + sector[used]), 1)
    return histogram / np.maximum(histogram.sum(1, keepdims=True), 1)


def _matched(a: Float64Array, b: Float64Array) -> float:
    """Mean cost of the matches of two outlines' shape contexts (N, bins), in order."""
    # half the chi-squared distance, 0..1
    total = a[:, None] + b[None]
    squares = (a[:, None] - b[None]) ** 2
    cost = 0.5 * np.divide(squares, total, out=np.zeros_like(total), where=total > 0).sum(-1)
    # an outline has no first point: the turn of the second one that fits best point by point
    turns = [np.trace(np.roll(cost, -turn, axis=1)) for turn in range(_POINTS)]
    return _warped(np.roll(cost, -int(np.argmin(turns)), axis=1))


def _warped(cost: Float64Array) -> float:
    """Mean cost (N, N) along the cheapest way from the first pair to the last, by single steps in one or both."""
    rows = cost.tolist()
    # cheapest sum up to a pair, and how many pairs there are on that way
    before: list[tuple[float, int]] = []
    for i, row in enumerate(rows):
        now: list[tuple[float, int]] = []
        for j, value in enumerate(row):
            ways = [
                *([before[j - 1]] if i and j else []),
                *([before[j]] if i else []),
                *([now[j - 1]] if j else []),
            ]
            total, steps = min(ways, default=(0.0, 0))
            now.append((total + value, steps + 1))
        before = now
    total, steps = before[-1]
    return total / steps
