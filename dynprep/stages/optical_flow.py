"""Dense flow from each frame to its neighbours at several distances, from which other stages start.

It is stored at half the working size, since DIS itself stops at half resolution and interpolates. Shapes:
(h, w) pixels of the working size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import OpticalFlow, neighbour_distances
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import resize, work_size
from dynprep.stages.base import FrameStage, parallel
from dynprep.store import ItemWriter
from dynprep.vision.dis import SMALLEST_SIDE, Dis, Preset, grey


@dataclass(frozen=True)
class FlowSample:
    """A frame and its neighbours: grey pictures (h, w), the neighbours with their signed distances in frames."""

    query: UInt8Array
    neighbours: list[tuple[int, UInt8Array]]


@dataclass
class DisOpticalFlow(FrameStage[FlowSample, Float32Array]):
    """DIS flow to the frames ±offset away; each distance starts from twice the one before."""

    preset: Preset
    offsets: list[int]

    makes = OpticalFlow
    kind_version = 1
    cites = ("kroeger2016dis",)
    backend_id = "dis"
    is_helper = True

    def __post_init__(self) -> None:
        if not self.offsets or self.offsets != sorted(set(self.offsets)) or self.offsets[0] != 1:
            raise ValueError(f"offsets are {self.offsets}; ascending distances from 1 on are meant")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), "flow_input": self.context.resolution.flow_input}

    def load(self, scene: Scene, item: str) -> FlowSample:
        frames = scene.frames
        size = work_size(frames, self.context.resolution.flow_input)
        # DIS needs a smallest size: tiny images are enlarged
        grow = max(1, -(-SMALLEST_SIDE // min(size)))
        size = (size[0] * grow, size[1] * grow)

        def read(number: int) -> UInt8Array:
            return grey(resize(scene[Images].rgb(frames.stems[number]), size))

        number = scene.number(item)
        distances = neighbour_distances(number, len(frames), self.offsets)
        return FlowSample(read(number), [(d, read(number + d)) for d in distances])

    def compute(self, samples: Sequence[FlowSample]) -> list[Float32Array]:
        return parallel(self._flows, samples)

    def _flows(self, sample: FlowSample) -> Float32Array:
        """Flows (neighbours, h/2, w/2, 2) in shares of the picture's width and height."""
        engine = Dis(self.preset)
        height, width = sample.query.shape
        half = ((width + 1) // 2, (height + 1) // 2)
        flows = np.zeros((len(sample.neighbours), half[1], half[0], 2), np.float32)
        last: tuple[int, Float32Array] | None = None
        for k, (distance, target) in enumerate(sample.neighbours):
            start = None
            if last is not None and last[0] * distance > 0:
                start = last[1] * np.float32(distance / last[0])
            flow = engine(sample.query, target, start)
            last = (distance, flow)
            flows[k] = cv2.resize(flow, half, interpolation=cv2.INTER_AREA)
        return np.asarray(flows / np.array([width, height]), np.float32)

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float32Array) -> None:
        OpticalFlow.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        height, width = work_size(frames, self.context.resolution.flow_input)
        return (
            len(frames) * 2 * len(self.offsets) * height * width
        )  # a quarter of the pixels, 2 float16, both signs
