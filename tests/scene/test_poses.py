"""Poses from files: every kind that is read gives the same cameras, and what is no pose is refused in a line."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dynprep.errors import UserError
from dynprep.scene.frames import Frame, Frames
from dynprep.scene.poses import read_poses
from dynprep.scene.poses.known import inverted

COUNT = 12
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def path(seed: int = 0) -> np.ndarray:
    """Poses (12, 4, 4), camera to world."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 1, (COUNT, 3))).as_matrix()
    poses[:, :3, 3] = rng.normal(0, 2, (COUNT, 3))
    return poses


def names() -> list[str]:
    return [f"frame_{k}.png" for k in range(COUNT)]


def xyzw(poses: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(poses[:, :3, :3]).as_quat()


def write_cameras(folder: Path, poses: np.ndarray) -> Path:
    rows = [{"camera_to_world": pose.tolist(), "intrinsics": [1, 1, 0, 0]} for pose in poses]
    content = {"axes": "opencv", "is_metric": True, "frames": rows}
    (file := folder / "cameras.json").write_text(json.dumps(content))
    return file


def write_transforms(folder: Path, poses: np.ndarray) -> Path:
    # in no order of their names
    rows = [{"file_path": f"images/{name}", "transform_matrix": (pose @ FLIP).tolist()}
            for name, pose in zip(names(), poses, strict=True)][::-1]  # fmt: skip
    (file := folder / "transforms.json").write_text(json.dumps({"fl_x": 1, "frames": rows}))
    return file


def write_record3d(folder: Path, poses: np.ndarray) -> Path:
    seen = poses @ FLIP
    rows = np.concatenate([xyzw(seen), seen[:, :3, 3]], 1)
    (file := folder / "metadata.json").write_text(json.dumps({"w": 1, "poses": rows.tolist()}))
    return file


def write_list(folder: Path, poses: np.ndarray) -> Path:
    (file := folder / "poses.json").write_text(json.dumps(poses.tolist()))
    return file


def write_tum(folder: Path, poses: np.ndarray) -> Path:
    rows = np.concatenate([np.arange(COUNT)[:, None] / 30, poses[:, :3, 3], xyzw(poses)], 1)
    np.savetxt(file := folder / "path.txt", rows, header="timestamp tx ty tz qx qy qz qw")
    return file


def write_kitti(folder: Path, poses: np.ndarray) -> Path:
    np.savetxt(file := folder / "kitti.txt", poses[:, :3].reshape(COUNT, 12))
    return file


def write_megasam(folder: Path, poses: np.ndarray) -> Path:
    np.savez(file := folder / "clip_sgd_cvd_hr.npz", cam_c2w=poses, intrinsic=np.eye(3))
    return file


def write_array(folder: Path, poses: np.ndarray) -> Path:
    np.save(file := folder / "poses.npy", poses)
    return file


def colmap_rows(poses: np.ndarray) -> list[tuple[int, list[float], str]]:
    seen = np.linalg.inv(poses)
    wxyz = np.roll(xyzw(seen), 1, 1)
    rows = [(k + 1, [*wxyz[k], *seen[k, :3, 3]], names()[k]) for k in range(COUNT)]
    return rows[::-1]  # COLMAP numbers images as it registers them


def write_colmap_binary(folder: Path, poses: np.ndarray) -> Path:
    (folder / "sparse" / "0").mkdir(parents=True)
    content = struct.pack("<Q", COUNT)
    for number, row, name in colmap_rows(poses):
        content += struct.pack("<I7dI", number, *row, 1) + name.encode() + b"\0"
        content += struct.pack("<Q", 2) + struct.pack("<ddqddq", 1, 2, -1, 3, 4, 7)
    (folder / "sparse" / "0" / "images.bin").write_bytes(content)
    return folder


def write_colmap_text(folder: Path, poses: np.ndarray) -> Path:
    lines = ["# Image list"]
    for number, row, name in colmap_rows(poses):
        lines += [f"{number} {' '.join(map(repr, map(float, row)))} 1 {name}", "1.0 2.0 -1"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


WRITERS = [
    write_cameras, write_transforms, write_record3d, write_list, write_tum, write_kitti,
    write_megasam, write_array, write_colmap_binary, write_colmap_text,
]  # fmt: skip
ALWAYS_METRIC = {write_cameras, write_record3d, write_tum, write_kitti}


def clip(count: int = COUNT, stride: int = 1) -> Frames:
    table = tuple(
        Frame(f"{k:05d}", k * stride, k / 24, f"frame_{k * stride}") for k in range(count)
    )
    return Frames(table, ".png", 96, 160, 96, 160)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[6:])
def test_every_kind_of_file_gives_the_same_cameras(
    write: Callable[[Path, np.ndarray], Path], tmp_path: Path
) -> None:
    known = read_poses(write(tmp_path, path()))
    assert np.abs(known.of(clip(), "here") - path()).max() < 1e-6
    assert known.is_metric == (write in ALWAYS_METRIC)
    every_third = known.of(clip(4, 3), "here")  # of a source of which every third frame is used
    assert np.abs(every_third - path()[::3]).max() < 1e-6


@given(st.integers(0, 1000))
def test_an_inverse_undoes_a_motion(seed: int) -> None:
    poses = path(seed)
    assert np.abs(inverted(poses) @ poses - np.eye(4)).max() < 1e-12


def changed(row: tuple[int, ...] | tuple[slice, ...], value: float) -> np.ndarray:
    poses = path()
    poses[row] = value
    return poses


WRONG = {
    "not finite": changed((3, 0, 3), np.nan),
    "holds no rotation": path() * np.array([2, 2, 2, 1])[:, None],
    "left-handed": path() @ np.diag([-1.0, 1, 1, 1]),
    "transposed": np.swapaxes(path(), 1, 2),
    "its shape is": path()[:, :2],
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_pose_is_refused_in_a_line(said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as error:
        read_poses(write_array(tmp_path, WRONG[said]))
    assert "\n" not in str(error.value) and "poses.npy" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("poses.json", b"[]", "holds no poses"),
        ("poses.json", b'{"a": 1}', "holds no poses"),
        ("poses.json", b'[[1, 2], "a"]', "not matrices"),
        ("poses.json", b'{"poses": [[0, 0, 0, 0, 1, 1, 1]]}', "quaternion is 0"),
        ("poses.json", b'{"poses": [[1, 2, 3]]}', "7 numbers"),
        ("poses.json", b"{", "JSON"),
        ("path.txt", b"1 2 3\n", "3 words"),
        ("path.txt", b"0 1 1 1 0 0 0 a\n", "could not convert"),
        ("path.txt", b"0 1 1 1 0 0 0 0\n", "quaternion is 0"),
        ("path.txt", b"\xff\xfe\x00", "lines of TUM"),
        ("poses.npz", b"PK", "not a complete .npz"),
        ("poses.ply", b"", "poses are read from"),
        ("images.bin", struct.pack("<Q", 3), "not a complete COLMAP file"),
        ("images.bin", struct.pack("<Q", 2**60), "not a complete COLMAP file"),
        ("images.bin", struct.pack("<Q", 0), "holds no image"),
        ("images.txt", b"1 2 3\n\n", "a line of 3 words"),
    ],
)
def test_a_file_that_holds_no_poses_is_refused_in_a_line(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_poses(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "scene.npy", np.array({"traj_c2w": path()}, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"scene\.npy"):
        read_poses(tmp_path / "scene.npy")


def test_too_few_poses_and_frames_without_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="12 poses for 20 frames"):
        read_poses(write_list(tmp_path, path())).of(clip(20), "poses.path=here")
    with pytest.raises(UserError, match="12 of 20 frames, none of frame_12"):
        read_poses(write_transforms(tmp_path, path())).of(clip(20), "poses.path=here")
