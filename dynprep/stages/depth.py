"""Relative disparity of every frame, as floats and as the published 16-bit PNG."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.stages.base import Stage, pixels
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.maps import RelativeMap, finite, to_png
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class RelativeDepth(Stage[Sample, RelativeMap]):
    """A backend's ``compute`` gives RelativeMaps that say what their numbers mean.

    The float disparity is kept too: the PNG loses the scale between frames.
    """

    name = "depth"
    gives = "affine-invariant disparity"
    version = 1

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: RelativeMap) -> None:
        finite(output.values, f"depth of frame {item}")
        disparity = output.disparity()
        writer.array(f"{item}.npy", disparity)
        writer.image(f"{item}.png", to_png(disparity))

    def disk_bytes(self, frames: Frames) -> int:
        return 6 * pixels(frames)
