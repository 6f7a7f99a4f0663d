"""What a map's numbers mean, and the one place where one meaning becomes another."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError

Array = NDArray[np.float32]

NEAREST, FARTHEST = 1e-6, 1e6  # metres: limits of a depth before it is inverted
PNG_TOP = 65535


class Meaning(Enum):
    """Of a relative map: affine-invariant disparity (near is large) or depth (near is small)."""

    DISPARITY = "affine-invariant disparity"
    DEPTH = "affine-invariant depth"


@dataclass(frozen=True)
class RelativeMap:
    """values (H, W), of any scale and shift."""

    values: Array
    meaning: Meaning

    def disparity(self) -> Array:
        """Affine-invariant disparity (H, W): depth in [0, 1] of the frame becomes 1 / (depth + 1).

        Depth known up to scale and shift fixes disparity only up to a choice of shift; with the
        farthest point twice as deep as the nearest, the order and the edges stay.
        """
        if self.meaning is Meaning.DISPARITY:
            return self.values.astype(np.float32)
        low, high = float(self.values.min()), float(self.values.max())
        unit = (self.values - low) / max(high - low, 1e-12)
        return (1.0 / (unit + 1.0)).astype(np.float32)


@dataclass(frozen=True)
class MetricMap:
    """depth (H, W) in metres; intrinsics [fx, fy, cx, cy] in pixels of ``images/``; valid (H, W)
    where depth was measured, None for everywhere."""

    depth: Array
    intrinsics: NDArray[np.float64]
    valid: NDArray[np.bool_] | None = None


def finite(values: NDArray[Any], what: str) -> None:
    """Raise UserError if any of ``values`` is NaN or infinite: half precision may overflow."""
    if not np.isfinite(values).all():
        raise UserError(
            f"{what}: the network gave values that are not finite; use trainer.precision=bf16-true or "
            "32-true, and check its weights"
        )


def metric_disparity(depth: Array) -> Array:
    """Metric disparity (1/m) of depth (m): 1 / clip(depth, 1e-6, 1e6), float32."""
    return (1.0 / np.clip(depth.astype(np.float64), NEAREST, FARTHEST)).astype(np.float32)


def depth_of(disparity: Array) -> Array:
    """Depth (m) of metric disparity (1/m), as trainers take it: 0 (invalid) becomes 1e6."""
    return (1.0 / np.clip(disparity.astype(np.float64), NEAREST, FARTHEST)).astype(np.float32)


def to_png(disparity: Array) -> NDArray[np.uint16]:
    """Min-max scaled to 0..65535 and truncated; a constant map becomes zeros (CONTRACT: relative
    disparity of a frame)."""
    low, high = float(disparity.min()), float(disparity.max())
    if high <= low:
        return np.zeros(disparity.shape, np.uint16)
    unit = (disparity.astype(np.float64) - low) / (high - low)
    return (unit * PNG_TOP).astype(np.uint16)


def from_png(image: NDArray[np.uint16]) -> NDArray[np.float64]:
    """The relative disparity in [0, 1] that alignment starts from."""
    return image.astype(np.float64) / PNG_TOP
