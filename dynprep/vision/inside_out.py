"""Scenes that are inside out: what is far counted as near, and the camera as going the other way.

To first order a camera that goes sideways shows the same flow as one that goes the opposite way, turns accordingly, and
sees every inverse depth mirrored about the clip's middle. What tells the two apart is perspective, and a pan through
a long lens shows little of it; with an unknown focal length, the wrong one can even fit better.

Shapes: T frames, N points of the grid.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from dynprep.arrays import Float64Array, check_shapes
from dynprep.vision.bundle import BundleState


def downwards(points: Float64Array, inverse_depth: Float64Array) -> float:
    """Rank correlation (Spearman) of inverse depth and image row, the median over frames, -1 to 1.

    Above 0 where the scene is nearer towards the bottom of the image, as it is above any ground; 0 where inverse depth
    is constant. points (N, 2): x, y; inverse_depth (T, N). Raises ValueError for other shapes.
    """
    check_shapes(points=(points, "N 2"), inverse_depth=(inverse_depth, "T N"))
    row = _centred_ranks(points[:, 1])
    found: list[float] = []
    for values in inverse_depth:
        depth = _centred_ranks(values)
        scale = np.sqrt((depth @ depth) * (row @ row))
        found.append(float(depth @ row / scale) if scale > 0 else 0.0)
    return float(np.median(found))


def mirrored(state: BundleState, limits: tuple[float, float]) -> BundleState:
    """The scene whose flow is that of ``state`` to first order, and whose near is its far.

    The flow of a point of inverse depth z is (turn) + z (move), which is (turn + c move) + (c - z) (-move) for any c:
    here c is twice the median of z, which so stays the median. The world is the first camera. limits: between which
    inverse depths are then kept.
    """
    c = 2 * float(np.median(state.inverse_depth))
    # seen from the first camera, so that the turns are small wherever a later window of a long clip lies
    rotation = state.rotation @ state.rotation[0].T
    t = state.translation - rotation @ state.translation[0]
    # the turn by which what lies straight ahead moves as c times the translation would move it
    turn = Rotation.from_rotvec(np.stack([-c * t[:, 1], c * t[:, 0], np.zeros(len(t))], 1))
    centre = np.einsum("tji,tj->ti", rotation, t)  # the mirrored one: minus the camera's
    rotation = turn.as_matrix() @ rotation
    return BundleState(
        state.points,
        rotation,
        -np.einsum("tij,tj->ti", rotation, centre),
        np.clip(c - state.inverse_depth, *limits),
    )


def _centred_ranks(values: Float64Array) -> Float64Array:
    from scipy.stats import rankdata  # imports for a good part of a second

    ranks: Float64Array = rankdata(values)
    return ranks - ranks.mean()
