"""How networks trained on ImageNet, such as DINOv2, take colours."""

import numpy as np

from dynprep.arrays import Float32Array, FloatArray

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green and blue in 0..1


def normalised(rgb: FloatArray) -> Float32Array:
    """Colours (H, W, 3) in 0..1 -> (3, H, W) without mean and of deviation 1."""
    normal = (rgb - np.array(MEAN)) / np.array(DEVIATION)
    return np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)
