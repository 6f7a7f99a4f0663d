"""What most metrics are: numbers of each image, averaged over images."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class ImageMean(Metric):
    """The mean over images of each of ``names``. Sums are kept, so that several ranks agree; an
    image without a value does not count; NaN where no image has one."""

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
        """Count one image's values, in the order of ``names``; NaN counts as none."""
        row = torch.stack([v.double() for v in values]).to(self.total.device)
        known = ~row.isnan()
        self.total += torch.where(known, row, torch.zeros_like(row))
        self.images += known

    def compute(self) -> dict[str, Tensor]:
        """Each name's mean."""
        means = self.total / self.images  # 0 / 0 is NaN, as it should be
        return dict(zip(self.names, means, strict=True))
