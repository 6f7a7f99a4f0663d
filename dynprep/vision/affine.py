"""Scale and shift that bring one map to another: the published formula, and more robust ones.

Throughout, m and r are relative and metric disparity of the same pixels; the fit is r ≈ scale · m + shift.

Shapes: any, but the same for all arrays of a call; every function raises ValueError for others.
"""

from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float64Array

_TINY = 1e-8  # of the published formula
_ROUNDING = 1e-14  # relative; what is below is rounding
_MAD_TO_SIGMA = 1.4826  # a normal distribution's deviation, in median absolute deviations


@dataclass(frozen=True)
class Affine:
    """The map m -> ``scale · m + shift``: shift in the unit of r, scale in r's unit per unit of m."""

    scale: float
    shift: float


def median_ratio(m: Float64Array, r: Float64Array) -> Affine:
    """Return the fit of Shape of Motion's and AdaGaR's scripts.

    Its scale is the median of the ratios of deviations from the median. Where more than half of both maps
    is one value (sky) these deviations are 0, and the scale is 1 whatever the rest of the maps.
    """
    _check_pixels(m, r)
    scale = np.median((r - np.median(r) + _TINY) / (m - np.median(m) + _TINY))
    return Affine(float(scale), float(np.median(r - scale * m)))


def least_squares(m: Float64Array, r: Float64Array, weight: Float64Array | None = None) -> Affine:
    """Return the fit that minimises Σ weight · (scale · m + shift - r)².

    weight: 0 or above, of m's shape; all ones where it is None. A constant m gives scale 0; no weight at
    all gives scale and shift 0.
    """
    _check_pixels(m, r)
    w = np.ones_like(m) if weight is None else weight
    _check_pixels(m, w)
    total = w.sum()
    if total <= 0:
        return Affine(0.0, 0.0)
    # around the means, so that nearly constant maps do not lose their digits
    mean_m, mean_r = (w * m).sum() / total, (w * r).sum() / total
    spread = (w * (m - mean_m) ** 2).sum()
    # rounding alone leaves this much of a constant map
    if spread <= total * (_ROUNDING * abs(mean_m)) ** 2:
        return Affine(0.0, float(mean_r))
    scale = (w * (m - mean_m) * (r - mean_r)).sum() / spread
    return Affine(float(scale), float(mean_r - scale * mean_m))


def huber(m: Float64Array, r: Float64Array, delta: float, rounds: int) -> Affine:
    """Return the fit by iteratively reweighted least squares with Huber's weights (Huber 1964).

    delta: residual, in robust standard deviations of all residuals, above which a pixel's pull no longer
    grows; rounds: how often weights are renewed.
    """
    fit = least_squares(m, r)
    for _ in range(rounds):
        residual = np.abs(fit.scale * m + fit.shift - r)
        # of the median of |residual|, which outliers do not move
        sigma = _MAD_TO_SIGMA * float(np.median(residual))
        if sigma <= np.finfo(np.float64).tiny:
            break  # more than half of the pixels fit exactly
        fit = least_squares(m, r, np.minimum(1.0, delta * sigma / np.maximum(residual, 1e-300)))
    return fit


def spread_ratio(m: Float64Array, r: Float64Array) -> Affine:
    """Return the fit that matches median and spread: its scale is never negative.

    The scale is the ratio of median absolute deviations, whatever the correlation of m and r. Where more
    than half of a map is one value (sky) that deviation is 0, and mean and standard deviation stand in.
    A constant m or r gives scale 0.
    """
    _check_pixels(m, r)
    mid_m, mid_r = float(np.median(m)), float(np.median(r))
    spreads = [float(np.median(np.abs(v - mid))) for v, mid in ((m, mid_m), (r, mid_r))]
    if min(spreads) <= 0:
        spreads = [float(np.std(v)) for v in (m, r)]
        mid_m, mid_r = float(np.mean(m)), float(np.mean(r))
    scale = spreads[1] / spreads[0] if spreads[0] > 0 else 0.0
    return Affine(scale, mid_r - scale * mid_m)


def _check_pixels(m: Float64Array, other: Float64Array) -> None:
    """Raise ValueError unless both have the same shape, whatever it is."""
    if m.shape != other.shape:
        raise ValueError(f"values have shapes {m.shape} and {other.shape}; one shape is meant")
