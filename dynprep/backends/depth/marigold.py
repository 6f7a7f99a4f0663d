"""Relative disparity from Marigold's affine-invariant depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.backends.marigold import Array, Marigold, Sample
from dynprep.stages.base import Later
from dynprep.stages.depth import RelativeDepth
from dynprep.stages.maps import Meaning, RelativeMap


@dataclass
class MarigoldDepth(Marigold, RelativeDepth[Sample]):
    """Depth, said so: what becomes of it is decided where kinds are converted."""

    node = "depth"

    def compute(self, samples: Sequence[Sample]) -> list[Later[RelativeMap]]:
        return [Later(partial(_map, depth)) for depth in self.depths(samples)]


def _map(depth: Callable[[], Array]) -> RelativeMap:
    return RelativeMap(depth(), Meaning.DEPTH)
