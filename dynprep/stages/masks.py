"""Object masks of every frame."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Scene
from dynprep.artefacts.masks import ObjectMasks
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class Masks(FrameStage[Sample, BoolArray]):
    """A backend's ``compute`` gives (H, W) booleans, true on objects."""

    makes = ObjectMasks
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: BoolArray) -> None:
        ObjectMasks.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return frames.pixels // 20  # flat areas compress well
