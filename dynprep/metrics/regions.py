"""How alike two masks or maps are, of one image."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Array = NDArray[np.float32]

_TOLERANCE = 0.008  # of the image's diagonal: how far a boundary may be off


def jaccard(predicted: Mask, true: Mask) -> float:
    """J of two masks (H, W); 1 where both are empty."""
    union = np.logical_or(predicted, true).sum()
    return float(np.logical_and(predicted, true).sum() / union) if union else 1.0


def boundary_f(predicted: Mask, true: Mask) -> float:
    """F of two masks (H, W): boundaries match where they are at most 0.8 % of the diagonal apart;
    1 where neither has one, 0 where one has."""
    ours, theirs = boundary(predicted), boundary(true)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    reach = math.ceil(_TOLERANCE * math.hypot(*true.shape))
    precision = float(ours[_widened(theirs, reach)].sum() / ours.sum())
    recall = float(theirs[_widened(ours, reach)].sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from the one on their right, below, or both, as DAVIS's tools
    count them."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right, below = mask, padded[:-1, 1:], padded[1:, :-1]
    return (here != right) | (here != below) | (here != padded[1:, 1:])


def _widened(edges: Mask, reach: int) -> Mask:
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= reach * reach).astype(np.uint8)
    return cv2.dilate(edges.astype(np.uint8), disc) > 0


def agreement(a: Array, b: Array, metric: bool) -> tuple[float, float]:
    """Correlation and mean |log a/b| of two maps (H, W); NaN for a constant map, or without a unit."""
    x, y = (v.astype(np.float64).ravel() for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    correlation = float((x * y).sum() / power) if power > 0 else float("nan")
    valid = (a > 0) & (b > 0)
    if not metric or not valid.any():
        return correlation, float("nan")
    return correlation, float(np.abs(np.log(a[valid] / b[valid])).mean())
