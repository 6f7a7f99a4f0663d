"""Metric depth from ZoeDepth (Bhat et al. 2023)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.backends.hugging_face import HuggingFaceNetwork, NetworkSample, bicubic, processor
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.metric_depth import MetricDepth

if TYPE_CHECKING:
    from torch import Tensor

_REACH = 3  # of the padding, times the root of half the side, as the processor pads


@dataclass
class ZoeDepth(HuggingFaceNetwork, MetricDepth[NetworkSample]):
    """Depth in metres; the camera is taken from the group ``camera``."""

    backend_id = "zoedepth"
    group = "metric_depth"
    one_by_one = True
    keep_float32 = ("metric_head",)
    architectures = ("zoedepth",)

    def inspect(self) -> list[str]:
        remarks = super().inspect()
        processor(self.location().folder())
        return remarks

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> NetworkSample:
        prepare = processor(self.location().folder())
        pixels = prepare(scene[Images].rgb(item), return_tensors="np")["pixel_values"][0]
        return NetworkSample(pixels, scene.frames.size, scene[Intrinsics].of(item))

    def compute(self, samples: Sequence[NetworkSample]) -> list[Deferred[MetricMap]]:
        return [Deferred(partial(_as_map, self._depth(s), s)) for s in samples]

    def _depth(self, sample: NetworkSample) -> Callable[[], Float32Array]:
        """One frame at a time: the network chooses indoors or outdoors by a vote of its batch."""
        pixels = self.tensor([sample.pixels]).to(self.inference.weights_dtype())
        with self.inference.inference(self.device):
            depth = self.network(pixel_values=pixels).predicted_depth.float()
        return to_host(unpadded(depth, sample.size))


def unpadded(depth: "Tensor", size: tuple[int, int]) -> "Tensor":
    """depth (1, h, w) of the padded image -> (H, W), padding cut off, range kept."""
    height, width = size
    rows, columns = (int(math.sqrt(side / 2) * _REACH) for side in size)
    full = bicubic(depth[:, None], (height + 2 * rows, width + 2 * columns))[0]
    cut = full[rows : rows + height, columns : columns + width]
    return cut.clamp(depth.min(), depth.max()).contiguous()


def _as_map(depth: Callable[[], Float32Array], sample: NetworkSample) -> MetricMap:
    assert sample.intrinsics is not None
    return MetricMap(depth(), sample.intrinsics)
