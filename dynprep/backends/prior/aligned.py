"""A depth prior made from the aligned disparity: no network needed.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import depth_of
from dynprep.options import Share
from dynprep.stages.prior import Prior


@dataclass
class AlignedPrior(Prior[Float32Array]):
    """Depth of each frame, its ``low`` to ``high`` quantile brought to 0 … 1."""

    low: Share
    high: Share

    backend_id = "aligned"

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, AlignedDisparity)

    def load(self, scene: Scene, item: str) -> Float32Array:
        return scene[AlignedDisparity].of(item)

    def compute(self, samples: Sequence[Float32Array]) -> list[Float32Array]:
        return [self._unit_depth(aligned) for aligned in samples]

    def _unit_depth(self, aligned_disparity: Float32Array) -> Float32Array:
        """Depth (H, W) in [0, 1]; 1 everywhere where no pixel is valid."""
        depth = depth_of(aligned_disparity)
        valid = aligned_disparity > 0
        if not valid.any():
            return np.ones_like(depth)
        near, far = np.quantile(depth[valid], [self.low, self.high])
        return np.clip((depth - near) / max(far - near, 1e-12), 0, 1).astype(np.float32)
