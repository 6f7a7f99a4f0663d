"""How an image is padded and resized for the network, and intrinsics with it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.models.dinov2 import PATCH
from dynprep.models.unidepth.config import Config

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as DINOv2 was trained
LEVELS = 10  # resolution levels, 0 … 9


@dataclass(frozen=True)
class Framing:
    """Sizes in pixels: the image's, padding (left, right, top, bottom), the network's; ``factor``
    is the one scale that upstream applies to intrinsics, ``axes`` the true (x, y) one."""

    height: int
    width: int
    padding: tuple[int, int, int, int]
    net: tuple[int, int]
    factor: float

    @property
    def padded(self) -> tuple[int, int]:
        left, right, top, bottom = self.padding
        return self.height + top + bottom, self.width + left + right

    @property
    def axes(self) -> tuple[float, float]:
        return self.net[1] / self.padded[1], self.net[0] / self.padded[0]

    @staticmethod
    def of(height: int, width: int, config: Config, level: float | None) -> "Framing":
        """Fit (H, W): aspect inside the bounds by padding alone, the area inside its bounds.

        level: None for the whole range of areas, or 0 … <10, which narrows it.
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
        """images (B, 3, H, W) in 0..255, floating -> the network's input (B, 3, h, w)."""
        mean = images.new_tensor(_MEAN)[:, None, None]
        std = images.new_tensor(_STD)[:, None, None]
        padded = F.pad((images / 255 - mean) / std, self.padding)  # the mean colour around it
        return F.interpolate(padded, self.net, mode="bilinear", align_corners=False)

    def leave(self, values: Tensor) -> Tensor:
        """values (B, C, h, w) of the network -> (B, C, H, W) of the image."""
        full = F.interpolate(values, self.padded, mode="bilinear", align_corners=False)
        left, _, top, _ = self.padding
        return full[..., top : top + self.height, left : left + self.width]

    def camera_in(self, intrinsics: Tensor, true_axes: bool) -> Tensor:
        """Intrinsics (B, 3, 3) in pixels of the image -> of the network's input."""
        k = intrinsics.clone()
        k[:, 0, 2] += self.padding[0]
        k[:, 1, 2] += self.padding[2]
        return self._scales(k, true_axes) * k

    def camera_out(self, intrinsics: Tensor, true_axes: bool) -> Tensor:
        """Intrinsics (B, 3, 3) of the network's input -> in pixels of the image."""
        k = intrinsics / self._scales(intrinsics, true_axes)
        k[:, 0, 2] -= self.padding[0]
        k[:, 1, 2] -= self.padding[2]
        return k

    def _scales(self, like: Tensor, true_axes: bool) -> Tensor:
        sx, sy = self.axes if true_axes else (self.factor, self.factor)
        return torch.tensor([sx, sy, 1.0], dtype=like.dtype, device=like.device)[:, None]


def _padded(height: int, width: int, bounds: tuple[float, float]) -> tuple[int, int]:
    low, high = bounds
    if width / height > high:
        return int(width / high), width
    if width / height < low:
        return height, int(height * low)
    return height, width


def _up(side: float) -> int:
    """Cut to whole pixels, then up to whole patches."""
    return math.ceil(int(side) / PATCH) * PATCH
