"""Dense optical flow by DIS (Kroeger et al. 2016), in OpenCV's implementation.

Shapes: (H, W) pixels of both images.
"""

from typing import Literal

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array, check_shapes

Preset = Literal["ultrafast", "fast", "medium"]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# DIS splits an image into a pyramid of 8-pixel patches and refuses smaller images
SMALLEST_SIDE = 16


def grey(image: UInt8Array) -> UInt8Array:
    """Return the luma (H, W) of an RGB image (H, W, 3), both in 0..255. Raises ValueError else."""
    check_shapes(image=(image, "H W 3"))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


class Dis:
    """Optical flow between two grey images, with buffers that are used again from call to call.

    preset: OpenCV's trade of speed for accuracy. Raises ValueError for an unknown one.
    """

    def __init__(self, preset: Preset) -> None:
        if preset not in _PRESETS:
            raise ValueError(f"preset is {preset!r}, not one of {', '.join(_PRESETS)}")
        self._engine = cv2.DISOpticalFlow.create(_PRESETS[preset])

    def __call__(
        self, query: UInt8Array, target: UInt8Array, start: Float32Array | None = None
    ) -> Float32Array:
        """Return the flow (H, W, 2), x then y in pixels: query pixel p lies at ``p + flow[p]`` in target.

        query, target (H, W) in 0..255; start (H, W, 2) in pixels: where the search begins; it is not
        changed. Raises ValueError for other shapes.
        """
        check_shapes(query=(query, "H W"), target=(target, "H W"))
        if start is not None:
            check_shapes(query=(query, "H W"), start=(start, "H W 2"))
        begin = None if start is None else np.ascontiguousarray(start, np.float32).copy()
        return np.asarray(self._engine.calc(query, target, begin), np.float32)
