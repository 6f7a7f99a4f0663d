"""Relative disparity from motion parallax: no network, no weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.backends.parallax import DepthFromParallax, ParallaxDepthSample
from dynprep.stages.base import parallel
from dynprep.stages.depth import RelativeDepth


@dataclass
class ParallaxDepth(DepthFromParallax, RelativeDepth[ParallaxDepthSample]):
    """Inverse depth of one scale for the whole clip, so that it does not flicker."""

    backend_id = "parallax"

    def compute(self, samples: Sequence[ParallaxDepthSample]) -> list[RelativeMap]:
        maps = parallel(self.inverse_depth, samples)
        return [RelativeMap(inverse_depth, MapKind.DISPARITY) for inverse_depth in maps]
