"""Metric depth from Depth Anything 3's network for single images (Lin et al. 2025).

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dynprep.arrays import BoolArray, Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import FARTHEST, MetricMap
from dynprep.backends.depth_anything_3 import OneViewNetwork, ViewSample
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.metric_depth import MetricDepth


@dataclass
class DepthAnything3Metric(OneViewNetwork, MetricDepth[ViewSample]):
    """Depth in metres by the camera of the group ``camera``, and where there is sky."""

    backend_id = "depth_anything_3_metric"
    group = "metric_depth"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> ViewSample:
        intrinsics = scene[Intrinsics].of(item)
        return ViewSample(self.pixels(scene, item), scene.frames.size, intrinsics)

    def compute(self, samples: Sequence[ViewSample]) -> list[Deferred[MetricMap]]:
        return [
            Deferred(partial(_as_map, to_host(depth), to_host(sky), sample))
            for (depth, sky), sample in zip(self.predicted(samples), samples, strict=True)
        ]


def _as_map(
    depth: Callable[[], Float32Array], sky: Callable[[], BoolArray], sample: ViewSample
) -> MetricMap:
    from dynprep.models.depth_anything_3.network import METRIC_FOCAL

    assert sample.intrinsics is not None
    seen = sample.pixels.shape[1:]
    shrink = np.array([seen[1] / sample.size[1], seen[0] / sample.size[0]])
    # in pixels of what the network sees: a wider view makes things smaller, not farther
    focal = float(np.mean(sample.intrinsics[:2] * shrink))
    metres, is_sky = depth() * np.float32(focal / METRIC_FOCAL), sky()
    metres = np.where(is_sky, np.float32(FARTHEST), metres)
    return MetricMap(metres, sample.intrinsics, sky=is_sky)
