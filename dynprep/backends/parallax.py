"""Inverse depth of every pixel from motion parallax, holes and moving pixels filled."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError
from dynprep.scene.source import Source
from dynprep.stages.inputs import Inputs
from dynprep.stages.masks import read_mask
from dynprep.stages.odometry import Path
from dynprep.stages.structure import Maps
from dynprep.vision.edge_aware import spread

Array = NDArray[np.float32]

NEEDS = ("images", "odometry", "structure")


@dataclass(frozen=True)
class Sample:
    """rgb (H, W, 3); what motion told (h, w) each; pixels to fill (H, W); plausible range of
    inverse depth; intrinsics [fx, fy, cx, cy] in pixels of ``images/``."""

    rgb: NDArray[np.uint8]
    maps: Maps
    hidden: NDArray[np.bool_]
    limits: tuple[float, float]
    intrinsics: NDArray[np.float64]


@dataclass
class Parallax:
    """The options that the relative and the metric parallax backend share."""

    fill_masked: bool
    mask_margin: float
    half_known: float
    strength: float
    sigma: float

    def __post_init__(self) -> None:
        if self.half_known <= 0:
            raise ValueError(f"half_known is {self.half_known}; it must be above 0")
        if self.strength <= 0 or self.sigma <= 0:
            raise ValueError("strength and sigma must be above 0")

    def needs(self) -> tuple[str, ...]:
        return (*NEEDS, "intrinsics", *(("masks",) if self.fill_masked else ()))

    def check(self, source: Source) -> None:
        if source.probe().count < 2:
            raise UserError(
                f"{source.describe()}: one frame has no parallax; use metric_depth=sensor or a "
                "network for a single frame, or give at least 2 frames"
            )

    def load(self, inputs: Inputs, item: str) -> Sample:
        path = Path.of(inputs["odometry"])
        rgb = inputs.rgb(item)
        hidden = np.zeros(rgb.shape[:2], bool)
        if self.fill_masked:
            reach = 2 * round(self.mask_margin * max(hidden.shape)) + 1
            grown = cv2.dilate(read_mask(inputs, item).astype(np.uint8), np.ones((reach, reach)))
            hidden = grown > 0
        maps = Maps.of(inputs["structure"], item)
        limits = (path.farthest, path.nearest)
        return Sample(rgb, maps, hidden, limits, inputs.intrinsics(item))

    def inverse_depth(self, s: Sample) -> Array:
        """Inverse depth (H, W), positive; 1 is the clip's median."""
        size = s.rgb.shape[1::-1]
        low, high = s.limits
        # a pixel counts half when its standard deviation is this share of the clip's median
        known = s.maps.information / (s.maps.information + 1 / self.half_known**2)
        # what lies behind infinity moves on its own; what is a bit off the usual range may be real
        known = known * (s.maps.inverse_depth > low / 2) * (s.maps.inverse_depth < high * 2)
        # enlarged together, so that values that are not known do not bleed into their neighbours
        known = known.astype(np.float32)
        weighted = np.where(known > 0, s.maps.inverse_depth, 0) * known
        z = cv2.resize(weighted, size, interpolation=cv2.INTER_LINEAR)
        known = cv2.resize(known, size, interpolation=cv2.INTER_LINEAR)
        z = np.divide(z, known, out=np.zeros_like(z), where=known > 0)
        known[s.hidden] = 0
        if not known.any():
            return np.ones(s.rgb.shape[:2], np.float32)  # nothing is known: the clip's median
        longest = max(size)
        filled = spread(z, known, s.rgb, (self.strength * longest) ** 2, self.sigma)
        # what is well known stays; smoothing is for the rest
        return np.clip(known * z + (1 - known) * filled, low / 2, high * 2).astype(np.float32)
