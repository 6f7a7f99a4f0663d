"""The camera's path, by essential matrices and a robust bundle adjustment over sparse grids.

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
from dynprep.options import (
    AtLeastOne,
    NotNegative,
    NotNegativeFloat,
    OpenShare,
    Positive,
    Range,
    Seed,
    Share,
)
from dynprep.scene.frames import Frames
from dynprep.stages.base import SceneStage
from dynprep.store import ItemWriter
from dynprep.vision import bundle
from dynprep.vision.bundle import Link
from dynprep.vision.bundle_adjustment import refine, residual
from dynprep.vision.epipolar import beyond_rotation, first_path, triangulate
from dynprep.vision.focal import FocalEstimate, best_focal
from dynprep.vision.sampling import inside, pixel_grid
from dynprep.vision.sliding import Links, MeasuredPath, go_on_from, last_frames, windows

_RANGE = (0.02, 50.0)  # of inverse depths where the clip's median is 1: what lies outside is noise


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
        if still or high > _RANGE[1]:
            # what is left of translation is noise, and depth made of it would be invented
            translation = np.zeros_like(translation)
            notes.append(
                "the camera hardly moves: there is no parallax to take depth from, so the parallax "
                "backends give one constant depth; choose a sensor or a network instead"
            )
        return Poses(measured.rotation, translation, nearest, farthest, noise), notes

    def disk_bytes(self, frames: Frames) -> int:
        return 2000 + 96 * len(frames)


@dataclass
class BundleOdometry(CameraPathStage):
    """Structure from motion on the grid's points, and on the focal length where it is unknown."""

    estimate_focal: bool
    focal_range: list[float]
    focal_frames: Annotated[int, Range(least=8)]
    focal_points: Annotated[int, Range(least=32)]
    focal_certain: OpenShare

    survival: OpenShare
    trusted: Share
    iterations: NotNegative
    prior: NotNegativeFloat
    seed: Seed

    backend_id = "bundle"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.focal_range) != 2 or not 0 < self.focal_range[0] < self.focal_range[1]:
            raise ValueError(f"focal_range is {self.focal_range}; two growing numbers are meant")

    def ignored(self) -> dict[str, str]:
        options = ("focal_range", "focal_frames", "focal_points", "focal_certain")
        return {} if self.estimate_focal else dict.fromkeys(options, "estimate_focal is false")

    def _path(self, scene: Scene) -> tuple[Poses, list[str]]:
        frames = scene.frames
        count = len(frames)
        if count < 2:
            return Poses(np.eye(3)[None], np.zeros((1, 3)), 1.0, 1.0, 0.0), []
        focal, said = self._focal(scene)
        clip = GridClip.of(scene, self.grid(frames), 1.0 if focal is None else focal.factor)
        measured = MeasuredPath(count)
        before: bundle.BundleState | None = None
        for start, end in windows(count, self.window, self.overlap):
            links = self.links(scene, clip, start, end)
            state = self._refined(clip, links, end - start, before)
            fixed = self._fixed(before)
            measured.add(start, fixed, state, links, self.sigma * clip.pixel)
            before = last_frames(state, self.overlap)
        poses, notes = self.summary(measured, clip, frames)
        if focal is not None:
            values = {"focal_factor": focal.factor, "focal_spread": focal.spread}
            poses = Poses(**{**vars(poses), **values})
        return poses, [*said, *notes]

    def _focal(self, scene: Scene) -> tuple[FocalEstimate | None, list[str]]:
        """The focal length that fits the clip best, where it is unknown and the clip decides it; what to say of it."""
        if not self.estimate_focal or scene[Intrinsics].known:
            return None, []
        start, end = self._liveliest(scene)
        clip = GridClip.of(scene, self.grid(scene.frames, self.focal_points))
        links = self.links(scene, clip, start, end)
        assumed, side = 1 / clip.pixel, max(scene.frames.width, scene.frames.height)

        def cost(factor: float) -> float:
            # normalised coordinates are divided by the focal length
            longer = GridClip(clip.grid, clip.points / factor, clip.cameras, clip.pixel / factor)
            seen = {
                pair: Link(*pair, link.seen / factor, link.weight) for pair, link in links.items()
            }
            state = self._refined(longer, seen, end - start, None)
            return residual(state, list(seen.values()), self.sigma * longer.pixel)

        low, high = (limit * side / assumed for limit in self.focal_range)
        focal = best_focal(cost, low, high, self.focal_certain)
        if focal is None:
            return None, [
                "the focal length could not be estimated from the clip: its motion fits several; the guess stays"
            ]
        pixels = focal.factor * assumed
        angle = 2 * np.degrees(np.arctan(side / 2 / pixels))
        return focal, [
            f"the focal length was estimated from the clip: {pixels:.0f} pixels of images/ ({angle:.0f}° across the "
            f"longer side), to about {focal.spread:.0%}; what is made from parallax uses it"
        ]

    def _liveliest(self, scene: Scene) -> tuple[int, int]:
        """First frame of the part that the focal length is estimated from, and the frame after its last: the part with
        most parallax."""
        count = len(scene.frames)
        length = min(self.focal_frames, count)
        starts = range(0, count - length + 1, length)
        clip = GridClip.of(scene, self.grid(scene.frames, self.focal_points))
        sigma = self.sigma * clip.pixel

        def parallax(start: int) -> float:
            links = self.links(scene, clip, start, start + length)
            longest = max(abs(i - j) for i, j in links)
            shifts = [
                beyond_rotation(np.c_[clip.points, np.ones(len(clip.points))], link, sigma)
                for (i, j), link in links.items()
                if j - i == longest
            ]
            return float(np.median(shifts))

        best = max(starts, key=parallax) if len(starts) > 1 else 0
        return best, best + length

    def _fixed(self, before: bundle.BundleState | None) -> int:
        """How many poses at a window's beginning stay as the window before left them.

        The later ones of those that two windows share are refined again: they lacked frames ahead.
        """
        return 1 if before is None else max(1, self.overlap // 2)

    def _refined(
        self, clip: GridClip, links: Links, count: int, before: bundle.BundleState | None
    ) -> bundle.BundleState:
        """Poses and inverse depths of a window; it goes on from the last frames of the window before."""
        sigma = self.sigma * clip.pixel
        rotation, translation = first_path(
            clip.points, links, count, self.survival, self.trusted, sigma, self.seed
        )
        ones = np.ones((count, len(clip.points)))
        state = bundle.BundleState(clip.points, rotation, translation, ones)
        self._first_depths(state, links, sigma)
        if before is not None:
            go_on_from(state, before)
        fixed = self._fixed(before)
        refine(state, list(links.values()), sigma, self.iterations, self.prior, fixed)
        return state

    def _first_depths(self, state: bundle.BundleState, links: Links, sigma: float) -> None:
        """Inverse depths by triangulation, and the unit in which their median is 1."""
        z, known = triangulated(state, links, sigma)
        middle = float(np.median(z[known])) if known.any() else 1.0
        # far outside the usual range a first guess only misleads
        state.inverse_depth = np.clip(np.where(known, z / middle, 1.0), *_RANGE)
        state.translation = state.translation * middle


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
