"""TAP-Vid's metrics of tracks (Doersch et al., 2022)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (1, 2, 4, 8, 16)  # pixels, on an image scaled to 256 x 256
_SIDE = 256


@dataclass
class TapVid:
    """Sums over pairs of frames; ``result`` gives δ_avg, OA and AJ in percent.

    δ_avg: share of truly visible points within each threshold, averaged. OA: share of points
    whose visibility is right. AJ: TP / (truly visible + FP), averaged over thresholds.
    """

    near: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(THRESHOLDS), np.int64))
    true_positive: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(THRESHOLDS), np.int64)
    )
    false_positive: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(THRESHOLDS), np.int64)
    )
    visible: int = 0
    right: int = 0
    points: int = 0

    def add(
        self,
        predicted: NDArray[np.floating],
        predicted_visible: NDArray[np.bool_],
        true: NDArray[np.floating],
        true_visible: NDArray[np.bool_],
        size: tuple[int, int],
    ) -> None:
        """Count one pair: x, y (N, 2) in pixels of an image of ``size`` (H, W), visibility (N,)."""
        scale = np.array([_SIDE / size[1], _SIDE / size[0]])
        distance = np.linalg.norm((predicted - true) * scale, axis=1)
        within = distance[None] < np.array(THRESHOLDS)[:, None]
        self.near += (within & true_visible).sum(1)
        self.true_positive += (within & true_visible & predicted_visible).sum(1)
        self.false_positive += (predicted_visible & ~(within & true_visible)).sum(1)
        self.visible += int(true_visible.sum())
        self.right += int((predicted_visible == true_visible).sum())
        self.points += len(distance)

    def result(self) -> dict[str, float]:
        """delta_avg, OA, AJ in percent; NaN where there is nothing to judge."""
        nan = float("nan")
        jaccard = self.true_positive / np.maximum(self.visible + self.false_positive, 1)
        return {
            "delta_avg": 100 * float((self.near / self.visible).mean()) if self.visible else nan,
            "OA": 100 * self.right / self.points if self.points else nan,
            "AJ": 100 * float(jaccard.mean()) if self.visible else nan,
        }
