"""A depth prior made from the aligned disparity: no network needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import depth_of
from dynprep.stages.prior import Prior

Array = NDArray[np.float32]


@dataclass
class AlignedPrior(Prior[Array]):
    """Depth of each frame, its ``low`` to ``high`` quantile brought to 0 … 1."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(f"low={self.low} and high={self.high} must be ascending in 0..1")

    def needs(self) -> tuple[str, ...]:
        return ("images", "alignment")

    def load(self, inputs: Inputs, item: str) -> Array:
        return inputs["alignment"].array(f"{item}.npy")

    def compute(self, samples: Sequence[Array]) -> list[Array]:
        return [self._unit(aligned) for aligned in samples]

    def _unit(self, aligned: Array) -> Array:
        depth = depth_of(aligned)
        valid = aligned > 0
        if not valid.any():
            return np.ones_like(depth)
        near, far = np.quantile(depth[valid], [self.low, self.high])
        return np.clip((depth - near) / max(far - near, 1e-12), 0, 1).astype(np.float32)
