"""Metrics of tracks: TAP-Vid's against the truth (Doersch et al. 2022), and cycles without it.

The states are sums, so that numbers over several ranks are exact.

Shapes: N points, K thresholds.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from dynprep.arrays import check_shapes
from dynprep.metrics.names import CYCLES as _CYCLE_NAMES
from dynprep.metrics.names import TRACKS, higher_is_better_of, names_of

THRESHOLDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # pixels, on an image scaled to 256 x 256
CYCLES = (1.0, 2.0, 4.0)  # pixels of the image
_SIDE = 256


class TapVid(Metric):
    """TAP-Vid's metrics of tracks, in percent, after Doersch et al. (2022).

    delta_avg (<δ^x_avg): share of truly visible points within each threshold, averaged over thresholds.
    OA, occlusion accuracy: share of points whose visibility is right. AJ, average Jaccard: TP / (TP + FP +
    FN), averaged over thresholds. Sums run over all points of all pairs, as if these were one video.
    """

    higher_is_better = higher_is_better_of(TRACKS)
    is_differentiable, full_state_update = False, False
    names = names_of(TRACKS)

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
        """Count one pair of frames; the caller leaves out the query frame itself.

        predicted, true: x, y (N, 2) in pixels of an image of ``size`` (H, W); predicted_visible,
        true_visible (N,): booleans. Raises ValueError for other shapes.
        """
        check_shapes(
            predicted=(predicted, "N 2"),
            predicted_visible=(predicted_visible, "N"),
            true=(true, "N 2"),
            true_visible=(true_visible, "N"),
        )
        scale = torch.tensor([_SIDE / size[1], _SIDE / size[0]], dtype=torch.float64)
        distance = ((predicted.double() - true.double()) * scale).norm(dim=1)
        within = distance[None] < torch.tensor(THRESHOLDS)[:, None]  # (K, N)
        self.near += (within & true_visible).sum(1)
        # a positive is a point called visible; it is true where the point is visible and near
        self.true_positive += (within & true_visible & predicted_visible).sum(1)
        self.false_positive += (predicted_visible & ~(within & true_visible)).sum(1)
        self.visible += true_visible.sum()
        self.right += (predicted_visible == true_visible).sum()
        self.points += len(distance)

    def compute(self) -> dict[str, Tensor]:
        """Return delta_avg, OA and AJ in percent; NaN where there is nothing to compare."""
        visible = self.visible.double()  # 0 / 0 is NaN, as it should be
        # TP + FN is the number of truly visible points: each of them is one or the other
        jaccard = self.true_positive / (visible + self.false_positive)
        near = 100 * (self.near / visible).mean()
        right = 100 * self.right.double() / self.points
        # without a visible point AJ means nothing, though false positives would make it 0
        average = 100 * (jaccard + 0 * visible / visible).mean()
        return dict(zip(self.names, (near, right, average), strict=True))


class CycleConsistency(Metric):
    """How far points are from their start after they were tracked to another frame and back again.

    This is consistency, not accuracy: tracks that never move are perfectly consistent.
    """

    higher_is_better = higher_is_better_of(_CYCLE_NAMES)
    is_differentiable, full_state_update = False, False
    names = names_of(_CYCLE_NAMES)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("near", torch.zeros(len(CYCLES), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("length", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("points", torch.tensor(0), dist_reduce_fx="sum")
        self.near: Tensor
        self.length: Tensor
        self.points: Tensor

    def update(self, start: Tensor, back: Tensor, visible: Tensor) -> None:
        """Count one pair of frames.

        start, back: x, y (N, 2) in pixels of the image; visible (N,): whether a point is visible on both
        ways, since only such points count. Raises ValueError for other shapes.
        """
        check_shapes(start=(start, "N 2"), back=(back, "N 2"), visible=(visible, "N"))
        distance = (start.double() - back.double()).norm(dim=1)[visible]
        self.near += (distance[None] < torch.tensor(CYCLES)[:, None]).sum(1)
        self.length += distance.sum()
        self.points += len(distance)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean distance in pixels, and the percentage within each of ``CYCLES``.

        NaN where no point counts.
        """
        points = self.points.double()
        shares = 100 * self.near / points
        return dict(zip(self.names, (self.length / points, *shares), strict=True))
