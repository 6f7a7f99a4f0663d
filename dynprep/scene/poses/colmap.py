"""Poses of a COLMAP reconstruction: images.bin or images.txt, as https://colmap.github.io/format.html describes them.

Shapes: N images.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dynprep.errors import UserError
from dynprep.foreign import read_limited
from dynprep.scene.poses.known import KnownPoses, inverted, of_quaternions, rigid

_MOST_BYTES = 1 << 31
_PLACES = (".", "0", "sparse/0", "sparse", "colmap/sparse/0")  # of the files below a folder
_HEAD = struct.Struct("<I4d3dI")  # id, quaternion w x y z, translation, camera
_COUNT = struct.Struct("<Q")
_POINT = 24  # bytes of an observation: x, y and the point's id
_FIELDS = 10  # of an image's line: id, quaternion, translation, camera, name

_Image = tuple[str, list[float]]  # its name; quaternion w x y z and translation, world to camera


def colmap_file(folder: Path) -> Path | None:
    """The file of images in a reconstruction's folder or in one that holds it; None where there is none."""
    names = (folder / place / f"images{ending}" for place in _PLACES for ending in (".bin", ".txt"))
    return next((name for name in names if name.is_file()), None)


def read_colmap(path: Path) -> KnownPoses:
    """The poses in images.bin or images.txt, in the order of their names. Raises UserError for a damaged file."""
    content = read_limited(path, _MOST_BYTES)
    try:
        images = list(_binary(content) if path.suffix == ".bin" else _text(content))
    except (struct.error, ValueError, IndexError) as error:
        raise UserError(f"{path}: not a complete COLMAP file ({error}); replace it") from None
    if not images:
        raise UserError(f"{path}: holds no image")
    images.sort()
    values = np.array([row for _, row in images])
    world_to_camera = rigid(of_quaternions(_nonzero(values[:, :4], path), values[:, 4:]), str(path))
    return KnownPoses(inverted(world_to_camera), tuple(name for name, _ in images))


def _nonzero(quaternions: np.ndarray, path: Path) -> np.ndarray:
    if not (np.isfinite(quaternions).all() and np.linalg.norm(quaternions, axis=1).min() > 0):
        raise UserError(f"{path}: a quaternion is 0 or not finite")
    return quaternions


def _binary(content: bytes) -> Iterator[_Image]:
    (count,) = _COUNT.unpack_from(content)
    at = _COUNT.size
    for _ in range(count):
        _, *row, _ = _HEAD.unpack_from(content, at)
        end = content.index(b"\0", at + _HEAD.size)
        yield content[at + _HEAD.size : end].decode(), row
        (points,) = _COUNT.unpack_from(content, end + 1)
        at = end + 1 + _COUNT.size + points * _POINT
        if at > len(content):
            raise ValueError("it ends early")


def _text(content: bytes) -> Iterator[_Image]:
    lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
    while lines and not lines[0].strip():
        lines.pop(0)
    for line in lines[::2]:  # every other line lists observations, and may be empty
        if not line.strip():
            continue
        words = line.split(maxsplit=_FIELDS - 1)
        if len(words) < _FIELDS:
            raise ValueError(f"a line of {len(words)} words")
        yield words[9], [float(word) for word in words[1:8]]
