"""Masks of what moves against the camera's motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import each
from dynprep.stages.images import Resolution, resize
from dynprep.stages.inputs import Inputs
from dynprep.stages.masks import Mask, Masks
from dynprep.stages.odometry import Path
from dynprep.stages.structure import Maps
from dynprep.vision.motion import cut_out, drop_specks


@dataclass(frozen=True)
class Sample:
    """rgb (h, w, 3) and own motion (h, w) in working pixels a frame; noise of static points in
    working pixels; the size (H, W) of ``images/``."""

    rgb: NDArray[np.uint8]
    motion: NDArray[np.float32]
    noise: float
    size: tuple[int, int]


@dataclass
class MotionMasks(Masks[Sample]):
    """Pixels whose flow no static point could show, cut out along colour edges."""

    resolution: Resolution
    noise_factor: float
    least_motion: float
    band: float
    opening: float
    smallest: float
    colour_rounds: int

    def needs(self) -> tuple[str, ...]:
        return ("images", "odometry", "structure")

    def options(self) -> dict[str, Any]:
        # the working size is the structure's, which the key holds already
        return {k: v for k, v in super().options().items() if k != "resolution"}

    def load(self, inputs: Inputs, item: str) -> Sample:
        frames = inputs.frames
        motion = Maps.of(inputs["structure"], item).motion
        size = (motion.shape[0], motion.shape[1])
        noise = Path.of(inputs["odometry"]).noise * size[1] / frames.width
        rgb = resize(inputs.rgb(item), size)
        return Sample(rgb, motion, noise, (frames.height, frames.width))

    def compute(self, samples: Sequence[Sample]) -> list[Mask]:
        return each(self._mask, samples)

    def _mask(self, s: Sample) -> Mask:
        longest = max(s.motion.shape)
        moving = s.motion > max(self.least_motion, self.noise_factor * s.noise)
        band, opening = (max(1, round(share * longest)) for share in (self.band, self.opening))
        mask = cut_out(s.rgb, moving, band, opening, self.colour_rounds)
        mask = drop_specks(mask, self.smallest * mask.size)
        if mask.shape == s.size:
            return mask
        full = cv2.resize(mask.astype(np.float32), s.size[::-1], interpolation=cv2.INTER_LINEAR)
        return full >= 0.5
