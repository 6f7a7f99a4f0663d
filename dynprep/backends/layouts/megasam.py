"""MegaSaM's .npz (``cvd_opt/cvd_opt.py``), which other programs read as a clip with depth and cameras.

Shapes: T frames, (H, W) pixels of ``images/``.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynprep.arrays import AnyArray
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import MegasamFiles
from dynprep.backends.layouts.world import HALF, cameras_of, depth
from dynprep.scene.frames import Frames
from dynprep.stages.layout import LayoutStage
from dynprep.store import ItemWriter

_FILE = "sgd_cvd_hr.npz"
_RANGE = (1e-3, 1e2)  # of depth, in its unit, as MegaSaM clips it
_NEVER = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the date of a zip's members, so that the same content has the same bytes


@dataclass
class MegasamLayout(LayoutStage):
    """``SCENE_sgd_cvd_hr.npz``: images, depths, one intrinsic matrix, poses."""

    makes = MegasamFiles
    backend_id = "megasam"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, AlignedDisparity, Cameras)

    def placed(self, name: str, scene: SceneResults) -> str:
        return f"{scene.name}_{name}"

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        cameras = cameras_of(scene, writer, self.name, needs_motion=False)
        stems, (height, width) = scene.frames.stems, scene.frames.size
        fx, fy, cx, cy = np.median(cameras.intrinsics, axis=0)
        matrix = np.array([[fx, 0, cx + HALF], [0, fy, cy + HALF], [0, 0, 1]], np.float32)
        images = (scene[Images].rgb(stem) for stem in stems)
        depths = (_limited(depth(scene, stem)) for stem in stems)
        temporary = writer.temporary(_FILE)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
            _stream(bundle, "images", images, (len(stems), height, width, 3), np.uint8)
            _stream(bundle, "depths", depths, (len(stems), height, width), np.float16)
            _stream(bundle, "intrinsic", [matrix], matrix.shape, np.float32)
            poses = cameras.camera_to_world.astype(np.float32)
            _stream(bundle, "cam_c2w", [poses], poses.shape, np.float32)
        writer.take(_FILE, Path(temporary))

    def bytes_a_frame(self, frames: Frames) -> int:
        return frames.height * frames.width * 5 + 100


def _limited(z: AnyArray) -> AnyArray:
    """Depth as MegaSaM writes it: float16 in its range; what has no depth is at the far end."""
    return np.clip(np.where(z > 0, z, _RANGE[1]), *_RANGE).astype(np.float16)


def _stream(
    bundle: zipfile.ZipFile,
    name: str,
    parts: Iterable[AnyArray],
    shape: tuple[int, ...],
    dtype: type[np.generic],
) -> None:
    """Write an array of ``shape`` into an .npz part by part, so that a long clip takes no more memory than a frame."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with bundle.open(zipfile.ZipInfo(f"{name}.npy", _NEVER), "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).tobytes())
