"""The depth prior that trainers read from ``marigold/depth_npy``."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage, pixels
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.maps import finite
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class Prior(Stage[Sample, NDArray[np.float32]]):
    """A backend's ``compute`` gives affine-invariant depth (H, W) in [0, 1], 0 = near."""

    name = "prior"
    gives = "affine-invariant depth"
    version = 1

    def write(
        self, writer: ItemWriter, inputs: Inputs, item: str, output: NDArray[np.float32]
    ) -> None:
        finite(output, f"prior of frame {item}")
        writer.array(f"{item}_pred.npy", np.clip(output, 0, 1).astype(np.float32))

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * pixels(frames)
