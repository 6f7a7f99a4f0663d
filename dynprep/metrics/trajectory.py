"""How far a camera's path lies from the true one, by the definitions that ``evo`` and the TUM RGB-D benchmark use.

Sturm et al. 2012, "A Benchmark for the Evaluation of RGB-D SLAM Systems". One camera does not know its scale, so the
path is first brought to the true one by the similarity of Umeyama 1991.

Shapes: T frames.
"""

import numpy as np

from dynprep.arrays import Float64Array, check_shapes
from dynprep.metrics.names import CAMERAS, names_of

_STILL = 1e-9  # length, in the unit of the truth, below which a path is a point


def similarity(
    source: Float64Array, target: Float64Array
) -> tuple[float, Float64Array, Float64Array]:
    """Scale, rotation (3, 3) and translation (3,) that bring points (T, 3) to others with the least square error.

    Umeyama 1991, equations 40 to 43. The scale is 1 where the source is a single place.
    """
    check_shapes(source=(source, "T 3"), target=(target, "T 3"))
    from_middle, to_middle = source - source.mean(0), target - target.mean(0)
    u, d, v = np.linalg.svd(to_middle.T @ from_middle / len(source))
    sign = np.ones(3)
    sign[2] = np.sign(np.linalg.det(u) * np.linalg.det(v)) or 1.0
    rotation = u @ np.diag(sign) @ v
    variance = (from_middle**2).sum(1).mean()
    scale = float((d * sign).sum() / variance) if variance > _STILL**2 else 1.0
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def trajectory_scores(poses: Float64Array, true: Float64Array) -> dict[str, float]:
    """ATE and RPE of poses (T, 4, 4) against true ones (T, 4, 4), camera to world.

    ``ate``: root mean square distance of the camera's centres after the similarity, as a share of the true path's
    length; ``ate_m``: the same in the truth's unit; ``rpe_m`` and ``rpe_deg``: root mean square error of the motion
    from each frame to the next, in that unit and in degrees. Empty for fewer than 3 frames or a true camera that
    stands still.
    """
    check_shapes(poses=(poses, "T 4 4"), true=(true, "T 4 4"))
    length = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
    if len(poses) < 3 or length < _STILL:
        return {}
    scale, rotation, translation = similarity(poses[:, :3, 3], true[:, :3, 3])
    brought = poses.copy()
    brought[:, :3, :3] = rotation @ poses[:, :3, :3]
    brought[:, :3, 3] = scale * poses[:, :3, 3] @ rotation.T + translation
    off = np.linalg.norm(brought[:, :3, 3] - true[:, :3, 3], axis=1)
    ours, theirs = _steps(brought), _steps(true)
    errors = np.linalg.inv(theirs) @ ours
    moves = np.linalg.norm(errors[:, :3, 3], axis=1)
    ate = _rms(off)
    values = (ate / length, ate, _rms(moves), _rms(_degrees(errors[:, :3, :3])))
    return dict(zip(names_of(CAMERAS), values, strict=True))


def _steps(poses: Float64Array) -> Float64Array:
    """The motion (T - 1, 4, 4) from each frame to the next."""
    return np.linalg.inv(poses[:-1]) @ poses[1:]


def _degrees(rotations: Float64Array) -> Float64Array:
    """Angles (T,) of rotations (T, 3, 3)."""
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _rms(values: Float64Array) -> float:
    return float(np.sqrt((values**2).mean()))
