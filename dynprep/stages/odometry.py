"""The camera's path, by essential matrices and a robust bundle adjustment over sparse grids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage
from dynprep.stages.frame_flow import FlowFields
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter, Result
from dynprep.vision import bundle
from dynprep.vision.bundle import Link
from dynprep.vision.epipolar import beyond_rotation, first_path, triangulate
from dynprep.vision.motion import rigid_residual
from dynprep.vision.sampling import inside, pixel_grid

Array = NDArray[np.float64]

ODOMETRY = "odometry.npz"


@dataclass(frozen=True)
class Path:
    """What the stage found. rotation (T, 3, 3) and translation (T, 3) bring world coordinates to
    the camera's; lengths in units of the clip's median depth. nearest, farthest: the plausible
    range of inverse depths. noise: typical residual of static points a frame, in pixels."""

    rotation: Array
    translation: Array
    nearest: float
    farthest: float
    noise: float

    def relative(self, i: int, j: int) -> tuple[Array, Array]:
        """Rotation and translation that bring camera i's coordinates to camera j's."""
        rotation = self.rotation[j] @ self.rotation[i].T
        return rotation, self.translation[j] - rotation @ self.translation[i]

    @staticmethod
    def of(result: Result) -> "Path":
        raw = result.arrays(ODOMETRY)
        numbers = {k: float(raw[k]) for k in ("nearest", "farthest", "noise")}
        return Path(raw["rotation"], raw["translation"], **numbers)


@dataclass
class Odometry(Stage[Inputs, tuple[dict[str, Any], list[str]]]):
    """Structure from motion on a few hundred grid points a frame."""

    points: int
    reach: int
    cycle_error: float
    kept: float
    trusted: float
    sigma: float
    iterations: int
    prior: float
    least_parallax: float
    range_error: float
    range_share: float
    range_margin: float
    seed: int

    name = "odometry"
    version = 1
    whole = True

    def __post_init__(self) -> None:
        if self.points < 32:
            raise ValueError(f"points is {self.points}; at least 32 decide a camera's motion")
        if self.reach < 1 or self.iterations < 0:
            raise ValueError("reach must be 1 frame or more, iterations 0 or more")
        if not 0 < self.kept < 1:
            raise ValueError(f"kept is {self.kept}; a share between 0 and 1 is meant")

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics", "frame_flow")

    def load(self, inputs: Inputs, item: str) -> Inputs:
        return inputs

    def compute(self, samples: Sequence[Inputs]) -> list[tuple[dict[str, Any], list[str]]]:
        return [self._of_scene(inputs) for inputs in samples]

    def _grid(self, frames: Frames) -> NDArray[np.float32]:
        step = max(1, round((frames.height * frames.width / self.points) ** 0.5))
        grid = pixel_grid(frames.height, frames.width, step).reshape(-1, 2) + step // 2
        return grid[inside(grid, frames.height, frames.width)]

    def _of_scene(self, inputs: Inputs) -> tuple[dict[str, Any], list[str]]:
        frames = inputs.frames
        count = len(frames)
        fields = FlowFields(inputs["frame_flow"], frames)
        grid = self._grid(frames)
        cameras = [inputs.intrinsics(stem) for stem in frames.stems]
        # one camera for the grid's rays: the clip's median; each target uses its own
        middle = np.median(cameras, axis=0)
        points = (grid - middle[2:]) / middle[:2]
        links: dict[tuple[int, int], Link] = {}
        for i in range(count):
            for d in [d for o in fields.offsets if o <= self.reach for d in (o, -o)]:
                if 0 <= i + d < count:
                    there, error, within = fields.there_and_back(i, i + d, grid)
                    weight = np.exp(-error) * within * (error < self.cycle_error)
                    seen = (there - cameras[i + d][2:]) / cameras[i + d][:2]
                    links[i, i + d] = Link(i, i + d, seen.astype(float), weight.astype(float))
        if count < 2:
            still = {"rotation": np.eye(3)[None], "translation": np.zeros((1, 3))}
            return {**still, "nearest": 1.0, "farthest": 1.0, "noise": 0.0}, []
        pixel = 1 / float(middle[0])
        rotation, translation = first_path(
            points, links, count, self.kept, self.trusted, self.sigma * pixel, self.seed
        )
        scene = bundle.Scene(points, rotation, translation, np.ones((count, len(points))))
        self._first_depths(scene, links, self.sigma * pixel)
        bundle.refine(scene, list(links.values()), self.sigma * pixel, self.iterations, self.prior)
        return self._summary(scene, links, pixel, frames)

    def _first_depths(
        self, scene: bundle.Scene, links: dict[tuple[int, int], Link], sigma: float
    ) -> None:
        """Inverse depths by triangulation over all links, weighted by what each one tells."""
        top, weight = np.zeros_like(scene.inverse_depth), np.zeros_like(scene.inverse_depth)
        for (i, j), link in links.items():
            z, information, off = triangulate(scene.rays, link.seen, *bundle.relative(scene, i, j))
            w = link.weight * information * (z > 0) / (1 + (off / sigma) ** 2)
            top[i] += w * z
            weight[i] += w
        known = weight > 0
        z = np.divide(top, weight, out=np.ones_like(top), where=known)
        middle = float(np.median(z[known])) if known.any() else 1.0
        # far outside the usual range a first guess only misleads
        scene.inverse_depth = np.clip(np.where(known, z / middle, 1.0), 0.02, 50.0)
        scene.translation = scene.translation * middle

    def _summary(
        self,
        scene: bundle.Scene,
        links: dict[tuple[int, int], Link],
        pixel: float,
        frames: Frames,
    ) -> tuple[dict[str, Any], list[str]]:
        """The path, the plausible inverse depths, the noise of static points, and warnings."""
        off: list[list[Array]] = [[] for _ in range(len(frames))]
        parallax: list[float] = []
        # own motion shows best over the longest links
        longest = max(abs(i - j) for i, j in links)
        for (i, j), link in links.items():
            turn, move = bundle.relative(scene, i, j)
            if 2 * abs(i - j) >= longest:
                distance = triangulate(scene.rays, link.seen, turn, move)[2]
                off[i].append(np.where(link.weight > 0, distance, np.inf))
                parallax.append(beyond_rotation(scene.rays, link, self.sigma * pixel))
        z = scene.inverse_depth
        # points that fit the camera's motion and lie in front of it
        nothing = np.full(len(scene.points), np.inf)
        middle = np.stack([np.median(rows or [nothing], axis=0) for rows in off])
        fit = (z > bundle.LEAST_INVERSE_DEPTH * 2) & (middle < self.range_error * pixel)
        share = [100 * self.range_share, 100 * (1 - self.range_share)]
        low, high = np.percentile(z[fit] if fit.any() else z, share)
        nearest, farthest = high * (1 + self.range_margin), low / (1 + self.range_margin)
        residuals: list[Array] = []
        for (i, j), link in links.items():
            if abs(i - j) <= 2:
                turn, move = bundle.relative(scene, i, j)
                r = rigid_residual(scene.rays, link.seen, turn, move, farthest, nearest)
                residuals.append(r[link.weight > 0] / abs(i - j) / pixel)
        noise = float(np.median(np.concatenate(residuals))) if residuals else 0.0
        notes = []
        translation = scene.translation
        if float(np.median(parallax)) < self.least_parallax * frames.width * pixel:
            # what is left of translation is noise, and depth made of it would be invented
            translation = np.zeros_like(translation)
            notes.append(
                "the camera hardly moves: there is no parallax to take depth from, so the parallax "
                "backends give one constant depth; choose a sensor or a network instead"
            )
        found = {
            "rotation": scene.rotation,
            "translation": translation,
            "nearest": nearest,
            "farthest": farthest,
            "noise": noise,
        }
        return found, notes

    def write(
        self,
        writer: ItemWriter,
        inputs: Inputs,
        item: str,
        output: tuple[dict[str, Any], list[str]],
    ) -> None:
        values, notes = output
        writer.arrays(ODOMETRY, **{k: np.asarray(v, np.float64) for k, v in values.items()})
        for note in notes:
            writer.note(note)

    def disk_bytes(self, frames: Frames) -> int:
        return 2000 + 96 * len(frames)
