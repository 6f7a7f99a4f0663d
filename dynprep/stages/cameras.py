"""The cameras of a clip for its dataset."""

from dataclasses import dataclass

from dynprep.artefacts.cameras import Cameras
from dynprep.scene.frames import Frames
from dynprep.stages.base import SceneStage


@dataclass
class CameraPoses(SceneStage):
    """A backend writes the pose and the intrinsics of every frame's camera, and their unit."""

    makes = Cameras
    kind_version = 1

    @property
    def tells_scale(self) -> bool:
        """Whether poses may be in the unit of metric depth."""
        return True

    def disk_bytes(self, frames: Frames) -> int:
        return 1000 + 600 * len(frames)
