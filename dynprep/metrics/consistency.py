"""What can be said of maps without truth. Consistency, not accuracy: a constant map has it all."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.regions import agreement

Array = NDArray[np.float32]

_LIKE = 50.0  # NVDS: how fast a point loses weight as its colour changes
_STEP = 0.05  # of a map's range: a smaller change from pixel to pixel is no edge
_WINDOW = 9  # pixels across which an edge's whole height is measured
_NEAR = 2  # pixels between an edge of the map and one of the image, at most
_CANNY = (50, 150)
_RANGE = (0.02, 0.98)  # quantiles that a map's range is measured between


class WarpConsistency(ImageMean):
    """OPW (Wang et al. 2023): mean change of a map along tracks to the next frame, weighted by
    visibility and exp(−50 · Δrgb²), in shares of the map's range."""

    higher_is_better = False
    names = ("opw",)

    def update(self, here: Tensor, there: Tensor, weight: Tensor, span: float) -> None:
        """One pair of frames: values (N,) at points and where these went; weight (N,); span: the
        range of the map, in its unit."""
        total = weight.double().sum()
        if total > 0 and span > 0:
            change = (here.double() - there.double()).abs() * weight.double()
            self.add_image(change.sum() / total / span)


def likeness(here: Array, there: Array) -> Array:
    """exp(−50 · Δrgb²) of colours (N, 3) in 0..255."""
    off = (here.astype(np.float32) - there.astype(np.float32)) / 255
    return np.exp(-_LIKE * (off * off).sum(-1))


class EdgeSharpness(ImageMean):
    """sharpness: share of an edge's height that is climbed within one pixel, 1 for a step, about
    1/w for a ramp over w pixels; on_image: share of the map's edge pixels that lie at most 2 pixels
    from an edge of the image."""

    higher_is_better = True
    names = ("sharpness", "on_image")

    def update(self, disparity: Array, rgb: NDArray[np.uint8]) -> None:
        """One frame: map (H, W), image (H, W, 3). A map without edges counts for nothing."""
        low, high = np.quantile(disparity, _RANGE)
        if high <= low:
            return
        unit = np.clip((disparity - low) / (high - low), 0, 1).astype(np.float32)
        # of the differences to both sides, so that a step stands in one pixel
        dx = np.abs(np.diff(unit, axis=1, append=unit[:, -1:]))
        dy = np.abs(np.diff(unit, axis=0, append=unit[-1:]))
        change = np.maximum(dx, dy)
        edges = change > _STEP
        if not edges.any():
            return
        square = np.ones((_WINDOW, _WINDOW), np.uint8)
        height = cv2.dilate(unit, square) - cv2.erode(unit, square)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        near = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
        image = cv2.dilate(cv2.Canny(grey, *_CANNY), near) > 0
        self.add_image(
            torch.tensor(float(np.mean(change[edges] / height[edges]))),
            torch.tensor(float(image[edges].mean())),
        )


class Agreement(ImageMean):
    """How alike two backends' maps are: their correlation (Pearson), blind to scale and shift, and,
    for metric disparity, the mean |log ratio|."""

    higher_is_better = None
    names = ("correlation", "log_ratio")

    def update(self, a: Array, b: Array, metric: bool) -> None:
        """One frame: disparities (H, W); ``metric`` where both are in 1/m."""
        self.add_image(*map(torch.tensor, agreement(a, b, metric)))
