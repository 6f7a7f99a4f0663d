"""Metric depth that is steady over the clip, from Video Depth Anything's metric networks (Chen et al. 2025)."""

from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.backends.video_depth_anything import ClipDepth, VideoDepthNetwork
from dynprep.stages.base import written_behind
from dynprep.stages.metric_depth import ClipMetricDepth
from dynprep.store import ItemWriter

_LEAST = 1e-3  # metres, from which on the network's output is a depth


@dataclass
class VideoDepthAnythingMetric(VideoDepthNetwork, ClipMetricDepth):
    """Depth in metres; the camera is taken from the group ``camera``."""

    group = "metric_depth"
    same_unit = True

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        frames = scene.frames

        def write(one: tuple[str, Float32Array]) -> None:
            stem, depth = one
            camera = scene[Intrinsics].of(stem)
            # the network's last layer cuts off at 0, which is no depth
            is_known = depth > _LEAST
            known = None if is_known.all() else is_known
            depth = np.maximum(depth, np.float32(_LEAST))
            MetricDisparity.write(writer, frames, stem, MetricMap(depth, camera, known))

        maps = ClipDepth(self, scene).maps()
        written_behind(write, zip(frames.stems, maps, strict=True))
