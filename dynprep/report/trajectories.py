"""Points in 3D over time, for W&B.

Shapes: N points, T frames.
"""

from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts import SceneResults
from dynprep.artefacts.points import KINDS, PointTrajectories


@dataclass(frozen=True)
class ShownPoints:
    """positions (N, T, 3), visible (N, T), colours (N, 3) uint8."""

    positions: Float32Array
    visible: BoolArray
    colours: UInt8Array


def load_points(scene: SceneResults, most: int | None = None) -> ShownPoints:
    """The scene's trajectories of both kinds; most: of each kind, evenly thinned."""
    parts = []
    for kind in KINDS:
        cloud = scene[PointTrajectories].of(kind)
        step = 1 if most is None else max(1, -(-len(cloud) // most))
        parts.append((cloud.positions[::step], cloud.visible[::step], cloud.colours[::step]))
    return ShownPoints(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def clouds(shown: ShownPoints, frames: list[int]) -> list[Float32Array]:
    """For each of ``frames`` the points seen in it (N, 6): x, y up, z towards the viewer, r, g, b in 0..255."""
    shown_clouds = []
    for frame in frames:
        seen = shown.visible[:, frame]
        xyz = shown.positions[seen, frame] * np.array([1, -1, -1], np.float32)
        shown_clouds.append(np.concatenate([xyz, shown.colours[seen]], 1).astype(np.float32))
    return shown_clouds
