"""Inverse depth of every pixel from motion parallax, holes and moving pixels filled."""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.motion import CameraPath, Parallax, ParallaxMaps
from dynprep.errors import UserError
from dynprep.options import OpenShare, Positive, Share
from dynprep.scene.source import Source
from dynprep.stages.base import Stage
from dynprep.vision.edge_aware import spread

_BEYOND = 1.2  # times the plausible range of inverse depths, at either end
_LEAST_NOISE = 0.02  # working pixels a frame that a rendered clip's flow is off too, as it is stored in half floats


@dataclass(frozen=True)
class ParallaxDepthSample:
    """What one frame needs.

    rgb (H, W, 3); maps: what motion says, (h, w) each; hidden (H, W): pixels to fill; limits: least and greatest
    plausible inverse depth; noise: own motion, in working pixels a frame, that static points seem to have; intrinsics
    [fx, fy, cx, cy] in pixels of ``images/``; metres: of the path's unit, None where they are unknown.
    """

    rgb: UInt8Array
    maps: Parallax
    hidden: BoolArray
    limits: tuple[float, float]
    noise: float
    intrinsics: Float64Array
    metres: float | None


@dataclass
class DepthFromParallax(Stage):
    """The options that the relative and the metric parallax backend share."""

    fill_masked: bool
    mask_margin: Share
    half_known: Positive
    half_still: Positive
    around: Share
    half_around: OpenShare
    strength: Positive
    sigma: Positive

    def ignored(self) -> dict[str, str]:
        return {} if self.fill_masked else {"mask_margin": "fill_masked is false"}

    def reads(self) -> tuple[type[Artefact], ...]:
        masks = (ObjectMasks,) if self.fill_masked else ()
        return (Images, CameraPath, ParallaxMaps, Intrinsics, *masks)

    def check(self, source: Source) -> None:
        if source.probe().count < 2:
            raise UserError(
                f"{source.describe()}: one frame has no parallax; use metric_depth=sensor or a "
                "network for a single frame, or give at least 2 frames"
            )

    def load(self, scene: Scene, item: str) -> ParallaxDepthSample:
        poses = scene[CameraPath].poses
        rgb = scene[Images].rgb(item)
        hidden = np.zeros(rgb.shape[:2], bool)
        if self.fill_masked:
            reach = 2 * round(self.mask_margin * max(hidden.shape)) + 1
            mask = scene[ObjectMasks].of(item).astype(np.uint8)
            hidden = cv2.dilate(mask, np.ones((reach, reach))) > 0
        maps = scene[ParallaxMaps].of(item)
        limits = (poses.farthest, poses.nearest)
        intrinsics = poses.camera(scene[Intrinsics], item)
        noise = scene[CameraPath].own_motion.noise * maps.motion.shape[1] / rgb.shape[1]
        return ParallaxDepthSample(rgb, maps, hidden, limits, noise, intrinsics, poses.metres)

    def _still(self, s: ParallaxDepthSample) -> Float32Array:
        """How far each pixel (h, w) stands still, 0..1: depth of water, leaves and what masks have missed is none."""
        limit = self.half_still * max(s.noise, _LEAST_NOISE)
        still = 1 / (1 + (s.maps.motion / limit) ** 2)
        # in the midst of what moves, single pixels fit the camera's motion by chance
        reach = 2 * round(self.around * max(still.shape)) + 1
        share = cv2.blur(still, (reach, reach), borderType=cv2.BORDER_REPLICATE) / self.half_around
        return np.asarray(still * share**4 / (1 + share**4), np.float32)

    def inverse_depth(self, s: ParallaxDepthSample) -> Float32Array:
        """Inverse depth (H, W), positive; 1 is the clip's median."""
        size = s.rgb.shape[1::-1]
        # what is a bit off the usual range may be real
        low, high = s.limits[0] / _BEYOND, s.limits[1] * _BEYOND
        # a pixel counts half when its standard deviation is this share of the clip's median
        known = s.maps.information / (s.maps.information + 1 / self.half_known**2)
        known = known * self._still(s)
        # what lies behind infinity, or far beyond the usual range, moves on its own
        known = known * (s.maps.inverse_depth > low) * (s.maps.inverse_depth < high)
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
        return np.clip(known * z + (1 - known) * filled, low, high).astype(np.float32)
