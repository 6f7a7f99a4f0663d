"""Temporal stability of masks: what does not count, and what does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprep.metrics.contours import outline, temporal_stability


def blob(x: float, y: float, radius: float, wobble: float = 0.0, seed: int = 0) -> np.ndarray:
    """A mask (120, 160) of a disc with an arm, its radius off by shares ``wobble`` in some directions."""
    ys, xs = np.mgrid[:120, :160]
    angle = np.arctan2(ys - y, xs - x)
    off = np.random.default_rng(seed).normal(0, wobble, 24)
    edge = radius * (1 + np.interp(angle, np.linspace(-np.pi, np.pi, 24), off))
    disc = np.hypot(ys - y, xs - x) < edge
    return disc | ((np.abs(ys - y) < radius / 4) & (xs > x) & (xs < x + 1.6 * radius))


@settings(deadline=None, max_examples=10)
@given(dx=st.integers(-20, 20), dy=st.integers(-15, 15))
def test_where_an_object_goes_does_not_count(dx: int, dy: int) -> None:
    still = [blob(70, 60, 25), blob(70, 60, 25)]
    assert temporal_stability(still) == 0
    assert temporal_stability([still[0], blob(70 + dx, 60 + dy, 25)]) < 1e-9


def test_the_more_an_outline_wobbles_the_larger_it_is() -> None:
    found = [
        temporal_stability([blob(70, 60, 25, wobble, seed) for seed in range(6)])
        for wobble in (0.0, 0.05, 0.2)
    ]
    assert found[0] == 0 and 0 < found[1] < found[2] < 1
    grown = temporal_stability([blob(70, 60, 25), blob(70, 60, 28)])
    assert grown < found[1]  # its size hardly counts


def test_masks_without_an_outline_are_left_out() -> None:
    empty, dot = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    dot[5, 5] = True
    assert outline(empty) is None and outline(dot) is None
    assert math.isnan(temporal_stability([empty, dot, empty]))
    assert temporal_stability([blob(70, 60, 25), blob(70, 60, 25), empty]) == 0
    with pytest.raises(ValueError, match="mask"):
        temporal_stability([np.zeros((2, 3, 4), bool)] * 2)


def test_points_lie_at_equal_distances_along_the_longest_outline() -> None:
    mask = np.zeros((120, 160), bool)
    mask[20:80, 30:130] = True
    mask[100:104, 5:9] = True
    points = outline(mask)
    assert points is not None and points.shape == (100, 2)
    assert points.min(0).tolist() >= [30, 20] and points.max(0).tolist() <= [129, 79]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert np.quantile(steps, 0.9) == pytest.approx((99 + 59) * 2 / 100, rel=0.01)
