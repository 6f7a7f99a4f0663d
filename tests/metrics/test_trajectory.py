"""The error of a camera's path, held against ``evo`` and against what must be so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.metrics.trajectory import similarity, trajectory_scores


def path(seed: int, count: int = 20, noise: float = 0.0) -> np.ndarray:
    """A smooth path (T, 4, 4), camera to world, with as much noise in places and turns."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, count)[:, None]
    poses = np.tile(np.eye(4), (count, 1, 1))
    turns = time * rng.normal(0, 1, 3) + noise * rng.normal(0, 1, (count, 3))
    poses[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    bend = np.sin(3 * time + rng.normal(0, 1, 3))
    poses[:, :3, 3] = time * rng.normal(0, 2, 3) + bend + noise * rng.normal(0, 1, (count, 3))
    return poses


def moved(poses: np.ndarray, seed: int, scale: float) -> np.ndarray:
    """The same path in another world and unit."""
    world = path(seed, 2)[1]
    scaled = poses.copy()
    scaled[:, :3, 3] *= scale
    return world @ scaled


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_another_world_and_unit_change_nothing(seed: int, scale: float) -> None:
    true, found = path(seed), path(seed, noise=0.02)
    one, other = (
        trajectory_scores(found, true),
        trajectory_scores(moved(found, seed + 1, scale), true),
    )
    assert one == pytest.approx(other, rel=1e-6, abs=1e-6)
    exact = trajectory_scores(moved(true, seed + 1, scale), true)
    assert max(exact.values()) < 1e-5


@given(st.integers(0, 10_000))
def test_a_similarity_is_found_again(seed: int) -> None:
    points = path(seed)[:, :3, 3]
    rotation = path(seed + 1, 2)[1, :3, :3]
    target = 2.5 * points @ rotation.T + [1, 2, 3]
    scale, turn, shift = similarity(points, target)
    assert (
        scale == pytest.approx(2.5)
        and np.allclose(turn, rotation)
        and np.allclose(shift, [1, 2, 3])
    )


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_evo(seed: int) -> None:
    pytest.importorskip("evo")
    from evo.core import metrics
    from evo.core.trajectory import PosePath3D

    true, found = path(seed), moved(path(seed, noise=0.05), seed + 9, 3.0)
    reference, estimate = (PosePath3D(poses_se3=list(p)) for p in (true, found))
    estimate.align(reference, correct_scale=True)

    def rmse(metric: object) -> float:
        metric.process_data((reference, estimate))  # type: ignore[attr-defined]
        return metric.get_statistic(metrics.StatisticsType.rmse)  # type: ignore[attr-defined]

    part, frames = metrics.PoseRelation, metrics.Unit.frames
    ate = rmse(metrics.APE(part.translation_part))
    scores = trajectory_scores(found, true)
    assert scores["ate_m"] == pytest.approx(ate)
    assert scores["ate"] == pytest.approx(ate / reference.path_length)
    move = metrics.RPE(part.translation_part, 1, frames, all_pairs=False)
    turn = metrics.RPE(part.rotation_angle_deg, 1, frames, all_pairs=False)
    assert scores["rpe_m"] == pytest.approx(rmse(move))
    assert scores["rpe_deg"] == pytest.approx(rmse(turn), rel=1e-5)


def test_nothing_is_said_of_a_camera_that_stands_still() -> None:
    still = np.tile(np.eye(4), (5, 1, 1))
    assert trajectory_scores(path(0, 5), still) == {}
    assert trajectory_scores(path(0, 2), path(0, 2)) == {}
    assert trajectory_scores(still, path(0, 5))["ate"] > 0
