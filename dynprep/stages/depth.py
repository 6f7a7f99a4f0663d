"""Relative disparity of every frame."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.artefacts.base import Scene
from dynprep.artefacts.maps import RelativeMap
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage, SceneStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class RelativeDepth(FrameStage[Sample, RelativeMap]):
    """A backend's ``compute`` gives RelativeMaps, which say whether their numbers are disparity or depth."""

    makes = RelativeDisparity
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: RelativeMap) -> None:
        RelativeDisparity.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return 6 * frames.pixels


@dataclass
class ClipRelativeDepth(SceneStage):
    """A backend that sees the clip: it writes every frame's RelativeMap."""

    makes = RelativeDisparity
    kind_version = 1

    def disk_bytes(self, frames: Frames) -> int:
        return 6 * frames.pixels
