"""A COLMAP model's three binary files, as https://colmap.github.io/format.html describes them.

Shapes: N points, T images, (4,) fx, fy, cx, cy.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float64Array, IntArray
from dynprep.backends.layouts.cloud import Cloud
from dynprep.backends.layouts.world import HALF
from dynprep.scene.poses.known import inverted

_PINHOLE = 1  # the model's number; its parameters are fx, fy, cx, cy
_OBSERVATION = np.dtype([("x", "<f8"), ("y", "<f8"), ("point", "<i8")])
_POINT = struct.Struct("<Q3d3Bd")  # id, x, y, z, red, green, blue, error
_COUNT = struct.Struct("<Q")


@dataclass(frozen=True)
class Observations:
    """What one image sees of a cloud: rows (M,) of the points, and where each is seen (M, 2), in pixels."""

    rows: IntArray
    pixels: Float64Array


def cameras_bin(intrinsics: Float64Array, width: int, height: int) -> tuple[bytes, list[int]]:
    """cameras.bin with one camera for each different row of ``intrinsics`` (T, 4), and each image's camera (T,).

    COLMAP has the centre of the first pixel at 0.5, 0.5.
    """
    rows = [tuple(row) for row in intrinsics.tolist()]
    numbers = {row: k for k, row in enumerate(dict.fromkeys(rows), 1)}
    content = [_COUNT.pack(len(numbers))]
    for (fx, fy, cx, cy), number in numbers.items():
        content.append(struct.pack("<iiQQ", number, _PINHOLE, width, height))
        content.append(struct.pack("<4d", fx, fy, cx + HALF, cy + HALF))
    return b"".join(content), [numbers[row] for row in rows]


def images_bin(
    camera_to_world: Float64Array,
    cameras: Sequence[int],
    names: Sequence[str],
    seen: Sequence[Observations],
) -> bytes:
    """images.bin: for each image its pose, world to camera, and what it sees."""
    from scipy.spatial.transform import Rotation

    world_to_camera = inverted(camera_to_world)
    quaternions = Rotation.from_matrix(world_to_camera[:, :3, :3]).as_quat()  # x, y, z, w
    content = [_COUNT.pack(len(names))]
    for k, name in enumerate(names):
        x, y, z, w = quaternions[k]
        turn = np.array([w, x, y, z]) * (1.0 if w >= 0 else -1.0)
        content.append(struct.pack("<i4d", k + 1, *turn))
        content.append(struct.pack("<3di", *world_to_camera[k, :3, 3], cameras[k]))
        content.append(name.encode() + b"\0")
        points = np.zeros(len(seen[k].rows), _OBSERVATION)
        points["x"], points["y"] = seen[k].pixels.T + HALF
        points["point"] = seen[k].rows + 1
        content += [_COUNT.pack(len(points)), points.tobytes()]
    return b"".join(content)


def points_bin(cloud: Cloud, seen: Sequence[Observations]) -> bytes:
    """points3D.bin: each point with the images that see it, and where it stands in their lists."""
    images = np.concatenate([np.full(len(s.rows), k + 1) for k, s in enumerate(seen)])
    places = np.concatenate([np.arange(len(s.rows)) for s in seen])
    rows = np.concatenate([s.rows for s in seen])
    order = np.argsort(rows, kind="stable")
    entries = np.stack([images, places], 1)[order].astype("<u4")
    ends = np.cumsum(np.bincount(rows, minlength=len(cloud)))
    content, begin = [_COUNT.pack(len(cloud))], 0
    for k, end in enumerate(ends.tolist()):
        content.append(_POINT.pack(k + 1, *cloud.positions[k], *cloud.colours[k].tolist(), 0.0))
        content += [_COUNT.pack(end - begin), entries[begin:end].tobytes()]
        begin = end
    return b"".join(content)
