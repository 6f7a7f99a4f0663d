"""Camera motion and coarse structure from dense flow: a sparse-grid, robust bundle adjustment.

Poses and inverse depths are refined together, the inverse depths eliminated by the Schur complement (as in DROID-SLAM,
Teed and Deng 2021), with Cauchy weights so that what moves on its own counts little.

Shapes: T frames, N points of the grid.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from dynprep.arrays import Float64Array, check_shapes
from dynprep.vision.bundle import LEAST_INVERSE_DEPTH, BundleState, Link
from dynprep.vision.normal_equations import NormalEquations, StackedLinks

_BEHIND = 25.0  # squared residual, in sigma², that a point behind the camera counts as
# damping relative to the diagonals, and how it changes
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-4, 1e-6, 1e6
_DAMP_MORE, _DAMP_LESS = 4.0, 5.0
# it ends when as many steps as this have together gained less than this share of the cost
_LOOK_BACK, _LEAST_GAIN = 3, 1e-4


def residual(state: BundleState, links: list[Link], sigma: float) -> float:
    """Mean Cauchy residual, log(1 + r² / sigma²), of a clip; sigma is in normalised image coordinates."""
    weight = sum(float(k.weight.sum()) for k in links)
    return _total(state, list(StackedLinks.parts(links)), sigma) / weight if weight else 0.0


def typical_distance(cost: float) -> float:
    """The distance, in sigma, that points have which all are off by the same and cost as much on average."""
    return float(np.sqrt(np.expm1(cost)))


def refine(
    state: BundleState,
    links: list[Link],
    sigma: float,
    iterations: int,
    prior: float,
    fixed: int = 1,
) -> None:
    """Refine ``state`` in place.

    sigma: residual, in normalised image coordinates, at which a point counts half. iterations: most steps that are
    tried; it ends earlier where steps gain nothing any more. prior: pull of the inverse depths towards their clip-wide
    median, as 1 / variance (the median is 1), which decides them where nothing moves. The first ``fixed`` poses stay;
    with more than one of them the unit of length stays too, else the clip's median inverse depth becomes 1. Raises
    ValueError for links with another number of points than the scene.

    A step that does not lower the cost is not taken, and a more damped one is tried (Levenberg and Marquardt): undamped
    steps leave the valley of a clip with little parallax for a worse one.
    """
    for link in links:
        check_shapes(points=(state.points, "N 2"), seen=(link.seen, "N 2"))
    reach = max((abs(k.source - k.target) for k in links), default=0)
    stacked = list(StackedLinks.parts(links))
    damping = _FIRST_DAMPING
    costs = [_cost(state, stacked, sigma, prior)]
    equations: NormalEquations | None = None
    for _ in range(iterations):
        if equations is None:
            equations = NormalEquations.of(state, stacked, sigma, prior, reach)
        moved, cost = None, np.inf
        try:
            moved = _moved(state, *equations.steps(damping, fixed))
            cost = _cost(moved, stacked, sigma, prior)
        except np.linalg.LinAlgError:
            pass  # nearly singular equations need more damping
        if moved is None or not cost < costs[-1]:
            damping = min(damping * _DAMP_MORE, _MOST_DAMPING)
            continue
        state.rotation, state.translation = moved.rotation, moved.translation
        state.inverse_depth = moved.inverse_depth
        if fixed == 1:  # the first pose decides no length
            _normalise(state)
            cost = _cost(state, stacked, sigma, prior)
        damping = max(damping / _DAMP_LESS, _LEAST_DAMPING)
        equations = None
        costs.append(cost)
        if len(costs) > _LOOK_BACK and costs[-1 - _LOOK_BACK] - cost < _LEAST_GAIN * cost:
            return


def _total(state: BundleState, links: list[StackedLinks], sigma: float) -> float:
    total = 0.0
    for part in links:
        seen = part.project(state)
        square = ((part.seen - seen.uv) ** 2).sum(-1) / sigma**2
        total += float((part.weight * np.log1p(np.where(seen.ahead, square, _BEHIND))).sum())
    return total


def _cost(state: BundleState, links: list[StackedLinks], sigma: float, prior: float) -> float:
    """What ``refine`` makes small."""
    off = state.inverse_depth - np.median(state.inverse_depth)
    return _total(state, links, sigma) + prior * float((off * off).sum())


def _moved(state: BundleState, poses: Float64Array, depths: Float64Array) -> BundleState:
    """The state after steps of the poses (T, 6) and of the inverse depths (T, N)."""
    turn = Rotation.from_rotvec(poses[:, 3:]).as_matrix()
    return BundleState(
        state.points,
        turn @ state.rotation,
        np.einsum("trc,tc->tr", turn, state.translation) + poses[:, :3],
        np.clip(state.inverse_depth + depths, LEAST_INVERSE_DEPTH, None),
    )


def _normalise(state: BundleState) -> None:
    """Bring the clip's median inverse depth to 1; images do not decide the scale of a scene."""
    middle = np.median(state.inverse_depth)
    state.inverse_depth /= middle
    state.translation *= middle
