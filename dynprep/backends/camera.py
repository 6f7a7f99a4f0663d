"""Which camera a network is told: the one that is known, the clip's, or none."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.base import NEUTRAL
from dynprep.stages.camera_estimate import clip_intrinsics
from dynprep.stages.inputs import Inputs

CENTRE = 0.5  # of a pixel: networks count from its corner, datasets from its centre


@dataclass
class SeesCamera:
    """For networks that tell intrinsics themselves, and can be told them.

    shared: from the group ``camera``; one camera for the clip, the median of what is seen.
    """

    shared: bool = field(metadata=NEUTRAL)  # what is read, and so the key, follows from it

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics", *(("camera_estimate",) if self.shared else ()))

    def told(self, inputs: Inputs, item: str) -> NDArray[np.float64] | None:
        """[fx, fy, cx, cy] in pixels of ``images/``, or None where the network shall see it."""
        known = known_camera(inputs, item)
        return clip_intrinsics(inputs) if known is None and self.shared else known


def known_camera(inputs: Inputs, item: str) -> NDArray[np.float64] | None:
    """[fx, fy, cx, cy] that the user or the data gave, None where there is but a guess."""
    return inputs.intrinsics(item) if inputs.camera_known() else None
