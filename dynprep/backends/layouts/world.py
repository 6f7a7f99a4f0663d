"""A scene in its world as layouts write it: cameras whose unit is that of depth, and depth of a frame.

Shapes: T frames, (H, W) pixels of ``images/``, (4,) fx, fy, cx, cy.
"""

import numpy as np

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.maps import FARTHEST
from dynprep.errors import UserError
from dynprep.store import ItemWriter

HALF = 0.5  # where COLMAP, gsplat and their like have the centre of the first pixel
_STILL = 1e-9  # of a unit: a path that is shorter is none
_OFF_CENTRE = 0.01  # of the width: a principal point that is farther off matters


def cameras_of(
    scene: SceneResults, writer: ItemWriter, layout: str, needs_motion: bool = True
) -> CameraSet:
    """The cameras, in the unit of aligned disparity's inverse.

    layout: that is written; needs_motion: whether a trainer that reads this needs a camera that moves. Raises UserError
    where poses and depth have different units.
    """
    cameras = scene[Cameras].all
    if not moves(cameras):
        if needs_motion:
            writer.note(
                f"layout={layout}: the camera stays in one place, and a trainer that needs several "
                "viewpoints will not work with this clip"
            )
        return cameras
    if not cameras.shares_unit_with_depth:
        raise UserError(
            f"layout={layout}: poses are in '{cameras.unit}' and depth is in metres, so they do "
            "not fit together: use poses.scale=metric_depth with a clip that has parallax, or poses.metres "
            "with poses=file"
        )
    return cameras


def moves(cameras: CameraSet) -> bool:
    """Whether the camera is ever at another place."""
    return bool(np.abs(cameras.centres - cameras.centres[:1]).max() > _STILL)


def note_principal_point(
    scene: SceneResults, cameras: CameraSet, writer: ItemWriter, layout: str
) -> None:
    """Say where a principal point is off the middle: trainers made from 3D Gaussian Splatting take it to be there."""
    middle = np.array([scene.frames.width - 1, scene.frames.height - 1]) / 2
    off = float(np.abs(cameras.intrinsics[:, 2:] - middle).max())
    if off > _OFF_CENTRE * scene.frames.width:
        writer.note(
            f"layout={layout}: the principal point is {off:.0f} pixels off the image's middle, "
            "where trainers made from 3D Gaussian Splatting take it to be"
        )


def depth(scene: SceneResults, stem: str) -> Float32Array:
    """Depth (H, W) of a frame in the cameras' unit; 0 where there is none, and where it is beyond 1e6."""
    disparity = scene[AlignedDisparity].of(stem)
    known = disparity > 1 / FARTHEST
    return np.divide(1.0, disparity, out=np.zeros_like(disparity), where=known).astype(np.float32)


def in_world(
    pixels: Float64Array, z: Float64Array, intrinsics: Float64Array, pose: Float64Array
) -> Float64Array:
    """Points (N, 3) in the world that are seen at ``pixels`` (N, 2), x then y, at depths ``z`` (N,).

    pose (4, 4): camera to world.
    """
    rays = (pixels - intrinsics[2:]) / intrinsics[:2]
    points = np.concatenate([rays * z[:, None], z[:, None]], 1)
    turned: Float64Array = points @ pose[:3, :3].T + pose[:3, 3]
    return turned


def seen_at(
    points: Float64Array, intrinsics: Float64Array, pose: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Pixels (N, 2) and depths (N,) at which a camera sees points (N, 3) of the world; depths may be negative."""
    turned = (points - pose[:3, 3]) @ pose[:3, :3]
    z = turned[:, 2]
    safe = np.where(np.abs(z) > 1e-12, z, 1e-12)
    return turned[:, :2] / safe[:, None] * intrinsics[:2] + intrinsics[2:], z
