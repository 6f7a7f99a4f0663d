"""Metric depth and intrinsics of every frame."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from dynprep.artefacts.base import Scene
from dynprep.artefacts.maps import MetricMap
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage, SceneStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass
class MetricDepth(FrameStage[Sample, MetricMap]):
    """A backend's ``compute`` gives MetricMaps in metres; the artefact turns them into disparity."""

    makes = MetricDisparity
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: MetricMap) -> None:
        MetricDisparity.write(writer, scene.frames, item, output)
        if output.remark:
            writer.note(output.remark)

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * frames.pixels + 200 * len(frames)


@dataclass
class ClipMetricDepth(SceneStage):
    """A backend that sees the clip: it writes every frame's MetricMap.

    tells_poses: whether it writes the camera's poses too, in the unit of its depth.
    """

    makes = MetricDisparity
    kind_version = 1
    tells_poses: ClassVar[bool] = False

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * frames.pixels + 200 * len(frames)
