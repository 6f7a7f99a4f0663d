"""Errors of depth against the truth. Names carry space, scope and fit: absrel/disparity/video/lsq."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynprep.vision.affine import Affine

Array = NDArray[np.float64]
# predicted and true disparity (1/m) of a frame's valid pixels
Pairs = Callable[[], Iterable[tuple[Array, Array]]]

_LEAST_DISPARITY = 1e-3  # 1/m; a fit must not turn a pixel into one behind infinity


@dataclass(frozen=True)
class DepthErrors:
    """AbsRel mean |d − d*| / d*, RMSE in metres, δ1 share with max(d/d*, d*/d) < 1.25; each the
    mean over pixels of an image, then over images. NaN where no pixel is valid."""

    absrel: float
    rmse: float
    delta1: float


def fit_video(pairs: Pairs) -> Affine:
    """One scale and shift in disparity for all frames, by least squares in one pass."""
    n = sx = sy = sxx = sxy = 0.0
    for x, y in pairs():
        n, sx, sy = n + len(x), sx + x.sum(), sy + y.sum()
        sxx, sxy = sxx + (x * x).sum(), sxy + (x * y).sum()
    spread = n * sxx - sx * sx
    scale = (n * sxy - sx * sy) / spread if spread > 0 else 0.0
    return Affine(float(scale), float((sy - scale * sx) / n) if n else 0.0)


def errors(pairs: Pairs, fit: Affine) -> DepthErrors:
    """Errors in depth after ``fit`` in disparity."""
    rows = []
    for x, y in pairs():
        if len(x) == 0:
            continue
        d = 1 / np.maximum(fit.scale * x + fit.shift, _LEAST_DISPARITY)
        true = 1 / y
        ratio = np.maximum(d / true, true / d)
        off = d - true
        rows.append((np.mean(np.abs(off) / true), np.sqrt(np.mean(off**2)), np.mean(ratio < 1.25)))
    if not rows:
        return DepthErrors(*[float("nan")] * 3)
    return DepthErrors(*(float(v) for v in np.mean(rows, axis=0)))
