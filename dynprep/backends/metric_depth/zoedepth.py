"""Metric depth from ZoeDepth (Bhat et al. 2023)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dynprep.backends.hugging_face import Array, HuggingFaceNetwork, Sample, bicubic, processor
from dynprep.models.inference import to_host
from dynprep.stages.base import Later
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth

if TYPE_CHECKING:
    from torch import Tensor

_REACH = 3  # of the padding, times the root of half the side, as the processor pads


@dataclass
class ZoeDepth(HuggingFaceNetwork, MetricDepth[Sample]):
    """Depth in metres; the camera is taken from the group ``camera``."""

    node = "metric_depth"
    one_by_one = True
    keep_float32 = ("metric_head",)
    architectures = ("zoedepth",)

    def inspect(self) -> None:
        super().inspect()
        processor(self.published().folder())

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics")

    def load(self, inputs: Inputs, item: str) -> Sample:
        found = processor(self.published().folder())(inputs.rgb(item), return_tensors="np")
        size = (inputs.frames.height, inputs.frames.width)
        return Sample(found["pixel_values"][0], size, inputs.intrinsics(item))

    def compute(self, samples: Sequence[Sample]) -> list[Later[MetricMap]]:
        return [Later(partial(_map, self._depth(s), s)) for s in samples]

    def _depth(self, sample: Sample) -> Callable[[], Array]:
        """One frame at a time: the network chooses indoors or outdoors by a vote of its batch."""
        pixels = self.tensor([sample.pixels]).to(self.running.weights_dtype())
        with self.running.inference(self.device):
            found = self.network(pixel_values=pixels).predicted_depth.float()
        return to_host(unpadded(found, sample.size))


def unpadded(depth: "Tensor", size: tuple[int, int]) -> "Tensor":
    """depth (1, h, w) of the padded image -> (H, W), padding cut off, range kept."""
    height, width = size
    rows, columns = (int(math.sqrt(side / 2) * _REACH) for side in size)
    full = bicubic(depth[:, None], (height + 2 * rows, width + 2 * columns))[0]
    cut = full[rows : rows + height, columns : columns + width]
    return cut.clamp(depth.min(), depth.max()).contiguous()


def _map(depth: Callable[[], Array], sample: Sample) -> MetricMap:
    assert sample.intrinsics is not None
    return MetricMap(depth(), sample.intrinsics)
