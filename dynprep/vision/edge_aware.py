"""Edge-aware smoothing and filling: what is known spreads, but not across image edges.

The separable weighted-least-squares smoother of Min et al., "Fast Global Image Smoothing Based on
Weighted Least Squares" (2014): tridiagonal systems along rows and columns in turn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

Array = NDArray[np.float32]

_ROUNDS = 3
_NEAR = 1 / 256  # strength of the close reach: a sixteenth of the distance
_LITTLE = 1e-3  # share of full confidence below which the far reach takes over
_FALL = 4.0  # each round smooths this much less than the one before (the paper's attenuation)


def _couplings(guide: Array, sigma: float) -> Array:
    """Similarity (H, W) of each pixel with the next in its row, 0 at the row's end."""
    step = np.abs(np.diff(guide, axis=1)).max(-1)
    coupling = np.zeros(guide.shape[:2], np.float32)
    coupling[:, :-1] = np.exp(-step / sigma)
    return coupling


def _along_rows(values: Array, coupling: Array, strength: float) -> Array:
    """Solve (1 + strength · Laplacian) x = values for all rows (H, W, C) as one system."""
    height, width, channels = values.shape
    link = (strength * coupling).reshape(-1)
    banded = np.zeros((2, link.size), np.float32)
    banded[0, 1:] = -link[:-1]
    banded[1] = 1 + link
    banded[1, 1:] += link[:-1]
    solved = solveh_banded(
        banded, values.reshape(-1, channels), check_finite=False, overwrite_b=False
    )
    return np.asarray(solved, np.float32).reshape(height, width, channels)


def spread(
    values: Array, confidence: Array, guide: NDArray[Any], strength: float, sigma: float
) -> Array:
    """``values`` (H, W) smoothed and filled under ``guide`` (H, W, 3) RGB 0..255.

    confidence (H, W) >= 0: how much a value counts, 0 for unknown. strength: how far values
    spread, in squared pixels. sigma: the colour step, in grey levels, that halves a coupling
    twice. Where nothing is known anywhere, zeros.
    """
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
    start = np.stack([filled * weight, weight], -1)
    far = _smooth(start, across, down, strength)
    near = _smooth(start, across, down, strength * _NEAR)
    # what is known close by counts first; the far reach fills what is left
    rest = np.float32(_LITTLE) * weight.max()
    return (near[..., 0] + rest * far[..., 0] / far[..., 1]) / (near[..., 1] + rest)


def _smooth(state: Array, across: Array, down: Array, strength: float) -> Array:
    """The rounds of row and column passes over (H, W, C)."""
    for k in range(_ROUNDS):
        share = 1.5 * _FALL ** (_ROUNDS - 1 - k) / (_FALL**_ROUNDS - 1) * strength
        state = _along_rows(state, across, share)
        turned = np.ascontiguousarray(state.transpose(1, 0, 2))
        state = np.ascontiguousarray(_along_rows(turned, down, share).transpose(1, 0, 2))
    return state
