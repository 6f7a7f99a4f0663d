"""Masks of what moves against the camera's motion."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import CameraPath, ParallaxMaps
from dynprep.backends.moving import MotionSample, Moving
from dynprep.stages.base import parallel
from dynprep.stages.masks import Masks


@dataclass
class MotionMasks(Moving, Masks[MotionSample]):
    """Pixels whose flow no static point could show, cut out along colour edges."""

    backend_id = "motion"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, CameraPath, ParallaxMaps)

    def load(self, scene: Scene, item: str) -> MotionSample:
        return self.motion_of(scene, item)

    def compute(self, samples: Sequence[MotionSample]) -> list[BoolArray]:
        return parallel(self.moving, samples)
