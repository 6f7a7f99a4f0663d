"""The camera's path, by essential matrices and a robust bundle adjustment over sparse grids.

Shapes: T frames, N points of a grid over the image.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.motion import CameraPath, OpticalFlow, Poses
from dynprep.options import AtLeastOne, NotNegative, OpenShare, Positive, Range, Seed, Share
from dynprep.scene.frames import Frames
from dynprep.stages.base import SceneStage
from dynprep.store import ItemWriter
from dynprep.vision import bundle
from dynprep.vision.bundle import Link
from dynprep.vision.epipolar import beyond_rotation, first_path, triangulate
from dynprep.vision.motion import rigid_residual
from dynprep.vision.sampling import inside, pixel_grid

Links = dict[tuple[int, int], Link]


@dataclass
class BundleOdometry(SceneStage):
    """Structure from motion on a few hundred grid points a frame."""

    points: Annotated[int, Range(least=32)]  # fewer do not decide a camera's motion
    reach: AtLeastOne
    cycle_error: Positive
    survival: OpenShare
    trusted: Share
    sigma: Positive
    iterations: NotNegative
    prior: Annotated[float, Range(least=0)]
    least_parallax: Annotated[float, Range(least=0)]
    range_error: Positive
    range_share: Annotated[float, Range(least=0, below=0.5)]
    range_margin: Annotated[float, Range(least=0)]
    seed: Seed

    makes = CameraPath
    kind_version = 1
    backend_id = "bundle"
    is_helper = True

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics, OpticalFlow)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        poses, notes = self._path(scene)
        CameraPath.write(writer, scene.frames, poses)
        for note in notes:
            writer.note(note)

    def _grid(self, frames: Frames) -> Float32Array:
        """Grid points (N, 2) in pixels of ``images/``."""
        step = max(1, round((frames.height * frames.width / self.points) ** 0.5))
        grid = pixel_grid(frames.height, frames.width, step).reshape(-1, 2) + step // 2
        return grid[inside(grid, frames.height, frames.width)]

    def _path(self, scene: Scene) -> tuple[Poses, list[str]]:
        """The path, and what the user must know of it."""
        frames = scene.frames
        count = len(frames)
        if count < 2:
            return Poses(np.eye(3)[None], np.zeros((1, 3)), 1.0, 1.0, 0.0), []
        optical_flow = scene[OpticalFlow]
        grid = self._grid(frames)
        cameras = [scene[Intrinsics].of(stem) for stem in frames.stems]
        # one camera for the grid's rays: the clip's median; each target uses its own
        middle = np.median(cameras, axis=0)
        points = (grid - middle[2:]) / middle[:2]
        links: Links = {}
        for i in range(count):
            for d in [d for o in optical_flow.offsets if o <= self.reach for d in (o, -o)]:
                if 0 <= i + d < count:
                    moved, error, within = optical_flow.there_and_back(i, i + d, grid)
                    weight = np.exp(-error) * within * (error < self.cycle_error)
                    seen = (moved - cameras[i + d][2:]) / cameras[i + d][:2]
                    links[i, i + d] = Link(i, i + d, seen.astype(float), weight.astype(float))
        pixel = 1 / float(middle[0])
        rotation, translation = first_path(
            points, links, count, self.survival, self.trusted, self.sigma * pixel, self.seed
        )
        state = bundle.BundleState(points, rotation, translation, np.ones((count, len(points))))
        self._first_depths(state, links, self.sigma * pixel)
        sigma = self.sigma * pixel
        bundle.refine(state, list(links.values()), sigma, self.iterations, self.prior)
        return self._summary(state, links, pixel, frames)

    def _first_depths(self, state: bundle.BundleState, links: Links, sigma: float) -> None:
        """Inverse depths by triangulation over all links, weighted by what each one tells."""
        top, weight = np.zeros_like(state.inverse_depth), np.zeros_like(state.inverse_depth)
        for (i, j), link in links.items():
            z, information, off = triangulate(state.rays, link.seen, *bundle.relative(state, i, j))
            w = link.weight * information * (z > 0) / (1 + (off / sigma) ** 2)
            top[i] += w * z
            weight[i] += w
        known = weight > 0
        z = np.divide(top, weight, out=np.ones_like(top), where=known)
        middle = float(np.median(z[known])) if known.any() else 1.0
        # far outside the usual range a first guess only misleads
        state.inverse_depth = np.clip(np.where(known, z / middle, 1.0), 0.02, 50.0)
        state.translation = state.translation * middle

    def _summary(
        self,
        state: bundle.BundleState,
        links: Links,
        pixel: float,
        frames: Frames,
    ) -> tuple[Poses, list[str]]:
        """The path, the plausible inverse depths, the noise of static points, and warnings."""
        off: list[list[Float64Array]] = [[] for _ in range(len(frames))]
        parallax: list[float] = []
        # own motion shows best over the longest links
        longest = max(abs(i - j) for i, j in links)
        for (i, j), link in links.items():
            turn, move = bundle.relative(state, i, j)
            if 2 * abs(i - j) >= longest:
                distance = triangulate(state.rays, link.seen, turn, move)[2]
                off[i].append(np.where(link.weight > 0, distance, np.inf))
                parallax.append(beyond_rotation(state.rays, link, self.sigma * pixel))
        z = state.inverse_depth
        # points that fit the camera's motion and lie in front of it
        nothing = np.full(len(state.points), np.inf)
        middle = np.stack([np.median(rows or [nothing], axis=0) for rows in off])
        fit = (z > bundle.LEAST_INVERSE_DEPTH * 2) & (middle < self.range_error * pixel)
        share = [100 * self.range_share, 100 * (1 - self.range_share)]
        low, high = np.percentile(z[fit] if fit.any() else z, share)
        nearest, farthest = high * (1 + self.range_margin), low / (1 + self.range_margin)
        residuals: list[Float64Array] = []
        for (i, j), link in links.items():
            if abs(i - j) <= 2:
                turn, move = bundle.relative(state, i, j)
                r = rigid_residual(state.rays, link.seen, turn, move, farthest, nearest)
                residuals.append(r[link.weight > 0] / abs(i - j) / pixel)
        noise = float(np.median(np.concatenate(residuals))) if residuals else 0.0
        notes = []
        translation = state.translation
        if float(np.median(parallax)) < self.least_parallax * frames.width * pixel:
            # what is left of translation is noise, and depth made of it would be invented
            translation = np.zeros_like(translation)
            notes.append(
                "the camera hardly moves: there is no parallax to take depth from, so the parallax "
                "backends give one constant depth; choose a sensor or a network instead"
            )
        return Poses(state.rotation, translation, nearest, farthest, noise), notes

    def disk_bytes(self, frames: Frames) -> int:
        return 2000 + 96 * len(frames)
