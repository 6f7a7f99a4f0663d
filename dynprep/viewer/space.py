"""A clip in 3D as a page carries it: what stands still, what moves in each frame, the camera, points' ways.

Shapes: N points, T frames, F frames that the page shows.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynprep.arrays import AnyArray, Float64Array
from dynprep.artefacts import SceneResults
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import PointTrajectories
from dynprep.backends.layouts.cloud import (
    Cloud,
    CloudOptions,
    confirmed_cloud,
    frame_cloud,
    grid_step,
)
from dynprep.backends.layouts.world import depth
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.viewer.world import World, object_ways, world_of

READS = (Images, ObjectMasks, AlignedDisparity, Cameras, MetricDisparity)
_EDGE, _AGREEMENT = 0.05, 0.05  # as the layouts ply and glb take points
_FARTHEST = 8.0  # in median depths of the clip: the sky would squeeze the rest
_MOVING = 2_000  # points of objects in a frame
_WAYS, _BACK = 300, 16  # points whose ways are drawn, and frames back
_STEPS = 65535  # of a coordinate
_OUTER = (0.005, 0.995)  # quantiles that the box spans, widened by its own size on each side
_CAMERA_SIZE = 0.06  # of a drawn camera, in median depths
_FILE = "space.json"
_VERSION = 1  # raised when the same results are drawn in another way


def space(
    scene: SceneResults, stems: Sequence[str], points: int, store: Store
) -> dict[str, Any] | None:
    """What ``space.js`` takes, made once for all pages that show it; None where a result that it needs is missing.

    stems: of the frames that the page shows; points: of what stands still, at most.
    """
    if not all(artefact in scene for artefact in READS):
        return None
    reads = [*READS, *([PointTrajectories] if PointTrajectories in scene else [])]
    recipe = Recipe(
        "media",
        "space",
        kind_version=_VERSION,
        options={"frames": list(stems), "points": points},
        inputs={artefact.name: scene.key(artefact) for artefact in reads},
    )

    def write(writer: ItemWriter) -> None:
        writer.json(_FILE, _made(scene, stems, points))

    content: dict[str, Any] | None = store.cached(recipe, write).json(_FILE)
    return content


def _made(scene: SceneResults, stems: Sequence[str], points: int) -> dict[str, Any] | None:
    world = world_of(scene)
    still = _still(scene, world, points)
    if not len(still):
        return None
    numbers = [scene.number(stem) for stem in stems]
    median = _median_depth(scene, numbers)
    moving = [_moving(scene, world.cameras, k, median) for k in numbers]
    box = _box([still.positions, *(cloud.positions for cloud in moving)])
    fx, fy = world.cameras.intrinsics[0, :2]
    return {
        "unit": world.unit,
        "is_shared": world.is_shared,
        "box": {"low": box[0].tolist(), "high": box[1].tolist()},
        "still": {"places": _packed(still.positions, box), "colours": _text(still.colours)},
        "moving": {
            "places": [_packed(cloud.positions, box) for cloud in moving],
            "colours": [_text(cloud.colours) for cloud in moving],
        },
        "trails": _trails(scene, world, numbers, box),
        "cameras": [[_short(row) for row in world.cameras.camera_to_world[k, :3]] for k in numbers],
        "view": [
            float(scene.frames.width / 2 / fx),
            float(scene.frames.height / 2 / fy),
        ],
        "camera_size": _CAMERA_SIZE * median,
    }


def _short(row: Float64Array) -> list[float]:
    return [float(f"{value:.7g}") for value in row]


def _median_depth(scene: SceneResults, numbers: Sequence[int]) -> float:
    z = depth(scene, scene.frames.stems[numbers[len(numbers) // 2]])
    return float(np.median(z[z > 0])) if (z > 0).any() else 1.0


def _still(scene: SceneResults, world: World, points: int) -> Cloud:
    """What stands still: where frames agree on it, else what the middle frame shows."""
    if world.is_shared:
        options = CloudOptions(points, _EDGE, _AGREEMENT, _FARTHEST)
        if len(cloud := confirmed_cloud(scene, world.cameras, options)):
            return cloud
    middle = len(scene.frames) // 2
    median = _median_depth(scene, [middle])
    step = grid_step(scene, points, 1)
    mask = scene[ObjectMasks].of(scene.frames.stems[middle])
    return frame_cloud(scene, world.cameras, middle, step, _EDGE, _FARTHEST * median, mask)


def _moving(scene: SceneResults, cameras: CameraSet, number: int, median: float) -> Cloud:
    """Points of a frame's objects."""
    mask = scene[ObjectMasks].of(scene.frames.stems[number])
    share = max(float(mask.mean()), 1e-6)
    step = grid_step(scene, max(1, int(_MOVING / share)), 1)
    return frame_cloud(scene, cameras, number, step, _EDGE, _FARTHEST * median, ~mask)


def _trails(
    scene: SceneResults, world: World, numbers: Sequence[int], box: tuple[AnyArray, AnyArray]
) -> dict[str, Any] | None:
    """Ways of some of the object's tracked points, through the frames that are shown."""
    ways = object_ways(scene, world, _WAYS)
    if ways is None:
        return None
    positions, seen = (every[:, numbers] for every in ways)
    return {
        "count": len(positions),
        "back": _BACK,
        "places": [_packed(frame, box) for frame in positions.transpose(1, 0, 2)],
        "seen": [_text(column.astype(np.uint8)) for column in seen.T],
    }


def _box(clouds: Sequence[Float64Array]) -> tuple[AnyArray, AnyArray]:
    """The corners (3,) between which coordinates are stored; single points that are farther off lie on its sides."""
    every = np.concatenate(clouds)
    low, high = np.quantile(every, _OUTER, axis=0)
    room = np.maximum(high - low, 1e-6)
    return np.maximum(low - room, every.min(0)), np.minimum(high + room, every.max(0)) + 1e-9


def _packed(positions: AnyArray, box: tuple[AnyArray, AnyArray]) -> str:
    """Positions (N, 3) as 16-bit steps of the box, in base64."""
    unit = np.clip((positions - box[0]) / (box[1] - box[0]), 0, 1)
    return _text(np.rint(unit * _STEPS).astype("<u2"))


def _text(values: AnyArray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
