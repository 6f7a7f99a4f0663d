"""The camera's path, and what a few hundred grid points along it tell of depth and noise; what any way to it shares.

Shapes: T frames, N points of a grid over the image.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.motion import CameraPath, OpticalFlow, Poses, with_focal
from dynprep.cores import same_sums
from dynprep.options import AtLeastOne, Positive, Range
from dynprep.scene.frames import Frames
from dynprep.stages.base import SceneStage
from dynprep.store import ItemWriter
from dynprep.vision import bundle
from dynprep.vision.bundle import Link
from dynprep.vision.epipolar import triangulate
from dynprep.vision.sampling import inside, pixel_grid
from dynprep.vision.sliding import Links, MeasuredPath

# the range of inverse depths, where the clip's median is 1: what lies outside is noise
INVERSE_DEPTHS = (0.02, 50.0)


@dataclass(frozen=True)
class GridClip:
    """What all windows of a clip share.

    grid (N, 2): points in pixels of ``images/``; points (N, 2): the same in normalised coordinates of the clip's median
    camera; cameras: fx, fy, cx, cy of every frame; pixel: in normalised coordinates.
    """

    grid: Float32Array
    points: Float64Array
    cameras: list[Float64Array]
    pixel: float

    @staticmethod
    def of(scene: Scene, grid: Float32Array, focal_factor: float = 1.0) -> "GridClip":
        """focal_factor: by which focal lengths differ from those in ``Intrinsics``."""
        cameras = [
            with_focal(scene[Intrinsics].of(stem), focal_factor) for stem in scene.frames.stems
        ]
        # one camera for the grid's rays: the clip's median; each target uses its own
        middle = np.median(cameras, axis=0)
        return GridClip(grid, (grid - middle[2:]) / middle[:2], cameras, 1 / float(middle[0]))


@dataclass
class CameraPathStage(SceneStage):
    """Gives the camera's path, with the plausible inverse depths and the noise that a few hundred grid points tell."""

    points: Annotated[int, Range(least=32)]  # fewer do not decide a camera's motion
    reach: AtLeastOne
    cycle_error: Positive
    sigma: Positive
    window: Annotated[int, Range(least=16)]
    overlap: Annotated[int, Range(least=4)]
    least_parallax: Annotated[float, Range(least=0)]
    range_error: Positive
    range_share: Annotated[float, Range(least=0, below=0.5)]
    range_margin: Annotated[float, Range(least=0)]

    makes = CameraPath
    kind_version = 1
    is_helper = True

    def __post_init__(self) -> None:
        if not 2 * self.overlap <= self.window:
            raise ValueError(f"overlap is {self.overlap}, more than half of window={self.window}")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics, OpticalFlow)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        with same_sums():
            poses, notes = self._path(scene)
        CameraPath.write(writer, scene.frames, poses)
        for note in notes:
            writer.note(note)

    def grid(self, frames: Frames, points: int | None = None) -> Float32Array:
        """Grid points (N, 2) in pixels of ``images/``; points: about how many, ``self.points`` if left out."""
        step = max(1, round((frames.height * frames.width / (points or self.points)) ** 0.5))
        grid = pixel_grid(frames.height, frames.width, step).reshape(-1, 2) + step // 2
        return grid[inside(grid, frames.height, frames.width)]

    @abstractmethod
    def _path(self, scene: Scene) -> tuple[Poses, list[str]]:
        """The path, and what the user must know of it."""

    def links(self, scene: Scene, clip: GridClip, start: int, end: int) -> Links:
        """Links between frames of a window, numbered from its beginning."""
        optical_flow = scene[OpticalFlow]
        links: Links = {}
        for i in range(start, end):
            for d in [d for o in optical_flow.offsets if o <= self.reach for d in (o, -o)]:
                if start <= i + d < end:
                    moved, error, within = optical_flow.there_and_back(i, i + d, clip.grid)
                    weight = np.exp(-error) * within * (error < self.cycle_error)
                    seen = (moved - clip.cameras[i + d][2:]) / clip.cameras[i + d][:2]
                    pair = i - start, i + d - start
                    links[pair] = Link(*pair, seen.astype(float), weight.astype(float))
        return links

    def summary(
        self, measured: MeasuredPath, clip: GridClip, frames: Frames
    ) -> tuple[Poses, list[str]]:
        """The path, the plausible inverse depths, the noise of static points, and warnings."""
        z, pixel = measured.unit_inverse_depths(), clip.pixel
        # points that fit the camera's motion and lie in front of it
        fit = (z > bundle.LEAST_INVERSE_DEPTH * 2) & (
            measured.median_off() < self.range_error * pixel
        )
        share = [100 * self.range_share, 100 * (1 - self.range_share)]
        low, high = np.percentile(z[fit] if fit.any() else z, share)
        nearest, farthest = high * (1 + self.range_margin), low / (1 + self.range_margin)
        noise = measured.noise(nearest, farthest, pixel)
        notes = []
        translation = measured.translation
        still = measured.median_parallax() < self.least_parallax * frames.width * pixel
        # more than half of a clip lies at infinity: a translation near 0 explains what moves on its own
        if still or high > INVERSE_DEPTHS[1]:
            # what is left of translation is noise, and depth made of it would be invented
            translation = np.zeros_like(translation)
            notes.append(
                "the camera hardly moves: there is no parallax to take depth from, so the parallax "
                "backends give one constant depth; choose a sensor or a network instead"
            )
        return Poses(measured.rotation, translation, nearest, farthest, noise), notes

    def disk_bytes(self, frames: Frames) -> int:
        return 2000 + 96 * len(frames)


def triangulated(
    state: bundle.BundleState, links: Links, sigma: float
) -> tuple[Float64Array, BoolArray]:
    """Inverse depths (T, N) of the grid, by all links weighted by what each one tells, and where any does (T, N)."""
    top, weight = np.zeros_like(state.inverse_depth), np.zeros_like(state.inverse_depth)
    for (i, j), link in links.items():
        z, information, off = triangulate(state.rays, link.seen, *bundle.relative(state, i, j))
        w = link.weight * information * (z > 0) / (1 + (off / sigma) ** 2)
        top[i] += w * z
        weight[i] += w
    known = weight > 0
    return np.divide(top, weight, out=np.ones_like(top), where=known), known
