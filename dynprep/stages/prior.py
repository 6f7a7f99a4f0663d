"""The depth prior of every frame."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.prior import DepthPrior
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class Prior(FrameStage[Sample, Float32Array]):
    """A backend's ``compute`` gives affine-invariant depth (H, W) in [0, 1], 0 = near."""

    makes = DepthPrior
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float32Array) -> None:
        DepthPrior.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * frames.pixels
