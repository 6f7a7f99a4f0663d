"""How an image is padded and resized for the network, and intrinsics with it.

Shapes: B images, C channels, (H, W) pixels of the image, (h, w) pixels of the network's input.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.arrays import check_shapes
from dynprep.models.dinov2 import PATCH
from dynprep.models.unidepth.config import Config

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as DINOv2 was trained
LEVELS = 10  # resolution levels, 0 … 9


@dataclass(frozen=True)
class Framing:
    """Sizes in pixels on the way from an image to the network's input.

    height, width: of the image; padding: left, right, top, bottom; net: (h, w) of the network's input;
    factor: the one scale that the published code applies to intrinsics, while ``axes`` are the true ones.
    """

    height: int
    width: int
    padding: tuple[int, int, int, int]
    net: tuple[int, int]
    factor: float

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the padded image."""
        left, right, top, bottom = self.padding
        return self.height + top + bottom, self.width + left + right

    @property
    def axes(self) -> tuple[float, float]:
        """Scale in x and in y from the padded image to the network's input."""
        return self.net[1] / self.padded[1], self.net[0] / self.padded[0]

    @staticmethod
    def of(height: int, width: int, config: Config, level: float | None) -> "Framing":
        """Return how an image (H, W) is brought into the limits of the configuration.

        Padding alone brings the aspect into its limits, resizing the area into its own. level: None for
        the whole range of areas, or 0 to below 10 for that tenth of it. Raises ValueError for another level.
        """
        low, high = config.pixels
        if level is not None:
            if not 0 <= level < LEVELS:
                raise ValueError(f"resolution_level is {level}; it must be at least 0, below 10")
            step = (high - low) / LEVELS
            low, high = low + step * level, low + step * (level + 1)
        rows, columns = _padded(height, width, config.ratio)
        top, left = (rows - height) // 2, (columns - width) // 2
        padding = (left, columns - width - left, top, rows - height - top)
        area = rows * columns
        factor = math.sqrt(min(max(area, low), high) / area)
        net = (_up(rows * factor), _up(columns * factor))
        return Framing(height, width, padding, net, factor)

    def enter(self, images: Tensor) -> Tensor:
        """Return the network's input (B, 3, h, w) of images (B, 3, H, W), RGB in 0..255, floating.

        Raises ValueError for other shapes.
        """
        check_shapes(images=(images, f"B 3 {self.height} {self.width}"))
        mean = images.new_tensor(_MEAN)[:, None, None]
        std = images.new_tensor(_STD)[:, None, None]
        padded = F.pad((images / 255 - mean) / std, self.padding)  # the mean colour around it
        return F.interpolate(padded, self.net, mode="bilinear", align_corners=False)

    def leave(self, values: Tensor) -> Tensor:
        """Return values (B, C, h, w) of the network's input at the image's pixels: (B, C, H, W).

        Raises ValueError for other shapes.
        """
        check_shapes(values=(values, f"B C {self.net[0]} {self.net[1]}"))
        full = F.interpolate(values, self.padded, mode="bilinear", align_corners=False)
        left, _, top, _ = self.padding
        return full[..., top : top + self.height, left : left + self.width]

    def camera_in(self, intrinsics: Tensor, true_axes: bool) -> Tensor:
        """Return intrinsics (B, 3, 3) in pixels of the image as those of the network's input.

        true_axes: scale x and y by ``axes`` and not both by ``factor``. Raises ValueError for other shapes.
        """
        check_shapes(intrinsics=(intrinsics, "B 3 3"))
        k = intrinsics.clone()
        k[:, 0, 2] += self.padding[0]
        k[:, 1, 2] += self.padding[2]
        return self._scales(k, true_axes) * k

    def camera_out(self, intrinsics: Tensor, true_axes: bool) -> Tensor:
        """Return intrinsics (B, 3, 3) of the network's input as those in pixels of the image.

        This is the inverse of ``camera_in``. Raises ValueError for other shapes.
        """
        check_shapes(intrinsics=(intrinsics, "B 3 3"))
        k = intrinsics / self._scales(intrinsics, true_axes)
        k[:, 0, 2] -= self.padding[0]
        k[:, 1, 2] -= self.padding[2]
        return k

    def _scales(self, intrinsics: Tensor, true_axes: bool) -> Tensor:
        """Factors (3, 1) of the rows of intrinsics, in their number format."""
        sx, sy = self.axes if true_axes else (self.factor, self.factor)
        scales = torch.tensor([sx, sy, 1.0], dtype=intrinsics.dtype, device=intrinsics.device)
        return scales[:, None]


def _padded(height: int, width: int, bounds: tuple[float, float]) -> tuple[int, int]:
    """Height and width with the aspect, width / height, brought into its bounds by padding."""
    low, high = bounds
    if width / height > high:
        return int(width / high), width
    if width / height < low:
        return height, int(height * low)
    return height, width


def _up(side: float) -> int:
    """A side cut to whole pixels, then rounded up to whole patches."""
    return math.ceil(int(side) / PATCH) * PATCH
