"""What moves against the camera's motion, cut out of a frame along colour edges."""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import CameraPath, ParallaxMaps
from dynprep.options import NotNegative, NotNegativeFloat, Positive, Share
from dynprep.scene.resolution import resize
from dynprep.stages.base import Stage
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
class Moving(Stage):
    """The options of ``conf/_shared/moving.yaml``, mixed into a stage that looks for what moves."""

    noise_factor: Positive
    least_motion: NotNegativeFloat
    band: Share
    opening: Share
    smallest: Share
    colour_rounds: NotNegative

    def motion_of(self, scene: Scene, item: str) -> MotionSample:
        """What is known of a frame's own motion."""
        motion = scene[ParallaxMaps].of(item).motion
        size = (motion.shape[0], motion.shape[1])
        noise = scene[CameraPath].poses.noise * size[1] / scene.frames.width
        rgb = resize(scene[Images].rgb(item), size)
        return MotionSample(rgb, motion, noise, scene.frames.size)

    def threshold(self, sample: MotionSample) -> float:
        """Own motion, in working pixels a frame, above which something moves."""
        return max(self.least_motion, self.noise_factor * sample.noise)

    def moving(self, sample: MotionSample) -> BoolArray:
        """What moves in a frame (H, W)."""
        longest = max(sample.motion.shape)
        moving = sample.motion > self.threshold(sample)
        band, opening = (max(1, round(share * longest)) for share in (self.band, self.opening))
        mask = cut_out(sample.rgb, moving, band, opening, self.colour_rounds)
        mask = drop_specks(mask, self.smallest * mask.size)
        if mask.shape == sample.size:
            return mask
        full = cv2.resize(
            mask.astype(np.float32), sample.size[::-1], interpolation=cv2.INTER_LINEAR
        )
        return full >= 0.5
