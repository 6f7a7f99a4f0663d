"""The size at which Depth Anything 3 sees an image, and images as it takes them, as published.

Shapes: (H, W) pixels of an image, (h, w) of the network's input.
"""

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.models.dinov2 import PATCH
from dynprep.models.imagenet import normalised


def input_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """(h, w) for an image (height, width): the long side ``longest`` pixels, then both the nearest multiples of 14."""
    first = _first_size(height, width, longest)
    return _whole_patches(first[0]), _whole_patches(first[1])


def _first_size(height: int, width: int, longest: int) -> tuple[int, int]:
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _whole_patches(side: int) -> int:
    return max(1, (side + PATCH // 2) // PATCH) * PATCH


def network_input(rgb: UInt8Array, longest: int) -> Float32Array:
    """An image (H, W, 3) -> (3, h, w): resized in two steps, then normalised by ImageNet's mean and deviation."""
    height, width = rgb.shape[:2]
    first = _resized(rgb, _first_size(height, width, longest))
    seen = _resized(first, input_size(height, width, longest))
    return normalised(seen.astype(np.float32) / 255)


def _resized(rgb: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Areas averaged when both sides shrink, bicubic when one grows."""
    if rgb.shape[:2] == size:
        return rgb
    grows = size[0] > rgb.shape[0] or size[1] > rgb.shape[1]
    how = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(rgb, size[::-1], interpolation=how))
