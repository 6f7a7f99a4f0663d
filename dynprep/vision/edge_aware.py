"""Edge-aware smoothing and filling: what is known spreads, but not across image edges.

The separable weighted-least-squares (WLS) smoother of Min et al., "Fast Global Image Smoothing Based on
Weighted Least Squares" (2014). WLS asks for the image u that minimises, over pixels p and neighbours q,

    Σ (u_p - f_p)² + strength · Σ w_pq (u_p - u_q)²,

f being the input and w_pq in 0..1 the similarity of the guide's colours. In two dimensions that is one
large sparse system; the paper solves tridiagonal ones along rows and columns in turn, some rounds over.

Shapes: (H, W) pixels, C channels.
"""

import numpy as np
from scipy.linalg import solveh_banded

from dynprep.arrays import AnyArray, Float32Array, check_shapes

_ROUNDS = 3
_NEAR = 1 / 256  # strength of the close reach: a sixteenth of the distance
_LITTLE = 1e-3  # share of full confidence below which the far reach takes over
_ATTENUATION = 4.0  # each round smooths this much less than the one before, as in the paper


def _couplings(guide: Float32Array, sigma: float) -> Float32Array:
    """Similarity (H, W) in 0..1 of each pixel with the next in its row, 0 at the row's end."""
    step = np.abs(np.diff(guide, axis=1)).max(-1)
    coupling = np.zeros(guide.shape[:2], np.float32)
    coupling[:, :-1] = np.exp(-step / sigma)
    return coupling


def _along_rows(values: Float32Array, coupling: Float32Array, strength: float) -> Float32Array:
    """Solve (1 + strength · Laplacian) x = values along all rows of (H, W, C).

    The Laplacian is that of a chain of pixels weighted by ``coupling``. All rows make one tridiagonal
    system, since the coupling at a row's end is 0.
    """
    height, width, channels = values.shape
    link = (strength * coupling).reshape(-1)
    banded = np.zeros((2, link.size), np.float32)  # upper form: superdiagonal, then diagonal
    banded[0, 1:] = -link[:-1]
    banded[1] = 1 + link
    banded[1, 1:] += link[:-1]
    solved = solveh_banded(
        banded, values.reshape(-1, channels), check_finite=False, overwrite_b=False
    )
    return np.asarray(solved, np.float32).reshape(height, width, channels)


def spread(
    values: Float32Array,
    confidence: Float32Array,
    guide: AnyArray,
    strength: float,
    sigma: float,
) -> Float32Array:
    """Return ``values`` (H, W) smoothed and filled along the colours of ``guide`` (H, W, 3), RGB 0..255.

    confidence (H, W), 0 or above: how much a value counts, 0 for unknown. strength: how far values
    spread, in squared pixels. sigma: colour step, in grey levels, at which a coupling falls to 1/e. The
    result (H, W) has the unit of the values; zeros where nothing is known anywhere. Raises ValueError
    for other shapes.
    """
    check_shapes(values=(values, "H W"), confidence=(confidence, "H W"), guide=(guide, "H W 3"))
    colour = np.asarray(guide, np.float32)
    across, down = _couplings(colour, sigma), _couplings(colour.transpose(1, 0, 2), sigma)
    # a trace of confidence everywhere keeps the ratio defined far from all that is known
    trace = np.float32(1e-6) * max(float(confidence.max(initial=0.0)), 1e-6)
    known = confidence > 0
    mean = (
        float((values * confidence)[known].sum() / confidence[known].sum()) if known.any() else 0.0
    )
    weight = np.asarray(confidence + trace, np.float32)
    filled = np.where(known, values, np.float32(mean))
    # values times weight and the weight are smoothed alike; their ratio is a weighted mean, in which
    # unknown pixels have next to no part
    start = np.stack([filled * weight, weight], -1)
    far = _smooth(start, across, down, strength)
    near = _smooth(start, across, down, strength * _NEAR)
    # what is known close by counts first; the far reach fills what is left
    rest = np.float32(_LITTLE) * weight.max()
    return (near[..., 0] + rest * far[..., 0] / far[..., 1]) / (near[..., 1] + rest)


def _smooth(
    state: Float32Array, across: Float32Array, down: Float32Array, strength: float
) -> Float32Array:
    """Smooth (H, W, C) by rounds of passes along rows, then along columns.

    A pass along one axis leaves streaks along it. The strength falls from round to round, so that each
    round removes the streaks of the one before and leaves weaker ones. The shares of the R rounds,
    1.5 · 4^(R - k) / (4^R - 1) for round k of 1 … R, are the paper's.
    """
    for k in range(_ROUNDS):
        share = 1.5 * _ATTENUATION ** (_ROUNDS - 1 - k) / (_ATTENUATION**_ROUNDS - 1) * strength
        state = _along_rows(state, across, share)
        turned = np.ascontiguousarray(state.transpose(1, 0, 2))
        state = np.ascontiguousarray(_along_rows(turned, down, share).transpose(1, 0, 2))
    return state
