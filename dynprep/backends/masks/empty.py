"""No masks: everything is background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.stages.inputs import Inputs
from dynprep.stages.masks import Mask, Masks


@dataclass
class EmptyMasks(Masks[Mask]):
    """Writes masks without objects, as trainers need the files."""

    def needs(self) -> tuple[str, ...]:
        return ("images",)

    def load(self, inputs: Inputs, item: str) -> Mask:
        return np.zeros((inputs.frames.height, inputs.frames.width), bool)

    def compute(self, samples: Sequence[Mask]) -> list[Mask]:
        return list(samples)
