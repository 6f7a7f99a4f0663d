"""Metric depth and intrinsics, kept as disparity in 1/m."""

from dataclasses import dataclass
from typing import TypeVar

from dynprep.stages.base import Stage, pixels
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.maps import MetricMap, finite, metric_disparity
from dynprep.store import ItemWriter, Result

Sample = TypeVar("Sample")


@dataclass
class MetricDepth(Stage[Sample, MetricMap]):
    """A backend's ``compute`` gives MetricMaps; the conversion to disparity is here alone."""

    name = "metric_depth"
    gives = "metric depth (m), intrinsics"
    version = 1

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: MetricMap) -> None:
        finite(output.depth, f"metric_depth of frame {item}")
        finite(output.intrinsics, f"intrinsics of frame {item}")
        writer.array(f"{item}.npy", metric_disparity(output.depth))
        writer.json(intrinsics_file(item), [float(v) for v in output.intrinsics])
        if output.valid is not None:
            writer.image(valid_file(item), output.valid)

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * pixels(frames) + 200 * len(frames)


def intrinsics_file(stem: str) -> str:
    """Name of the file with a frame's [fx, fy, cx, cy]."""
    return f"{stem}.intrinsics.json"


def valid_file(stem: str) -> str:
    """Name of the file that says where depth was measured; absent where it is everywhere."""
    return f"{stem}.valid.png"


def all_intrinsics(result: Result, frames: Frames) -> dict[str, list[float]]:
    """[fx, fy, cx, cy] of every frame, by stem."""
    return {stem: result.json(intrinsics_file(stem)) for stem in frames.stems}
