"""The static scene as a point cloud: where frames agree on the place of what is on no object.

Shapes: N points, (H, W) pixels of ``images/``.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float64Array, IntArray, UInt8Array
from dynprep.artefacts.base import SceneResults
from dynprep.artefacts.cameras import CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.layouts.world import depth, in_world, seen_at
from dynprep.errors import UserError
from dynprep.evenly import evenly
from dynprep.vision.sampling import inside, pixel_grid, sample

_FRAMES = 24  # evenly spaced frames that points are taken from, at most
_HELD = 3  # maps: a frame's and its neighbours'
_SPARE = 3  # times as many points are looked at as are wanted
_BESIDE_OBJECT = (
    9  # pixels across: masks are widened by half of it, since objects' edges smear into depth
)


@dataclass(frozen=True)
class CloudOptions:
    """Which points of the static scene are taken.

    count: at most so many; edge: greatest ratio minus 1 between depths of neighbouring pixels; agreement: difference in
    depth, as a share, up to which another frame confirms a point; farthest: in median depths of the clip.
    """

    count: int
    edge: float
    agreement: float
    farthest: float


@dataclass(frozen=True)
class Cloud:
    """Points of the world: positions (N, 3); colours (N, 3) RGB; frame (N,): the number of the frame that each was
    taken from; pixels (N, 2): where it is seen there."""

    positions: Float64Array
    colours: UInt8Array
    frame: IntArray
    pixels: Float64Array

    def __len__(self) -> int:
        return len(self.positions)

    def of(self, chosen: IntArray | BoolArray) -> "Cloud":
        """Some of the points."""
        return Cloud(
            self.positions[chosen], self.colours[chosen], self.frame[chosen], self.pixels[chosen]
        )


def static_cloud(scene: SceneResults, cameras: CameraSet, options: CloudOptions) -> Cloud:
    """As ``confirmed_cloud``; raises UserError where there is no point."""
    cloud = confirmed_cloud(scene, cameras, options)
    if not len(cloud):
        raise UserError(
            f"{scene.name}: no point of the static scene has a depth that two frames agree on, so there is no point "
            "cloud; look at the masks, at the aligned disparity and at the cameras"
        )
    return cloud


def confirmed_cloud(scene: SceneResults, cameras: CameraSet, options: CloudOptions) -> Cloud:
    """Points of what is on no object and whose depth another frame confirms; there may be none."""
    numbers = evenly(range(len(scene.frames)), _FRAMES)
    step = grid_step(scene, options.count * _SPARE, len(numbers))
    maps = _Maps(scene)
    thinned = []
    for k in numbers:
        values = maps.depth(k)[maps.depth(k) > 0]
        thinned.append(
            values[:: max(1, len(values) // 10_000)].copy()
        )  # of the rest nothing is held
    every = np.concatenate(thinned)
    limit = options.farthest * float(np.median(every)) if len(every) else 0.0
    parts = []
    for at, k in enumerate(numbers):
        cloud = frame_cloud(scene, cameras, k, step, options.edge, limit, maps.mask(k))
        beside = [numbers[j] for j in (at - 1, at + 1) if 0 <= j < len(numbers)]
        if beside:
            confirmed = np.zeros(len(cloud), bool)
            for j in beside:
                confirmed |= _confirms(
                    cloud, cameras, j, maps.depth(j), maps.mask(j), options.agreement
                )
            cloud = cloud.of(confirmed)
        parts.append(cloud)
    cloud = joined(parts)
    chosen = np.linspace(0, len(cloud) - 1, min(options.count, len(cloud))).round().astype(int)
    return cloud.of(chosen)


class _Maps:
    """Depth (H, W) and widened masks (H, W) of frames, of which the last few are held: frames may be large."""

    def __init__(self, scene: SceneResults) -> None:
        stems = scene.frames.stems
        self.depth = lru_cache(_HELD)(lambda k: depth(scene, stems[k]))
        self.mask = lru_cache(_HELD)(lambda k: _widened(scene[ObjectMasks].of(stems[k])))


def frame_cloud(
    scene: SceneResults,
    cameras: CameraSet,
    number: int,
    step: int,
    edge: float,
    limit: float,
    left_out: BoolArray | None,
) -> Cloud:
    """Points of one frame on a grid of ``step`` pixels, nearer than ``limit``.

    edge: as in ``CloudOptions``; left_out (H, W): pixels that are not taken.
    """
    stem = scene.frames.stems[number]
    z = depth(scene, stem)
    usable = (z > 0) & (z < limit) & _smooth(z, edge)
    if left_out is not None:
        usable &= ~left_out
    grid = pixel_grid(*scene.frames.size, step) + step // 2
    grid = grid[inside(grid, *scene.frames.size)].astype(int)
    grid = grid[usable[grid[:, 1], grid[:, 0]]]
    x, y = grid.T
    pixels = grid.astype(np.float64)
    positions = in_world(
        pixels,
        z[y, x].astype(np.float64),
        cameras.intrinsics[number],
        cameras.camera_to_world[number],
    )
    colours = scene[Images].rgb(stem)[y, x]
    return Cloud(positions, colours, np.full(len(grid), number), pixels)


def joined(parts: list[Cloud]) -> Cloud:
    """All points of several clouds."""
    return Cloud(
        np.concatenate([p.positions for p in parts]),
        np.concatenate([p.colours for p in parts]),
        np.concatenate([p.frame for p in parts]),
        np.concatenate([p.pixels for p in parts]),
    )


def grid_step(scene: SceneResults, points: int, frames: int) -> int:
    """Pixels between grid points that give about so many points in so many frames."""
    height, width = scene.frames.size
    return max(1, min(int((height * width * frames / points) ** 0.5), height, width))


def _widened(mask: BoolArray) -> BoolArray:
    kernel = np.ones((_BESIDE_OBJECT, _BESIDE_OBJECT), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _smooth(z: np.ndarray, edge: float) -> BoolArray:
    """Where the deepest of a pixel's neighbours is at most ``1 + edge`` times as deep as the nearest."""
    kernel = np.ones((3, 3), np.uint8)
    smooth: BoolArray = cv2.dilate(z, kernel) <= (1 + edge) * cv2.erode(z, kernel)
    return smooth


def seen_in(
    scene: SceneResults, cloud: Cloud, cameras: CameraSet, number: int, agreement: float
) -> tuple[BoolArray, Float64Array]:
    """Which points (N,) a frame sees at the depth at which they are, and where (N, 2)."""
    stem = scene.frames.stems[number]
    mask = _widened(scene[ObjectMasks].of(stem))
    seen = _confirms(cloud, cameras, number, depth(scene, stem), mask, agreement)
    view = cameras.intrinsics[number], cameras.camera_to_world[number]
    return seen, seen_at(cloud.positions, *view)[0]


def _confirms(
    cloud: Cloud,
    cameras: CameraSet,
    number: int,
    z: np.ndarray,
    mask: BoolArray,
    agreement: float,
) -> BoolArray:
    """Which points (N,) another frame, with depth and mask (H, W), sees at the depth at which they are."""
    pixels, expected = seen_at(
        cloud.positions, cameras.intrinsics[number], cameras.camera_to_world[number]
    )
    within = inside(pixels, *z.shape) & (expected > 0)
    at = np.where(within[:, None], pixels, 0.0)
    column, row = np.clip(np.rint(at).astype(int), 0, np.array(z.shape[::-1]) - 1).T
    measured = sample(z, at).astype(np.float64)
    ratio = measured / np.where(within, expected, 1.0)
    confirmed: BoolArray = within & ~mask[row, column] & (np.abs(ratio - 1) < agreement)
    return confirmed
