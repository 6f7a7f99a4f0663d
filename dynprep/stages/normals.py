"""Surface normals of every frame."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.normals import Normals
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class SurfaceNormals(FrameStage[Sample, Float32Array]):
    """A backend's ``compute`` gives unit normals (H, W, 3) in camera space, x right, y down, z forward."""

    makes = Normals
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float32Array) -> None:
        Normals.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return 12 * frames.pixels
