"""Metric depth from Depth Anything V2's indoor and outdoor networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.backends.hugging_face import DptStyle, NetworkSample
from dynprep.stages.base import Deferred
from dynprep.stages.metric_depth import MetricDepth


@dataclass
class DepthAnythingMetric(DptStyle, MetricDepth[NetworkSample]):
    """Depth in metres (Yang et al. 2024); the camera is taken from the group ``camera``."""

    backend_id = "depth_anything"
    group = "metric_depth"
    architectures = ("metric depth_anything",)

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> NetworkSample:
        intrinsics = scene[Intrinsics].of(item)
        return NetworkSample(self.pixels(scene, item), scene.frames.size, intrinsics)

    def compute(self, samples: Sequence[NetworkSample]) -> list[Deferred[MetricMap]]:
        maps = self.maps(samples, clamp=True)
        return [Deferred(partial(_as_map, v, s)) for v, s in zip(maps, samples, strict=True)]


def _as_map(depth: Callable[[], Float32Array], sample: NetworkSample) -> MetricMap:
    assert sample.intrinsics is not None
    return MetricMap(depth(), sample.intrinsics)
