"""A COLMAP model with transforms.json: for gsplat, nerfstudio, and trainers made from 3D Gaussian Splatting.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import ColmapFiles
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.layouts.cloud import Cloud, CloudOptions, seen_in, static_cloud
from dynprep.backends.layouts.colmap_model import Observations, cameras_bin, images_bin, points_bin
from dynprep.backends.layouts.ply import ply
from dynprep.backends.layouts.world import (
    HALF,
    cameras_of,
    depth,
    note_principal_point,
)
from dynprep.evenly import evenly
from dynprep.options import AtLeastOne, Positive
from dynprep.scene.frames import Frames
from dynprep.scene.poses.known import OPENGL
from dynprep.stages.layout import LayoutStage, Shown, shown_images, shown_maps
from dynprep.store import ItemWriter

_PER_UNIT = 1000  # millimetres: what nerfstudio's depth files count
_MOST = 65535
_SEEN = 2000  # points that a frame lists which none was taken from, at most
_LOST = 0.1  # share of a clip's pixels beyond what 16 bit hold that is said
_POINTS = "sparse/0/points3D.ply"  # where readers made from 3D Gaussian Splatting would write it themselves


@dataclass
class ColmapLayout(LayoutStage):
    """``images/``, ``masks/``, ``sparse/0/``, ``transforms.json``, ``depth/``, ``static_masks/``."""

    points: AtLeastOne
    edge: Positive
    agreement: Positive
    farthest: Positive
    depth: bool

    makes = ColmapFiles
    backend_id = "colmap"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, Cameras)

    def linked(self, scene: SceneResults) -> Iterator[Shown]:
        yield from shown_images(scene, "images")
        yield from shown_maps(scene, ObjectMasks, "masks", ".png")

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        cameras = cameras_of(scene, writer, self.name)
        note_principal_point(scene, cameras, writer, self.name)
        options = CloudOptions(self.points, self.edge, self.agreement, self.farthest)
        cloud = static_cloud(scene, cameras, options)
        names = [f"{stem}{scene.frames.suffix}" for stem in scene.frames.stems]
        content, numbers = cameras_bin(cameras.intrinsics, scene.frames.width, scene.frames.height)
        writer.data("sparse/0/cameras.bin", content)
        seen = [self._seen(scene, cloud, cameras, k) for k in range(len(names))]
        writer.data(
            "sparse/0/images.bin", images_bin(cameras.camera_to_world, numbers, names, seen)
        )
        writer.data("sparse/0/points3D.bin", points_bin(cloud, seen))
        writer.data(_POINTS, ply(cloud))
        writer.json("transforms.json", transforms(scene.frames, cameras, self.depth))
        for stem in scene.frames.stems:
            static = np.where(scene[ObjectMasks].of(stem), 0, 255).astype(np.uint8)
            writer.image(f"static_masks/{stem}.png", static)
        if self.depth:
            self._write_depth(scene, writer)

    def _seen(
        self, scene: SceneResults, cloud: Cloud, cameras: CameraSet, number: int
    ) -> Observations:
        """The points that were taken from a frame; of a frame that none was taken from, some that it sees too."""
        rows = np.flatnonzero(cloud.frame == number)
        if len(rows):
            return Observations(rows, cloud.pixels[rows])
        seen, pixels = seen_in(scene, cloud, cameras, number, self.agreement)
        rows = np.array(evenly(np.flatnonzero(seen).tolist(), _SEEN), int)
        return Observations(rows, pixels[rows])

    def _write_depth(self, scene: SceneResults, writer: ItemWriter) -> None:
        """Depth as 16-bit PNG in thousandths of the unit, 0 where there is none or it is too far."""
        lost = 0.0
        for stem in scene.frames.stems:
            steps = np.rint(depth(scene, stem).astype(np.float64) * _PER_UNIT)
            lost += float((steps > _MOST).mean()) / len(scene.frames)
            writer.image(f"depth/{stem}.png", np.where(steps > _MOST, 0, steps).astype(np.uint16))
        if lost > _LOST:
            writer.note(
                f"layout={self.name}: {lost:.0%} of the pixels are deeper than the "
                f"{_MOST / _PER_UNIT:.1f} that depth/ can hold, and are 0 there"
            )

    def bytes_a_frame(self, frames: Frames) -> int:
        return frames.height * frames.width * 3 + 60 * self.points // max(len(frames), 1)


def transforms(frames: Frames, cameras: CameraSet, has_depth: bool) -> dict[str, Any]:
    """transforms.json as nerfstudio reads it: camera to world with OpenGL axes, first pixel centre at 0.5, 0.5."""
    entries = []
    for k, stem in enumerate(frames.stems):
        fx, fy, cx, cy = cameras.intrinsics[k].tolist()
        entry = {
            "file_path": f"images/{stem}{frames.suffix}",
            "transform_matrix": (cameras.camera_to_world[k] @ OPENGL + 0.0).tolist(),
            "fl_x": fx,
            "fl_y": fy,
            "cx": cx + HALF,
            "cy": cy + HALF,
            "w": frames.width,
            "h": frames.height,
            "mask_path": f"static_masks/{stem}.png",
            "time": k / max(len(frames) - 1, 1),
        }
        if has_depth:
            entry["depth_file_path"] = f"depth/{stem}.png"
        entries.append(entry)
    return {"camera_model": "OPENCV", "ply_file_path": _POINTS, "frames": entries}
