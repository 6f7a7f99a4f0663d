"""Scale and shift that bring one map to another: the published formula, and better ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TINY = 1e-8  # of the published formula
_ROUNDING = 1e-14  # relative; what is below is rounding
_MAD_TO_SIGMA = 1.4826  # a normal distribution's deviation, in median absolute deviations


@dataclass(frozen=True)
class Affine:
    """``scale · m + shift``, in the units of the reference per unit of m."""

    scale: float
    shift: float


def median_ratio(m: Array, r: Array) -> Affine:
    """The formula of Shape of Motion's and AdaGaR's scripts: the median of ratios of deviations.

    m, r: relative and metric disparity of the same pixels, any shape.
    """
    scale = np.median((r - np.median(r) + _TINY) / (m - np.median(m) + _TINY))
    return Affine(float(scale), float(np.median(r - scale * m)))


def least_squares(m: Array, r: Array, weight: Array | None = None) -> Affine:
    """Minimises Σ weight (scale · m + shift − r)². A constant m gives scale 0."""
    w = np.ones_like(m) if weight is None else weight
    total = w.sum()
    if total <= 0:
        return Affine(0.0, 0.0)
    mean_m, mean_r = (w * m).sum() / total, (w * r).sum() / total
    spread = (w * (m - mean_m) ** 2).sum()
    # rounding alone leaves this much of a constant map
    if spread <= total * (_ROUNDING * abs(mean_m)) ** 2:
        return Affine(0.0, float(mean_r))
    scale = (w * (m - mean_m) * (r - mean_r)).sum() / spread
    return Affine(float(scale), float(mean_r - scale * mean_m))


def huber(m: Array, r: Array, delta: float, rounds: int) -> Affine:
    """Least squares reweighted by Huber's weights, ``delta`` in robust deviations of the residual."""
    fit = least_squares(m, r)
    for _ in range(rounds):
        off = np.abs(fit.scale * m + fit.shift - r)
        sigma = _MAD_TO_SIGMA * float(np.median(off))
        if sigma <= np.finfo(np.float64).tiny:
            break
        fit = least_squares(m, r, np.minimum(1.0, delta * sigma / np.maximum(off, 1e-300)))
    return fit


def spread_ratio(m: Array, r: Array) -> Affine:
    """Scale from the ratio of median absolute deviations: never negative, blind to correlation.

    Where more than half of a map is one value (sky) that deviation is 0, and the standard deviation
    stands in for it. A constant m or r gives scale 0."""
    mid_m, mid_r = float(np.median(m)), float(np.median(r))
    spreads = [float(np.median(np.abs(v - mid))) for v, mid in ((m, mid_m), (r, mid_r))]
    if min(spreads) <= 0:
        spreads = [float(np.std(v)) for v in (m, r)]
        mid_m, mid_r = float(np.mean(m)), float(np.mean(r))
    scale = spreads[1] / spreads[0] if spreads[0] > 0 else 0.0
    return Affine(scale, mid_r - scale * mid_m)
