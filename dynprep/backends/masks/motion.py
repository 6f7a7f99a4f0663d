"""Masks of what moves against the camera's motion."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import CameraPath, ParallaxMaps
from dynprep.options import NotNegative, NotNegativeFloat, Positive, Share
from dynprep.scene.resolution import resize
from dynprep.stages.base import parallel
from dynprep.stages.masks import Masks
from dynprep.vision.motion import cut_out, drop_specks


@dataclass(frozen=True)
class MotionSample:
    """rgb (h, w, 3) and own motion (h, w) in working pixels a frame; noise of static points in working pixels; the
    size (H, W) of ``images/``."""

    rgb: UInt8Array
    motion: Float32Array
    noise: float
    size: tuple[int, int]


@dataclass
class MotionMasks(Masks[MotionSample]):
    """Pixels whose flow no static point could show, cut out along colour edges."""

    noise_factor: Positive
    least_motion: NotNegativeFloat
    band: Share
    opening: Share
    smallest: Share
    colour_rounds: NotNegative

    backend_id = "motion"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, CameraPath, ParallaxMaps)

    def load(self, scene: Scene, item: str) -> MotionSample:
        motion = scene[ParallaxMaps].of(item).motion
        size = (motion.shape[0], motion.shape[1])
        noise = scene[CameraPath].poses.noise * size[1] / scene.frames.width
        rgb = resize(scene[Images].rgb(item), size)
        return MotionSample(rgb, motion, noise, scene.frames.size)

    def compute(self, samples: Sequence[MotionSample]) -> list[BoolArray]:
        return parallel(self._mask, samples)

    def _mask(self, s: MotionSample) -> BoolArray:
        """The mask (H, W) of one frame."""
        longest = max(s.motion.shape)
        moving = s.motion > max(self.least_motion, self.noise_factor * s.noise)
        band, opening = (max(1, round(share * longest)) for share in (self.band, self.opening))
        mask = cut_out(s.rgb, moving, band, opening, self.colour_rounds)
        mask = drop_specks(mask, self.smallest * mask.size)
        if mask.shape == s.size:
            return mask
        full = cv2.resize(mask.astype(np.float32), s.size[::-1], interpolation=cv2.INTER_LINEAR)
        return full >= 0.5
