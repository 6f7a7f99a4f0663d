"""The size at which the network sees a clip, and frames as it takes them, as published.

Shapes: (H, W) pixels of a frame, (h, w) of the network's input.
"""

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.models.dinov2 import PATCH
from dynprep.models.imagenet import normalised

_WIDEST = (
    1.78  # ratio of the sides above which the input shrinks, so that its area stays that of 16:9
)
_WIDE = 1.777


def input_size(height: int, width: int, shorter: int) -> tuple[int, int]:
    """(h, w) for frames (height, width): the shorter side about ``shorter`` pixels, both multiples of 14."""
    ratio = max(height, width) / min(height, width)
    if ratio > _WIDEST:
        shorter = round(int(shorter * _WIDE / ratio) / PATCH) * PATCH
    scale = max(shorter / height, shorter / width)

    def fit(side: int) -> int:
        patches = int(np.round(side * scale / PATCH))
        if patches * PATCH < shorter:
            patches = int(np.ceil(side * scale / PATCH))
        return patches * PATCH

    return fit(height), fit(width)


def network_input(rgb: UInt8Array, size: tuple[int, int]) -> Float32Array:
    """A frame (H, W, 3) -> (3, h, w): resized bicubically, then normalised by ImageNet's mean and deviation."""
    scaled = cv2.resize(
        rgb.astype(np.float32) / 255, (size[1], size[0]), interpolation=cv2.INTER_CUBIC
    )
    return normalised(scaled)
