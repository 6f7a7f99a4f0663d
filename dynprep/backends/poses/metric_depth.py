"""Poses that a network saw together with metric depth.

Shapes: T frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.cameras import ASSUMED_METRES, METRES, Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.errors import UserError
from dynprep.stages.base import Stage
from dynprep.stages.cameras import CameraPoses
from dynprep.stages.metric_depth import ClipMetricDepth
from dynprep.store import ItemWriter


@dataclass
class SeenPoses(CameraPoses):
    """Poses and intrinsics as the backend of metric depth saw them, in the unit of its depth."""

    backend_id = "metric_depth"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, MetricDisparity)

    def check_stages(self, stages: Mapping[str, Stage]) -> None:
        depth = stages.get(MetricDisparity.name)
        if not (isinstance(depth, ClipMetricDepth) and depth.tells_poses):
            raise UserError(
                "poses=metric_depth: this metric_depth sees no poses; choose one that does, such as "
                "metric_depth=depth_anything_3_small, or poses=parallax"
            )

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        depth = scene[MetricDisparity]
        assert depth.camera_to_world is not None
        cameras = CameraSet(
            depth.camera_to_world,
            np.stack([depth.intrinsics(stem) for stem in scene.frames.stems]),
            METRES if depth.is_metric else ASSUMED_METRES,
            depth.is_metric,
            None,
            False,
            self.backend_id,
        )
        Cameras.write(writer, scene.frames, cameras)
