"""Metric depth from Depth Anything V2's indoor and outdoor networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.backends.hugging_face import Array, DptStyle, Sample
from dynprep.stages.base import Later
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth


@dataclass
class DepthAnythingMetric(DptStyle, MetricDepth[Sample]):
    """Depth in metres (Yang et al. 2024); the camera is taken from the group ``camera``."""

    node = "metric_depth"
    architectures = ("metric depth_anything",)

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics")

    def load(self, inputs: Inputs, item: str) -> Sample:
        size = (inputs.frames.height, inputs.frames.width)
        return Sample(self.pixels(inputs, item), size, inputs.intrinsics(item))

    def compute(self, samples: Sequence[Sample]) -> list[Later[MetricMap]]:
        maps = self.maps(samples, clamp=True)
        return [Later(partial(_map, v, s)) for v, s in zip(maps, samples, strict=True)]


def _map(depth: Callable[[], Array], sample: Sample) -> MetricMap:
    assert sample.intrinsics is not None
    return MetricMap(depth(), sample.intrinsics)
