"""Dense optical flow by DIS (Kroeger et al., 2016), OpenCV's implementation."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]
Grey = NDArray[np.uint8]
Preset = Literal["ultrafast", "fast", "medium"]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# DIS splits an image into a pyramid of 8-pixel patches and refuses smaller images
SMALLEST_SIDE = 16


def grey(image: NDArray[np.uint8]) -> Grey:
    """RGB (H, W, 3) to luma (H, W), both 8 bit."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


class Dis:
    """Flow between two grey images; keeps its buffers from call to call."""

    def __init__(self, preset: Preset) -> None:
        if preset not in _PRESETS:
            raise ValueError(f"preset is {preset!r}, not one of {', '.join(_PRESETS)}")
        self._engine = cv2.DISOpticalFlow.create(_PRESETS[preset])

    def __call__(self, query: Grey, target: Grey, start: Flow | None = None) -> Flow:
        """Flow (H, W, 2) in pixels: query pixel p lies at ``p + flow[p]`` in target.

        ``start`` (H, W, 2) is where the search begins; it is not modified.
        """
        begin = None if start is None else np.ascontiguousarray(start, np.float32).copy()
        return np.asarray(self._engine.calc(query, target, begin), np.float32)
