"""A point cloud by itself, to be looked at: of the static scene, or of all of one frame.

Shapes: N points.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import GlbFiles, PlyFiles
from dynprep.artefacts.maps import FARTHEST
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.layouts.cloud import (
    Cloud,
    CloudOptions,
    frame_cloud,
    grid_step,
    static_cloud,
)
from dynprep.backends.layouts.ply import ply
from dynprep.backends.layouts.world import cameras_of
from dynprep.errors import UserError
from dynprep.options import AtLeastOne, NotNegative, Positive
from dynprep.scene.frames import Frames
from dynprep.scene.poses.known import OPENGL
from dynprep.stages.layout import LayoutStage
from dynprep.store import ItemWriter


@dataclass
class PointCloudLayout(LayoutStage):
    """One file: ``static`` or the frame's stem, with the format's suffix."""

    points: AtLeastOne
    frame: NotNegative | None
    edge: Positive
    agreement: Positive
    farthest: Positive

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, Cameras)

    def check_length(self, count: int, scene: str) -> None:
        if self.frame is not None and self.frame >= count:
            raise UserError(
                f"layout.{self.name}.frame={self.frame}: {scene} has the frames 0 to {count - 1}"
            )

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        if self.frame is None:
            cameras = cameras_of(scene, writer, self.name, needs_motion=False)
            options = CloudOptions(self.points, self.edge, self.agreement, self.farthest)
            cloud, name = static_cloud(scene, cameras, options), "static"
        else:
            cameras = scene[Cameras].all  # of one frame: its unit need not be that of depth
            step = grid_step(scene, self.points, 1)
            cloud = frame_cloud(scene, cameras, self.frame, step, self.edge, FARTHEST, None)
            name = scene.frames.stems[self.frame]
            if not len(cloud):
                raise UserError(
                    f"{scene.name}: layout={self.name}: no pixel of frame {name} has a depth that its neighbours "
                    f"share; raise layout.{self.name}.edge"
                )
        writer.data(f"{name}.{self.backend_id}", self.encoded(cloud))

    @abstractmethod
    def encoded(self, cloud: Cloud) -> bytes:
        """The file's content."""

    def bytes_a_frame(self, frames: Frames) -> int:
        return 30 * self.points // max(len(frames), 1)


@dataclass
class PlyLayout(PointCloudLayout):
    """Binary PLY, in the axes of ``cameras.json``."""

    makes = PlyFiles
    backend_id = "ply"

    def encoded(self, cloud: Cloud) -> bytes:
        return ply(cloud)


@dataclass
class GlbLayout(PointCloudLayout):
    """Binary glTF, which has y up and z backward: browsers, Blender and phones open it."""

    makes = GlbFiles
    backend_id = "glb"
    packages = ("trimesh",)

    def encoded(self, cloud: Cloud) -> bytes:
        import trimesh

        positions = cloud.positions @ OPENGL[:3, :3]
        opaque = np.full((len(cloud), 1), 255, np.uint8)
        colours = np.concatenate([cloud.colours, opaque], 1)
        points = trimesh.PointCloud(positions.astype(np.float32), colors=colours)
        content: bytes = trimesh.Scene(points).export(file_type="glb")
        return content
