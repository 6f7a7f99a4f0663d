"""How similar two masks or two maps of one image are.

Shapes: (H, W) pixels of an image.
"""

import math

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, check_shapes

# of the image's diagonal: how far a boundary may be off, as DAVIS's tools have it
_TOLERANCE = 0.008


def jaccard(predicted: BoolArray, true: BoolArray) -> float:
    """Return J, intersection over union, of two masks (H, W); 1 where both are empty.

    "Region similarity" of Perazzi et al. (2016). Raises ValueError for masks of two shapes.
    """
    check_shapes(predicted=(predicted, "H W"), true=(true, "H W"))
    union = np.logical_or(predicted, true).sum()
    return float(np.logical_and(predicted, true).sum() / union) if union else 1.0


def boundary_f(predicted: BoolArray, true: BoolArray) -> float:
    """Return F, the harmonic mean of precision and recall of the boundaries of two masks (H, W).

    Boundary pixels match where they are at most 0.8 % of the image's diagonal apart. 1 where neither
    mask has a boundary, 0 where only one has. "Contour accuracy" of Perazzi et al. (2016). Raises
    ValueError for masks of two shapes.
    """
    check_shapes(predicted=(predicted, "H W"), true=(true, "H W"))
    ours, theirs = boundary(predicted), boundary(true)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    # a boundary widened by the tolerance holds all pixels that match it: no pairing, as in DAVIS's tools
    reach = math.ceil(_TOLERANCE * math.hypot(*true.shape))
    precision = float(ours[_widened(theirs, reach)].sum() / ours.sum())
    recall = float(theirs[_widened(ours, reach)].sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: BoolArray) -> BoolArray:
    """Return the boundary (H, W) of a mask (H, W) as DAVIS's tools count it.

    It holds the pixels that differ from the one on their right, below, or right below. Raises ValueError
    for another number of axes.
    """
    check_shapes(mask=(mask, "H W"))
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, right_below = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != right_below)


def _widened(edges: BoolArray, reach: int) -> BoolArray:
    """All pixels (H, W) at most ``reach`` pixels from one of ``edges``."""
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= reach * reach).astype(np.uint8)
    return cv2.dilate(edges.astype(np.uint8), disc) > 0


def agreement(a: Float32Array, b: Float32Array, metric: bool) -> tuple[float, float]:
    """Return Pearson's correlation of two maps (H, W), and the mean of |log(a / b)|.

    The correlation is blind to scale and shift, and NaN for a constant map. The second number is of the
    pixels where both maps are above 0; NaN where there are none, or unless both maps share a unit, which
    ``metric`` says. Raises ValueError for maps of two shapes.
    """
    check_shapes(a=(a, "H W"), b=(b, "H W"))
    x, y = (v.astype(np.float64).ravel() for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    correlation = float((x * y).sum() / power) if power > 0 else float("nan")
    valid = (a > 0) & (b > 0)
    if not metric or not valid.any():
        return correlation, float("nan")
    return correlation, float(np.abs(np.log(a[valid] / b[valid])).mean())
