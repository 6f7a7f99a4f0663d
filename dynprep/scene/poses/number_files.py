"""Poses as rows of numbers: TUM's and KITTI's text files, NumPy's arrays.

Shapes: N poses.
"""

from pathlib import Path

import numpy as np

from dynprep.errors import UserError
from dynprep.foreign import read_limited
from dynprep.scene.array_files import read_named_numbers, read_numbers
from dynprep.scene.poses.known import KnownPoses, of_quaternions, rigid

_MOST_BYTES = 1 << 28
_TUM, _KITTI = 8, 12  # numbers of a line
# of camera-to-world matrices with OpenCV axes in .npz files: MegaSaM's, others'
_NAMES = ("cam_c2w", "cam2world", "camera_to_world", "c2w")


def read_pose_text(path: Path) -> KnownPoses:
    """TUM's ``time tx ty tz qx qy qz qw`` or KITTI's 12 numbers of a 3 x 4 matrix, camera to world, in metres.

    Raises UserError for anything else.
    """
    text = read_limited(path, _MOST_BYTES).decode("utf-8", "replace")
    rows = [
        line.replace(",", " ").split()
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    widths = {len(row) for row in rows}
    if widths not in ({_TUM}, {_KITTI}):
        raise UserError(
            f"{path}: lines of TUM (time tx ty tz qx qy qz qw) or of KITTI (12 numbers) are meant; these have "
            f"{' and '.join(map(str, sorted(widths)[:3])) or 'no'} words"
        )
    try:
        values = np.array([[float(word) for word in row] for row in rows])
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    if widths == {_KITTI}:
        return KnownPoses(rigid(values.reshape(-1, 3, 4), str(path)), is_metric=True)
    values = values[np.argsort(values[:, 0], kind="stable")]
    if not np.isfinite(values).all() or np.linalg.norm(values[:, 4:], axis=1).min() == 0:
        raise UserError(f"{path}: a quaternion is 0, or a number is not finite")
    matrices = of_quaternions(np.roll(values[:, 4:], 1, 1), values[:, 1:4])
    return KnownPoses(rigid(matrices, str(path)), is_metric=True)


def read_pose_array(path: Path) -> KnownPoses:
    """A .npy file of matrices (N, 4, 4) or (N, 3, 4), or a .npz file that holds one under a known name."""
    if path.suffix == ".npy":
        return KnownPoses(rigid(read_numbers(path).astype(np.float64), str(path)))
    arrays = read_named_numbers(path)
    name = next((name for name in _NAMES if name in arrays), None)
    if name is None:
        raise UserError(
            f"{path}: holds {', '.join(sorted(arrays)[:6])}; one of {', '.join(_NAMES)} is meant"
        )
    return KnownPoses(rigid(arrays[name].astype(np.float64), str(path)))
