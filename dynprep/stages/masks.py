"""Object masks: what moves on its own."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import Stage, pixels
from dynprep.stages.inputs import Frames, Inputs, SceneResults
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")
Mask = NDArray[np.bool_]

OBJECT = 255


@dataclass
class Masks(Stage[Sample, Mask]):
    """A backend's ``compute`` gives (H, W) booleans, true on objects."""

    name = "masks"
    gives = "object masks"
    version = 1

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Mask) -> None:
        writer.image(f"{item}.png", np.where(output, OBJECT, 0).astype(np.uint8))

    def disk_bytes(self, frames: Frames) -> int:
        return pixels(frames) // 20  # flat areas compress well


def read_mask(inputs: SceneResults, stem: str) -> Mask:
    """The mask (H, W) of a frame."""
    return inputs["masks"].image(f"{stem}.png") > 0
