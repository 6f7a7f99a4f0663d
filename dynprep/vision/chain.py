"""Long tracks from flows over several distances: at each frame the most consistent way wins.

As in MFT (Neoral et al. 2024): a point reaches frame t from frame t - d by the flow over d frames, for
every d there is; of the ways on which the point is not hidden the one with the least accumulated error
is taken. A long step can thus leap over an occlusion that the short ones cannot cross.

Shapes: N points.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, check_shapes

# (from frame, to frame, points (N, 2)) -> where they are (N, 2), cycle error (N,), inside (N,)
Step = Callable[[int, int, Float32Array], tuple[Float32Array, Float32Array, BoolArray]]

_LAST = np.float32(1e12)  # px²: above every error, so that ways on which a point is lost come last


@dataclass(frozen=True)
class PointPositions:
    """Points in one frame.

    xy (N, 2): x then y in pixels; error (N,): accumulated squared error in px²; hidden (N,) in 0..1:
    above a half where the point is not visible.
    """

    xy: Float32Array
    error: Float32Array
    hidden: Float32Array


@dataclass(frozen=True)
class Limits:
    """What counts as an error of a step.

    cycle: cycle error in px at which a step is as likely broken as not, ``slack`` px more for each px of
    flow; step_error: error in px that each step adds at least.
    """

    cycle: float
    slack: float
    step_error: float


def follow(
    query: int,
    count: int,
    points: Float32Array,
    offsets: Sequence[int],
    step: Step,
    limits: Limits,
    reach: range | None = None,
) -> Iterator[tuple[int, PointPositions]]:
    """Yield each other frame and where the points are in it, forward then backward from ``query``.

    points (N, 2): x then y in pixels of frame ``query``; count: frames of the clip; offsets: distances in
    frames, 1 among them, over which ``step`` gives flow; reach: frames that are wanted, None for all: beyond its ends
    nothing is computed. Places of the last max(offsets) frames are held
    in memory. Raises ValueError for other shapes.
    """
    check_shapes(points=(points, "N 2"))
    zero = np.zeros(len(points), np.float32)
    first, last = (0, count - 1) if reach is None else (reach[0], reach[-1])
    for side in (1, -1):
        known = {query: PointPositions(points, zero, zero)}
        target = query + side
        while first <= target <= last:
            ways = [
                _way(known[target - side * d], step, target - side * d, target, limits)
                for d in offsets
                if target - side * d in known
            ]
            hidden = np.stack([way.hidden for way in ways])
            error = np.stack([way.error for way in ways])
            pick = np.argmin(np.where(hidden > 0.5, _LAST, 0) + error, axis=0)
            each = np.arange(len(points))
            xy = np.stack([way.xy for way in ways])[pick, each]
            known[target] = PointPositions(xy, error[pick, each], hidden[pick, each])
            known.pop(target - side * max(offsets), None)
            yield target, known[target]
            target += side


def _way(
    place: PointPositions, step: Step, start: int, target: int, limits: Limits
) -> PointPositions:
    """Where the points of one frame are in another by one step."""
    xy, cycle, within = step(start, target, place.xy)
    length = np.linalg.norm(xy - place.xy, axis=1)
    limit = limits.cycle + limits.slack * length
    # a cycle error at the limit is even odds; the fourth power makes the change steep
    doubt = 1 - 1 / (1 + (cycle / limit) ** 4)
    # a hidden point stays hidden along this way; a doubt is halved with every good step
    hidden = np.where((place.hidden > 0.5) | ~within, 1.0, np.maximum(doubt, place.hidden / 2))
    # errors of steps are taken as independent, so that their squares add up
    error = place.error + cycle**2 + limits.step_error**2
    return PointPositions(
        xy.astype(np.float32), error.astype(np.float32), hidden.astype(np.float32)
    )
