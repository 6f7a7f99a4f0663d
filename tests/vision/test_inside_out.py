"""Scenes that are inside out, on scenes whose truth is a formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.vision.bundle import BundleState, relative
from dynprep.vision.bundle_adjustment import typical_distance
from dynprep.vision.inside_out import downwards, mirrored
from dynprep.vision.sampling import pixel_grid
from dynprep.vision.sliding import MeasuredPath

POINTS = pixel_grid(9, 16).reshape(-1, 2).astype(float) / 16 - [0.5, 0.28]


def seen(state: BundleState, i: int, j: int) -> np.ndarray:
    """Where frame i's points are in frame j (N, 2)."""
    rotation, translation = relative(state, i, j)
    y = state.rays @ rotation.T + state.inverse_depth[i][:, None] * translation
    return y[:, :2] / y[:, 2:]


@given(
    turn=st.tuples(*[st.floats(-0.01, 0.01)] * 3),
    move=st.tuples(*[st.floats(-0.01, 0.01)] * 2),
    seed=st.integers(0, 99),
)
def test_the_mirrored_scene_of_a_sideways_move_shows_the_same_through_a_long_lens(
    turn: tuple[float, ...], move: tuple[float, ...], seed: int
) -> None:
    points = POINTS / 20  # a lens of 3 degrees, which shows no perspective
    inverse_depth = np.random.default_rng(seed).uniform(0.7, 1.3, (2, len(points)))
    inverse_depth /= np.median(inverse_depth)
    rotation = np.stack([np.eye(3), Rotation.from_rotvec(turn).as_matrix()])
    state = BundleState(points, rotation, np.array([np.zeros(3), [*move, 0.0]]), inverse_depth)
    other = mirrored(state, (0.02, 50.0))
    moved = np.abs(seen(state, 0, 1) - points).max()
    assert np.abs(seen(other, 0, 1) - seen(state, 0, 1)).max() < 0.05 * moved + 3e-6
    assert np.allclose(other.inverse_depth, 2 - inverse_depth)
    centres = [-np.einsum("tji,tj->ti", s.rotation, s.translation) for s in (state, other)]
    assert np.allclose(centres[0], -centres[1])


def test_where_the_world_lies_does_not_count_for_the_mirrored_scene() -> None:
    """A later window of a long clip lies far from the first camera, and looks elsewhere."""
    rng = np.random.default_rng(0)
    rotation = Rotation.from_rotvec(rng.normal(0, 0.01, (4, 3))).as_matrix()
    translation, inverse_depth = (
        rng.normal(0, 0.02, (4, 3)),
        rng.uniform(0.7, 1.3, (4, len(POINTS))),
    )
    here = BundleState(POINTS, rotation, translation, inverse_depth)
    turn, move = Rotation.from_rotvec([0.3, 1.2, -0.4]).as_matrix(), np.array([7.0, -2.0, 11.0])
    there = BundleState(POINTS, rotation @ turn, translation + rotation @ move, inverse_depth)
    one, other = (mirrored(state, (0.02, 50.0)) for state in (here, there))
    assert np.allclose(seen(one, 1, 3), seen(other, 1, 3))


def test_a_scene_above_a_ground_leans_downwards_and_its_mirror_image_does_not() -> None:
    nearer_below = 1 + POINTS[:, 1]
    assert downwards(POINTS, np.stack([nearer_below] * 3)) == pytest.approx(1, abs=0.02)
    assert downwards(POINTS, np.stack([2 - nearer_below] * 3)) == pytest.approx(-1, abs=0.02)
    assert downwards(POINTS, np.ones((3, len(POINTS)))) == 0
    # one frame of three does not decide
    assert downwards(POINTS, np.stack([nearer_below, nearer_below, -nearer_below])) > 0.9


@given(st.floats(0.0, 5.0))
def test_the_typical_distance_is_that_of_points_that_are_all_off_alike(off: float) -> None:
    assert typical_distance(float(np.log1p(off**2))) == pytest.approx(off, abs=1e-6)


def test_asking_for_inverse_depths_again_changes_no_path() -> None:
    """The path of a long clip, measured in several windows, is brought to its unit once."""
    measured = MeasuredPath(6)
    measured.windows = 2
    measured.translation = np.arange(18.0).reshape(6, 3)
    measured.inverse_depth = {k: np.linspace(1, 3, 5) + k for k in range(6)}
    first = measured.unit_inverse_depths()
    path = measured.translation.copy()
    assert np.median(first) == pytest.approx(1) and np.allclose(
        path, 4.5 * np.arange(18).reshape(6, 3)
    )
    assert np.allclose(measured.unit_inverse_depths(), first)
    assert np.allclose(measured.translation, path)
