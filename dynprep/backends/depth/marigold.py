"""Relative disparity from Marigold's affine-invariant depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.arrays import Float32Array
from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.backends.marigold import Marigold, MarigoldSample
from dynprep.stages.base import Deferred
from dynprep.stages.depth import RelativeDepth


@dataclass
class MarigoldDepth(Marigold, RelativeDepth[MarigoldSample]):
    """Maps that say that they are depth; RelativeMap turns them into disparity."""

    backend_id = "marigold"
    group = "depth"

    def compute(self, samples: Sequence[MarigoldSample]) -> list[Deferred[RelativeMap]]:
        return [Deferred(partial(_as_map, depth)) for depth in self.depths(samples)]


def _as_map(depth: Callable[[], Float32Array]) -> RelativeMap:
    return RelativeMap(depth(), MapKind.DEPTH)
