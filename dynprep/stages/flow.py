"""Dense tracks for ordered pairs of frames, one file a pair."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter
from dynprep.vision.sampling import pixel_grid

Sample = TypeVar("Sample")
Array = NDArray[np.float32]
Format = Literal["npy", "pth"]

X, Y, OCCLUSION, CONFIDENCE = range(4)  # columns of a track file
_HEADER = 128  # bytes of a .npy header


@dataclass(frozen=True)
class Tracks:
    """Tracks of one query frame: ``targets`` gives, for each target's number, (N, 4) float32
    x, y, occlusion, confidence; lazily, so that one pair is in memory at a time."""

    query: int
    resized: tuple[int, int]
    targets: Iterator[tuple[int, Array]]


@dataclass
class Flow(Stage[Sample, Tracks]):
    """A backend's ``compute`` gives Tracks; the item is the query frame."""

    rate: int
    formats: list[Format] = field(kw_only=True)

    name = "flow"
    gives = "tracks of all pairs"
    version = 1

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"rate is {self.rate}; it must be 1 pixel or more")
        if not self.formats:
            raise ValueError("formats is empty; give npy, pth or both")

    def points(self, frames: Frames) -> Array:
        """Query points (N, 2) as (x, y), whole pixels of ``images/``, row-major."""
        return pixel_grid(frames.height, frames.width, self.rate).reshape(-1, 2)

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Tracks) -> None:
        frames = inputs.frames
        for target, found in output.targets:
            name = f"{item}_{frames.stems[target]}"
            tracks = identity(self.points(frames)) if target == output.query else found
            if "npy" in self.formats:
                writer.array(f"{name}.npy", tracks)
            if "pth" in self.formats:
                writer.data(f"{name}.pth", self._pth(tracks, output, target, frames))

    def _pth(self, tracks: Array, output: Tracks, target: int, frames: Frames) -> bytes:
        import torch

        buffer = io.BytesIO()
        torch.save(
            {
                "tracks": torch.from_numpy(tracks),
                "query_t": output.query,
                "target_t": target,
                "rate": self.rate,
                "original_size": [frames.height, frames.width],
                "resized_size": list(output.resized),
            },
            buffer,
        )
        return buffer.getvalue()

    def disk_bytes(self, frames: Frames) -> int:
        points = -(-frames.height // self.rate) * -(-frames.width // self.rate)
        return len(frames) ** 2 * (16 * points + _HEADER) * len(self.formats)


def identity(points: Array) -> Array:
    """Tracks (N, 4) of query points in their own frame: there, not hidden, certain."""
    rest = np.tile(np.array([0.0, 1.0], np.float32), (len(points), 1))
    return np.concatenate([points, rest], 1).astype(np.float32)
