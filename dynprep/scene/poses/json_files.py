"""Poses in JSON: dynprep's cameras.json, nerfstudio's transforms.json, Record3D's metadata, plain matrices.

Shapes: N poses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.errors import UserError
from dynprep.foreign import is_number, read_json
from dynprep.scene.pictures import natural
from dynprep.scene.poses.known import OPENGL, KnownPoses, of_quaternions, rigid

_AXES = {"opencv": np.eye(4), "opengl": OPENGL}


def read_pose_json(path: Path) -> KnownPoses:
    """The poses in a JSON file. Raises UserError for one of another form."""
    raw = read_json(path, Any)
    frames = raw.get("frames") if isinstance(raw, Mapping) else None
    if isinstance(frames, list) and frames and all(isinstance(f, Mapping) for f in frames):
        if all("camera_to_world" in f for f in frames):
            return _of_cameras(raw, frames, path)
        if all("transform_matrix" in f for f in frames):
            return _of_transforms(frames, path)
    if isinstance(raw, Mapping) and isinstance(raw.get("poses"), list):
        return _of_record3d(raw["poses"], path)
    if isinstance(raw, list) and raw:
        return KnownPoses(rigid(_matrices(raw, path), str(path)))
    raise UserError(
        f"{path}: holds no poses; cameras.json, nerfstudio's transforms.json, Record3D's metadata or a list of 4 x 4 "
        "matrices (camera to world, OpenCV axes) is meant"
    )


def _matrices(values: Any, path: Path) -> Float64Array:
    try:
        matrices = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{path}: its poses are not matrices of 4 x 4 numbers") from None
    return matrices


def _of_cameras(raw: Mapping[str, Any], frames: list[Mapping[str, Any]], path: Path) -> KnownPoses:
    axes = raw.get("axes", "opencv")
    if axes not in _AXES:
        raise UserError(f"{path}: axes is {axes!r}; {' or '.join(_AXES)} is meant")
    poses = _matrices([f["camera_to_world"] for f in frames], path) @ _AXES[axes]
    return KnownPoses(rigid(poses, str(path)), is_metric=raw.get("is_metric") is True)


def _of_transforms(frames: list[Mapping[str, Any]], path: Path) -> KnownPoses:
    """OpenGL axes, camera to world (docs.nerf.studio, "Data conventions"); images by their files' names."""
    order = sorted(frames, key=lambda f: natural(Path(str(f.get("file_path", "")))))
    poses = _matrices([f["transform_matrix"] for f in order], path)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise UserError(f"{path}: a transform_matrix is not 4 x 4")
    names = tuple(Path(str(f.get("file_path", ""))).stem for f in order)
    return KnownPoses(rigid(poses @ OPENGL, str(path)), names)


def _of_record3d(rows: list[Any], path: Path) -> KnownPoses:
    """Quaternion x y z w and translation in metres, camera to world with OpenGL axes, as ARKit has them."""
    if not rows or not all(
        isinstance(r, list) and len(r) == 7 and all(map(is_number, r)) for r in rows
    ):
        raise UserError(f"{path}: poses are not rows of 7 numbers, qx qy qz qw tx ty tz")
    values = np.array(rows, np.float64)
    if np.linalg.norm(values[:, :4], axis=1).min() == 0:
        raise UserError(f"{path}: a quaternion is 0")
    matrices = of_quaternions(np.roll(values[:, :4], 1, 1), values[:, 4:])
    return KnownPoses(rigid(matrices @ OPENGL, str(path)), is_metric=True)
