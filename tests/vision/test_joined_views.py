"""Windows of depth and poses, each in a world and a unit of its own, become one clip."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.vision.joined_views import ViewJoiner, Views, nearest_rotation
from dynprep.vision.sliding import windows


def a_clip(count: int, seed: int) -> Views:
    """Depth and poses of a clip in one world, whose first camera is the origin."""
    random = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    turns = np.cumsum(random.normal(0, 0.05, (count, 3)), 0)
    poses[:, :3, :3] = Rotation.from_rotvec(turns - turns[0]).as_matrix()
    places = np.cumsum(random.normal(0, 0.3, (count, 3)), 0)
    poses[:, :3, 3] = places - places[0]
    depth = random.uniform(1, 4, (count, 6, 8)).astype(np.float32)
    focal = np.tile([7.0, 7.5], (count, 1))
    return Views(depth, np.ones_like(depth), poses, focal, depth > 3.5)


def moved(clip: Views, start: int, end: int, seed: int) -> Views:
    """A part of a clip in another world and unit."""
    random = np.random.default_rng(seed)
    unit = float(random.uniform(0.3, 3))
    world = np.eye(4)
    world[:3, :3] = Rotation.from_rotvec(random.normal(0, 1, 3)).as_matrix()
    world[:3, 3] = random.normal(0, 2, 3)
    poses = clip.camera_to_world[start:end].copy()
    poses[:, :3, 3] *= unit
    assert clip.sky is not None
    return Views(
        clip.depth[start:end] * np.float32(unit),
        clip.confidence[start:end],
        world @ poses,
        clip.focal[start:end],
        clip.sky[start:end],
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 23), st.integers(2, 9), st.integers(1, 5), st.integers(0, 99))
def test_windows_of_one_clip_become_that_clip(
    count: int, window: int, overlap: int, seed: int
) -> None:
    overlap = min(overlap, window - 1)
    clip = a_clip(count, seed)
    joiner, views, plan = ViewJoiner(), [], windows(count, window, overlap)
    for k, (start, end) in enumerate(plan):
        shared = end - plan[k + 1][0] if k + 1 < len(plan) else 0
        views += joiner.add(moved(clip, start, end, seed + k), shared)
    assert len(views) == count
    unit = views[0].depth[0, 0] / clip.depth[0, 0, 0]  # the first window's
    for k, view in enumerate(views):
        assert np.allclose(view.depth, clip.depth[k] * unit, rtol=1e-4)
        assert np.allclose(view.camera_to_world[:3, :3], clip.camera_to_world[k, :3, :3], atol=1e-5)
        place = clip.camera_to_world[k, :3, 3] * unit
        assert np.allclose(view.camera_to_world[:3, 3], place, atol=1e-3)
        assert clip.sky is not None and np.array_equal(view.sky, clip.sky[k])


def test_a_later_window_is_blended_in() -> None:
    clip = a_clip(6, 1)
    first, second = moved(clip, 0, 4, 2), moved(clip, 2, 6, 3)
    wrong = Views(
        second.depth * np.array([1, 1.2, 1, 1], np.float32)[:, None, None],
        second.confidence,
        second.camera_to_world,
        second.focal,
        second.sky,
    )
    joiner = ViewJoiner()
    joiner.add(first, 2)
    views = joiner.add(wrong, 0)
    unit = first.depth[0, 0, 0] / clip.depth[0, 0, 0]
    ratio = np.array([float(np.median(v.depth / clip.depth[2 + k])) for k, v in enumerate(views)])
    # the two shared frames say 1 and 1.2, so the scale is their median; then a third and two thirds of it are new
    assert ratio[0] < 1.0 * unit and abs(ratio[3] / unit - 1 / 1.1) < 0.01
    assert abs(ratio[1] / unit - (1 / 3 + 2 / 3 * 1.2 / 1.1)) < 0.01


def test_the_nearest_rotation() -> None:
    turn = Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix()
    assert np.allclose(nearest_rotation(4 * turn), turn)
    assert np.isclose(np.linalg.det(nearest_rotation(np.diag([1.0, 1.0, -0.1]))), 1)
