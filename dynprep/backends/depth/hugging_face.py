"""Relative disparity from Depth Anything V1 and V2, DPT and MiDaS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.backends.hugging_face import DptStyle, NetworkSample
from dynprep.stages.base import Deferred
from dynprep.stages.depth import RelativeDepth


@dataclass
class HuggingFaceDepth(DptStyle, RelativeDepth[NetworkSample]):
    """Affine-invariant disparity, near is large (Yang et al. 2024; Ranftl et al. 2021)."""

    backend_id = "dpt"
    group = "depth"
    architectures = ("relative depth_anything", "dpt")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def load(self, scene: Scene, item: str) -> NetworkSample:
        return NetworkSample(self.pixels(scene, item), scene.frames.size)

    def compute(self, samples: Sequence[NetworkSample]) -> list[Deferred[RelativeMap]]:
        return [Deferred(partial(_as_map, values)) for values in self.maps(samples, clamp=False)]


def _as_map(values: Callable[[], Float32Array]) -> RelativeMap:
    return RelativeMap(values(), MapKind.DISPARITY)
