"""The sky that a backend of depth sees, as masks of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.stages.base import Stage
from dynprep.stages.sky import SkyStage, sky_of


@dataclass
class SeenSky(SkyStage[BoolArray]):
    """What ``metric_depth`` and ``depth`` say of the sky."""

    backend_id = "seen"
    tells_sky = False  # those that it shows do

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, *self.context.skies)

    def check_stages(self, stages: Mapping[str, Stage]) -> None:
        if not self.context.skies:
            raise UserError(
                "sky=seen: neither metric_depth nor depth sees the sky; choose one that does, such as "
                "metric_depth=moge_2_vitl or metric_depth=depth_anything_3_metric, or sky=segformer"
            )

    def load(self, scene: Scene, item: str) -> BoolArray:
        sky = sky_of(self.context.skies, scene, item)
        return np.zeros(scene.frames.size, bool) if sky is None else sky

    def compute(self, samples: Sequence[BoolArray]) -> Sequence[BoolArray]:
        return samples
