"""What a label goes with: its value as a function of colour and place, learnt from samples of a clip.

Shapes: N samples, F features, D inputs (colour L, a, b and place x, y, time), (H, W) pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import Float32Array, FloatArray, UInt8Array, check_shapes

_RIDGE = 1e-3  # of the features' mean square: keeps the fit from following single samples
_INPUTS = 6


@dataclass(frozen=True)
class Scales:
    """Distances over which a label may change. colour: of L, a and b in CIELAB; place: share of the long side;
    time: share of the clip."""

    colour: tuple[float, float, float]
    place: float
    time: float


class Appearance:
    """Ridge regression on random Fourier features of a Gaussian kernel (Rahimi and Recht 2007).

    It is smooth over similar colours at near places, and its cost does not depend on the number of samples. Samples
    are added in parts; nothing of them stays but a matrix of F × F.
    """

    def __init__(self, features: int, scales: Scales, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.scales = scales
        self._directions = draw.standard_normal((_INPUTS, features)).astype(np.float32)
        self._phases = draw.uniform(0, 2 * np.pi, features).astype(np.float32)
        self._matrix = np.zeros((features + 1, features + 1))
        self._vector = np.zeros(features + 1)
        self._solved: Float32Array | None = None

    def inputs(
        self, rgb: UInt8Array, time: float, middle: tuple[float, float] = (0.0, 0.0)
    ) -> Float32Array:
        """Scaled colour and place (H, W, D) of a frame (H, W, 3).

        time: 0 for the clip's first frame, 1 for its last; middle: x, y in pixels from which places are counted.
        """
        height, width = rgb.shape[:2]
        colour = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        colour /= np.array(self.scales.colour, np.float32)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        reach = max(height, width) * self.scales.place
        x, y = (x - middle[0]) / reach, (y - middle[1]) / reach
        moment = np.full((height, width), time / self.scales.time, np.float32)
        return np.dstack([colour, x, y, moment]).astype(np.float32)

    def _features(self, inputs: Float32Array) -> Float32Array:
        waves = np.cos(inputs @ self._directions + self._phases)
        return np.concatenate([waves, np.ones((len(waves), 1), np.float32)], 1)

    def add(self, inputs: Float32Array, labels: FloatArray, weights: FloatArray) -> None:
        """Learn from samples: inputs (N, D), labels (N) in 0..1, weights (N). Raises ValueError for other shapes."""
        check_shapes(inputs=(inputs, f"N {_INPUTS}"), labels=(labels, "N"), weights=(weights, "N"))
        features = self._features(inputs)
        weighted = features * weights[:, None]
        self._matrix += weighted.T @ features
        self._vector += weighted.T @ labels
        self._solved = None

    def fade(self, share: float) -> None:
        """Keep this share, 0..1, of the weight of all that was learnt."""
        self._matrix *= share
        self._vector *= share
        self._solved = None

    def __call__(self, inputs: Float32Array) -> Float32Array:
        """Labels (...) in 0..1 that go with inputs (..., D)."""
        if self._solved is None:
            ridge = _RIDGE * max(float(np.trace(self._matrix)) / len(self._matrix), 1e-12)
            system = self._matrix + ridge * np.eye(len(self._matrix))
            self._solved = np.linalg.solve(system, self._vector).astype(np.float32)
        flat = self._features(inputs.reshape(-1, inputs.shape[-1])) @ self._solved
        return np.clip(flat, 0, 1).reshape(inputs.shape[:-1])


def log_odds(share: FloatArray, least: float = 0.03) -> FloatArray:
    """log(p / (1 - p)) of shares (...), clipped to be ``least`` away from 0 and 1."""
    p = np.clip(share, least, 1 - least)
    return np.asarray(np.log(p / (1 - p)))
