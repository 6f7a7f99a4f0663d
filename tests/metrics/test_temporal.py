"""Steadiness of depth where the camera's path is known, against slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.metrics.temporal import Drift, TemporalAlignment, moved_depth

CAMERA = np.array([20.0, 21.0, 7.3, 5.1])
SIZE = (12, 16)


def motion(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(random.normal(0, 0.03, 3)).as_matrix()
    matrix[:3, 3] = random.normal(0, 0.1, 3)
    return matrix


def slowly(depth: np.ndarray, step: np.ndarray, used: np.ndarray) -> np.ndarray:
    """``moved_depth`` pixel by pixel."""
    fx, fy, cx, cy = CAMERA
    moved = np.zeros_like(depth)
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            if not used[y, x] or depth[y, x] <= 0:
                continue
            z = float(depth[y, x])
            point = step @ np.array([(x - cx) / fx * z, (y - cy) / fy * z, z, 1.0])
            if point[2] <= 0:
                continue
            u = round(point[0] / point[2] * fx + cx)
            v = round(point[1] / point[2] * fy + cy)
            if 0 <= u < depth.shape[1] and 0 <= v < depth.shape[0]:
                nearest = moved[v, u] == 0 or point[2] < moved[v, u]
                moved[v, u] = point[2] if nearest else moved[v, u]
    return moved


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_depth_moves_as_pixel_by_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    depth = random.uniform(0.5, 4, SIZE).astype(np.float32)
    used = random.random(SIZE) < 0.8
    step = motion(seed)
    assert np.allclose(moved_depth(depth, CAMERA, step, used), slowly(depth, step, used), rtol=1e-6)


def plane(step: np.ndarray) -> np.ndarray:
    """Depth of the plane z = 3 + 0.2 x of the first camera's space, as the camera at ``step`` sees it."""
    normal, height = np.array([-0.2, 0.0, 1.0]), 3.0
    turned = step[:3, :3] @ normal
    away = height + turned @ step[:3, 3]
    y, x = np.indices(SIZE)
    rays = np.stack([(x - CAMERA[2]) / CAMERA[0], (y - CAMERA[3]) / CAMERA[1], np.ones(SIZE)], -1)
    return (away / (rays @ turned)).astype(np.float32)


def test_depth_that_goes_with_the_camera_has_little_error() -> None:
    step, everywhere = motion(3), np.ones(SIZE, bool)
    first, second = plane(np.eye(4)), plane(step)
    total = TemporalAlignment()
    total.update(moved_depth(first, CAMERA, step, everywhere), second, everywhere)
    right = float(total.compute()["tae"])
    assert right < 0.01  # a plane at a slant between whole pixels
    for factor in (1.1, 0.9):
        wrong = TemporalAlignment()
        moved = moved_depth(first, CAMERA, step, everywhere)
        wrong.update(moved, second * np.float32(factor), everywhere)
        assert float(wrong.compute()["tae"]) == pytest.approx(abs(1 / factor - 1), abs=0.01)


def test_pairs_without_a_common_pixel_do_not_count() -> None:
    total = TemporalAlignment()
    total.update(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), np.ones(SIZE, bool))
    assert np.isnan(float(total.compute()["tae"]))
    with pytest.raises(ValueError, match="moved"):
        total.update(
            np.zeros((2, 2, 2), np.float32), np.ones(SIZE, np.float32), np.ones(SIZE, bool)
        )


def test_drift_is_the_median_of_a_pair() -> None:
    total = Drift()
    expected = np.linspace(1, 3, 101)
    seen = expected * 1.2
    seen[:20] = 50.0  # points that slid off
    total.update(seen, expected)
    total.update(expected / 1.1, expected)
    total.update(np.zeros(0), np.zeros(0))
    assert float(total.compute()["drift"]) == pytest.approx((0.2 + 0.1) / 2, abs=1e-6)
