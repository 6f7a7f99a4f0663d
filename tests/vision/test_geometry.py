"""Camera motion, triangulation, filling and chains on scenes whose truth is a formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.vision import bundle
from dynprep.vision.bundle import Link
from dynprep.vision.bundle_adjustment import refine
from dynprep.vision.chain import Limits, follow
from dynprep.vision.edge_aware import spread
from dynprep.vision.epipolar import first_path, triangulate
from dynprep.vision.motion import lower_quartile, rigid_residual
from dynprep.vision.sampling import pixel_grid, sample

PIXEL = 1 / 400


def world(
    count: int, outliers: float, seed: int = 0
) -> tuple[np.ndarray, dict, np.ndarray, np.ndarray]:
    """Grid points with random depths each frame, links between frames, and the true poses."""
    rng = np.random.default_rng(seed)
    points = pixel_grid(12, 16).reshape(-1, 2).astype(float) / 16 - [0.5, 0.37]
    rays = np.concatenate([points, np.ones((len(points), 1))], 1)
    rotation = Rotation.from_rotvec([[0, 0.01 * k, 0.004 * k] for k in range(count)]).as_matrix()
    centre = np.array([[0.06 * k, 0.01 * np.sin(k), 0.03 * k] for k in range(count)])
    translation = -np.einsum("trc,tc->tr", rotation, centre)
    inverse = rng.uniform(0.3, 1.5, (count, len(points)))
    links = {}
    for i in range(count):
        for j in range(count):
            if i != j and abs(i - j) in (1, 2, 4):
                turn = rotation[j] @ rotation[i].T
                move = translation[j] - turn @ translation[i]
                y = rays @ turn.T + inverse[i][:, None] * move
                seen = y[:, :2] / y[:, 2:] + rng.normal(0, 0.2 * PIXEL, (len(points), 2))
                wild = rng.uniform(size=len(points)) < outliers
                seen[wild] += rng.normal(0, 20 * PIXEL, (wild.sum(), 2))
                links[i, j] = Link(i, j, seen, np.ones(len(points)))
    return points, links, rotation, centre


@pytest.mark.parametrize("outliers", [0.0, 0.25])
def test_bundle_adjustment_finds_the_cameras_path(outliers: float) -> None:
    points, links, rotation, centre = world(9, outliers)
    r, t = first_path(points, links, 9, 0.5, 0.3, PIXEL, 0)
    scene = bundle.BundleState(points, r, t, np.ones((9, len(points))))
    refine(scene, list(links.values()), PIXEL, 25, 0.01)
    found = -np.einsum("tcr,tc->tr", scene.rotation, scene.translation)
    true = centre / np.linalg.norm(centre[-1])
    assert np.abs(found / np.linalg.norm(found[-1]) - true).max() < 0.03
    turns = Rotation.from_matrix(scene.rotation @ rotation.transpose(0, 2, 1)).magnitude()
    assert np.degrees(turns).max() < 0.3


@given(z=st.floats(0.05, 5), x=st.floats(-0.5, 0.5), y=st.floats(-0.4, 0.4), a=st.floats(-0.3, 0.3))
def test_triangulation_inverts_projection(z: float, x: float, y: float, a: float) -> None:
    ray = np.array([[x, y, 1.0]])
    turn = Rotation.from_rotvec([0.02, a / 10, 0.01]).as_matrix()
    move = np.array([0.1, 0.05, 0.02])
    point = ray @ turn.T + z * move
    found, _, off = triangulate(ray, point[:, :2] / point[:, 2:], turn, move)
    assert found[0] == pytest.approx(z, rel=1e-6) and off[0] < 1e-9


def test_residual_is_zero_for_static_points_and_not_for_moving_ones() -> None:
    rays = np.array([[0.1, 0.0, 1.0]] * 3)
    move = np.array([0.1, 0.0, 0.0])
    static = 0.1 + 0.1 * 0.8  # inverse depth 0.8
    seen = np.array([[static, 0.0], [static, 0.03], [0.1 - 0.05, 0.0]])  # still, across, backwards
    r = rigid_residual(rays, seen, np.eye(3), move, 0.5, 2.0)
    assert r == pytest.approx([0, 0.03, 0.05 + 0.05])


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.floats(0, 9)), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    )
)
def test_lower_quartile_is_numpys(rows: list[list[float | None]]) -> None:
    stack = np.array([[np.nan if v is None else v for v in row] for row in rows])
    for k, value in enumerate(lower_quartile(stack)):
        known = stack[:, k][~np.isnan(stack[:, k])]
        assert value == pytest.approx(np.quantile(known, 0.25) if len(known) else 0.0)


def test_filling_stops_at_image_edges() -> None:
    guide = np.zeros((40, 60, 3), np.uint8)
    guide[:, 30:] = 200
    values, known = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.float32)
    values[20, 5], known[20, 5] = 1.0, 1.0
    values[20, 55], known[20, 55] = 3.0, 1.0
    filled = spread(values, known, guide, 40.0**2, 8.0)
    assert np.abs(filled[:, :28] - 1).max() < 0.05 and np.abs(filled[:, 32:] - 3).max() < 0.05
    nothing = spread(values, np.zeros_like(known), guide, 100.0, 8.0)
    assert np.isfinite(nothing).all()


@settings(deadline=None)
@given(dx=st.floats(-4, 4), dy=st.floats(-4, 4))
def test_a_ramp_is_read_where_it_is_asked(dx: float, dy: float) -> None:
    ramp = pixel_grid(30, 40)
    at = (ramp + np.array([dx, dy], np.float32))[5:-5, 5:-5].reshape(-1, 2)
    assert np.abs(sample(ramp, at) - at).max() < 0.05


def test_a_chain_leaps_over_an_occlusion() -> None:
    """Points move 1 px a frame; frames 3 and 4 hide them, so every step into or out of these is
    broken; a step over four frames crosses."""

    def step(
        start: int, target: int, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        broken = target in (3, 4) or start in (3, 4)
        error = np.full(len(points), 50.0 if broken else 0.0, np.float32)
        drift = 30.0 if broken else 0.0
        return points + (target - start) + drift, error, np.ones(len(points), bool)

    start = np.array([[10.0, 10.0]], np.float32)
    places = dict(follow(0, 8, start, [1, 2, 4], step, Limits(1.0, 0.0, 0.1)))
    assert places[2].hidden[0] < 0.5 and places[3].hidden[0] > 0.5
    assert places[6].hidden[0] < 0.5 and places[6].xy[0] == pytest.approx([16, 16])
    assert places[2].error[0] < places[6].error[0] + 1e-3
