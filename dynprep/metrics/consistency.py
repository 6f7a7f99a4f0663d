"""What can be said of maps without truth. This is consistency, not accuracy: a constant map has it all.

Shapes: N points, (H, W) pixels of an image.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from dynprep.arrays import AnyArray, Float32Array, UInt8Array, check_shapes
from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.names import EDGES, STEADINESS, higher_is_better_of, names_of

_COLOUR_WEIGHT = 50.0  # NVDS: how fast a point loses weight as its colour changes
_STEP = 0.05  # of a map's range: a smaller change from pixel to pixel is no edge
_WINDOW = 9  # pixels across which an edge's whole height is measured
_NEAR = 2  # pixels between an edge of the map and one of the image, at most
_CANNY = (50, 150)  # lower and upper threshold of the gradient, in grey levels
_RANGE = (0.02, 0.98)  # quantiles that a map's range is measured between


class WarpConsistency(ImageMean):
    """OPW: mean change of a map along tracks to the next frame, relative to the map's range.

    Each point is weighted by its visibility and by how little its colour changes; after the
    flow-based warping metric of NVDS (Wang et al. 2023), with tracks in place of optical flow.
    """

    higher_is_better = higher_is_better_of(STEADINESS)
    names = names_of(STEADINESS)

    def update(self, start: Tensor, moved: Tensor, weight: Tensor, span: float) -> None:
        """Count one pair of frames.

        start, moved (N,): the map's values at points of a frame and where these are in the next one;
        weight (N,) in 0..1; span: the range of the map, in the map's unit. A pair without weight, or a
        map without a range, does not count. Raises ValueError for other shapes.
        """
        check_shapes(start=(start, "N"), moved=(moved, "N"), weight=(weight, "N"))
        total = weight.double().sum()
        if total > 0 and span > 0:
            change = (start.double() - moved.double()).abs() * weight.double()
            self.add_image(change.sum() / total / span)


def likeness(start: AnyArray, moved: AnyArray) -> Float32Array:
    """Return exp(-50 · Δ²) (N,) of two frames' colours (N, 3) in 0..255, 1 for the same colour.

    Δ² is the squared distance of the colours scaled to 0..1; NVDS (Wang et al. 2023) weights points so
    in OPW, since where a colour changes the track may be wrong. Raises ValueError for other shapes.
    """
    check_shapes(start=(start, "N 3"), moved=(moved, "N 3"))
    off = (start.astype(np.float32) - moved.astype(np.float32)) / 255
    return np.exp(-_COLOUR_WEIGHT * (off * off).sum(-1))


class EdgeSharpness(ImageMean):
    """How sharp a map's edges are, and how many of them lie on edges of the image.

    sharpness: share of an edge's height that is climbed within one pixel, 1 for a step, about 1/w for a
    ramp over w pixels. on_image: share of the map's edge pixels that lie at most 2 pixels from an edge
    of the image by Canny's detector.
    """

    higher_is_better = higher_is_better_of(EDGES)
    names = names_of(EDGES)

    def update(self, disparity: Float32Array, rgb: UInt8Array) -> None:
        """Count one frame: map (H, W), in any unit, and image (H, W, 3) in 0..255.

        A map without edges does not count. Raises ValueError for other shapes.
        """
        check_shapes(disparity=(disparity, "H W"), rgb=(rgb, "H W 3"))
        low, high = np.quantile(disparity, _RANGE)
        if high <= low:
            return
        unit = np.clip((disparity - low) / (high - low), 0, 1).astype(np.float32)
        # differences to the next pixel alone, so that a step stands in one pixel and not in two
        dx = np.abs(np.diff(unit, axis=1, append=unit[:, -1:]))
        dy = np.abs(np.diff(unit, axis=0, append=unit[-1:]))
        change = np.maximum(dx, dy)
        edges = change > _STEP
        if not edges.any():
            return
        # the whole height of an edge is the range of values in the window around it
        square = np.ones((_WINDOW, _WINDOW), np.uint8)
        height = cv2.dilate(unit, square) - cv2.erode(unit, square)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        near = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
        image_edges = cv2.dilate(cv2.Canny(grey, *_CANNY), near) > 0
        self.add_image(
            torch.tensor(float(np.mean(change[edges] / height[edges]))),
            torch.tensor(float(image_edges[edges].mean())),
        )
