"""A folder of the Nerfies and DyCheck family: 4DGaussians, Deformable-3D-Gaussians, nerfstudio's dycheck.

The format: https://github.com/KAIR-BAIR/dycheck/blob/main/docs/DATASETS.md. Shapes: N points, (H, W) pixels of
``images/``.
"""

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dynprep.arrays import UInt8Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import NerfiesFiles
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.layouts.cloud import Cloud, CloudOptions, static_cloud
from dynprep.backends.layouts.nerfies_cameras import camera_json, camera_name
from dynprep.backends.layouts.ply import ply
from dynprep.backends.layouts.world import cameras_of, depth, note_principal_point
from dynprep.options import AtLeastOne, Positive
from dynprep.scene.frames import Frames
from dynprep.stages.layout import LayoutStage
from dynprep.store import ItemWriter

_SIZES = (1, 2)  # by which the images' size is divided: readers take rgb/1x or rgb/2x
# names under which readers look for the point cloud; one of them would make its own without colours
_CLOUDS = ("points3D_downsample2.ply", "points3d.ply")
_NEAR_FAR = (0.001, 0.999)  # quantiles of the points' depths
_MARGIN = 0.2  # share by which near and far lie beyond those quantiles
_FPS = 24.0  # where the source does not tell times


@dataclass
class NerfiesLayout(LayoutStage):
    """``camera/``, ``rgb/``, ``depth/``, ``splits/``, the JSON files, and the static scene's points."""

    points: AtLeastOne
    edge: Positive
    agreement: Positive
    farthest: Positive

    makes = NerfiesFiles
    backend_id = "nerfies"
    least_frames = 2  # readers divide by the last time

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, Cameras)

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        cameras = cameras_of(scene, writer, self.name)
        note_principal_point(scene, cameras, writer, self.name)
        options = CloudOptions(self.points, self.edge, self.agreement, self.farthest)
        cloud = static_cloud(scene, cameras, options)
        for number, stem in enumerate(scene.frames.stems):
            name = camera_name(number)
            writer.json(f"camera/{name}.json", camera_json(cameras, scene.frames, number))
            rgb = scene[Images].rgb(stem)
            for size in _SIZES:
                writer.data(f"rgb/{size}x/{name}.png", _rgba(rgb, size))
            writer.array(f"depth/1x/{name}.npy", depth(scene, stem)[..., None])
        writer.array("points.npy", cloud.positions.astype(np.float32))
        for path in _CLOUDS:
            writer.data(path, ply(cloud))
        for path, value in _descriptions(scene.frames, cameras, cloud).items():
            writer.json(path, value)

    def bytes_a_frame(self, frames: Frames) -> int:
        return frames.height * frames.width * 9 + 80 * self.points // max(len(frames), 1)


def _rgba(rgb: UInt8Array, size: int) -> bytes:
    """A PNG of a frame (H, W, 3) at 1/``size`` of its size; alpha says that all of it is valid."""
    height, width = (side // size for side in rgb.shape[:2])
    small = rgb if size == 1 else cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    alpha = np.full((height, width, 1), 255, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([small, alpha], 2)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _descriptions(frames: Frames, cameras: CameraSet, cloud: Cloud) -> dict[str, Any]:
    """The JSON files about the clip, by path.

    The first frame is for validation as well as for training: a reader stops where there is none, and where the list is
    empty another one trains on every fourth frame.
    """
    count = len(frames)
    names = [camera_name(k) for k in range(count)]
    held = names[:1]
    near, far = _near_far(cameras, cloud)
    middle = np.median(cloud.positions, axis=0)
    low, high = np.quantile(cloud.positions, _NEAR_FAR, axis=0)
    times = np.diff([frame.time for frame in frames.table])
    step = float(np.median(times)) if len(times) and np.isfinite(times).all() else 1 / _FPS
    split: dict[str, list[Any]] = {
        "frame_names": names,
        "camera_ids": [0] * count,
        "time_ids": list(range(count)),
    }
    return {
        "dataset.json": {
            "count": count,
            "num_exemplars": count,
            "ids": names,
            "train_ids": names,
            "val_ids": held,
        },
        "metadata.json": {
            name: {"camera_id": 0, "appearance_id": k, "warp_id": k, "time_id": k}
            for k, name in enumerate(names)
        },
        "scene.json": {"center": [0.0, 0.0, 0.0], "scale": 1.0, "near": near, "far": far},
        "extra.json": {
            "bbox": [low.tolist(), high.tolist()],
            "factor": 1,
            "fps": 1 / step if step > 0 else _FPS,
            "lookat": middle.tolist(),
            "up": (-cameras.camera_to_world[:, :3, 1].mean(0)).tolist(),
        },
        "splits/train.json": split,
        "splits/val.json": {key: value[:1] for key, value in split.items()},
    }


def _near_far(cameras: CameraSet, cloud: Cloud) -> tuple[float, float]:
    """Depths between which the points lie, each seen from the frame that it was taken from."""
    poses = cameras.camera_to_world[cloud.frame]
    z = np.einsum("ni,ni->n", cloud.positions - poses[:, :3, 3], poses[:, :3, 2])
    near, far = np.quantile(z, _NEAR_FAR)
    return float(near * (1 - _MARGIN)), float(far * (1 + _MARGIN))
