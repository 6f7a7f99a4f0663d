"""Focal length and depth of the camera's centre, from points of which both are unknown (Wang et al. 2025, MoGe).

Shapes: N points; lengths in the image plane are in units of half the image's diagonal.
"""

from functools import partial

import numpy as np
from scipy.optimize import least_squares

from dynprep.arrays import Float32Array, Float64Array, FloatArray

_CLOSE_ENOUGH = 1e-3  # relative change of the squared error at which the published code stops


def projected(points: Float32Array, shift: FloatArray) -> Float64Array:
    """x / z and y / z (N, 2) of points (N, 3) moved along z."""
    moved: Float64Array = points[:, :2] / (points[:, 2] + shift)[:, None]
    return moved


def best_focal(places: Float32Array, flat: Float64Array) -> float:
    """The focal length f that brings f · flat (N, 2) nearest to places (N, 2)."""
    return float((flat * places).sum() / np.square(flat).sum())


def _off(
    places: Float32Array, points: Float32Array, focal: float | None, shift: Float64Array
) -> Float64Array:
    flat = projected(points, shift)
    f = best_focal(places, flat) if focal is None else focal
    return (f * flat - places).ravel()


def focal_and_shift(
    places: Float32Array, points: Float32Array, focal: float | None
) -> tuple[float | None, float]:
    """Focal length and the shift along z with which points (N, 3) fall on places (N, 2) in the image.

    Solves min Σ |f · (x, y) / (z + shift) − place|². focal: known, else sought. Where
    no camera fits, which is so with fewer than two points, the focal length is None, and the shift 0.
    """
    if len(places) < 2:
        return focal, 0.0
    off = partial(_off, places, points, focal)
    shift = least_squares(off, x0=0.0, ftol=_CLOSE_ENOUGH, method="lm").x.astype(np.float32)
    if focal is None:
        focal = best_focal(places, projected(points, shift))
    return (focal, float(shift[0])) if focal > 0 else (None, 0.0)
