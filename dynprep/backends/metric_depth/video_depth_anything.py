"""Metric depth that is steady over the clip, from Video Depth Anything's metric networks (Chen et al. 2025)."""

from dataclasses import dataclass

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
            MetricDisparity.write(writer, frames, stem, MetricMap(depth, camera))

        maps = ClipDepth(self, scene).maps()
        written_behind(write, zip(frames.stems, maps, strict=True))
