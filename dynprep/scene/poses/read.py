"""Which reader a file of poses needs."""

from pathlib import Path

from dynprep.errors import UserError
from dynprep.scene.poses.colmap import colmap_file, read_colmap
from dynprep.scene.poses.json_files import read_pose_json
from dynprep.scene.poses.known import KnownPoses
from dynprep.scene.poses.number_files import read_pose_array, read_pose_text

_READERS = {
    ".json": read_pose_json,
    ".txt": read_pose_text,
    ".tum": read_pose_text,
    ".npz": read_pose_array,
    ".npy": read_pose_array,
}
_COLMAP = ("images.bin", "images.txt")


def pose_file(path: Path) -> Path:
    """The file that holds the poses: ``path`` itself, or COLMAP's in a folder. Raises UserError where there is none."""
    poses_file = colmap_file(path) if path.is_dir() else path
    if poses_file is None:
        raise UserError(f"{path}: holds no COLMAP reconstruction (sparse/0/images.bin or .txt)")
    if not poses_file.is_file():
        raise UserError(f"{path}: there is no such file")
    return poses_file


def read_poses(path: Path) -> KnownPoses:
    """The poses in a file, or in the folder of a COLMAP reconstruction. Raises UserError for what is none."""
    file = pose_file(path)
    if file.name in _COLMAP:
        return read_colmap(file)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UserError(
            f"{file}: poses are read from {', '.join(_READERS)} files or from a folder of COLMAP's"
        )
    return reader(file)
