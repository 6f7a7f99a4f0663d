"""The base of most metrics: numbers of each image, averaged over images.

Shapes: M names of a metric.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class ImageMean(Metric):
    """The mean over images of each of ``names``.

    The state is sums and counts (M,), so that the mean over several ranks is exact. An image without a
    value for a name does not count for it; a name without any value is NaN.
    """

    is_differentiable, full_state_update = False, False
    names: ClassVar[tuple[str, ...]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        zeros = torch.zeros(len(self.names), dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("images", zeros.to(torch.int64), dist_reduce_fx="sum")
        self.total: Tensor
        self.images: Tensor

    def add_image(self, *values: Tensor) -> None:
        """Count one image's values, scalars in the order of ``names``; NaN stands for no value."""
        row = torch.stack([v.double() for v in values]).to(self.total.device)
        known = ~row.isnan()
        self.total += torch.where(known, row, torch.zeros_like(row))
        self.images += known

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of each name."""
        means = self.total / self.images  # 0 / 0 is NaN, as it should be
        return dict(zip(self.names, means, strict=True))
