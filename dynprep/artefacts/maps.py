"""What a map's numbers mean, and the one place where one meaning becomes another.

Shapes: (H, W) pixels of ``images/``.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array, UInt16Array

NEAREST, FARTHEST = 1e-6, 1e6  # metres: limits of a depth before it is inverted
PNG_TOP = 65535


class MapKind(Enum):
    """What the numbers of a relative map are: affine-invariant disparity, where near is large, affine-invariant depth,
    where near is small, or depth up to scale alone."""

    DISPARITY = "affine-invariant disparity"
    DEPTH = "affine-invariant depth"
    SCALED_DEPTH = "scale-invariant depth"


@dataclass(frozen=True)
class RelativeMap:
    """A relative-depth model's output for a frame.

    values (H, W): of any scale and shift; kind: what they are; sky (H, W): where the model sees sky, None where it does
    not say.
    """

    values: Float32Array
    kind: MapKind
    sky: BoolArray | None = None

    def disparity(self) -> Float32Array:
        """Affine-invariant disparity (H, W); depth, brought to [0, 1] over the frame, becomes 1 / (depth + 1).

        Depth known up to scale and shift fixes disparity only up to a choice of shift. With the farthest point
        twice as deep as the nearest, the order and the edges stay. Depth known up to scale becomes 1 / depth, and
        sky 0.
        """
        if self.kind is MapKind.DISPARITY:
            return self.values.astype(np.float32)
        if self.kind is MapKind.SCALED_DEPTH:
            disparity = 1.0 / np.clip(self.values.astype(np.float64), NEAREST, FARTHEST)
            if self.sky is not None:
                disparity[self.sky] = 0
            return disparity.astype(np.float32)
        low, high = float(self.values.min()), float(self.values.max())
        unit = (self.values - low) / max(high - low, 1e-12)
        return (1.0 / (unit + 1.0)).astype(np.float32)


@dataclass(frozen=True)
class MetricMap:
    """A metric-depth model's output for a frame.

    depth_m (H, W) in metres; intrinsics [fx, fy, cx, cy] in pixels of ``images/``; valid (H, W) where depth was
    measured, None for everywhere; sky (H, W): where the model sees sky or what else has no finite depth, and depth_m is
    ``FARTHEST``, None where it does not say; remark: what a user should know, the same words for all frames.
    """

    depth_m: Float32Array
    intrinsics: Float64Array
    valid: BoolArray | None = None
    sky: BoolArray | None = None
    remark: str = ""


def disparity_of(depth_m: Float32Array) -> Float32Array:
    """Metric disparity (H, W) in 1/m of depth_m (H, W) in metres: 1 / clip(depth_m, 1e-6, 1e6), float32."""
    return (1.0 / np.clip(depth_m.astype(np.float64), NEAREST, FARTHEST)).astype(np.float32)


def depth_of(disparity: Float32Array) -> Float32Array:
    """Depth (H, W) in metres of metric disparity (H, W) in 1/m, as trainers take it: 0 (invalid) becomes 1e6."""
    return (1.0 / np.clip(disparity.astype(np.float64), NEAREST, FARTHEST)).astype(np.float32)


def to_png(disparity: Float32Array) -> UInt16Array:
    """Relative disparity (H, W) min-max scaled to 0..65535 and truncated, as the published scripts write it.

    A constant map becomes zeros.
    """
    low, high = float(disparity.min()), float(disparity.max())
    if high <= low:
        return np.zeros(disparity.shape, np.uint16)
    unit = (disparity.astype(np.float64) - low) / (high - low)
    return (unit * PNG_TOP).astype(np.uint16)


def from_png(image: UInt16Array) -> Float64Array:
    """Relative disparity (H, W) in [0, 1] of a 16-bit PNG (H, W), from which the published alignment starts."""
    return image.astype(np.float64) / PNG_TOP
