"""Long tracks from flows over several distances: at each frame the most consistent way wins.

As in MFT (Neoral et al., 2024): a point reaches frame t from t - d by the flow over d frames, for
every d there is; of the ways that are not hidden the one with the least accumulated error is kept.
A long step can thus leap over an occlusion that the short ones cannot cross.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
# (from frame, to frame, points (N, 2)) -> where they are (N, 2), cycle error (N,), inside (N,)
Step = Callable[[int, int, Array], tuple[Array, Array, NDArray[np.bool_]]]


@dataclass(frozen=True)
class Place:
    """Points in one frame: xy (N, 2), accumulated squared error (N,) in px², hidden (N,) in
    [0, 1] (above a half: not seen there)."""

    xy: Array
    error: Array
    hidden: Array


@dataclass(frozen=True)
class Limits:
    """cycle: error in px at which a step counts as broken, plus ``slack`` px a px of flow;
    step_error: error in px that each step adds at least."""

    cycle: float
    slack: float
    step_error: float


def follow(
    query: int, count: int, points: Array, offsets: Sequence[int], step: Step, limits: Limits
) -> Iterator[tuple[int, Place]]:
    """Where ``points`` (N, 2) of frame ``query`` are in all other frames, forward then backward.

    Memory: the places in the last max(offsets) frames.
    """
    zero = np.zeros(len(points), np.float32)
    for side in (1, -1):
        known = {query: Place(points, zero, zero)}
        target = query + side
        while 0 <= target < count:
            ways = [
                _way(known[target - side * d], step, target - side * d, target, limits)
                for d in offsets
                if target - side * d in known
            ]
            hidden = np.stack([way.hidden for way in ways])
            error = np.stack([way.error for way in ways])
            # ways on which the point is lost come last, whatever their error
            pick = np.argmin(np.where(hidden > 0.5, np.float32(1e12), 0) + error, axis=0)
            each = np.arange(len(points))
            xy = np.stack([way.xy for way in ways])[pick, each]
            known[target] = Place(xy, error[pick, each], hidden[pick, each])
            known.pop(target - side * max(offsets), None)
            yield target, known[target]
            target += side


def _way(place: Place, step: Step, start: int, target: int, limits: Limits) -> Place:
    xy, cycle, within = step(start, target, place.xy)
    length = np.linalg.norm(xy - place.xy, axis=1)
    limit = limits.cycle + limits.slack * length
    # a cycle error at the limit is even odds; the fourth power makes the change steep
    doubt = 1 - 1 / (1 + (cycle / limit) ** 4)
    hidden = np.where((place.hidden > 0.5) | ~within, 1.0, np.maximum(doubt, place.hidden / 2))
    error = place.error + cycle**2 + limits.step_error**2
    return Place(xy.astype(np.float32), error.astype(np.float32), hidden.astype(np.float32))
