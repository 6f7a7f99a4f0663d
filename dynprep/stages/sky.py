"""Where there is sky in every frame."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Scene
from dynprep.artefacts.sky import Sky
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class SkyStage(FrameStage[Sample, BoolArray]):
    """A backend's ``compute`` gives (H, W) booleans, true where there is sky."""

    makes = Sky
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: BoolArray) -> None:
        Sky.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return frames.pixels // 20  # flat areas compress well
