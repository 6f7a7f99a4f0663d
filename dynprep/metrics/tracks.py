"""Metrics of tracks: TAP-Vid's against the truth (Doersch et al., 2022), and cycles without it.

Sums are kept, so that several ranks agree exactly.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

THRESHOLDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # pixels, on an image scaled to 256 x 256
CYCLES = (1.0, 2.0, 4.0)  # pixels of the image
_SIDE = 256


class TapVid(Metric):
    """δ_avg: share of truly visible points within each threshold, averaged. OA: share of points
    whose visibility is right. AJ: TP / (truly visible + FP), averaged over thresholds."""

    higher_is_better, is_differentiable, full_state_update = True, False, False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("near", "true_positive", "false_positive"):
            zeros = torch.zeros(len(THRESHOLDS), dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        for name in ("visible", "right", "points"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")
        self.near: Tensor
        self.true_positive: Tensor
        self.false_positive: Tensor
        self.visible: Tensor
        self.right: Tensor
        self.points: Tensor

    def update(
        self,
        predicted: Tensor,
        predicted_visible: Tensor,
        true: Tensor,
        true_visible: Tensor,
        size: tuple[int, int],
    ) -> None:
        """Count one pair: x, y (N, 2) in pixels of an image of ``size`` (H, W), visibility (N,)
        booleans. The query frame itself is left out by the caller."""
        scale = torch.tensor([_SIDE / size[1], _SIDE / size[0]], dtype=torch.float64)
        distance = ((predicted.double() - true.double()) * scale).norm(dim=1)
        within = distance[None] < torch.tensor(THRESHOLDS)[:, None]
        self.near += (within & true_visible).sum(1)
        self.true_positive += (within & true_visible & predicted_visible).sum(1)
        self.false_positive += (predicted_visible & ~(within & true_visible)).sum(1)
        self.visible += true_visible.sum()
        self.right += (predicted_visible == true_visible).sum()
        self.points += len(distance)

    def compute(self) -> dict[str, Tensor]:
        """delta_avg, OA, AJ in percent; NaN where there is nothing to judge."""
        visible = self.visible.double()  # 0 / 0 is NaN, as it should be
        jaccard = self.true_positive / (visible + self.false_positive)
        return {
            "delta_avg": 100 * (self.near / visible).mean(),
            "OA": 100 * self.right.double() / self.points,
            "AJ": 100 * (jaccard + 0 * visible / visible).mean(),
        }


class CycleConsistency(Metric):
    """How far points come back from where they started when tracked there and back again.

    Consistency, not accuracy: tracks that never move are perfectly consistent.
    """

    higher_is_better, is_differentiable, full_state_update = None, False, False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("near", torch.zeros(len(CYCLES), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("length", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("points", torch.tensor(0), dist_reduce_fx="sum")
        self.near: Tensor
        self.length: Tensor
        self.points: Tensor

    def update(self, start: Tensor, back: Tensor, judged: Tensor) -> None:
        """start and back (N, 2) in pixels of the image; judged (N,): visible on both ways."""
        distance = (start.double() - back.double()).norm(dim=1)[judged]
        self.near += (distance[None] < torch.tensor(CYCLES)[:, None]).sum(1)
        self.length += distance.sum()
        self.points += len(distance)

    def compute(self) -> dict[str, Tensor]:
        """mean_px, and the percentage within each of ``CYCLES``; NaN where nothing was judged."""
        points = self.points.double()
        shares = 100 * self.near / points
        named = {f"within_{c:g}px": s for c, s in zip(CYCLES, shares, strict=True)}
        return {"mean_px": self.length / points, **named}
