"""Surface normals from Marigold (Ke et al. 2025).

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.backends.marigold import Marigold, MarigoldSample
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.normals import SurfaceNormals

# Marigold's normals have x to the right, y up and z towards the viewer; here y is down and z forward
_AXES = np.array([1, -1, -1], np.float32)[:, None, None]


@dataclass
class MarigoldNormals(Marigold, SurfaceNormals[MarigoldSample]):
    """Normals as the network gives them, in the axes of ``cameras.json``."""

    backend_id = "marigold"
    group = "normals"
    predicts = "normals"

    def pipeline(self) -> Any:
        from dynprep.backends.marigold_pipeline import Float32MarigoldNormals

        return Float32MarigoldNormals

    def compute(self, samples: Sequence[MarigoldSample]) -> list[Deferred[Float32Array]]:
        return [
            Deferred(partial(_as_normals, to_host(self.predicted(sample)[0].float())))
            for sample in samples
        ]


def _as_normals(get: Callable[[], Float32Array]) -> Float32Array:
    """Unit normals (H, W, 3) of what the network gave (3, H, W); 0, 0, 0 where it gave no direction."""
    normals = np.moveaxis(get() * _AXES, 0, -1)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    return np.ascontiguousarray(unit, np.float32)
