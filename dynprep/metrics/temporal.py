"""How steady depth is over a clip, where the camera's path is known.

Shapes: (H, W) pixels of an image, N points.
"""

import numpy as np
import torch

from dynprep.arrays import BoolArray, Float32Array, Float64Array, FloatArray, check_shapes
from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.names import DRIFT, TEMPORAL, higher_is_better_of, names_of


class TemporalAlignment(ImageMean):
    """TAE (Chen et al. 2025, Video Depth Anything): error of each frame's depth, moved by the camera's true motion,
    against the next frame's, and the other way round.

    A share, which the paper gives in percent. A pair without a pixel that is seen twice does not count.
    """

    higher_is_better = higher_is_better_of(TEMPORAL)
    names = names_of(TEMPORAL)

    def update(self, moved: Float32Array, seen: Float32Array, used: BoolArray) -> None:
        """Count one pair of frames: depth (H, W) moved from the one and seen in the other, and which pixels count.

        0 in ``moved`` is where nothing arrived. Raises ValueError for other shapes.
        """
        check_shapes(moved=(moved, "H W"), seen=(seen, "H W"), used=(used, "H W"))
        both = used & (moved > 0) & (seen > 0)
        if both.any():
            off = np.abs(moved[both] - seen[both]) / seen[both]
            self.add_image(torch.tensor(float(off.mean())))


class Drift(ImageMean):
    """By which share a still point's depth differs from where the camera's path takes it: of each pair of frames the
    median over points, so that single points do not count."""

    higher_is_better = higher_is_better_of(DRIFT)
    names = names_of(DRIFT)

    def update(self, seen: FloatArray, expected: FloatArray) -> None:
        """Count one pair of frames: depths (N,) above 0 that are seen and that are expected. A pair without points does
        not count. Raises ValueError for other shapes."""
        check_shapes(seen=(seen, "N"), expected=(expected, "N"))
        if len(seen):
            off = abs(float(np.median(np.log(seen / expected))))
            self.add_image(torch.tensor(float(np.expm1(off))))


def moved_depth(
    depth: Float32Array, intrinsics: Float64Array, motion: Float64Array, used: BoolArray
) -> Float32Array:
    """Depth (H, W) as another camera sees it: 0 where nothing arrives, the nearest where several do.

    intrinsics: [fx, fy, cx, cy] of both; motion (4, 4): from the one camera's space to the other's; used (H, W): the
    pixels that are moved. Points go to the nearest pixel, as in the published code.
    """
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics
    z = np.where(used, depth, 0).astype(np.float64)
    across, down = (np.arange(width) - cx) / fx, (np.arange(height)[:, None] - cy) / fy
    # of every pixel: its ray as the other camera sees it, times its depth, and the way between the cameras
    moved_x, moved_y, moved_z = (
        (across * a + (down * b + c)) * z + t for a, b, c, t in motion[:3].tolist()
    )
    arrives = (z > 0) & (moved_z > 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of pixels that do not arrive
        column = np.rint(moved_x / moved_z * fx + cx)
        row = np.rint(moved_y / moved_z * fy + cy)
    arrives &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = (row[arrives] * width + column[arrives]).astype(np.int64)
    moved = np.full(height * width, np.inf)
    np.minimum.at(moved, place, moved_z[arrives])
    moved[np.isinf(moved)] = 0
    return moved.reshape(height, width).astype(np.float32)
