"""The focal length that fits a clip's motion best, when nothing tells it.

A wrong focal length bends the scene so that no path of the camera explains the flow as well. So the bundle adjustment
is repeated with several, and the robust residual, in pixels, tells which fits: its minimum over the logarithm of the
focal length. A camera that goes sideways without turning, or does not go at all, leaves the residual flat, and nothing
is said then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float64Array

_RISE = (
    0.05  # share of the least residual: what is higher is worse beyond what flow's errors do to it
)
_STEPS = 7  # focal lengths that are tried over the range at first
_OTHER = 2.0  # times the least residual: other solutions that cost more are none
_LEAST_SPREAD = 0.05  # what distortion and an off-centre principal point do, which are not modelled
_FINER = 2  # rounds in which the two gaps beside the best one are halved


@dataclass(frozen=True)
class FocalEstimate:
    """factor: of the focal length that was assumed; spread: by which share it may be off, either way."""

    factor: float
    spread: float


def best_focal(
    cost: Callable[[float], float], low: float, high: float, certain: float
) -> FocalEstimate | None:
    """The factor between ``low`` and ``high`` with the least ``cost``; None where the cost does not decide it.

    It does where the least cost lies inside of the range, the cost grows from there to both sides, and the factors that
    are not clearly worse lie within a share ``certain`` of the best.
    """
    tried = {x: cost(float(np.exp(x))) for x in _places(low, high)}
    for _ in range(_FINER):
        at, k = _least(tried)
        if k in (0, len(at) - 1):
            return None
        for middle in ((at[k - 1] + at[k]) / 2, (at[k] + at[k + 1]) / 2):
            tried[middle] = cost(float(np.exp(middle)))
    at, k = _least(tried)
    if not _has_one_valley([tried[x] for x in at], k):
        return None
    near = at[k - 1 : k + 2]
    best, least, curve = _vertex(np.array(near), np.array([tried[x] for x in near]))
    if curve <= 0:
        return None
    spread = max(float(np.expm1(np.sqrt(least * _RISE / curve))), _LEAST_SPREAD)
    good = [x for x in at if tried[x] <= least * (1 + _RISE)]
    if spread > certain or any(abs(x - best) > np.log1p(certain) for x in good):
        return None
    return FocalEstimate(float(np.exp(best)), spread)


def spaced(low: float, high: float) -> list[float]:
    """Factors from ``low`` to ``high``, of equal ratios."""
    return [float(np.exp(x)) for x in _places(low, high)]


def _places(low: float, high: float) -> list[float]:
    """Their logarithms."""
    places: list[float] = np.linspace(np.log(low), np.log(high), _STEPS).tolist()
    return places


def _least(tried: dict[float, float]) -> tuple[list[float], int]:
    """Places in their order, and the number of the one with the least cost."""
    at = sorted(tried)
    return at, at.index(min(tried, key=lambda x: tried[x]))


def _has_one_valley(costs: list[float], k: int) -> bool:
    """Whether costs do not fall again, to less than twice the least, on the way from number ``k`` to either end.

    Where they do, the adjustment has run into several solutions, and the least cost proves nothing.
    """
    for side in (costs[k:], costs[k::-1]):
        highest = side[0]
        for value in side:
            if value < min(highest * (1 - _RISE), costs[k] * _OTHER):
                return False
            highest = max(highest, value)
    return True


def _vertex(x: Float64Array, y: Float64Array) -> tuple[float, float, float]:
    """Place and height of the lowest point of the parabola through three points, and its second coefficient."""
    a, b, c = np.polyfit(x - x[1], y, 2)
    if a <= 0:
        return float(x[1]), float(y[1]), 0.0
    return float(x[1] - b / (2 * a)), float(c - b * b / (4 * a)), float(a)
