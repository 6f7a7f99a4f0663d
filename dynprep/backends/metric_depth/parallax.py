"""Depth from motion parallax: true up to one unknown factor for the clip."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.backends.parallax import Parallax, Sample
from dynprep.stages.base import each
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth
from dynprep.store import ItemWriter


@dataclass
class ParallaxMetric(Parallax, MetricDepth[Sample]):
    """The clip's median depth is taken to be ``median_depth`` metres."""

    median_depth: float

    fewest_frames = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.median_depth <= 0:
            raise ValueError(f"median_depth is {self.median_depth}; it must be above 0 metres")

    def compute(self, samples: Sequence[Sample]) -> list[MetricMap]:
        return each(self._map, samples)

    def _map(self, s: Sample) -> MetricMap:
        return MetricMap(self.median_depth / self.inverse_depth(s), s.intrinsics)

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: MetricMap) -> None:
        super().write(writer, inputs, item, output)
        if inputs.number(item) == 0:
            writer.note(
                "metric_depth=parallax is NOT metric: one camera tells depth up to scale alone; the "
                f"clip's median depth is set to {self.median_depth:g} m (metric_depth.median_depth)"
            )
