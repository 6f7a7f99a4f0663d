"""Where a clip is seen in 3D: its cameras, and the unit of lengths.

Shapes: T frames, N points.
"""

from dataclasses import dataclass, replace

import numpy as np

from dynprep.arrays import AnyArray, Float64Array
from dynprep.artefacts import SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import PointTrajectories, Trajectories
from dynprep.backends.layouts.world import moves


@dataclass(frozen=True)
class World:
    """Where points are put: cameras of all T frames, whether depth and poses share a unit, and its name."""

    cameras: CameraSet
    is_shared: bool
    unit: str

    def of(self, positions: AnyArray) -> Float64Array:
        """Positions (N, T, 3) in the camera of each frame, brought to the world."""
        poses = self.cameras.camera_to_world
        turned = np.einsum("tij,ntj->nti", poses[:, :3, :3], positions.astype(np.float64))
        return np.asarray(turned + poses[:, :3, 3])


def world_of(scene: SceneResults) -> World:
    """The world of ``cameras.json``; the camera's own space where its poses and depth have different units."""
    cameras = scene[Cameras].all
    metric = scene[MetricDisparity]
    unit = "m" if metric.displayed_unit(scene) == metric.unit else "units"
    if not moves(cameras) or cameras.shares_unit_with_depth:
        return World(cameras, True, unit)
    still = np.tile(np.eye(4), (len(scene.frames), 1, 1))
    return World(replace(cameras, camera_to_world=still), False, unit)


def object_ways(
    scene: SceneResults, world: World, most: int
) -> tuple[Float64Array, AnyArray] | None:
    """Positions (N, T, 3) in the world of the object's points that are seen most often, and where they are seen (N, T).

    most: points, at most. None where there are none, or none in a camera's space.
    """
    if PointTrajectories not in scene:
        return None
    points = scene[PointTrajectories]
    if scene.results[points.name].options.get("space", "camera") != "camera":
        return None
    chosen = _seen_most(points.of("fg"), most)
    return None if chosen is None else (world.of(chosen.positions), chosen.visible)


def _seen_most(points: Trajectories, most: int) -> Trajectories | None:
    """Every k-th of the points seen in most frames."""
    if not len(points):
        return None
    order = np.argsort(-points.visible.sum(1), kind="stable")[: 4 * most]
    rows = np.sort(order)[:: max(1, -(-len(order) // most))]
    return Trajectories(**{name: values[rows] for name, values in vars(points).items()})
