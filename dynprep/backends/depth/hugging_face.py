"""Relative disparity from Depth Anything V1 and V2, DPT and MiDaS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.backends.hugging_face import Array, DptStyle, Sample
from dynprep.stages.base import Later
from dynprep.stages.depth import RelativeDepth
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import Meaning, RelativeMap


@dataclass
class HuggingFaceDepth(DptStyle, RelativeDepth[Sample]):
    """Affine-invariant disparity (Yang et al. 2024; Ranftl et al. 2021), near is large."""

    node = "depth"
    architectures = ("relative depth_anything", "dpt")

    def needs(self) -> tuple[str, ...]:
        return ("images",)

    def load(self, inputs: Inputs, item: str) -> Sample:
        return Sample(self.pixels(inputs, item), (inputs.frames.height, inputs.frames.width))

    def compute(self, samples: Sequence[Sample]) -> list[Later[RelativeMap]]:
        return [Later(partial(_map, values)) for values in self.maps(samples, clamp=False)]


def _map(values: Callable[[], Array]) -> RelativeMap:
    return RelativeMap(values(), Meaning.DISPARITY)
