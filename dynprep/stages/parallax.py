"""Signed inverse depth and own motion of every pixel, from the camera's path and dense flow.

Shapes: (h, w) pixels of the working size, V neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprep.arrays import Float32Array, Float64Array, FloatArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.motion import CameraPath, OpticalFlow, ParallaxMaps, Poses
from dynprep.options import AtLeastOne, NotNegative, Positive
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import work_size
from dynprep.stages.base import FrameStage, parallel
from dynprep.store import ItemWriter
from dynprep.vision.epipolar import triangulate
from dynprep.vision.motion import lower_quartile, rigid_residual
from dynprep.vision.sampling import pixel_grid

# where a frame's pixels are in a neighbour, in pixels of ``images/`` (h, w, 2), and the cycle error, in working pixels,
# inf where they left it (h, w)
MovedPixels = tuple[Float64Array, Float32Array]


@dataclass(frozen=True)
class NeighbourView:
    """A neighbour as one frame sees it.

    distance: in frames, signed; seen (h, w, 2): where the frame's pixels are in the neighbour, in normalised
    coordinates; error (h, w): cycle error in working pixels, inf outside; rotation (3, 3) and translation (3,)
    bring the frame's camera coordinates to the neighbour's.
    """

    distance: int
    seen: Float32Array
    error: Float32Array
    rotation: Float64Array
    translation: Float64Array


@dataclass(frozen=True)
class Sight:
    """A frame and some of its neighbours as a path of the camera has them.

    rays (h, w, 3) with z = 1; pixel: a working pixel in normalised units; limits: least and greatest plausible inverse
    depth.
    """

    rays: Float32Array
    pixel: float
    limits: tuple[float, float]
    views: list[NeighbourView]


@dataclass(frozen=True)
class ParallaxSample:
    """What one frame needs: the sights that own motion is computed from, and those that depth is triangulated from."""

    near: Sight
    wide: Sight


@dataclass
class Triangulation(FrameStage[ParallaxSample, Float32Array]):
    """Triangulates each pixel against the neighbours that show enough parallax."""

    most_parallax: Positive
    views: AtLeastOne
    motion_reach: AtLeastOne
    cycle_error: Positive
    rounds: NotNegative

    makes = ParallaxMaps
    kind_version = 2
    backend_id = "triangulation"
    is_helper = True

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics, OpticalFlow, CameraPath)

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), "motion_input": self.context.resolution.motion_input}

    def load(self, scene: Scene, item: str) -> ParallaxSample:
        frames, path = scene.frames, scene[CameraPath]
        number = scene.number(item)
        offsets = [d for o in scene[OpticalFlow].offsets for d in (o, -o)]
        reachable = [d for d in offsets if 0 <= number + d < len(frames)]
        width = work_size(frames, self.context.resolution.motion_input)[1]
        # what a pixel of the working size is across, as a share of the focal length
        pixel = frames.width / width / float(path.poses.camera(scene[Intrinsics], item)[0])
        wide: list[int] = []
        for side in (-1, 1):
            options = [d for d in reachable if d * side > 0]
            good = [
                d
                for d in options
                if self._parallax(path.poses, number, d) <= self.most_parallax * width * pixel
            ]
            wide += (good or options[:1])[-self.views :]
        near = [d for d in reachable if abs(d) <= self.motion_reach]
        flows = self._flows(scene, number, {*near, *wide})
        return ParallaxSample(
            self._sight(scene, number, path.own_motion, flows, near),
            self._sight(scene, number, path.poses, flows, wide),
        )

    def _grid(self, frames: Frames) -> tuple[Float64Array, Float32Array]:
        """Working pixels (h, w, 2) on ``images/``, and how many there are to a pixel of those, by x and y."""
        height, width = work_size(frames, self.context.resolution.motion_input)
        shrink = np.array([width / frames.width, height / frames.height], np.float32)
        return (pixel_grid(height, width) + 0.5) / shrink - 0.5, shrink

    def _flows(self, scene: Scene, number: int, distances: set[int]) -> dict[int, MovedPixels]:
        """Where a frame's pixels are in its neighbours, by distance."""
        grid, shrink = self._grid(scene.frames)
        flows = {}
        for d in distances:
            moved, error, within = scene[OpticalFlow].there_and_back(number, number + d, grid)
            flows[d] = moved, np.where(within, error * shrink[0], np.inf).astype(np.float32)
        return flows

    def _sight(
        self,
        scene: Scene,
        number: int,
        poses: Poses,
        flows: dict[int, MovedPixels],
        distances: list[int],
    ) -> Sight:
        """A frame and its neighbours at ``distances`` along a path."""
        grid, shrink = self._grid(scene.frames)
        height, width = grid.shape[:2]
        intrinsics, stems = scene[Intrinsics], scene.frames.stems
        camera = poses.camera(intrinsics, stems[number])
        rays = np.concatenate([(grid - camera[2:]) / camera[:2], np.ones((height, width, 1))], -1)

        def view(distance: int) -> NeighbourView:
            target = number + distance
            moved, error = flows[distance]
            other = poses.camera(intrinsics, stems[target])
            seen = ((moved - other[2:]) / other[:2]).astype(np.float32)
            return NeighbourView(distance, seen, error, *poses.relative(number, target))

        return Sight(
            rays.astype(np.float32),
            1 / float(camera[0] * shrink[0]),
            (poses.farthest, poses.nearest),
            [view(d) for d in distances],
        )

    def _parallax(self, poses: Poses, number: int, distance: int) -> float:
        """How far a point of median depth (1) in the middle moves by translation, normalised."""
        rotation, translation = poses.relative(number, number + distance)
        ahead = rotation[:, 2]
        moved = ahead + translation
        return float(
            np.linalg.norm(moved[:2] / max(moved[2], 0.1) - ahead[:2] / max(ahead[2], 0.1))
        )

    def compute(self, samples: Sequence[ParallaxSample]) -> list[Float32Array]:
        return parallel(self._maps, samples)

    def _maps(self, s: ParallaxSample) -> Float32Array:
        """Inverse depth, information, own motion and whether it is measured (4, h, w)."""
        near, wide = s.near, s.wide
        height, width = near.rays.shape[:2]
        if not near.views:
            return np.stack([np.ones((height, width)), *np.zeros((3, height, width))]).astype(
                np.float32
            )
        depths, weights = [], []
        for v in wide.views:
            z, information, off = triangulate(wide.rays, v.seen, v.rotation, v.translation)
            usable = np.exp(-(v.error**2)) / (1 + (off / wide.pixel) ** 2)
            depths.append(z)
            weights.append(usable * information / wide.pixel**2)
        inverse, information = robust_mean(np.stack(depths), np.stack(weights), self.rounds)
        moves = np.stack(
            [
                rigid_residual(near.rays, v.seen, v.rotation, v.translation, *near.limits)
                / (near.pixel * abs(v.distance))
                for v in near.views
            ]
        )
        errors = np.stack([v.error for v in near.views])
        trusted = errors <= self.cycle_error
        # what turns fast is lost in every neighbour; its flow is wrong, and still unlike the background's
        measured = trusted.any(0)
        trusted |= ~measured & np.isfinite(errors)
        motion: FloatArray = lower_quartile(np.where(trusted, moves, np.nan))
        return np.stack([inverse, information, motion, measured]).astype(np.float32)

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float32Array) -> None:
        ParallaxMaps.write(writer, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        height, width = work_size(frames, self.context.resolution.motion_input)
        return 8 * len(frames) * height * width


def robust_mean(
    values: FloatArray, weights: FloatArray, rounds: int
) -> tuple[FloatArray, FloatArray]:
    """Mean (h, w) of ``values`` (V, h, w), and its inverse variance (h, w).

    weights (V, h, w): inverse variances. The mean starts at the weighted median and is refined ``rounds`` times
    with Cauchy weights, 1 / (1 + r²) for a residual r in standard deviations, so that outliers count little.
    """
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, 0)
    total = np.cumsum(np.take_along_axis(weights, order, 0), axis=0)
    half = (total >= total[-1:] / 2).argmax(0)
    mean = np.take_along_axis(ordered, half[None], 0)[0]
    w = weights
    for _ in range(rounds):
        w = weights / (1 + weights * (values - mean) ** 2)
        mean = np.where(w.sum(0) > 0, (w * values).sum(0) / np.maximum(w.sum(0), 1e-30), mean)
    return mean, w.sum(0)
