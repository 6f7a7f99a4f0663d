"""Signed inverse depth and own motion of every pixel, from the camera's path and dense flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage, each
from dynprep.stages.frame_flow import FlowFields
from dynprep.stages.images import Resolution, work_size
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.odometry import Path
from dynprep.store import ItemWriter, Result
from dynprep.vision.epipolar import triangulate
from dynprep.vision.motion import lower_quartile, rigid_residual
from dynprep.vision.sampling import pixel_grid

Array = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A neighbour as one frame sees it: where pixels are there (h, w, 2) normalised, cycle error
    (h, w) in working pixels (inf outside), the relative pose, the distance in frames."""

    distance: int
    seen: Array
    error: Array
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """What one frame needs: rays (h, w, 3) with z = 1, a working pixel in normalised units."""

    rays: Array
    pixel: float
    near: list[View]
    wide: list[View]
    limits: tuple[float, float]


@dataclass(frozen=True)
class Maps:
    """Per pixel (h, w) at the working size: inverse depth (1 is the clip's median; negative where
    only own motion explains the flow), how well it is known (inverse variance), own motion in
    working pixels a frame."""

    inverse_depth: Array
    information: Array
    motion: Array

    @staticmethod
    def of(result: Result, stem: str) -> "Maps":
        return Maps(*result.array(f"{stem}.npy").astype(np.float32))


@dataclass
class Structure(Stage[Sample, Array]):
    """Triangulates each pixel against the neighbours that show enough parallax."""

    resolution: Resolution
    most_parallax: float
    views: int
    motion_reach: int
    cycle_error: float
    rounds: int

    name = "structure"
    version = 1

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"views is {self.views}; at least 1 neighbour a side is needed")

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics", "frame_flow", "odometry")

    def options(self) -> dict[str, Any]:
        own = {k: v for k, v in super().options().items() if k != "resolution"}
        return {**own, "motion_input": self.resolution.motion_input}

    def load(self, inputs: Inputs, item: str) -> Sample:
        frames = inputs.frames
        number = inputs.number(item)
        path = Path.of(inputs["odometry"])
        fields = FlowFields(inputs["frame_flow"], frames)
        height, width = work_size(frames, self.resolution.motion_input)
        shrink = np.array([width / frames.width, height / frames.height], np.float32)
        grid = (pixel_grid(height, width) + 0.5) / shrink - 0.5  # working pixels on images/
        camera = inputs.intrinsics(item)
        rays = np.concatenate([(grid - camera[2:]) / camera[:2], np.ones((height, width, 1))], -1)
        pixel = 1 / float(camera[0] * shrink[0])

        def view(distance: int) -> View:
            target = number + distance
            there, error, within = fields.there_and_back(number, target, grid)
            other = inputs.intrinsics(frames.stems[target])
            seen = ((there - other[2:]) / other[:2]).astype(np.float32)
            lost = np.where(within, error * shrink[0], np.inf).astype(np.float32)
            return View(distance, seen, lost, *path.relative(number, target))

        reachable = [d for o in fields.offsets for d in (o, -o) if 0 <= number + d < len(frames)]
        wide: list[int] = []
        for side in (-1, 1):
            options = [d for d in reachable if d * side > 0]
            good = [
                d
                for d in options
                if self._parallax(path, number, d) <= self.most_parallax * width * pixel
            ]
            wide += (good or options[:1])[-self.views :]
        views = {
            d: view(d) for d in {*wide, *(d for d in reachable if abs(d) <= self.motion_reach)}
        }
        near = [views[d] for d in reachable if abs(d) <= self.motion_reach]
        limits = (path.farthest, path.nearest)
        return Sample(rays.astype(np.float32), pixel, near, [views[d] for d in wide], limits)

    def _parallax(self, path: Path, number: int, distance: int) -> float:
        """How far a point of median depth (1) in the middle moves by translation, normalised."""
        rotation, translation = path.relative(number, number + distance)
        ahead = rotation[:, 2]
        there = ahead + translation
        return float(
            np.linalg.norm(there[:2] / max(there[2], 0.1) - ahead[:2] / max(ahead[2], 0.1))
        )

    def compute(self, samples: Sequence[Sample]) -> list[Array]:
        return each(self._maps, samples)

    def _maps(self, s: Sample) -> Array:
        height, width = s.rays.shape[:2]
        if not s.near:
            return np.stack([np.ones((height, width)), *np.zeros((2, height, width))]).astype(
                np.float32
            )
        depths, weights = [], []
        for v in s.wide:
            z, information, off = triangulate(s.rays, v.seen, v.rotation, v.translation)
            usable = np.exp(-(v.error**2)) / (1 + (off / s.pixel) ** 2)
            depths.append(z)
            weights.append(usable * information / s.pixel**2)
        inverse, information = robust_mean(np.stack(depths), np.stack(weights), self.rounds)
        moves = []
        for v in s.near:
            r = rigid_residual(s.rays, v.seen, v.rotation, v.translation, *s.limits)
            lost = v.error > self.cycle_error
            moves.append(np.where(lost, np.nan, r / s.pixel / abs(v.distance)))
        motion: NDArray[np.floating] = lower_quartile(np.stack(moves))
        return np.stack([inverse, information, motion]).astype(np.float32)

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Array) -> None:
        # half floats hold 0.05 %; information only weighs, so its ends may be clipped
        highest = float(np.finfo(np.float16).max)
        writer.array(f"{item}.npy", np.clip(output, -highest, highest).astype(np.float16))

    def disk_bytes(self, frames: Frames) -> int:
        height, width = work_size(frames, self.resolution.motion_input)
        return 6 * len(frames) * height * width


def robust_mean(
    values: NDArray[np.floating], weights: NDArray[np.floating], rounds: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Mean (h, w) and its inverse variance of ``values`` (V, h, w) by inverse variances
    ``weights``, started at the weighted median, refined with Cauchy weights ``rounds`` times."""
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
