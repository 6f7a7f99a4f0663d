"""What holds of every step of the bundle adjustment, from any beginning."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprep.vision.bundle import BundleState
from dynprep.vision.bundle_adjustment import refine, residual
from tests.vision.test_geometry import PIXEL, world


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), off=st.floats(0.0, 1.0), steps=st.integers(1, 12))
def test_adjusting_makes_no_scene_worse(seed: int, off: float, steps: int) -> None:
    points, links, rotation, centre = world(6, 0.2, seed)
    rng = np.random.default_rng(seed)
    translation = -np.einsum("trc,tc->tr", rotation, centre) + rng.normal(0, off, centre.shape)
    inverse_depth = np.exp(rng.normal(0, off, (6, len(points))))
    state = BundleState(points, rotation, translation, inverse_depth)
    before = residual(state, list(links.values()), PIXEL)
    refine(state, list(links.values()), PIXEL, steps, 0.0)
    assert residual(state, list(links.values()), PIXEL) <= before * (1 + 1e-9)
    assert np.isfinite(state.translation).all() and (state.inverse_depth > 0).all()


def test_frames_without_links_stay_where_they_are() -> None:
    points, links, rotation, centre = world(4, 0.0)
    alone = {pair: link for pair, link in links.items() if 3 not in pair}
    translation = -np.einsum("trc,tc->tr", rotation, centre)
    state = BundleState(points, rotation.copy(), translation.copy(), np.ones((4, len(points))))
    refine(state, list(alone.values()), PIXEL, 10, 0.01)
    assert np.isfinite(state.translation).all()
    assert np.allclose(state.rotation[3], rotation[3], atol=1e-6)
