"""Poses from outside, brought to one convention and checked.

Shapes: N poses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.errors import UserError
from dynprep.scene.frames import Frames

# camera axes x right, y up, z backward, as OpenGL has them, to x right, y down, z forward, as OpenCV has them
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_ROUGH = (
    1e-2  # by how much a matrix may differ from a rotation: files are written with a few digits
)


@dataclass(frozen=True)
class KnownPoses:
    """Where the camera was.

    camera_to_world (N, 4, 4): OpenCV axes; names: of the images that they belong to, empty where the file says none and
    the order counts; is_metric: whether the kind of file is always in metres.
    """

    camera_to_world: Float64Array
    names: tuple[str, ...] = ()
    is_metric: bool = False

    def of(self, frames: Frames, where: str) -> Float64Array:
        """The pose (T, 4, 4) of each frame, by its image's name, else by order.

        Raises UserError where one is missing.
        """
        by_name = {Path(name).stem: k for k, name in enumerate(self.names)}
        if any(frame.name in by_name for frame in frames.table):
            missing = [frame.name for frame in frames.table if frame.name not in by_name]
            if missing:
                raise UserError(
                    f"{where}: has poses of {len(frames) - len(missing)} of {len(frames)} frames, none of "
                    f"{missing[0]}; leave frames out by data.start, data.end and data.stride"
                )
            return self.camera_to_world[[by_name[frame.name] for frame in frames.table]]
        count = len(self.camera_to_world)
        if count == len(frames):
            return self.camera_to_world
        if count <= max(frame.index for frame in frames.table):
            raise UserError(
                f"{where}: has {count} poses for {len(frames)} frames; one is meant for each frame that is used, or "
                "for each of the source"
            )
        return self.camera_to_world[[frame.index for frame in frames.table]]


def rigid(poses: Float64Array, where: str) -> Float64Array:
    """Poses (N, 4, 4) with rotations that are exact; (N, 3, 4) are taken too.

    Raises UserError for poses that are none: not finite, scaled, sheared or left-handed.
    """
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 4), (4, 4)) or not len(poses):
        raise UserError(f"{where}: its shape is {poses.shape}; (N, 4, 4) camera to world is meant")
    full = np.tile(np.eye(4), (len(poses), 1, 1))
    full[:, :3] = poses[:, :3]
    bad = ~np.isfinite(poses).all((1, 2))
    if bad.any():
        raise UserError(f"{where}: pose {int(bad.argmax())} of {len(poses)} is not finite")
    if poses.shape[1] == 4 and np.abs(poses[:, 3] - [0, 0, 0, 1]).max() > _ROUGH:
        raise UserError(f"{where}: the last row of a pose is not 0 0 0 1; is it transposed?")
    u, sizes, v = np.linalg.svd(full[:, :3, :3])
    off = np.abs(sizes - 1).max(1)
    if off.max() > _ROUGH:
        raise UserError(
            f"{where}: pose {int(off.argmax())} of {len(poses)} holds no rotation: its axes have lengths of "
            f"{sizes[off.argmax()].min():.3g} to {sizes[off.argmax()].max():.3g}"
        )
    exact = u @ v
    handed = np.linalg.det(exact)
    if handed.min() < 0:
        raise UserError(
            f"{where}: pose {int(handed.argmin())} of {len(poses)} is left-handed: one axis is flipped"
        )
    full[:, :3, :3] = exact
    return full


def of_quaternions(wxyz: Float64Array, places: Float64Array) -> Float64Array:
    """Matrices (N, 4, 4) of quaternions (N, 4), w first and of any length, and translations (N, 3)."""
    from scipy.spatial.transform import Rotation

    matrices = np.tile(np.eye(4), (len(wxyz), 1, 1))
    matrices[:, :3, :3] = Rotation.from_quat(np.roll(wxyz, -1, 1)).as_matrix()
    matrices[:, :3, 3] = places
    return matrices


def inverted(poses: Float64Array) -> Float64Array:
    """Inverses (N, 4, 4) of rigid motions (N, 4, 4)."""
    result = np.tile(np.eye(4), (len(poses), 1, 1))
    turned = np.swapaxes(poses[:, :3, :3], 1, 2)
    result[:, :3, :3] = turned
    result[:, :3, 3] = -np.einsum("nij,nj->ni", turned, poses[:, :3, 3])
    return result
