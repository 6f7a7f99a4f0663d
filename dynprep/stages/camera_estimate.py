"""Intrinsics that a network sees in every frame, for those who want one camera for the clip."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.intrinsics import SeenIntrinsics
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class CameraEstimate(FrameStage[Sample, Float64Array]):
    """A backend's ``compute`` gives [fx, fy, cx, cy] (4,) in pixels of ``images/``."""

    makes = SeenIntrinsics
    kind_version = 1
    is_helper = True

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float64Array) -> None:
        SeenIntrinsics.write(writer, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return 200 * len(frames)
