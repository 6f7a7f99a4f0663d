"""Intrinsics that a network sees in every frame, for those who want one camera for the clip."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter, Result

Sample = TypeVar("Sample")
Intrinsics = NDArray[np.float64]


@dataclass
class CameraEstimate(Stage[Sample, Intrinsics]):
    """A backend's ``compute`` gives [fx, fy, cx, cy] in pixels of ``images/``."""

    name = "camera_estimate"
    version = 1

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Intrinsics) -> None:
        writer.json(f"{item}.json", [float(v) for v in output])

    def disk_bytes(self, frames: Frames) -> int:
        return 200 * len(frames)


def clip_intrinsics(inputs: Inputs) -> Intrinsics:
    """The median of every value over the clip: one camera for all frames."""
    return np.array(_median(inputs["camera_estimate"], tuple(inputs.frames.stems)))


@lru_cache(maxsize=64)
def _median(result: Result, stems: tuple[str, ...]) -> tuple[float, ...]:
    """Every frame of a clip asks for it."""
    rows = np.asarray([result.json(f"{stem}.json") for stem in stems], np.float64)
    return tuple(float(v) for v in np.median(rows, 0))
