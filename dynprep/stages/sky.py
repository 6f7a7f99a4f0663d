"""Where there is sky in every frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.artefacts.sky import Sky
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


def sky_of(skies: Sequence[type[Artefact]], scene: Scene, stem: str) -> BoolArray | None:
    """Where there is sky (H, W) by any of ``skies``; None where none of them says."""
    masks = []
    for kind in skies:
        source = scene[kind]
        assert isinstance(source, Sky | MetricDisparity | RelativeDisparity)
        if (mask := source.sky(stem)) is not None:
            masks.append(mask)
    return np.logical_or.reduce(masks) if masks else None


@dataclass
class SkyStage(FrameStage[Sample, BoolArray]):
    """A backend's ``compute`` gives (H, W) booleans, true where there is sky."""

    makes = Sky
    tells_sky = True
    kind_version = 1

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: BoolArray) -> None:
        Sky.write(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return frames.pixels // 8  # a bit a pixel, which flat areas do not need
