"""Scale and shift: the published formula exactly, the others where it fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprep.vision.affine import huber, least_squares, median_ratio, spread_ratio


def published(m: np.ndarray, r: np.ndarray) -> tuple[float, float]:
    """The formula as it is printed, in float64, written out with sorting instead of np.median."""

    def median(v: np.ndarray) -> float:
        s = np.sort(v, axis=None)
        n = len(s)
        return float((s[(n - 1) // 2] + s[n // 2]) / 2)

    scale = median((r - median(r) + 1e-8) / (m - median(m) + 1e-8))
    return scale, median(r - scale * m)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 10), shift=st.floats(-1, 1))
def test_median_is_the_published_formula(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    m = np.floor(rng.uniform(0, 65535, 501)) / 65535
    r = scale * m + shift + rng.normal(0, 0.05, 501)
    fit = median_ratio(m, r)
    assert (fit.scale, fit.shift) == pytest.approx(published(m, r), rel=1e-6, abs=1e-12)


@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 10),
    shift=st.floats(-1, 1),
    a=st.floats(0.1, 10),
    b=st.floats(-2, 2),
)
def test_fits_are_exact_and_do_not_mind_the_maps_own_scale(
    seed: int, scale: float, shift: float, a: float, b: float
) -> None:
    m = np.random.default_rng(seed).uniform(0, 1, 200)
    r = scale * m + shift
    for solve in (least_squares, lambda m, r: huber(m, r, 1.345, 5)):
        fit = solve(a * m + b, r)
        assert fit.scale * (a * m + b) + fit.shift == pytest.approx(r, abs=1e-6)


def test_huber_shrugs_off_outliers_that_move_least_squares() -> None:
    rng = np.random.default_rng(0)
    m = rng.uniform(0, 1, 1000)
    r = 2 * m + 0.5 + rng.normal(0, 0.01, 1000)
    r[:250] = 9
    assert huber(m, r, 1.345, 20).scale == pytest.approx(2, rel=0.05)
    assert abs(least_squares(m, r).scale - 2) > 0.1


def test_half_sky_breaks_the_published_formula_and_not_huber() -> None:
    m = np.concatenate([np.zeros(600), np.linspace(0.2, 1, 400)])
    r = 3 * m
    assert median_ratio(m, r).scale == pytest.approx(1)  # the known weakness, kept as published
    assert huber(m, r, 1.345, 10).scale == pytest.approx(3)


def test_constant_map_gives_scale_zero_and_spread_is_never_negative() -> None:
    r = np.linspace(0.1, 1, 50)
    fit = least_squares(np.full(50, 0.7), r)
    assert fit.scale == 0 and fit.shift == pytest.approx(r.mean())
    assert spread_ratio(-r, r).scale > 0


@given(seed=st.integers(0, 10**6), sky=st.floats(0.51, 0.9))
def test_spread_survives_a_sky_that_fills_most_of_the_map(seed: int, sky: float) -> None:
    rng = np.random.default_rng(seed)
    r = rng.uniform(0.1, 1, 1000)
    r[: int(1000 * sky)] = 0.0
    fit = spread_ratio((r - 0.3) / 2, r)
    assert fit.scale == pytest.approx(2) and fit.shift == pytest.approx(0.3)
    upside_down = spread_ratio(-r, r)
    assert upside_down.scale > 0
