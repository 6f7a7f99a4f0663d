"""Dense flow from each frame to its neighbours at several distances, the ground for the rest.

Kept at half the working resolution: DIS itself stops at half resolution and interpolates.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.files import read_array
from dynprep.stages.base import Stage, each
from dynprep.stages.images import Resolution, resize, work_size
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter, Result
from dynprep.vision.dis import SMALLEST_SIDE, Dis, Preset, grey
from dynprep.vision.sampling import inside, sample

Array = NDArray[Any]
Neighbours = list[tuple[int, NDArray[np.uint8]]]

_OPEN_FILES = 64  # memory-mapped flow files held open by one reader


def reached(number: int, count: int, offsets: Sequence[int]) -> list[int]:
    """Signed distances of the neighbours that frame ``number`` of ``count`` has, in file order."""
    signed = list(offsets) + [-d for d in offsets]
    return [d for d in signed if 0 <= number + d < count]


@dataclass
class FrameFlow(Stage[tuple[NDArray[np.uint8], Neighbours], Array]):
    """DIS flow to the frames ±offset away; each distance starts from twice the one before."""

    resolution: Resolution
    preset: Preset
    offsets: list[int]

    name = "frame_flow"
    version = 1

    def __post_init__(self) -> None:
        if not self.offsets or self.offsets != sorted(set(self.offsets)) or self.offsets[0] != 1:
            raise ValueError(f"offsets are {self.offsets}; ascending distances from 1 on are meant")

    def needs(self) -> tuple[str, ...]:
        return ("images",)

    def options(self) -> dict[str, Any]:
        return {
            "preset": self.preset,
            "offsets": list(self.offsets),
            "flow_input": self.resolution.flow_input,
        }

    def load(self, inputs: Inputs, item: str) -> tuple[NDArray[np.uint8], Neighbours]:
        frames = inputs.frames
        size = work_size(frames, self.resolution.flow_input)
        # DIS needs a smallest size: tiny images are enlarged
        grow = max(1, -(-SMALLEST_SIDE // min(size)))
        size = (size[0] * grow, size[1] * grow)

        def read(number: int) -> NDArray[np.uint8]:
            return grey(resize(inputs.rgb(frames.stems[number]), size))

        number = inputs.number(item)
        near = [(d, read(number + d)) for d in reached(number, len(frames), self.offsets)]
        return read(number), near

    def compute(self, samples: Sequence[tuple[NDArray[np.uint8], Neighbours]]) -> list[Array]:
        return each(self._flows, samples)

    def _flows(self, sample: tuple[NDArray[np.uint8], Neighbours]) -> Array:
        query, near = sample
        engine = Dis(self.preset)
        height, width = query.shape
        half = ((width + 1) // 2, (height + 1) // 2)
        out = np.zeros((len(near), half[1], half[0], 2), np.float32)
        last: tuple[int, NDArray[np.float32]] | None = None
        for k, (distance, target) in enumerate(near):
            start = None
            if last is not None and last[0] * distance > 0:
                start = last[1] * np.float32(distance / last[0])
            flow = engine(query, target, start)
            last = (distance, flow)
            out[k] = cv2.resize(flow, half, interpolation=cv2.INTER_AREA)
        return np.asarray(out / np.array([width, height]), np.float32)

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Array) -> None:
        size = np.array([inputs.frames.width, inputs.frames.height], np.float32)
        writer.array(f"{item}.npy", (output * size).astype(np.float16))

    def disk_bytes(self, frames: Frames) -> int:
        height, width = work_size(frames, self.resolution.flow_input)
        return len(frames) * 2 * len(self.offsets) * height * width  # half², two halves of 2 bytes


class FlowFields:
    """Reads the flows of a scene. Coordinates and flows are in pixels of ``images/``."""

    def __init__(self, result: Result, frames: Frames) -> None:
        self.result, self.frames = result, frames
        self.offsets: list[int] = list(result.recipe.options["offsets"])
        self._open: OrderedDict[int, Any] = OrderedDict()

    def _file(self, number: int) -> Any:
        if number not in self._open:
            path = self.result.file(f"{self.frames.stems[number]}.npy")
            self._open[number] = read_array(path, mapped=True)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]

    def field(self, query: int, target: int) -> Array:
        """The stored field (h, w, 2) from frame ``query`` to ``target``, at half resolution."""
        near = reached(query, len(self.frames), self.offsets)
        return np.asarray(self._file(query)[near.index(target - query)], np.float32)

    def at(self, query: int, target: int, points: Array) -> Array:
        """Flow (..., 2) at ``points`` (..., 2) of frame ``query``."""
        field = self.field(query, target)
        scale = np.array(
            [field.shape[1] / self.frames.width, field.shape[0] / self.frames.height], np.float32
        )
        return np.asarray(sample(field, (points + 0.5) * scale - 0.5), np.float32)

    def there_and_back(
        self, query: int, target: int, points: Array
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Where ``points`` (..., 2) are in ``target``, the cycle error in px, and whether inside."""
        flow = self.at(query, target, points)
        there = points + flow
        back = self.at(target, query, there)
        error = np.linalg.norm(flow + back, axis=-1)
        return there, error, inside(there, self.frames.height, self.frames.width)
