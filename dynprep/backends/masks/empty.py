"""No masks: everything is background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.stages.masks import Masks


@dataclass
class EmptyMasks(Masks[BoolArray]):
    """Masks without objects, since trainers need the files."""

    backend_id = "empty"
    finds_objects = False

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def load(self, scene: Scene, item: str) -> BoolArray:
        return np.zeros(scene.frames.size, bool)

    def compute(self, samples: Sequence[BoolArray]) -> list[BoolArray]:
        return list(samples)
