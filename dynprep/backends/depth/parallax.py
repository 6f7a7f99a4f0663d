"""Relative disparity from motion parallax: no network, no weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.backends.parallax import Parallax, Sample
from dynprep.stages.base import each
from dynprep.stages.depth import RelativeDepth
from dynprep.stages.maps import Meaning, RelativeMap


@dataclass
class ParallaxDepth(Parallax, RelativeDepth[Sample]):
    """One scale for the whole clip, so that disparity does not flicker."""

    fewest_frames = 2

    def compute(self, samples: Sequence[Sample]) -> list[RelativeMap]:
        return [RelativeMap(z, Meaning.DISPARITY) for z in each(self.inverse_depth, samples)]
