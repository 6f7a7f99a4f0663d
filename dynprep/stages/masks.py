"""Object masks of every frame, found frame by frame or over the clip."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Scene
from dynprep.artefacts.masks import ObjectMasks
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage, SceneStage, Stage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class Masks(FrameStage[Sample, BoolArray]):
    """A backend's ``compute`` gives (H, W) booleans, true on objects."""

    makes = ObjectMasks
    kind_version = 1
    finds_objects: ClassVar[bool] = True

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: BoolArray) -> None:
        ObjectMasks.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return frames.pixels // 20  # flat areas compress well


@dataclass
class ClipMasks(SceneStage):
    """A backend that follows objects through the clip: it writes every frame's mask, and which object is where."""

    makes = ObjectMasks
    kind_version = 1

    def disk_bytes(self, frames: Frames) -> int:
        return frames.pixels // 10  # the masks and the ids


def finds_objects(stage: Stage) -> bool:
    """Whether a backend of masks may mark anything at all."""
    return not isinstance(stage, Masks) or stage.finds_objects
