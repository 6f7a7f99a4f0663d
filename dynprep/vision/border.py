"""What moves against the image's border: for clips in which an object fills so much that the camera seems to follow it.

Shapes: (h, w) pixels.
"""

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, FloatArray, check_shapes

_ROUNDS = 10  # of reweighting
_EVERY = 2  # pixels between samples


def border(height: int, width: int, share: float) -> BoolArray:
    """Pixels (h, w) of the border, ``share`` of the width wide, half as wide at the bottom, where objects stand."""
    wide = max(2, round(share * width))
    band = np.ones((height, width), bool)
    band[wide : height - max(1, wide // 2), wide : width - wide] = False
    return band


def against_border(
    flow: Float32Array, trust: FloatArray, share: float, sharpest: float
) -> Float32Array:
    """How far a flow (h, w, 2) is from the smooth motion of the image's border, (h, w) in the flow's unit.

    The border's motion is a quadratic polynomial in x and y, which is the flow of a plane before a camera to second
    order, fitted with Cauchy weights (iteratively reweighted least squares). trust (h, w): weights in 0..1;
    sharpest: residual below which weights do not sharpen. Raises ValueError for other shapes.
    """
    check_shapes(flow=(flow, "h w 2"), trust=(trust, "h w"))
    height, width = trust.shape
    y, x = np.mgrid[:height, :width] / width - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    used = border(height, width, share)
    used[1::_EVERY] = False
    used[:, 1::_EVERY] = False
    some = used.ravel()
    a, b = terms[some], flow.reshape(-1, 2)[some].astype(np.float64)
    base = trust.ravel()[some] + 1e-3
    weights = base.copy()
    for _ in range(_ROUNDS):
        weighted = a * weights[:, None]
        fit = np.linalg.solve(weighted.T @ a + 1e-6 * np.eye(6), weighted.T @ b)
        off = np.linalg.norm(b - a @ fit, axis=1)
        typical = max(1.5 * float(np.median(off)), sharpest)
        weights = base / (1 + (off / typical) ** 2) ** 2
    smooth = (terms @ fit).reshape(flow.shape)
    return np.linalg.norm(flow - smooth, axis=-1).astype(np.float32)
