"""Depth from motion parallax: true up to one unknown factor for the clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dynprep.artefacts.base import Scene
from dynprep.artefacts.maps import MetricMap
from dynprep.artefacts.metric_disparity import ASSUMED_SCALE
from dynprep.artefacts.motion import CameraPath
from dynprep.backends.parallax import DepthFromParallax, ParallaxDepthSample
from dynprep.options import Positive
from dynprep.stages.base import parallel
from dynprep.stages.metric_depth import MetricDepth
from dynprep.store import ItemWriter


@dataclass
class ParallaxMetric(DepthFromParallax, MetricDepth[ParallaxDepthSample]):
    """The clip's median depth is taken to be ``median_depth`` metres, unless known poses tell it."""

    median_depth: Positive

    backend_id = "parallax"

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), ASSUMED_SCALE: True}

    def compute(self, samples: Sequence[ParallaxDepthSample]) -> list[MetricMap]:
        return parallel(self._as_map, samples)

    def _as_map(self, s: ParallaxDepthSample) -> MetricMap:
        unit = self.median_depth if s.metres is None else s.metres
        return MetricMap(unit / self.inverse_depth(s), s.intrinsics)

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: MetricMap) -> None:
        super().write(writer, scene, item, output)
        if scene.number(item) == 0 and scene[CameraPath].poses.metres is None:
            writer.note(
                "metric_depth=parallax is NOT metric: one camera tells depth up to scale alone; the "
                f"clip's median depth is set to {self.median_depth:g} m (metric_depth.median_depth)"
            )
